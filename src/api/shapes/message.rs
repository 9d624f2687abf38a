//! A message as the caller sees it.

use poem_openapi::{Enum, Object};
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::api::caller::Caller;
use crate::db::{Db, DbError};
use crate::error::{ApiError, overtaken};
use crate::params;
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
    /// That message as it is now; absent where it is deleted or the caller may not read it.
    pub reply_to: Option<QuotedMessage>,
    /// What comes with it.
    pub attachment_url: Option<String>,
    /// Whom it mentions.
    pub mentions: Vec<Uuid>,
    /// How people reacted, in the order in which the emoji came.
    pub reactions: Vec<Reaction>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
    /// When it was pinned.
    pub pinned_at: Option<Timestamp>,
    /// When it was deleted: seen by owner and moderators.
    pub deleted_at: Option<Timestamp>,
}

/// A message as another one shows it that answers it.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct QuotedMessage {
    /// The message.
    pub id: Uuid,
    /// Its place in the conversation.
    #[oai(validator(minimum(value = "1")))]
    pub seq: i64,
    /// Who sent it; absent for the system's.
    pub sender_id: Option<Uuid>,
    /// What they are called.
    pub sender_name: Option<String>,
    /// How it begins: its first 200 characters.
    pub text: String,
}

/// How many people reacted to a message with one emoji.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase")]
pub struct Reaction {
    /// The emoji, or the name of one that the application draws.
    pub emoji: String,
    /// How many people.
    #[oai(validator(minimum(value = "1")))]
    pub count: i64,
    /// Whether the caller is among them.
    #[serde(skip)]
    pub mine: bool,
}

/// Whose a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum MessageKind {
    User,
    Assistant,
    System,
}
impl TryFrom<&Row> for Message {
    type Error = DbError;

    fn try_from(row: &Row) -> Result<Self, DbError> {
        let quoted_seq: Option<i64> = row.get("quoted_seq");
        let quoted_id: Option<Uuid> = row.get("reply_to_id");
        Ok(Self {
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
            reply_to_id: quoted_id,
            reply_to: quoted_id.zip(quoted_seq).map(|(id, seq)| QuotedMessage {
                id,
                seq,
                sender_id: row.get("quoted_sender_id"),
                sender_name: row.get("quoted_sender_name"),
                text: row.get("quoted_text"),
            }),
            attachment_url: row.get("attachment_url"),
            mentions: row.get("mentions"),
            reactions: reactions(row)?,
            created_at: row.get("created_at"),
            edited_at: row.get("edited_at"),
            pinned_at: row.get("pinned_at"),
            deleted_at: row.get("deleted_at"),
        })
    }
}

/// The reactions that the message counts, and which of them are the caller's.
fn reactions(row: &Row) -> Result<Vec<Reaction>, DbError> {
    let Some(counted): Option<serde_json::Value> = row.get("reactions") else { return Ok(Vec::new()) };
    let mut reactions: Vec<Reaction> = serde_json::from_value(counted).map_err(|error| DbError::Fault(error.to_string()))?;
    let mine: Vec<String> = row.get::<_, Option<_>>("my_reactions").unwrap_or_default();
    for reaction in &mut reactions {
        reaction.mine = mine.contains(&reaction.emoji);
    }
    Ok(reactions)
}

/// The columns of `chat.messages` as `m` that make a [`Message`], but for what [`described_messages`] adds.
macro_rules! message_columns {
    () => {
        "m.id, m.chat_id, m.seq, m.rev, m.kind, m.sender_id, m.text, m.reply_to_id, m.attachment_url, m.mentions, m.reactions, \
         m.created_at, m.edited_at, m.pinned_at, m.deleted_at"
    };
}

/// What a [`Message`] has besides, of a message just sent that answers none.
macro_rules! sent_message {
    () => {
        "(select u.display_name from chat.users u where u.id = (select chat.uid())) as sender_name, \
         null::bigint as quoted_seq, null::text[] as my_reactions"
    };
}

