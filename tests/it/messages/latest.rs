//! The latest messages of many chats at once.

use serde_json::json;
use uuid::Uuid;

use crate::support::{TestServer, each};

#[tokio::test]
async fn a_client_starts_with_the_latest_of_all_its_chats() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let (one, other, silent) =
        (alice.group_with(&[&bob]).await, bob.group_with(&[&alice]).await, alice.group_with(&[&bob]).await);
    let foreign = carol.group_with(&[&bob]).await;
    carol.says(foreign, "not for alice").await;
    for n in 0..3 {
        bob.says(one, &format!("one {n}")).await;
        alice.says(other, &format!("other {n}")).await;
    }
    let nothing = Uuid::new_v4();
    let ids = format!("{one},{other},{silent},{foreign},{nothing},{one}");
    let answer = alice.get(&format!("/messages/latest?chatIds={ids}&limit=2")).await.expect_status(200).body;
    let texts = |chat: Uuid| each(answer["data"][chat.to_string()].as_array().expect("messages"), "text");
    assert_eq!((texts(one), texts(other)), (vec!["one 2", "one 1"], vec!["other 2", "other 1"]), "newest first");
    assert_eq!(answer["data"][silent.to_string()], json!([]), "a chat in which nothing was said is there");
    assert_eq!(answer["data"].as_object().map(serde_json::Map::len), Some(3));
    let mut invalid = vec![foreign.to_string(), nothing.to_string()];
    invalid.sort_unstable();
    assert_eq!(answer["invalidChatIds"], json!(invalid), "not said which of them exist");
    let list = alice.get(&format!("/chats/{one}/messages?limit=2")).await;
    assert_eq!(answer["data"][one.to_string()], json!(list.data()), "the same as in the chat's own list");
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let ids = |n: usize| (0..n).map(|_| Uuid::new_v4().to_string()).collect::<Vec<_>>().join(",");
    alice.get(&format!("/messages/latest?chatIds={}", ids(500))).await.expect_status(200);
    alice.get(&format!("/messages/latest?chatIds={}", ids(501))).await.invalid_at("chatIds");
    alice.get(&format!("/messages/latest?chatIds={}&limit=101", ids(200))).await.invalid_at("limit");
    alice.get("/messages/latest?chatIds=x").await.invalid_at("chatIds");
    alice.get("/messages/latest").await.invalid_at("chatIds");
}
