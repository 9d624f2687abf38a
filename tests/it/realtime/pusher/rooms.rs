//! What is told of rooms and of what is said in them.

use serde_json::{Value, json};

use super::{connected, events, signed_in, subscribes};
use crate::realtime::public_room;
use crate::support::TestServer;
use crate::support::npm::Node;

#[tokio::test]
async fn a_room_tells_what_is_said_in_it_and_how_it_changes() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    alice.patch("/users/me", json!({ "username": "alice_a" })).await.expect_status(200);
    let room = alice.room("ours", "private").await;
    alice.adds(room, &bob, "member").await.expect_status(200);
    let mut his = connected(&node, &bob).await;
    let channel = format!("private-room-{room}");
    subscribes(&mut his, &channel).await;

    let said = alice.says(room, "hello \"all\" 🎲").await;
    let heard = his.event(&channel, "room-message").await["data"].clone();
    let timestamp = heard["message"]["timestamp"].clone();
    assert!(timestamp.as_u64().is_some_and(|at| at > 1_700_000_000_000), "{heard}");
    let message = json!({
        "id": said["id"], "roomId": room, "username": "alice_a", "content": "hello \"all\" 🎲", "timestamp": timestamp,
    });
    assert_eq!(heard, json!({ "roomId": room, "message": message }));
    bob.says(room, "hello").await;
    assert_eq!(his.event(&channel, "room-message").await["data"]["message"]["username"], "bob", "who has no username has a name");

    let path = format!("/chats/{room}/messages/{}", said["id"].as_str().expect("an id"));
    alice.patch(&path, json!({ "text": "hello all" })).await.expect_status(200);
    let heard = his.event(&channel, "message-updated").await["data"].clone();
    assert_eq!((&heard["message"]["content"], &heard["message"]["id"]), (&json!("hello all"), &said["id"]));
    alice.delete(&path).await.expect_status(204);
    assert_eq!(his.event(&channel, "message-deleted").await["data"], json!({ "roomId": room, "messageId": said["id"] }));

    alice.patch(&format!("/chats/{room}"), json!({ "name": "ours alone" })).await.expect_status(200);
    let heard = his.event(&channel, "room-updated").await["data"]["room"].clone();
    let shape = json!({
        "id": room, "name": "ours alone", "type": "private", "createdAt": heard["createdAt"], "userCount": 2, "members": ["alice_a", "bob"],
    });
    assert_eq!(heard, shape);
    alice.adds(room, &carol, "member").await.expect_status(200);
    let heard = his.event(&channel, "room-updated").await["data"]["room"].clone();
    assert_eq!((&heard["userCount"], &heard["members"]), (&json!(3), &json!(["alice_a", "bob", "carol"])));

    alice.removes(room, &bob).await.expect_status(204);
    assert_eq!(his.event(&channel, "room-deleted").await["data"], json!({ "roomId": room }));
    his.event(&channel, "pusher:subscription_error").await;
    alice.says(room, "is bob gone?").await;
    // what comes later has come through the same socket
    subscribes(&mut his, format!("private-chats-{}", bob.id)).await;
    assert_eq!(events(&mut his, &channel), [] as [&str; 0]);
}

#[tokio::test]
async fn one_hears_of_the_chats_that_one_comes_to_and_leaves() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    bob.patch("/users/me", json!({ "username": "bob.b-2" })).await.expect_status(200);
    let old = alice.group_with(&[&bob]).await;
    let mut his = signed_in(&node, &bob).await;
    let channel = "chats-bob.b-2";
    subscribes(&mut his, channel).await;
    alice.patch(&format!("/chats/{old}"), json!({ "name": "us" })).await.expect_status(200);
    assert_eq!(his.event(channel, "room-updated").await["data"]["room"]["name"], "us");
    let new = alice.room("new", "private").await;
    alice.adds(new, &bob, "member").await.expect_status(200);
    let created = his.event(channel, "room-created").await["data"]["room"].clone();
    assert_eq!((&created["id"], &created["members"]), (&json!(new), &json!(["alice", "bob.b-2"])));
    alice.says(new, "hello").await;
    alice.removes(new, &bob).await.expect_status(204);
    assert_eq!(his.event(channel, "room-deleted").await["data"], json!({ "roomId": new }));
    // another role: one sees other things than before, so all is listed
    alice.adds(old, &bob, "moderator").await.expect_status(200);
    let rooms = his.event(channel, "rooms-updated").await["data"]["rooms"].clone();
    assert_eq!(rooms.as_array().map(|rooms| rooms.iter().map(|room| room["id"].clone()).collect()), Some(vec![json!(old)]));
    assert!(!events(&mut his, channel).contains(&"room-message".to_owned()));
}

#[tokio::test]
async fn the_directory_tells_of_public_rooms_and_of_no_others() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let square = public_room(&server, &alice).await;
    let mut his = signed_in(&node, &bob).await;
    subscribes(&mut his, "chats-public").await;
    alice.room("ours", "private").await;
    let market = alice.room("market", "public").await;
    let created = his.event("chats-public", "room-created").await["data"]["room"].clone();
    let shape = json!({ "id": market, "name": "market", "type": "public", "createdAt": created["createdAt"], "userCount": 1 });
    assert_eq!(created, shape);
    bob.joins(square).await.expect_status(200);
    let joined = |said: &Value| said["data"]["room"]["id"] == json!(square) && said["data"]["room"]["userCount"] == 2;
    assert_eq!(his.hears("that somebody joined", joined).await["event"], "room-updated");
    alice.patch(&format!("/chats/{market}"), json!({ "visibility": "private" })).await.expect_status(200);
    assert_eq!(his.event("chats-public", "room-deleted").await["data"], json!({ "roomId": market }));
    alice.delete(&format!("/chats/{square}?scope=everyone")).await.expect_status(204);
    assert_eq!(his.event("chats-public", "room-deleted").await["data"], json!({ "roomId": square }));
    let told = events(&mut his, "chats-public");
    // all of them, since the setting by which the room was made is heard of later
    assert!(told.iter().all(|event| event == "room-updated" || event == "rooms-updated"), "{told:?}");
}
