//! What every resource says in the same way: pages, cursors, times.
//!
//! Knows nothing of chats or databases.

mod ids;
mod position;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use uuid::Uuid;

pub use ids::Ids;
pub use position::Position;

/// Items of a page when the request names no limit.
pub const PAGE_DEFAULT: u32 = 50;

/// A moment, as RFC 3339 in UTC with microseconds: as precise as Postgres keeps it, and of one length, so that it sorts as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub OffsetDateTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        let text = self.0.to_offset(time::UtcOffset::UTC).format(&format).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Type for Timestamp {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl ParseFromJSON for Timestamp {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value.unwrap_or_default() {
            Value::String(text) => Ok(Self(OffsetDateTime::parse(&text, &Rfc3339)?)),
            other => Err(ParseError::expected_type(other)),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ParseFromParameter for Timestamp {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        OffsetDateTime::parse(value, &Rfc3339).map(Self).map_err(ParseError::custom)
    }
}

impl<'a> tokio_postgres::types::FromSql<'a> for Timestamp {
    fn from_sql(ty: &tokio_postgres::types::Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        OffsetDateTime::from_sql(ty, raw).map(Self)
    }

    fn accepts(ty: &tokio_postgres::types::Type) -> bool {
        <OffsetDateTime as tokio_postgres::types::FromSql>::accepts(ty)
    }
}

/// Where a walk through a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub direction: Direction,
    /// The position of the item that the page stops short of: the list's own affair.
    pub key: String,
}

/// Which way a walk goes from its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Older,
    Newer,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.direction {
            Direction::Older => '-',
            Direction::Newer => '+',
        };
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{sign}{}", self.key)))
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a cursor of this server";
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| WRONG)?;
        let text = String::from_utf8(bytes).map_err(|_| WRONG)?;
        let direction = match text.get(..1) {
            Some("-") => Direction::Older,
            Some("+") => Direction::Newer,
            _ => return Err(WRONG),
        };
        Ok(Self { direction, key: text[1..].to_owned() })
    }
}

impl Type for Cursor {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_cursor".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for Cursor {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        value.parse().map_err(ParseError::custom)
    }
}

/// The position of an item in a list by time: the list, microseconds since 1970, and an id for those of one moment.
pub fn moment_key(list: &str, at: Timestamp, id: Uuid) -> String {
    format!("{list}/{}/{id}", at.0.unix_timestamp_nanos() / 1_000)
}

/// Where a list by time goes on: the moment and id that its page stops short of, and which of its two statements reads on.
///
/// # Errors
/// [`BadCursor`], when the cursor is of another list.
pub fn keyset(
    list: &str,
    cursor: Option<&Cursor>,
    older: &'static str,
    newer: &'static str,
) -> Result<(Option<OffsetDateTime>, Option<Uuid>, &'static str), BadCursor> {
    let Some(cursor) = cursor else { return Ok((None, None, older)) };
    let key = cursor.key.strip_prefix(list).and_then(|key| key.strip_prefix('/')).ok_or(BadCursor)?;
    let (micros, id) = key.split_once('/').ok_or(BadCursor)?;
    // no list goes back before 1970, and Postgres knows no time before 4713 BC
    let micros: u64 = micros.parse().map_err(|_| BadCursor)?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| BadCursor)?;
    let id = id.parse().map_err(|_| BadCursor)?;
    let sql = if cursor.direction == Direction::Older { older } else { newer };
    Ok((Some(at), Some(id), sql))
}

/// Where a list by number goes on, read from the keys of [`number_key`]: the number that its page stops short of, and which of its two
/// statements reads on.
///
/// # Errors
/// [`BadCursor`], when the cursor is of another list.
pub fn keyset_of_numbers(
    list: &str,
    cursor: Option<&Cursor>,
    older: &'static str,
    newer: &'static str,
) -> Result<(i64, &'static str), BadCursor> {
    let Some(cursor) = cursor else { return Ok((i64::MAX, older)) };
    let number = cursor.key.strip_prefix(list).and_then(|key| key.strip_prefix('/')).ok_or(BadCursor)?;
    let number = number.parse().map_err(|_| BadCursor)?;
    Ok((number, if cursor.direction == Direction::Older { older } else { newer }))
}

