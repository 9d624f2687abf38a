//! What a raw client says and hears over a WebSocket in each protocol. A protocol more is a line in each of these.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::line::{Place, Protocol, Since};
use super::words;

/// The application that clients of Pusher name, where the server is told of no other.
pub const PUSHER_KEY: &str = "tabletalk";
/// The channel of all chats that rows are asked for in, and what channels of one chat begin with.
const ALL: &str = "realtime:all of them";
const ONE: &str = "realtime:chat:";
const ROOM: &str = "private-room-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    Native,
    Supabase { two: bool },
    Pusher,
}

impl Tongue {
    /// Where its sockets are, below the server's address.
    pub fn path(self, since: &Since) -> String {
        match self {
            Self::Native => "/ws".to_owned(),
            Self::Supabase { two } => {
                let vsn = if two { "2.0.0" } else { "1.0.0" };
                format!("/realtime/v1/websocket?apikey=anon&resume_id={}&vsn={vsn}", since.resume)
            }
            Self::Pusher => format!("/app/{PUSHER_KEY}?protocol=7&client=js&version=8.6.0&flash=false"),
        }
    }

    /// What asks to be told of these chats, or of all, as the bearer of this token. The passes are what Pusher's clients were given for them.
    pub fn asks(self, protocol: Protocol, token: &str, since: &Since, passes: &[String]) -> Vec<Message> {
        match self {
            Self::Native if protocol.is_of_all() => {
                vec![native(json!({ "type": "subscribe", "chatId": "*", "since": since.position, "ref": "all" }))]
            }
            Self::Native => {
                let by_name = |Place { chat, rev, epoch }: &Place| {
                    let epoch = epoch.as_ref().filter(|_| rev.is_some());
                    native(json!({ "type": "subscribe", "chatId": chat, "since": rev, "epoch": epoch, "ref": chat }))
                };
                since.chats.iter().map(by_name).collect()
            }
            Self::Supabase { two } => {
                let joins = |topic: &str, chat: Option<Uuid>| {
                    let rows = [("messages", "chat_id"), ("participants", "chat_id"), ("chats", "id")].map(|(table, column)| {
                        let mut rows = json!({ "event": "*", "schema": "public", "table": table });
                        if let Some(chat) = chat {
                            rows["filter"] = json!(format!("{column}=eq.{chat}"));
                        }
                        rows
                    });
                    let payload = json!({ "config": { "postgres_changes": rows }, "access_token": token });
                    phoenix(two, topic, topic, "phx_join", &payload)
                };
                if protocol.is_of_all() {
                    return vec![joins(ALL, None)];
                }
                since.chats.iter().map(|place| joins(&format!("{ONE}{}", place.chat), Some(place.chat))).collect()
            }
            Self::Pusher => {
                let subscribes = |(place, pass): (&Place, &String)| json!({ "event": "pusher:subscribe", "data": { "channel": room(place.chat), "auth": pass } });
                let frames = since.chats.iter().zip(passes).map(subscribes);
                frames.map(|frame| Message::text(frame.to_string())).collect()
            }
        }
    }

    /// What asks whether the other side is there.
    pub fn ping(self) -> Message {
        match self {
            Self::Native => Message::Ping(Vec::new().into()),
            Self::Supabase { two } => phoenix(two, "", "phoenix", "heartbeat", &json!({})),
            Self::Pusher => Message::text(json!({ "event": "pusher:ping", "data": {} }).to_string()),
        }
    }

    /// Whether a frame is the answer to the same.
    pub fn is_pong(self, frame: &Value) -> bool {
        match self {
            // that is no text
            Self::Native => false,
            Self::Supabase { two: true } => frame[2] == "phoenix",
            Self::Supabase { two: false } => frame["topic"] == "phoenix",
            Self::Pusher => frame["event"] == "pusher:pong",
        }
    }

    /// What a frame is answered by, if it asks for something.
    pub fn answer(self, frame: &Value) -> Option<Message> {
        (self == Self::Pusher && frame["event"] == "pusher:ping")
            .then(|| Message::text(json!({ "event": "pusher:pong", "data": {} }).to_string()))
    }

    /// A frame in the words of the WebSocket, if it has any.
    pub fn words(self, frame: Value) -> Option<Value> {
        match self {
            Self::Native => Some(frame),
            Self::Supabase { two } => {
                let at = |place: usize, name: &str| if two { &frame[place] } else { &frame[name] };
                let (topic, payload) = (at(2, "topic").as_str()?, at(4, "payload"));
                let chat = topic.strip_prefix(ONE).and_then(|chat| chat.parse().ok());
                match at(3, "event").as_str()? {
                    "phx_reply" if topic == "phoenix" => None,
                    "phx_reply" if payload["status"] == "ok" => Some(words::begun(chat)),
                    "phx_reply" => Some(words::refused(chat, &payload["response"]["reason"], &payload["status"])),
                    event @ ("phx_error" | "phx_close") => Some(words::refused(chat, &json!(event), &json!(event))),
                    "postgres_changes" => words::of_row(&payload["data"]),
                    "system" => words::of_system(payload),
                    _ => None,
                }
            }
            Self::Pusher => {
                let data = match &frame["data"] {
                    Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                    data => data.clone(),
                };
                let chat = frame["channel"].as_str().and_then(|channel| channel.strip_prefix(ROOM)?.parse().ok());
                match frame["event"].as_str()? {
                    "pusher_internal:subscription_succeeded" => Some(words::begun(chat)),
                    "pusher:subscription_error" => Some(words::refused(chat, &json!(data["status"].to_string()), &data["error"])),
                    "pusher:error" => Some(words::refused(None, &json!(data["code"].to_string()), &data["message"])),
                    event => words::of_event(event, &data),
                }
            }
        }
    }
}

/// A chat's channel, for who shows a pass.
pub fn room(chat: Uuid) -> String {
    format!("{ROOM}{chat}")
}

/// A frame of the WebSocket at `/ws`: what is not known is left out.
fn native(mut frame: Value) -> Message {
    frame.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    Message::text(frame.to_string())
}

fn phoenix(two: bool, reference: &str, topic: &str, event: &str, payload: &Value) -> Message {
    let frame = if two {
        json!([reference, reference, topic, event, payload])
    } else {
        json!({ "topic": topic, "event": event, "payload": payload, "ref": reference, "join_ref": reference })
    };
    Message::text(frame.to_string())
}
