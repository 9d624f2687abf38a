//! Values of columns, as conditions compare them.

use std::cmp::Ordering;

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, Time};
use uuid::Uuid;

use super::super::rows::Type;

/// A value that is not null.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Operand {
    Uuid(Uuid),
    Int(i64),
    Text(String),
    Bool(bool),
    Moment(OffsetDateTime),
    Json(Value),
    Uuids(Vec<Uuid>),
}

impl Operand {
    /// A value as it is written in a filter.
    ///
    /// # Errors
    /// When it is none of this type.
    pub fn parse(kind: Type, text: &str) -> Result<Self, String> {
        let parsed = match kind {
            Type::Uuid => text.trim().parse().ok().map(Self::Uuid),
            Type::Int8 => text.trim().parse().ok().map(Self::Int),
            Type::Text => Some(Self::Text(text.to_owned())),
            Type::Bool => truth(text.trim()).map(Self::Bool),
            Type::Timestamptz => moment(text.trim()).map(Self::Moment),
            Type::Jsonb => serde_json::from_str(text).ok().map(Self::Json),
            Type::UuidArray => uuids(text.trim()).map(Self::Uuids),
        };
        let name = match kind {
            Type::Int8 => "bigint",
            Type::Bool => "boolean",
            Type::Timestamptz => "timestamp with time zone",
            Type::UuidArray => "uuid[]",
            kind => kind.name(),
        };
        parsed.ok_or_else(|| format!("invalid input syntax for type {name}: {text:?}"))
    }

    /// A value of a row; none where it is null.
    pub fn read(kind: Type, value: &Value) -> Option<Self> {
        match (kind, value) {
            (_, Value::Null) => None,
            (Type::Jsonb, value) => Some(Self::Json(value.clone())),
            (Type::Int8, value) => value.as_i64().map(Self::Int),
            (Type::Bool, value) => value.as_bool().map(Self::Bool),
            (Type::UuidArray, Value::Array(items)) => {
                items.iter().map(|item| item.as_str()?.parse().ok()).collect::<Option<_>>().map(Self::Uuids)
            }
            (kind, Value::String(text)) => Self::parse(kind, text).ok(),
            _ => None,
        }
    }

    /// How it compares with another: texts by their characters' numbers, which is not how a language sorts them.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Uuid(one), Self::Uuid(other)) => one.cmp(other),
            (Self::Int(one), Self::Int(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Moment(one), Self::Moment(other)) => one.cmp(other),
            (Self::Uuids(one), Self::Uuids(other)) => one.cmp(other),
            // equal or not: an order of documents is of no use
            (Self::Json(one), Self::Json(other)) => {
                if one == other {
                    Ordering::Equal
                } else {
                    Ordering::Less
                }
            }
            _ => return None,
        })
    }

    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn uuid(&self) -> Option<Uuid> {
        if let Self::Uuid(id) = self { Some(*id) } else { None }
    }
}

/// As Postgres reads a boolean.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Some(true),
        "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A moment in ISO 8601: with T or a blank, with an offset or in UTC, or a day's beginning.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let day = format_description!("[year]-[month]-[day]");
    if let Ok(date) = time::Date::parse(text, day) {
        return Some(date.with_time(Time::MIDNIGHT).assume_utc());
    }
    let mut iso = text.replacen(' ', "T", 1);
    let time_at = iso.find('T')? + 1;
    // Postgres writes +00 for +00:00
    if let Some(sign) = iso[time_at..].rfind(['+', '-'])
        && iso.len() - (time_at + sign) == 3
    {
        iso.push_str(":00");
    }
    let local = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");
    OffsetDateTime::parse(&iso, &Rfc3339)
        .or_else(|_| PrimitiveDateTime::parse(&iso, local).map(PrimitiveDateTime::assume_utc))
        .ok()
}

/// An array as Postgres writes it.
fn uuids(text: &str) -> Option<Vec<Uuid>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|item| item.trim().trim_matches('"').parse().ok()).collect()
}
