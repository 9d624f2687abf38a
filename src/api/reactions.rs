//! Reactions: react to a message, take it back.
//!
//! Tables: `chat.reactions`, counted on `chat.messages`. Rules: reactions.1 to reactions.5, direct.1 and direct.2.
//! Statuses: 403 for who may not, 404 for no such chat or message, 422 for what is no emoji.

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use super::shapes::message::{Message, read_message};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::ApiError;
use crate::params;

pub struct ReactionsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl ReactionsApi {
    /// React to a message
    ///
    /// Answers with the message. Reacting again with the same emoji is reacting once.
    #[oai(path = "/chats/:chatId/messages/:messageId/reactions/:emoji", method = "put", operation_id = "addReaction")]
    async fn add_reaction(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
        /// An emoji, or the name of one that the application draws.
        emoji: Path<String>,
    ) -> Result<Answer<Message>, ApiError> {
        self.db.write_to(chat_id.0, &caller, PUT, params![chat_id.0, message_id.0, emoji.0]).await?;
        read_message(&self.db, &caller, chat_id.0, message_id.0).await.map(Answer)
    }

    /// Take a reaction back
    #[oai(path = "/chats/:chatId/messages/:messageId/reactions/:emoji", method = "delete", operation_id = "removeReaction")]
    async fn remove_reaction(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
        /// What the caller reacted with.
        emoji: Path<String>,
    ) -> Result<RemovedReaction, ApiError> {
        let params = params![chat_id.0, message_id.0, emoji.0];
        if self.db.write_to(chat_id.0, &caller, DELETE, params).await?.is_empty() {
            read_message(&self.db, &caller, chat_id.0, message_id.0).await?;
        }
        Ok(RemovedReaction::Done)
    }
}

/// What taking a reaction back answers.
#[derive(ApiResponse)]
pub enum RemovedReaction {
    /// The caller has no such reaction on it.
    #[oai(status = 204)]
    Done,
}

const PUT: &str = "
insert into chat.reactions (chat_id, message_id, emoji)
values ($1, $2, $3)
on conflict (chat_id, message_id, user_id, emoji) do nothing";

const DELETE: &str = "
delete from chat.reactions r
where r.chat_id = $1 and r.message_id = $2 and r.user_id = (select chat.uid()) and r.emoji = $3
returning r.user_id";
