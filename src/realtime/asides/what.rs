//! What is told beside the chats' logs.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use uuid::Uuid;

use crate::realtime::batch::{ENCODINGS, Encoding};
use crate::wire::Timestamp;

/// What an aside is about: of two of the same, the later one says all.
pub type Key = (&'static str, Option<Uuid>, Uuid);

/// What an aside holds in memory beside what people said in it, in bytes: about.
const WEIGHT: usize = 200;

/// Something to be told. Encoded once, and shared.
pub struct Aside {
    /// The chat that it is of; absent: it is of a person, wherever they are met.
    pub chat: Option<Uuid>,
    pub what: What,
    /// What it holds in memory, in bytes: about.
    pub weight: usize,
    encoded: [OnceLock<String>; ENCODINGS],
}

/// What is told.
#[derive(Clone, PartialEq, Eq)]
pub enum What {
    Read {
        user: Uuid,
        seq: i64,
    },
    Typing {
        user: Uuid,
        is_typing: bool,
    },
    Presence {
        user: Uuid,
        status: String,
        last_active_at: Option<Timestamp>,
    },
    /// What a client tells the others, those of its own person too; without a user it is the host application.
    Broadcast {
        id: i64,
        user: Option<Uuid>,
        event: String,
        content: Content,
    },
    /// What somebody says of themselves, and says no more. Somebody may be told again of what they know, and that what they don't know has
    /// ended.
    Tracked {
        user: Uuid,
        joins: Vec<Track>,
        leaves: Vec<Track>,
    },
    /// Not all was told of what people in the chat say of themselves: it is to be listed anew.
    TrackedAnew,
}

/// What a broadcast tells.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    Json(Value),
    Bytes(Vec<u8>),
}

/// Something that somebody says of themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Track {
    /// Never that of another.
    pub id: String,
    pub key: String,
    pub state: Value,
}

impl Track {
    fn weight(&self) -> usize {
        WEIGHT + self.key.len() + self.state.to_string().len()
    }
}

/// Without what people say: that is not for logs.
impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("key", &self.key()).field("weight", &self.weight).finish_non_exhaustive()
    }
}

impl Aside {
    /// One that is not encoded yet.
    pub fn new(chat: Option<Uuid>, what: What) -> Arc<Self> {
        let weight = match &what {
            What::Broadcast { content: Content::Bytes(bytes), .. } => bytes.len(),
            What::Broadcast { content: Content::Json(value), .. } => value.to_string().len(),
            What::Tracked { joins, leaves, .. } => joins.iter().chain(leaves).map(Track::weight).sum(),
            What::Read { .. } | What::Typing { .. } | What::Presence { .. } | What::TrackedAnew => 0,
        };
        Self::of_weight(chat, what, WEIGHT + weight)
    }

    fn of_weight(chat: Option<Uuid>, what: What, weight: usize) -> Arc<Self> {
        Arc::new(Self { chat, what, weight, encoded: Default::default() })
    }

    /// What it is about.
    pub fn key(&self) -> Key {
        let (name, about) = match &self.what {
            What::Read { user, .. } => ("read", *user),
            What::Typing { user, .. } => ("typing", *user),
            What::Presence { user, .. } => ("presence", *user),
            // in their order
            What::Broadcast { id, .. } => ("broadcast", Uuid::from_u128((*id).unsigned_abs().into())),
            What::Tracked { user, .. } => ("tracked", *user),
            What::TrackedAnew => ("tracked anew", Uuid::nil()),
        };
        (name, self.chat, about)
    }

    /// Whether it is told the more often the more people are in a chat.
    pub fn is_of_everybody(&self) -> bool {
        !matches!(self.what, What::Broadcast { .. })
    }

    /// What is told at once to who was not told the earlier one yet, which is about the same.
    pub fn after(self: &Arc<Self>, earlier: &Self) -> Arc<Self> {
        let (What::Tracked { user, joins, leaves }, What::Tracked { joins: before, leaves: ended, .. }) =
            (&self.what, &earlier.what)
        else {
            return Arc::clone(self);
        };
        // also what came and ended meanwhile is told to have ended: they may have listed it in between
        let over: HashSet<&str> = leaves.iter().map(|track| track.id.as_str()).collect();
        let joins = before.iter().filter(|track| !over.contains(track.id.as_str())).chain(joins).cloned().collect();
        let leaves = ended.iter().chain(leaves).cloned().collect();
        // of each listener's own: what both weigh is known
        Self::of_weight(self.chat, What::Tracked { user: *user, joins, leaves }, self.weight + earlier.weight)
    }

    /// What is the same of it for all who are told it in this protocol: made once, and shared.
    pub fn encoding(&self, protocol: Encoding, encode: impl FnOnce(&Self) -> String) -> &str {
        self.encoded[protocol as usize].get_or_init(|| encode(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_say_stands_in_no_log() {
        let said = "between us";
        let track = || vec![Track { id: String::new(), key: said.to_owned(), state: said.into() }];
        for what in [
            What::Broadcast { id: 1, user: None, event: said.to_owned(), content: Content::Json(said.into()) },
            What::Tracked { user: Uuid::nil(), joins: track(), leaves: track() },
        ] {
            let aside = Aside::new(None, what);
            aside.encoding(Encoding::Native, |_| said.to_owned());
            assert!(!format!("{aside:?}").contains(said));
        }
    }
}
