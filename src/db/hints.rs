//! Hints: in which chats something changed, gathered until somebody announces them.
//!
//! A set, so that a chat that changes a thousand times between two announcements is named once.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// Chats that are remembered at most: what is beyond is found by the next sweep.
const HINTS_MAX: usize = 100_000;

/// Chats in which something changed, and that nobody has announced yet. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hints(Arc<Inner>);

#[derive(Default)]
struct Inner {
    chats: Mutex<BTreeSet<Uuid>>,
    more: Notify,
}

impl Hints {
    /// Remembers chats.
    pub fn add(&self, chats: impl IntoIterator<Item = Uuid>) {
        let mut all = self.0.chats.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        for chat in chats {
            if all.len() >= HINTS_MAX {
                break;
            }
            all.insert(chat);
        }
        let grew = all.len() > before;
        drop(all);
        if grew {
            self.0.more.notify_one();
        }
    }

    /// Remembers what `chat.hints` says: ids, separated by commas.
    pub fn read(&self, text: &str) {
        self.add(text.split(',').filter_map(|id| id.parse().ok()));
    }

    /// All of them, as soon as there are any.
    pub async fn take(&self) -> BTreeSet<Uuid> {
        loop {
            let all = mem::take(&mut *self.0.chats.lock().unwrap_or_else(PoisonError::into_inner));
            if !all.is_empty() {
                return all;
            }
            self.0.more.notified().await;
        }
    }
}
