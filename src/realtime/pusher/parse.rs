//! What a client says.

use serde::Deserialize;
use serde_json::Value;

/// The longest name of an event, in bytes.
const EVENT_MAX: usize = 200;
/// What the events begin with that clients send to each other, and by which no other protocol knows them.
pub const FROM_CLIENT: &str = "client-";

/// Something that a client says. It is not printed: it may hold a pass.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum ClientFrame {
    Subscribe {
        channel: String,
        pass: String,
    },
    Unsubscribe {
        channel: String,
    },
    Signin {
        pass: String,
    },
    Ping,
    Pong,
    /// Something for the others in a channel, by its name everywhere.
    Event {
        channel: String,
        event: String,
        data: Value,
    },
    /// An event that nothing is known of: later clients may send what means nothing here.
    Unknown,
}

/// It cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

#[derive(Deserialize)]
struct Frame {
    event: String,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    auth: Option<String>,
}

impl ClientFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let frame: Frame = serde_json::from_str(text).map_err(|_| Malformed("a frame is a JSON object with an event"))?;
        if frame.event.len() > EVENT_MAX {
            return Err(Malformed("the event's name is too long"));
        }
        if let Some(event) = frame.event.strip_prefix(FROM_CLIENT) {
            let channel = frame.channel.ok_or(Malformed("the event names no channel"))?;
            return Ok(Self::Event { channel, event: event.to_owned(), data: frame.data });
        }
        Ok(match frame.event.as_str() {
            "pusher:subscribe" => {
                let Data { channel, auth } = data(frame.data)?;
                let channel = channel.ok_or(Malformed("data names no channel"))?;
                Self::Subscribe { channel, pass: auth.unwrap_or_default() }
            }
            "pusher:unsubscribe" => {
                Self::Unsubscribe { channel: data(frame.data)?.channel.ok_or(Malformed("data names no channel"))? }
            }
            "pusher:signin" => Self::Signin { pass: data(frame.data)?.auth.unwrap_or_default() },
            "pusher:ping" => Self::Ping,
            "pusher:pong" => Self::Pong,
            _ => Self::Unknown,
        })
    }
}

/// Data of a frame: an object, or one in a string.
fn data(data: Value) -> Result<Data, Malformed> {
    let read = match data {
        Value::String(text) => serde_json::from_str(&text),
        value => Data::deserialize(value),
    };
    read.map_err(|_| Malformed("data is an object"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What pusher-js sends, as `tests/clients/record.mjs` recorded it.
    const RECORDED: &str = include_str!("../../../tests/clients/frames/pusher.jsonl");

    #[test]
    fn what_the_stock_client_sends_is_understood() {
        let lines = RECORDED.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        let texts: Vec<String> = lines.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect();
        let heard: Vec<ClientFrame> = texts.iter().map(|text| ClientFrame::parse(text).expect(text)).collect();
        let subscribe = |channel: &str, pass: &str| ClientFrame::Subscribe { channel: channel.into(), pass: pass.into() };
        let room = "room-0197f5a0-0000-7000-8000-000000000001";
        let typing =
            ClientFrame::Event { channel: format!("private-{room}"), event: "typing".into(), data: json!({ "user": "é" }) };
        let expected = [
            subscribe("chats-public", ""),
            subscribe(&format!("private-{room}"), "key:sealed"),
            subscribe(&format!("presence-{room}"), "key:sealed"),
            typing,
            ClientFrame::Signin { pass: "key:sealed".into() },
            subscribe("#server-to-user-u1", ""),
            ClientFrame::Ping,
            ClientFrame::Unsubscribe { channel: "chats-public".into() },
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn data_is_an_object_or_one_in_a_string() {
        let subscribe = Ok(ClientFrame::Subscribe { channel: "room-abc".into(), pass: String::new() });
        assert_eq!(ClientFrame::parse(r#"{"event":"pusher:subscribe","data":{"auth":"","channel":"room-abc"}}"#), subscribe);
        assert_eq!(ClientFrame::parse(r#"{"event":"pusher:subscribe","data":"{\"channel\":\"room-abc\"}"}"#), subscribe);
    }

    #[test]
    fn what_clients_say_to_each_other_is_any_json() {
        for data in [json!({ "x": 1 }), json!("text"), json!([1, null]), Value::Null] {
            let text = json!({ "event": "client-moved", "channel": "private-room-abc", "data": data }).to_string();
            let frame = ClientFrame::Event { channel: "private-room-abc".into(), event: "moved".into(), data };
            assert_eq!(ClientFrame::parse(&text), Ok(frame));
        }
    }

    #[test]
    fn what_is_no_frame_is_said_to_be_none_and_what_is_not_known_is_nothing() {
        let long = format!(r#"{{"event":"client-{}","channel":"room-abc"}}"#, "x".repeat(EVENT_MAX));
        for text in [
            "",
            "[]",
            "{}",
            r#"{"event":1}"#,
            r#"{"event":"pusher:subscribe"}"#,
            r#"{"event":"pusher:subscribe","data":"x"}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":7}}"#,
            r#"{"event":"client-x","data":{}}"#,
            &long,
        ] {
            assert!(ClientFrame::parse(text).is_err(), "{text}");
        }
        assert_eq!(ClientFrame::parse(r#"{"event":"pusher:new","data":{}}"#), Ok(ClientFrame::Unknown));
    }
}
