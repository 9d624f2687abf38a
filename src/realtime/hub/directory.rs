//! Who lists rooms: they are told which chats changed, whoever is in them, and look for themselves.

use std::sync::Arc;

use uuid::Uuid;

use super::{Hub, Listener};

impl Hub {
    /// Something changed about a chat, or about who is in it.
    pub fn listed(&self, chat: Uuid) {
        for line in &self.state().directory {
            line.list(chat);
        }
    }

    /// Something may have changed about any: who reads rooms without being in them does so by what has no rev.
    pub fn any_listed(&self) {
        for line in &self.state().directory {
            line.list_any();
        }
    }
}

impl Listener {
    /// Is told of chats that change, also of those that nobody listens to: [`super::Signal::Listed`].
    pub fn list_rooms(&mut self) {
        if !std::mem::replace(&mut self.is_listing, true) {
            self.hub.state().directory.push(Arc::clone(&self.line));
        }
    }

    /// Whether they are.
    pub fn is_listing(&self) -> bool {
        self.is_listing
    }

    /// Is told no more.
    pub(super) fn list_no_more(&self) {
        if self.is_listing {
            self.hub.state().directory.retain(|line| line.id != self.line.id);
        }
    }
}
