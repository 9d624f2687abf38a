//! What everybody sees of it: copies, quotes, counts, ids.

use serde_json::json;
use uuid::Uuid;

use super::{db_says_much, keeps_up, square};
use crate::changes::device::{Device, texts};
use crate::support::{TestServer, each};

const WORDS: &str = "zzyzx";

#[tokio::test]
async fn a_device_that_was_away_ends_as_a_new_one() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (few, many) = (square(&server, &[&alice, &bob]).await, square(&server, &[&alice, &bob]).await);
    let (group, owned) = (bob.group_with(&[&alice]).await, alice.group_with(&[&bob]).await);
    for chat in [few, many, group, owned] {
        db_says_much(&server.database, &bob, chat, 30).await;
    }
    let mut device = Device::from_scratch(&alice).await;
    let mut apart = device.clone();
    db_says_much(&server.database, &bob, few, 40).await;
    db_says_much(&server.database, &bob, many, 2500).await;
    for chat in [group, owned] {
        for n in [3, 7, 11] {
            let said = bob.get(&format!("/chats/{chat}/messages?limit=30")).await.data()[n]["id"].clone();
            bob.delete(&format!("/chats/{chat}/messages/{}", said.as_str().expect("an id"))).await.expect_status(204);
        }
    }
    // a device half-way through its news while it happens
    apart.ask(7).await;
    server.database.db_set("keep_messages = 20, keep_deleted = '0'").await;
    assert_eq!(keeps_up(&server.database).await.removed, 50 + 2510 + 6);
    apart.ask(7).await;

    device.answers = 0;
    device.catch_up(200).await;
    let scratch = Device::from_scratch(&alice).await;
    assert_eq!(device.chats, scratch.chats);
    assert!(device.answers < 5, "{} answers: it was not told each of 2,500 ids", device.answers);
    assert_eq!(texts(&device, many).len(), 20);
    assert_eq!(texts(&device, owned).len(), 27, "those who see deleted messages keep them no longer than the chat");
    apart.catch_up(7).await;
    assert_eq!(apart.chats, scratch.chats);
}

#[tokio::test]
async fn what_is_removed_is_nowhere() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (room, group) = (square(&server, &[&alice, &bob]).await, alice.group_with(&[&bob]).await);
    let mut replies = Vec::new();
    for chat in [room, group] {
        let list = format!("/chats/{chat}/messages");
        let body = json!({ "text": format!("{WORDS} first"), "mentions": [bob.id], "attachmentUrl": format!("https://example.com/{WORDS}.png") });
        let said = alice.post(&list, body).await.expect_status(201).id();
        alice.patch(&format!("{list}/{said}"), json!({ "text": format!("{WORDS} second") })).await.expect_status(200);
        bob.put(&format!("{list}/{said}/reactions/{WORDS}"), json!({})).await.expect_status(200);
        let reply = bob.post(&list, json!({ "text": "I heard", "replyToId": said })).await.expect_status(201).body;
        assert_eq!(reply["replyTo"]["text"], format!("{WORDS} second"));
        replies.push((format!("{list}/{}", reply["id"].as_str().expect("an id")), said));
        // enough for its words to be in a page of search
        db_says_much(&server.database, &bob, chat, 130).await;
    }
    alice.delete(&format!("/chats/{group}/messages/{}", replies[1].1)).await.expect_status(204);
    assert!(server.database.db_finds(WORDS).await.len() >= 6, "there is something to remove");
    server.database.db_set("keep_messages = 131, keep_deleted = '0'").await;
    assert_eq!(keeps_up(&server.database).await.removed, 2);
    assert_eq!(server.database.db_finds(WORDS).await, [""; 0], "the words are nowhere");
    for (reply, said) in &replies {
        let seen = bob.get(reply).await.expect_status(200).body;
        assert_eq!((&seen["replyToId"], seen.get("replyTo")), (&json!(said), None), "what is removed is not quoted");
    }
    for (chat, said) in [(room, replies[0].1), (group, replies[1].1)] {
        bob.get(&format!("/chats/{chat}/messages/{said}")).await.refused(404, "messages_exist", "messages.12");
        alice.get(&format!("/chats/{chat}/messages?around={said}")).await.refused(404, "messages_exist", "messages.12");
    }
    assert_eq!(alice.get(&format!("/search?q={WORDS}")).await.expect_status(200).data().len(), 0);
}

