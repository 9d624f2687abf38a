//! The frames of the native protocol: JSON texts `{ "type", "payload", "chatId"?, "rev"?, "ref"? }`. Pure: no socket, no database.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::shapes::change::ChangeKind;
use crate::realtime::asides::Aside;
use crate::realtime::batch::{Event, Form, Seen};
use crate::realtime::presence::State;
use crate::realtime::session::{Since, Told};

/// The longest `ref`, in characters.
const REFERENCE_MAX: usize = 128;

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// Listen to a chat, from a rev on if one is named.
    Subscribe {
        chat: Uuid,
        since: Option<Since>,
    },
    /// Listen to all of one's chats, those one comes to as well; from a position on if one is named.
    SubscribeAll {
        since: Option<String>,
    },
    Unsubscribe {
        chat: Uuid,
    },
    Send {
        chat: Option<Uuid>,
        message: Value,
    },
    Edit {
        chat: Uuid,
        message: Uuid,
        change: Value,
    },
    Delete {
        chat: Uuid,
        message: Uuid,
    },
    Read {
        chat: Uuid,
        seq: i64,
    },
    /// They type, or do no more: the request's body.
    Typing {
        chat: Uuid,
        typing: Value,
    },
    /// They look at it, or do not.
    Presence {
        state: State,
    },
    /// A fresher token of the same person.
    Token {
        token: String,
    },
    Ping,
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
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    chat_id: Value,
    #[serde(default)]
    since: Value,
    #[serde(default)]
    epoch: Value,
    #[serde(default, rename = "ref")]
    reference: Value,
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
        let asked = raw.asked().map_err(|message| wrong(&reference, message))?;
        Ok(Self { reference, asked })
    }
}

impl Raw {
    fn asked(self) -> Result<Asked, String> {
        // beside the payload or in it
        let either = |beside: &Value, name: &str| {
            if beside.is_null() { self.payload.get(name).cloned().unwrap_or_default() } else { beside.clone() }
        };
        let named = either(&self.chat_id, "chatId");
        let chat = || id(&named, "chatId");
        let since = || either(&self.since, "since");
        let message = || id(self.payload.get("id").unwrap_or(&Value::Null), "payload.id");
        match self.kind.as_str() {
            "subscribe" if named == "*" => match since() {
                Value::Null => Ok(Asked::SubscribeAll { since: None }),
                Value::String(position) => Ok(Asked::SubscribeAll { since: Some(position) }),
                _ => Err("since is a position for all chats: a text".to_owned()),
            },
            "subscribe" => {
                let since = match since() {
                    Value::Null => None,
                    Value::Number(rev) => Some(rev.as_i64().filter(|rev| *rev >= 0).ok_or("since is a revision: 0 or more")?),
                    _ => return Err("since is a revision of the chat: a number".to_owned()),
                };
                let epoch = match either(&self.epoch, "epoch") {
                    Value::Null => None,
                    Value::String(epoch) => Some(epoch.into()),
                    _ => return Err("epoch is a text".to_owned()),
                };
                let since = since.map(|rev| Since { rev, epoch });
                Ok(Asked::Subscribe { chat: chat()?, since })
            }
            "unsubscribe" => Ok(Asked::Unsubscribe { chat: chat()? }),
            "message.create" => {
                let chat = if named.is_null() { None } else { Some(chat()?) };
                Ok(Asked::Send { chat, message: body(&self.payload, &["chatId"])? })
            }
            "message.update" => {
                Ok(Asked::Edit { chat: chat()?, message: message()?, change: body(&self.payload, &["chatId", "id"])? })
            }
            "message.delete" => Ok(Asked::Delete { chat: chat()?, message: message()? }),
            "read" => {
                let seq = self.payload.get("seq").and_then(Value::as_i64).ok_or("payload.seq is a number")?;
                Ok(Asked::Read { chat: chat()?, seq })
            }
            "typing" => {
                let payload = if self.payload.is_null() { &json!({}) } else { &self.payload };
                Ok(Asked::Typing { chat: chat()?, typing: body(payload, &["chatId"])? })
            }
            "presence" => match self.payload.get("status").and_then(Value::as_str) {
                Some("online") => Ok(Asked::Presence { state: State::Online }),
                Some("away") => Ok(Asked::Presence { state: State::Away }),
                _ => Err("payload.status is online or away".to_owned()),
            },
            "token" => {
                let token = self.payload.get("token").and_then(Value::as_str).ok_or("payload.token is a text")?;
                Ok(Asked::Token { token: token.to_owned() })
            }
            "ping" => Ok(Asked::Ping),
            _ => Err("type is none of subscribe, unsubscribe, message.create, message.update, message.delete, read, typing, presence, \
                      token, ping"
                .to_owned()),
        }
    }
}

