//! What those who are connected to this process say of themselves, in which chat, written down under its lease.
//!
//! Whoever says something holds a [`Tracking`]. A task writes down what came and what ended, in one statement: who says something else makes a
//! new one and drops the old, and the others are told of both together. When the lease was lost all is said again, as something new.

use std::collections::{BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{REST, Registry};
use crate::auth::{Identity, Role};
use crate::db::{Db, DbError};
use crate::params;

/// The longest state, in bytes, and the longest key, in characters; as rule presence.4.
const STATE_MAX: usize = 8_192;
const KEY_MAX: usize = 255;
/// States that one person may have through this process, in all chats.
const STATES_OF_ONE_MAX: usize = 200;
/// How long what changes is gathered.
const GATHER: Duration = Duration::from_millis(30);
/// States that one statement writes down, and that it ends.
const STATES_AT_ONCE: usize = 500;

const KEEP: &str = "select chat.keep_states($1, $2, $3, $4, $5, $6, $7) as is_kept";

/// Something that somebody says of themselves. Dropped, they say it no more.
pub struct Tracking {
    registry: Registry,
    number: u64,
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.registry.tracks().end(self.number);
        self.registry.0.tracks_news.notify_one();
    }
}

/// All that people say of themselves through this process.
#[derive(Default)]
pub(super) struct Tracks {
    all: HashMap<u64, Said>,
    of_one: HashMap<Uuid, usize>,
    /// What is to be written down, and what was and has ended.
    due: BTreeSet<u64>,
    ended: BTreeSet<Uuid>,
    next: u64,
}

struct Said {
    id: Uuid,
    chat: Uuid,
    user: Uuid,
    key: String,
    state: Value,
    /// It is written down, or about to be.
    is_written: bool,
}

/// What one statement writes down.
#[derive(Default)]
struct Slice {
    ended: Vec<Uuid>,
    begun: Vec<u64>,
    ids: Vec<Uuid>,
    chats: Vec<Uuid>,
    users: Vec<Uuid>,
    keys: Vec<String>,
    states: Vec<Value>,
}

impl Tracks {
    fn end(&mut self, number: u64) {
        self.due.remove(&number);
        let Some(said) = self.all.remove(&number) else { return };
        if said.is_written {
            self.ended.insert(said.id);
        }
        if let Some(count) = self.of_one.get_mut(&said.user) {
            *count -= 1;
            if *count == 0 {
                self.of_one.remove(&said.user);
            }
        }
    }

    fn take(&mut self) -> Slice {
        let mut some = Slice::default();
        while some.ended.len() < STATES_AT_ONCE
            && let Some(id) = self.ended.pop_first()
        {
            some.ended.push(id);
        }
        while some.begun.len() < STATES_AT_ONCE
            && let Some(number) = self.due.pop_first()
        {
            let Some(said) = self.all.get_mut(&number) else { continue };
            said.is_written = true;
            some.begun.push(number);
            some.ids.push(said.id);
            some.chats.push(said.chat);
            some.users.push(said.user);
            some.keys.push(said.key.clone());
            some.states.push(said.state.clone());
        }
        some
    }

    fn put_back(&mut self, ended: Vec<Uuid>, begun: &[u64]) {
        self.ended.extend(ended);
        self.due.extend(begun.iter().filter(|number| self.all.contains_key(number)));
    }
}

/// Whether somebody has an account, and says no more of themselves than is taken.
pub fn may_be_said(identity: &Identity, key: &str, state: &Value) -> bool {
    let is_somebody = identity.role == Role::Authenticated && identity.subject.is_some();
    // what Postgres takes for no text would keep the others' from being written down
    let is_key = !key.is_empty() && key.chars().count() <= KEY_MAX && !key.contains('\0');
    is_somebody && is_key && state.to_string().len() <= STATE_MAX
}

impl Registry {
    /// Somebody says something of themselves in a chat, by a key of their own. None: they have no account, say too much or too often.
    ///
    /// Who is not in the chat says it to nobody.
    pub fn track(&self, identity: &Identity, chat: Uuid, key: String, state: Value) -> Option<Tracking> {
        let user = identity.subject.filter(|_| may_be_said(identity, &key, &state))?;
        let mut tracks = self.tracks();
        let count = tracks.of_one.entry(user).or_default();
        if *count >= STATES_OF_ONE_MAX {
            return None;
        }
        *count += 1;
        tracks.next += 1;
        let number = tracks.next;
        tracks.all.insert(number, Said { id: Uuid::new_v4(), chat, user, key, state, is_written: false });
        tracks.due.insert(number);
        drop(tracks);
        self.0.tracks_news.notify_one();
        Some(Tracking { registry: self.clone(), number })
    }

    /// All is to be said again: the lease under which it was written down is not there any more.
    pub(super) fn track_again(&self) {
        let mut tracks = self.tracks();
        let Tracks { all, due, ended, .. } = &mut *tracks;
        for (number, said) in all.iter_mut().filter(|(_, said)| said.is_written) {
            // by another id: whoever listed the states in between does not have it
            ended.insert(std::mem::replace(&mut said.id, Uuid::new_v4()));
            said.is_written = false;
            due.insert(*number);
        }
        drop(tracks);
        self.0.tracks_news.notify_one();
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        self.0.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what people say of themselves through `process`, until it is told to stop.
pub async fn keep(db: Db, process: Uuid, registry: Registry, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = registry.0.tracks_news.notified() => sleep(GATHER).await,
        }
        while let Some(pause) = write(&db, process, &registry).await {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }
}

/// Writes some of it down; how long until there is to be written more, if there is.
async fn write(db: &Db, process: Uuid, registry: &Registry) -> Option<Duration> {
    let Slice { ended, begun, ids, chats, users, keys, states } = registry.tracks().take();
    if ended.is_empty() && begun.is_empty() {
        return None;
    }
    let answer = db.write_as_relay(KEEP, params![process, ended.clone(), ids, chats, users, keys, states]).await;
    match answer.map(|rows| rows.first().is_some_and(|row| row.get("is_kept"))) {
        Ok(true) => return Some(Duration::ZERO),
        // the lease is about to be renewed
        Ok(false) => {}
        Err(DbError::Away(_)) => tracing::debug!("the database is away; what people say of themselves is written down later"),
        Err(other) => tracing::error!(code = other.sqlstate(), "what people say of themselves could not be written down"),
    }
    registry.tracks().put_back(ended, &begun);
    Some(REST)
}
