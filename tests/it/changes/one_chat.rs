//! What changed in one chat since a revision.

use serde_json::{Value, json};
use uuid::Uuid;

use super::device::{list, text};
use crate::support::{Answer, Person, TestServer, each, fields};

async fn changes(person: &Person, chat: Uuid, since: i64, more: &str) -> Answer {
    person.get(&format!("/chats/{chat}/changes?since={since}{more}")).await.expect_status(200)
}

fn next(answer: &Answer) -> i64 {
    answer.body["nextSince"].as_i64().expect("where to go on")
}

fn kinds(answer: &Answer) -> Vec<&str> {
    each(list(answer, "data"), "kind")
}

fn path(message: &Value) -> String {
    format!("/chats/{}/messages/{}", text(message, "chatId"), text(message, "id"))
}

#[tokio::test]
async fn every_kind_of_change_is_told_once_and_as_it_is_now() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob]).await;
    let (kept, deleted) = (alice.says(chat, "kept").await, alice.says(chat, "deleted").await);
    let head = next(&changes(&bob, chat, 0, "").await);
    let nothing = changes(&bob, chat, head, "").await;
    assert_eq!(fields(&nothing.body), ["data", "epoch", "headRev", "more", "nextSince", "reset"]);
    assert_eq!((list(&nothing, "data").len(), next(&nothing), &nothing.body["reset"]), (0, head, &json!(false)));

    alice.patch(&path(&kept), json!({ "text": "edited" })).await.expect_status(200);
    alice.patch(&path(&kept), json!({ "text": "edited twice" })).await.expect_status(200);
    alice.delete(&path(&deleted)).await.expect_status(204);
    let new = alice.says(chat, "new").await;
    let gone = alice.says(chat, "came and went").await;
    alice.delete(&path(&gone)).await.expect_status(204);
    alice.adds(chat, &carol, "member").await.expect_status(200);
    carol.delete(&format!("/chats/{chat}")).await.expect_status(204);
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "the club" })).await.expect_status(200);
    let since = changes(&bob, chat, head, "").await;
    let expected =
        ["message.updated", "message.deleted", "message.created", "message.deleted", "participant.left", "chat.updated"];
    assert_eq!(kinds(&since), expected);
    let data = list(&since, "data");
    assert!(data.iter().all(|change| change["chatId"] == json!(chat)));
    assert_eq!(data[0]["message"], bob.get(&path(&kept)).await.body);
    assert_eq!(data[0]["message"]["text"], "edited twice");
    assert_eq!(fields(&data[1]), ["chatId", "kind", "messageId", "rev"], "nothing but its id");
    assert_eq!(data[1]["messageId"], deleted["id"]);
    assert_eq!(data[2]["message"], new);
    assert_eq!(data[3]["messageId"], gone["id"], "who listed the chat in between has it");
    assert_eq!((&data[4]["userId"], data[4].get("participant")), (&json!(carol.id), None));
    let profile = json!({
        "id": chat, "uid": data[5]["chat"]["uid"], "type": "group", "visibility": "private", "name": "the club", "readOnly": false,
    });
    assert_eq!(data[5]["chat"], profile);
    assert_eq!(next(&since), since.body["headRev"].as_i64().expect("a head"));

    // the owner sees what is deleted, so is told of it whole
    let owner = changes(&alice, chat, head, "").await;
    let deletions: Vec<&Value> = list(&owner, "data").iter().filter(|c| c["kind"] == "message.deleted").collect();
    assert_eq!(deletions.iter().map(|c| c["message"]["text"].clone()).collect::<Vec<_>>(), ["deleted", "came and went"]);
    assert!(deletions.iter().all(|c| c["messageId"] == c["message"]["id"] && c["message"]["deletedAt"].is_string()));
}

#[tokio::test]
async fn a_walk_in_small_steps_tells_everything_in_order() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut said = Vec::new();
    for n in 0..20 {
        said.push(alice.says(chat, &format!("message {n}")).await);
    }
    for n in [3, 15, 4, 3] {
        alice.patch(&path(&said[n]), json!({ "text": format!("edited {n} {}", Uuid::new_v4()) })).await.expect_status(200);
    }
    alice.delete(&path(&said[7])).await.expect_status(204);
    for limit in [1, 2, 7, 500] {
        let (mut since, mut epoch, mut seen, mut revs) = (0, String::new(), Vec::new(), Vec::new());
        loop {
            let answer = changes(&bob, chat, since, &format!("&limit={limit}{epoch}")).await;
            epoch = format!("&epoch={}", text(&answer.body, "epoch"));
            assert!(list(&answer, "data").len() <= limit && answer.body["reset"] == false);
            revs.extend(list(&answer, "data").iter().map(|change| change["rev"].as_i64().expect("a rev")));
            seen.extend(list(&answer, "data").iter().filter(|c| c["kind"] == "message.created").map(|c| c["message"].clone()));
            since = next(&answer);
            if answer.body["more"] == false {
                break;
            }
        }
        assert!(revs.is_sorted(), "{limit} at a time: {revs:?}");
        let list = bob.get(&format!("/chats/{chat}/messages")).await;
        seen.reverse();
        assert_eq!(&seen, list.data(), "{limit} at a time");
    }
}

