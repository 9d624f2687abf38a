//! What changed in all of one's chats.

use serde_json::json;
use uuid::Uuid;

use super::device::{Device, list, text, texts};
use crate::support::{TestServer, fields};

#[tokio::test]
async fn a_new_device_enters_every_chat_and_then_hears_of_changes() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let nothing = alice.get("/sync").await.expect_status(200);
    assert_eq!(fields(&nothing.body), ["data", "entered", "left", "more", "position", "reset"]);
    assert_eq!((list(&nothing, "entered").len(), &nothing.body["more"]), (0, &json!(false)));
    let (one, other) = (alice.group_with(&[&bob]).await, bob.group_with(&[&alice]).await);
    bob.says(one, "hello").await;
    let mut device = Device::of(&alice);
    assert!(device.ask(1).await, "one chat at a time");
    device.catch_up(1).await;
    assert_eq!(device.chats.len(), 2);
    assert_eq!(texts(&device, one), ["hello"]);
    bob.says(other, "over here").await;
    let position = device.position.clone().expect("a position");
    let news = alice.get(&format!("/sync?since={position}")).await;
    assert_eq!((list(&news, "entered").len(), list(&news, "data").len()), (0, 1), "{}", news.body);
    device.catch_up(1).await;
    assert_eq!(texts(&device, other), ["over here"]);
    let position = device.position.clone().expect("a position");
    let again = alice.get(&format!("/sync?since={position}")).await.expect_status(200);
    assert!(["data", "entered", "left"].iter().all(|field| list(&again, field).is_empty()), "{}", again.body);
}

#[tokio::test]
async fn what_one_came_to_is_entered_and_what_one_left_is_left() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let carol = server.person("carol").await;
    let [left, removed, ended, promoted, back, gone, hidden] = {
        let mut chats = [Uuid::nil(); 7];
        for chat in &mut chats {
            *chat = bob.group_with(&[&alice, &carol]).await;
        }
        chats
    };
    let mut device = Device::from_scratch(&alice).await;
    alice.delete(&format!("/chats/{left}")).await.expect_status(204);
    bob.delete(&format!("/chats/{removed}/participants/{}", alice.id)).await.expect_status(204);
    bob.says(removed, "not for alice").await;
    bob.delete(&format!("/chats/{ended}?scope=everyone")).await.expect_status(204);
    bob.adds(promoted, &alice, "moderator").await.expect_status(200);
    alice.delete(&format!("/chats/{back}")).await.expect_status(204);
    bob.says(back, "while she was away").await;
    bob.adds(back, &alice, "member").await.expect_status(200);
    let new = bob.group_with(&[&alice]).await;
    let owner = server.database.db_owner().await;
    owner.batch_execute(&format!("delete from chat.chats where id = '{gone}'")).await.expect("removed for good");
    // the row alone, by hand: everybody is still in it
    owner.batch_execute(&format!("update chat.chats set deleted_at = now() where id = '{hidden}'")).await.expect("deleted");
    let position = device.position.clone().expect("a position");
    let answer = alice.get(&format!("/sync?since={position}")).await;
    let mut told: Vec<String> = list(&answer, "left").iter().map(|id| id.as_str().expect("an id").to_owned()).collect();
    let mut expected = [left, removed, ended, gone, hidden].map(|id| id.to_string());
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
    let mut entered: Vec<String> = list(&answer, "entered").iter().map(|chat| text(chat, "id")).collect();
    let mut expected = [promoted, back, new].map(|id| id.to_string());
    entered.sort_unstable();
    expected.sort_unstable();
    assert_eq!(entered, expected);
    assert_eq!(list(&answer, "data").len(), 0, "{}", answer.body);
    assert!(!answer.body.to_string().contains("not for alice"));
    device.catch_up(200).await;
    assert_eq!(device.chats, Device::from_scratch(&alice).await.chats);
}

#[tokio::test]
async fn a_strange_position_is_refused_and_one_of_another_life_starts_afresh() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    alice.group_with(&[]).await;
    for position in ["x", "AAAA", &URL_SAFE_NO_PAD.encode("0123456789abcdef;1:x:")] {
        alice.get(&format!("/sync?since={position}")).await.invalid_at("since");
    }
    let chat = Uuid::nil();
    for other in ["0123456789abcdef;5:9:".to_owned(), format!("0123456789abcdef;5:9:;5:9:;{chat};3")] {
        let answer = alice.get(&format!("/sync?since={}", URL_SAFE_NO_PAD.encode(other))).await.expect_status(200);
        assert_eq!((&answer.body["reset"], list(&answer, "entered").len()), (&json!(true), 1));
    }
}

#[tokio::test]
async fn a_chat_that_is_gone_is_left_even_when_its_tombstones_are_purged() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (doomed, other) = (bob.group_with(&[&alice]).await, bob.group_with(&[&alice]).await);
    let device = Device::from_scratch(&alice).await;
    let owner = server.database.db_owner().await;
    for purge in [
        format!("delete from chat.chats where id = '{doomed}'"),
        format!("delete from chat.participants where chat_id = '{other}'"),
        "delete from chat.tombstones".to_owned(),
    ] {
        owner.batch_execute(&purge).await.expect("purged");
    }
    let position = device.position.clone().expect("a position");
    let answer = alice.get(&format!("/sync?since={position}")).await.expect_status(200);
    assert_eq!((list(&answer, "left").len(), &answer.body["reset"]), (2, &json!(false)), "{}", answer.body);
}

#[tokio::test]
async fn the_host_application_has_no_chats_of_its_own() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    alice.group_with(&[&server.person("bob").await]).await;
    let answer = server.service().get("/sync").await.expect_status(200);
    assert!(list(&answer, "entered").is_empty());
    server.anon().get("/sync").await.problem(403, "not_allowed");
}
