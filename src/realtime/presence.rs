//! Presence: who is connected to this process, written down under its lease.
//!
//! Whoever has a socket or stream open holds a [`Here`]. A task writes down who came and who left, and renews the lease of the process; the
//! database sweeps leases that nobody renews, so a process that dies leaves nobody behind. Who leaves is waited for a moment: a connection that
//! is made anew is no absence. A process that stops in order takes nobody away either: those who come back elsewhere were never gone, and the
//! others go with its lease.

mod strangers;
mod tracking;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poem_openapi::Enum;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::strangers::Strangers;
pub use self::strangers::{STRANGERS_MAX, Stranger};
use self::tracking::Tracks;
pub use self::tracking::{Tracking, keep as keep_tracks, may_be_said};
use crate::auth::{Identity, Role};
use crate::db::{Db, DbError};
use crate::params;

/// How often the lease is renewed: the database lets one go that is 10 s old.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How long what changes is gathered.
const GATHER: Duration = Duration::from_millis(250);
/// How long who has no connection any more is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// People that one statement writes down, but for the one that says all.
const PEOPLE_AT_ONCE: usize = 1_000;
/// How long the task rests after a statement that failed.
const REST: Duration = Duration::from_millis(500);

/// Connections that one person may have with this process.
const CONNECTIONS_OF_ONE_MAX: usize = 200;

const KEEP: &str = "select chat.keep_presence($1, $2, $3, $4) as is_kept";

/// How somebody is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ConnectionStatus", rename_all = "lowercase")]
pub enum State {
    Online,
    Away,
}

impl State {
    /// As the database calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
        }
    }
}

/// Who is connected to this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    house: Mutex<House>,
    news: Notify,
    tracks: Mutex<Tracks>,
    tracks_news: Notify,
    strangers: Strangers,
}

#[derive(Default)]
struct House {
    people: HashMap<Uuid, Person>,
    /// Who is to be written down.
    due: BTreeSet<Uuid>,
    /// Who has no connection any more, and since when; who came back is in it still.
    leaving: VecDeque<(Instant, Uuid)>,
    next: u64,
}

#[derive(Default)]
struct Person {
    connections: HashMap<u64, State>,
    /// When their last connection ended, and how they were then.
    left: Option<(Instant, State)>,
}

impl Person {
    fn state(&self, now: Instant) -> Option<State> {
        if self.connections.is_empty() {
            // who is waited for is as they were
            return self.left.filter(|(at, _)| now < *at + PATIENCE).map(|(_, state)| state);
        }
        let is_online = self.connections.values().any(|state| *state == State::Online);
        Some(if is_online { State::Online } else { State::Away })
    }
}

/// A connection of somebody's. Dropped, it is none.
pub struct Here {
    registry: Registry,
    user: Uuid,
    id: u64,
}

impl Here {
    /// They look at it, or do not.
    pub fn set(&self, state: State) {
        let mut house = self.registry.house();
        if let Some(person) = house.people.get_mut(&self.user)
            && person.connections.insert(self.id, state) != Some(state)
        {
            house.due.insert(self.user);
            self.registry.wake(house);
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut house = self.registry.house();
        let Some(person) = house.people.get_mut(&self.user) else { return };
        let state = person.connections.remove(&self.id).unwrap_or(State::Online);
        if person.connections.is_empty() {
            person.left = Some((now, state));
            house.leaving.push_back((now, self.user));
        } else {
            house.due.insert(self.user);
        }
        self.registry.wake(house);
    }
}

impl Registry {
    /// Whether somebody may open one more.
    pub fn has_room_for(&self, identity: &Identity) -> bool {
        let count = |user| self.house().people.get(&user).map_or(0, |person| person.connections.len());
        identity.subject.is_none_or(|user| count(user) < CONNECTIONS_OF_ONE_MAX)
    }

    /// Somebody has a connection from now on. None: neither the host application nor who has no account is anywhere.
    pub fn enter(&self, identity: &Identity) -> Option<Here> {
        let user = identity.subject.filter(|_| identity.role == Role::Authenticated)?;
        let mut house = self.house();
        house.next += 1;
        let id = house.next;
        let person = house.people.entry(user).or_default();
        person.left = None;
        person.connections.insert(id, State::Online);
        house.due.insert(user);
        self.wake(house);
        Some(Here { registry: self.clone(), user, id })
    }

    /// When there is something to write down; never, where nobody comes or goes.
    fn due_at(&self, now: Instant) -> Option<Instant> {
        let house = self.house();
        if house.due.is_empty() { house.leaving.front().map(|(at, _)| *at + PATIENCE) } else { Some(now) }
    }

