//! What clients say: every frame with its payload, and how it is read. A new one is a line of the table, and a payload that reads itself.

use poem_openapi::Object;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::realtime::presence::State;

/// The longest `ref`, in characters.
pub const REFERENCE_MAX: usize = 128;
/// What stands beside the payload or in it, as a client likes.
pub const BESIDE: [&str; 3] = ["chatId", "since", "epoch"];
/// All chats, where one may be named.
pub const ALL: &str = "*";

super::spec::client_frames! {
    /// Listen to all of one's chats, those one comes to as well; from a position on if one is named.
    SubscribeAll = "subscribe" as "subscribe.all" => Ack;
    /// Listen to a chat; from a rev on if one is named.
    Subscribe = "subscribe" => Ack;
    /// Listen to a chat no more.
    Unsubscribe = "unsubscribe" => Ack;
    /// Send a message. The payload is the body of `sendMessage`.
    MessageCreate = "message.create" extends "NewMessage" => Ack;
    /// Edit a message. The payload is the body of `editMessage`, with the message's `id`.
    MessageUpdate = "message.update" extends "MessageEdit" => Ack;
    /// Delete a message.
    MessageDelete = "message.delete" => Ack;
    /// Say how far one has read.
    Read = "read" => Ack;
    /// Say that one types, or does no more; to be repeated every few seconds.
    Typing = "typing" extends "TypingUpdate" => Ack;
    /// Tell those who are in a chat something that nobody keeps. The payload is the body of `sendBroadcast`.
    Broadcasting = "broadcast" extends "NewBroadcast" => Ack;
    /// Say whether one looks at this connection; it is online when it opens.
    Presence = "presence" => Ack;
    /// Give a fresher token of the same person.
    Token = "token" => Ack;
    /// Ask for a sign of life.
    Ping = "ping" => Pong;
}

/// A payload that reads itself.
trait Payload: Sized {
    /// Whether it is this that is asked for, of those with the same `type`.
    fn is_meant(_: &Fields) -> bool {
        true
    }

    /// Reads it; or says what is wrong with it.
    fn read(fields: &Fields) -> Result<Self, String>;
}

/// All chats are listened to.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct SubscribeAll {
    /// All of them: `*`.
    #[oai(validator(pattern = r"^\*$"))]
    pub chat_id: String,
    /// The position to go on from, as `hello`, an `ack` or `GET /sync` gave it; what happened since is told first.
    pub since: Option<String>,
}

impl Payload for SubscribeAll {
    fn is_meant(fields: &Fields) -> bool {
        fields.get("chatId") == ALL
    }

    fn read(fields: &Fields) -> Result<Self, String> {
        let since = match fields.get("since") {
            Value::Null => None,
            Value::String(position) => Some(position.clone()),
            _ => return Err("since is a position for all chats: a text".to_owned()),
        };
        Ok(Self { chat_id: ALL.to_owned(), since })
    }
}

/// A chat is listened to.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Subscribe {
    /// The chat.
    pub chat_id: Uuid,
    /// The highest `rev` that was told of it; what happened since is told first.
    #[oai(validator(minimum(value = "0")))]
    pub since: Option<i64>,
    /// The life of the database that `since` is of, as an `ack` told it.
    pub epoch: Option<String>,
}

impl Payload for Subscribe {
    fn read(fields: &Fields) -> Result<Self, String> {
        let since = match fields.get("since") {
            Value::Null => None,
            Value::Number(rev) => Some(rev.as_i64().filter(|rev| *rev >= 0).ok_or("since is a revision: 0 or more")?),
            _ => return Err("since is a revision of the chat: a number".to_owned()),
        };
        let epoch = match fields.get("epoch") {
            Value::Null => None,
            Value::String(epoch) => Some(epoch.clone()),
            _ => return Err("epoch is a text".to_owned()),
        };
        Ok(Self { chat_id: fields.chat()?, since, epoch })
    }
}

/// A chat is listened to no more.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Unsubscribe {
    /// The chat.
    pub chat_id: Uuid,
}

impl Payload for Unsubscribe {
    fn read(fields: &Fields) -> Result<Self, String> {
        Ok(Self { chat_id: fields.chat()? })
    }
}

