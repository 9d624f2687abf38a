//! Filters of `postgres_changes`: conditions on a row's columns, all of which are to hold. Pure.
//!
//! `column=[not.]operator.value`, several divided by commas; a value that holds `, ( ) " \` stands in double quotes. Conditions are true, false
//! or unknown as in SQL: null is neither equal nor unequal to anything.

mod value;

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::Value;
use uuid::Uuid;

use self::value::Operand;
use super::rows::{Action, Column, Row, Table, Type};

/// Values of one `in`.
const VALUES_MAX: usize = 100;
/// Conditions of one filter.
const CONDITIONS_MAX: usize = 50;
/// Patterns of one channel: each is compiled before it is known who asks, and held while the channel is.
pub const PATTERNS_MAX: usize = 10;
/// What a pattern's program may take, in bytes; all that is made of it takes some times as much.
const PATTERN_MAX: usize = 32 << 10;

/// What a filter asks of one column.
#[cfg_attr(test, derive(Debug))]
pub struct Condition {
    column: &'static Column,
    is_negated: bool,
    test: Test,
}

#[cfg_attr(test, derive(Debug))]
enum Test {
    /// Whether how the column compares with the value is one of these.
    Compare(&'static [Ordering], Operand),
    /// Null is a value like others.
    Distinct(Option<Operand>),
    In(Vec<Operand>),
    Matches(Box<Regex>),
    /// Null, true or false; `unknown` is null.
    Is(Option<bool>),
}

/// Reads a filter on a table, with no more patterns than are left to its channel.
///
/// # Errors
/// When it cannot be read, or does not fit the table.
pub fn parse(table: Table, filter: &str, patterns_left: &mut usize) -> Result<Vec<Condition>, String> {
    let filter = filter.trim();
    if filter.is_empty() {
        return Ok(Vec::new());
    }
    let parts = split(filter);
    if parts.len() > CONDITIONS_MAX {
        return Err(format!("Error parsing `filter` params: more than {CONDITIONS_MAX} conditions"));
    }
    parts.into_iter().map(|part| condition(table, part.trim(), patterns_left)).collect()
}

fn condition(table: Table, text: &str, patterns_left: &mut usize) -> Result<Condition, String> {
    let unread = |why: &str| format!("Error parsing `filter` params: {why}");
    if text.is_empty() {
        return Err(unread("filter must not contain empty segments (check for extra commas)"));
    }
    let (name, rest) = text.split_once('=').ok_or_else(|| unread(&format!("[{text:?}]")))?;
    let (is_negated, rest) = rest.strip_prefix("not.").map_or((false, rest), |rest| (true, rest));
    let (operator, value) = rest.split_once('.').ok_or_else(|| unread(&format!("[{rest:?}]")))?;
    let unknown = || unread(&format!("[{operator:?}, {value:?}]"));
    let column = table.column(name).ok_or_else(|| format!("invalid column for filter {name}"));
    let operand = |column: &Column| Operand::parse(column.kind, &unquoted(value));
    let compared = |orderings: &'static [Ordering]| {
        let column = column.clone()?;
        let is_of_order = !matches!(orderings, [Ordering::Equal] | [Ordering::Less, Ordering::Greater]);
        if column.kind == Type::Jsonb && is_of_order {
            return Err(format!("operator {operator} is not for columns of type jsonb"));
        }
        Ok(Test::Compare(orderings, operand(column)?))
    };
    let mut matched = |pattern: Result<String, String>, is_blind: bool| {
        let column = column.clone()?;
        if column.kind != Type::Text {
            let kind = column.kind.name();
            return Err(format!("operator {operator} requires a text-compatible column type, got {kind}"));
        }
        let too_many = || format!("a channel has at most {PATTERNS_MAX} patterns (like, ilike, match, imatch)");
        *patterns_left = patterns_left.checked_sub(1).ok_or_else(too_many)?;
        let pattern = RegexBuilder::new(&pattern?)
            .case_insensitive(is_blind)
            // as in Postgres: a dot is any character
            .dot_matches_new_line(true)
            .size_limit(PATTERN_MAX)
            .build()
            .map_err(|error| format!("invalid regular expression for {operator} filter: {error}"))?;
        Ok(Test::Matches(Box::new(pattern)))
    };
    let test = match operator {
        "eq" => compared(&[Ordering::Equal])?,
        "neq" => compared(&[Ordering::Less, Ordering::Greater])?,
        "lt" => compared(&[Ordering::Less])?,
        "lte" => compared(&[Ordering::Less, Ordering::Equal])?,
        "gt" => compared(&[Ordering::Greater])?,
        "gte" => compared(&[Ordering::Greater, Ordering::Equal])?,
        "isdistinct" if value == "null" => column.clone().map(|_| Test::Distinct(None))?,
        "isdistinct" => Test::Distinct(Some(operand(column.clone()?)?)),
        "in" => Test::In(list(column.clone()?, value)?),
        "like" | "ilike" => matched(like(&unquoted(value)), operator == "ilike")?,
        "match" | "imatch" => matched(Ok(unquoted(value)), operator == "imatch")?,
        "is" => is(column.clone()?, value)?,
        _ => return Err(unknown()),
    };
    Ok(Condition { column: column?, is_negated, test })
}

