//! How far a channel was told, and how far its client says that it heard: from there it goes on when it comes back.
//!
//! A client asks for a sign of life again only when it has the answer to the last. So what was sent before an answer has arrived when the next
//! question does.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Chats of which its client may have been told that it came to them, and has not said that it was.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub arriving: BTreeSet<Uuid>,
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
    /// Chats that it is told it came to: since the last sign of life, and between that and the one before.
    arriving: [BTreeSet<Uuid>; 2],
}

impl State {
    /// A mark with what may have been told beyond it.
    fn with_arriving(&self, mut mark: Mark) -> Mark {
        for chat in self.arriving.iter().flatten().filter(|chat| !mark.chats.contains_key(chat)) {
            if mark.chats.len() + mark.arriving.len() < CHATS_MAX {
                mark.arriving.insert(*chat);
            } else {
                mark.is_partial = true;
            }
        }
        mark
    }
}

impl Progress {
    /// It is somebody's, and written down.
    pub fn begin(&self, whose: Whose) {
        let mut state = self.state();
        (state.kept_at, state.whose) = (Some(Instant::now()), whose);
        (state.sent, state.heard) = (None, None);
        let [newer, older] = &mut state.arriving;
        newer.append(older);
    }

    /// Whose it is.
    pub fn whose(&self) -> Whose {
        self.state().whose
    }

    /// Moves it.
    pub fn set<T>(&self, set: impl FnOnce(&mut Mark) -> T) -> T {
        set(&mut self.state().now)
    }

    /// From where on its client goes on: what it has for certain, at first how far it was told when this is asked first; and what it may have
    /// been told.
    pub fn written(&self) -> Mark {
        let mut state = self.state();
        let now = state.now.clone();
        let certain = state.certain.get_or_insert(now).clone();
        state.with_arriving(certain)
    }

    /// Its client is told that it came to these chats, or was just now.
    pub fn arrives(&self, chats: impl IntoIterator<Item = Uuid>) {
        self.state().arriving[0].extend(chats);
    }

    /// How far the channel was told.
    pub fn now(&self) -> Mark {
        self.state().now.clone()
    }

    /// What of a row that changed was told.
    pub fn known(&self, change: &Change) -> Known {
        self.state().now.known(change)
    }

    /// The client shows a sign of life: what it has now is kept, if that is more than was known, or was not written down for long.
    ///
    /// Nothing arrives while it is kept, so that what is written down of an arrival is not overwritten by what was known before it.
    pub fn beat(&self, keep: impl FnOnce(Whose, Mark)) {
        let mut state = self.state();
        let Some(kept_at) = state.kept_at else { return };
        let now = state.now.clone();
        let [newer, older] = &mut state.arriving;
        // what was told before the last sign is in what it has
        *older = std::mem::take(newer);
        let Some(heard) = state.sent.replace(now) else { return };
        let is_news = state.heard.as_ref() != Some(&heard) || kept_at.elapsed() >= RENEW_EVERY;
        (state.heard, state.certain) = (Some(heard.clone()), Some(heard.clone()));
        if is_news {
            state.kept_at = Some(Instant::now());
            keep(state.whose, state.with_arriving(heard));
        }
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

    fn beat(progress: &Progress) -> Option<Mark> {
        let mut kept = None;
        progress.beat(|_, mark| kept = Some(mark));
        kept
    }

    #[test]
    fn what_was_sent_before_a_sign_of_life_was_heard_at_the_next() {
        let (progress, chat) = (Progress::default(), Uuid::from_u128(1));
        let told = |rev| progress.set(|mark| mark.chats.insert(chat, rev));
        told(5);
        assert!(beat(&progress).is_none() && beat(&progress).is_none(), "it has not begun");
        progress.begin(Whose::default());
        assert_eq!(beat(&progress), None, "the answer is yet to arrive");
        told(7);
        assert!(!progress.was_heard());
        assert_eq!(beat(&progress).map(|mark| mark.chats[&chat]), Some(5));
        assert!(progress.was_heard());
        assert_eq!(beat(&progress).map(|mark| mark.chats[&chat]), Some(7));
        assert_eq!(beat(&progress), None, "nothing is new");
    }

    #[test]
    fn a_chat_that_one_may_have_been_told_of_is_written_down_until_it_was_heard_of_or_not() {
        let (progress, chat, other) = (Progress::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        progress.written();
        progress.begin(Whose::default());
        progress.arrives([chat]);
        assert_eq!(progress.written().arriving, BTreeSet::from([chat]));
        progress.begin(Whose::default());
        // the sign comes between: it may be told after the answer to it
        assert_eq!(beat(&progress), None);
        progress.set(|mark| mark.move_to(chat, 7));
        progress.arrives([chat, other]);
        assert_eq!(beat(&progress).expect("the first").arriving, BTreeSet::from([chat, other]));
        let heard = beat(&progress).expect("more");
        assert_eq!((heard.chats.get(&chat), heard.arriving), (Some(&7), BTreeSet::new()), "the other was heard to be gone");
    }

    #[tokio::test(start_paused = true)]
    async fn of_who_is_told_nothing_for_long_it_is_written_down_nevertheless() {
        let progress = Progress::default();
        progress.begin(Whose::default());
        assert!(beat(&progress).is_none() && beat(&progress).is_some() && beat(&progress).is_none());
        tokio::time::advance(RENEW_EVERY).await;
        assert!(beat(&progress).is_some() && beat(&progress).is_none());
    }

    #[test]
    fn a_mark_survives_the_journey() {
        let mark = Mark { epoch: "9f".to_owned(), chats: BTreeMap::from([(Uuid::from_u128(1), 5)]), ..Mark::default() };
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
