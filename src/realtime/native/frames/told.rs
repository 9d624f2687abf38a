//! What changed, as frames tell it: the API's shapes, as somebody who listens sees them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::server::{Deleted, Gone, Kind, Left, ServerFrame};
use crate::api::shapes::change::{Change, ChangeKind};
use crate::api::shapes::chat::Role;
use crate::api::shapes::message::{Message, MessageKind, QuotedMessage, Reaction};
use crate::api::shapes::participant::Participant;
use crate::realtime::asides::{Content, TYPING_LASTS, What};
use crate::wire::Timestamp;

/// For whom a frame is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// One who listens, and read it through the API.
    One,
    /// All who listen: one text, which cannot say what is particular to each of them.
    All,
}

/// A message, as frames tell it: as the API shows it, and in the words of a simpler protocol.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ToldMessage {
    /// Chosen by its sender, or given.
    pub id: Uuid,
    /// Where it was said.
    pub chat_id: Uuid,
    /// Its place in the conversation: higher is later; numbers are missing.
    pub seq: i64,
    /// The chat's revision at which it last changed.
    pub rev: i64,
    /// Whose it is.
    pub kind: MessageKind,
    /// Who sent it; absent for the system's.
    pub sender_id: Option<Uuid>,
    /// What they are called.
    pub sender_name: Option<String>,
    /// Their handle, if they claimed one.
    pub sender_username: Option<String>,
    /// As written.
    pub text: String,
    /// The message it answers.
    pub reply_to_id: Option<Uuid>,
    /// That message as it is now; absent where it is told as it happens, to all at once.
    pub reply_to: Option<QuotedMessage>,
    /// What comes with it.
    pub attachment_url: Option<String>,
    /// Whom it mentions.
    pub mentions: Vec<Uuid>,
    /// How people reacted, in the order in which the emoji came.
    pub reactions: Vec<ToldReaction>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
    /// When it was pinned.
    pub pinned_at: Option<Timestamp>,
    /// When it was deleted: seen by owner and moderators.
    pub deleted_at: Option<Timestamp>,
    /// When its words were erased, with the person who sent it: its text is `[erased]`.
    pub erased_at: Option<Timestamp>,
    /// `senderId`, by another name.
    pub user_id: Option<Uuid>,
    /// `senderName`, by another name.
    pub user_name: Option<String>,
    /// `text`, by another name.
    pub content: String,
}

/// How many people reacted to a message with one emoji.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ToldReaction {
    /// The emoji, or the name of one that the application draws.
    pub emoji: String,
    /// How many people.
    pub count: i64,
    /// Whether the one who is told is among them; absent where it is told as it happens, to all at once.
    pub mine: Option<bool>,
}

/// Someone in a chat, as frames tell it.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ToldParticipant {
    /// Who.
    pub user_id: Uuid,
    /// What they are called.
    pub name: String,
    /// A picture.
    pub avatar_url: Option<String>,
    /// What they are in the chat.
    pub role: Role,
    /// When they came.
    pub joined_at: Timestamp,
    /// The `seq` of the message up to which they have read; absent where it is told as it happens, to all at once.
    pub last_read_seq: Option<i64>,
}

/// How far someone has read.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct ToldRead {
    /// Who.
    pub user_id: Uuid,
    /// The `seq` of the message up to which they have read.
    pub last_read_seq: i64,
}

/// Whether someone types.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ToldTyping {
    /// Who.
    pub user_id: Uuid,
    /// Whether they do.
    pub is_typing: bool,
    /// After how many milliseconds it is to be forgotten that they do; absent where they do no more.
    pub expires_in_ms: Option<u64>,
}

/// What a client tells the others.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ToldBroadcast {
    /// As `sendBroadcast` answered it.
    pub id: i64,
    /// Who tells it; absent for the host application.
    pub user_id: Option<Uuid>,
    /// What it is about.
    pub event: String,
    /// What is told: any JSON; absent where that is null.
    pub payload: Option<Value>,
    /// What is told where it is no JSON, in base64.
    pub bytes: Option<String>,
}

/// Whether someone is here.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ToldPresence {
    /// Who.
    pub user_id: Uuid,
    /// `online`, `away` or `offline`.
    #[oai(validator(pattern = "^(online|away|offline)$"))]
    pub status: String,
    /// When who is offline was last active, to a few minutes.
    pub last_active_at: Option<Timestamp>,
}