/// The position of an item in a list by number.
pub fn number_key(list: &str, number: i64) -> String {
    format!("{list}/{number}")
}

/// A cursor that some other list gave.
#[derive(Debug, thiserror::Error)]
#[error("the cursor is not one of this list")]
pub struct BadCursor;

/// One page of a list: its items, newest first, and the cursors to go on from.
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
    pub prev_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a page out of rows in the order of the walk, of which there may be one more than `limit`: that one says the list
    /// goes on.
    pub fn cut(mut rows: Vec<T>, limit: u32, cursor: Option<&Cursor>, key: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let newer = cursor.is_some_and(|c| c.direction == Direction::Newer);
        if newer {
            rows.reverse();
        }
        let towards = |direction, row: Option<&T>| row.map(|r| Cursor { direction, key: key(r) }.to_string());
        let next_cursor = if newer {
            // what is older was there before: the page this walk came from
            towards(Direction::Older, rows.last()).or_else(|| cursor.map(|c| turned(c, Direction::Older)))
        } else if more {
            towards(Direction::Older, rows.last())
        } else {
            None
        };
        let prev_cursor = towards(Direction::Newer, rows.first()).or_else(|| {
            // nothing newer yet: the same question again, later
            cursor.filter(|_| newer).map(Cursor::to_string)
        });
        Self { items: rows, next_cursor, prev_cursor }
    }
}

fn turned(cursor: &Cursor, direction: Direction) -> String {
    Cursor { direction, key: cursor.key.clone() }.to_string()
}

/// A page's type in the document: poem-openapi names a generic one after its parameter, and clients would read `Page_Message`.
#[macro_export]
macro_rules! page_of {
    ($(#[$doc:meta])* $name:ident, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, poem_openapi::Object, serde::Serialize)]
        #[oai(rename_all = "camelCase")]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The items, newest first.
            pub data: Vec<$item>,
            /// Goes on towards older items as `cursor`; null at the end.
            #[oai(nullable)]
            pub next_cursor: Option<String>,
            /// Goes on towards newer items as `cursor`, now or later; null on an empty first page.
            #[oai(nullable)]
            pub prev_cursor: Option<String>,
        }

        impl From<$crate::wire::Page<$item>> for $name {
            fn from(page: $crate::wire::Page<$item>) -> Self {
                Self { data: page.items, next_cursor: page.next_cursor, prev_cursor: page.prev_cursor }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_journey() {
        let cursor = Cursor { direction: Direction::Newer, key: "17/ü".to_owned() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "17", "****", "LQ==", "_w"] {
            assert!(text.parse::<Cursor>().is_err() || text == "LQ", "{text}");
        }
    }

    #[test]
    fn a_walk_there_and_back_sees_everything_once() {
        let all: Vec<u32> = (0..10).rev().collect();
        let read = |cursor: Option<&Cursor>, limit: u32| -> Page<u32> {
            let rows: Vec<u32> = match cursor {
                None => all.iter().copied().take(limit as usize + 1).collect(),
                Some(c) => {
                    let at: u32 = c.key.parse().unwrap();
                    match c.direction {
                        Direction::Older => all.iter().copied().filter(|n| *n < at).take(limit as usize + 1).collect(),
                        Direction::Newer => all.iter().rev().copied().filter(|n| *n > at).take(limit as usize + 1).collect(),
                    }
                }
            };
            Page::cut(rows, limit, cursor, u32::to_string)
        };
        let mut seen: Vec<u32> = Vec::new();
        let mut page = read(None, 3);
        loop {
            seen.extend(&page.items);
            let Some(next) = page.next_cursor else { break };
            page = read(Some(&next.parse().unwrap()), 3);
        }
        assert_eq!(seen, all);
        let mut back: Vec<u32> = page.items;
        let mut prev = page.prev_cursor;
        while let Some(cursor) = prev {
            let page = read(Some(&cursor.parse().unwrap()), 4);
            if page.items.is_empty() {
                break;
            }
            back.splice(0..0, page.items);
            prev = page.prev_cursor;
        }
        assert_eq!(back, all);
    }

    #[test]
    fn times_have_six_digits() {
        let time = Timestamp(time::macros::datetime!(2026-01-02 03:04:05.5 UTC));
        assert_eq!(time.to_string(), "2026-01-02T03:04:05.500000Z");
    }
}
