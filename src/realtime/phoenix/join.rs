//! What a client asks of a channel when it joins. Pure: no chat is looked at.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::filter::{self, Condition, PATTERNS_MAX};
use super::frames::PREFIX;
use super::rows::{ALIAS, Action, Column, Row, SCHEMA, Table};

/// The name of a chat's own channel is this and the chat's id.
pub const CHAT: &str = "chat:";
/// What one channel may be bound to, in `postgres_changes`.
const BINDINGS_MAX: usize = 100;
/// What of a binding is held, and echoed.
const ECHOED: [&str; 5] = ["event", "schema", "table", "filter", "select"];
/// The longest topic, in bytes: a broadcast of bytes has a byte for its length.
const TOPIC_MAX: usize = 255;
/// The longest key under which somebody is present, in bytes.
const KEY_MAX: usize = 200;

/// What a channel is to do.
#[cfg_attr(test, derive(Debug))]
pub struct Join {
    /// As whom, if the client says so by now.
    pub token: Option<String>,
    /// The chat whose channel it is.
    pub chat: Option<Uuid>,
    pub broadcasts: Broadcasts,
    pub hears_presence: bool,
    /// Under which name one is present; empty: under any.
    pub key: String,
    pub bindings: Vec<Binding>,
}

/// What a client that broadcasts wants to be told.
#[cfg_attr(test, derive(Debug))]
pub struct Broadcasts {
    /// That it was sent,
    pub acks: bool,
    /// what it sent itself,
    pub hears_itself: bool,
    /// and that it would hear of others.
    pub asks_whether_ready: bool,
}

/// Which rows a client wants to be told of.
#[cfg_attr(test, derive(Debug))]
pub struct Binding {
    /// By which the client knows what is for it.
    pub id: u64,
    action: Option<Action>,
    tables: Vec<(Table, Vec<Condition>)>,
    schema: String,
    table: String,
    select: Option<Vec<&'static Column>>,
    asked: Map<String, Value>,
}

/// Under which names a client knows a table and its schema, and which columns of it it wants; absent: all.
#[derive(Clone, Copy, PartialEq)]
pub struct Terms<'a> {
    pub schema: &'a str,
    pub table: &'a str,
    pub select: Option<&'a [&'static Column]>,
}

/// To which chats a channel is to listen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub named: BTreeSet<Uuid>,
    /// All of one's own, too.
    pub all: bool,
}

impl Join {
    /// Reads what is asked. What is not said is as the client library has it.
    ///
    /// # Errors
    /// With the reason to answer.
    pub fn read(topic: &str, payload: &Value) -> Result<Self, String> {
        let name = topic.strip_prefix(PREFIX).ok_or("unmatched topic")?;
        if name.is_empty() {
            return Err("TopicNameRequired: You must provide a topic name".to_owned());
        }
        if topic.len() > TOPIC_MAX {
            return Err(format!("TopicNameTooLong: a topic has at most {TOPIC_MAX} bytes"));
        }
        let config = &payload["config"];
        let (broadcast, presence) = (&config["broadcast"], &config["presence"]);
        if !broadcast["replay"].is_null() {
            return Err("UnableToReplayMessages: Replay is not available: broadcasts are not kept".to_owned());
        }
        let key = presence["key"].as_str().unwrap_or_default();
        if key.len() > KEY_MAX {
            return Err(format!("PresenceKeyTooLong: a key has at most {KEY_MAX} bytes"));
        }
        let asked = config["postgres_changes"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        if asked.len() > BINDINGS_MAX {
            return Err(format!("Unable to subscribe to changes with given parameters: more than {BINDINGS_MAX} of them"));
        }
        let asked = asked.iter().filter(|binding| !binding.is_null());
        let mut patterns_left = PATTERNS_MAX;
        let read = |(id, asked)| Binding::read(id, asked, &mut patterns_left);
        let bindings = (1..).zip(asked).map(read).collect::<Result<Vec<_>, _>>()?;
        let join = Self {
            token: ["access_token", "user_token"].iter().find_map(|name| payload[*name].as_str()).map(str::to_owned),
            chat: name.strip_prefix(CHAT).and_then(|id| id.parse().ok()),
            broadcasts: Broadcasts {
                acks: is_true(&broadcast["ack"]),
                hears_itself: is_true(&broadcast["self"]),
                asks_whether_ready: is_true(&broadcast["replication_ready"]),
            },
            hears_presence: is_true(&presence["enabled"]),
            key: key.to_owned(),
            bindings,
        };
        if join.chat.is_none() && join.bindings.is_empty() {
            return Err(format!(
                "Unauthorized: You do not have permissions to read from this Channel topic: {name}. Topics are chat:<id of a chat>; \
                 others carry postgres_changes alone"
            ));
        }
        if join.wanted().is_nothing() {
            return Err("Unable to subscribe to changes with given parameters: no filter names a chat".to_owned());
        }
        Ok(join)
    }

    /// To which chats it is to listen.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted { named: self.chat.into_iter().collect(), all: false };
        for (table, filter) in self.bindings.iter().flat_map(|binding| &binding.tables) {
            match filter::chats(*table, filter) {
                Some(chats) => wanted.named.extend(chats),
                None => wanted.all = true,
            }
        }
        wanted
    }

