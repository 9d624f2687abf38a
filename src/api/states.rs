//! States: what those who are here say of themselves in a chat.
//!
//! Table: `chat.presence_states`. Rule: presence.1. Statuses: 403 for who is not in the chat, 404 for no such chat.

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::ApiError;
use crate::params;

pub struct StatesApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Participants")]
impl StatesApi {
    /// List what those who are here say of themselves
    ///
    /// All of it, the oldest first: a chat has at most 1,000 states. Clients of protocols that track presence say it while they are connected.
    #[oai(path = "/chats/:chatId/presence/states", method = "get", operation_id = "listPresenceStates")]
    async fn list_presence_states(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
    ) -> Result<Answer<PresenceStates>, ApiError> {
        let rows = self.db.read(&caller, LIST, params![chat_id.0]).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_COMPANION, params![chat_id.0]).await?;
        }
        Ok(Answer(PresenceStates { data: rows.iter().map(Into::into).collect() }))
    }
}

/// What people say of themselves.
#[derive(Debug, Object, Serialize)]
pub struct PresenceStates {
    /// Each state, the oldest first.
    pub data: Vec<PresenceState>,
}

/// Something that somebody says of themselves.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct PresenceState {
    /// Another one whenever they say something else.
    pub id: Uuid,
    /// Who.
    pub user_id: Uuid,
    /// By which they group what they say.
    pub key: String,
    /// What they say: any JSON.
    pub state: Value,
}

impl From<&Row> for PresenceState {
    fn from(row: &Row) -> Self {
        Self { id: row.get("id"), user_id: row.get("user_id"), key: row.get("key"), state: row.get("state") }
    }
}

const LIST: &str = "
select s.id, s.user_id, s.key, s.state
from chat.presence_states s
where s.chat_id = $1 and s.ended_at is null
order by s.since, s.id
limit 1000";

const EXPECT_COMPANION: &str = "select chat.expect_companion($1)";