#[tokio::test]
async fn who_comes_back_or_has_another_role_lists_the_chat_anew() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob, &server.person("carol").await]).await;
    alice.says(chat, "hello").await;
    let head = next(&changes(&bob, chat, 0, "").await);
    let reset = |answer: &Answer| answer.body["reset"].as_bool().expect("a reset");
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    let promoted = changes(&bob, chat, head, "").await;
    assert!(reset(&promoted) && list(&promoted, "data").is_empty(), "a moderator sees deleted messages too");
    assert!(!reset(&changes(&bob, chat, next(&promoted), "").await));
    bob.delete(&format!("/chats/{chat}")).await.expect_status(204);
    let gone = format!("/chats/{chat}/changes?since={head}");
    bob.get(&gone).await.refused(403, "chats_are_read_by_participants", "chats.1");
    mallory.get(&gone).await.refused(403, "chats_are_read_by_participants", "chats.1");
    mallory.get(&format!("/chats/{}/changes", Uuid::new_v4())).await.refused(404, "chats_exist", "chats.2");
    alice.adds(chat, &bob, "member").await.expect_status(200);
    assert!(reset(&changes(&bob, chat, next(&promoted), "").await));
    assert!(!reset(&changes(&alice, chat, head, "").await), "the others go on");
}

#[tokio::test]
async fn another_life_of_the_database_is_noticed() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    alice.says(chat, "hello").await;
    let answer = changes(&alice, chat, 0, "").await;
    let (head, epoch) = (next(&answer), text(&answer.body, "epoch"));
    assert_eq!(changes(&alice, chat, head, &format!("&epoch={epoch}")).await.body["reset"], false);
    assert_eq!(changes(&alice, chat, head, "&epoch=0000000000000000").await.body["reset"], true);
    assert_eq!(changes(&alice, chat, head + 1, "").await.body["reset"], true, "revisions that have not come yet");
    assert_eq!(
        changes(&alice, chat, 0, "&epoch=0000000000000000").await.body["reset"],
        false,
        "from the start is from the start"
    );
    alice.get(&format!("/chats/{chat}/changes?since=-1")).await.invalid_at("since");
    alice.get(&format!("/chats/{chat}/changes?wait=31")).await.invalid_at("wait");
}

#[tokio::test]
async fn removals_for_good_are_told_and_those_no_longer_known_reset() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (first, second) = (alice.says(chat, "first").await, alice.says(chat, "second").await);
    let head = next(&changes(&bob, chat, 0, "").await);
    let owner = server.database.db_owner().await;
    let remove = |message: &Value| format!("delete from chat.messages where id = '{}'", text(message, "id"));
    owner.batch_execute(&remove(&first)).await.expect("removed for good");
    let told = changes(&bob, chat, head, "").await;
    assert_eq!((kinds(&told), &list(&told, "data")[0]["messageId"]), (vec!["message.deleted"], &first["id"]));
    owner.batch_execute(&remove(&second)).await.expect("removed for good");
    owner.batch_execute("delete from chat.tombstones").await.expect("purged");
    assert_eq!(changes(&bob, chat, next(&told), "").await.body["reset"], true);
    let afresh = changes(&bob, chat, 0, "").await;
    assert_eq!((kinds(&afresh).contains(&"message.created"), &afresh.body["reset"]), (false, &json!(false)));
}

#[tokio::test]
async fn in_a_public_room_members_hear_of_all_that_they_read() {
    let server = TestServer::start().await;
    server.database.db_set("history = 'since_join'").await;
    let (adam, bob) = (server.admin("adam").await, server.person("bob").await);
    let room = adam.room("square", "public").await;
    let old = adam.says(room, "before bob came").await;
    bob.joins(room).await.expect_status(200);
    let head = next(&changes(&bob, room, 0, "").await);
    adam.patch(&path(&old), json!({ "text": "edited" })).await.expect_status(200);
    let told = changes(&bob, room, head, "").await;
    assert_eq!((kinds(&told), &list(&told, "data")[0]["message"]["text"]), (vec!["message.updated"], &json!("edited")));
    adam.patch(&format!("/chats/{room}"), json!({ "visibility": "private" })).await.expect_status(200);
    assert_eq!(bob.reads(room).await, [""; 0], "closed, it is read from where one joined");
    assert_eq!(changes(&bob, room, next(&told), "").await.body["reset"], true);
}
