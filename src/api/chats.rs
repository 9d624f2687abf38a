//! Chats: mine, one, make, change, join, leave or delete.
//!
//! Tables: `chat.chats`, `chat.participants`, `chat.read_markers`; functions `chat.overviews`, `chat.open_direct`, `create_group`, `create_room`,
//! `join_room`, `delete_chat`. Rules: chats.1 to chats.20, direct.1 to direct.4, participants.2, participants.5, participants.6.
//! Statuses: 201 for a chat made, 200 for a direct chat that was there; 403 for who may not, 404 for no such chat, 409 for the
//! last owner who leaves, 422 for a value that breaks a rule.

use poem_openapi::param::{Path, Query};
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::body::{Body, given};
use super::caller::Caller;
use super::shapes::EXPECT_READER;
use super::shapes::chat::{Chat, ChatType, Visibility, chats_with_last_message, described_chats, read_chat};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, fault, invalid};
use crate::wire::{Cursor, PAGE_DEFAULT, Page, keyset, moment_key};
use crate::{page_of, params};

/// People that a chat may start with.
const FOUNDERS_MAX: usize = 200;

pub struct ChatsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Chats")]
impl ChatsApi {
    /// List one's chats
    ///
    /// Those with the newest activity first. A chat in which something happens between two pages may be seen twice or not at all.
    #[oai(path = "/chats", method = "get", operation_id = "listChats")]
    async fn list_chats(
        &self,
        caller: Caller,
        /// Only chats of this type.
        #[oai(name = "type")]
        kind: Query<Option<ChatType>>,
        /// Only chats whose name contains this.
        #[oai(validator(min_length = 1, max_length = 100))]
        query: Query<Option<String>>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<ChatPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("chats", cursor.as_ref(), OLDER, NEWER)?;
        let kind = kind.map(ChatType::as_str);
        let rows = self.db.read(&caller, sql, params![kind, query.0, at, id, i64::from(limit) + 1]).await?;
        let chats = rows.iter().map(Chat::try_from).collect::<Result<Vec<_>, _>>()?;
        let page =
            Page::cut(chats, limit, cursor.as_ref(), |c| moment_key("chats", c.last_message_at.unwrap_or(c.created_at), c.id));
        Ok(Answer(page.into()))
    }

    /// Make a chat
    ///
    /// A direct chat with someone (the one there is, if there is one), a group, or a room. A public room is made by admins (whose token says
    /// `app_metadata.role`: `admin`), unless the DBA lets everyone (the setting `public_rooms`).
    #[oai(path = "/chats", method = "post", operation_id = "createChat")]
    async fn create_chat(&self, caller: Caller, chat: Body<NewChat>) -> Result<CreateChat, ApiError> {
        let new = chat.0;
        let others = new.participant_ids.unwrap_or_default();
        if others.len() > FOUNDERS_MAX {
            return Err(invalid("/participantIds", "a chat starts with at most 200 people"));
        }
        let (created, id) = match new.kind {
            NewChatType::Direct => {
                let [other] = others[..] else {
                    return Err(invalid("/participantIds", "a direct chat is with exactly one other person"));
                };
                if new.name.is_some() || new.topic.is_some() || new.visibility.is_some() {
                    return Err(invalid("/type", "a direct chat has no name, topic or visibility"));
                }
                let row = self.first(&caller, OPEN_DIRECT, params![other]).await?;
                (row.get("created"), row.get("chat_id"))
            }
            NewChatType::Group => {
                if new.topic.is_some() || new.visibility.is_some() {
                    return Err(invalid("/type", "a group is made with a name and participants alone"));
                }
                (true, self.first(&caller, CREATE_GROUP, params![new.name, others]).await?.get(0))
            }
            NewChatType::Room => {
                if !others.is_empty() {
                    return Err(invalid("/participantIds", "people join a room, or are added to it once it is there"));
                }
                let visibility = new.visibility.unwrap_or(Visibility::Private).as_str();
                (true, self.first(&caller, CREATE_ROOM, params![new.name, visibility, new.topic]).await?.get(0))
            }
        };
        let chat = self.one(&caller, id).await?;
        let location = format!("/chats/{id}");
        Ok(if created { CreateChat::Made(Answer(chat), location) } else { CreateChat::There(Answer(chat)) })
    }

    /// Get a chat
    #[oai(path = "/chats/:chatId", method = "get", operation_id = "getChat")]
    async fn get_chat(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
    ) -> Result<Answer<Chat>, ApiError> {
        self.one(&caller, chat_id.0).await.map(Answer)
    }

