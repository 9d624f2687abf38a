//! An event's chats, for the host application: the same as calling `chat.put_event_chat` and `chat.end_event_chat` in SQL.
//!
//! Tables: `chat.chats`, `chat.participants`. Rules: chats.13, chats.17. Statuses: 201 for a chat made, 200 for one updated; 403
//! for everyone but the service role.

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;

use super::Tag;
use super::body::Body;
use super::caller::Caller;
use super::shapes::chat::{Chat, read_chat};
use crate::api::answer::Answer;
use crate::db::Db;
use crate::error::{ApiError, fault, invalid};
use crate::params;

/// People that one request may name.
const PARTICIPANTS_MAX: usize = 10_000;

pub struct EventsApi {
    pub db: Db,
}

#[OpenApi(tag = "Tag::Chats")]
impl EventsApi {
    /// Make or update an event's chat
    ///
    /// For the host application. Absent fields stay as they are; `participantIds` are exactly those who are in it from now on, known
    /// to the chat or not.
    #[oai(path = "/events/:eventId/chats/:type", method = "put", operation_id = "putEventChat")]
    async fn put_event_chat(
        &self,
        caller: Caller,
        /// The event, as the host application writes its id.
        #[oai(name = "eventId", validator(min_length = 1, max_length = 200))]
        event_id: Path<String>,
        /// Which of the event's chats.
        #[oai(name = "type")]
        kind: Path<EventChatType>,
        chat: Body<EventChat>,
    ) -> Result<PutEventChat, ApiError> {
        let EventChat { name, participant_ids } = chat.0;
        if participant_ids.as_ref().is_some_and(|ids| ids.len() > PARTICIPANTS_MAX) {
            return Err(invalid("/participantIds", "at most 10,000 people are named at once"));
        }
        let rows = self.db.write(&caller, PUT, params![event_id.0, kind.as_str(), name, participant_ids]).await?;
        let row = rows.first().ok_or_else(|| fault("chat.put_event_chat gave no row"))?;
        let (id, created): (Uuid, bool) = (row.get("chat_id"), row.get("created"));
        let chat = read_chat(&self.db, &caller, id).await?;
        Ok(if created { PutEventChat::Made(Answer(chat), format!("/chats/{id}")) } else { PutEventChat::Updated(Answer(chat)) })
    }

    /// End an event's chat
    #[oai(path = "/events/:eventId/chats/:type", method = "delete", operation_id = "deleteEventChat")]
    async fn delete_event_chat(
        &self,
        caller: Caller,
        /// The event, as the host application writes its id.
        #[oai(name = "eventId", validator(min_length = 1, max_length = 200))]
        event_id: Path<String>,
        /// Which of the event's chats.
        #[oai(name = "type")]
        kind: Path<EventChatType>,
    ) -> Result<DeletedEventChat, ApiError> {
        self.db.write(&caller, END, params![event_id.0, kind.as_str()]).await?;
        Ok(DeletedEventChat::Done)
    }
}

/// Which of an event's chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum EventChatType {
    /// That of those who make the event.
    EventAuthors,
    /// That of those who were let in.
    ApprovedGroup,
}

impl EventChatType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::EventAuthors => "event_authors",
            Self::ApprovedGroup => "approved_group",
        }
    }
}

/// What an event's chat is to be.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventChat {
    /// Its name.
    pub name: Option<String>,
    /// Exactly those who are in it.
    #[oai(validator(max_items = 10000))]
    pub participant_ids: Option<Vec<Uuid>>,
}

/// What putting an event's chat answers.
#[derive(ApiResponse)]
pub enum PutEventChat {
    /// It was updated.
    #[oai(status = 200)]
    Updated(Answer<Chat>),
    /// It was made.
    #[oai(status = 201)]
    Made(
        Answer<Chat>,
        /// Where it is now.
        #[oai(header = "Location")]
        String,
    ),
}

/// What ending an event's chat answers.
#[derive(ApiResponse)]
pub enum DeletedEventChat {
    /// There is none any more.
    #[oai(status = 204)]
    Done,
}

const PUT: &str = "select e.chat_id, e.created from chat.put_event_chat($1, $2, $3, $4) e";
const END: &str = "select chat.end_event_chat($1, $2)";
