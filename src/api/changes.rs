//! Changes: what happened in one chat, or in all of one's chats, since one last asked.
//!
//! Functions `chat.changes`, `chat.sync`; the rows they name are read from the tables. Rules: changes.1, and those of each table.
//! Statuses: 403 for who may not read the chat, 404 for no such chat.

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use super::shapes::change::{Change, changes};
use super::shapes::chat::{Chat, chats_with_last_message, described_chats};
use super::shapes::message::complete;
use super::waiting::WaitingRoom;
use crate::api::answer::Answer;
use crate::db::{Db, DbError};
use crate::error::ApiError;
use crate::params;
use crate::wire::Position;

/// Changes of an answer when the request names no limit.
const CHANGES_DEFAULT: u32 = 200;

pub struct ChangesApi {
    pub db: Db,
    pub waiting: WaitingRoom,
}

#[OpenApi(tag = "Tag::Changes")]
impl ChangesApi {
    /// List what changed in a chat
    ///
    /// Since a revision: what is new in the order of the conversation, what was changed in the order of the changes, each once and as it is
    /// now. Ask again with `nextSince`. With `wait` the answer comes as soon as there is something, or empty when the time is up.
    #[oai(path = "/chats/:chatId/changes", method = "get", operation_id = "listChanges")]
    async fn list_changes(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The revision that the caller has: `nextSince` of the last answer, or the chat's `headRev` when its messages were listed. 0 if
        /// absent: everything.
        #[oai(validator(minimum(value = "0")))]
        since: Query<Option<i64>>,
        /// `epoch` of the answer that gave `since`; absent where that was a `headRev`.
        #[oai(validator(max_length = 64))]
        epoch: Query<Option<String>>,
        /// How many at most; 200 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "500")))]
        limit: Query<Option<u32>>,
        /// How many seconds to wait for something; 0 if absent.
        #[oai(validator(maximum(value = "30")))]
        wait: Query<Option<u32>>,
    ) -> Result<Answer<ChatChanges>, ApiError> {
        let (since, limit) = (since.unwrap_or(0), limit.unwrap_or(CHANGES_DEFAULT));
        let mut wait = self.waiting.enter(caller.subject, wait.0, Some(chat_id.0));
        loop {
            let params = params![chat_id.0, since, i64::from(limit), epoch.0.clone()];
            let rows = self.db.read(&caller, CHANGES, params).await?;
            let mut changes = ChatChanges::read(&rows, limit)?;
            if changes.reset || changes.next_since > since || !wait.goes_on().await {
                complete(&self.db, &caller, changes.data.iter_mut().filter_map(|change| change.message.as_mut()).collect())
                    .await?;
                return Ok(Answer(changes));
            }
        }
    }

    /// Catch up with all of one's chats
    ///
    /// What a device needs that was away, in one call: the chats it now has to list anew (`entered`), those it has to forget (`left`), and
    /// what changed in the others. Apply `left`, then `entered`, then `data`, keep `position`, and ask again with it: at once while `more`
    /// is true. Without `since` every chat is entered. A change may be told twice, with the same `rev`; none is left out.
    #[oai(path = "/sync", method = "get", operation_id = "syncChats")]
    async fn sync_chats(
        &self,
        caller: Caller,
        /// `position` of the last answer; absent: from the start.
        since: Query<Option<Position>>,
        /// How many chats and changes at most; 200 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "500")))]
        limit: Query<Option<u32>>,
        /// How many seconds to wait for something; 0 if absent.
        #[oai(validator(maximum(value = "30")))]
        wait: Query<Option<u32>>,
    ) -> Result<Answer<AllChanges>, ApiError> {
        let limit = i64::from(limit.unwrap_or(CHANGES_DEFAULT));
        let mut wait = self.waiting.enter(caller.subject, wait.0, None);
        loop {
            let params = match since.0.clone() {
                Some(Position { epoch, base, target, chat, since }) => params![Some(epoch), base, target, chat, since, limit],
                None => params![None::<String>, None::<String>, None::<String>, None::<Uuid>, None::<i64>, limit],
            };
            let rows = self.db.read(&caller, SYNC, params).await?;
            let (mut sync, entered) = AllChanges::read(&rows)?;
            if sync.is_news() || !entered.is_empty() || !wait.goes_on().await {
                if !entered.is_empty() {
                    // later than the rest, and told again if it matters; a chat left meanwhile is not among them
                    let rows = self.db.read(&caller, ENTERED, params![entered]).await?;
                    sync.entered = rows.iter().map(Chat::try_from).collect::<Result<_, _>>()?;
                }
                complete(&self.db, &caller, sync.data.iter_mut().filter_map(|change| change.message.as_mut()).collect()).await?;
                return Ok(Answer(sync));
            }
        }
    }
}

