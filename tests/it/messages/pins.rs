//! Pins through the API.

use serde_json::json;

use super::path;
use crate::support::{TestServer, each};

#[tokio::test]
async fn what_moderators_pin_is_listed_last_pinned_first() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let list = format!("/chats/{chat}/pins");
    assert_eq!(bob.get(&list).await.expect_status(200).body, json!({ "data": [], "nextCursor": null, "prevCursor": null }));
    let mut said = Vec::new();
    for n in 0..5 {
        said.push(bob.says(chat, &format!("message {n}")).await);
    }
    let pin = |n: usize| format!("{}/pin", path(&said[n]));
    for n in [3, 0, 4, 2] {
        let pinned = alice.put(&pin(n), json!({})).await.expect_status(200).body;
        assert!(pinned["pinnedAt"].is_string() && pinned["rev"].as_i64() > said[n]["rev"].as_i64());
        assert_eq!(alice.put(&pin(n), json!({})).await.expect_status(200).body, pinned, "pinned is pinned");
    }
    assert_eq!(each(bob.get(&list).await.data(), "text"), ["message 2", "message 4", "message 0", "message 3"]);
    for limit in [1, 3, 4] {
        assert_eq!(bob.walks(&list, limit).await.len(), 4, "{limit} at a time");
        assert_eq!(bob.walks_back(&list, limit).await.len(), 4, "{limit} at a time, back");
    }
    alice.delete(&pin(4)).await.expect_status(204);
    alice.delete(&pin(4)).await.expect_status(204);
    bob.delete(&path(&said[0])).await.expect_status(204);
    for person in [&alice, &bob] {
        assert_eq!(each(person.get(&list).await.data(), "text"), ["message 2", "message 3"], "what is deleted is pinned no more");
    }
    bob.delete(&path(&said[1])).await.expect_status(204);
    alice.put(&pin(1), json!({})).await.refused(409, "messages_stay_deleted", "messages.11");
}

#[tokio::test]
async fn members_do_not_pin() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob]).await;
    let (sent, pinned) = (bob.says(chat, "mine").await, bob.says(chat, "pinned").await);
    let pin = |message| format!("{}/pin", path(message));
    alice.put(&pin(&pinned), json!({})).await.expect_status(200);
    let before = server.database.db_rows().await;
    bob.put(&pin(&sent), json!({})).await.refused(403, "messages_are_pinned_by_moderators", "messages.6");
    bob.delete(&pin(&pinned)).await.refused(403, "messages_are_pinned_by_moderators", "messages.6");
    mallory.put(&pin(&sent), json!({})).await.refused(403, "chats_are_read_by_participants", "chats.1");
    mallory.delete(&pin(&pinned)).await.refused(403, "chats_are_read_by_participants", "chats.1");
    mallory.get(&format!("/chats/{chat}/pins")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn in_a_direct_chat_both_pin() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let chat = alice.direct_with(&bob).await;
    let sent = alice.says(chat, "the key is under the mat").await;
    let pin = format!("{}/pin", path(&sent));
    bob.put(&pin, json!({})).await.expect_status(200);
    alice.delete(&pin).await.expect_status(204);
    assert_eq!(bob.get(&format!("/chats/{chat}/pins")).await.data().len(), 0);
}