/// What is shown of rows of `chat.messages` as `m`, as parts of a WITH: `page`, the rows with what they answer; `names`, what people are
/// called.
macro_rules! described {
    ($rows:expr, $names:expr) => {
        concat!(
            "chosen as materialized (",
            $rows,
            "), page as materialized (
  select ",
            $crate::api::shapes::message::message_columns!(),
            ", q.seq as quoted_seq, q.sender_id as quoted_sender_id, q.text as quoted_text
  from chosen m
  left join lateral (
    select g.seq, g.sender_id, left(g.text, 200) as text
    from chat.messages g
    where g.chat_id = m.chat_id and g.id = m.reply_to_id and g.deleted_at is null
    limit 1) q on true
), names as materialized (",
            $names,
            ")"
        )
    };
}

/// The fields of a [`Message`], from `page` as `m`, `names` as `n` and `o` for what it answers. The asker's reactions are looked for only
/// where the message counts any.
macro_rules! message_fields {
    () => {
        concat!(
            $crate::api::shapes::message::message_columns!(),
            ", m.quoted_seq, m.quoted_sender_id, m.quoted_text, n.display_name as sender_name, o.display_name as quoted_sender_name,
  case when m.reactions is not null then
    array(select r.emoji
          from chat.reactions r
          where r.chat_id = m.chat_id and r.message_id = m.id and r.user_id = (select chat.uid())) end as my_reactions"
        )
    };
}

/// Rows of `chat.messages` as `m` with all that is shown of them.
macro_rules! described_messages {
    ($rows:expr, $names:expr, $order:expr) => {
        concat!(
            "with ",
            $crate::api::shapes::message::described!($rows, $names),
            "
select ",
            $crate::api::shapes::message::message_fields!(),
            "
from page m
left join names n on n.chat_id = m.chat_id and n.user_id = m.sender_id
left join names o on o.chat_id = m.chat_id and o.user_id = m.quoted_sender_id
",
            $order
        )
    };
}

/// Rows of one chat, `$1`, in the order of the conversation or against it.
macro_rules! messages_of_chat {
    ($rows:expr, $order:expr) => {
        $crate::api::shapes::message::described_messages!(
            $rows,
            "
  select $1::uuid as chat_id, p.user_id, p.display_name
  from chat.people($1, array(select g.sender_id from page g union select g.quoted_sender_id from page g)) p",
            $order
        )
    };
}

/// Rows of many chats.
macro_rules! messages_of_chats {
    ($rows:expr, $order:expr) => {
        $crate::api::shapes::message::described_messages!(
            $rows,
            "
  select p.chat_id, p.user_id, p.display_name
  from (select array_agg(g.chat_id) as chats, array_agg(g.user_id) as users
        from (select g.chat_id, g.sender_id as user_id from page g
              union
              select g.chat_id, g.quoted_sender_id from page g where g.quoted_sender_id is not null) g) g
  cross join chat.names(g.chats, g.users) p",
            $order
        )
    };
}
pub(crate) use {
    described, described_messages, message_columns, message_fields, messages_of_chat, messages_of_chats, sent_message,
};

/// One message: `$2` of the chat `$1`.
pub const ONE: &str =
    messages_of_chat!(concat!("select ", message_columns!(), " from chat.messages m where m.chat_id = $1 and m.id = $2"), "");

/// Says why a message was not found: 404 or 403.
pub const EXPECT_MESSAGE: &str = "select chat.expect_message($1, $2)";

/// Reads one message as the caller sees it.
///
/// # Errors
/// 404 or 403, as the database says, when they don't see it.
pub async fn read_message(db: &Db, caller: &Caller, chat: Uuid, message: Uuid) -> Result<Message, ApiError> {
    let rows = db.read(caller, ONE, params![chat, message]).await?;
    if let Some(row) = rows.first() {
        return Ok(row.try_into()?);
    }
    db.read(caller, EXPECT_MESSAGE, params![chat, message]).await?;
    Err(overtaken())
}
