//! Blocks: list, block, unblock.
//!
//! Tables: `chat.blocks`. Rules: blocks.1 to blocks.4. Statuses: 404 for nobody, 422 for oneself.

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, overtaken};
use crate::wire::{Cursor, PAGE_DEFAULT, Page, Timestamp, keyset, moment_key};
use crate::{page_of, params};

pub struct BlocksApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Friends")]
impl BlocksApi {
    /// List whom one blocks
    #[oai(path = "/blocks", method = "get", operation_id = "listBlocks")]
    async fn list_blocks(
        &self,
        caller: Caller,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<BlockPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("blocks", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![at, id, i64::from(limit) + 1]).await?;
        let blocks: Vec<Block> = rows.iter().map(Block::from).collect();
        let page = Page::cut(blocks, limit, cursor.as_ref(), |b| moment_key("blocks", b.created_at, b.user_id));
        Ok(Answer(page.into()))
    }

    /// Block someone
    ///
    /// Ends a friendship with them; from now on neither writes to the other in a direct chat, asks the other for friendship or
    /// adds the other to a chat. 201 when this blocks, 200 when it was so.
    #[oai(path = "/blocks/:userId", method = "put", operation_id = "blockUser")]
    async fn block_user(
        &self,
        caller: Caller,
        /// Whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
    ) -> Result<BlockUser, ApiError> {
        let made = !self.db.write(&caller, PUT, params![user_id.0]).await?.is_empty();
        let rows = self.db.read(&caller, ONE, params![user_id.0]).await?;
        let block = rows.first().map(Block::from).ok_or_else(overtaken)?;
        Ok(if made { BlockUser::Made(Answer(block)) } else { BlockUser::There(Answer(block)) })
    }

    /// Unblock someone
    #[oai(path = "/blocks/:userId", method = "delete", operation_id = "unblockUser")]
    async fn unblock_user(
        &self,
        caller: Caller,
        /// Whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
    ) -> Result<Unblocked, ApiError> {
        self.db.write(&caller, DELETE, params![user_id.0]).await?;
        Ok(Unblocked::Done)
    }
}

/// A block.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Who is blocked.
    pub user_id: Uuid,
    /// Since when.
    pub created_at: Timestamp,
}

/// What blocking answers.
#[derive(ApiResponse)]
pub enum BlockUser {
    /// They were blocked already.
    #[oai(status = 200)]
    There(Answer<Block>),
    /// They are blocked now.
    #[oai(status = 201)]
    Made(Answer<Block>),
}

/// What unblocking answers.
#[derive(ApiResponse)]
pub enum Unblocked {
    /// They are not blocked any more.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of blocks.
    BlockPage,
    Block
);

impl From<&Row> for Block {
    fn from(row: &Row) -> Self {
        Self { user_id: row.get("user_id"), created_at: row.get("created_at") }
    }
}

const OLDER: &str = "
select b.blocked_id as user_id, b.created_at
from chat.blocks b
where b.blocker_id = (select chat.uid())
  and ($1::timestamptz is null or (b.created_at, b.blocked_id) < ($1, $2::uuid))
order by b.created_at desc, b.blocked_id desc
limit $3";

const NEWER: &str = "
select b.blocked_id as user_id, b.created_at
from chat.blocks b
where b.blocker_id = (select chat.uid())
  and (b.created_at, b.blocked_id) > ($1::timestamptz, $2::uuid)
order by b.created_at, b.blocked_id
limit $3";

const ONE: &str = "
select b.blocked_id as user_id, b.created_at
from chat.blocks b
where b.blocker_id = (select chat.uid()) and b.blocked_id = $1";

const PUT: &str = "
insert into chat.blocks (blocked_id)
values ($1)
on conflict (blocker_id, blocked_id) do nothing
returning blocked_id";

const DELETE: &str = "
delete from chat.blocks b
where b.blocker_id = (select chat.uid()) and b.blocked_id = $1";
