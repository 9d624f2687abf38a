//! How far a channel was told, and how far its client says that it heard: from there it goes on when it comes back.
//!
//! A client asks for a sign of life again only when it has the answer to the last. So what was sent before an answer has arrived when the next
//! question does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::shapes::change::Change;
use crate::realtime::marks::{RENEW_EVERY, Whose};

/// Chats that a mark names: as many as the database lets it.
pub const CHATS_MAX: usize = 1_000;

/// How far a channel was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// In which life of the database.
    pub epoch: String,
    /// Of each chat, up to which rev.
    pub chats: BTreeMap<Uuid, i64>,
    /// There are more chats than it names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
}

impl Mark {
    /// As it is written down.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A chat was told up to here.
    pub fn move_to(&mut self, chat: Uuid, rev: i64) {
        let has_room = self.chats.len() < CHATS_MAX;
        match self.chats.get_mut(&chat) {
            Some(told) => *told = rev.max(*told),
            None if has_room => drop(self.chats.insert(chat, rev)),
            None => self.is_partial = true,
        }
    }

    /// What of a row that changed was told. Of what is gone nobody can say.
    pub fn known(&self, change: &Change) -> Known {
        let Some(told) = self.chats.get(&change.chat_id) else { return Known::Not };
        match &change.message {
            Some(message) if message.rev <= *told => Known::Whole,
            Some(message) if message.seq <= *told => Known::Before,
            None if change.rev <= *told => Known::Whole,
            _ => Known::Not,
        }
    }
}

/// What of a row was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Not,
    /// As it was before.
    Before,
    /// As it is.
    Whole,
}

/// A mark that moves. Cheap to clone: a channel moves it, its socket hears of signs of life.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// When it was written down last: before, a sign of life says nothing of it.
    kept_at: Option<Instant>,
    whose: Whose,
    now: Mark,
    /// As it was at the last sign of life.
    sent: Option<Mark>,
    /// What the client has said that it has.
    heard: Option<Mark>,
    /// What it has for certain: that, or what it came with.
    certain: Option<Mark>,
}

impl Progress {
    /// It is somebody's, and written down.
    pub fn begin(&self, whose: Whose) {
        let mut state = self.state();
        (state.kept_at, state.whose) = (Some(Instant::now()), whose);
        (state.sent, state.heard) = (None, None);
    }

    /// Whose it is.
    pub fn whose(&self) -> Whose {
        self.state().whose
    }

    /// Moves it.
    pub fn set<T>(&self, set: impl FnOnce(&mut Mark) -> T) -> T {
        set(&mut self.state().now)
    }

    /// What its client has for certain: at first how far it was told when this is asked first.
    pub fn certain(&self) -> Mark {
        let mut state = self.state();
        let now = state.now.clone();
        state.certain.get_or_insert(now).clone()
    }

    /// How far the channel was told.
    pub fn now(&self) -> Mark {
        self.state().now.clone()
    }

    /// What of a row that changed was told.
    pub fn known(&self, change: &Change) -> Known {
        self.state().now.known(change)
    }

    /// The client shows a sign of life: gives what it has now, if that is more than was known, or was not written down for long.
    pub fn beat(&self) -> Option<Mark> {
        let mut state = self.state();
        let kept_at = state.kept_at?;
        let now = state.now.clone();
        let heard = state.sent.replace(now)?;
        let is_news = state.heard.as_ref() != Some(&heard) || kept_at.elapsed() >= RENEW_EVERY;
        (state.heard, state.certain) = (Some(heard.clone()), Some(heard.clone()));
        if is_news {
            state.kept_at = Some(Instant::now());
        }
        is_news.then_some(heard)
    }

    /// Whether the client has heard anything of this channel for certain.
    pub fn was_heard(&self) -> bool {
        self.state().heard.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_a_sign_of_life_was_heard_at_the_next() {
        let (progress, chat) = (Progress::default(), Uuid::from_u128(1));
        let told = |rev| progress.set(|mark| mark.chats.insert(chat, rev));
        told(5);
        assert!(progress.beat().is_none() && progress.beat().is_none(), "it has not begun");
        progress.begin(Whose::default());
        assert_eq!(progress.beat(), None, "the answer is yet to arrive");
        told(7);
        assert!(!progress.was_heard());
        assert_eq!(progress.beat().map(|mark| mark.chats[&chat]), Some(5));
        assert!(progress.was_heard());
        assert_eq!(progress.beat().map(|mark| mark.chats[&chat]), Some(7));
        assert_eq!(progress.beat(), None, "nothing is new");
    }

    #[tokio::test(start_paused = true)]
    async fn of_who_is_told_nothing_for_long_it_is_written_down_nevertheless() {
        let progress = Progress::default();
        progress.begin(Whose::default());
        assert!(progress.beat().is_none() && progress.beat().is_some() && progress.beat().is_none());
        tokio::time::advance(RENEW_EVERY).await;
        assert!(progress.beat().is_some() && progress.beat().is_none());
    }

    #[test]
    fn a_mark_survives_the_journey() {
        let mark = Mark { epoch: "9f".to_owned(), chats: BTreeMap::from([(Uuid::from_u128(1), 5)]), is_partial: false };
        let text = mark.text();
        assert_eq!(text, r#"{"epoch":"9f","chats":{"00000000-0000-0000-0000-000000000001":5}}"#);
        assert_eq!(serde_json::from_str::<Mark>(&text).expect("a mark"), mark);
        let mut full = Mark::default();
        for n in 0..=CHATS_MAX as u128 {
            full.move_to(Uuid::from_u128(n), i64::MAX);
        }
        assert!(full.is_partial && full.chats.len() == CHATS_MAX);
        assert!(full.text().len() < 1 << 16, "as rule resumes.2");
    }
}