/// A message to send.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct MessageCreate {
    /// The chat; absent: the lobby.
    pub chat_id: Option<Uuid>,
    /// The body of the request: the API reads it, and says what is wrong with it.
    #[oai(skip)]
    pub body: Value,
}

impl Payload for MessageCreate {
    fn read(fields: &Fields) -> Result<Self, String> {
        let chat_id = if fields.get("chatId").is_null() { None } else { Some(fields.chat()?) };
        Ok(Self { chat_id, body: fields.body(&["chatId"])? })
    }
}

/// What changes in a message.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct MessageUpdate {
    /// The chat.
    pub chat_id: Uuid,
    /// The message.
    pub id: Uuid,
    /// The body of the request: the API reads it, and says what is wrong with it.
    #[oai(skip)]
    pub body: Value,
}

impl Payload for MessageUpdate {
    fn read(fields: &Fields) -> Result<Self, String> {
        Ok(Self { chat_id: fields.chat()?, id: fields.message()?, body: fields.body(&["chatId", "id"])? })
    }
}

/// A message to delete.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct MessageDelete {
    /// The chat.
    pub chat_id: Uuid,
    /// The message.
    pub id: Uuid,
}

impl Payload for MessageDelete {
    fn read(fields: &Fields) -> Result<Self, String> {
        Ok(Self { chat_id: fields.chat()?, id: fields.message()? })
    }
}

/// How far one has read.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Read {
    /// The chat.
    pub chat_id: Uuid,
    /// The `seq` of the last message that was read.
    pub seq: i64,
}

impl Payload for Read {
    fn read(fields: &Fields) -> Result<Self, String> {
        let seq = fields.get("seq").as_i64().ok_or("payload.seq is a number")?;
        Ok(Self { chat_id: fields.chat()?, seq })
    }
}

/// That one types.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Typing {
    /// The chat.
    pub chat_id: Uuid,
    /// The body of the request: the API reads it, and says what is wrong with it.
    #[oai(skip)]
    pub body: Value,
}

impl Payload for Typing {
    fn read(fields: &Fields) -> Result<Self, String> {
        let body = if fields.payload.is_null() { Value::Object(Map::new()) } else { fields.body(&["chatId"])? };
        Ok(Self { chat_id: fields.chat()?, body })
    }
}

/// Something to tell the others.
#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Broadcasting {
    /// The chat.
    pub chat_id: Uuid,
    /// The body of the request: the API reads it, and says what is wrong with it.
    #[oai(skip)]
    pub body: Value,
}

impl Payload for Broadcasting {
    fn read(fields: &Fields) -> Result<Self, String> {
        Ok(Self { chat_id: fields.chat()?, body: fields.body(&["chatId"])? })
    }
}

/// Whether one looks at this connection.
#[derive(Debug, PartialEq, Object)]
pub struct Presence {
    /// `online` or `away`.
    #[oai(rename = "status")]
    pub state: State,
}

impl Payload for Presence {
    fn read(fields: &Fields) -> Result<Self, String> {
        match fields.get("status").as_str() {
            Some("online") => Ok(Self { state: State::Online }),
            Some("away") => Ok(Self { state: State::Away }),
            _ => Err("payload.status is online or away".to_owned()),
        }
    }
}

/// A fresher token.
#[derive(Debug, PartialEq, Object)]
pub struct Token {
    /// The token, of the same person.
    pub token: String,
}

impl Payload for Token {
    fn read(fields: &Fields) -> Result<Self, String> {
        let token = fields.get("token").as_str().ok_or("payload.token is a text")?;
        Ok(Self { token: token.to_owned() })
    }
}

/// Nothing more is asked.
#[derive(Debug, PartialEq, Object)]
pub struct Ping {}

impl Payload for Ping {
    fn read(_: &Fields) -> Result<Self, String> {
        Ok(Self {})
    }
}

/// A frame of a client.
#[derive(Debug, PartialEq)]
pub struct ClientFrame {
    /// Comes back with the answer.
    pub reference: Option<String>,
    pub asked: Asked,
}

