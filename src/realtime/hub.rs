//! The hub: who listens to which chat, from where on they read it, and what is still to be read for them.
//!
//! The relay asks it what to read and gives it what it read; adapters hold a [`Listener`]. It decides nothing: standings come from the
//! database, in the same snapshot as the rows.
//!
//! **Invariant**: what changed about who reads a chat is applied before any row of the same snapshot is passed on.

mod aside;
mod directory;
mod line;
mod listener;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use line::Line;
pub use line::{Heard, Ready, Signal};
pub use listener::Listener;

use super::batch::{Batch, Standing};
use super::life::Life;
use super::trial::{Fault, Trial};
use crate::auth::{Identity, Role};
use crate::wire::Position;

/// Chats that one connection may listen to.
pub const CHATS_OF_ONE_MAX: usize = 5_000;

/// How many connections come back elsewhere in a second when a server stops, as long as it takes no longer than this.
const BACK_PER_SECOND: u64 = 1_000;
const SPREAD_MAX_MS: u64 = 4_000;

/// In a trial: the mark of a standing that is to be lost at the next reading.
const LATE: i64 = -1;

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
    #[cfg(debug_assertions)]
    trial: Mutex<Trial>,
}

type Bell = Box<dyn Fn(&[Uuid]) + Send + Sync>;

#[derive(Default)]
struct State {
    chats: HashMap<Uuid, Watched>,
    /// Who listens to all their chats.
    everywhere: HashMap<Uuid, Vec<Arc<Line>>>,
    /// Who lists rooms.
    directory: Vec<Arc<Line>>,
    due: BTreeSet<Uuid>,
    /// The house has policies of its own: everybody looks for themselves.
    is_strict: bool,
    /// Connections that ever were, and that are.
    lines: u64,
    open: usize,
    /// The chat that was read last: the next is one after it.
    last: Uuid,
    /// Which life of the database it is, and where it stood a moment ago.
    epoch: Arc<str>,
    snapshot: String,
    lobby: Option<Uuid>,
    /// Something may have changed that no rev tells.
    is_doubtful: bool,
}

#[derive(Default)]
struct Watched {
    rev: Option<i64>,
    ears: Vec<Ear>,
    /// Everybody's standing is to be asked for.
    is_whole: bool,
}

struct Ear {
    /// Which of its line's.
    id: u32,
    who: Who,
    standing: Option<Standing>,
    is_ready: bool,
    line: Arc<Line>,
}

impl Ear {
    fn tell(&self, chat: Uuid, what: Heard) {
        self.line.send(Signal::Heard { chat, ear: self.id, what });
    }
}

impl Hub {
    /// A connection of somebody who listens to nothing yet.
    pub fn connect(self: &Arc<Self>, identity: &Identity) -> Listener {
        let mut state = self.state();
        state.lines += 1;
        state.open += 1;
        let line = Line::new(state.lines);
        drop(state);
        Listener::new(Arc::clone(self), identity.into(), line)
    }

