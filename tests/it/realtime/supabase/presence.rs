//! Presence, as supabase-js keeps it.

use serde_json::{Value, json};

use super::channel;
use super::wire::Wire;
use crate::support::npm::{Client, Node};
use crate::support::{Person, TestServer, eventually};

/// What is said to who visits a room, and would be seen there.
const NOT_IN: &str = "Unauthorized: who is in a chat ";

async fn present(node: &Node, person: &Person, version: &str, name: &str, key: &str) -> Client {
    let mut client = node.supabase(person, json!({ "realtime": { "vsn": version } })).await;
    let config = json!({ "presence": { "key": key } });
    let on = ["sync", "join", "leave"].map(|event| ("presence", json!({ "event": event })));
    client.joins(name, config, &on).await;
    client
}

/// What each key says, sorted, without how the client tells one from another.
fn said(state: &Value) -> Value {
    let metas = |metas: &Value| {
        let mut metas: Vec<Value> = metas.as_array().expect("metas").clone();
        for meta in &mut metas {
            meta.as_object_mut().expect("an object").remove("presence_ref").expect("a ref");
        }
        metas.sort_by_key(Value::to_string);
        metas
    };
    state.as_object().expect("a state").iter().map(|(key, all)| (key.clone(), metas(all))).collect()
}

/// Waits until a client knows this to be the state.
async fn knows(client: &mut Client, expected: Value) {
    client.hears(&expected.to_string(), |heard| heard["heard"] == "presence" && said(&heard["state"]) == expected).await;
}

#[tokio::test]
async fn those_who_are_there_see_each_other_come_change_and_go() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let name = &channel(chat);
    let mut hers = present(&node, &alice, "2.0.0", name, "alice").await;
    knows(&mut hers, json!({})).await;
    let tracks = async |client: &mut Client, state: Value| client.does("track", json!({ "channel": name, "state": state })).await;
    assert_eq!(tracks(&mut hers, json!({ "at": "home" })).await, "ok");
    knows(&mut hers, json!({ "alice": [{ "at": "home" }] })).await;
    // who comes later is told of who is there, in the other version as well
    let mut his = present(&node, &bob, "1.0.0", name, "bob").await;
    knows(&mut his, json!({ "alice": [{ "at": "home" }] })).await;
    assert_eq!(tracks(&mut his, json!({ "at": "work" })).await, "ok");
    // the same person on another device
    let mut another = present(&node, &bob, "2.0.0", name, "bob").await;
    assert_eq!(tracks(&mut another, json!({ "at": "the sea" })).await, "ok");
    let both = json!({ "alice": [{ "at": "home" }], "bob": [{ "at": "the sea" }, { "at": "work" }] });
    for client in [&mut hers, &mut his, &mut another] {
        knows(client, both.clone()).await;
    }
    assert_eq!(tracks(&mut hers, json!({ "at": "noon" })).await, "ok");
    let changed = json!({ "alice": [{ "at": "noon" }], "bob": [{ "at": "the sea" }, { "at": "work" }] });
    for client in [&mut hers, &mut his] {
        knows(client, changed.clone()).await;
    }
    // one leaves, the other's network breaks
    his.does("untrack", json!({ "channel": name })).await;
    knows(&mut hers, json!({ "alice": [{ "at": "noon" }], "bob": [{ "at": "the sea" }] })).await;
    another.does("cut", json!({})).await;
    knows(&mut hers, json!({ "alice": [{ "at": "noon" }] })).await;
    let left =
        |heard: &Value| heard["heard"] == "presence" && heard["payload"]["event"] == "leave" && heard["payload"]["key"] == "bob";
    hers.hears("that bob left", left).await;
}

