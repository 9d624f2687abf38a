//! What the server says: every frame with its payload. A new one is a line of the table, and a payload.

use poem_openapi::registry::MetaSchemaRef;
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{Object, Union};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;
use std::borrow::Cow;
use uuid::Uuid;

use super::told::{ToldBroadcast, ToldMessage, ToldParticipant, ToldPresence, ToldRead, ToldTyping};
use crate::api::shapes::change::{ChangeKind, ChatProfile};

super::spec::server_frames! {
    /// The first frame: who the token says they are, and where their chats stand.
    Hello(Hello) = "hello", at [Socket], with [], may [];
    /// What was asked for is done. Of a request of the API's it bears the answer.
    Ack(Answer) = "ack", at [Socket], with [], may [Chat, Reference];
    /// What was asked for is not done: the API's problem document, with `message` beside it. A frame that cannot be read has the code
    /// `frame_is_malformed`.
    Error(Failure) = "error" extends "Problem", at [Socket], with [], may [Chat, Reference];
    /// The answer to `ping`.
    Pong(Nothing) = "pong", at [Socket], with [], may [Reference];
    /// The token ends in a minute: send another, or be closed with 4401.
    TokenExpiring(Expiring) = "token.expiring", at [Socket], with [], may [];
    /// The stream of one chat has begun. What was missed comes next.
    Subscribed(Subscribed) = "subscribed", at [ChatStream], with [Chat], may [];
    /// The stream of all chats has begun.
    Position(Position) = "position", at [Stream], with [], may [];
    /// A message was sent.
    MessageCreated(Box<ToldMessage>) = "message.created", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// A message was edited, pinned, unpinned, reacted to or erased.
    MessageUpdated(Box<ToldMessage>) = "message.updated", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// A message is gone: its id, or the whole of it to who sees deleted messages.
    MessageDeleted(Deleted) = "message.deleted", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// Someone came to the chat.
    ParticipantJoined(ToldParticipant) = "participant.joined", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// Someone's role changed.
    ParticipantUpdated(ToldParticipant) = "participant.updated", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// Someone left or was removed.
    ParticipantLeft(Left) = "participant.left", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// The one who listens to all of their chats came to this one.
    ChatCreated(ChatAnswer) = "chat.created", at [Socket, Stream], with [Chat], may [];
    /// The chat's name, topic, visibility, or who may write.
    ChatUpdated(ChatProfile) = "chat.updated", at [Socket, ChatStream, Stream], with [Chat, Rev], may [];
    /// The chat is gone, for the one who is told: they left, were removed, it was closed or ended.
    ChatDeleted(Gone) = "chat.deleted", at [Socket, ChatStream, Stream], with [Chat], may [Rev];
    /// Forget what is kept of the chat, or of all, and list it anew.
    Resync(Resync) = "resync", at [Socket, ChatStream, Stream], with [], may [Chat, Rev];
    /// Someone has read further.
    Read(ToldRead) = "read", at [Socket, ChatStream, Stream], with [Chat], may [];
    /// Someone types, or does no more.
    Typing(ToldTyping) = "typing", at [Socket, ChatStream, Stream], with [Chat], may [];
    /// Someone with whom one shares a chat that is listened to came, went, or looks elsewhere.
    Presence(ToldPresence) = "presence", at [Socket, ChatStream, Stream], with [], may [];
    /// A client, or the host application, tells those who are in the chat something that nobody keeps.
    Broadcast(ToldBroadcast) = "broadcast", at [Socket, ChatStream, Stream], with [Chat], may [];
}

impl From<ChangeKind> for Kind {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::MessageCreated => Self::MessageCreated,
            ChangeKind::MessageUpdated => Self::MessageUpdated,
            ChangeKind::MessageDeleted => Self::MessageDeleted,
            ChangeKind::ParticipantJoined => Self::ParticipantJoined,
            ChangeKind::ParticipantUpdated => Self::ParticipantUpdated,
            ChangeKind::ParticipantLeft => Self::ParticipantLeft,
            ChangeKind::ChatUpdated => Self::ChatUpdated,
            ChangeKind::ChatDeleted => Self::ChatDeleted,
        }
    }
}

/// A frame as it is sent.
#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    chat_id: Option<Uuid>,
    rev: Option<i64>,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    payload: &'a ServerFrame,
}

impl ServerFrame {
    /// The text of the frame, with what stands beside its payload.
    pub fn text(&self, chat_id: Option<Uuid>, rev: Option<i64>, reference: Option<&str>) -> String {
        let frame = Envelope { kind: self.kind().as_str(), chat_id, rev, reference, payload: self };
        // payloads have texts as keys and nothing in them that refuses to be written
        serde_json::to_string(&frame).unwrap_or_default()
    }
}

