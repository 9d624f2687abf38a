//! What is still to be read: sets, so that what was heard twice is read once.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::db::Hint;

/// What waits to be read at most, of each kind: what is beyond is found by the sweep, or lost.
const WAITING_MAX: usize = 20_000;
/// People, markers or broadcasts that one statement reads.
const READ_AT_ONCE: usize = 200;
/// Chats of which one statement reads the states: each may be some megabytes.
const CHATS_AT_ONCE: usize = 8;

/// What is to be read.
#[derive(Default)]
pub struct Due {
    pub people: BTreeSet<Uuid>,
    pub markers: BTreeSet<(Uuid, Uuid)>,
    /// Chats of which the states are.
    pub states: BTreeSet<Uuid>,
    pub broadcasts: BTreeSet<i64>,
}

impl Due {
    /// Whether there is more to be read than before.
    pub fn hear(&mut self, hint: Hint) -> bool {
        match hint {
            Hint::Presence(user) => add(&mut self.people, user),
            Hint::Read { chat, user } => add(&mut self.markers, (chat, user)),
            Hint::States(chat) => add(&mut self.states, chat),
            Hint::Broadcast { id, .. } => add(&mut self.broadcasts, id),
            Hint::Chat(_) | Hint::Typing { .. } => false,
        }
    }

    /// Takes as much as is read at once.
    pub fn take_some(&mut self) -> Self {
        Self {
            people: some_of(&mut self.people, READ_AT_ONCE),
            markers: some_of(&mut self.markers, READ_AT_ONCE),
            states: some_of(&mut self.states, CHATS_AT_ONCE),
            broadcasts: some_of(&mut self.broadcasts, READ_AT_ONCE),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.markers.is_empty() && self.states.is_empty() && self.broadcasts.is_empty()
    }

    /// What could not be read, or not be told yet.
    pub fn put_back(&mut self, other: Self) {
        self.people.extend(other.people);
        self.markers.extend(other.markers);
        self.states.extend(other.states);
        self.broadcasts.extend(other.broadcasts);
    }
}

fn add<T: Ord>(set: &mut BTreeSet<T>, one: T) -> bool {
    set.len() < WAITING_MAX && set.insert(one)
}

fn some_of<T: Ord>(set: &mut BTreeSet<T>, most: usize) -> BTreeSet<T> {
    let mut some = BTreeSet::new();
    while some.len() < most
        && let Some(one) = set.pop_first()
    {
        some.insert(one);
    }
    some
}
