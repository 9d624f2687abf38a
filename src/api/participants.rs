//! Participants: who is in a chat, and how far they have read.
//!
//! Tables: `chat.participants`, `chat.read_markers`; `chat.people` for the names. Rules: participants.1 to participants.11, reads.1 to reads.4.
//! Statuses: 403 for who may not, 404 for no such chat or person, 409 for the last owner.

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Tag;
use super::body::Body;
use super::caller::Caller;
use super::shapes::EXPECT_READER;
use super::shapes::chat::Role;
use super::shapes::participant::Participant;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, fault, overtaken};
use crate::wire::{Cursor, PAGE_DEFAULT, Page, keyset, moment_key};
use crate::{page_of, params};

pub struct ParticipantsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Participants")]
impl ParticipantsApi {
    /// List who is in a chat
    #[oai(path = "/chats/:chatId/participants", method = "get", operation_id = "listParticipants")]
    async fn list_participants(
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
    ) -> Result<Answer<ParticipantPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("participants", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![chat_id.0, at, id, i64::from(limit) + 1]).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        }
        let people: Vec<Participant> = rows.iter().map(Participant::from).collect();
        let page = Page::cut(people, limit, cursor.as_ref(), |p| moment_key("participants", p.joined_at, p.user_id));
        Ok(Answer(page.into()))
    }

    /// Add someone to a chat, or change their role
    #[oai(path = "/chats/:chatId/participants/:userId", method = "put", operation_id = "setParticipant")]
    async fn set_participant(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// Whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
        participant: Body<ParticipantUpdate>,
    ) -> Result<Answer<Participant>, ApiError> {
        let role = participant.0.role.map(Role::as_str);
        self.db.write_to(chat_id.0, &caller, PUT, params![chat_id.0, user_id.0, role]).await?;
        let rows = self.db.read(&caller, ONE, params![chat_id.0, user_id.0]).await?;
        if let Some(row) = rows.first() {
            return Ok(Answer(row.into()));
        }
        // removed again meanwhile, or the caller was
        self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        Err(overtaken())
    }

    /// Remove someone from a chat, or leave it
    ///
    /// A group ends with it when at most one person stays: it is not there any more for them either. The last owner of any other passes it on first.
    #[oai(path = "/chats/:chatId/participants/:userId", method = "delete", operation_id = "removeParticipant")]
    async fn remove_participant(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// Whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
    ) -> Result<RemovedParticipant, ApiError> {
        if self.db.write_to(chat_id.0, &caller, REMOVE, params![chat_id.0, user_id.0]).await?.is_empty()
            && self.db.read(&caller, HAS_LEFT, params![chat_id.0, user_id.0]).await?.is_empty()
        {
            self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        }
        Ok(RemovedParticipant::Done)
    }

    /// Mark how far one has read
    ///
    /// Never goes back, nor past the last message: the answer says where the marker stands.
    #[oai(path = "/chats/:chatId/read", method = "put", operation_id = "markRead")]
    async fn mark_read(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        marker: Body<ReadUpTo>,
    ) -> Result<Answer<ReadMarker>, ApiError> {
        let rows = self.db.write(&caller, MARK_READ, params![chat_id.0, marker.0.seq]).await?;
        let row = rows.first().ok_or_else(|| fault("a read marker just written cannot be read"))?;
        Ok(Answer(ReadMarker { seq: row.get("seq") }))
    }
}

/// What someone is to be in a chat.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParticipantUpdate {
    /// Absent: a member, or as they are.
    pub role: Option<Role>,
}

/// How far one has read now.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadUpTo {
    /// The `seq` of the last message that was read.
    pub seq: i64,
}

/// How far someone has read.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct ReadMarker {
    /// The `seq` of the last message that they have read.
    pub seq: i64,
}

/// What removing answers.
#[derive(ApiResponse)]
pub enum RemovedParticipant {
    /// They are not in the chat.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of participants, who came last first.
    ParticipantPage,
    Participant
);

macro_rules! participants {
    ($page:literal, $order:literal) => {
        concat!(
            "with page as materialized (
  select p.user_id, p.role, p.joined_at
  from chat.participants p
  where p.chat_id = $1
    and p.left_at is null
",
            $page,
            ")
select g.user_id, n.display_name as name, n.avatar_url, g.role, g.joined_at, coalesce(r.seq, 0) as last_read_seq
from page g
join (select n.*
      from (select array(select g.user_id from page g)) a (people)
      cross join lateral chat.people($1, a.people) n) n on n.user_id = g.user_id
left join chat.read_markers r on r.chat_id = $1 and r.user_id = g.user_id
order by g.joined_at ",
            $order,
            ", g.user_id ",
            $order
        )
    };
}

const OLDER: &str = participants!(
    "    and ($2::timestamptz is null or (p.joined_at, p.user_id) < ($2, $3::uuid))
  order by p.joined_at desc, p.user_id desc
  limit $4",
    "desc"
);

const NEWER: &str = participants!(
    "    and (p.joined_at, p.user_id) > ($2::timestamptz, $3::uuid)
  order by p.joined_at, p.user_id
  limit $4",
    "asc"
);

const ONE: &str = participants!("    and p.user_id = $2", "asc");

const PUT: &str = "
insert into chat.participants as p (chat_id, user_id, role)
values ($1, $2, coalesce($3, 'member'))
on conflict (chat_id, user_id) do update
set left_at = null, role = coalesce($3, p.role)";

const REMOVE: &str = "
update chat.participants p
set left_at = clock_timestamp()
where p.chat_id = $1 and p.user_id = $2 and p.left_at is null
returning p.user_id";

const HAS_LEFT: &str = "
select p.user_id
from chat.participants p
where p.chat_id = $1 and p.user_id = $2 and p.left_at is not null";

const MARK_READ: &str = "
insert into chat.read_markers (chat_id, seq)
values ($1, $2)
on conflict (chat_id, user_id) do update set seq = excluded.seq
returning seq";