/// Who the token says they are, and where their chats stand.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// Who the token says they are; absent for who has no account.
    pub authenticated_user: Option<UserAnswer>,
    /// The chats they are in, the last active first: 200 at most.
    pub chats: Vec<HeadOfChat>,
    /// Whether they are in more.
    pub more: bool,
    /// From where on `subscribe` with `*`, or a stream of all chats, tells what happens from now on.
    pub position: String,
    /// The life of the database in which it says so.
    pub epoch: String,
    /// The chat of those who name none, if there is one: they are in it and listen to it.
    pub lobby: Option<Uuid>,
    /// Who is in the lobby: 500 at most.
    pub users: Option<Vec<SomeoneThere>>,
    /// The lobby's latest 50 messages, the oldest first.
    pub messages: Option<Vec<ToldMessage>>,
}

/// Someone in the lobby.
#[derive(Debug, Object, Serialize)]
pub struct SomeoneThere {
    /// Who.
    pub id: Uuid,
    /// What they are called.
    pub name: String,
}

/// Where a chat stands.
#[derive(Debug, Object, Serialize, Deserialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct HeadOfChat {
    /// The chat.
    pub id: Uuid,
    /// Its highest revision.
    pub head_rev: i64,
}

/// What an `ack` says, by what was asked for.
#[derive(Debug, Union, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `subscribe`, of one chat.
    Subscribed(Subscribed),
    /// To `subscribe`, of all chats.
    Position(Position),
    /// To `message.create` and `message.update`.
    Message(MessageAnswer),
    /// To `read`.
    Read(ReadAnswer),
    /// To `broadcast`.
    Broadcast(BroadcastAnswer),
    /// To everything else.
    Nothing(Nothing),
}

/// From where on a chat is told of.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// The chat's highest revision.
    pub head_rev: i64,
    /// The life of the database that it holds in: named with `since` when one comes back.
    pub epoch: String,
}

/// From where on all chats are told of.
#[derive(Debug, Object, Serialize)]
pub struct Position {
    /// Named as `since` when one comes back.
    pub position: String,
}

/// Nothing more than that.
#[derive(Debug, Object, Serialize)]
pub struct Nothing {}

/// What went wrong.
#[derive(Debug, Object, Serialize)]
pub struct Failure {
    /// A stable name to tell problems apart: a broken rule's name.
    pub code: String,
    /// What is particular about this one.
    pub message: String,
    /// The problem document that the API answered with, if it was asked.
    #[oai(skip)]
    #[serde(flatten)]
    pub problem: Map<String, Value>,
}

impl Failure {
    /// What a problem document says.
    pub fn of(problem: &Value) -> Self {
        let mut problem = problem.as_object().cloned().unwrap_or_default();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let message = text(problem.get("detail")).unwrap_or_else(|| "the server could not answer".to_owned());
        let code = text(problem.shift_remove("code").as_ref()).unwrap_or_else(|| "unavailable".to_owned());
        Self { code, message, problem }
    }

    /// What is wrong with a frame, by a code of the protocol's own.
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned(), problem: Map::new() }
    }
}

/// How long a token lasts.
#[derive(Debug, Object, Serialize)]
pub struct Expiring {
    /// Seconds until it ends.
    pub seconds: u64,
}

/// A message that is gone.
#[derive(Debug, Union, Serialize)]
#[serde(untagged)]
pub enum Deleted {
    /// To who sees deleted messages: with `deletedAt`.
    Message(Box<ToldMessage>),
    /// To everybody else, and where it is gone for good.
    Id(Gone),
}

/// Something that is gone.
#[derive(Debug, Object, Serialize)]
pub struct Gone {
    /// What was called so.
    pub id: Uuid,
}

/// Who left, or was removed.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Who.
    pub user_id: Uuid,
}

/// What is to be listed anew.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Resync {
    /// The chat, or `*`: all of them.
    #[oai(validator(pattern = r"^(\*|[0-9a-f-]{36})$"))]
    pub chat_id: String,
    /// The chat's highest revision: what happens after it is told.
    pub head_rev: Option<i64>,
    /// The life of the database that it is of, to be named with it.
    pub epoch: Option<String>,
}

/// What the API answered, passed on as it wrote it: by the name of its schema in the API's own document.
macro_rules! answers_of_the_api {
    ($($(#[doc = $doc:literal])+ $answer:ident = $schema:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Serialize)]
        #[serde(transparent)]
        pub struct $answer(pub Value);

        impl Type for $answer {
            const IS_REQUIRED: bool = true;
            type RawValueType = Value;
            type RawElementValueType = Value;

            fn name() -> Cow<'static, str> {
                $schema.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Reference($schema.to_owned())
            }

            fn as_raw_value(&self) -> Option<&Value> {
                Some(&self.0)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
                Box::new(std::iter::once(&self.0))
            }
        }

        impl ToJSON for $answer {
            fn to_json(&self) -> Option<Value> {
                Some(self.0.clone())
            }
        }

        impl ParseFromJSON for $answer {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                value.map(Self).ok_or_else(ParseError::expected_input)
            }
        }
    )+};
}

answers_of_the_api! {
    /// Someone.
    UserAnswer = "User";
    /// A chat.
    ChatAnswer = "Chat";
    /// A message.
    MessageAnswer = "Message";
    /// How far someone has read.
    ReadAnswer = "ReadMarker";
    /// What was broadcast.
    BroadcastAnswer = "Broadcast";
}
