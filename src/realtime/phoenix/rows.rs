//! Changes as rows of tables: what `postgres_changes` tells. The only place that names columns.
//!
//! Rows are made of what the API shows ([`crate::api::shapes`]), under the names, in the order and with the types of the tables' columns, and
//! each value is as `to_jsonb` writes it. A test holds both to the catalogue.

use serde::Serialize;
use serde_json::{Map, Value, json};
use serde_with::skip_serializing_none;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use uuid::Uuid;

use crate::api::shapes::change::{Change, ChangeKind, ChatProfile};
use crate::api::shapes::message::Message;
use crate::api::shapes::participant::Participant;
use crate::realtime::batch::{Form, Seen};
use crate::wire::Timestamp;

/// The schema whose tables these are, and the one under whose name clients know it as well.
pub const SCHEMA: &str = "chat";
pub const ALIAS: &str = "public";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Uuid,
    Int8,
    Text,
    Bool,
    Timestamptz,
    Jsonb,
    UuidArray,
}

impl Type {
    /// As `pg_type` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Int8 => "int8",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Timestamptz => "timestamptz",
            Self::Jsonb => "jsonb",
            Self::UuidArray => "_uuid",
        }
    }
}

/// A column that is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
    pub is_key: bool,
}

const fn key(name: &'static str) -> Column {
    Column { name, kind: Type::Uuid, is_key: true }
}

const fn column(name: &'static str, kind: Type) -> Column {
    Column { name, kind, is_key: false }
}

const MESSAGES: &[Column] = &[
    key("chat_id"),
    key("id"),
    column("seq", Type::Int8),
    column("rev", Type::Int8),
    column("sender_id", Type::Uuid),
    column("kind", Type::Text),
    column("text", Type::Text),
    column("mentions", Type::UuidArray),
    column("reply_to_id", Type::Uuid),
    column("attachment_url", Type::Text),
    column("created_at", Type::Timestamptz),
    column("edited_at", Type::Timestamptz),
    column("pinned_at", Type::Timestamptz),
    column("deleted_at", Type::Timestamptz),
    column("erased_at", Type::Timestamptz),
    column("reactions", Type::Jsonb),
];

const CHATS: &[Column] = &[
    key("id"),
    column("uid", Type::Text),
    column("type", Type::Text),
    column("visibility", Type::Text),
    column("name", Type::Text),
    column("topic", Type::Text),
    column("read_only", Type::Bool),
];

const PARTICIPANTS: &[Column] = &[
    key("chat_id"),
    key("user_id"),
    column("role", Type::Text),
    column("joined_at", Type::Timestamptz),
    column("left_at", Type::Timestamptz),
    column("rev", Type::Int8),
];

/// A table whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Messages,
    Chats,
    Participants,
}

impl Table {
    pub const ALL: [Self; 3] = [Self::Messages, Self::Chats, Self::Participants];

    /// As the schema calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Chats => "chats",
            Self::Participants => "participants",
        }
    }

    /// The table of this name, or of the other one that participants have.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "chat_participants" => Some(Self::Participants),
            _ => Self::ALL.into_iter().find(|table| table.name() == name),
        }
    }

    /// Its columns that are told, in their order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Messages => MESSAGES,
            Self::Chats => CHATS,
            Self::Participants => PARTICIPANTS,
        }
    }

    /// One of them.
    pub fn column(self, name: &str) -> Option<&'static Column> {
        self.columns().iter().find(|column| column.name == name)
    }

    /// What people may select besides, and no change says: bookkeeping, and what never changes and is listed with the chat.
    pub const fn not_told(self) -> &'static [&'static str] {
        match self {
            Self::Messages => &["xid", "imported_at"],
            Self::Chats => &["event_id", "low_user_id", "high_user_id", "created_by", "created_at", "deleted_at", "rev", "xid"],
            Self::Participants => &["joined_rev", "sees_after", "xid"],
        }
    }

    /// The column that says of which chat a row is.
    pub const fn chat_column(self) -> &'static str {
        match self {
            Self::Chats => "id",
            Self::Messages | Self::Participants => "chat_id",
        }
    }
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Insert,
    Update,
    Delete,
}

impl Action {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// A row that changed. Of one that is gone, its key alone.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Row {
    pub table: Table,
    pub action: Action,
    pub values: Map<String, Value>,
}

/// In which table a change is seen, and as what.
pub fn place(seen: &Seen<'_>) -> (Table, Action) {
    let change = &seen.event.change;
    match seen.form {
        Form::Gone => gone(change),
        Form::Created | Form::Updated => place_of(seen.event.kind(seen.form), change),
    }
}

/// The same, of a change as of a kind. A message that is deleted is gone, also for who may read it still.
pub fn place_of(kind: ChangeKind, change: &Change) -> (Table, Action) {
    match kind {
        ChangeKind::MessageCreated if change.message.is_some() => (Table::Messages, Action::Insert),
        ChangeKind::MessageUpdated if change.message.is_some() => (Table::Messages, Action::Update),
        ChangeKind::ParticipantJoined if change.participant.is_some() => (Table::Participants, Action::Insert),
        ChangeKind::ParticipantUpdated if change.participant.is_some() => (Table::Participants, Action::Update),
        ChangeKind::ChatUpdated if change.chat.is_some() => (Table::Chats, Action::Update),
        _ => gone(change),
    }
}