#[tokio::test]
async fn last_messages_and_what_is_unread_are_what_is_there() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (room, group) = (square(&server, &[&alice, &bob]).await, bob.group_with(&[&alice]).await);
    for chat in [room, group] {
        db_says_much(&server.database, &bob, chat, 50).await;
    }
    let third = alice.get(&format!("/chats/{room}/messages?limit=50")).await.data()[47]["seq"].clone();
    alice.put(&format!("/chats/{room}/read"), json!({ "seq": third })).await.expect_status(200);
    // the last two of the group are deleted, and then gone
    for said in each(&bob.get(&format!("/chats/{group}/messages?limit=2")).await.data().clone(), "id") {
        bob.delete(&format!("/chats/{group}/messages/{said}")).await.expect_status(204);
    }
    assert_eq!((&alice.sees(room).await["unreadCount"], &alice.sees(group).await["unreadCount"]), (&json!(47), &json!(48)));
    let head = alice.sees(group).await["headRev"].as_i64();
    server.database.db_set("keep_messages = 10, keep_deleted = '0'").await;
    keeps_up(&server.database).await;
    for (chat, unread, last) in [(room, 10, "message 50"), (group, 48, "message 48")] {
        let seen = alice.sees(chat).await;
        assert_eq!((&seen["unreadCount"], &seen["lastMessage"]["text"]), (&json!(unread), &json!(last)));
        assert_eq!(seen["lastMessageAt"], seen["lastMessage"]["createdAt"]);
    }
    assert_eq!(alice.sees(group).await["headRev"].as_i64(), head.map(|head| head + 2), "a rev for each that went");
    // on goes the chat, and the marker
    let said = bob.says(group, "and on").await;
    assert_eq!(said["seq"].as_i64(), head.map(|head| head + 3));
    alice.put(&format!("/chats/{group}/read"), json!({ "seq": said["seq"] })).await.expect_status(200);
    assert_eq!(alice.sees(group).await["unreadCount"], 0);
}

#[tokio::test]
async fn an_id_is_used_once_as_long_as_it_is_remembered() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let room = square(&server, &[&alice]).await;
    let list = format!("/chats/{room}/messages");
    let id = Uuid::new_v4();
    alice.post(&list, json!({ "id": id, "text": "once" })).await.expect_status(201);
    db_says_much(&server.database, &alice, room, 10).await;
    server.database.db_set("keep_messages = 5").await;
    keeps_up(&server.database).await;
    alice.post(&list, json!({ "id": id, "text": "once" })).await.refused(409, "message_id_was_used", "messages.14");
    // a room remembers 1,000 ids at least: by then, who sent it has long had an answer
    db_says_much(&server.database, &alice, room, 1100).await;
    keeps_up(&server.database).await;
    alice.post(&list, json!({ "id": id, "text": "again" })).await.expect_status(201);
    assert_eq!(alice.reads(room).await.len(), 6);
}

#[tokio::test]
async fn nothing_is_removed_but_from_public_rooms() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let chats = [
        alice.direct_with(&bob).await,
        alice.group_with(&[&bob]).await,
        alice.room("a room", "private").await,
        alice.room("another", "unlisted").await,
    ];
    for chat in chats {
        db_says_much(&server.database, &alice, chat, 12).await;
    }
    let before = server.database.db_rows().await;
    server.database.db_set("keep_messages = 1").await;
    assert_eq!(keeps_up(&server.database).await.removed, 0);
    assert_eq!(server.database.db_rows().await, before);
    // a room is cut from the moment in which it is opened, and no more once it is closed
    server.database.db_set("public_rooms = 'everyone'").await;
    alice.patch(&format!("/chats/{}", chats[3]), json!({ "visibility": "public" })).await.expect_status(200);
    assert_eq!(keeps_up(&server.database).await.removed, 11);
    alice.patch(&format!("/chats/{}", chats[3]), json!({ "visibility": "private" })).await.expect_status(200);
    db_says_much(&server.database, &alice, chats[3], 12).await;
    assert_eq!(keeps_up(&server.database).await.removed, 0);
}
