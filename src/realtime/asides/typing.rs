//! That somebody types: believed of this process' own commits, and of what another sealed; over when it is not said again.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Aside, Asides, What};

/// How long somebody types who does not say it again.
pub const TYPING_LASTS: Duration = Duration::from_secs(6);
/// How often it is looked who does no more.
pub const PACE: Duration = Duration::from_millis(500);
/// Who says so more often than this is told of once.
const TYPING_REST: Duration = Duration::from_secs(1);
/// People who type that are remembered at most: of those beyond, nobody is told that they stopped but by the time that they were told of.
const TYPING_MAX: usize = 20_000;

/// Until when who types, by chat and person.
pub type Typists = HashMap<(Uuid, Uuid), Instant>;

impl Asides {
    pub(super) fn types(&self, chat: Uuid, user: Uuid, is_typing: bool) {
        if !self.hub.is_listened_to(chat) {
            return;
        }
        let until = Instant::now() + TYPING_LASTS;
        let mut typists = self.typists();
        if !is_typing {
            if typists.remove(&(chat, user)).is_none() {
                return;
            }
        } else if typists.get(&(chat, user)).is_some_and(|told| *told + TYPING_REST > until) {
            return;
        } else if typists.len() < TYPING_MAX || typists.contains_key(&(chat, user)) {
            typists.insert((chat, user), until);
        }
        drop(typists);
        self.tell_typing(chat, user, is_typing);
    }

    fn tell_typing(&self, chat: Uuid, typist: Uuid, is_typing: bool) {
        let aside = Aside::new(Some(chat), What::Typing { user: typist, is_typing });
        self.hub.tell_in([chat], &aside, |user| user != typist);
    }

    /// Who has not said for a while that they type: they do no more.
    pub(super) fn stop_typing(&self) {
        let now = Instant::now();
        let mut over = Vec::new();
        self.typists().retain(|who, until| {
            if *until <= now {
                over.push(*who);
            }
            *until > now
        });
        for (chat, user) in over {
            self.tell_typing(chat, user, false);
        }
    }

    fn typists(&self) -> MutexGuard<'_, Typists> {
        self.typists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
