//! Someone in a chat, as the caller sees them.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio_postgres::Row;
use uuid::Uuid;

use super::chat::Role;
use crate::wire::Timestamp;

/// Someone in a chat.
#[skip_serializing_none]
#[derive(Debug, Clone, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Who.
    pub user_id: Uuid,
    /// What they are called.
    pub name: String,
    /// A picture.
    pub avatar_url: Option<String>,
    /// What they are in the chat.
    pub role: Role,
    /// When they came.
    pub joined_at: Timestamp,
    /// The `seq` of the message up to which they have read; 0: nothing yet.
    pub last_read_seq: i64,
}

impl From<&Row> for Participant {
    fn from(row: &Row) -> Self {
        Self {
            user_id: row.get("user_id"),
            name: row.get("name"),
            avatar_url: row.get("avatar_url"),
            role: Role::from_text(row.get("role")),
            joined_at: row.get("joined_at"),
            last_read_seq: row.get("last_read_seq"),
        }
    }
}
