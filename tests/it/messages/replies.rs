//! Replies, shown with what they answer.

use serde_json::json;

use super::path;
use crate::support::{TestServer, fields};

#[tokio::test]
async fn a_reply_shows_what_it_answers() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let list = format!("/chats/{chat}/messages");
    let question = alice.says(chat, "who walks?").await;
    let reply = bob.post(&list, json!({ "text": "I do", "replyToId": question["id"] })).await.expect_status(201).body;
    let quoted = |text: &str| json!({ "id": question["id"], "seq": question["seq"], "senderId": alice.id, "senderName": "alice", "text": text });
    assert_eq!((&reply["replyToId"], &reply["replyTo"]), (&question["id"], &quoted("who walks?")));
    assert_eq!(alice.get(&path(&reply)).await.body, reply);
    assert_eq!(alice.get(&list).await.data()[0], reply);
    assert_eq!(alice.get(&format!("{list}?around={}", reply["id"].as_str().expect("an id"))).await.data()[0], reply);
    let again = bob.post(&list, json!({ "id": reply["id"], "text": "I do" })).await.expect_status(200).body;
    assert_eq!(again, reply);

    alice.patch(&path(&question), json!({ "text": "who walks with me?" })).await.expect_status(200);
    let now = bob.get(&path(&reply)).await.body;
    assert_eq!(now["replyTo"], quoted("who walks with me?"), "as it is now");
    assert_eq!(now["rev"], reply["rev"], "the reply itself has not changed");
    alice.delete(&path(&question)).await.expect_status(204);
    let orphan = bob.get(&path(&reply)).await.body;
    assert_eq!((&orphan["replyToId"], orphan.get("replyTo")), (&question["id"], None), "what is deleted is not quoted");
}

#[tokio::test]
async fn a_long_text_is_quoted_by_its_beginning() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let long = alice.says(chat, &"ä".repeat(10_000)).await;
    let reply = json!({ "text": "too long", "replyToId": long["id"] });
    let reply = bob.post(&format!("/chats/{chat}/messages"), reply).await.expect_status(201).body;
    assert_eq!(reply["replyTo"]["text"], json!("ä".repeat(200)));
    assert_eq!(fields(&reply["replyTo"]), ["id", "senderId", "senderName", "seq", "text"]);
}

#[tokio::test]
async fn a_reply_quotes_nothing_that_one_may_not_read() {
    let server = TestServer::start().await;
    server.database.db_set("history = 'since_join'").await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob]).await;
    let secret = alice.says(chat, "before carol came").await;
    alice.adds(chat, &carol, "member").await.expect_status(200);
    let reply = json!({ "text": "well said", "replyToId": secret["id"] });
    let reply = bob.post(&format!("/chats/{chat}/messages"), reply).await.expect_status(201).body;
    assert_eq!(reply["replyTo"]["text"], "before carol came");
    let seen = carol.get(&format!("/chats/{chat}/messages")).await;
    assert_eq!((seen.data().len(), seen.data()[0].get("replyTo")), (1, None));
}
