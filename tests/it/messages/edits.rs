//! What messages said before they were edited.

use serde_json::{Value, json};
use uuid::Uuid;

use super::path;
use crate::support::{Person, TestServer, each, fields};

/// Where a message's earlier texts are.
fn edits(message: &Value) -> String {
    format!("{}/edits", path(message))
}

/// A message edited so often, and what it was at each rev.
async fn edited(person: &Person, chat: Uuid, times: usize) -> (Value, Vec<Value>) {
    let mut seen = vec![person.says(chat, "text 0").await];
    for n in 1..=times {
        let edit = json!({ "text": format!("text {n}") });
        seen.push(person.patch(&path(&seen[0]), edit).await.expect_status(200).body);
    }
    (seen.pop().expect("the last"), seen)
}

#[tokio::test]
async fn an_edit_keeps_what_was_said_before() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = bob.group_with(&[&alice]).await;
    let sent = alice.post(&format!("/chats/{chat}/messages"), json!({ "text": "helo bob", "mentions": [bob.id] })).await;
    let sent = sent.expect_status(201).body;
    assert_eq!(alice.get(&edits(&sent)).await.expect_status(200).data().len(), 0, "nothing was edited");
    alice.patch(&path(&sent), json!({ "text": "hello bob", "mentions": [] })).await.expect_status(200);
    let page = alice.get(&edits(&sent)).await.expect_status(200);
    let [edit] = &page.data()[..] else { panic!("one edit: {}", page.body) };
    assert_eq!(fields(edit), ["mentions", "replacedAt", "rev", "text"]);
    assert_eq!((&edit["text"], &edit["mentions"], &edit["rev"]), (&json!("helo bob"), &json!([bob.id]), &sent["rev"]));
    assert!(edit["replacedAt"].as_str() > sent["createdAt"].as_str());
    alice.patch(&path(&sent), json!({ "text": "hello bob" })).await.expect_status(200);
    assert_eq!(alice.get(&edits(&sent)).await.data().len(), 1, "the same words are no edit");
}

#[tokio::test]
async fn earlier_texts_are_walked_both_ways_newest_first() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (other, _) = edited(&alice, chat, 1).await;
    let (message, earlier) = edited(&alice, chat, 7).await;
    let all = alice.walks(&edits(&message), 200).await;
    assert_eq!(each(&all, "text"), ["text 6", "text 5", "text 4", "text 3", "text 2", "text 1", "text 0"]);
    for (edit, was) in all.iter().zip(earlier.iter().rev()) {
        assert_eq!((&edit["rev"], &edit["text"]), (&was["rev"], &was["text"]));
    }
    for limit in [1, 2, 3, 7, 8] {
        assert_eq!(alice.walks(&edits(&message), limit).await, all, "{limit} at a time");
        assert_eq!(alice.walks_back(&edits(&message), limit).await, all, "{limit} at a time, back");
    }
    assert_eq!(alice.get(&edits(&other)).await.data().len(), 1, "another message's are its own");
    alice.get(&format!("{}?limit=201", edits(&message))).await.invalid_at("limit");
    alice.get(&format!("{}?cursor=LW1lc3NhZ2VzLzE", edits(&message))).await.invalid_at("cursor");
}

#[tokio::test]
async fn earlier_texts_are_seen_by_sender_owner_and_moderators_alone() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let (dave, mallory) = (server.person("dave").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob, &carol, &dave]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    let (message, _) = edited(&carol, chat, 1).await;
    let untouched = carol.says(chat, "as it was").await;
    let service = server.service();
    for person in [&alice, &bob, &carol, &service] {
        assert_eq!(each(person.get(&edits(&message)).await.expect_status(200).data(), "text"), ["text 0"], "{}", person.name);
        assert_eq!(person.get(&edits(&untouched)).await.expect_status(200).data().len(), 0, "{}", person.name);
    }
    for message in [&message, &untouched] {
        let refused = dave.get(&edits(message)).await;
        refused.refused(403, "edits_are_seen_by_sender_and_moderators", "edits.1");
        mallory.get(&edits(message)).await.refused(403, "chats_are_read_by_participants", "chats.1");
        server.anon().get(&edits(message)).await.problem(403, "not_allowed");
    }
    for nothing in [Uuid::new_v4(), chat] {
        for person in [&alice, &dave, &service] {
            let path = format!("/chats/{chat}/messages/{nothing}/edits");
            person.get(&path).await.refused(404, "messages_exist", "messages.12");
        }
    }
    let nowhere = format!("/chats/{}/messages/{}/edits", Uuid::new_v4(), Uuid::new_v4());
    alice.get(&nowhere).await.refused(404, "chats_exist", "chats.2");
}

#[tokio::test]
async fn a_sender_sees_earlier_texts_while_the_message_stands() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let ((message, _), untouched) = (edited(&bob, chat, 1).await, bob.says(chat, "as it was").await);
    for message in [&message, &untouched] {
        bob.delete(&path(message)).await.expect_status(204);
        bob.get(&edits(message)).await.refused(404, "messages_exist", "messages.12");
    }
    assert_eq!(each(alice.get(&edits(&message)).await.expect_status(200).data(), "text"), ["text 0"]);
    assert_eq!(alice.get(&edits(&untouched)).await.expect_status(200).data().len(), 0);
}

#[tokio::test]
async fn in_a_public_room_readers_see_no_earlier_texts() {
    let server = TestServer::start().await;
    let (admin, bob, mallory) = (server.admin("adam").await, server.person("bob").await, server.person("mallory").await);
    let room = admin.room("square", "public").await;
    bob.joins(room).await.expect_status(200);
    let (message, _) = edited(&bob, room, 1).await;
    mallory.get(&path(&message)).await.expect_status(200);
    mallory.get(&edits(&message)).await.refused(403, "edits_are_seen_by_sender_and_moderators", "edits.1");
    bob.leaves(room).await.expect_status(204);
    assert_eq!(each(bob.get(&edits(&message)).await.expect_status(200).data(), "text"), ["text 0"], "still his, and still read");
}