fn id(value: &Value, name: &str) -> Result<Uuid, String> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} is a UUID"))
}

/// The body of the request that a payload stands for: `content` is `text`, and what names the chat or the message is in the path.
fn body(payload: &Value, but: &[&str]) -> Result<Value, String> {
    let Value::Object(fields) = payload else { return Err("payload is an object".to_owned()) };
    let mut body = fields.clone();
    for name in but {
        body.remove(*name);
    }
    if let Some(content) = body.remove("content") {
        body.entry("text").or_insert(content);
    }
    Ok(Value::Object(body))
}

/// A frame of the server's.
pub fn frame(kind: &str, chat: Option<Uuid>, rev: Option<i64>, payload: &Value, reference: Option<&str>) -> String {
    let mut frame = json!({ "type": kind });
    if let Some(chat) = chat {
        frame["chatId"] = json!(chat);
    }
    if let Some(rev) = rev {
        frame["rev"] = json!(rev);
    }
    if let Some(reference) = reference {
        frame["ref"] = json!(reference);
    }
    frame["payload"] = payload.clone();
    frame.to_string()
}

/// What a session tells, as a frame; nothing for what is not one.
pub fn told(told: &Told<'_>) -> Option<String> {
    Some(match told {
        Told::Subscribed { chat, head, epoch, reference } => {
            frame("ack", Some(*chat), None, &json!({ "headRev": head, "epoch": epoch }), *reference)
        }
        Told::Refused { chat, problem, reference } => error(Some(*chat), problem, *reference),
        Told::Live(seen) => live(seen),
        Told::Missed { chat, change } => missed(*chat, change),
        Told::Anew { chat, head } => frame("resync", Some(*chat), Some(*head), &json!({ "chatId": chat, "headRev": head }), None),
        Told::AllAnew => frame("resync", None, None, &json!({ "chatId": "*" }), None),
        Told::Gone { chat } => frame("chat.deleted", Some(*chat), None, &json!({ "id": chat }), None),
        Told::Entered { chat, profile } => frame("chat.created", Some(*chat), None, profile, None),
        Told::Aside(told) => told.encoding(aside).to_owned(),
        Told::Flush => return None,
    })
}

/// The frame of something that stands in no log.
fn aside(aside: &Aside) -> String {
    frame(aside.name(), aside.chat, None, &aside.payload(), None)
}

/// What is wrong, from a problem document.
pub fn error(chat: Option<Uuid>, problem: &Value, reference: Option<&str>) -> String {
    let mut told = problem.clone();
    let message = problem["detail"].as_str().unwrap_or("the server could not answer").to_owned();
    told["message"] = json!(message);
    frame("error", chat, None, &told, reference)
}

/// What is wrong with a frame, by a code of the protocol's own.
pub fn wrong(chat: Option<Uuid>, code: &str, message: &str, reference: Option<&str>) -> String {
    frame("error", chat, None, &json!({ "code": code, "message": message }), reference)
}

/// A live event: all of the frame but its rev, which is not the same for everybody.
fn encode(event: &Event, form: Form) -> String {
    let kind = name(event.kind(form));
    let payload = match (form, &event.change.message_id, serde_json::to_value(&event.change)) {
        (Form::Gone, Some(id), _) => json!({ "id": id }),
        (_, _, Ok(change)) => payload(&change, true),
        (_, _, Err(_)) => Value::Null,
    };
    let mut text = frame(kind, Some(event.change.chat_id), None, &payload, None);
    text.pop();
    text
}