/// What changed in a chat.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct ChatChanges {
    /// The changes, in their order.
    pub data: Vec<Change>,
    /// Where to go on: `since` of the next request.
    pub next_since: i64,
    /// The chat's highest revision.
    pub head_rev: i64,
    /// What the revisions hold for: a life of the database, and the caller's part in the chat. To be sent along with `nextSince`.
    pub epoch: String,
    /// Whether there is more to be had at once.
    pub more: bool,
    /// Whether what the caller has of the chat is to be forgotten, and its messages to be listed anew: the caller came back or has another
    /// role, removals are not known any more, or the database was restored. Then `data` is empty.
    pub reset: bool,
}

impl ChatChanges {
    fn read(rows: &[Row], limit: u32) -> Result<Self, DbError> {
        let (head, keys) = rows.split_first().ok_or_else(|| unsaid("where the chat stands"))?;
        let head_rev = head.get("head_rev");
        let more = keys.len() >= limit as usize;
        Ok(Self {
            data: keys.iter().map(Change::read).collect::<Result<_, _>>()?,
            next_since: keys.last().filter(|_| more).map_or(head_rev, |row| row.get("at_rev")),
            head_rev,
            epoch: head.get("epoch"),
            more,
            reset: head.get::<_, &str>("what") == "reset",
        })
    }
}

/// What changed in all of one's chats.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct AllChanges {
    /// Changes of the chats that the caller was in all the time, in their order within each chat.
    pub data: Vec<Change>,
    /// Chats that the caller came to or has another role in: what is kept of them is to be forgotten, their messages to be listed anew.
    pub entered: Vec<Chat>,
    /// Chats that the caller is not in any more.
    pub left: Vec<Uuid>,
    /// Where to go on: `since` of the next request.
    pub position: String,
    /// Whether there is more to be had at once.
    pub more: bool,
    /// Whether everything that is kept is to be forgotten, before anything of this answer is applied: the position was of another life of the
    /// database.
    pub reset: bool,
}

impl AllChanges {
    /// What the rows say, and the chats that were entered.
    fn read(rows: &[Row]) -> Result<(Self, Vec<Uuid>), DbError> {
        let (end, keys) = rows.split_last().ok_or_else(|| unsaid("where the walk ends"))?;
        let position = Position::from_text(end.get("next_position")).map_err(unsaid)?.to_string();
        let more = end.get::<_, &str>("what") == "more";
        let mut sync = Self { data: Vec::new(), entered: Vec::new(), left: Vec::new(), position, more, reset: false };
        let mut entered = Vec::new();
        for row in keys {
            match row.get("what") {
                "reset" => sync.reset = true,
                "entered" => entered.push(row.get("at_chat_id")),
                "left" => sync.left.push(row.get("at_chat_id")),
                _ => sync.data.push(Change::read(row)?),
            }
        }
        Ok((sync, entered))
    }

    fn is_news(&self) -> bool {
        self.more || self.reset || !self.data.is_empty() || !self.left.is_empty()
    }
}

fn unsaid(what: &str) -> DbError {
    DbError::Fault(format!("the database did not say {what}"))
}

const CHANGES: &str = changes!(
    "
  select k.chat_id, k.rev, k.what, k.row_id, k.is_new, k.head_rev, k.epoch, null::text as next_position, row_number() over () as place
  from chat.changes($1, $2, $3, $4) k"
);

const SYNC: &str = changes!(
    "
  select k.chat_id, k.rev, k.what, k.row_id, k.is_new, null::bigint as head_rev, null::text as epoch, k.next_position,
         row_number() over () as place
  from chat.sync($1, $2::text::pg_snapshot, $3::text::pg_snapshot, $4, $5, $6) k"
);

const ENTERED: &str = described_chats!(
    chats_with_last_message!(
        "chat.participants p join chat.chats c on c.id = p.chat_id",
        "p.user_id = (select chat.uid()) and p.left_at is null and p.chat_id = any ($1)"
    ),
    "desc"
);
