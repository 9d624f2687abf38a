//! The latest messages of many chats at once.
//!
//! Tables: `chat.messages`, `chat.chats`; `chat.names` for the senders' names. Rules: chats.1, messages.1.
//! Statuses: 400 for more than is answered at once.

use std::collections::HashMap;

use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use super::shapes::message::{Message, message_columns, messages_of_chats, read_messages};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, invalid};
use crate::params;
use crate::wire::Ids;

/// Messages of a chat when the request names no limit.
const EACH_DEFAULT: u32 = 20;
/// Messages in one answer: chats times limit.
const MESSAGES_MAX: usize = 20_000;

pub struct LatestApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl LatestApi {
    /// List the latest messages of many chats
    ///
    /// What a client shows when it starts, in one request. Chats that the caller may not read are named in the answer.
    #[oai(path = "/messages/latest", method = "get", operation_id = "listLatestMessages")]
    async fn list_latest_messages(
        &self,
        caller: Caller,
        /// The chats: at most 500 ids.
        #[oai(name = "chatIds")]
        chat_ids: Query<Ids<500>>,
        /// How many messages of each at most; 20 if absent. Chats times limit is at most 20,000.
        #[oai(validator(minimum(value = "1"), maximum(value = "500")))]
        limit: Query<Option<u32>>,
    ) -> Result<Answer<LatestMessages>, ApiError> {
        let limit = limit.unwrap_or(EACH_DEFAULT);
        let asked = chat_ids.0.0;
        if asked.len() * limit as usize > MESSAGES_MAX {
            return Err(invalid("limit", "chats times limit is at most 20,000"));
        }
        let rows = self.db.read(&caller, LATEST, params![asked.clone(), i64::from(limit)]).await?;
        let mut data: HashMap<String, Vec<Message>> = HashMap::new();
        for message in read_messages(&self.db, &caller, &rows).await? {
            data.entry(message.chat_id.to_string()).or_default().push(message);
        }
        let mut silent: Vec<Uuid> = asked.into_iter().filter(|id| !data.contains_key(&id.to_string())).collect();
        silent.sort_unstable();
        silent.dedup();
        for row in self.db.read(&caller, READABLE, params![silent.clone()]).await? {
            let chat: Uuid = row.get("id");
            silent.retain(|id| *id != chat);
            data.insert(chat.to_string(), Vec::new());
        }
        Ok(Answer(LatestMessages { data, invalid_chat_ids: silent }))
    }
}

/// The latest messages of chats.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct LatestMessages {
    /// By the id of the chat, newest first.
    pub data: HashMap<String, Vec<Message>>,
    /// Chats that do not exist or that the caller may not read.
    pub invalid_chat_ids: Vec<Uuid>,
}

const LATEST: &str = messages_of_chats!(
    concat!(
        "select ",
        message_columns!(),
        "
  from (select distinct a.id from unnest($1::uuid[]) a (id)) a
  cross join lateral (
    select ",
        message_columns!(),
        "
    from chat.messages m
    where m.chat_id = a.id
    order by m.seq desc
    limit $2) m"
    ),
    "order by m.seq desc"
);

const READABLE: &str = "
select c.id
from chat.chats c
where c.id = any ($1)";
