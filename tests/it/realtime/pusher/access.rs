//! Who may hear which channel.

use std::time::Duration;

use serde_json::json;
use tabletalk::realtime::trial::Trial;

use super::{connected, events, is_refused, signed_in, subscribes};
use crate::realtime::public_room;
use crate::support::TestServer;
use crate::support::npm::Node;

/// How long a relay rests before it reads that is to be slow.
const PACE: Duration = Duration::from_millis(800);

#[tokio::test]
async fn every_channel_is_authorised_whatever_it_is_called() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    alice.patch("/users/me", json!({ "username": "alice" })).await.expect_status(200);
    let room = alice.room("ours", "private").await;
    let uid = alice.sees(room).await["uid"].as_str().expect("a uid").to_owned();
    let mut theirs = signed_in(&node, &mallory).await;
    for guard in ["", "private-", "presence-"] {
        is_refused(&mut theirs, format!("{guard}room-{room}"), 403).await;
        is_refused(&mut theirs, format!("{guard}room-{uid}"), 404).await;
        is_refused(&mut theirs, format!("{guard}chats-alice"), 403).await;
        is_refused(&mut theirs, format!("{guard}chats-{}", alice.id), 403).await;
        subscribes(&mut theirs, format!("{guard}chats-{}", mallory.id)).await;
        subscribes(&mut theirs, format!("{guard}chats-public")).await;
    }
    is_refused(&mut theirs, "lobby", 404).await;
    let mut hers = signed_in(&node, &alice).await;
    for channel in [format!("room-{room}"), format!("room-{uid}"), format!("private-room-{uid}"), "chats-alice".to_owned()] {
        subscribes(&mut hers, channel).await;
    }
}

#[tokio::test]
async fn who_has_not_signed_in_hears_what_anon_reads_and_else_waits_for_a_sign_in_under_way() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let ours = alice.room("ours", "private").await;
    let square = public_room(&server, &alice).await;
    let mut hers = connected(&node, &alice).await;
    is_refused(&mut hers, format!("room-{square}"), 401).await;
    is_refused(&mut hers, format!("room-{ours}"), 401).await;
    server.database.db_set("anon_reads_public_rooms = true").await;
    let mut anybodys = connected(&node, &alice).await;
    subscribes(&mut anybodys, format!("room-{square}")).await;
    subscribes(&mut anybodys, "chats-public").await;
    alice.says(square, "hello").await;
    assert_eq!(anybodys.event(&format!("room-{square}"), "room-message").await["data"]["message"]["content"], "hello");
    // nearly both at once, as pages do it
    anybodys.does("subscribe", json!({ "channel": format!("room-{ours}") })).await;
    for text in ["one", "two", "three"] {
        alice.says(square, text).await;
        anybodys.event(&format!("room-{square}"), "room-message").await;
    }
    anybodys.does("signin", json!({})).await;
    anybodys.event(&format!("room-{ours}"), "pusher:subscription_succeeded").await;
    let user = anybodys.hears("who it is", |said| said["frame"]["event"] == "pusher:signin_success").await;
    let told: serde_json::Value =
        serde_json::from_str(user["frame"]["data"]["user_data"].as_str().expect("a text")).expect("JSON");
    assert_eq!(told, json!({ "id": alice.id, "name": "alice" }));
    let own = |said: &serde_json::Value| said["frame"]["channel"] == json!(format!("#server-to-user-{}", alice.id));
    let own = anybodys.hears("its own channel", own).await;
    assert_eq!(own["frame"]["event"], "pusher_internal:subscription_succeeded");
}

#[tokio::test]
async fn who_was_refused_and_is_let_in_later_subscribes_again_on_the_same_connection() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.room("ours", "private").await;
    let mut his = connected(&node, &bob).await;
    let connection = his.does("state", json!({})).await["socketId"].clone();
    let channels = ["private", "presence"].map(|guard| format!("{guard}-room-{room}"));
    for channel in &channels {
        is_refused(&mut his, channel, 403).await;
    }
    alice.adds(room, &bob, "member").await.expect_status(200);
    for channel in &channels {
        subscribes(&mut his, channel).await;
    }
    // who lost it leaves it behind first: their client holds it to be subscribed
    alice.removes(room, &bob).await.expect_status(204);
    for channel in &channels {
        his.event(channel, "pusher:subscription_error").await;
    }
    alice.adds(room, &bob, "member").await.expect_status(200);
    for channel in &channels {
        his.does("unsubscribe", json!({ "channel": channel })).await;
        subscribes(&mut his, channel).await;
    }
    alice.says(room, "welcome back").await;
    for channel in &channels {
        assert_eq!(his.event(channel, "room-message").await["data"]["message"]["content"], "welcome back");
    }
    assert_eq!(his.does("state", json!({})).await["socketId"], connection);
}

#[tokio::test]
async fn who_was_refused_on_the_socket_itself_is_let_in_when_they_connect_again() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.room("ours", "private").await;
    let channel = format!("room-{room}");
    let mut his = signed_in(&node, &bob).await;
    is_refused(&mut his, &channel, 403).await;
    alice.adds(room, &bob, "member").await.expect_status(200);
    his.does("disconnect", json!({})).await;
    his.does("connect", json!({})).await;
    his.event(&channel, "pusher:subscription_succeeded").await;
}

#[tokio::test]
async fn the_directory_tells_nobody_what_nobody_may_read_as_long_as_that_is_so() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let square = public_room(&server, &alice).await;
    // as by the API, which lists none of it
    assert_eq!(server.anon().get("/rooms").await.expect_status(200).data().len(), 0);
    let mut anybodys = connected(&node, &alice).await;
    subscribes(&mut anybodys, "chats-public").await;
    assert_eq!(events(&mut anybodys, "chats-public"), [] as [&str; 0]);
    server.database.db_set("anon_reads_public_rooms = true").await;
    let rooms = anybodys.event("chats-public", "rooms-updated").await["data"]["rooms"].clone();
    assert!(rooms.as_array().is_some_and(|rooms| rooms.iter().any(|room| room["id"] == json!(square))), "{rooms}");
    let market = alice.room("market", "public").await;
    assert_eq!(anybodys.event("chats-public", "room-created").await["data"]["room"]["id"], json!(market));
}

#[tokio::test]
async fn who_loses_a_room_just_when_it_is_looked_at_loses_that_channel_alone() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.room("ours", "private").await;
    alice.adds(room, &bob, "member").await.expect_status(200);
    let channel = format!("private-room-{room}");
    let mut his = connected(&node, &bob).await;
    subscribes(&mut his, &channel).await;
    let connection = his.does("state", json!({})).await["socketId"].clone();
    // a relay that takes its time: it is looked at once a second, and that he is removed is read after the second look
    server.app.try_under(Trial { pace: PACE, ..Trial::default() });
    alice.adds(room, &bob, "moderator").await.expect_status(200);
    his.event(&channel, "rooms-updated").await;
    alice.adds(room, &bob, "member").await.expect_status(200);
    alice.says(room, "there is a look due").await;
    his.event(&channel, "room-message").await;
    alice.removes(room, &bob).await.expect_status(204);
    assert_eq!(his.event(&channel, "room-deleted").await["data"], json!({ "roomId": room }));
    assert_eq!(his.event(&channel, "pusher:subscription_error").await["data"]["status"], 403);
    assert_eq!(his.does("state", json!({})).await["socketId"], connection, "the others go on");
}