    /// Who is to be written down, and how; `is_all`: everybody.
    fn take(&self, now: Instant, is_all: bool) -> (Vec<Uuid>, Vec<Option<&'static str>>) {
        let mut house = self.house();
        let House { people, due, leaving, .. } = &mut *house;
        while let Some((_, user)) = leaving.front().copied().filter(|(at, _)| *at + PATIENCE <= now) {
            leaving.pop_front();
            due.insert(user);
        }
        let mut taken = Vec::new();
        if is_all {
            due.clear();
            taken.extend(people.keys().copied());
        } else {
            while taken.len() < PEOPLE_AT_ONCE
                && let Some(user) = due.pop_first()
            {
                taken.push(user);
            }
        }
        let states = taken.iter().map(|user| {
            let state = people.get(user).and_then(|person| person.state(now));
            if state.is_none() {
                people.remove(user);
            }
            state.map(State::as_str)
        });
        let states = states.collect();
        (taken, states)
    }

    fn put_back(&self, users: Vec<Uuid>) {
        self.house().due.extend(users);
    }

    fn wake(&self, house: MutexGuard<'_, House>) {
        drop(house);
        self.0.news.notify_one();
    }

    fn house(&self) -> MutexGuard<'_, House> {
        self.0.house.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down who is connected to `process`, until it is told to stop.
pub async fn keep(db: Db, process: Uuid, registry: Registry, stop: CancellationToken) {
    let mut renew_at = Instant::now();
    // the lease that is not there yet is lost: everybody is to be said
    let mut is_all = true;
    loop {
        let now = Instant::now();
        let due_at = registry.due_at(now).map_or(renew_at, |due_at| due_at.min(renew_at));
        if now < due_at {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(due_at) => {}
                () = registry.0.news.notified() => {
                    // who comes is gathered with who comes next
                    sleep(GATHER).await;
                }
            }
            continue;
        }
        match write(&db, process, &registry, is_all).await {
            Ok(is_kept) => {
                if is_all && is_kept {
                    registry.track_again();
                }
                // a lease that was lost: swept, or forgotten in a crash of the database
                is_all = !is_kept;
                renew_at = Instant::now() + RENEW_EVERY;
            }
            Err(error) => {
                match error {
                    DbError::Away(_) => tracing::debug!("the database is away; who is here is written down later"),
                    other => tracing::error!(code = other.sqlstate(), "who is here could not be written down"),
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(REST) => {}
                }
            }
        }
        if !is_all {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(GATHER) => {}
            }
        }
    }
}

async fn write(db: &Db, process: Uuid, registry: &Registry, is_all: bool) -> Result<bool, DbError> {
    let (users, states) = registry.take(Instant::now(), is_all);
    let answer = db.write_as_relay(KEEP, params![process, users.clone(), states, is_all]).await;
    let is_kept = answer.map(|rows| rows.first().is_some_and(|row| row.get("is_kept")));
    if !matches!(is_kept, Ok(true)) {
        registry.put_back(users);
    }
    is_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(role: Role) -> Identity {
        Identity {
            role,
            subject: Some(Uuid::from_u128(7)),
            expires_at: time::OffsetDateTime::now_utc(),
            claims: Arc::from("{}"),
            request: None,
        }
    }

    fn states(registry: &Registry, now: Instant) -> Vec<Option<&'static str>> {
        registry.take(now, false).1
    }

    #[test]
    fn somebody_is_online_while_any_connection_of_theirs_is() {
        let registry = Registry::default();
        let now = Instant::now();
        let one = registry.enter(&identity(Role::Authenticated)).expect("they are here");
        let other = registry.enter(&identity(Role::Authenticated)).expect("they are here");
        assert_eq!(states(&registry, now), [Some("online")]);
        one.set(State::Away);
        assert_eq!(states(&registry, now), [Some("online")]);
        other.set(State::Away);
        assert_eq!(states(&registry, now), [Some("away")]);
        other.set(State::Away);
        assert_eq!(states(&registry, now), [], "nothing changed");
        one.set(State::Online);
        drop(other);
        assert_eq!(states(&registry, now), [Some("online")]);
    }

    #[test]
    fn who_comes_back_at_once_was_never_gone() {
        let registry = Registry::default();
        let now = Instant::now();
        drop(registry.enter(&identity(Role::Authenticated)));
        states(&registry, now);
        assert_eq!(states(&registry, now), [], "they are waited for");
        let back = registry.enter(&identity(Role::Authenticated));
        assert_eq!(states(&registry, Instant::now() + PATIENCE), [Some("online")]);
        drop(back);
        assert_eq!(states(&registry, Instant::now() + PATIENCE), [None]);
        assert!(registry.house().people.is_empty() && registry.house().leaving.is_empty());
    }

    #[test]
    fn the_host_application_and_who_has_no_account_are_nowhere() {
        let registry = Registry::default();
        assert!(registry.enter(&identity(Role::ServiceRole)).is_none());
        assert!(registry.enter(&identity(Role::Anon)).is_none());
    }
}
