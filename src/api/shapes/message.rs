//! A message as the caller sees it.

use std::collections::{HashMap, HashSet};

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::api::caller::Caller;
use crate::db::{Db, DbError};
use crate::error::{ApiError, overtaken};
use crate::params;
use crate::wire::Timestamp;

/// A message.
#[skip_serializing_none]
#[derive(Debug, Clone, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Message {
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
    /// When its words were erased, with the person who sent it: its text is `[erased]`.
    pub erased_at: Option<Timestamp>,
}

/// A message as another one shows it that answers it.
#[skip_serializing_none]
#[derive(Debug, Clone, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct QuotedMessage {
    /// The message.
    pub id: Uuid,
    /// Its place in the conversation.
    pub seq: i64,
    /// Who sent it; absent for the system's.
    pub sender_id: Option<Uuid>,
    /// What they are called.
    pub sender_name: Option<String>,
    /// How it begins: its first 200 characters.
    pub text: String,
}

/// How many people reacted to a message with one emoji.
#[derive(Debug, Clone, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// The emoji, or the name of one that the application draws.
    pub emoji: String,
    /// How many people.
    pub count: i64,
    /// Whether the caller is among them.
    #[serde(default)]
    pub mine: bool,
}

/// Whose a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Deserialize, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum MessageKind {
    User,
    Assistant,
    System,
}
impl TryFrom<&Row> for Message {
    type Error = DbError;

    fn try_from(row: &Row) -> Result<Self, DbError> {
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
            sender_username: row.get("sender_username"),
            text: row.get("text"),
            reply_to_id: row.get("reply_to_id"),
            reply_to: None,
            attachment_url: row.get("attachment_url"),
            mentions: row.get("mentions"),
            reactions: reactions(row)?,
            created_at: row.get("created_at"),
            edited_at: row.get("edited_at"),
            pinned_at: row.get("pinned_at"),
            deleted_at: row.get("deleted_at"),
            erased_at: row.get("erased_at"),
        })
    }
}

/// The reactions that the message counts.
fn reactions(row: &Row) -> Result<Vec<Reaction>, DbError> {
    let Some(counted): Option<serde_json::Value> = row.get("reactions") else { return Ok(Vec::new()) };
    serde_json::from_value(counted).map_err(|error| DbError::Fault(error.to_string()))
}

impl From<&Row> for QuotedMessage {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            seq: row.get("seq"),
            sender_id: row.get("sender_id"),
            sender_name: row.get("sender_name"),
            text: row.get("text"),
        }
    }
}

/// The columns of `chat.messages` as `m` that make a [`Message`], but for the sender's name and what [`complete`] adds.
macro_rules! message_columns {
    () => {
        "m.id, m.chat_id, m.seq, m.rev, m.kind, m.sender_id, m.text, m.reply_to_id, m.attachment_url, m.mentions, m.reactions, \
         m.created_at, m.edited_at, m.pinned_at, m.deleted_at, m.erased_at"
    };
}

/// Rows of `chat.messages` as `m` with the senders' names, looked up once for all.
macro_rules! named_messages {
    ($rows:expr, $names:expr, $order:expr) => {
        concat!(
            "with page as materialized (",
            $rows,
            ")
select ",
            $crate::api::shapes::message::message_columns!(),
            ", n.display_name as sender_name, n.username as sender_username
from page m
left join ",
            $names,
            "
",
            $order
        )
    };
}

/// The names of those who sent `$rows` (with `chat_id` and `sender_id`), to be joined to `$to`. The arrays come from a lateral subquery:
/// Postgres puts no function in place whose argument is a subquery, and would plan it anew for each call.
macro_rules! names_of {
    ($rows:literal, $to:literal) => {
        concat!(
            "(select n.chat_id, n.user_id, n.display_name, n.username
           from (select array(select g.chat_id from ",
            $rows,
            " g), array(select g.sender_id from ",
            $rows,
            " g)) a (chats, people)
           cross join lateral chat.names(a.chats, a.people) n) n on n.chat_id = ",
            $to,
            ".chat_id and n.user_id = ",
            $to,
            ".sender_id"
        )
    };
}

/// Rows of one chat, `$1`, in the order of the conversation or against it.
macro_rules! messages_of_chat {
    ($rows:expr, $order:expr) => {
        $crate::api::shapes::message::named_messages!(
            $rows,
            "(select n.user_id, n.display_name, n.username
           from (select array(select distinct g.sender_id from page g)) a (people)
           cross join lateral chat.people($1, a.people) n) n on n.user_id = m.sender_id",
            $order
        )
    };
}

