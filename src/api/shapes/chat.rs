//! A chat as the caller sees it: the answer of every operation that makes, finds or changes one.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use super::EXPECT_READER;
use crate::api::caller::Caller;
use crate::db::{Db, DbError};
use crate::error::{ApiError, overtaken};
use crate::params;
use crate::wire::Timestamp;

/// A chat, as the caller sees it.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// The chat.
    pub id: Uuid,
    /// A short name for links: who knows that of an unlisted room may join it.
    pub uid: String,
    /// What it is.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: ChatType,
    /// Who may find and join it.
    pub visibility: Visibility,
    /// The host application's event it belongs to.
    pub event_id: Option<String>,
    /// Its name. A direct chat is called after the other, a group without a name after its participants.
    pub name: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Whether only owner and moderators write.
    pub read_only: bool,
    /// The first 20 who are in it.
    pub participants: Vec<ChatMember>,
    /// How many are in it.
    pub participant_count: i64,
    /// What was said last.
    pub last_message: Option<LastMessage>,
    /// When.
    pub last_message_at: Option<Timestamp>,
    /// Messages of others that the caller has not read: exact up to 99, 100 stands for more.
    #[oai(validator(minimum(value = "0"), maximum(value = "100")))]
    pub unread_count: i64,
    /// The caller's role; absent for who is not in it.
    pub my_role: Option<Role>,
    /// The chat's highest revision.
    pub head_rev: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One of those in a chat.
#[skip_serializing_none]
#[derive(Debug, Object, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ChatMember {
    /// Who.
    pub id: Uuid,
    /// What they are called.
    pub name: String,
    /// Their handle, if they claimed one.
    pub username: Option<String>,
    /// A picture.
    pub avatar_url: Option<String>,
}

/// What was said last in a chat.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct LastMessage {
    /// The message.
    pub id: Uuid,
    /// Its place in the conversation.
    pub seq: i64,
    /// Who sent it; absent for the system's.
    pub sender_id: Option<Uuid>,
    /// What they are called.
    pub sender_name: Option<String>,
    /// As written.
    pub text: String,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// What a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Deserialize, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ChatType {
    Direct,
    Group,
    Room,
    EventAuthors,
    ApprovedGroup,
}

impl ChatType {
    /// As the database writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Room => "room",
            Self::EventAuthors => "event_authors",
            Self::ApprovedGroup => "approved_group",
        }
    }

    /// From what the database writes.
    pub fn from_text(text: &str) -> Self {
        match text {
            "direct" => Self::Direct,
            "room" => Self::Room,
            "event_authors" => Self::EventAuthors,
            "approved_group" => Self::ApprovedGroup,
            _ => Self::Group,
        }
    }
}

/// Who may find and join a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Deserialize, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum Visibility {
    /// Nobody joins by themselves.
    Private,
    /// Whoever knows the uid joins.
    Unlisted,
    /// Everyone reads and joins.
    Public,
}

impl Visibility {
    /// As the database writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Unlisted => "unlisted",
            Self::Public => "public",
        }
    }

    /// From what the database writes.
    pub fn from_text(text: &str) -> Self {
        match text {
            "public" => Self::Public,
            "unlisted" => Self::Unlisted,
            _ => Self::Private,
        }
    }
}

/// What someone is in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Deserialize, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum Role {
    Owner,
    Moderator,
    Member,
}

impl Role {
    /// As the database writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Moderator => "moderator",
            Self::Member => "member",
        }
    }

    /// From what the database writes.
    pub fn from_text(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "moderator" => Self::Moderator,
            _ => Self::Member,
        }
    }
}
/// Reads one chat as the caller sees it.
///
/// # Errors
/// 404 or 403, as the database says, when they don't see it.
pub async fn read_chat(db: &Db, caller: &Caller, id: Uuid) -> Result<Chat, ApiError> {
    let rows = db.read(caller, ONE, params![id]).await?;
    if let Some(row) = rows.first() {
        Ok(Chat::try_from(row)?)
    } else {
        db.read(caller, EXPECT_READER, params![id]).await?;
        // out of it and in again, between the two questions
        Err(overtaken())
    }
}
impl TryFrom<&Row> for Chat {
    type Error = DbError;

