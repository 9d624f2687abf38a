//! What a caller is told when something does not work: RFC 9457 problem documents.
//!
//! A refusal by a rule arrives from Postgres with the rule's status in its SQLSTATE (PTnnn) or with the name of a constraint.
//! This file passes it on; it names no rule itself.

use std::collections::HashMap;
use std::sync::OnceLock;

use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};
use tokio_postgres::error::SqlState;

use crate::db::DbError;
use crate::wire::BadCursor;

/// How long a caller waits before asking again, in seconds, when the database is away or busy.
const RETRY_AFTER_SECONDS: u32 = 2;

/// What went wrong (RFC 9457).
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Problem {
    /// A URI for the kind of problem: `urn:tabletalk:problem:` and the code.
    #[oai(rename = "type")]
    pub kind: String,
    /// What this kind of problem is: a broken rule's sentence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is particular about this one.
    pub detail: String,
    /// A stable name to tell problems apart: a broken rule's name.
    pub code: String,
    /// The number of the broken rule, as in `messages.3`.
    pub rule: Option<String>,
    /// Where in the request it is, if that is known.
    pub errors: Option<Vec<ProblemPart>>,
}

/// One part of a request that is wrong.
#[derive(Debug, Clone, Object)]
pub struct ProblemPart {
    /// A JSON pointer into the body (RFC 6901), or the name of a parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
}

/// Every way in which an operation may fail.
#[derive(Debug, ApiResponse)]
pub enum ApiError {
    /// The request could not be parsed, or does not fit the schema.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// There is no token, or it is not valid.
    #[oai(status = 401, content_type = "application/problem+json")]
    Unauthorized(Json<Problem>),
    /// A rule does not allow this.
    #[oai(status = 403, content_type = "application/problem+json")]
    Forbidden(Json<Problem>),
    /// There is no such thing.
    #[oai(status = 404, content_type = "application/problem+json")]
    NotFound(Json<Problem>),
    /// It conflicts with what is there.
    #[oai(status = 409, content_type = "application/problem+json")]
    Conflict(Json<Problem>),
    /// The body is too long.
    #[oai(status = 413, content_type = "application/problem+json")]
    TooLarge(Json<Problem>),
    /// The body is not JSON.
    #[oai(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Json<Problem>),
    /// A value breaks a rule.
    #[oai(status = 422, content_type = "application/problem+json")]
    Unprocessable(Json<Problem>),
    /// A fault of the server.
    #[oai(status = 500, content_type = "application/problem+json")]
    Internal(Json<Problem>),
    /// The database is away or busy: ask again in a moment.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// Seconds to wait before asking again.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl Problem {
    /// A problem that no rule of the database names.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tabletalk:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            rule: None,
            errors: None,
        }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let status = problem.status;
        let body = Json(problem);
        match status {
            400 => Self::BadRequest(body),
            401 => Self::Unauthorized(body),
            403 => Self::Forbidden(body),
            404 => Self::NotFound(body),
            409 => Self::Conflict(body),
            413 => Self::TooLarge(body),
            415 => Self::UnsupportedMediaType(body),
            503 => Self::Unavailable(body, RETRY_AFTER_SECONDS),
            422 => Self::Unprocessable(body),
            _ => Self::Internal(body),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Refused(refusal) => refused(&refusal),
            DbError::Denied { refusal, role, sql } => denied(&refusal, role, sql),
            DbError::Away(reason) => {
                tracing::warn!(reason, "the database is away");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database_is_away", "the database does not answer").into()
            }
            DbError::Crowded => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "chat_is_busy", "too many are writing to this chat right now")
                    .into()
            }
            DbError::Fault(reason) => fault(&reason),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        fault(&error.to_string())
    }
}

impl From<BadCursor> for ApiError {
    fn from(error: BadCursor) -> Self {
        invalid("cursor", &error.to_string())
    }
}

/// A request that does not fit the schema in a way that the schema cannot say.
pub fn invalid(pointer: &str, message: &str) -> ApiError {
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "request_is_invalid", message);
    problem.errors = Some(vec![ProblemPart { pointer: pointer.to_owned(), message: message.to_owned() }]);
    problem.into()
}

/// What was written was undone by somebody else before it could be answered with.
pub fn overtaken() -> ApiError {
    Problem::new(StatusCode::CONFLICT, "overtaken", "it was done, and undone by somebody else in the same moment").into()
}

