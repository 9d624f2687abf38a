use super::*;

const TOPIC: &str = "realtime:chat:abc";

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

#[test]
fn broadcasts_are_texts_where_they_are_json_and_bytes_where_they_are_bytes() {
    let [one, two] = both(|version| broadcast(version, TOPIC, "typ\"ing", &json!({ "u": "é" })));
    let payload = json!({ "type": "broadcast", "event": "typ\"ing", "payload": { "u": "é" } });
    assert_eq!((&one["payload"], &two[4]), (&payload, &payload));
    let bytes = broadcast_bytes(Version::Two, "realtime:a", "é", &[0, 255]).expect("bytes");
    assert_eq!(bytes, [&[4, 10, 2, 0, 0], "realtime:aé".as_bytes(), &[0, 255]].concat());
    assert!(broadcast_bytes(Version::One, "realtime:a", "e", &[0]).is_none());
    assert!(broadcast_bytes(Version::Two, &"x".repeat(256), "e", &[0]).is_none());
}
