//! Where a channel's client goes on is written down here, if it is one that comes back.

use std::sync::Arc;

use uuid::Uuid;

use super::mark::{Mark, Progress};
use crate::db::DbError;
use crate::realtime::marks::{Marks, Whose};

/// Writes down the marks of one channel.
pub struct Keeper {
    pub marks: Marks,
    /// By which its client is known again.
    pub resume: Arc<str>,
    pub topic: String,
    pub progress: Progress,
}

impl Keeper {
    /// From where on somebody's client goes on, if it was here before.
    ///
    /// # Errors
    /// When the database gives no answer.
    pub async fn find(&self, whose: Whose) -> Result<Option<Mark>, DbError> {
        let mark = self.marks.find(whose, &self.resume, &self.topic).await?;
        Ok(mark.and_then(|mark| serde_json::from_str(&mark).ok()))
    }

    /// Writes down from where on it goes on for certain, before it is told that it listens.
    ///
    /// # Errors
    /// When the database gives no answer.
    pub async fn begin(&self, whose: Whose) -> Result<(), DbError> {
        self.marks.begin(whose, &self.resume, &self.topic, self.progress.written().text()).await?;
        self.progress.begin(whose);
        Ok(())
    }

    /// Writes down that it may have heard of chats that it came to, before it is told: who is cut before they say that they have, and comes back
    /// when they may not read them any more, is told so.
    ///
    /// # Errors
    /// When the database gives no answer.
    pub async fn announce(&self, chats: impl IntoIterator<Item = Uuid>) -> Result<(), DbError> {
        self.progress.arrives(chats);
        self.marks.begin(self.progress.whose(), &self.resume, &self.topic, self.progress.written().text()).await
    }
}
