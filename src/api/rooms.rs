//! Rooms: the directory of public ones, and one by its uid.
//!
//! Tables: `chat.chats`; functions `chat.overviews`, `chat.expect_reader`. Rules: chats.1, chats.2, participants.1.
//! Statuses: 403 for who may not read it, 404 for no such room, or for a uid that leads to none that the caller reads.

use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use super::shapes::EXPECT_READER;
use super::shapes::chat::{Chat, described_chats, read_chat};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, overtaken};
use crate::wire::{Cursor, PAGE_DEFAULT, Page, keyset, moment_key};
use crate::{page_of, params};

pub struct RoomsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Chats")]
impl RoomsApi {
    /// List public rooms
    ///
    /// The directory: all that the caller may read and join, newest first. `createChat` makes them, for admins.
    #[oai(path = "/rooms", method = "get", operation_id = "listRooms")]
    async fn list_rooms(
        &self,
        caller: Caller,
        /// Only rooms whose name contains this.
        #[oai(validator(min_length = 1, max_length = 100))]
        query: Query<Option<String>>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<RoomPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("rooms", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![query.0, at, id, i64::from(limit) + 1]).await?;
        let rooms = rows.iter().map(Chat::try_from).collect::<Result<Vec<_>, _>>()?;
        let page = Page::cut(rooms, limit, cursor.as_ref(), |room| moment_key("rooms", room.created_at, room.id));
        Ok(Answer(page.into()))
    }

    /// Get a room by its uid
    ///
    /// Or any other chat that the caller reads, also by its id.
    #[oai(path = "/rooms/:idOrUid", method = "get", operation_id = "getRoom")]
    async fn get_room(
        &self,
        caller: Caller,
        /// Its uid, or its id.
        #[oai(name = "idOrUid", validator(min_length = 1, max_length = 36))]
        id_or_uid: Path<String>,
    ) -> Result<Answer<Chat>, ApiError> {
        let id: Option<Uuid> = id_or_uid.0.parse().ok();
        let rows = self.db.read(&caller, FIND, params![id_or_uid.0, id]).await?;
        if let Some(row) = rows.first() {
            return read_chat(&self.db, &caller, row.get("id")).await.map(Answer);
        }
        // a uid that leads nowhere for them is refused as an id is that nothing has
        self.db.read(&caller, EXPECT_READER, params![id.unwrap_or_default()]).await?;
        Err(overtaken())
    }
}

page_of!(
    /// A page of public rooms.
    RoomPage,
    Chat
);

/// Public rooms, narrowed down by name and cursor before anything else of them is read.
macro_rules! public {
    ($beyond:literal, $order:literal) => {
        concat!(
            "
  select n.chat_id, p.role, l.id as last_id, l.seq as last_seq, l.sender_id as last_sender_id, l.text as last_text,
         l.created_at as last_at, n.created_at as active_at
  from (
    select c.id as chat_id, c.created_at
    from chat.chats c
    where c.visibility = 'public'
      and c.deleted_at is null
      and ($1::text is null or strpos(lower(c.name), lower($1)) > 0)
      and ($2::timestamptz is null or (c.created_at, c.id) ",
            $beyond,
            " ($2, $3::uuid))
    order by c.created_at ",
            $order,
            ", c.id ",
            $order,
            "
    limit $4) n
  left join chat.participants p on p.chat_id = n.chat_id and p.user_id = (select chat.uid()) and p.left_at is null
  left join lateral (
    select m.id, m.seq, m.sender_id, m.text, m.created_at
    from chat.messages m
    where m.chat_id = n.chat_id and m.deleted_at is null
    order by m.seq desc
    limit 1) l on true"
        )
    };
}

const OLDER: &str = described_chats!(public!("<", "desc"), "desc");
const NEWER: &str = described_chats!(public!(">", "asc"), "asc");

const FIND: &str = "select c.id from chat.chats c where c.uid = $1 or c.id = $2::uuid";
