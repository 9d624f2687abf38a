//! Where a reader of all its chats stands: opaque to clients.
//!
//! What the database says is kept word by word and checked for its form alone: an epoch and a snapshot; in the middle of a walk also the
//! snapshot it ends at, the chat it has come to and the rev within it. Who forges one is told too much or too little of what they may
//! read anyway.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

/// The longest position, in characters: a snapshot names every transaction under way, and a path is no longer than 64 KiB.
const LENGTH_MAX: usize = 60_000;

/// A place in the changes of all of one's chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which life of the database it is of.
    pub epoch: String,
    /// What the reader has: a `pg_snapshot`; none in the middle of a walk from the start.
    pub base: Option<String>,
    /// In the middle of a walk: the snapshot it ends at.
    pub target: Option<String>,
    /// In the middle of a walk: the chat it has come to.
    pub chat: Option<Uuid>,
    /// In the middle of a chat: the rev it has come to.
    pub since: Option<i64>,
}

impl Position {
    /// From what the database wrote.
    ///
    /// # Errors
    /// When it is not in its form.
    pub fn from_text(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "not a position of this server";
        let parts: Vec<&str> = text.split(';').collect();
        let epoch = parts[0].to_owned();
        if epoch.len() != 16 || !epoch.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WRONG);
        }
        let snapshot = |text: &str| if is_snapshot(text) { Ok(Some(text.to_owned())) } else { Err(WRONG) };
        let mut position = Self { epoch, base: None, target: None, chat: None, since: None };
        match parts[1..] {
            [base] => position.base = snapshot(base)?,
            [base, target, chat, ref rest @ ..] => {
                position.base = if base.is_empty() { None } else { snapshot(base)? };
                position.target = snapshot(target)?;
                position.chat = Some(chat.parse().map_err(|_| WRONG)?);
                position.since = match rest {
                    [] => None,
                    [since] => Some(since.parse().map_err(|_| WRONG)?),
                    _ => return Err(WRONG),
                };
            }
            _ => return Err(WRONG),
        }
        Ok(position)
    }
}

/// Whether Postgres takes it for a `pg_snapshot`: `xmin:xmax:` and the transactions between them that were under way, ascending.
fn is_snapshot(text: &str) -> bool {
    let mut parts = text.split(':');
    let (Some(low), Some(high), Some(running), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0 && i64::try_from(*n).is_ok());
    let (Some(low), Some(high)) = (number(low), number(high)) else { return false };
    let running: Option<Vec<u64>> = if running.is_empty() { Some(Vec::new()) } else { running.split(',').map(number).collect() };
    running.is_some_and(|running| low <= high && running.is_sorted() && running.iter().all(|n| (low..high).contains(n)))
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{};{}", self.epoch, self.base.as_deref().unwrap_or_default());
        if let (Some(target), Some(chat)) = (&self.target, &self.chat) {
            text.push_str(&format!(";{target};{chat}"));
        }
        if let Some(since) = self.since {
            text.push_str(&format!(";{since}"));
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a position of this server";
        if text.len() > LENGTH_MAX {
            return Err(WRONG);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| WRONG)?;
        Self::from_text(&String::from_utf8(bytes).map_err(|_| WRONG)?)
    }
}

impl Type for Position {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_position".into()
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

impl ParseFromParameter for Position {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        value.parse().map_err(ParseError::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_journey() {
        let chat = "00000000-0000-0000-0000-000000000001";
        for text in [
            "0123456789abcdef;10:20:11,15".to_owned(),
            format!("0123456789abcdef;;10:20:;{chat}"),
            format!("0123456789abcdef;5:9:;10:20:11;{chat};17"),
        ] {
            let position = Position::from_text(&text).unwrap();
            assert_eq!(position.to_string().parse(), Ok(position), "{text}");
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "x",
            "0123456789abcdef",
            "0123456789abcdef;",
            "0123456789abcdeg;1:2:",
            "0123456789abcdef;2:1:",
            "0123456789abcdef;0:1:",
            "0123456789abcdef;1:5:3,2",
            "0123456789abcdef;1:5:7",
            "0123456789abcdef;1:5:;",
            "0123456789abcdef;1:5:;1:5:;x",
            "0123456789abcdef;1:5:;1:5:;00000000-0000-0000-0000-000000000001;x",
            "0123456789abcdef;1:5:;1:5:;00000000-0000-0000-0000-000000000001;1;1",
            "0123456789abcdef;1:99999999999999999999:",
        ] {
            assert!(Position::from_text(text).is_err(), "{text}");
        }
    }
}