/// The frame of a live event.
fn live(seen: &Seen<'_>) -> String {
    let encoded = seen.event.encoding(seen.form, |event| encode(event, seen.form));
    let mut text = String::with_capacity(encoded.len() + 28);
    text.push_str(encoded);
    text.push_str(",\"rev\":");
    text.push_str(&seen.rev.to_string());
    text.push('}');
    text
}

/// The frame of a change as the API writes it.
fn missed(chat: Uuid, change: &Value) -> String {
    let kind = change.get("kind").and_then(Value::as_str).unwrap_or_default();
    frame(kind, Some(chat), change.get("rev").and_then(Value::as_i64), &payload(change, false), None)
}

/// A message as the API writes it, with the names of a simpler protocol beside ours.
pub fn message(message: &Value) -> Value {
    let mut message = message.clone();
    message["userId"] = message.get("senderId").cloned().unwrap_or_default();
    message["userName"] = message.get("senderName").cloned().unwrap_or_default();
    message["content"] = message["text"].clone();
    message
}

/// What a change is about, as the payload of its frame.
fn payload(change: &Value, is_for_all: bool) -> Value {
    if let Some(message) = change.get("message") {
        let mut message = self::message(message);
        // one text for all who listen: whose reactions they are it cannot say
        if let Some(Value::Array(reactions)) = message.get_mut("reactions").filter(|_| is_for_all) {
            for reaction in reactions.iter_mut().filter_map(Value::as_object_mut) {
                reaction.remove("mine");
            }
        }
        return message;
    }
    if let Some(id) = change.get("messageId") {
        return json!({ "id": id });
    }
    if let Some(id) = change.get("userId") {
        return json!({ "userId": id });
    }
    let mut payload = change.get("participant").or_else(|| change.get("chat")).cloned().unwrap_or_else(|| json!({}));
    // how far somebody has read is for those in the chat, and a public room has other readers
    if let Some(fields) = payload.as_object_mut().filter(|_| is_for_all) {
        fields.remove("lastReadSeq");
    }
    payload
}

/// What a frame about a change is called that the API wrote.
pub fn name_of(change: &Value) -> &'static str {
    serde_json::from_value(change["kind"].clone()).map_or("", name)
}

/// What a frame about a change is called.
pub fn name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::MessageCreated => "message.created",
        ChangeKind::MessageUpdated => "message.updated",
        ChangeKind::MessageDeleted => "message.deleted",
        ChangeKind::ParticipantJoined => "participant.joined",
        ChangeKind::ParticipantUpdated => "participant.updated",
        ChangeKind::ParticipantLeft => "participant.left",
        ChangeKind::ChatUpdated => "chat.updated",
        ChangeKind::ChatDeleted => "chat.deleted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Asked {
        ClientFrame::parse(text).expect("a frame").asked
    }

    #[test]
    fn a_chat_is_named_beside_the_payload_or_in_it() {
        let chat = Uuid::from_u128(7);
        let asked = Asked::Subscribe { chat, since: Some(Since { rev: 3, epoch: None }) };
        assert_eq!(parse(&format!(r#"{{"type":"subscribe","chatId":"{chat}","since":3}}"#)), asked);
        assert_eq!(parse(&format!(r#"{{"type":"subscribe","payload":{{"chatId":"{chat}","since":3}}}}"#)), asked);
        assert_eq!(parse(r#"{"type":"subscribe","chatId":"*"}"#), Asked::SubscribeAll { since: None });
    }

    #[test]
    fn a_simple_client_says_content_and_names_no_chat() {
        let asked = parse(r#"{"type":"message.create","payload":{"content":"hello"}}"#);
        assert_eq!(asked, Asked::Send { chat: None, message: json!({ "text": "hello" }) });
    }

    #[test]
    fn what_is_no_frame_is_said_to_be_wrong_with_its_ref() {
        for text in ["", "[]", "{}", r#"{"type":"subscribe"}"#, r#"{"type":"nonsense"}"#, r#"{"type":"read","chatId":"x"}"#] {
            assert!(ClientFrame::parse(text).is_err(), "{text}");
        }
        let wrong = ClientFrame::parse(r#"{"type":"unsubscribe","ref":"r1"}"#).expect_err("no chat");
        assert_eq!((wrong.reference.as_deref(), wrong.message.as_str()), (Some("r1"), "chatId is a UUID"));
    }
}
