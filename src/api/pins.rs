//! Pins: what a chat keeps in sight.
//!
//! Tables: `chat.messages`. Rules: messages.1 (who sees them), messages.6 (who pins). Statuses: 403 for who may not, 404 for no such
//! chat or message, 409 for a message that is deleted.

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::caller::Caller;
use super::shapes::EXPECT_READER;
use super::shapes::message::{Message, message_columns, messages_of_chat, read_message, read_messages};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::ApiError;
use crate::wire::{Cursor, PAGE_DEFAULT, Page, keyset, moment_key};
use crate::{page_of, params};

pub struct PinsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl PinsApi {
    /// List what is pinned in a chat
    ///
    /// Last pinned first.
    #[oai(path = "/chats/:chatId/pins", method = "get", operation_id = "listPins")]
    async fn list_pins(
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
    ) -> Result<Answer<PinPage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        let (at, id, sql) = keyset("pins", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![chat_id.0, at, id, i64::from(limit) + 1]).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        }
        let messages = read_messages(&self.db, &caller, &rows).await?;
        let page = Page::cut(messages, limit, cursor.as_ref(), |m| moment_key("pins", m.pinned_at.unwrap_or(m.created_at), m.id));
        Ok(Answer(page.into()))
    }

    /// Pin a message
    ///
    /// As owner or moderator, or as either of the two in a direct chat. Answers with the message; what is pinned already stays as it is.
    #[oai(path = "/chats/:chatId/messages/:messageId/pin", method = "put", operation_id = "pinMessage")]
    async fn pin_message(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
    ) -> Result<Answer<Message>, ApiError> {
        self.db.write_to(chat_id.0, &caller, PIN, params![chat_id.0, message_id.0]).await?;
        read_message(&self.db, &caller, chat_id.0, message_id.0).await.map(Answer)
    }

    /// Unpin a message
    #[oai(path = "/chats/:chatId/messages/:messageId/pin", method = "delete", operation_id = "unpinMessage")]
    async fn unpin_message(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
    ) -> Result<UnpinnedMessage, ApiError> {
        if self.db.write_to(chat_id.0, &caller, UNPIN, params![chat_id.0, message_id.0]).await?.is_empty() {
            read_message(&self.db, &caller, chat_id.0, message_id.0).await?;
        }
        Ok(UnpinnedMessage::Done)
    }
}

/// What unpinning answers.
#[derive(ApiResponse)]
pub enum UnpinnedMessage {
    /// It is not pinned.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of pinned messages.
    PinPage,
    Message
);

macro_rules! pins {
    ($beyond:literal, $order:literal) => {
        messages_of_chat!(
            concat!(
                "select ",
                message_columns!(),
                "
  from chat.messages m
  where m.chat_id = $1
    and m.pinned_at is not null
    and m.deleted_at is null
    and ($2::timestamptz is null or (m.pinned_at, m.id) ",
                $beyond,
                " ($2, $3::uuid))
  order by m.pinned_at ",
                $order,
                ", m.id ",
                $order,
                "
  limit $4"
            ),
            concat!("order by m.pinned_at ", $order, ", m.id ", $order)
        )
    };
}

const OLDER: &str = pins!("<", "desc");
const NEWER: &str = pins!(">", "asc");

const PIN: &str = "
update chat.messages m
set pinned_at = coalesce(m.pinned_at, clock_timestamp())
where m.chat_id = $1 and m.id = $2";

// where nothing is to be done nobody is refused: it is as it was asked for
const UNPIN: &str = "
update chat.messages m
set pinned_at = null
where m.chat_id = $1 and m.id = $2
returning m.id";
