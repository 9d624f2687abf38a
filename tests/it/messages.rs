//! Messages through the API.

use serde_json::json;
use uuid::Uuid;

use crate::support::TestServer;

#[tokio::test]
async fn friends_hold_a_conversation() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let chat = alice.direct_with(&bob).await;
    alice.says(chat, "hello bob").await;
    bob.says(chat, "hello alice").await;
    assert_eq!(alice.reads(chat).await, ["hello alice", "hello bob"]);
    assert_eq!(bob.reads(chat).await, ["hello alice", "hello bob"]);
    assert_eq!(bob.direct_with(&alice).await, chat);
}

#[tokio::test]
async fn sending_an_id_again_is_sending_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let path = format!("/chats/{chat}/messages");
    let message = json!({ "id": Uuid::now_v7(), "text": "once" });
    let sent = alice.post(&path, message.clone()).await.expect_status(201);
    let again = alice.post(&path, message.clone()).await.expect_status(200);
    assert_eq!(sent.body, again.body);
    bob.post(&path, message.clone()).await.problem(409, "message_id_is_taken");
    alice.delete(&format!("{path}/{}", sent.id())).await.expect_status(204);
    alice.delete(&format!("{path}/{}", sent.id())).await.expect_status(204);
    alice.post(&path, message.clone()).await.problem(409, "message_id_was_used");
    bob.post(&path, message).await.problem(409, "message_id_was_used");
}
