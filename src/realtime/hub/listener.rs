//! A connection's hold on the hub.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::line::{Line, Signal};
use super::{CHATS_OF_ONE_MAX, Ear, Hub, State, Who};

/// A connection, as the hub knows it. Dropped, it listens to nothing.
pub struct Listener {
    pub(super) hub: Arc<Hub>,
    who: Who,
    pub(super) line: Arc<Line>,
    chats: HashSet<Uuid>,
    ears: u32,
    is_everywhere: bool,
    pub(super) is_listing: bool,
}

impl Listener {
    pub(super) fn new(hub: Arc<Hub>, who: Who, line: Line) -> Self {
        Self { hub, who, line: Arc::new(line), chats: HashSet::new(), ears: 0, is_everywhere: false, is_listing: false }
    }

    /// Listens to a chat: [`super::Heard::Ready`] follows, by the ear that this gives. What comes by an older one is not meant any more.
    /// Absent: to that many they may not listen.
    pub fn listen(&mut self, chat: Uuid) -> Option<u32> {
        if self.chats.len() >= CHATS_OF_ONE_MAX && !self.chats.contains(&chat) {
            return None;
        }
        let is_again = !self.chats.insert(chat);
        self.ears = self.ears.wrapping_add(1);
        let mut state = self.hub.state();
        let ear = Ear { id: self.ears, who: self.who, standing: None, is_ready: false, line: Arc::clone(&self.line) };
        let ears = &mut state.chats.entry(chat).or_default().ears;
        if is_again {
            ears.retain(|ear| ear.line.id != self.line.id);
        }
        ears.push(ear);
        state.due.insert(chat);
        self.hub.wake(state);
        Some(self.ears)
    }

    /// Listens to it no more.
    pub fn leave(&mut self, chat: Uuid) {
        self.chats.remove(&chat);
        leave(&mut self.hub.state(), chat, self.line.id);
    }

    /// Is told of chats that they come to: [`Signal::Arrived`].
    pub fn listen_everywhere(&mut self) {
        let Some(user) = self.who.user.filter(|_| !self.is_everywhere) else { return };
        self.is_everywhere = true;
        self.hub.state().everywhere.entry(user).or_default().push(Arc::clone(&self.line));
    }

    /// Whether they are told of chats that they come to.
    pub fn is_everywhere(&self) -> bool {
        self.is_everywhere
    }

    /// After [`Signal::Behind`]: listens to nothing; these are the chats that they came to meanwhile.
    pub fn begin_anew(&mut self) -> BTreeSet<Uuid> {
        let mut state = self.hub.state();
        for chat in std::mem::take(&mut self.chats) {
            leave(&mut state, chat, self.line.id);
        }
        drop(state);
        self.line.begin_anew()
    }

    /// A signal, if one waits.
    pub fn waits(&self) -> Option<Signal> {
        self.line.waits()
    }

    /// The next signal.
    pub async fn next(&self) -> Signal {
        self.line.next().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.list_no_more();
        let mut state = self.hub.state();
        state.open -= 1;
        for chat in &self.chats {
            leave(&mut state, *chat, self.line.id);
        }
        if let Some(user) = self.who.user.filter(|_| self.is_everywhere)
            && let Entry::Occupied(mut lines) = state.everywhere.entry(user)
        {
            lines.get_mut().retain(|line| line.id != self.line.id);
            if lines.get().is_empty() {
                lines.remove();
            }
        }
    }
}

fn leave(state: &mut State, chat: Uuid, id: u64) {
    if let Entry::Occupied(mut watched) = state.chats.entry(chat) {
        let ears = &mut watched.get_mut().ears;
        if let Some(place) = ears.iter().position(|ear| ear.line.id == id) {
            ears.swap_remove(place);
        }
        if watched.get().ears.is_empty() {
            watched.remove();
        }
    }
}