/// Rows of many chats.
macro_rules! messages_of_chats {
    ($rows:expr, $order:expr) => {
        $crate::api::shapes::message::named_messages!($rows, $crate::api::shapes::message::names_of!("page", "m"), $order)
    };
}
pub(crate) use {message_columns, messages_of_chat, messages_of_chats, named_messages, names_of};

/// Reads messages as the caller sees them: the rows, and what not every message has, asked for only where one has it, that is what it
/// answers and which reactions are the caller's. Both are read after the rows, each as it is then.
///
/// # Errors
/// When a row is not what the statement promised, or the database gives no answer.
pub async fn read_messages(db: &Db, caller: &Caller, rows: &[Row]) -> Result<Vec<Message>, DbError> {
    let mut messages = rows.iter().map(Message::try_from).collect::<Result<Vec<_>, _>>()?;
    complete(db, caller, messages.iter_mut().collect()).await?;
    Ok(messages)
}

/// Adds to messages what they answer and which reactions are the caller's.
///
/// # Errors
/// When the database gives no answer.
pub async fn complete(db: &Db, caller: &Caller, mut messages: Vec<&mut Message>) -> Result<(), DbError> {
    let replies = messages.iter().filter_map(|m| Some((m.chat_id, m.reply_to_id?)));
    let (chats, ids): (Vec<Uuid>, Vec<Uuid>) = replies.unzip();
    if !ids.is_empty() {
        let rows = db.read(caller, QUOTED, params![chats, ids]).await?;
        let quoted: HashMap<(Uuid, Uuid), &Row> = rows.iter().map(|row| ((row.get("chat_id"), row.get("id")), row)).collect();
        for message in &mut messages {
            let row = message.reply_to_id.and_then(|id| quoted.get(&(message.chat_id, id)));
            message.reply_to = row.map(|row| QuotedMessage::from(*row));
        }
    }
    let reacted = messages.iter().filter(|m| !m.reactions.is_empty()).map(|m| (m.chat_id, m.id));
    let (chats, ids): (Vec<Uuid>, Vec<Uuid>) = reacted.unzip();
    if !ids.is_empty() {
        let rows = db.read(caller, MINE, params![chats, ids]).await?;
        let mine: HashSet<(Uuid, Uuid, &str)> =
            rows.iter().map(|row| (row.get("chat_id"), row.get("message_id"), row.get("emoji"))).collect();
        for message in &mut messages {
            for reaction in &mut message.reactions {
                reaction.mine = mine.contains(&(message.chat_id, message.id, reaction.emoji.as_str()));
            }
        }
    }
    Ok(())
}

const QUOTED: &str = concat!(
    "
with quoted as materialized (
  select m.chat_id, m.id, m.seq, m.sender_id, left(m.text, 200) as text
  from (select distinct i.chat_id, i.id from unnest($1::uuid[], $2::uuid[]) i (chat_id, id)) i
  join chat.messages m on m.chat_id = i.chat_id and m.id = i.id
  where m.deleted_at is null)
select q.chat_id, q.id, q.seq, q.sender_id, q.text, n.display_name as sender_name
from quoted q
left join ",
    names_of!("quoted", "q")
);

const MINE: &str = "
select r.chat_id, r.message_id, r.emoji
from unnest($1::uuid[], $2::uuid[]) i (chat_id, id)
join chat.reactions r on r.chat_id = i.chat_id and r.message_id = i.id and r.user_id = (select chat.uid())";

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
    if let Some(message) = read_messages(db, caller, &rows).await?.pop() {
        return Ok(message);
    }
    db.read(caller, EXPECT_MESSAGE, params![chat, message]).await?;
    Err(overtaken())
}
