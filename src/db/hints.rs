//! Hints: what changed and where, gathered from commits until somebody announces them.
//!
//! A set, so that a chat that changes a thousand times between two announcements is named once.

use std::collections::BTreeSet;
use std::fmt;
use std::mem;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// Hints that are remembered at most: what is beyond is found by the next sweep.
const HINTS_MAX: usize = 100_000;

/// Where something changed: ids, and nothing of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hint {
    /// Something in this chat has another rev.
    Chat(Uuid),
    /// This person has read further.
    Read { chat: Uuid, user: Uuid },
    /// This person came, or went, or is in another state.
    Presence(Uuid),
    /// What those who are here say of themselves in this chat changed.
    States(Uuid),
    /// This is told in this chat.
    Broadcast { id: i64, chat: Uuid },
    /// This person types, or does no more. The one hint that says all there is: nothing stands in a table.
    Typing { chat: Uuid, user: Uuid, is_typing: bool },
}

/// A text that is no hint.
#[derive(Debug, PartialEq, Eq)]
pub struct NoHint;

impl FromStr for Hint {
    type Err = NoHint;

    fn from_str(text: &str) -> Result<Self, NoHint> {
        let id = |text: &str| Uuid::try_parse(text).map_err(|_| NoHint);
        let pair = |text: &str| {
            let (chat, user) = text.split_once('.').ok_or(NoHint)?;
            Ok((id(chat)?, id(user)?))
        };
        // no letter beyond f begins an id
        match text.as_bytes().first() {
            Some(b'r') => pair(&text[1..]).map(|(chat, user)| Self::Read { chat, user }),
            Some(b'p') => id(&text[1..]).map(Self::Presence),
            Some(b's') => id(&text[1..]).map(Self::States),
            Some(b'w') => {
                let (chat, number) = text[1..].split_once('.').ok_or(NoHint)?;
                let number = number.parse().ok().filter(|number| *number > 0).ok_or(NoHint)?;
                Ok(Self::Broadcast { id: number, chat: id(chat)? })
            }
            Some(letter @ (b't' | b'u')) => {
                pair(&text[1..]).map(|(chat, user)| Self::Typing { chat, user, is_typing: *letter == b't' })
            }
            _ => id(text).map(Self::Chat),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chat(chat) => write!(f, "{}", chat.simple()),
            Self::Read { chat, user } => write!(f, "r{}.{}", chat.simple(), user.simple()),
            Self::Presence(user) => write!(f, "p{}", user.simple()),
            Self::States(chat) => write!(f, "s{}", chat.simple()),
            Self::Broadcast { id, chat } => write!(f, "w{}.{id}", chat.simple()),
            Self::Typing { chat, user, is_typing } => {
                write!(f, "{}{}.{}", if *is_typing { 't' } else { 'u' }, chat.simple(), user.simple())
            }
        }
    }
}

impl Hint {
    /// Adds it to others, of which there are [`HINTS_MAX`] at most. False: it is there, or there is no room.
    pub fn join(self, others: &mut BTreeSet<Self>) -> bool {
        if let Self::Typing { chat, user, is_typing } = self {
            // what they said last counts
            others.remove(&Self::Typing { chat, user, is_typing: !is_typing });
        }
        others.len() < HINTS_MAX && others.insert(self)
    }
}

/// What changed, and nobody has announced yet. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hints(Arc<Inner>);

#[derive(Default)]
struct Inner {
    all: Mutex<BTreeSet<Hint>>,
    more: Notify,
}

impl Hints {
    /// Remembers hints.
    pub fn add(&self, hints: impl IntoIterator<Item = Hint>) {
        let mut all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut grew = false;
        for hint in hints {
            grew |= hint.join(&mut all);
        }
        drop(all);
        if grew {
            self.0.more.notify_one();
        }
    }

    /// Remembers what `chat.hints` says: hints, separated by commas.
    pub fn read(&self, text: &str) {
        self.add(text.split(',').filter_map(|hint| hint.parse().ok()));
    }

    /// All of them that there are.
    pub fn drain(&self) -> BTreeSet<Hint> {
        mem::take(&mut *self.0.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of them, as soon as there are any.
    pub async fn take(&self) -> BTreeSet<Hint> {
        loop {
            let all = mem::take(&mut *self.0.all.lock().unwrap_or_else(PoisonError::into_inner));
            if !all.is_empty() {
                return all;
            }
            self.0.more.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> [Hint; 7] {
        let (chat, user) = (Uuid::new_v4(), Uuid::new_v4());
        [
            Hint::Chat(chat),
            Hint::Read { chat, user },
            Hint::Presence(user),
            Hint::States(chat),
            Hint::Broadcast { id: i64::MAX, chat },
            Hint::Typing { chat, user, is_typing: true },
            Hint::Typing { chat, user, is_typing: false },
        ]
    }

    #[test]
    fn a_hint_is_read_as_it_is_written_with_hyphens_or_without() {
        for hint in some() {
            let text = hint.to_string();
            assert_eq!(text.parse(), Ok(hint), "{text}");
            let hyphenated = match hint {
                Hint::Chat(chat) => chat.to_string(),
                Hint::Read { chat, user } => format!("r{chat}.{user}"),
                Hint::Presence(user) => format!("p{user}"),
                Hint::States(chat) => format!("s{chat}"),
                Hint::Broadcast { id, chat } => format!("w{chat}.{id}"),
                Hint::Typing { chat, user, is_typing } => format!("{}{chat}.{user}", if is_typing { 't' } else { 'u' }),
            };
            assert_eq!(hyphenated.parse(), Ok(hint), "{hyphenated}");
        }
    }

    #[test]
    fn what_is_no_hint_is_none() {
        let id = Uuid::new_v4();
        let wrong = ["r", "p{}.{}", "s{}.1", "w{}", "w{}.", "w{}.0", "w{}.-1", "w{}.9223372036854775808", "x{}", "t{}."];
        let wrong = wrong.map(|text| text.replace("{}", &id.to_string()));
        for text in ["", "r", "p", "s", "w", "é", "probe"].into_iter().chain(wrong.iter().map(String::as_str)) {
            assert_eq!(text.parse::<Hint>(), Err(NoHint), "{text}");
        }
    }

    #[tokio::test]
    async fn what_somebody_said_last_about_their_typing_counts() {
        let hints = Hints::default();
        let [.., on, off] = some();
        let Hint::Typing { chat, user, .. } = on else { panic!("{on}") };
        let off = match off {
            Hint::Typing { is_typing, .. } => Hint::Typing { chat, user, is_typing },
            other => panic!("{other}"),
        };
        hints.read(&format!("{on},{off}"));
        assert_eq!(hints.take().await, BTreeSet::from([off]));
        hints.add([on, off, on]);
        assert_eq!(hints.take().await, BTreeSet::from([on]));
    }
}