    /// Tells somebody else, too, in which chats something may have changed.
    pub fn on_hint(&self, bell: impl Fn(&[Uuid]) + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    /// The conditions of a test.
    #[cfg(debug_assertions)]
    pub fn try_under(&self, trial: Trial) {
        *self.trial.lock().unwrap_or_else(PoisonError::into_inner) = trial;
    }

    /// Under which conditions this runs.
    #[cfg(debug_assertions)]
    pub fn trial(&self) -> Trial {
        *self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which conditions this runs.
    #[cfg(not(debug_assertions))]
    pub fn trial(&self) -> Trial {
        Trial::default()
    }

    /// Something may have changed in these chats.
    pub fn hint(&self, chats: impl IntoIterator<Item = Uuid>) {
        if self.trial().has(Fault::Deaf) {
            return;
        }
        let chats: Vec<Uuid> = chats.into_iter().collect();
        if let Some(bell) = self.bell.get() {
            bell(&chats);
        }
        let mut state = self.state();
        let State { chats: watched, due, .. } = &mut *state;
        due.extend(chats.into_iter().filter(|chat| watched.contains_key(chat)));
        self.wake(state);
    }

    /// Something may have changed anywhere.
    pub fn hint_all(&self) {
        let mut state = self.state();
        let State { chats, due, .. } = &mut *state;
        for (id, watched) in chats {
            // who is not in a chat reads it by what has no rev: a setting, an account that is not erased
            watched.is_whole |= watched.ears.iter().any(|ear| ear.standing.is_some_and(|standing| !standing.is_in()));
            due.insert(*id);
        }
        self.wake(state);
    }

    /// Something may have changed that no rev tells: the relay looks around before long, and not only at its hour.
    pub fn doubt(&self) {
        self.state().is_doubtful = true;
    }

    /// Whether there is doubt; it is gone then.
    pub fn was_doubtful(&self) -> bool {
        std::mem::take(&mut self.state().is_doubtful)
    }

    /// Somebody came to a chat, left it, or has another role there.
    pub fn arrived(&self, user: Uuid, chat: Uuid) {
        for line in self.state().everywhere.get(&user).into_iter().flatten() {
            line.send(Signal::Arrived { chat });
        }
    }

    /// The database stands here now.
    pub fn database_stands_at(&self, life: &Life) {
        let mut state = self.state();
        if *state.epoch != *life.epoch {
            state.epoch = life.epoch.as_str().into();
        }
        state.snapshot.clone_from(&life.snapshot);
        (state.is_strict, state.lobby) = (life.is_strict, life.lobby);
    }

    /// The same, and everything begins anew: the database is another one, or what the house says of who reads has changed.
    pub fn begin_anew(&self, life: &Life) {
        self.database_stands_at(life);
        let mut state = self.state();
        let State { chats, due, .. } = &mut *state;
        for (id, watched) in chats {
            watched.rev = None;
            due.insert(*id);
            for ear in &mut watched.ears {
                ear.standing = None;
                ear.line.fall_behind();
            }
        }
        self.wake(state);
    }

    /// Which life of the database it is, and where a client stands in it that lists its chats from now on.
    pub fn position(&self) -> (Arc<str>, String) {
        let state = self.state();
        let text = format!("{};{}", state.epoch, state.snapshot);
        let position = Position::from_text(&text).map(|position| position.to_string()).unwrap_or_default();
        (Arc::clone(&state.epoch), position)
    }

    /// The room that clients talk in who name none.
    pub fn lobby(&self) -> Option<Uuid> {
        self.state().lobby
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
            // what visitors read hangs on what has no rev in the chat: it is asked for with every row
            let is_asked = |ear: &&Ear| whole || !ear.is_ready || ear.standing.is_some_and(|standing| !standing.is_in());
            let asked: HashSet<Who> = watched.ears.iter().filter(is_asked).map(|ear| ear.who).collect();
            work.asked.extend(asked.into_iter().map(|who| (id, who)));
        }
        work
    }

    /// What was to be read could not be: it is read again.
    pub fn put_back(&self, work: &Work) {
        let mut state = self.state();
        let State { chats, due, .. } = &mut *state;
        for (chat, _) in &work.chats {
            if let Some(watched) = chats.get_mut(chat) {
                watched.is_whole |= work.whole.contains(chat);
                due.insert(*chat);
            }
        }
        self.wake(state);
    }

    /// Passes on what was read of a chat.
    pub fn apply(&self, chat: Uuid, reading: Reading, was_whole: bool) {
        let trial = self.trial();
        let mut state = self.state();
        let (is_strict, epoch) = (state.is_strict, Arc::clone(&state.epoch));
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
        let mut is_late = false;
        watched.ears.retain_mut(|ear| {
            if !ear.is_ready {
                // who asked after the statement was made is asked for by the next
                let Some(standing) = standings.get(&ear.who) else { return true };
                ear.is_ready = true;
                ear.standing = *standing;
                let reads = standing.is_some() || is_strict;
                let is_in = standing.is_some_and(Standing::is_in);
                let ready = Ready { head: batch.upto, epoch: Arc::clone(&epoch), is_in, is_strict };
                ear.tell(chat, Heard::Ready(reads.then_some(ready)));
                return reads;
            }
            let before = ear.standing;
            if let Some(standing) = standings.get(&ear.who) {
                ear.standing = *standing;
            }
            if is_strict {
                if has_news || reading.is_reset || before != ear.standing {
                    ear.tell(chat, Heard::Look);
                }
                return true;
            }
            let Some(standing) = ear.standing else {
                if let Some(before) = before.filter(|_| trial.has(Fault::RowsBeforeAccess) || trial.has(Fault::LateRemoval)) {
                    ear.tell(chat, Heard::Batch(Arc::clone(&batch), before));
                    if trial.has(Fault::LateRemoval) && before.since_rev != LATE {
                        ear.standing = Some(Standing { since_rev: LATE, ..before });
                        is_late = true;
                        return true;
                    }
                }
                ear.tell(chat, Heard::Gone);
                return false;
            };
            if before != ear.standing || reading.is_reset || is_first {
                ear.tell(chat, Heard::Anew { head: reading.head, is_in: standing.is_in() });
            }
            if has_news && !is_first {
                ear.tell(chat, Heard::Batch(Arc::clone(&batch), standing));
            }
            true
        });
        watched.is_whole |= is_late;
        if batch.upto < reading.head || watched.ears.iter().any(|ear| !ear.is_ready) {
            due.insert(chat);
        }
        if watched.ears.is_empty() {
            chats.remove(&chat);
        }
        self.wake(state);
    }

    /// How long one of the connections waits when all are closed: they come back somewhere else, [`BACK_PER_SECOND`] of them.
    pub fn spread(&self) -> Duration {
        let open = u64::try_from(self.state().open).unwrap_or(u64::MAX);
        let all = (open * 1_000 / BACK_PER_SECOND).clamp(1, SPREAD_MAX_MS);
        Duration::from_millis(Uuid::new_v4().as_u64_pair().1 % all)
    }

    /// How many connections there are, chats that somebody listens to, and those of them of which something is still to be read.
    pub fn size(&self) -> [usize; 3] {
        let state = self.state();
        [state.open, state.chats.len(), state.due.len()]
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
