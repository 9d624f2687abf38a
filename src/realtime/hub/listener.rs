//! A connection's hold on the hub.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::{CHATS_OF_ONE_MAX, Ear, Hub, Line, Signal, State, Who};

/// A connection, as the hub knows it. Dropped, it listens to nothing.
pub struct Listener {
    hub: Arc<Hub>,
    who: Who,
    line: Line,
    signals: mpsc::Receiver<Signal>,
    chats: HashSet<Uuid>,
    is_everywhere: bool,
}

impl Listener {
    pub(super) fn new(hub: Arc<Hub>, who: Who, line: Line, signals: mpsc::Receiver<Signal>) -> Self {
        Self { hub, who, line, signals, chats: HashSet::new(), is_everywhere: false }
    }

    /// Listens to a chat: [`Signal::Ready`] follows. False: to that many they may not.
    pub fn listen(&mut self, chat: Uuid) -> bool {
        if self.chats.len() >= CHATS_OF_ONE_MAX && !self.chats.contains(&chat) {
            return false;
        }
        self.chats.insert(chat);
        let mut state = self.hub.state();
        let ear = Ear { who: self.who, standing: None, is_ready: false, line: self.line.clone() };
        let ears = &mut state.chats.entry(chat).or_default().ears;
        ears.retain(|ear| ear.line.id != self.line.id);
        ears.push(ear);
        state.due.insert(chat);
        self.hub.wake(state);
        true
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
        self.hub.state().everywhere.entry(user).or_default().push(self.line.clone());
    }

    /// Whether they fell behind: then what they were told is not all, and [`Listener::begin_anew`] is due.
    pub fn is_behind(&self) -> bool {
        self.line.is_behind.load(Ordering::Relaxed)
    }

    /// Forgets what waits, and listens to nothing; these are the chats that it listened to.
    pub fn begin_anew(&mut self) -> Vec<Uuid> {
        let chats: Vec<Uuid> = self.chats.iter().copied().collect();
        for chat in &chats {
            leave(&mut self.hub.state(), *chat, self.line.id);
        }
        while self.signals.try_recv().is_ok() {}
        self.line.is_behind.store(false, Ordering::Relaxed);
        self.chats.clear();
        chats
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        match self.signals.recv().await {
            Some(signal) => signal,
            // the line has a sender of its own, so this never comes
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.hub.state();
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
        watched.get_mut().ears.retain(|ear| ear.line.id != id);
        if watched.get().ears.is_empty() {
            watched.remove();
        }
    }
}
