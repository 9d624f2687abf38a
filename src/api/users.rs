//! People: the directory, one user, me.
//!
//! Tables: `chat.users`; function `chat.erase_me`. Rules: users.1 (who sees whom), users.2 to users.7 (what they write of themselves), users.9
//! and users.10 (erasure). Statuses: 404 for who does not exist or is not known to the caller, 409 for a username that is taken, 422 for a
//! value that breaks a rule.

use poem::http::StatusCode;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::body::{Body, given};
use super::caller::{Bearing, Caller, Gate};
use crate::api::answer::Answer;
use crate::db::{Db, DbError};
use crate::error::{ApiError, Problem, fault};
use crate::wire::{Cursor, Ids, PAGE_DEFAULT, Page, Timestamp, keyset, moment_key};
use crate::{page_of, params};

pub struct UsersApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Users")]
impl UsersApi {
    /// List the people one knows
    ///
    /// Friends and who shares a chat with the caller, or everyone when the setting `directory` says so, newest first.
    #[oai(path = "/users", method = "get", operation_id = "listUsers")]
    async fn list_users(
        &self,
        caller: Caller,
        /// Only people whose display name or username contains this.
        #[oai(validator(min_length = 1, max_length = 100))]
        query: Query<Option<String>>,
        /// Only these people: at most 200 ids.
        ids: Query<Option<Ids>>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<UserPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("users", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![query.0, ids.0.map(|ids| ids.0), at, id, i64::from(limit) + 1]).await?;
        let users: Vec<User> = rows.iter().map(User::from).collect();
        let page = Page::cut(users, limit, cursor.as_ref(), |user| moment_key("users", user.created_at, user.id));
        Ok(Answer(page.into()))
    }

    /// Get oneself
    #[oai(path = "/users/me", method = "get", operation_id = "getMe")]
    async fn get_me(&self, caller: Caller) -> Result<Answer<User>, ApiError> {
        let rows = self.db.read(&caller, ME, params![]).await?;
        rows.first().map(|row| Answer(row.into())).ok_or_else(nobodys)
    }

    /// Change one's profile
    ///
    /// An absent field stays as it is; null clears username or avatar.
    #[oai(path = "/users/me", method = "patch", operation_id = "updateMe")]
    async fn update_me(&self, caller: Caller, change: Body<UserUpdate>) -> Result<Answer<User>, ApiError> {
        let UserUpdate { username, display_name, avatar_url } = change.0;
        let (set_username, username) = given(username);
        let (set_avatar, avatar_url) = given(avatar_url);
        let params = params![set_username, username, display_name, set_avatar, avatar_url];
        let rows = self.db.write(&caller, UPDATE_ME, params).await?;
        rows.first().map(|row| Answer(row.into())).ok_or_else(nobodys)
    }

    /// Erase oneself
    ///
    /// For good: the profile is emptied, friendships, blocks and reactions go, one leaves all chats (as the last owner, to who was there
    /// longest; a group of two ends), and every message one ever sent says `[erased]`, its earlier texts too. Answers when all of it is done; whoever hangs
    /// up is erased all the same. The token opens nothing any more, but for asking this again.
    #[oai(path = "/users/me", method = "delete", operation_id = "deleteMe")]
    async fn delete_me(&self, who: Bearing, gate: Data<&Gate>) -> Result<DeletedMe, ApiError> {
        let (db, gate, who) = (self.db.clone(), gate.clone(), who.0);
        // a task of its own, which the end of the connection does not end; a crash does, and asking again goes on from there
        let erasing = tokio::spawn(async move {
            let mut more = Some(true);
            while more == Some(true) {
                let rows = db.write(&who, ERASE_ME, params![]).await?;
                gate.forget(&who);
                more = rows.first().and_then(|row| row.get("more"));
            }
            Ok::<_, DbError>(more)
        });
        match erasing.await.unwrap_or_else(|panic| Err(DbError::Fault(panic.to_string())))? {
            Some(_) => Ok(DeletedMe::Done),
            None => Err(nobodys()),
        }
    }