#[tokio::test]
async fn who_is_not_in_the_chat_neither_sees_nor_is_seen() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let room = crate::realtime::public_room(&server, &alice).await;
    let topic = format!("realtime:{}", channel(room));
    let enabled = json!({ "config": { "presence": { "enabled": true, "key": "k" } } });
    let (mut hers, mut visitors) = (Wire::of(&alice).await, Wire::of(&mallory).await);
    for wire in [&mut hers, &mut visitors] {
        assert_eq!(wire.asks(None, &topic, "phx_join", enabled.clone()).await.0, "ok");
        assert_eq!(wire.hears("presence_state").await, json!({}));
    }
    let track = |state: Value| json!({ "type": "presence", "event": "track", "payload": state });
    let (status, response) = visitors.asks(Some("1"), &topic, "presence", track(json!({ "at": "the door" }))).await;
    let reason = response["reason"].as_str().unwrap_or_default();
    assert!(status == "error" && reason.starts_with(NOT_IN), "{response}");
    assert_eq!(hers.asks(Some("1"), &topic, "presence", track(json!({ "at": "home" }))).await, (json!("ok"), json!({})));
    let diff = hers.hears("presence_diff").await;
    assert_eq!((&diff["joins"]["k"]["metas"][0]["at"], &diff["leaves"]), (&json!("home"), &json!({})));
    assert!(diff["joins"]["k"]["metas"][0]["phx_ref"].is_string());
    // what nobody would take is not kept to be said later
    let (status, response) = visitors.asks(Some("1"), &topic, "presence", track(json!({ "at": "x".repeat(8_200) }))).await;
    let reason = response["reason"].as_str().unwrap_or_default();
    assert!(status == "error" && reason.contains("too long"), "{response}");
    let (status, response) = hers.asks(Some("1"), &topic, "presence", track(json!("no object"))).await;
    assert_eq!((status, &response["reason"]), (json!("error"), &json!("Presence track payload must be a map")));
    let state = alice.get(&format!("/chats/{room}/presence/states")).await.expect_status(200);
    assert_eq!(state.data().len(), 1, "{}", state.body);
    // who comes to the chat is there as they said, each time
    for _ in 0..2 {
        mallory.joins(room).await.expect_status(200);
        let diff = hers.hears("presence_diff").await;
        assert_eq!(diff["joins"]["k"]["metas"][0]["at"], "the door", "{diff}");
        while visitors.hears("presence_state").await["k"]["metas"][0]["at"] != "home" {}
        mallory.leaves(room).await.expect_status(204);
        let diff = hers.hears("presence_diff").await;
        assert_eq!(diff["leaves"]["k"]["metas"][0]["at"], "the door", "{diff}");
        while visitors.hears("presence_state").await != json!({}) {}
    }
}

#[tokio::test]
async fn who_is_taken_out_and_put_back_at_once_is_present_as_they_said() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let topic = format!("realtime:{}", channel(chat));
    let enabled = json!({ "config": { "presence": { "enabled": true, "key": "bob" } } });
    let mut his = Wire::of(&bob).await;
    assert_eq!(his.asks(None, &topic, "phx_join", enabled).await.0, "ok");
    let track = json!({ "type": "presence", "event": "track", "payload": { "at": "home" } });
    assert_eq!(his.asks(Some("1"), &topic, "presence", track).await.0, "ok");
    let states = async || alice.get(&format!("/chats/{chat}/presence/states")).await.expect_status(200).data().clone();
    eventually("he is there", async || states().await.len() == 1).await;
    let before = states().await[0]["id"].clone();
    // as a host application does that writes its members anew
    let his_row = format!("chat_id = '{chat}' and user_id = '{}'", bob.id);
    let anew = format!(
        "begin; update chat.participants set left_at = clock_timestamp() where {his_row};
         update chat.participants set left_at = null where {his_row}; commit"
    );
    server.database.db_does(&anew).await;
    eventually("it is said again", async || states().await.first().is_some_and(|state| state["id"] != before)).await;
    assert_eq!(states().await[0]["state"], json!({ "at": "home" }));
}