/// A frame that cannot be read: what is wrong with it.
#[derive(Debug, PartialEq)]
pub struct Unreadable {
    pub reference: Option<String>,
    pub message: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "ref")]
    reference: Value,
    #[serde(flatten)]
    fields: Fields,
}

/// What a frame says, beside its payload and in it.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    payload: Value,
    #[serde(flatten)]
    beside: Map<String, Value>,
}

impl ClientFrame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is not one of the protocol.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let wrong = |reference: &Option<String>, message: String| Unreadable { reference: reference.clone(), message };
        let raw: Raw = serde_json::from_str(text).map_err(|error| wrong(&None, format!("not a frame: {error}")))?;
        let reference = match &raw.reference {
            Value::Null => None,
            Value::String(text) if text.chars().count() <= REFERENCE_MAX => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => return Err(wrong(&None, format!("ref is a text of at most {REFERENCE_MAX} characters, or a number"))),
        };
        let asked = Asked::read(&raw.kind, &raw.fields).map_err(|message| wrong(&reference, message))?;
        Ok(Self { reference, asked })
    }
}

impl Fields {
    /// A field of the payload, or what stands [`BESIDE`] it; null where there is none.
    fn get(&self, name: &str) -> &Value {
        let beside = self.beside.get(name).filter(|value| BESIDE.contains(&name) && !value.is_null());
        beside.or_else(|| self.payload.get(name)).unwrap_or(&Value::Null)
    }

    fn chat(&self) -> Result<Uuid, String> {
        id(self.get("chatId"), "chatId")
    }

    fn message(&self) -> Result<Uuid, String> {
        id(self.get("id"), "payload.id")
    }

    /// The body of the request that the payload stands for: `content` is `text`, and what names the chat or the message is in the path.
    fn body(&self, but: &[&str]) -> Result<Value, String> {
        let Value::Object(fields) = &self.payload else { return Err("payload is an object".to_owned()) };
        let mut body = fields.clone();
        for name in but {
            body.remove(*name);
        }
        if let Some(content) = body.remove("content") {
            body.entry("text").or_insert(content);
        }
        Ok(Value::Object(body))
    }
}

fn id(value: &Value, name: &str) -> Result<Uuid, String> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} is a UUID"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Asked {
        ClientFrame::parse(text).expect("a frame").asked
    }

    #[test]
    fn a_chat_is_named_beside_the_payload_or_in_it() {
        let chat_id = Uuid::from_u128(7);
        let asked = Asked::Subscribe(Subscribe { chat_id, since: Some(3), epoch: None });
        assert_eq!(parse(&format!(r#"{{"type":"subscribe","chatId":"{chat_id}","since":3}}"#)), asked);
        assert_eq!(parse(&format!(r#"{{"type":"subscribe","payload":{{"chatId":"{chat_id}","since":3}}}}"#)), asked);
        let all = Asked::SubscribeAll(SubscribeAll { chat_id: "*".to_owned(), since: None });
        assert_eq!(parse(r#"{"type":"subscribe","chatId":"*"}"#), all);
    }

    #[test]
    fn a_simple_client_says_content_and_names_no_chat() {
        let asked = parse(r#"{"type":"message.create","payload":{"content":"hello"}}"#);
        assert_eq!(asked, Asked::MessageCreate(MessageCreate { chat_id: None, body: json!({ "text": "hello" }) }));
    }

    #[test]
    fn what_is_no_frame_is_said_to_be_wrong_with_its_ref() {
        for text in ["", "[]", "{}", r#"{"type":"subscribe"}"#, r#"{"type":"nonsense"}"#, r#"{"type":"read","chatId":"x"}"#] {
            assert!(ClientFrame::parse(text).is_err(), "{text}");
        }
        let wrong = ClientFrame::parse(r#"{"type":"unsubscribe","ref":"r1"}"#).expect_err("no chat");
        assert_eq!((wrong.reference.as_deref(), wrong.message.as_str()), (Some("r1"), "chatId is a UUID"));
        let wrong = ClientFrame::parse(r#"{"type":"nonsense"}"#).expect_err("no frame");
        let all = "subscribe, unsubscribe, message.create, message.update, message.delete, read, typing, broadcast, presence, token, ping";
        assert_eq!(wrong.message, format!("type is none of {all}"));
    }
}
