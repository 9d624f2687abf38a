//! What a client is told. `data` is a JSON text within the JSON frame, as Pusher's own server writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::members::Members;
use super::parse::FROM_CLIENT;
use crate::realtime::asides::Content;

/// After how many seconds of silence a client asks whether the server is there.
const ACTIVITY_TIMEOUT: u32 = 30;

/// The first frame.
pub fn established(socket_id: &str) -> String {
    bare("pusher:connection_established", &json!({ "socket_id": socket_id, "activity_timeout": ACTIVITY_TIMEOUT }))
}

/// The question whether the client is there.
pub fn ping() -> String {
    bare("pusher:ping", &json!({}))
}

/// The answer to the same.
pub fn pong() -> String {
    bare("pusher:pong", &json!({}))
}

/// Something about the whole connection went wrong.
pub fn error(code: u16, message: &str) -> String {
    json!({ "event": "pusher:error", "data": { "code": code, "message": message } }).to_string()
}

/// They have signed in.
pub fn signed_in(user_data: &str) -> String {
    bare("pusher:signin_success", &json!({ "user_data": user_data }))
}

/// They hear the channel from here on.
pub fn subscribed(channel: &str, members: Option<&Members>) -> String {
    let data = members.map_or_else(|| json!({}), |members| json!({ "presence": members.listed() }));
    framed(channel, None, &tail("pusher_internal:subscription_succeeded", &data))
}

/// They do not.
pub fn refused(channel: &str, status: u16, error: &str) -> String {
    let data = json!({ "type": "AuthError", "error": error, "status": status });
    json!({ "event": "pusher:subscription_error", "channel": channel, "data": data }).to_string()
}

/// Somebody is in the channel who was not.
pub fn member_added(channel: &str, user: &str, info: &Value) -> String {
    framed(channel, None, &tail("pusher_internal:member_added", &json!({ "user_id": user, "user_info": info })))
}

/// Somebody is not who was.
pub fn member_removed(channel: &str, user: &str) -> String {
    framed(channel, None, &tail("pusher_internal:member_removed", &json!({ "user_id": user })))
}

/// What somebody says to the others, by whatever protocol: the same for every channel that tells it. What is no JSON is told in base64.
pub fn from_client(event: &str, content: &Content) -> String {
    let event = format!("{FROM_CLIENT}{event}");
    match content {
        Content::Json(data) => tail(&event, data),
        Content::Bytes(bytes) => tail(&event, &json!({ "base64": STANDARD.encode(bytes) })),
    }
}

/// What of a frame is the same for every channel that tells it: what follows the channel's name.
pub fn tail(event: &str, data: &Value) -> String {
    format!(r#""event":{},"data":{}}}"#, quoted(event), quoted(&data.to_string()))
}

/// A frame of a channel.
pub fn framed(channel: &str, user: Option<&str>, tail: &str) -> String {
    let user = user.map(|user| format!(r#""user_id":{},"#, quoted(user))).unwrap_or_default();
    format!(r#"{{"channel":{},{user}{tail}"#, quoted(channel))
}

fn bare(event: &str, data: &Value) -> String {
    format!("{{{}", tail(event, data))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Value, Value) {
        let frame: Value = serde_json::from_str(text).expect(text);
        let data = serde_json::from_str(frame["data"].as_str().expect(text)).expect(text);
        (frame, data)
    }

    /// What a client is told, frame by frame. Where this is changed on purpose, the test says what to write here instead.
    const TOLD: &str = include_str!("../../../tests/clients/frames/pusher-answers.jsonl");

    #[test]
    fn what_is_told_is_what_it_was() {
        let user = uuid::Uuid::from_u128(1);
        let mut members = Members::default();
        members.join(user, "one", json!({ "name": "é" }));
        let (room, me) = ("presence-room-x", user.to_string());
        let told = [
            established("123.456"),
            ping(),
            pong(),
            error(4301, "too much"),
            signed_in(r#"{"id":"u1"}"#),
            subscribed("room-x", None),
            subscribed(room, Some(&members)),
            refused("room-x", 403, "not yours"),
            member_added(room, &me, &json!({ "name": "é" })),
            member_removed(room, &me),
            framed("private-room-x", None, &from_client("typing", &Content::Json(json!({ "user": "é" })))),
            framed(room, Some(&me), &from_client("drawn", &Content::Json(json!("by hand")))),
            framed("private-room-x", None, &from_client("drawn", &Content::Bytes(vec![0, 255]))),
            framed("room-x", None, &tail("room-deleted", &json!({ "roomId": user }))),
        ];
        let told: Vec<String> = told.iter().map(|text| json!({ "text": text }).to_string()).collect();
        let written: Vec<&str> = TOLD.lines().collect();
        assert!(told == written, "tests/clients/frames/pusher-answers.jsonl would be:\n{}", told.join("\n"));
    }

    #[test]
    fn data_is_a_text_within_the_frame() {
        let (frame, data) = read(&established("1.2"));
        assert_eq!(frame["event"], "pusher:connection_established");
        assert_eq!(data, json!({ "socket_id": "1.2", "activity_timeout": 30 }));
        let (frame, data) = read(&subscribed("room-\"x\"", None));
        assert_eq!((&frame["channel"], data), (&json!("room-\"x\""), json!({})));
        let (_, data) = read(&signed_in(r#"{"id":"u1"}"#));
        assert_eq!(data, json!({ "user_data": r#"{"id":"u1"}"# }));
    }

    #[test]
    fn what_clients_say_bears_their_prefix_and_who_said_it_where_that_is_told() {
        let (moved, drawn) = (Content::Json(json!("é\n")), Content::Bytes(vec![0, 255]));
        let (frame, data) = read(&framed("presence-room-x", Some("u1"), &from_client("typing", &moved)));
        assert_eq!((&frame["event"], &frame["user_id"], data), (&json!("client-typing"), &json!("u1"), json!("é\n")));
        let (frame, data) = read(&framed("private-room-x", None, &from_client("client-typing", &drawn)));
        assert_eq!(frame["event"], "client-client-typing", "none is taken for another");
        assert_eq!(data, json!({ "base64": "AP8=" }));
        assert!(frame.get("user_id").is_none());
    }

    #[test]
    fn of_what_went_wrong_data_is_an_object() {
        let frame: Value = serde_json::from_str(&refused("room-x", 403, "no")).expect("a frame");
        assert_eq!(frame["data"], json!({ "type": "AuthError", "error": "no", "status": 403 }));
        let frame: Value = serde_json::from_str(&error(4001, "no")).expect("a frame");
        assert_eq!(frame["data"], json!({ "code": 4001, "message": "no" }));
    }
}
