//! Edits: what a message said before it was edited.
//!
//! Tables: `chat.message_edits`. Rules: edits.1. Statuses: 403 for who reads the message and may not see its earlier texts, 404 for no such
//! message.

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::ApiError;
use crate::wire::{Cursor, PAGE_DEFAULT, Page, Timestamp, keyset_of_numbers, number_key};
use crate::{page_of, params};

pub struct EditsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl EditsApi {
    /// List a message's earlier texts
    ///
    /// Those that were replaced last come first. Its sender sees them while the message stands; owner and moderators always do.
    #[oai(path = "/chats/:chatId/messages/:messageId/edits", method = "get", operation_id = "listEdits")]
    async fn list_edits(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<EarlierTextPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (rev, sql) = keyset_of_numbers("edits", cursor.as_ref(), OLDER, NEWER)?;
        let params = params![chat_id.0, message_id.0, rev, i64::from(limit) + 1];
        let rows = self.db.read(&caller, sql, params).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_EDITS, params![chat_id.0, message_id.0]).await?;
        }
        let edits: Vec<EarlierText> = rows.iter().map(EarlierText::from).collect();
        Ok(Answer(Page::cut(edits, limit, cursor.as_ref(), |edit| number_key("edits", edit.rev)).into()))
    }
}

/// What a message said before an edit.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct EarlierText {
    /// The text it had.
    pub text: String,
    /// Whom it mentioned.
    pub mentions: Vec<Uuid>,
    /// The message's `rev` when it had this text.
    pub rev: i64,
    /// When an edit replaced it.
    pub replaced_at: Timestamp,
}

page_of!(
    /// A page of earlier texts.
    EarlierTextPage,
    EarlierText
);

impl From<&Row> for EarlierText {
    fn from(row: &Row) -> Self {
        Self { text: row.get("text"), mentions: row.get("mentions"), rev: row.get("rev"), replaced_at: row.get("replaced_at") }
    }
}

const OLDER: &str = "
select e.text, e.mentions, e.rev, e.replaced_at
from chat.message_edits e
where e.chat_id = $1 and e.message_id = $2 and e.rev < $3
order by e.rev desc
limit $4";

const NEWER: &str = "
select e.text, e.mentions, e.rev, e.replaced_at
from chat.message_edits e
where e.chat_id = $1 and e.message_id = $2 and e.rev > $3
order by e.rev
limit $4";

const EXPECT_EDITS: &str = "select chat.expect_edits($1, $2)";