fn is(column: &Column, value: &str) -> Result<Test, String> {
    let kind = column.kind.name();
    match value {
        "true" | "false" | "unknown" if column.kind != Type::Bool => {
            Err(format!("is {value} filter requires a boolean column, got {kind}"))
        }
        "true" | "false" => Ok(Test::Is(Some(value == "true"))),
        "null" | "unknown" => Ok(Test::Is(None)),
        _ => Err("invalid value for is filter: must be null, true, false, or unknown".to_owned()),
    }
}

fn list(column: &Column, value: &str) -> Result<Vec<Operand>, String> {
    let inner = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
    let inner = inner.ok_or("Error parsing `filter` params: `in` filter value must be wrapped by parentheses")?;
    let values = if inner.is_empty() { Vec::new() } else { split(inner) };
    if values.len() > VALUES_MAX {
        return Err(format!("too many values for `in` filter. Maximum {VALUES_MAX}"));
    }
    values.into_iter().map(|value| Operand::parse(column.kind, &unquoted(value.trim()))).collect()
}

/// Divides at commas that stand neither in parentheses nor in quotes. A quote opens where a value begins.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    let mut before = ',';
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' if is_quoted => is_quoted = false,
            _ if is_quoted => {}
            '"' if matches!(before, '.' | '(' | ',') => is_quoted = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(&text[begin..]);
    parts
}

/// What stands in quotes, without them.
fn unquoted(value: &str) -> String {
    let Some(rest) = value.strip_prefix('"') else { return value.to_owned() };
    let mut inner = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.as_str().is_empty() => return inner,
            '"' => break,
            '\\' => inner.extend(chars.next()),
            _ => inner.push(c),
        }
    }
    // a quote that does not close, or closes too early, is a character like others
    value.to_owned()
}

/// The regular expression that matches what a pattern of LIKE does.
fn like(pattern: &str) -> Result<String, String> {
    let mut expression = String::from(r"\A");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            '\\' => {
                let next = chars.next().ok_or("LIKE pattern must not end with escape character")?;
                expression.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            }
            _ => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(r"\z");
    Ok(expression)
}

/// Whether a row is one that a filter asks for. Of a row that is gone the key alone is known: conditions on its other columns may have held,
/// and who never had the row does nothing about a DELETE.
pub fn holds(filter: &[Condition], row: &Row) -> bool {
    filter.iter().all(|condition| match row.values.get(condition.column.name) {
        Some(value) => condition.of(value) == Some(true),
        None => row.action == Action::Delete,
    })
}

/// The same, of any row of a chat, as far as the chat alone decides; absent: the row does.
pub fn decided(table: Table, filter: &[Condition], chat: Uuid) -> Option<bool> {
    let mut is_open = false;
    for condition in filter {
        if condition.column.name != table.chat_column() {
            is_open = true;
        } else if condition.of_operand(Some(Operand::Uuid(chat))) != Some(true) {
            return Some(false);
        }
    }
    (!is_open).then_some(true)
}

/// The chats whose rows alone a filter can ask for; absent: any.
pub fn chats(table: Table, filter: &[Condition]) -> Option<Vec<Uuid>> {
    let of_chat = filter.iter().filter(|condition| condition.column.name == table.chat_column() && !condition.is_negated);
    let mut found: Option<Vec<Uuid>> = None;
    for condition in of_chat {
        let named: Vec<Uuid> = match &condition.test {
            Test::Compare([Ordering::Equal], Operand::Uuid(chat)) => vec![*chat],
            Test::In(values) => values.iter().filter_map(Operand::uuid).collect(),
            _ => continue,
        };
        found = Some(match found {
            None => named,
            Some(found) => found.into_iter().filter(|chat| named.contains(chat)).collect(),
        });
    }
    found
}

impl Condition {
    /// True, false or unknown, of a value of the column.
    fn of(&self, value: &Value) -> Option<bool> {
        self.of_operand(Operand::read(self.column.kind, value))
    }

    fn of_operand(&self, operand: Option<Operand>) -> Option<bool> {
        let is_so = match &self.test {
            Test::Is(None) => Some(operand.is_none()),
            Test::Is(Some(wanted)) => Some(operand == Some(Operand::Bool(*wanted))),
            Test::Distinct(wanted) => Some(operand != *wanted),
            Test::Compare(orderings, wanted) => {
                operand.map(|operand| operand.compare(wanted).is_some_and(|o| orderings.contains(&o)))
            }
            Test::In(wanted) => operand.map(|operand| wanted.contains(&operand)),
            Test::Matches(pattern) => operand.map(|operand| operand.text().is_some_and(|text| pattern.is_match(text))),
        };
        is_so.map(|is_so| is_so != self.is_negated)
    }
}

#[cfg(test)]
mod tests;
