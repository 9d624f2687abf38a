//! The hub: who listens to which chat, from where on they read it, and what is still to be read for them.
//!
//! The relay asks it what to read and gives it what it read; adapters hold a [`Listener`]. It decides nothing: standings come from the
//! database, in the same snapshot as the rows.
//!
//! **Invariant**: what changed about who reads a chat is applied before any row of the same snapshot is passed on.

mod listener;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

pub use listener::Listener;

use super::batch::{Batch, Standing};
use super::relay::Life;
use crate::auth::{Identity, Role};
use crate::wire::Position;

/// Signals that wait for one connection at most: who falls behind further is told to begin anew.
const QUEUE_MAX: usize = 256;
/// Chats that one connection may listen to.
pub const CHATS_OF_ONE_MAX: usize = 5_000;

/// As whom somebody listens: what their standing depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who {
    pub role: Role,
    pub user: Option<Uuid>,
}

impl From<&Identity> for Who {
    fn from(identity: &Identity) -> Self {
        Self { role: identity.role, user: identity.subject }
    }
}

/// What a listener is told, in this order.
#[derive(Debug)]
pub enum Signal {
    /// From here on they are told of the chat; absent: they do not read it.
    Ready { chat: Uuid, head: Option<i64> },
    /// What changed in it, of which they see what their standing lets them.
    Batch(Arc<Batch>, Standing),
    /// Something changed in it, for who has to look for themselves.
    Look { chat: Uuid },
    /// They do not read it any more.
    Gone { chat: Uuid },
    /// They see other rows of it than before, also old ones, or removals are forgotten: it is to be listed anew, as of this rev or later.
    Anew { chat: Uuid, head: i64 },
    /// They came to a chat, or something about their part in it changed.
    Arrived { chat: Uuid },
}

/// What the relay reads next.
#[derive(Debug, Default)]
pub struct Work {
    /// Chats, and up to where they were told; absent: not yet.
    pub chats: Vec<(Uuid, Option<i64>)>,
    /// Whose standing is asked for.
    pub asked: Vec<(Uuid, Who)>,
    /// Chats of which everybody's is.
    pub whole: HashSet<Uuid>,
}

/// What the relay read of one chat.
#[derive(Debug)]
pub struct Reading {
    pub head: i64,
    /// Removals are not known any more, or the database was restored.
    pub is_reset: bool,
    /// What the chat itself is changed, and so who reads it may have.
    pub is_chat_changed: bool,
    pub standings: Vec<(Who, Option<Standing>)>,
    pub batch: Batch,
}

/// Cheap to share; all of it in memory.
#[derive(Default)]
pub struct Hub {
    state: Mutex<State>,
    work: Notify,
    /// Who else wants to hear hints.
    bell: OnceLock<Bell>,
}

type Bell = Box<dyn Fn(&[Uuid]) + Send + Sync>;

#[derive(Default)]
struct State {
    chats: HashMap<Uuid, Watched>,
    /// Who listens to all their chats.
    everywhere: HashMap<Uuid, Vec<Line>>,
    due: BTreeSet<Uuid>,
    /// The house has policies of its own: everybody looks for themselves.
    is_strict: bool,
    next: u64,
    /// The chat that was read last: the next is one after it.
    last: Uuid,
    /// Where the database stood a moment ago.
    snapshot: String,
}

#[derive(Default)]
struct Watched {
    rev: Option<i64>,
    ears: Vec<Ear>,
    /// Everybody's standing is to be asked for.
    is_whole: bool,
}

struct Ear {
    who: Who,
    standing: Option<Standing>,
    is_ready: bool,
    line: Line,
}

/// The way to a connection.
#[derive(Clone)]
struct Line {
    id: u64,
    queue: mpsc::Sender<Signal>,
    is_behind: Arc<AtomicBool>,
}

impl Line {
    fn send(&self, signal: Signal) {
        if self.is_behind.load(Ordering::Relaxed) {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(signal) {
            self.is_behind.store(true, Ordering::Relaxed);
        }
    }
}

impl Hub {
    /// A connection of somebody who listens to nothing yet.
    pub fn connect(self: &Arc<Self>, identity: &Identity) -> Listener {
        let (queue, signals) = mpsc::channel(QUEUE_MAX);
        let mut state = self.state();
        state.next += 1;
        let line = Line { id: state.next, queue, is_behind: Arc::default() };
        drop(state);
        Listener::new(Arc::clone(self), identity.into(), line, signals)
    }