/// Where no more is told than that a row is gone.
fn gone(change: &Change) -> (Table, Action) {
    let table = match (change.message_id, change.user_id) {
        (Some(_), _) => Table::Messages,
        (_, Some(_)) => Table::Participants,
        _ => Table::Chats,
    };
    (table, Action::Delete)
}

impl Row {
    /// A change, as it is seen in a place.
    pub fn new((table, action): (Table, Action), change: &Change) -> Self {
        let whole = match (table, action) {
            (_, Action::Delete) => None,
            (Table::Messages, _) => change.message.as_ref().map(message),
            (Table::Participants, _) => change.participant.as_ref().map(|row| participant(change, row)),
            (Table::Chats, _) => change.chat.as_ref().map(chat),
        };
        let values = whole.unwrap_or_else(|| match table {
            Table::Messages => object(json!({ "chat_id": change.chat_id, "id": change.message_id })),
            Table::Participants => object(json!({ "chat_id": change.chat_id, "user_id": change.user_id })),
            Table::Chats => object(json!({ "id": change.chat_id })),
        });
        Self { table, action, values }
    }

    /// That a chat is gone for who is told.
    pub fn chat_is_gone(chat: Uuid) -> Self {
        Self { table: Table::Chats, action: Action::Delete, values: object(json!({ "id": chat })) }
    }

    /// That who is told came to a chat, which is as the API shows it.
    pub fn chat_is_entered(profile: &Value) -> Self {
        let value = |column: &Column| {
            let name = if column.name == "read_only" { "readOnly" } else { column.name };
            (column.name.to_owned(), profile.get(name).cloned().unwrap_or_default())
        };
        Self { table: Table::Chats, action: Action::Insert, values: CHATS.iter().map(value).collect() }
    }

    /// What the client reads as `data`, but for the names of schema and table with which it begins: those are as the client has them. Some of
    /// the columns and the key, or all.
    pub fn data(&self, at: Timestamp, some: Option<&[&'static Column]>) -> String {
        let is_told = |column: &&Column| some.is_none_or(|some| column.is_key || some.contains(column));
        let told = || self.table.columns().iter().filter(is_told);
        let pick = |column: &Column| Some((column.name.to_owned(), self.values.get(column.name)?.clone()));
        let data = Data {
            action: self.action.name(),
            commit_timestamp: at,
            columns: told().map(|column| ToldColumn { name: column.name, kind: column.kind.name() }).collect(),
            record: (self.action != Action::Delete).then(|| told().filter_map(pick).collect()),
            old_record: (self.action != Action::Insert).then(|| told().filter(|column| column.is_key).filter_map(pick).collect()),
            errors: None,
        };
        serde_json::to_string(&data).unwrap_or_default()
    }
}

/// What is told of a row that changed.
#[skip_serializing_none]
#[derive(Serialize)]
struct Data {
    #[serde(rename = "type")]
    action: &'static str,
    commit_timestamp: Timestamp,
    columns: Vec<ToldColumn>,
    record: Option<Map<String, Value>>,
    old_record: Option<Map<String, Value>>,
    #[serialize_always]
    errors: Option<Value>,
}

#[derive(Serialize)]
struct ToldColumn {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

fn message(message: &Message) -> Map<String, Value> {
    let reactions: Vec<Value> =
        message.reactions.iter().map(|reaction| json!({ "emoji": reaction.emoji, "count": reaction.count })).collect();
    object(json!({
        "chat_id": message.chat_id,
        "id": message.id,
        "seq": message.seq,
        "rev": message.rev,
        "sender_id": message.sender_id,
        "kind": message.kind,
        "text": message.text,
        "mentions": message.mentions,
        "reply_to_id": message.reply_to_id,
        "attachment_url": message.attachment_url,
        "created_at": moment(message.created_at),
        "edited_at": message.edited_at.map(moment),
        "pinned_at": message.pinned_at.map(moment),
        "deleted_at": message.deleted_at.map(moment),
        "erased_at": message.erased_at.map(moment),
        "reactions": (!reactions.is_empty()).then_some(reactions),
    }))
}

fn participant(change: &Change, participant: &Participant) -> Map<String, Value> {
    object(json!({
        "chat_id": change.chat_id,
        "user_id": participant.user_id,
        "role": participant.role,
        "joined_at": moment(participant.joined_at),
        "left_at": null,
        "rev": change.rev,
    }))
}

fn chat(chat: &ChatProfile) -> Map<String, Value> {
    object(json!({
        "id": chat.id,
        "uid": chat.uid,
        "type": chat.kind,
        "visibility": chat.visibility,
        "name": chat.name,
        "topic": chat.topic,
        "read_only": chat.read_only,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

const SECONDS: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

/// A moment as `to_jsonb` writes it in UTC: no more digits than it has.
fn moment(Timestamp(at): Timestamp) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let mut text = at.format(SECONDS).unwrap_or_default();
    let micros = format!(".{:06}", at.microsecond());
    text.push_str(micros.trim_end_matches('0').trim_end_matches('.'));
    text.push_str("+00:00");
    text
}

#[cfg(test)]
mod tests;
