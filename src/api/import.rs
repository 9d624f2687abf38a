//! Import: messages of another system, for the host application: the same as calling `chat.import_messages` in SQL.
//!
//! Tables: `chat.messages`. Rules: imports.1 to imports.3, messages.7, messages.9, messages.15 to messages.17. Statuses: 403 for everyone but
//! the service role; 422 for a message that breaks a rule: then none of the call is imported.

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Tag;
use super::body::Body;
use super::caller::Caller;
use super::shapes::message::MessageKind;
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, fault, invalid};
use crate::params;
use crate::wire::Timestamp;

/// Messages that one request may bring.
const MESSAGES_MAX: usize = 5_000;

pub struct ImportApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl ImportApi {
    /// Import messages of another system
    ///
    /// For the host application. They keep their ids, senders and times, and come after what the chat has, in the order of their times. Ids
    /// that the chat has are left as they are, so a request may be sent again. Who is not known becomes a user; who is not in the
    /// chat is somebody who was. All of a request is imported, or nothing.
    #[oai(path = "/chats/:chatId/import", method = "post", operation_id = "importMessages")]
    async fn import_messages(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        import: Body<MessageImport>,
    ) -> Result<Answer<ImportResult>, ApiError> {
        let MessageImport { messages, read } = import.0;
        if messages.len() > MESSAGES_MAX {
            return Err(invalid("/messages", "at most 5,000 messages are imported at once"));
        }
        let messages = serde_json::to_value(messages).map_err(|error| fault(&error.to_string()))?;
        let rows = self.db.write_to(chat_id.0, &caller, IMPORT, params![chat_id.0, messages, read.unwrap_or(true)]).await?;
        let row = rows.first().ok_or_else(|| fault("chat.import_messages gave no row"))?;
        Ok(Answer(ImportResult {
            imported: row.get("imported"),
            already_there: row.get("already_there"),
            last_seq: row.get::<_, Option<i64>>("last_seq").unwrap_or(0),
        }))
    }
}

/// What to import.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageImport {
    /// The messages.
    #[oai(validator(max_items = 5000))]
    pub messages: Vec<ImportedMessage>,
    /// Whether those in the chat who had nothing to read still have nothing to read; true if absent.
    pub read: Option<bool>,
}

/// A message of another system.
#[derive(Debug, Object, Deserialize, Serialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportedMessage {
    /// Its id; without one it is imported as often as it is sent.
    pub id: Option<Uuid>,
    /// Who sent it; absent for the system's.
    pub sender_id: Option<Uuid>,
    /// Whose it is; if absent a user's, without a sender the system's.
    pub kind: Option<MessageKind>,
    /// As written.
    pub text: String,
    /// Whom it mentions.
    pub mentions: Option<Vec<Uuid>>,
    /// A message of this chat or this import that it answers.
    pub reply_to_id: Option<Uuid>,
    /// An http or https link to what comes with it.
    pub attachment_url: Option<String>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
}

/// What an import did.
#[derive(Debug, Object, Serialize)]
#[oai(rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub struct ImportResult {
    /// How many messages were imported.
    pub imported: i32,
    /// How many ids were there already.
    pub already_there: i32,
    /// The seq of the chat's last message; 0 when it has none.
    pub last_seq: i64,
}

const IMPORT: &str = "select i.imported, i.already_there, i.last_seq from chat.import_messages($1, $2, $3) i";