    /// The answer to it, which echoes what was asked as it was written: the client compares.
    pub fn answer(&self) -> Value {
        let echo = |binding: &Binding| {
            let mut echo = binding.asked.clone();
            echo.insert("id".to_owned(), binding.id.into());
            echo
        };
        json!({ "postgres_changes": self.bindings.iter().map(echo).collect::<Vec<_>>() })
    }
}

impl Wanted {
    fn is_nothing(&self) -> bool {
        self.named.is_empty() && !self.all
    }
}

impl Binding {
    fn read(id: u64, asked: &Value, patterns_left: &mut usize) -> Result<Self, String> {
        let wrong = |why: &str| {
            let told = |name: &str| asked.get(name).map_or_else(|| "*".to_owned(), ToString::to_string);
            format!(
                "Unable to subscribe to changes with given parameters. {why}. Please check the connect parameters: \
                 [event: {}, schema: {}, table: {}, filter: {}, select: {}]",
                told("event"),
                told("schema"),
                told("table"),
                told("filter"),
                told("select")
            )
        };
        let asked = asked.as_object().ok_or_else(|| wrong("It is not an object"))?;
        let text = |name: &str| match asked.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(&format!("{name} is a text"))),
        };
        let (schema, table) = match (text("schema")?, text("table")?) {
            (None, None) => {
                return Err(
                    "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to".to_owned()
                );
            }
            (schema, table) => (schema.unwrap_or(ALIAS), table.unwrap_or("*")),
        };
        if !["*", ALIAS, SCHEMA].contains(&schema) {
            return Err(wrong("There is no such schema"));
        }
        let named: Vec<Table> = match table {
            "*" => Table::ALL.to_vec(),
            name => vec![Table::named(name).ok_or_else(|| wrong("There is no such table"))?],
        };
        let filter = text("filter")?.unwrap_or_default();
        let mut tables = Vec::new();
        let mut unfit = None;
        for table in named {
            // of all tables, those are meant that the filter fits
            match filter::parse(table, filter, patterns_left) {
                Ok(filter) => tables.push((table, filter)),
                Err(error) => unfit = Some(error),
            }
        }
        if let Some(error) = unfit.filter(|_| tables.is_empty()) {
            return Err(wrong(&error));
        }
        let select = match asked.get("select") {
            None | Some(Value::Null) => None,
            Some(Value::Array(columns)) if columns.is_empty() => None,
            Some(_) if schema == "*" || table == "*" => {
                let why =
                    "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name";
                return Err(wrong(why));
            }
            Some(Value::Array(columns)) => {
                let of = tables.first().map_or(Table::Messages, |(table, _)| *table);
                let column = |name: &Value| {
                    let name = name.as_str().unwrap_or_default();
                    of.column(name).ok_or_else(|| wrong(&format!("invalid column for select {name}")))
                };
                Some(columns.iter().map(column).collect::<Result<Vec<_>, _>>()?)
            }
            Some(_) => return Err(wrong("Error parsing `select` params: expected a list of column name strings")),
        };
        let action = asked.get("event").and_then(Value::as_str).map(str::to_ascii_uppercase);
        let action =
            action.and_then(|name| [Action::Insert, Action::Update, Action::Delete].into_iter().find(|a| a.name() == name));
        let (schema, table) = (schema.to_owned(), table.to_owned());
        let is_echoed = |(name, _): &(&String, &Value)| ECHOED.contains(&name.as_str());
        let asked = asked.iter().filter(is_echoed).map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { id, action, tables, schema, table, select, asked })
    }

    /// Whether what happened in a place, in a chat, is for it; the row is looked at where the chat does not decide.
    pub fn wants<'a>(&self, (table, action): (Table, Action), chat: Uuid, row: impl FnOnce() -> &'a Row) -> bool {
        let is_for = |filter: &[Condition]| filter::decided(table, filter, chat).unwrap_or_else(|| filter::holds(filter, row()));
        self.action.is_none_or(|wanted| wanted == action)
            && self.tables.iter().find(|(wanted, _)| *wanted == table).is_some_and(|(_, filter)| is_for(filter))
    }

    /// How the client knows a table.
    pub fn terms(&self, table: Table) -> Terms<'_> {
        let schema = if self.schema == "*" { SCHEMA } else { &self.schema };
        let table = if self.table == "*" { table.name() } else { &self.table };
        Terms { schema, table, select: self.select.as_deref() }
    }
}

/// Booleans may come as texts.
fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true) || value == "true"
}

#[cfg(test)]
mod tests;
