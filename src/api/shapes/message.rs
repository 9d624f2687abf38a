//! A message as the caller sees it.

use poem_openapi::{Enum, Object};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::wire::Timestamp;

/// A message.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Message {
    /// Chosen by its sender, or given.
    pub id: Uuid,
    /// Where it was said.
    pub chat_id: Uuid,
    /// Its place in the conversation: higher is later; numbers are missing.
    #[oai(validator(minimum(value = "1")))]
    pub seq: i64,
    /// The chat's revision at which it last changed.
    #[oai(validator(minimum(value = "1")))]
    pub rev: i64,
    /// Whose it is.
    pub kind: MessageKind,
    /// Who sent it; absent for the system's.
    pub sender_id: Option<Uuid>,
    /// What they are called.
    pub sender_name: Option<String>,
    /// As written.
    pub text: String,
    /// The message it answers.
    pub reply_to_id: Option<Uuid>,
    /// What comes with it.
    pub attachment_url: Option<String>,
    /// Whom it mentions.
    pub mentions: Vec<Uuid>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
    /// When it was pinned.
    pub pinned_at: Option<Timestamp>,
    /// When it was deleted: seen by owner and moderators.
    pub deleted_at: Option<Timestamp>,
}

/// Whose a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum MessageKind {
    User,
    Assistant,
    System,
}
impl From<&Row> for Message {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            chat_id: row.get("chat_id"),
            seq: row.get("seq"),
            rev: row.get("rev"),
            kind: match row.get("kind") {
                "assistant" => MessageKind::Assistant,
                "system" => MessageKind::System,
                _ => MessageKind::User,
            },
            sender_id: row.get("sender_id"),
            sender_name: row.get("sender_name"),
            text: row.get("text"),
            reply_to_id: row.get("reply_to_id"),
            attachment_url: row.get("attachment_url"),
            mentions: row.get("mentions"),
            created_at: row.get("created_at"),
            edited_at: row.get("edited_at"),
            pinned_at: row.get("pinned_at"),
            deleted_at: row.get("deleted_at"),
        }
    }
}
/// The columns of `chat.messages` as `m` that make a [`Message`], but for the sender's name.
macro_rules! message_columns {
    () => {
        "m.id, m.chat_id, m.seq, m.rev, m.kind, m.sender_id, m.text, m.reply_to_id, m.attachment_url, m.mentions, \
         m.created_at, m.edited_at, m.pinned_at, m.deleted_at"
    };
}

/// A page of rows of `chat.messages` as `m`, with its senders' names, looked up once for the page.
macro_rules! named_messages {
    ($page:expr, $order:literal) => {
        concat!(
            "with page as materialized (",
            $page,
            ")
select ",
            $crate::api::shapes::message::message_columns!(),
            ", n.display_name as sender_name
from page m
left join chat.people($1, array(select distinct g.sender_id from page g)) n on n.user_id = m.sender_id
order by m.seq ",
            $order
        )
    };
}
pub(crate) use {message_columns, named_messages};
