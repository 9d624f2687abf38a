//! Search: messages by their words.
//!
//! Tables: `chat.messages`, by `chat.search`. Rules: search.1 to search.5, messages.1. Statuses: 422 for a search without a word;
//! 403 and 404 for one of a chat that the caller may not read.

use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use super::shapes::EXPECT_READER;
use super::shapes::message::{Message, message_columns, names_of, read_messages};
use crate::api::answer::Answer;
use crate::db::{Db, DbError};
use crate::error::ApiError;
use crate::wire::{Cursor, PAGE_DEFAULT, Page, Timestamp, keyset, moment_key};
use crate::{page_of, params};

pub struct SearchApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl SearchApi {
    /// Search messages
    ///
    /// Messages with all of these words, in whatever the caller may read, newest first. Words are found whatever their case and accents; the
    /// last one also as the beginning of a word. `"two words"` are found together, `-word` leaves out messages that have it.
    #[oai(path = "/search", method = "get", operation_id = "searchMessages")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn search_messages(
        &self,
        caller: Caller,
        /// What to look for: at most 500 characters, at least one word.
        q: Query<String>,
        /// Only in this chat.
        #[oai(name = "chatId")]
        chat_id: Query<Option<Uuid>>,
        /// Only what this person sent.
        #[oai(name = "senderId")]
        sender_id: Query<Option<Uuid>>,
        /// Only what was sent after this moment.
        #[oai(name = "createdAfter")]
        created_after: Query<Option<Timestamp>>,
        /// Only what was sent before this moment.
        #[oai(name = "createdBefore")]
        created_before: Query<Option<Timestamp>>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page of the same search.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<SearchPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("search", cursor.as_ref(), OLDER, NEWER)?;
        let (after, before) = (created_after.0.map(|t| t.0), created_before.0.map(|t| t.0));
        let params = params![q.0, chat_id.0, sender_id.0, after, before, at, id, i64::from(limit) + 1];
        let rows = self.db.read(&caller, sql, params).await?;
        if let (true, Some(chat)) = (rows.is_empty(), chat_id.0) {
            self.db.read(&caller, EXPECT_READER, params![chat]).await?;
        }
        let messages = read_messages(&self.db, &caller, &rows).await?;
        let highlights = rows.iter().map(highlights).collect::<Result<Vec<_>, _>>()?;
        let hits = messages.into_iter().zip(highlights).map(|(message, highlights)| SearchHit { message, highlights }).collect();
        let position = |hit: &SearchHit| moment_key("search", hit.message.created_at, hit.message.id);
        Ok(Answer(Page::cut(hits, limit, cursor.as_ref(), position).into()))
    }
}

/// A message that a search found.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// The message.
    pub message: Message,
    /// An excerpt of its text around the first hit, in parts that follow each other.
    pub highlights: Vec<Highlight>,
}

/// A part of a text.
#[derive(Debug, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct Highlight {
    /// As written: escape it like any text.
    pub text: String,
    /// Whether it is what was looked for.
    pub hit: bool,
}

fn highlights(row: &Row) -> Result<Vec<Highlight>, DbError> {
    serde_json::from_value(row.get("highlights")).map_err(|error| DbError::Fault(error.to_string()))
}

page_of!(
    /// A page of what a search found.
    SearchPage,
    SearchHit
);

macro_rules! found {
    ($newer:literal, $order:literal) => {
        concat!(
            "with page as materialized (
  select ",
            message_columns!(),
            ", f.highlights
  from chat.search($1, $2, $3, $4, $5, $6, $7, ",
            $newer,
            ", $8::bigint::integer) f
  join chat.messages m on m.chat_id = f.chat_id and m.id = f.id)
select ",
            message_columns!(),
            ", m.highlights, n.display_name as sender_name, n.username as sender_username
from page m
left join ",
            names_of!("page", "m"),
            "
",
            $order
        )
    };
}

const OLDER: &str = found!("false", "order by m.created_at desc, m.id desc");
const NEWER: &str = found!("true", "order by m.created_at, m.id");