    /// Tells somebody else, too, in which chats something may have changed.
    pub fn on_hint(&self, bell: impl Fn(&[Uuid]) + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    /// Something may have changed in these chats.
    pub fn hint(&self, chats: impl IntoIterator<Item = Uuid>) {
        let chats: Vec<Uuid> = chats.into_iter().collect();
        if let Some(bell) = self.bell.get() {
            bell(&chats);
        }
        let mut state = self.state();
        let State { chats: watched, due, .. } = &mut *state;
        due.extend(chats.into_iter().filter(|chat| watched.contains_key(chat)));
        self.wake(state);
    }

    /// Something may have changed anywhere, and without a rev: also what who has no account may read.
    pub fn hint_all(&self) {
        let mut state = self.state();
        let State { chats, due, .. } = &mut *state;
        for (id, watched) in chats {
            watched.is_whole |= watched.ears.iter().any(|ear| ear.who.user.is_none());
            due.insert(*id);
        }
        self.wake(state);
    }

    /// Somebody came to a chat, left it, or has another role there.
    pub fn arrived(&self, user: Uuid, chat: Uuid) {
        for line in self.state().everywhere.get(&user).into_iter().flatten() {
            line.send(Signal::Arrived { chat });
        }
    }

    /// Everything begins anew: the database is another one, or what the house says of who reads has changed.
    pub fn begin_anew(&self, is_strict: bool) {
        let mut state = self.state();
        state.is_strict = is_strict;
        let State { chats, due, .. } = &mut *state;
        for (id, watched) in chats {
            watched.rev = None;
            due.insert(*id);
            for ear in &mut watched.ears {
                ear.standing = None;
                ear.line.is_behind.store(true, Ordering::Relaxed);
                let _ = ear.line.queue.try_send(Signal::Look { chat: *id });
            }
        }
        self.wake(state);
    }

    /// The database stands here now.
    pub fn database_stands_at(&self, life: &Life) {
        self.state().snapshot = format!("{};{}", life.epoch, life.snapshot);
    }

    /// Where a client stands that lists its chats from now on.
    pub fn snapshot(&self) -> String {
        let text = self.state().snapshot.clone();
        Position::from_text(&text).map(|position| position.to_string()).unwrap_or_default()
    }

    /// Whether everybody looks for themselves.
    pub fn set_strict(&self, is_strict: bool) -> bool {
        std::mem::replace(&mut self.state().is_strict, is_strict) != is_strict
    }

    /// Ends when there is something to read.
    pub async fn is_due(&self) {
        loop {
            if !self.state().due.is_empty() {
                return;
            }
            self.work.notified().await;
        }
    }

    /// What to read next, of so many chats at most.
    pub fn next(&self, chats_max: usize) -> Work {
        let mut state = self.state();
        let mut work = Work::default();
        while work.chats.len() < chats_max {
            // round and round: those with low ids must not keep the others waiting
            let after = state.due.range((Bound::Excluded(state.last), Bound::Unbounded)).next().copied();
            let Some(id) = after.or_else(|| state.due.first().copied()) else { break };
            state.due.remove(&id);
            state.last = id;
            let Some(watched) = state.chats.get_mut(&id) else { continue };
            work.chats.push((id, watched.rev));
            let whole = std::mem::take(&mut watched.is_whole);
            if whole {
                work.whole.insert(id);
            }
            work.asked.extend(watched.ears.iter().filter(|ear| whole || !ear.is_ready).map(|ear| (id, ear.who)));
        }
        work
    }

    /// Passes on what was read of a chat.
    pub fn apply(&self, chat: Uuid, reading: Reading, was_whole: bool) {
        let mut state = self.state();
        let is_strict = state.is_strict;
        let State { chats, due, .. } = &mut *state;
        let Some(watched) = chats.get_mut(&chat) else { return };
        if reading.is_chat_changed && !was_whole && watched.rev.is_some() {
            // who reads it may be others now: all is read again, with everybody's standing in the same snapshot
            watched.is_whole = true;
            due.insert(chat);
            self.wake(state);
            return;
        }
        let standings: HashMap<Who, Option<Standing>> = reading.standings.into_iter().collect();
        let batch = Arc::new(reading.batch);
        let (is_first, has_news) = (watched.rev.is_none(), !batch.events.is_empty());
        watched.rev = Some(batch.upto);
        watched.ears.retain_mut(|ear| {
            if !ear.is_ready {
                // who asked after the statement was made is asked for by the next
                let Some(standing) = standings.get(&ear.who) else { return true };
                ear.is_ready = true;
                ear.standing = *standing;
                let reads = standing.is_some() || is_strict;
                ear.line.send(Signal::Ready { chat, head: reads.then_some(batch.upto) });
                return reads;
            }
            if is_strict {
                if has_news || reading.is_reset {
                    ear.line.send(Signal::Look { chat });
                }
                return true;
            }
            let before = ear.standing;
            if let Some(standing) = standings.get(&ear.who) {
                ear.standing = *standing;
            }
            let Some(standing) = ear.standing else {
                ear.line.send(Signal::Gone { chat });
                return false;
            };
            if before != ear.standing || reading.is_reset || is_first {
                ear.line.send(Signal::Anew { chat, head: reading.head });
            }
            if has_news && !is_first {
                ear.line.send(Signal::Batch(Arc::clone(&batch), standing));
            }
            true
        });
        if batch.upto < reading.head || watched.ears.iter().any(|ear| !ear.is_ready) {
            due.insert(chat);
        }
        if watched.ears.is_empty() {
            chats.remove(&chat);
        }
        self.wake(state);
    }

    /// Chats that somebody listens to, and connections that listen to all of theirs.
    pub fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.chats.len(), state.everywhere.len())
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let is_due = !state.due.is_empty();
        drop(state);
        if is_due {
            self.work.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
