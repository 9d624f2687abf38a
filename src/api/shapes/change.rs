//! A change in a chat, as the caller is told of it.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use super::chat::{ChatType, Visibility};
use super::message::Message;
use super::participant::Participant;
use crate::db::DbError;
use crate::wire::Timestamp;

/// Something that changed in a chat: what it is now, not what it was in between.
///
/// What people are called, and what a message quotes, changes without the message: both are as they are at the time of the answer.
#[skip_serializing_none]
#[derive(Debug, Clone, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// Where.
    pub chat_id: Uuid,
    /// Its place in the order of the chat's changes.
    pub rev: i64,
    /// The message, of `message.created` and `message.updated`; of `message.deleted` to those who see deleted messages.
    pub message: Option<Message>,
    /// The message, of `message.deleted`.
    pub message_id: Option<Uuid>,
    /// Who came or has another role, of `participant.joined` and `participant.updated`.
    pub participant: Option<Participant>,
    /// Who left or was removed, of `participant.left`.
    pub user_id: Option<Uuid>,
    /// The chat, of `chat.updated`.
    pub chat: Option<ChatProfile>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
pub enum ChangeKind {
    /// A message was sent.
    #[oai(rename = "message.created")]
    #[serde(rename = "message.created")]
    MessageCreated,
    /// It was edited, pinned, unpinned, reacted to or erased.
    #[oai(rename = "message.updated")]
    #[serde(rename = "message.updated")]
    MessageUpdated,
    /// It is gone, at least for the caller.
    #[oai(rename = "message.deleted")]
    #[serde(rename = "message.deleted")]
    MessageDeleted,
    /// Someone came.
    #[oai(rename = "participant.joined")]
    #[serde(rename = "participant.joined")]
    ParticipantJoined,
    /// Their role changed.
    #[oai(rename = "participant.updated")]
    #[serde(rename = "participant.updated")]
    ParticipantUpdated,
    /// They left or were removed.
    #[oai(rename = "participant.left")]
    #[serde(rename = "participant.left")]
    ParticipantLeft,
    /// Its name, topic, visibility, or who may write.
    #[oai(rename = "chat.updated")]
    #[serde(rename = "chat.updated")]
    ChatUpdated,
    /// It is gone.
    #[oai(rename = "chat.deleted")]
    #[serde(rename = "chat.deleted")]
    ChatDeleted,
}

/// What a chat is, to whoever reads it.
#[skip_serializing_none]
#[derive(Debug, Clone, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct ChatProfile {
    /// The chat.
    pub id: Uuid,
    /// A short name for links.
    pub uid: String,
    /// What it is.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: ChatType,
    /// Who may find and join it.
    pub visibility: Visibility,
    /// Its name; absent where it is called after the people in it.
    pub name: Option<String>,
    /// What it is about.
    pub topic: Option<String>,
    /// Whether only owner and moderators write.
    pub read_only: bool,
}

impl Change {
    /// Reads a key and its row. A message without a row is gone, also one that came and went: who listed the chat in between has it.
    ///
    /// # Errors
    /// When the row is not what the statement promised.
    pub fn read(row: &Row) -> Result<Self, DbError> {
        let id: Uuid = row.get("row_id");
        let is_new: bool = row.get("is_new");
        let mut change = Self {
            kind: ChangeKind::MessageDeleted,
            chat_id: row.get("at_chat_id"),
            rev: row.get("at_rev"),
            message: None,
            message_id: None,
            participant: None,
            user_id: None,
            chat: None,
        };
        match row.get("what") {
            "message" => {
                let seen = row.get::<_, Option<Uuid>>("id").map(|_| Message::try_from(row)).transpose()?;
                match &seen {
                    Some(message) if message.deleted_at.is_none() => {
                        change.kind = if is_new { ChangeKind::MessageCreated } else { ChangeKind::MessageUpdated };
                    }
                    _ => change.message_id = Some(id),
                }
                change.message = seen;
            }
            "removed message" => change.message_id = Some(id),
            "participant" if row.get::<_, Option<bool>>("is_in") == Some(true) => {
                change.kind = if is_new { ChangeKind::ParticipantJoined } else { ChangeKind::ParticipantUpdated };
                change.participant = Some(Participant {
                    user_id: id,
                    name: row.get("participant_name"),
                    avatar_url: row.get("participant_avatar_url"),
                    role: super::chat::Role::from_text(row.get("participant_role")),
                    joined_at: row.get::<_, Timestamp>("participant_joined_at"),
                    last_read_seq: row.get("participant_last_read_seq"),
                });
            }
            "participant" | "removed participant" => {
                change.kind = ChangeKind::ParticipantLeft;
                change.user_id = Some(id);
            }
            "chat" => {
                change.chat = row.get::<_, Option<String>>("chat_uid").map(|uid| ChatProfile {
                    id,
                    uid,
                    kind: ChatType::from_text(row.get("chat_type")),
                    visibility: Visibility::from_text(row.get("chat_visibility")),
                    name: row.get("chat_name"),
                    topic: row.get("chat_topic"),
                    read_only: row.get("chat_read_only"),
                });
                change.kind = if change.chat.is_some() { ChangeKind::ChatUpdated } else { ChangeKind::ChatDeleted };
            }
            other => return Err(DbError::Fault(format!("the database told of a {other}"))),
        }
        Ok(change)
    }
}

/// The keys that a function of the database gives, each with its row as the asker sees it: one statement, so one snapshot.
macro_rules! changes {
    ($keys:literal) => {
        $crate::api::shapes::change::changes!($keys, "")
    };
    // with further columns of the keys
    ($keys:literal, $further:literal) => {
        concat!(
            "with keys as materialized (",
            $keys,
            "), ",
            "page as materialized (
  select ",
            $crate::api::shapes::message::message_columns!(),
            "
  from keys k
  join chat.messages m on m.chat_id = k.chat_id and m.id = k.row_id
  where k.what = 'message'
), names as materialized (
  select p.chat_id, p.user_id, p.display_name, p.username, p.avatar_url
  from (select array_agg(g.chat_id) as chats, array_agg(g.user_id) as users
        from (select g.chat_id, g.sender_id as user_id from page g
              union
              select k.chat_id, k.row_id from keys k where k.what = 'participant') g) g
  cross join chat.names(g.chats, g.users) p)
select
  k.chat_id as at_chat_id, k.rev as at_rev, k.what, k.row_id, k.is_new, k.head_rev, k.epoch, k.next_position,",
            $further,
            "
  ",
            $crate::api::shapes::message::message_columns!(),
            ", n.display_name as sender_name, n.username as sender_username,
  p.left_at is null and p.role is not null and i.display_name is not null as is_in, p.role as participant_role,
  p.joined_at as participant_joined_at, i.display_name as participant_name, i.avatar_url as participant_avatar_url,
  coalesce(r.seq, 0) as participant_last_read_seq,
  c.uid as chat_uid, c.type as chat_type, c.visibility as chat_visibility, c.name as chat_name, c.topic as chat_topic,
  c.read_only as chat_read_only
from keys k
left join page m on k.what = 'message' and m.chat_id = k.chat_id and m.id = k.row_id
left join names n on n.chat_id = m.chat_id and n.user_id = m.sender_id
left join chat.participants p on k.what = 'participant' and p.chat_id = k.chat_id and p.user_id = k.row_id
left join names i on i.chat_id = p.chat_id and i.user_id = p.user_id
left join chat.read_markers r on r.chat_id = p.chat_id and r.user_id = p.user_id
left join chat.chats c on k.what = 'chat' and c.id = k.chat_id
order by k.place"
        )
    };
}
pub(crate) use changes;
