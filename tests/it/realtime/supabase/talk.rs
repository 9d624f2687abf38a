//! Broadcasts, as supabase-js sends and hears them.

use serde_json::{Value, json};

use super::channel;
use super::wire::Wire;
use crate::support::npm::{Client, Node};
use crate::support::{Person, TestServer};

const ANY: (&str, fn() -> Value) = ("broadcast", || json!({ "event": "*" }));

async fn joined(node: &Node, person: &Person, version: &str, name: &str, config: Value) -> Client {
    let mut client = node.supabase(person, json!({ "realtime": { "vsn": version } })).await;
    client.joins(name, config, &[(ANY.0, ANY.1())]).await;
    client
}

async fn sends(client: &mut Client, name: &str, event: &str, payload: Value) -> Value {
    client.does("send", json!({ "channel": name, "event": event, "payload": payload })).await
}

async fn hears(client: &mut Client) -> Value {
    let mut said = client.hears("a broadcast", |said| said["heard"] == "broadcast").await["payload"].clone();
    said.as_object_mut().expect("an object").remove("type");
    said
}

#[tokio::test]
async fn what_one_says_the_others_hear_and_oneself_where_one_asks_to() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let name = &channel(chat);
    let mut hers = joined(&node, &alice, "2.0.0", name, json!({ "broadcast": { "ack": true } })).await;
    let both = json!({ "broadcast": { "ack": true, "self": true }, "private": true });
    let mut his = joined(&node, &bob, "2.0.0", name, both).await;
    let mut old = joined(&node, &bob, "1.0.0", name, json!({ "broadcast": { "ack": true } })).await;
    for number in 0..5 {
        let payload = json!({ "n": number, "who": "él" });
        assert_eq!(sends(&mut his, name, "cursor", payload.clone()).await, "ok");
        for client in [&mut hers, &mut his, &mut old] {
            assert_eq!(hears(client).await, json!({ "event": "cursor", "payload": payload }));
        }
    }
    let bytes = json!({ "$bytes": "AAH+/w==" });
    assert_eq!(sends(&mut his, name, "ink", bytes.clone()).await, "ok");
    for client in [&mut hers, &mut his] {
        assert_eq!(hears(client).await, json!({ "event": "ink", "payload": bytes }));
    }
    assert_eq!(sends(&mut old, name, "last", json!([1])).await, "ok");
    assert_eq!(sends(&mut hers, name, "her own", json!({})).await, "ok");
    assert_eq!(hears(&mut hers).await["event"], "last", "what she says herself she does not hear");
    let heard = [hears(&mut his).await["event"].clone(), hears(&mut his).await["event"].clone()];
    assert_eq!(heard, ["last", "her own"]);
    assert_eq!(
        hears(&mut old).await["event"],
        "her own",
        "bytes are not for the first version, and what it said it does not hear"
    );
}

#[tokio::test]
async fn who_may_not_write_broadcasts_nothing_and_is_told_so() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let name = &channel(chat);
    let acked = json!({ "broadcast": { "ack": true } });
    let mut hers = joined(&node, &alice, "2.0.0", name, acked.clone()).await;
    let mut his = joined(&node, &bob, "2.0.0", name, acked).await;
    alice.patch(&format!("/chats/{chat}"), json!({ "readOnly": true })).await.expect_status(200);
    assert_eq!(sends(&mut his, name, "cursor", json!({})).await, "error");
    assert_eq!(sends(&mut hers, name, "owners may", json!({})).await, "ok");
    assert_eq!(hears(&mut his).await["event"], "owners may");
}

#[tokio::test]
async fn what_is_sent_before_joining_and_over_http_is_heard_as_well() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let name = &channel(chat);
    let mut his = joined(&node, &bob, "2.0.0", name, json!({})).await;
    let mut hers = node.supabase(&alice, json!({})).await;
    hers.does("setAuth", json!({ "token": null })).await;
    hers.does("channel", json!({ "channel": name, "config": { "private": true } })).await;
    let answer = hers.does("httpSend", json!({ "channel": name, "event": "a/b", "payload": { "n": 1 } })).await;
    assert_eq!(answer, json!({ "success": true }));
    assert_eq!(hears(&mut his).await, json!({ "event": "a/b", "payload": { "n": 1 } }));
    let bytes = json!({ "$bytes": "AAH+/w==" });
    hers.does("httpSend", json!({ "channel": name, "event": "ink", "payload": bytes })).await;
    assert_eq!(hears(&mut his).await, json!({ "event": "ink", "payload": bytes }));
    assert_eq!(sends(&mut hers, name, "not joined", json!({ "n": 2 })).await, "ok");
    assert_eq!(hears(&mut his).await, json!({ "event": "not joined", "payload": { "n": 2 } }));
}

#[tokio::test]
async fn a_channel_that_waits_for_the_database_keeps_nobody_waiting_and_takes_so_much() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let (one, other) = (alice.group_with(&[]).await, alice.group_with(&[]).await);
    let mut wire = Wire::of(&alice).await;
    let [one, other] = [one, other].map(|chat| format!("realtime:{}", channel(chat)));
    let acked = json!({ "config": { "broadcast": { "ack": true } } });
    for topic in [&one, &other] {
        assert_eq!(wire.asks(None, topic, "phx_join", acked.clone()).await.0, "ok");
    }
    let mut owner = server.database.db_owner().await;
    let lock = owner.transaction().await.expect("a transaction");
    lock.batch_execute("lock table chat_private.broadcasts in access exclusive mode").await.expect("a lock");
    // longer together than what may wait
    let payload = "x".repeat(200 << 10);
    let say = json!({ "type": "broadcast", "event": "ink", "payload": { "drawn": payload } });
    let mut said = Vec::new();
    for _ in 0..10 {
        said.push(wire.says(None, &one, "broadcast", say.clone()).await);
    }
    let refused = wire.says(None, &other, "broadcast", say).await;
    let beat = wire.says(None, "phoenix", "heartbeat", json!({})).await;
    let (first, second) = (wire.frame().await, wire.frame().await);
    assert_eq!((&first[1], &first[4]["status"]), (&json!(refused), &json!("error")), "{first}");
    let reason = first[4]["response"]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("ChannelRateLimitReached"), "{reason}");
    assert_eq!((&second[1], &second[4]["status"]), (&json!(beat), &json!("ok")), "{second}");
    drop(lock);
    drop(owner);
    // what waited is done, and there is room again
    for said in said {
        assert_eq!(wire.frame().await[1], json!(said));
    }
    let small = json!({ "type": "broadcast", "event": "ink", "payload": {} });
    assert_eq!(wire.asks(None, &other, "broadcast", small).await.0, "ok");
}
