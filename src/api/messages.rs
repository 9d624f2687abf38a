//! Messages: list, send, get, edit, delete.
//!
//! Tables: `chat.messages`, `chat.reactions`; `chat.people` for the senders' names. Rules: messages.1 to messages.19, direct.1 and direct.2.
//! Statuses: 201 for a message sent, 200 for one's own id sent again; 403 for who may not, 404 for no such chat or message, 409
//! for an id that is taken or was used, 422 for a text that breaks a rule.

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;

use super::Tag;
use super::body::Body;
use super::caller::Caller;
use super::shapes::EXPECT_READER;
use super::shapes::message::{EXPECT_MESSAGE, Message, message_columns, messages_of_chat, read_message, read_messages};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, invalid, overtaken};
use crate::wire::{Cursor, Direction, PAGE_DEFAULT, Page, keyset_of_numbers, number_key};
use crate::{page_of, params};

pub struct MessagesApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Messages")]
impl MessagesApi {
    /// List a chat's messages
    ///
    /// Newest first. A walk in either direction returns every message that existed throughout exactly once.
    #[oai(path = "/chats/:chatId/messages", method = "get", operation_id = "listMessages")]
    async fn list_messages(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// Where to go on: `nextCursor` or `prevCursor` of a page.
        cursor: Query<Option<Cursor>>,
        /// How many at most; 50 if absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "500")))]
        limit: Query<Option<u32>>,
        /// A page with this message in its middle, instead of the newest.
        around: Query<Option<Uuid>>,
    ) -> Result<Answer<MessagePage>, ApiError> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        if let Some(message_id) = around.0 {
            if cursor.is_some() {
                return Err(invalid("around", "a page is around a message or goes on from a cursor, not both"));
            }
            return self.list_around(&caller, chat_id.0, message_id, limit).await;
        }
        let (seq, sql) = keyset_of_numbers("messages", cursor.as_ref(), OLDER, NEWER)?;
        let rows = self.db.read(&caller, sql, params![chat_id.0, seq, i64::from(limit) + 1]).await?;
        if rows.is_empty() {
            self.db.read(&caller, EXPECT_READER, params![chat_id.0]).await?;
        }
        let messages = read_messages(&self.db, &caller, &rows).await?;
        Ok(Answer(Page::cut(messages, limit, cursor.as_ref(), position).into()))
    }

    /// Send a message
    ///
    /// With an `id` of the client's choice it is safe to send again: 201 the first time, 200 and the stored message afterwards.
    #[oai(path = "/chats/:chatId/messages", method = "post", operation_id = "sendMessage")]
    async fn send_message(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        message: Body<NewMessage>,
    ) -> Result<SendMessage, ApiError> {
        let NewMessage { id, text, reply_to_id, attachment_url, mentions } = message.0;
        let id = id.unwrap_or_else(Uuid::now_v7);
        let mentions = mentions.unwrap_or_default();
        let params = params![chat_id.0, id, text, mentions, reply_to_id, attachment_url];
        let rows = self.db.write_to(chat_id.0, &caller, SEND, params).await?;
        if let Some(message) = read_messages(&self.db, &caller, &rows).await?.pop() {
            let location = format!("/chats/{}/messages/{id}", chat_id.0);
            return Ok(SendMessage::Sent(Answer(message), location));
        }
        // the id names a message already: the caller's own is the answer, any other a conflict
        let rows = self.db.read(&caller, ONE_OF_MINE, params![chat_id.0, id]).await?;
        if let Some(message) = read_messages(&self.db, &caller, &rows).await?.pop() {
            return Ok(SendMessage::There(Answer(message)));
        }
        self.db.read(&caller, EXPECT_FREE_ID, params![chat_id.0, id]).await?;
        Err(overtaken())
    }

    /// Get a message
    #[oai(path = "/chats/:chatId/messages/:messageId", method = "get", operation_id = "getMessage")]
    async fn get_message(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
    ) -> Result<Answer<Message>, ApiError> {
        read_message(&self.db, &caller, chat_id.0, message_id.0).await.map(Answer)
    }

    /// Edit a message
    ///
    /// One's own, while the edit window is open; the earlier text is kept.
    #[oai(path = "/chats/:chatId/messages/:messageId", method = "patch", operation_id = "editMessage")]
    async fn edit_message(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
        edit: Body<MessageEdit>,
    ) -> Result<Answer<Message>, ApiError> {
        let params = params![chat_id.0, message_id.0, edit.0.text, edit.0.mentions];
        self.db.write_to(chat_id.0, &caller, EDIT, params).await?;
        read_message(&self.db, &caller, chat_id.0, message_id.0).await.map(Answer)
    }

    /// Delete a message
    ///
    /// Softly: owner and moderators still see it, as deleted.
    #[oai(path = "/chats/:chatId/messages/:messageId", method = "delete", operation_id = "deleteMessage")]
    async fn delete_message(
        &self,
        caller: Caller,
        /// The chat.
        #[oai(name = "chatId")]
        chat_id: Path<Uuid>,
        /// The message.
        #[oai(name = "messageId")]
        message_id: Path<Uuid>,
    ) -> Result<DeletedMessage, ApiError> {
        self.db.write_to(chat_id.0, &caller, DELETE, params![chat_id.0, message_id.0]).await?;
        Ok(DeletedMessage::Done)
    }
}

