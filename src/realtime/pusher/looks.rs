//! What is to be looked at anew: chats of which something changed that no event tells, as who is in them. Each at once, then at most once a
//! second, however often it changes; and where too much does, everything is listed instead.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// How often one chat is looked at, and everything listed.
const EVERY: Duration = Duration::from_secs(1);
/// Chats that wait to be looked at: of more, all are listed.
const WAITING_MAX: usize = 200;

/// What is to be looked at, and when.
#[derive(Debug, Default)]
pub struct Looks {
    due: BTreeMap<Uuid, Instant>,
    all_at: Option<Instant>,
    /// When each was looked at, for as long as it counts.
    looked: HashMap<Uuid, Instant>,
    listed: Option<Instant>,
}

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    At(Uuid),
    /// At everything there is.
    AtAll,
}

impl Looks {
    /// Something about a chat changed.
    pub fn note(&mut self, chat: Uuid, now: Instant) {
        if self.due.len() >= WAITING_MAX && !self.due.contains_key(&chat) {
            return self.note_all(now);
        }
        let at = self.looked.get(&chat).map_or(now, |looked| now.max(*looked + EVERY));
        self.due.entry(chat).or_insert(at);
    }

    /// It is not known what changed.
    pub fn note_all(&mut self, now: Instant) {
        self.due.clear();
        let at = self.listed.map_or(now, |listed| now.max(listed + EVERY));
        self.all_at.get_or_insert(at);
    }

    /// A chat is not to be looked at any more.
    pub fn forget(&mut self, chat: Uuid) {
        self.due.remove(&chat);
    }

    /// When the next is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.due.values().copied().chain(self.all_at).min()
    }

    /// What is due now, if anything is: it counts as looked at.
    pub fn take(&mut self, now: Instant) -> Option<Look> {
        if self.all_at.is_some_and(|at| at <= now) {
            self.all_at = None;
            self.due.clear();
            self.listed = Some(now);
            return Some(Look::AtAll);
        }
        let (chat, _) = self.due.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at)?;
        let chat = *chat;
        self.due.remove(&chat);
        self.looked.retain(|_, looked| *looked + EVERY > now);
        self.looked.insert(chat, now);
        Some(Look::At(chat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_looked_at_at_once_and_then_once_a_second() {
        let (mut looks, now, chat) = (Looks::default(), Instant::now(), Uuid::from_u128(1));
        looks.note(chat, now);
        looks.note(chat, now);
        assert_eq!((looks.take(now), looks.take(now)), (Some(Look::At(chat)), None));
        looks.note(chat, now);
        assert_eq!((looks.take(now), looks.next_at()), (None, Some(now + EVERY)));
        looks.note(Uuid::from_u128(2), now);
        assert_eq!(looks.take(now), Some(Look::At(Uuid::from_u128(2))), "others do not wait for it");
        assert_eq!(looks.take(now + EVERY), Some(Look::At(chat)));
        assert_eq!(looks.next_at(), None);
        looks.note(chat, now + EVERY * 3);
        looks.forget(chat);
        assert_eq!(looks.take(now + EVERY * 4), None);
        assert!(looks.looked.len() <= 2);
    }

    #[test]
    fn of_too_many_all_are_listed_once_a_second() {
        let (mut looks, now) = (Looks::default(), Instant::now());
        for n in 0..=WAITING_MAX as u128 {
            looks.note(Uuid::from_u128(n), now);
        }
        assert_eq!((looks.take(now), looks.take(now)), (Some(Look::AtAll), None));
        looks.note_all(now);
        assert_eq!((looks.take(now), looks.take(now + EVERY)), (None, Some(Look::AtAll)));
    }
}
