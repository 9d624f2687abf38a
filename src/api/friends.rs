//! Friends: list, ask or accept, end.
//!
//! Tables: `chat.friendships`, one row per pair. Rules: friends.1 to friends.7. Statuses: 403 over a block, 404 for nobody, 422
//! for oneself.

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Serialize;
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, overtaken};
use crate::wire::{Cursor, PAGE_DEFAULT, Page, Timestamp, keyset, moment_key};
use crate::{page_of, params};

pub struct FriendsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Friends")]
impl FriendsApi {
    /// List one's friends, and the requests from and to oneself
    #[oai(path = "/friends", method = "get", operation_id = "listFriends")]
    async fn list_friends(
        &self,
        caller: Caller,
        /// Only those in this state.
        status: Query<Option<FriendStatus>>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<FriendPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("friends", cursor.as_ref(), OLDER, NEWER)?;
        let status = status.map(FriendStatus::as_str);
        let rows = self.db.read(&caller, sql, params![status, at, id, i64::from(limit) + 1]).await?;
        let friends: Vec<Friend> = rows.iter().map(Friend::from).collect();
        let page = Page::cut(friends, limit, cursor.as_ref(), |f| moment_key("friends", f.created_at, f.user_id));
        Ok(Answer(page.into()))
    }

    /// Ask someone for friendship, or accept their request
    ///
    /// 201 when this asks, 200 when it accepts or changes nothing.
    #[oai(path = "/friends/:userId", method = "put", operation_id = "addFriend")]
    async fn add_friend(
        &self,
        caller: Caller,
        /// Whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
    ) -> Result<AddFriend, ApiError> {
        let written = self.db.write(&caller, PUT, params![user_id.0]).await?;
        let asked = written.first().is_some_and(|row| row.get("asked"));
        let rows = self.db.read(&caller, ONE, params![user_id.0]).await?;
        let friend = rows.first().map(Friend::from).ok_or_else(overtaken)?;
        Ok(if asked { AddFriend::Asked(Answer(friend)) } else { AddFriend::There(Answer(friend)) })
    }

    /// End a friendship, decline a request or take it back
    #[oai(path = "/friends/:userId", method = "delete", operation_id = "removeFriend")]
    async fn remove_friend(
        &self,
        caller: Caller,
        /// With whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
    ) -> Result<RemovedFriend, ApiError> {
        self.db.write(&caller, DELETE, params![user_id.0]).await?;
        Ok(RemovedFriend::Done)
    }
}

/// A friend, or someone between whom and the caller a request stands.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Friend {
    /// Who.
    pub user_id: Uuid,
    /// What they are called; absent while the caller does not know them: a request of one's own to a stranger.
    pub name: Option<String>,
    /// A picture.
    pub avatar_url: Option<String>,
    /// How far the two are.
    pub status: FriendStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Since when they are friends.
    pub accepted_at: Option<Timestamp>,
}

/// How far two people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum FriendStatus {
    /// Both agreed.
    Friends,
    /// They asked the caller.
    Incoming,
    /// The caller asked them.
    Outgoing,
}

impl FriendStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Friends => "friends",
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

/// What putting a friend answers.
#[derive(ApiResponse)]
pub enum AddFriend {
    /// They are friends now, or it was as it is.
    #[oai(status = 200)]
    There(Answer<Friend>),
    /// The request was made.
    #[oai(status = 201)]
    Asked(Answer<Friend>),
}

/// What ending a friendship answers.
#[derive(ApiResponse)]
pub enum RemovedFriend {
    /// There is none any more.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of friends and requests.
    FriendPage,
    Friend
);

impl From<&Row> for Friend {
    fn from(row: &Row) -> Self {
        Self {
            user_id: row.get("user_id"),
            name: row.get("name"),
            avatar_url: row.get("avatar_url"),
            status: match row.get("status") {
                "friends" => FriendStatus::Friends,
                "incoming" => FriendStatus::Incoming,
                _ => FriendStatus::Outgoing,
            },
            created_at: row.get("created_at"),
            accepted_at: row.get("accepted_at"),
        }
    }
}

/// The friendships of the caller, seen from the caller.
macro_rules! friendships {
    ($rest:literal) => {
        concat!(
            "
with mine as (
  select
    case when f.requester_id = (select chat.uid()) then f.addressee_id else f.requester_id end as user_id,
    case when f.accepted_at is not null then 'friends'
         when f.requester_id = (select chat.uid()) then 'outgoing'
         else 'incoming' end as status,
    f.created_at,
    f.accepted_at
  from chat.friendships f
  where (select chat.uid()) in (f.requester_id, f.addressee_id)
)
select m.user_id, u.display_name as name, u.avatar_url, m.status, m.created_at, m.accepted_at
from mine m
left join chat.users u on u.id = m.user_id
",
            $rest
        )
    };
}

const OLDER: &str = friendships!(
    "where ($1::text is null or m.status = $1)
  and ($2::timestamptz is null or (m.created_at, m.user_id) < ($2, $3::uuid))
order by m.created_at desc, m.user_id desc
limit $4"
);

const NEWER: &str = friendships!(
    "where ($1::text is null or m.status = $1)
  and (m.created_at, m.user_id) > ($2::timestamptz, $3::uuid)
order by m.created_at, m.user_id
limit $4"
);

const ONE: &str = friendships!("where m.user_id = $1");

// A new row asks; one that is there is accepted if it was they who asked, and left alone otherwise.
const PUT: &str = "
insert into chat.friendships as f (addressee_id)
values ($1)
on conflict (least(requester_id, addressee_id), greatest(requester_id, addressee_id)) do update
set accepted_at = clock_timestamp()
where f.addressee_id = (select chat.uid()) and f.accepted_at is null
returning f.accepted_at is null as asked";

const DELETE: &str = "
delete from chat.friendships f
where least(f.requester_id, f.addressee_id) = least($1, (select chat.uid()))
  and greatest(f.requester_id, f.addressee_id) = greatest($1, (select chat.uid()))";