    /// Change a chat
    ///
    /// Its name, topic, visibility, or who may write: owner and moderators. An absent field stays as it is; null clears name or topic.
    #[oai(path = "/chats/:chatId", method = "patch", operation_id = "updateChat")]
    async fn update_chat(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        change: Body<ChatUpdate>,
    ) -> Result<Answer<Chat>, ApiError> {
        let ChatUpdate { name, topic, visibility, read_only } = change.0;
        let (set_name, name) = given(name);
        let (set_topic, topic) = given(topic);
        let params = params![chat_id.0, set_name, name, set_topic, topic, visibility.map(Visibility::as_str), read_only];
        let rows = self.db.write_to(chat_id.0, &caller, UPDATE, params).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        }
        self.one(&caller, chat_id.0).await.map(Answer)
    }

    /// Leave a chat, or delete it for everyone
    ///
    /// A group ends when somebody leaves it and at most one person stays: it is not there any more for them either. The last owner of any
    /// other passes it on first. A direct chat comes back with the next message in it.
    #[oai(path = "/chats/:chatId", method = "delete", operation_id = "deleteChat")]
    async fn delete_chat(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// `me`: leave it, the default. `everyone`: delete it, as its owner or as an admin.
        scope: Query<Option<DeleteScope>>,
    ) -> Result<DeletedChat, ApiError> {
        if scope.0 == Some(DeleteScope::Everyone) {
            self.db.write_to(chat_id.0, &caller, DELETE, params![chat_id.0]).await?;
            return Ok(DeletedChat::Done);
        }
        if self.db.write_to(chat_id.0, &caller, LEAVE, params![chat_id.0]).await?.is_empty()
            && self.db.read(&caller, WAS_IN, params![chat_id.0]).await?.is_empty()
        {
            self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        }
        Ok(DeletedChat::Done)
    }

    /// Join a room
    ///
    /// A public room by its id or uid, an unlisted one by its uid; `lobby` is the room of that setting, if there is one.
    #[oai(path = "/chats/:idOrUid/join", method = "post", operation_id = "joinChat")]
    async fn join_chat(
        &self,
        caller: Caller,
        /// The room's id, or its uid.
        #[oai(name = "idOrUid", validator(min_length = 1, max_length = 36))]
        id_or_uid: Path<String>,
    ) -> Result<Answer<Chat>, ApiError> {
        let id = self.first(&caller, JOIN, params![id_or_uid.0]).await?.get(0);
        self.one(&caller, id).await.map(Answer)
    }
}

impl ChatsApi {
    async fn first(&self, caller: &Caller, sql: &'static str, params: Vec<crate::db::Param>) -> Result<Row, ApiError> {
        let rows = self.db.write(caller, sql, params).await?;
        rows.into_iter().next().ok_or_else(|| fault("a function of the database gave no row"))
    }

    async fn one(&self, caller: &Caller, id: Uuid) -> Result<Chat, ApiError> {
        read_chat(&self.db, caller, id).await
    }
}

/// A chat to make.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewChat {
    /// What it is to be.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: NewChatType,
    /// Its name: a room needs one, a group may have one.
    pub name: Option<String>,
    /// What a room is about.
    pub topic: Option<String>,
    /// Who may find and join a room; absent: private. Admins make public ones.
    pub visibility: Option<Visibility>,
    /// A direct chat's other person; the people a group starts with.
    #[oai(validator(max_items = 200))]
    pub participant_ids: Option<Vec<Uuid>>,
}

/// What people make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Deserialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum NewChatType {
    Direct,
    Group,
    Room,
}

/// What changes in a chat.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatUpdate {
    /// Its name; null: none, for a group.
    #[oai(default, nullable)]
    #[serde(default)]
    pub name: MaybeUndefined<String>,
    /// What it is about; null: nothing.
    #[oai(default, nullable)]
    #[serde(default)]
    pub topic: MaybeUndefined<String>,
    /// Who may find and join it: rooms only.
    pub visibility: Option<Visibility>,
    /// Whether only owner and moderators write.
    pub read_only: Option<bool>,
}

/// For whom a chat goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum DeleteScope {
    Me,
    Everyone,
}

/// What making a chat answers.
#[derive(ApiResponse)]
pub enum CreateChat {
    /// The direct chat was there.
    #[oai(status = 200)]
    There(Answer<Chat>),
    /// It was made.
    #[oai(status = 201)]
    Made(
        Answer<Chat>,
        /// Where it is now.
        #[oai(header = "Location")]
        String,
    ),
}

/// What leaving or deleting answers.
#[derive(ApiResponse)]
pub enum DeletedChat {
    /// The caller is not in it, or it is not there any more.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of chats.
    ChatPage,
    Chat
);

/// The caller's chats with their last messages, narrowed down by type, name and cursor.
macro_rules! mine {
    ($beyond:literal, $order:literal) => {
        chats_with_last_message!(
            "chat.participants p join chat.chats c on c.id = p.chat_id",
            concat!(
                "p.user_id = (select chat.uid())
    and p.left_at is null
    and ($1::text is null or c.type = $1)
    and ($2::text is null
         or strpos(lower(c.name), lower($2)) > 0
         or c.name is null and exists (select
                                       from chat.people(c.id, array(select o.user_id
                                                                    from chat.participants o
                                                                    where o.chat_id = c.id and (o.left_at is null or c.type = 'direct')
                                                                    order by o.joined_at
                                                                    limit 20)) o
                                       where o.user_id <> (select chat.uid()) and strpos(lower(o.display_name), lower($2)) > 0))
    and ($3::timestamptz is null or (coalesce(l.created_at, c.created_at), p.chat_id) ",
            $beyond,
            " ($3, $4::uuid))
  order by active_at ",
            $order,
            ", p.chat_id ",
            $order,
            "
  limit $5"
            )
        )
    };
}

const OLDER: &str = described_chats!(mine!("<", "desc"), "desc");
const NEWER: &str = described_chats!(mine!(">", "asc"), "asc");

const OPEN_DIRECT: &str = "select d.chat_id, d.created from chat.open_direct($1) d";
const CREATE_GROUP: &str = "select chat.create_group($1, $2)";
const CREATE_ROOM: &str = "select chat.create_room($1, $2, $3)";
const JOIN: &str = "select chat.join_room($1)";
const DELETE: &str = "select chat.delete_chat($1)";

const UPDATE: &str = "
update chat.chats c
set name = case when $2 then $3 else c.name end,
    topic = case when $4 then $5 else c.topic end,
    visibility = coalesce($6, c.visibility),
    read_only = coalesce($7, c.read_only)
where c.id = $1
returning c.id";

const LEAVE: &str = "
update chat.participants p
set left_at = clock_timestamp()
where p.chat_id = $1 and p.user_id = (select chat.uid()) and p.left_at is null
returning p.user_id";

const WAS_IN: &str = "
select p.user_id
from chat.participants p
where p.chat_id = $1 and p.user_id = (select chat.uid())";
