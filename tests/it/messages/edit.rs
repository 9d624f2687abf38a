//! Editing and deleting.

use serde_json::json;
use uuid::Uuid;

use super::path;
use crate::support::{TestServer, fields};

#[tokio::test]
async fn an_edit_changes_text_and_rev_and_keeps_the_place() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let sent = alice.says(chat, "helo").await;
    alice.says(chat, "next").await;
    let edited = alice.patch(&path(&sent), json!({ "text": "hello", "mentions": [bob.id] })).await.expect_status(200);
    let expected = [
        "chatId",
        "createdAt",
        "editedAt",
        "id",
        "kind",
        "mentions",
        "reactions",
        "rev",
        "senderId",
        "senderName",
        "seq",
        "text",
    ];
    assert_eq!(fields(&edited.body), expected);
    for field in ["chatId", "createdAt", "id", "kind", "senderId", "senderName", "seq"] {
        assert_eq!(edited.body[field], sent[field], "{field}");
    }
    assert_eq!((&edited.body["text"], &edited.body["mentions"]), (&json!("hello"), &json!([bob.id])));
    assert!(edited.body["rev"].as_i64() > sent["rev"].as_i64());
    assert_eq!(bob.reads(chat).await, ["next", "hello"]);
    assert_eq!(bob.get(&path(&sent)).await.expect_status(200).body, edited.body);

    let mentions = alice.patch(&path(&sent), json!({ "text": "hello!" })).await.expect_status(200).body["mentions"].clone();
    assert_eq!(mentions, json!([bob.id]), "absent: as before");
    let mentions = alice.patch(&path(&sent), json!({ "text": "hello!", "mentions": [] })).await.expect_status(200);
    assert_eq!(mentions.body["mentions"], json!([]));
    let same = alice.patch(&path(&sent), json!({ "text": "hello!" })).await.expect_status(200);
    assert_eq!(same.body, mentions.body, "the same text is no edit");
}

#[tokio::test]
async fn only_the_sender_edits() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = bob.group_with(&[&alice]).await;
    let sent = alice.says(chat, "mine").await;
    let before = server.database.db_rows().await;
    let edit = json!({ "text": "yours" });
    bob.patch(&path(&sent), edit.clone()).await.refused(403, "messages_are_edited_by_their_sender", "messages.3");
    mallory.patch(&path(&sent), edit.clone()).await.refused(403, "chats_are_read_by_participants", "chats.1");
    let nothing = format!("/chats/{chat}/messages/{}", Uuid::new_v4());
    alice.patch(&nothing, edit.clone()).await.refused(404, "messages_exist", "messages.12");
    alice.get(&nothing).await.refused(404, "messages_exist", "messages.12");
    let nowhere = format!("/chats/{}/messages/{}", Uuid::new_v4(), sent["id"].as_str().expect("an id"));
    alice.patch(&nowhere, edit.clone()).await.refused(404, "chats_exist", "chats.2");
    alice.patch(&path(&sent), json!({ "text": " " })).await.refused(422, "messages_text_is_not_blank", "messages.7");
    alice.patch(&path(&sent), json!({})).await.problem(400, "request_is_invalid");
    alice.patch(&path(&sent), json!({ "text": "x", "pinnedAt": null })).await.invalid_at("/pinnedAt");
    server.anon().patch(&path(&sent), edit).await.problem(403, "not_allowed");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_message_is_edited_while_the_window_is_open() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let sent = alice.says(chat, "first").await;
    server.database.db_set("edit_window = '0'").await;
    let before = server.database.db_rows().await;
    let late = alice.patch(&path(&sent), json!({ "text": "late" })).await;
    let late = late.refused(403, "messages_are_edited_within_the_window", "messages.4");
    let detail = late.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("it ended at 2") && detail.ends_with('Z'), "{detail}");
    assert_eq!(server.database.db_rows().await, before);
    alice.patch(&path(&sent), json!({ "text": "first" })).await.expect_status(200);
    server.database.db_set("edit_window = '1 hour'").await;
    alice.patch(&path(&sent), json!({ "text": "in time" })).await.expect_status(200);
}

#[tokio::test]
async fn sender_owner_and_moderators_delete_and_nobody_else() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let mallory = server.person("mallory").await;
    let chat = alice.group_with(&[&bob, &carol]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    let sent = alice.says(chat, "the owner's").await;
    let before = server.database.db_rows().await;
    carol.delete(&path(&sent)).await.refused(403, "messages_are_deleted_by_sender_or_moderators", "messages.5");
    mallory.delete(&path(&sent)).await.refused(403, "chats_are_read_by_participants", "chats.1");
    server.anon().delete(&path(&sent)).await.problem(403, "not_allowed");
    let nothing = format!("/chats/{chat}/messages/{}", Uuid::new_v4());
    alice.delete(&nothing).await.refused(404, "messages_exist", "messages.12");
    let nowhere = format!("/chats/{}/messages/{}", Uuid::new_v4(), Uuid::new_v4());
    alice.delete(&nowhere).await.refused(404, "chats_exist", "chats.2");
    assert_eq!(server.database.db_rows().await, before);

    for (sender, deleter) in [(&carol, &carol), (&carol, &bob), (&carol, &alice), (&alice, &bob), (&carol, &server.service())] {
        let sent = sender.says(chat, "to be deleted").await;
        for _ in 0..2 {
            deleter.delete(&path(&sent)).await.expect_status(204);
        }
    }
    assert_eq!(carol.reads(chat).await, ["the owner's"]);
}

#[tokio::test]
async fn deleted_messages_are_seen_by_owner_and_moderators_alone() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    let kept = carol.says(chat, "kept").await;
    let sent = carol.says(chat, "deleted").await;
    carol.delete(&path(&sent)).await.expect_status(204);
    for person in [&alice, &bob] {
        let seen = person.get(&path(&sent)).await.expect_status(200);
        assert_eq!(seen.body["text"], "deleted");
        assert!(seen.body["deletedAt"].is_string() && seen.body.get("editedAt").is_none(), "{}", seen.body);
        assert_eq!(person.reads(chat).await, ["deleted", "kept"]);
        person.patch(&path(&sent), json!({ "text": "x" })).await.one_of(&[403, 409]);
        let seen = person.sees(chat).await;
        assert_eq!((&seen["lastMessage"]["id"], &seen["unreadCount"]), (&kept["id"], &json!(1)), "the list shows what stands");
    }
    carol.get(&path(&sent)).await.refused(404, "messages_exist", "messages.12");
    let around = format!("/chats/{chat}/messages?around={}", sent["id"].as_str().expect("an id"));
    carol.get(&around).await.refused(404, "messages_exist", "messages.12");
    carol.patch(&path(&sent), json!({ "text": "x" })).await.refused(404, "messages_exist", "messages.12");
    assert_eq!(carol.reads(chat).await, ["kept"]);
    // a moderator's own: theirs to see, and not to change
    let own = bob.says(chat, "bob's").await;
    bob.delete(&path(&own)).await.expect_status(204);
    bob.patch(&path(&own), json!({ "text": "x" })).await.refused(409, "messages_stay_deleted", "messages.11");
    alice.adds(chat, &bob, "member").await.expect_status(200);
    bob.get(&path(&own)).await.refused(404, "messages_exist", "messages.12");
}