/// A problem of the server's own making: the reason goes to the log, never to the caller.
pub fn fault(reason: &str) -> ApiError {
    tracing::error!(reason, "a request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "something went wrong here; the log knows more").into()
}

fn refused(refusal: &tokio_postgres::error::DbError) -> ApiError {
    let constraint = refusal.constraint().unwrap_or_default();
    let rule = rule(constraint);
    let Some(status) = rule.map(|r| r.status).or_else(|| status_of(refusal.code())) else {
        return fault(&format!("{}: {}", refusal.code().code(), refusal.message()));
    };
    let mut problem = Problem::new(status, code_of(status), "");
    // Postgres' own details quote values, so only those of our own refusals are passed on
    let detail = refusal.detail().filter(|d| !d.is_empty() && refusal.code().code().starts_with("PT"));
    if let Some(rule) = rule {
        problem.kind = format!("urn:tabletalk:problem:{constraint}");
        constraint.clone_into(&mut problem.code);
        problem.title.clone_from(&rule.sentence);
        problem.rule = Some(rule.number.clone());
        detail.unwrap_or(&rule.sentence).clone_into(&mut problem.detail);
    } else {
        detail.unwrap_or(detail_of(status)).clone_into(&mut problem.detail);
    }
    problem.into()
}

/// Postgres names no rule where a grant or a policy holds: the rules say which one that is.
fn denied(refusal: &tokio_postgres::error::DbError, role: &'static str, sql: &'static str) -> ApiError {
    let status = StatusCode::FORBIDDEN;
    let mut problem = Problem::new(status, code_of(status), detail_of(status));
    let message = refusal.message();
    // Anything else is no rule of ours: a policy that is named beside the table is a restrictive one, and those are of the house; so is a
    // trigger that raises this, and a table that the rules know nothing of.
    let named = message
        .strip_prefix("new row violates row-level security policy for table \"")
        .and_then(|rest| rest.strip_suffix('"'))
        .or_else(|| Some(message.strip_prefix("permission denied for ")?.split_once(' ')?.1));
    let is_ours = |name: &str| RULES.get().is_some_and(|rules| rules.held.keys().any(|key| key.rsplit(' ').next() == Some(name)));
    let held = aim(sql).filter(|_| named.is_some_and(is_ours)).map(|(command, target)| format!("{role} {command} {target}"));
    if held.is_none() {
        // its words may be somebody's, where a trigger raised it
        let says = message.starts_with("permission denied for ").then_some(message);
        tracing::warn!(role, aimed_at = ?aim(sql), says, "refused with 42501, by no rule of Tabletalk's");
    }
    if let Some(rule) = held.and_then(|held| rule(RULES.get()?.held.get(&held)?)) {
        problem.detail.clone_from(&rule.sentence);
        problem.rule = Some(rule.number.clone());
    }
    problem.into()
}

fn status_of(code: &SqlState) -> Option<StatusCode> {
    let code = code.code();
    match (code.get(..2)?, code) {
        // PostgREST's convention: PTnnn is HTTP nnn
        ("PT", _) => code[2..].parse().ok().and_then(|n: u16| StatusCode::from_u16(n).ok()),
        (_, "23505" | "23P01") => Some(StatusCode::CONFLICT),
        ("22" | "23", _) => Some(StatusCode::UNPROCESSABLE_ENTITY),
        (_, "42501") => Some(StatusCode::FORBIDDEN),
        // a lock or a statement that took too long, a deadlock, no room, or a server that goes down or is not up yet
        ("53" | "57" | "08", _) | (_, "55P03" | "40P01" | "40001" | "25006") => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ => None,
    }
}

fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "not_allowed",
        404 => "not_found",
        409 => "conflict",
        422 => "value_is_not_acceptable",
        503 => "database_is_busy",
        _ => "refused",
    }
}

fn detail_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "the rules of the database do not allow this",
        409 => "it is there already",
        422 => "a value is not acceptable to the database",
        503 => "the database could not answer in time",
        _ => "the database refused this",
    }
}

/// A row of `chat.rules`.
#[derive(Debug, Clone)]
pub struct Rule {
    pub number: String,
    pub status: StatusCode,
    pub sentence: String,
}

/// What is known of the rules.
#[derive(Debug)]
pub struct Rules {
    /// By name.
    pub by_name: HashMap<String, Rule>,
    /// The name of the rule that a grant or policy holds: by role, command and table, as in `anon insert messages`.
    pub held: HashMap<String, String>,
}

// The same in every database of this version, so once for the process.
static RULES: OnceLock<Rules> = OnceLock::new();

/// Makes the rules known, so that a broken constraint is answered with its sentence. The first call counts.
pub fn learn_rules(rules: Rules) {
    RULES.get_or_init(|| rules);
}

fn rule(name: &str) -> Option<&'static Rule> {
    RULES.get()?.by_name.get(name)
}

/// What a statement does, and to which table of ours, or that it calls a function.
fn aim(sql: &str) -> Option<(&str, &str)> {
    let aims = ["insert into chat.", "update chat.", "delete from chat.", "from chat.", "select chat."];
    let (words, rest) = aims.iter().find_map(|words| Some((words, sql.split_once(words)?.1)))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (target, after) = rest.split_at(end);
    let command = match words.split(' ').next() {
        _ if after.starts_with('(') && !words.starts_with("insert") => "execute",
        Some("from") | None => "select",
        Some(command) => command,
    };
    Some((command, target))
}

#[cfg(test)]
mod tests {
    use super::aim;

    #[test]
    fn what_a_statement_is_about_is_read_from_it() {
        for (sql, expected) in [
            ("\ninsert into chat.messages as m (id) values ($1) returning (select 1 from chat.users)", ("insert", "messages")),
            ("insert into chat.blocks(blocked_id)", ("insert", "blocks")),
            ("\nupdate chat.chats c\nset name = (select 1 from chat.users)", ("update", "chats")),
            ("delete from chat.blocks b", ("delete", "blocks")),
            ("with page as materialized (select m.id from chat.messages m) select 1", ("select", "messages")),
            ("select chat.delete_message($1, $2)", ("execute", "delete_message")),
            ("select d.chat_id from chat.open_direct($1) d", ("execute", "open_direct")),
        ] {
            assert_eq!(aim(sql), Some(expected), "{sql}");
        }
        assert_eq!(aim("select 1"), None);
    }
}
