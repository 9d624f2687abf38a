use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::join::Join;
use super::super::presence;
use super::super::rows::Row;
use super::*;
use crate::realtime::asides::Track;
use crate::wire::Timestamp;

const TOPIC: &str = "realtime:chat:abc";

/// What a client is told, frame by frame, in both versions. Where this is changed on purpose, the test says what to write here instead.
const TOLD: &str = include_str!("../../../../tests/clients/frames/supabase-answers.jsonl");

#[test]
fn what_is_told_is_what_it_was() {
    let asked = json!({ "config": { "postgres_changes": [{ "event": "*", "schema": "public", "table": "chats", "filter": "uid=eq.u" }] } });
    let answer = Join::read(TOPIC, &asked).expect("a join").answer();
    let profile =
        json!({ "id": Uuid::from_u128(1), "uid": "u", "type": "room", "visibility": "public", "name": "é", "readOnly": false });
    let row = Row::chat_is_entered(&profile);
    let at = Timestamp(time::macros::datetime!(2026-01-02 03:04:05.678 UTC));
    let gone = Row::chat_is_gone(Uuid::from_u128(1));
    let track = Track { id: "ref".to_owned(), key: "u1".to_owned(), state: json!({ "at": "home" }) };
    let mut told = String::new();
    for version in [Version::One, Version::Two] {
        let heartbeat = Asker { topic: "phoenix".to_owned(), join_ref: None, reference: Some("9".to_owned()) };
        let texts = [
            reply(version, &asker(), Ok(answer.clone())),
            reply(version, &asker(), Err("Unauthorized: no".to_owned())),
            reply(version, &heartbeat, Ok(json!({}))),
            end(version, TOPIC, Some("6"), "phx_close"),
            end(version, TOPIC, Some("6"), "phx_error"),
            system(version, TOPIC, "postgres_changes", true, "Subscribed to PostgreSQL"),
            resync(version, TOPIC, None),
            resync(version, TOPIC, Some(Uuid::from_u128(1))),
            change(version, TOPIC, &[1], "public", "chats", &row.data(at, None)),
            change(version, TOPIC, &[1, 2], "chat", "chats", &gone.data(at, None)),
            text(aside(version, TOPIC, &broadcast("typing", Content::Json(json!({ "user": "é" }))), false)),
            push(version, TOPIC, "presence_state", &presence::state([&track]).to_string()),
            text(aside(version, TOPIC, &tracked(&track), true)),
        ];
        for text in texts {
            told.push_str(&json!({ "text": text }).to_string());
            told.push('\n');
        }
        if let Some(bytes) = broadcast_bytes(version, TOPIC, "drawing", &[0, 1, 254, 255]) {
            told.push_str(&json!({ "base64": STANDARD.encode(bytes) }).to_string());
            told.push('\n');
        }
    }
    assert!(told == TOLD, "tests/clients/frames/supabase-answers.jsonl would be:\n{told}");
}

fn both(write: impl Fn(Version) -> String) -> [Value; 2] {
    [Version::One, Version::Two].map(|version| serde_json::from_str(&write(version)).expect("JSON"))
}

fn asker() -> Asker {
    Asker { topic: TOPIC.to_owned(), join_ref: Some("6".to_owned()), reference: Some("7".to_owned()) }
}

#[test]
fn an_answer_names_what_it_answers() {
    let ok = json!({ "status": "ok", "response": {} });
    let [one, two] = both(|version| reply(version, &asker(), Ok(json!({}))));
    assert_eq!(one, json!({ "topic": TOPIC, "event": "phx_reply", "payload": ok, "ref": "7" }));
    assert_eq!(two, json!(["6", "7", TOPIC, "phx_reply", ok]));
    let refused = json!({ "status": "error", "response": { "reason": "unmatched topic" } });
    let [one, two] = both(|version| reply(version, &asker(), Err("unmatched topic".to_owned())));
    assert_eq!((&one["payload"], &two[4]), (&refused, &refused));
}

#[test]
fn an_end_is_of_the_joining_that_it_ends() {
    let [one, two] = both(|version| end(version, TOPIC, Some("6"), "phx_error"));
    assert_eq!(one, json!({ "topic": TOPIC, "event": "phx_error", "payload": {}, "ref": "6" }));
    assert_eq!(two, json!(["6", "6", TOPIC, "phx_error", {}]));
}

#[test]
fn a_change_bears_the_names_by_which_the_client_asked() {
    let [one, two] = both(|version| change(version, TOPIC, &[1, 3], "public", "messages", r#"{"type":"INSERT","errors":null}"#));
    let payload = json!({ "ids": [1, 3], "data": { "schema": "public", "table": "messages", "type": "INSERT", "errors": null } });
    assert_eq!(one, json!({ "topic": TOPIC, "event": "postgres_changes", "payload": payload, "ref": null }));
    assert_eq!(two, json!([null, null, TOPIC, "postgres_changes", payload]));
}

#[test]
fn what_the_system_says_names_the_channel_as_the_client_does() {
    let [_, two] = both(|version| system(version, TOPIC, "postgres_changes", true, "Subscribed to PostgreSQL"));
    let payload =
        json!({ "message": "Subscribed to PostgreSQL", "status": "ok", "extension": "postgres_changes", "channel": "chat:abc" });
    assert_eq!(two, json!([null, null, TOPIC, "system", payload]));
}

fn broadcast(event: &str, content: Content) -> Arc<Aside> {
    Aside::new(None, What::Broadcast { id: 1, user: None, event: event.to_owned(), content })
}

fn tracked(track: &Track) -> Arc<Aside> {
    Aside::new(None, What::Tracked { user: Uuid::nil(), joins: Vec::new(), leaves: vec![track.clone()] })
}

fn text(out: Option<Out>) -> String {
    match out {
        Some(Out::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn broadcasts_are_texts_where_they_are_json_and_bytes_where_they_are_bytes() {
    let said = broadcast("typ\"ing", Content::Json(json!({ "u": "é" })));
    let [one, two] = both(|version| text(aside(version, TOPIC, &said, false)));
    let payload = json!({ "type": "broadcast", "event": "typ\"ing", "payload": { "u": "é" } });
    assert_eq!((&one["payload"], &two[4]), (&payload, &payload));
    let bytes = broadcast_bytes(Version::Two, "realtime:a", "é", &[0, 255]).expect("bytes");
    assert_eq!(bytes, [&[4, 10, 2, 0, 0][..], "realtime:aé".as_bytes(), &[0, 255]].concat());
    assert!(broadcast_bytes(Version::One, "realtime:a", "e", &[0]).is_none());
    assert!(broadcast_bytes(Version::Two, &"x".repeat(256), "e", &[0]).is_none());
}

#[test]
fn what_is_told_beside_the_log_is_written_once_for_all_who_hear_it() {
    let track = Track { id: "ref".to_owned(), key: "u1".to_owned(), state: json!({ "at": "home" }) };
    for said in [broadcast("typing", Content::Json(json!({ "u": "é" }))), tracked(&track)] {
        assert!(matches!(said.what, What::Broadcast { .. }) || aside(Version::One, TOPIC, &said, false).is_none());
        let first = text(aside(Version::One, "realtime:chat:a", &said, true));
        let written = said.encoding(Encoding::Supabase, |_| panic!("it is written already"));
        assert!(first.contains(written), "{first}");
        assert!(text(aside(Version::Two, "realtime:chat:b", &said, true)).contains(written));
    }
}
