//! Tokens that end, and others that come in their place.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::wire::Wire;
use super::{channel, rows_of};
use crate::support::npm::Node;
use crate::support::{Person, TestServer};

/// 30 s of other people's clocks are granted beyond a token's end.
const SKEW: i64 = 30;

/// The same person, with a token that is good for so many seconds.
fn for_seconds(server: &TestServer, person: &Person, seconds: i64) -> Person {
    let exp = OffsetDateTime::now_utc().unix_timestamp() - SKEW + seconds;
    server.bearer_of(&person.name, json!({ "sub": person.id, "role": "authenticated", "exp": exp }))
}

#[tokio::test]
async fn a_token_that_ends_is_warned_of_and_the_channel_comes_back_with_another() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let name = &channel(chat);
    // its heartbeat, at which the client library would ask for a fresher token, comes too late
    let soon = for_seconds(&server, &bob, 8);
    let params = json!({ "resume_id": Uuid::new_v4() });
    let mut his = node.supabase(&soon, json!({ "realtime": { "heartbeatIntervalMs": 60_000, "params": params } })).await;
    his.joins(name, json!({}), &[("postgres_changes", rows_of("messages", chat)), ("system", json!({}))]).await;
    alice.says(chat, "before").await;
    assert_eq!(his.change(name).await["new"]["text"], "before");
    let warned =
        |said: &Value| said["payload"]["message"].as_str().is_some_and(|message| message.starts_with("Token expires in"));
    his.hears("a warning", warned).await;
    his.status(name, "CHANNEL_ERROR").await;
    alice.says(chat, "meanwhile").await;
    his.does("setAuth", json!({ "token": bob.token() })).await;
    his.does("setToken", json!({ "token": bob.token() })).await;
    his.status(name, "SUBSCRIBED").await;
    alice.says(chat, "after").await;
    let mut texts = Vec::new();
    while texts.last() != Some(&json!("after")) {
        texts.push(his.change(name).await["new"]["text"].clone());
    }
    texts.retain(|text| text != "before");
    assert_eq!(texts, ["meanwhile", "after"], "what was told before may come again, what was missed comes");
}

#[tokio::test]
async fn a_fresher_token_keeps_a_channel_and_one_that_is_not_believed_changes_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let topic = format!("realtime:{}", channel(chat));
    let soon = for_seconds(&server, &bob, 8);
    let mut his = Wire::open(bob.url(), "/realtime/v1/websocket", "apikey=anon&vsn=2.0.0").await.expect("it opens");
    let payload = json!({ "config": { "postgres_changes": [rows_of("messages", chat)] }, "access_token": soon.token() });
    let joined = his.says(None, &topic, "phx_join", payload).await;
    for token in [json!(null), json!("sb_publishable_x"), json!(soon.token())] {
        his.says(Some(&joined), &topic, "access_token", json!({ "access_token": token })).await;
    }
    his.says(Some(&joined), &topic, "access_token", json!({ "access_token": "a.b.c" })).await;
    loop {
        let system = his.hears("system").await;
        if system["message"] == "MalformedJWT: The token provided is not a valid JWT" {
            break;
        }
    }
    alice.says(chat, "he hears").await;
    assert_eq!(his.change().await["record"]["text"], "he hears");
    his.says(Some(&joined), &topic, "access_token", json!({ "access_token": bob.token() })).await;
    // the first one ends now
    let ended = async || soon.get("/chats").await.status == 401;
    crate::support::eventually("the token has ended", ended).await;
    alice.says(chat, "and goes on to").await;
    assert_eq!(his.change().await["record"]["text"], "and goes on to");
}

#[tokio::test]
async fn whose_token_ends_is_told_to_come_back_and_whose_is_anothers_hears_as_they() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob]).await;
    let topic = format!("realtime:{}", channel(chat));
    let config = json!({ "postgres_changes": [rows_of("messages", chat)], "presence": { "enabled": true } });
    let join = |person: &Person| json!({ "config": config, "access_token": person.token() });
    let mut his = Wire::open(bob.url(), "/realtime/v1/websocket", "apikey=anon&vsn=2.0.0").await.expect("it opens");
    let joined = his.says(None, &topic, "phx_join", join(&for_seconds(&server, &bob, 5))).await;
    let mut last = Value::Null;
    loop {
        let frame = his.frame().await;
        if frame[3] == "phx_error" {
            assert_eq!(frame, json!([joined, joined, topic, "phx_error", {}]));
            break;
        }
        last = frame;
    }
    assert_eq!((&last[3], &last[4]["message"]), (&json!("system"), &json!("Token has expired")));
    let joined = his.says(None, &topic, "phx_join", join(&alice)).await;
    let track = json!({ "type": "presence", "event": "track", "payload": { "at": "home" } });
    assert_eq!(his.asks(Some(&joined), &topic, "presence", track).await.0, "ok");
    his.hears("presence_diff").await;
    // another participant: the channel goes on, and what it says of itself is theirs now
    his.says(Some(&joined), &topic, "access_token", json!({ "access_token": bob.token() })).await;
    let is_bobs = async || {
        let states = alice.get(&format!("/chats/{chat}/presence/states")).await.body["data"].clone();
        states.as_array().is_some_and(|states| states.len() == 1 && states[0]["userId"] == json!(bob.id))
    };
    crate::support::eventually("bob is present", is_bobs).await;
    alice.says(chat, "to bob").await;
    assert_eq!(his.change().await["record"]["text"], "to bob");
    // somebody who may not
    his.says(Some(&joined), &topic, "access_token", json!({ "access_token": mallory.token() })).await;
    loop {
        let frame = his.frame().await;
        if frame[3] == "phx_close" {
            break;
        }
        assert_ne!(frame[3], "postgres_changes");
    }
    assert_eq!(his.asks(Some(&joined), &topic, "access_token", json!({ "access_token": bob.token() })).await.0, "error");
}

#[tokio::test]
async fn a_channel_that_has_no_room_for_another_persons_token_ends() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[]).await;
    let topic = format!("realtime:{}", channel(chat));
    let mut hers = Wire::of(&alice).await;
    let joined = hers.joins(&topic, json!([rows_of("messages", chat)])).await;
    let holder = server.database.db_owner().await;
    holder.batch_execute("begin; lock table chat_private.broadcasts in access exclusive mode").await.expect("held");
    // until nothing fits that is as long as a token
    let mut length = 1 << 20;
    while length > 200 {
        length /= 2;
        for _ in 0..2 {
            let said = json!({ "type": "broadcast", "event": "e", "payload": "x".repeat(length) });
            hers.says(Some(&joined), &topic, "broadcast", said).await;
        }
    }
    hers.says(Some(&joined), &topic, "access_token", json!({ "access_token": bob.token() })).await;
    hers.hears("phx_error").await;
    holder.batch_execute("commit").await.expect("released");
    alice.says(chat, "for alice alone").await;
    hers.says(None, "phoenix", "heartbeat", json!({})).await;
    let after = hers.frame().await;
    assert_eq!((&after[2], &after[3]), (&json!("phoenix"), &json!("phx_reply")), "{after}");
}
