//! What came of a request, in words: its status, what it answered with, and which rows it changed.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use uuid::Uuid;

use crate::support::Answer;
use crate::support::database::StoredRow;

/// What everything in the place is called.
pub type Names = HashMap<Uuid, &'static str>;
/// What is stored, by table and key.
pub type Rows = BTreeMap<(&'static str, String), StoredRow>;

/// `204 | messages ~message`: the status, what it answered with, the rows that are new (+), different (~) and gone (-).
pub fn outcome(answer: &Answer, names: &Names, before: &Rows, after: &Rows) -> String {
    let mut words = answer.status.to_string();
    if answer.status < 400 {
        let told = told(&answer.body, names);
        if !told.is_empty() {
            words = format!("{words} {}", told.join(", "));
        }
    }
    let changed = changed(names, before, after);
    if changed.is_empty() { words } else { format!("{words} | {}", changed.join(", ")) }
}

/// What an answer is about, by name.
fn told(body: &Value, names: &Names) -> Vec<String> {
    let mut told = match (body, &body["data"]) {
        (Value::String(lines), _) => lines.lines().map(|line| told_by_line(line, names)).collect(),
        (_, Value::Array(items)) => vec![format!("[{}]", listed(items, names))],
        (_, Value::Object(lists)) => {
            lists.values().map(|list| format!("[{}]", listed(list.as_array().expect("a list"), names))).collect()
        }
        // what bears no id is about who asks
        (Value::Object(_), _) if id(body).is_none() => Vec::new(),
        (Value::Object(_), _) => vec![name(body, names).unwrap_or("new").to_owned()],
        (other, _) => panic!("what is this? {other}"),
    };
    if let Some(entered) = body["entered"].as_array() {
        told.push(format!("entered [{}]", listed(entered, names)));
    }
    let invalid = body["invalidChatIds"].as_array().into_iter().flatten();
    told.extend(invalid.map(|id| format!("not {}", names[&id.as_str().and_then(|id| id.parse().ok()).expect("an id")])));
    told
}

/// The items of a page, by name; those from elsewhere together.
fn listed(items: &[Value], names: &Names) -> String {
    let mut listed: Vec<&str> = items.iter().map(|item| name(item, names).unwrap_or("others")).collect();
    listed.sort_unstable();
    listed.dedup_by(|one, other| one == other && *one == "others");
    listed.join(" ")
}

fn told_by_line(line: &str, names: &Names) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let kind = line["type"].as_str().expect("a type").to_owned();
    name(&line, names).map_or(kind.clone(), |name| format!("{kind} {name}"))
}

/// What an item is called.
fn name(item: &Value, names: &Names) -> Option<&'static str> {
    // a change is about one of these
    let about = ["message", "participant", "chat"].iter().map(|part| &item[part]).find(|part| part.is_object());
    match id(about.unwrap_or(item)) {
        Some(id) => names.get(&id).copied(),
        // an earlier text has nothing that names it
        None => item.get("replacedAt").map(|_| "edit"),
    }
}

/// An item's own id, or that of whom or what it is about.
fn id(item: &Value) -> Option<Uuid> {
    ["id", "userId", "messageId", "chatId"].iter().find_map(|field| item[field].as_str()?.parse().ok())
}

/// Which rows are new, different and gone.
fn changed(names: &Names, before: &Rows, after: &Rows) -> Vec<String> {
    let mut changed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut note = |table: &'static str, sign: char, row: &StoredRow| {
        let of: Vec<&str> = row.of.iter().map(|id| id.and_then(|id| names.get(&id).copied()).unwrap_or("new")).collect();
        changed.entry(table).or_default().push(format!("{sign}{}", of.join(":")));
    };
    for ((table, key), row) in after {
        match before.get(&(*table, key.clone())) {
            None => note(table, '+', row),
            Some(old) if old != row => note(table, '~', row),
            Some(_) => {}
        }
    }
    for ((table, key), row) in before {
        if !after.contains_key(&(*table, key.clone())) {
            note(table, '-', row);
        }
    }
    let in_words = |(table, mut rows): (&str, Vec<String>)| {
        rows.sort_unstable();
        format!("{table} {}", rows.join(" "))
    };
    changed.into_iter().map(in_words).collect()
}