impl MessagesApi {
    async fn list_around(&self, caller: &Caller, chat: Uuid, message: Uuid, limit: u32) -> Result<Answer<MessagePage>, ApiError> {
        let newer = (limit - 1) / 2;
        let older = limit - newer; // the message itself among them
        let rows = self.db.read(caller, AROUND, params![chat, message, i64::from(older) + 1, i64::from(newer)]).await?;
        if rows.is_empty() {
            self.db.read(caller, EXPECT_MESSAGE, params![chat, message]).await?;
        }
        let mut messages = read_messages(&self.db, caller, &rows).await?;
        let place = messages.iter().position(|m| m.id == message).unwrap_or_default();
        let more = messages.len() - place > older as usize;
        if more {
            messages.pop();
        }
        let towards = |direction, m: Option<&Message>| m.map(|m| Cursor { direction, key: position(m) }.to_string());
        Ok(Answer(MessagePage {
            next_cursor: towards(Direction::Older, messages.last().filter(|_| more)),
            prev_cursor: towards(Direction::Newer, messages.first()),
            data: messages,
        }))
    }
}

/// A message to send.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMessage {
    /// An id of the client's choice, best a UUID of version 7: sending it again is sending once.
    pub id: Option<Uuid>,
    /// Stored and returned as written.
    pub text: String,
    /// A message of the same chat that this one answers.
    pub reply_to_id: Option<Uuid>,
    /// An http or https link to what comes with it.
    pub attachment_url: Option<String>,
    /// Whom it mentions.
    pub mentions: Option<Vec<Uuid>>,
}

/// What changes in a message.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageEdit {
    /// The new text.
    pub text: String,
    /// Whom it mentions now; absent: as before.
    pub mentions: Option<Vec<Uuid>>,
}

/// What sending answers.
#[derive(ApiResponse)]
pub enum SendMessage {
    /// The id was sent before: this is the stored message.
    #[oai(status = 200)]
    There(Answer<Message>),
    /// It was sent.
    #[oai(status = 201)]
    Sent(
        Answer<Message>,
        /// Where it is now.
        #[oai(header = "Location")]
        String,
    ),
}

/// What deleting answers.
#[derive(ApiResponse)]
pub enum DeletedMessage {
    /// It is deleted.
    #[oai(status = 204)]
    Done,
}

page_of!(
    /// A page of messages.
    MessagePage,
    Message
);

/// A message's place in its list, as a cursor's key.
fn position(message: &Message) -> String {
    number_key("messages", message.seq)
}

const OLDER: &str = messages_of_chat!(
    concat!(
        "select ",
        message_columns!(),
        " from chat.messages m where m.chat_id = $1 and m.seq < $2 order by m.seq desc limit $3"
    ),
    "order by m.seq desc"
);

const NEWER: &str = messages_of_chat!(
    concat!("select ", message_columns!(), " from chat.messages m where m.chat_id = $1 and m.seq > $2 order by m.seq limit $3"),
    "order by m.seq"
);

const AROUND: &str = messages_of_chat!(
    concat!(
        "(select ",
        message_columns!(),
        " from chat.messages m
  where m.chat_id = $1 and m.seq <= (select g.seq from chat.messages g where g.chat_id = $1 and g.id = $2)
  order by m.seq desc limit $3)
union all
(select ",
        message_columns!(),
        " from chat.messages m
  where m.chat_id = $1 and m.seq > (select g.seq from chat.messages g where g.chat_id = $1 and g.id = $2)
  order by m.seq limit $4)"
    ),
    "order by m.seq desc"
);

const ONE_OF_MINE: &str = messages_of_chat!(
    concat!(
        "select ",
        message_columns!(),
        " from chat.messages m
  where m.chat_id = $1 and m.id = $2 and m.sender_id is not distinct from (select chat.uid()) and m.deleted_at is null"
    ),
    ""
);

const SEND: &str = concat!(
    "insert into chat.messages as m (chat_id, id, text, mentions, reply_to_id, attachment_url)
values ($1, $2, $3, $4, $5, $6)
on conflict (chat_id, id) do nothing
returning ",
    message_columns!(),
    ", (select u.display_name from chat.users u where u.id = (select chat.uid())) as sender_name,
  (select u.username from chat.users u where u.id = (select chat.uid())) as sender_username"
);

const EDIT: &str = "
update chat.messages m
set text = $3, mentions = coalesce($4, m.mentions)
where m.chat_id = $1 and m.id = $2";

const DELETE: &str = "select chat.delete_message($1, $2)";
const EXPECT_FREE_ID: &str = "select chat.expect_free_id($1, $2)";
