//! A client that comes back under its `resume_id` goes on from what it has certainly heard.

use serde_json::{Value, json};

use super::{KEY, subscribes};
use crate::support::npm::{Client, Node};
use crate::support::{Person, TestServer};

/// A client of somebody's that is known again by this id.
async fn known(node: &Node, person: &Person, resume_id: &str) -> Client {
    let mut client = node.pusher(person, KEY, json!({ "resume_id": resume_id })).await;
    client.hears("that it is connected", |said| said["state"] == "connected").await;
    client
}

/// The texts of the next messages.
async fn texts(client: &mut Client, channel: &str, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let heard = client.event(channel, "room-message").await;
        texts.push(heard["data"]["message"]["content"].as_str().expect("a text").to_owned());
    }
    texts
}

#[tokio::test]
async fn who_comes_back_is_told_what_was_missed_and_not_what_was_acknowledged() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.group_with(&[&bob]).await;
    let channel = format!("private-room-{room}");
    let mut his = known(&node, &bob, "one").await;
    subscribes(&mut his, &channel).await;
    alice.says(room, "heard").await;
    assert_eq!(texts(&mut his, &channel, 1).await, ["heard"]);
    // it is asked soon after, and what it answers is written down
    his.hears("the question", |said| said["frame"]["event"] == "pusher:ping").await;
    let mark = "select count(*) from chat_private.resumes where mark::json ->> 'rev' = $1";
    let owner = server.database.db_owner().await;
    let rev = alice.get(&format!("/chats/{room}")).await.expect_status(200).body["headRev"].to_string();
    crate::support::eventually("the mark is there", async || {
        owner.query_one(mark, &[&rev]).await.expect(mark).get::<_, i64>(0) == 1
    })
    .await;

    his.does("disconnect", json!({})).await;
    let missed = alice.says(room, "missed").await;
    let path = format!("/chats/{room}/messages/{}", alice.says(room, "missed, and deleted").await["id"].as_str().expect("an id"));
    alice.delete(&path).await.expect_status(204);
    alice.patch(&format!("/chats/{room}"), json!({ "name": "us" })).await.expect_status(200);
    his.does("connect", json!({})).await;
    his.event(&channel, "pusher:subscription_succeeded").await;
    let first = his.event(&channel, "room-message").await;
    assert_eq!(first["data"]["message"]["id"], missed["id"], "{first}");
    his.event(&channel, "message-deleted").await;
    assert_eq!(his.event(&channel, "room-updated").await["data"]["room"]["name"], "us");
    alice.says(room, "live").await;
    assert_eq!(texts(&mut his, &channel, 1).await, ["live"], "nothing comes twice that was acknowledged");
}

#[tokio::test]
async fn who_names_no_id_begins_anew_and_lists_are_told_whole() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.group_with(&[&bob]).await;
    let (channel, list) = (format!("private-room-{room}"), format!("private-chats-{}", bob.id));
    let mut his = super::connected(&node, &bob).await;
    subscribes(&mut his, &channel).await;
    let mut other = known(&node, &bob, "one").await;
    subscribes(&mut other, &list).await;
    for client in [&mut his, &mut other] {
        client.does("disconnect", json!({})).await;
    }
    alice.says(room, "missed").await;
    let new = alice.room("new", "private").await;
    alice.adds(new, &bob, "member").await.expect_status(200);
    for client in [&mut his, &mut other] {
        client.does("connect", json!({})).await;
    }
    his.event(&channel, "pusher:subscription_succeeded").await;
    let rooms = other.event(&list, "rooms-updated").await["data"]["rooms"].clone();
    let ids = |rooms: &Value| rooms.as_array().map(|rooms| rooms.iter().map(|room| room["id"].clone()).collect::<Vec<_>>());
    assert_eq!(ids(&rooms), Some(vec![json!(new), json!(room)]), "newest activity first");
    alice.says(room, "live").await;
    assert_eq!(texts(&mut his, &channel, 1).await, ["live"]);
}

#[tokio::test]
async fn a_name_that_means_another_chat_by_then_begins_anew() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (one, other) = (alice.room("one", "private").await, alice.room("other", "private").await);
    for room in [one, other] {
        alice.adds(room, &bob, "member").await.expect_status(200);
    }
    let uid = alice.sees(one).await["uid"].as_str().expect("a uid").to_owned();
    let channel = format!("private-room-{uid}");
    let mut his = known(&node, &bob, "one").await;
    subscribes(&mut his, &channel).await;
    his.does("disconnect", json!({})).await;
    for _ in 0..3 {
        alice.says(other, "never asked for").await;
    }
    // rules do not let a uid go: who owns the database may
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    let exchange = format!(
        "set session_replication_role = replica;
         update chat.chats set uid = 'gone' where id = '{one}';
         update chat.chats set uid = '{uid}' where id = '{other}';"
    );
    superuser.batch_execute(&exchange).await.expect(&exchange);
    his.does("connect", json!({})).await;
    his.event(&channel, "pusher:subscription_succeeded").await;
    alice.says(other, "live").await;
    assert_eq!(texts(&mut his, &channel, 1).await, ["live"]);
}

#[tokio::test]
async fn who_unsubscribes_and_subscribes_again_is_told_what_was_said_in_between() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.group_with(&[&bob]).await;
    let channel = format!("private-room-{room}");
    let mut his = known(&node, &bob, "one").await;
    subscribes(&mut his, &channel).await;
    his.does("unsubscribe", json!({ "channel": channel })).await;
    // what comes later has come through the same socket
    subscribes(&mut his, format!("private-chats-{}", bob.id)).await;
    for text in ["one", "two"] {
        alice.says(room, text).await;
    }
    subscribes(&mut his, &channel).await;
    alice.says(room, "three").await;
    assert_eq!(texts(&mut his, &channel, 3).await, ["one", "two", "three"]);
}