impl ToldMessage {
    /// A message, told to somebody.
    pub fn new(message: Message, whom: For) -> Self {
        // a field that the API gets is one of these as well
        let Message {
            id,
            chat_id,
            seq,
            rev,
            kind,
            sender_id,
            sender_name,
            sender_username,
            text,
            reply_to_id,
            reply_to,
            attachment_url,
            mentions,
            reactions,
            created_at,
            edited_at,
            pinned_at,
            deleted_at,
            erased_at,
        } = message;
        let told = |Reaction { emoji, count, mine }| ToldReaction { emoji, count, mine: (whom == For::One).then_some(mine) };
        Self {
            user_id: sender_id,
            user_name: sender_name.clone(),
            content: text.clone(),
            reactions: reactions.into_iter().map(told).collect(),
            id,
            chat_id,
            seq,
            rev,
            kind,
            sender_id,
            sender_name,
            sender_username,
            text,
            reply_to_id,
            reply_to,
            attachment_url,
            mentions,
            created_at,
            edited_at,
            pinned_at,
            deleted_at,
            erased_at,
        }
    }
}

impl ToldParticipant {
    fn new(participant: Participant, whom: For) -> Self {
        let Participant { user_id, name, avatar_url, role, joined_at, last_read_seq } = participant;
        // how far somebody has read is for those in the chat, and a public room has other readers
        let last_read_seq = (whom == For::One).then_some(last_read_seq);
        Self { user_id, name, avatar_url, role, joined_at, last_read_seq }
    }
}

impl Kind {
    /// The frame that tells an aside; none for what these protocols do not tell.
    pub fn of_aside(what: &What) -> Option<Self> {
        Some(match what {
            What::Read { .. } => Self::Read,
            What::Typing { .. } => Self::Typing,
            What::Presence { .. } => Self::Presence,
            What::Broadcast { .. } => Self::Broadcast,
            // told by the protocols whose clients say something of themselves
            What::Tracked { .. } | What::TrackedAnew => return None,
        })
    }
}

impl ServerFrame {
    /// The frame of a change, told as of a kind. What comes without its row is gone for the one who is told.
    pub fn of_change(kind: ChangeKind, change: &Change, whom: For) -> Self {
        let message = || change.message.as_ref().map(|message| Box::new(ToldMessage::new(message.clone(), whom)));
        let participant = || change.participant.as_ref().map(|participant| ToldParticipant::new(participant.clone(), whom));
        let told = match kind {
            ChangeKind::MessageCreated => message().map(Self::MessageCreated),
            ChangeKind::MessageUpdated => message().map(Self::MessageUpdated),
            ChangeKind::MessageDeleted => message().map(|message| Self::MessageDeleted(Deleted::Message(message))),
            ChangeKind::ParticipantJoined => participant().map(Self::ParticipantJoined),
            ChangeKind::ParticipantUpdated => participant().map(Self::ParticipantUpdated),
            ChangeKind::ChatUpdated => change.chat.clone().map(Self::ChatUpdated),
            ChangeKind::ParticipantLeft | ChangeKind::ChatDeleted => None,
        };
        told.unwrap_or_else(|| Self::of_what_is_gone(change))
    }

    /// The frame of what stands in no log.
    pub fn of_aside(what: &What) -> Option<Self> {
        Some(match what {
            What::Read { user, seq } => Self::Read(ToldRead { user_id: *user, last_read_seq: *seq }),
            What::Typing { user, is_typing } => {
                let lasts = u64::try_from(TYPING_LASTS.as_millis()).unwrap_or(u64::MAX);
                let expires_in_ms = is_typing.then_some(lasts);
                Self::Typing(ToldTyping { user_id: *user, is_typing: *is_typing, expires_in_ms })
            }
            What::Presence { user, status, last_active_at } => {
                Self::Presence(ToldPresence { user_id: *user, status: status.clone(), last_active_at: *last_active_at })
            }
            What::Broadcast { id, user, event, content } => {
                let (payload, bytes) = match content {
                    Content::Json(Value::Null) => (None, None),
                    Content::Json(payload) => (Some(payload.clone()), None),
                    Content::Bytes(bytes) => (None, Some(STANDARD.encode(bytes))),
                };
                Self::Broadcast(ToldBroadcast { id: *id, user_id: *user, event: event.clone(), payload, bytes })
            }
            What::Tracked { .. } | What::TrackedAnew => return None,
        })
    }

    /// The frame of a change of which no more is told than that it is gone.
    pub fn of_what_is_gone(change: &Change) -> Self {
        match (change.message_id, change.user_id) {
            (Some(id), _) => Self::MessageDeleted(Deleted::Id(Gone { id })),
            (_, Some(user_id)) => Self::ParticipantLeft(Left { user_id }),
            _ => Self::ChatDeleted(Gone { id: change.chat_id }),
        }
    }
}
