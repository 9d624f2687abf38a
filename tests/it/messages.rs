//! Messages through the API.

mod edit;
mod edits;
mod latest;
mod pins;
mod reactions;
mod replies;
mod send;
mod walk;
mod words;

use serde_json::Value;

use crate::support::TestServer;

/// Where a message is.
fn path(message: &Value) -> String {
    let part = |field: &str| message[field].as_str().expect("an id").to_owned();
    format!("/chats/{}/messages/{}", part("chatId"), part("id"))
}

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
