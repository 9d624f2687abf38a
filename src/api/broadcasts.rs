//! Broadcasts: tell those who are in a chat something that nobody keeps.
//!
//! Table: `chat_private.broadcasts`, for the moment; `chat.broadcast` tells. Rules: broadcasts.1 to broadcasts.4, messages.18, direct.1, direct.2.
//! Statuses: 403 for who may not, 404 for no such chat, 422 for what is too long.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Tag;
use super::body::Body;
use super::caller::Caller;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, fault, invalid};
use crate::params;

pub struct BroadcastsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl BroadcastsApi {
    /// Broadcast to a chat
    ///
    /// Told once to those who are in the chat and listen to it at this moment, the caller's own connections among them, and stored nowhere.
    #[oai(path = "/chats/:chatId/broadcasts", method = "post", operation_id = "sendBroadcast")]
    async fn send_broadcast(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        broadcast: Body<NewBroadcast>,
    ) -> Result<SendBroadcast, ApiError> {
        let Body(NewBroadcast { event, payload, bytes }) = broadcast;
        let bytes = bytes.map(|text| STANDARD.decode(text)).transpose();
        let bytes = bytes.map_err(|_| invalid("/bytes", "this is not base64 with padding (RFC 4648, section 4)"))?;
        let rows = self.db.write(&caller, BROADCAST, params![chat_id.0, event, payload, bytes]).await?;
        let row = rows.first().ok_or_else(|| fault("a broadcast has no id"))?;
        Ok(SendBroadcast::Taken(Answer(Broadcast { id: row.get("id") })))
    }
}

/// Something to be told.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBroadcast {
    /// What it is about, by a name of the clients' own: 1 to 255 bytes in UTF-8.
    pub event: String,
    /// What is told, any JSON: at most 256 KiB as text.
    pub payload: Option<Value>,
    /// What is told where it is no JSON, in base64: at most 256 KiB.
    pub bytes: Option<String>,
}

/// What was broadcast.
#[derive(Debug, Object, Serialize)]
pub struct Broadcast {
    /// By which it is told: who listens and broadcasts knows their own by it.
    pub id: i64,
}

/// What broadcasting answers.
#[derive(ApiResponse)]
pub enum SendBroadcast {
    /// It is being told.
    #[oai(status = 202)]
    Taken(Answer<Broadcast>),
}

const BROADCAST: &str = "select chat.broadcast($1, $2, $3, $4) as id";
