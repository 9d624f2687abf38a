//! Export: everything about oneself, as lines of JSON.
//!
//! Function: `chat.export_me`, which knows what belongs to somebody. Statuses: 404 for the service role, which is nobody.

use std::io;

use futures_util::stream;
use poem::Body;
use poem::http::StatusCode;
use poem_openapi::payload::Binary;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::Value;

use super::Tag;
use super::caller::Caller;
use crate::db::{Db, DbError};
use crate::error::{ApiError, Problem};
use crate::params;

pub struct ExportApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Users")]
impl ExportApi {
    /// Export everything about oneself
    ///
    /// Lines of JSON, each with a `type`; times, ids and absent fields as everywhere else:
    ///
    /// * `profile`: `id`, `username?`, `displayName`, `kind`, `avatarUrl?`, `createdAt`, `lastActiveAt`
    /// * `friendship`, asked for or accepted: `requesterId`, `addresseeId`, `createdAt`, `acceptedAt?`
    /// * `block`, made by oneself: `userId`, `createdAt`
    /// * `participation`, past ones too: `chatId`, `chatType`, `chatName?`, `role`, `joinedAt`, `leftAt?`, `lastReadSeq?`
    /// * `message`, sent by oneself, deleted ones too: `chatId`, `id`, `seq`, `rev`, `kind`, `text`, `mentions`, `replyToId?`,
    ///   `attachmentUrl?`, `createdAt`, `importedAt?`, `editedAt?`, `pinnedAt?`, `deletedAt?`
    /// * `edit`, an earlier text of such a message: `chatId`, `messageId`, `rev`, `text`, `mentions`, `replacedAt`
    /// * `reaction`: `chatId`, `messageId`, `emoji`, `createdAt`
    /// * `end`, the last line: without it the export was cut off
    ///
    /// It is read in slices while it is sent: what changes meanwhile may be in it as it was before or after, and what was there
    /// throughout is in it once.
    #[oai(path = "/users/me/export", method = "get", operation_id = "exportMe")]
    async fn export_me(&self, caller: Caller) -> Result<Exported, ApiError> {
        let mut walk = Walk { db: self.db.clone(), who: caller, place: None };
        // the first slice is read before anything is answered: a refusal is a problem and no broken export
        let Some(first) = walk.slice().await? else {
            let nobody = "this token is no person's: there is nothing to export";
            return Err(Problem::new(StatusCode::NOT_FOUND, "token_is_nobodys", nobody).into());
        };
        let lines = stream::try_unfold((Some(first), walk), |(read, mut walk)| async {
            let next = match read {
                Some(lines) => Some(lines),
                None => walk.slice().await.map_err(io::Error::other)?,
            };
            Ok::<_, io::Error>(next.map(|lines| (lines, (None, walk))))
        });
        Ok(Exported::Lines(Binary(Body::from_bytes_stream(lines))))
    }
}

/// Everything about the caller.
#[derive(ApiResponse)]
pub enum Exported {
    /// Lines of JSON, one thing each.
    #[oai(status = 200, content_type = "application/x-ndjson")]
    Lines(Binary<Body>),
}

/// An export on its way.
struct Walk {
    db: Db,
    who: Caller,
    /// Where to go on; nothing at the beginning, and null at the end.
    place: Option<Value>,
}

impl Walk {
    /// The next lines; nothing at the end.
    async fn slice(&mut self) -> Result<Option<Vec<u8>>, DbError> {
        while self.place != Some(Value::Null) {
            let rows = self.db.read(&self.who, EXPORT, params![self.place.clone()]).await?;
            let Some(row) = rows.first() else { break };
            self.place = Some(row.get::<_, Option<Value>>("place").unwrap_or(Value::Null));
            if let Some(lines) = row.get::<_, Option<String>>("lines") {
                return Ok(Some((lines + "\n").into_bytes()));
            }
        }
        Ok(None)
    }
}

const EXPORT: &str = "select e.lines, e.place from chat.export_me($1) e";