    /// Get someone
    #[oai(path = "/users/:userId", method = "get", operation_id = "getUser")]
    async fn get_user(
        &self,
        caller: Caller,
        /// Whom.
        #[oai(name = "userId")]
        user_id: Path<Uuid>,
    ) -> Result<Answer<User>, ApiError> {
        let rows = self.db.read(&caller, ONE, params![user_id.0]).await?;
        if let Some(row) = rows.first() {
            return Ok(Answer(row.into()));
        }
        self.db.read(&caller, EXPECT_USER, params![user_id.0]).await?;
        Err(fault("a person was not found, and it was not said why"))
    }
}

/// The service role is nobody.
fn nobodys() -> ApiError {
    Problem::new(StatusCode::NOT_FOUND, "token_is_nobodys", "this token is no person's: the service role has no profile").into()
}

/// What changes in a profile.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserUpdate {
    /// Their handle: 3 to 32 of the characters a-z, 0-9, underscore, dot and hyphen. Null: none.
    #[oai(default, nullable)]
    #[serde(default)]
    pub username: MaybeUndefined<String>,
    /// What they are called: 1 to 100 characters.
    pub display_name: Option<String>,
    /// An http or https link to a picture. Null: none.
    #[oai(default, nullable)]
    #[serde(default)]
    pub avatar_url: MaybeUndefined<String>,
}

/// Someone.
#[skip_serializing_none]
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The `sub` of their tokens.
    pub id: Uuid,
    /// Their handle, once they claimed one.
    pub username: Option<String>,
    /// What they are called. It identifies nobody.
    pub display_name: String,
    /// What they are.
    pub kind: UserKind,
    /// A picture.
    pub avatar_url: Option<String>,
    /// When they were first seen.
    pub created_at: Timestamp,
    /// When they were last active, to a few minutes; absent for who never came.
    pub last_active_at: Option<Timestamp>,
}

/// What someone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum UserKind {
    Member,
    Guest,
    Assistant,
}

/// What erasing oneself answers.
#[derive(ApiResponse)]
pub enum DeletedMe {
    /// Nothing of the caller is left.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of people.
    UserPage,
    User
);

impl From<&Row> for User {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            username: row.get("username"),
            display_name: row.get("display_name"),
            kind: match row.get("kind") {
                "guest" => UserKind::Guest,
                "assistant" => UserKind::Assistant,
                _ => UserKind::Member,
            },
            avatar_url: row.get("avatar_url"),
            created_at: row.get("created_at"),
            last_active_at: row.get("last_active_at"),
        }
    }
}

const OLDER: &str = "
select u.id, u.username, u.display_name, u.kind, u.avatar_url, u.created_at, u.last_active_at
from chat.users u
where ($1::text is null or strpos(lower(u.display_name), lower($1)) > 0 or strpos(u.username, lower($1)) > 0)
  and ($2::uuid[] is null or u.id = any ($2))
  and ($3::timestamptz is null or (u.created_at, u.id) < ($3, $4::uuid))
order by u.created_at desc, u.id desc
limit $5";

const NEWER: &str = "
select u.id, u.username, u.display_name, u.kind, u.avatar_url, u.created_at, u.last_active_at
from chat.users u
where ($1::text is null or strpos(lower(u.display_name), lower($1)) > 0 or strpos(u.username, lower($1)) > 0)
  and ($2::uuid[] is null or u.id = any ($2))
  and (u.created_at, u.id) > ($3::timestamptz, $4::uuid)
order by u.created_at, u.id
limit $5";

const ME: &str = "
select u.id, u.username, u.display_name, u.kind, u.avatar_url, u.created_at, u.last_active_at
from chat.users u
where u.id = (select chat.uid())";

const UPDATE_ME: &str = "
update chat.users u
set username = case when $1 then $2 else u.username end,
    display_name = coalesce($3, u.display_name),
    avatar_url = case when $4 then $5 else u.avatar_url end
where u.id = (select chat.uid())
returning u.id, u.username, u.display_name, u.kind, u.avatar_url, u.created_at, u.last_active_at";

const ERASE_ME: &str = "select chat.erase_me() as more";

const ONE: &str = "
select u.id, u.username, u.display_name, u.kind, u.avatar_url, u.created_at, u.last_active_at
from chat.users u
where u.id = $1";

const EXPECT_USER: &str = "select chat.expect_user($1)";
