//! Presence: who of a chat is here, and that one types.
//!
//! Tables: `chat.participants`, `chat.presence`; `chat.presence_of` for how it is with people, `chat.set_typing`. Rules: presence.1, and for who
//! types messages.2, messages.18, direct.1, direct.2. Statuses: 403 for who may not, 404 for no such chat.

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::body::Body;
use super::caller::Caller;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::ApiError;
use crate::wire::{Cursor, PAGE_DEFAULT, Page, Timestamp, keyset, moment_key};
use crate::{page_of, params};

pub struct PresenceApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Participants")]
impl PresenceApi {
    /// List who of a chat is here
    ///
    /// In the order of the list of participants: who came last to the chat first.
    #[oai(path = "/chats/:chatId/presence", method = "get", operation_id = "listPresence")]
    async fn list_presence(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<PresencePage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("presence", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![chat_id.0, at, id, i64::from(limit) + 1]).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_COMPANION, params![chat_id.0]).await?;
        }
        let rows: Vec<(Timestamp, Presence)> = rows.iter().map(|row| (row.get("joined_at"), row.into())).collect();
        let page = Page::cut(rows, limit, cursor.as_ref(), |(at, who)| moment_key("presence", *at, who.user_id));
        let Page { items, next_cursor, prev_cursor } = page;
        let items = items.into_iter().map(|(_, who)| who).collect();
        Ok(Answer(Page { items, next_cursor, prev_cursor }.into()))
    }

    /// Tell the others that one types
    ///
    /// To be repeated every few seconds: after six without it they are told that one does no more. Stored nowhere.
    #[oai(path = "/chats/:chatId/typing", method = "post", operation_id = "setTyping")]
    async fn set_typing(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        typing: Body<TypingUpdate>,
    ) -> Result<SetTyping, ApiError> {
        self.db.write(&caller, TYPE, params![chat_id.0, typing.0.is_typing.unwrap_or(true)]).await?;
        Ok(SetTyping::Done)
    }
}

/// Whether somebody is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// They have a socket or stream open.
    Online,
    /// They have, and each says that they are not looking at it.
    Away,
    /// They have none, or do not let the caller know.
    Offline,
}

/// How it is with somebody.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Who.
    pub user_id: Uuid,
    /// Whether they are here.
    pub status: PresenceStatus,
    /// When who is offline was last active, to a few minutes; absent where the caller may not know.
    pub last_active_at: Option<Timestamp>,
}

impl From<&Row> for Presence {
    fn from(row: &Row) -> Self {
        let status = match row.get("status") {
            "online" => PresenceStatus::Online,
            "away" => PresenceStatus::Away,
            _ => PresenceStatus::Offline,
        };
        Self { user_id: row.get("user_id"), status, last_active_at: row.get("last_active_at") }
    }
}

/// Whether one types.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypingUpdate {
    /// Absent: one does.
    pub is_typing: Option<bool>,
}

/// What telling answers.
#[derive(ApiResponse)]
pub enum SetTyping {
    /// The others are told.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of people and how it is with them, who came last to the chat first.
    PresencePage,
    Presence
);

macro_rules! presence {
    ($page:literal, $order:literal) => {
        concat!(
            "with page as materialized (
  select p.user_id, p.joined_at
  from chat.participants p
  where p.chat_id = $1
    and p.left_at is null
",
            $page,
            ")
select g.user_id, g.joined_at, s.status, s.last_active_at
from page g
join (select s.*
      from (select array(select g.user_id from page g)) a (people)
      cross join lateral chat.presence_of($1, a.people) s) s on s.user_id = g.user_id
order by g.joined_at ",
            $order,
            ", g.user_id ",
            $order
        )
    };
}

const OLDER: &str = presence!(
    "    and ($2::timestamptz is null or (p.joined_at, p.user_id) < ($2, $3::uuid))
  order by p.joined_at desc, p.user_id desc
  limit $4",
    "desc"
);

const NEWER: &str = presence!(
    "    and (p.joined_at, p.user_id) > ($2::timestamptz, $3::uuid)
  order by p.joined_at, p.user_id
  limit $4",
    "asc"
);

const EXPECT_COMPANION: &str = "select chat.expect_companion($1)";

const TYPE: &str = "select chat.set_typing($1, $2)";