    fn try_from(row: &Row) -> Result<Self, DbError> {
        let participants: serde_json::Value = row.get("participants");
        let last_id: Option<Uuid> = row.get("last_id");
        let role: Option<&str> = row.get("my_role");
        Ok(Self {
            id: row.get("id"),
            uid: row.get("uid"),
            kind: ChatType::from_text(row.get("type")),
            visibility: Visibility::from_text(row.get("visibility")),
            event_id: row.get("event_id"),
            name: row.get("name"),
            topic: row.get("topic"),
            read_only: row.get("read_only"),
            participants: serde_json::from_value(participants).map_err(|error| DbError::Fault(error.to_string()))?,
            participant_count: row.get("participant_count"),
            last_message: last_id.map(|id| LastMessage {
                id,
                seq: row.get("last_seq"),
                sender_id: row.get("last_sender_id"),
                sender_name: row.get("last_sender_name"),
                text: row.get("last_text"),
                created_at: row.get("last_at"),
            }),
            last_message_at: row.get("last_at"),
            unread_count: row.get("unread_count"),
            my_role: role.map(Role::from_text),
            head_rev: row.get("head_rev"),
            created_at: row.get("created_at"),
        })
    }
}
/// The chats of a page (`mine`: id, role, last message) with all that is shown of them.
macro_rules! described_chats {
    ($mine:expr, $order:literal) => {
        concat!(
            "with mine as materialized (",
            $mine,
            ")
select
  c.id, c.uid, c.type, c.visibility, c.event_id, c.topic, c.read_only, c.created_at,
  -- a direct chat is called after the other, here or gone; a group without a name after its first five
  coalesce(c.name, o.other_name, o.members, '') as name,
  o.participants, o.participant_count, o.head_rev,
  mine.last_id, mine.last_seq, mine.last_sender_id, mine.last_text, mine.last_at, o.sender_name as last_sender_name,
  mine.role as my_role,
  case when mine.role is null then 0 else
    (select count(*)
     from (select
           from chat.messages m
           where m.chat_id = c.id
             and m.seq > coalesce((select r.seq from chat.read_markers r where r.chat_id = c.id and r.user_id = (select chat.uid())), 0)
             and m.deleted_at is null
             and m.sender_id is distinct from (select chat.uid())
           limit 100) unread) end as unread_count
from mine
join chat.chats c on c.id = mine.chat_id
join (select o.*
      from (select array(select g.chat_id from mine g), array(select g.last_sender_id from mine g)) a (chats, senders)
      cross join lateral chat.overviews(a.chats, a.senders) o) o on o.chat_id = c.id
order by mine.active_at ",
            $order,
            ", mine.chat_id ",
            $order
        )
    };
}

/// Chats for [`described_chats`]: from where, with the chat as `c` and the asker's participation as `p`, and which.
macro_rules! chats_with_last_message {
    ($from:literal, $which:expr) => {
        concat!(
            "
  select c.id as chat_id, p.role, l.id as last_id, l.seq as last_seq, l.sender_id as last_sender_id, l.text as last_text,
         l.created_at as last_at, coalesce(l.created_at, c.created_at) as active_at
  from ",
            $from,
            "
  left join lateral (
    select m.id, m.seq, m.sender_id, m.text, m.created_at
    from chat.messages m
    where m.chat_id = c.id and m.deleted_at is null
    order by m.seq desc
    limit 1) l on true
  where ",
            $which
        )
    };
}
pub(crate) use {chats_with_last_message, described_chats};

const ONE: &str = described_chats!(
    chats_with_last_message!(
        "chat.chats c
  left join chat.participants p on p.chat_id = c.id and p.user_id = (select chat.uid()) and p.left_at is null",
        "c.id = $1"
    ),
    "desc"
);
