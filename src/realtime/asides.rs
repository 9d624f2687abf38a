//! Asides: what is told as it happens and stands in no chat's log: who is here and what they say of themselves, how far somebody has read, that
//! somebody types, what clients broadcast.
//!
//! Hints of these are believed by nobody either: they are read, and what is told is what the tables hold. That somebody types stands nowhere: it
//! comes sealed ([`super::sealed`]). A lost hint of somebody's presence, or of states, is found by a sweep; that of anything else is lost.
//!
//! Told to those alone who listen to a chat and are in it; of presence and states, the database says from whom it is hidden.
//!
//! **Invariant**: what was read in a snapshot is told when the hub knows who was in the chat as of that snapshot, or later; never to who had left.

mod broadcasts;
mod due;
mod markers;
mod presence;
mod states;
mod typing;
mod what;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::due::Due;
pub use self::typing::TYPING_LASTS;
use self::typing::Typists;
pub use self::what::{Aside, Content, Key, Track, What};
use super::hub::Hub;
use super::sealed::{Kind, Seal, Whisper};
use crate::db::{Db, DbError, Hint};

/// How often all that is here is looked at, whatever was heard.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How long the task rests after a statement that failed.
const REST: Duration = Duration::from_millis(500);
/// How long is waited until the hub knows who is in a chat.
const LAG: Duration = Duration::from_millis(20);

/// What was heard and is to be read and told.
pub struct Asides {
    hub: Arc<Hub>,
    seal: Mutex<Seal>,
    due: Mutex<Due>,
    typists: Mutex<Typists>,
    news: Notify,
}

impl Asides {
    /// For the listeners of a hub.
    pub fn new(hub: Arc<Hub>, seal: Seal) -> Self {
        Self { hub, seal: Mutex::new(seal), due: Mutex::default(), typists: Mutex::default(), news: Notify::new() }
    }

    /// Something may have changed. Of this process' own commits, also that somebody types: what comes over NOTIFY is to be [`Asides::open`]ed.
    pub fn hint(&self, hint: Hint, is_own: bool) {
        let is_heard = match hint {
            Hint::Presence(_) => true,
            Hint::Read { chat, .. } | Hint::States(chat) | Hint::Broadcast { chat, .. } => self.hub.is_listened_to(chat),
            Hint::Typing { chat, user, is_typing } => {
                if is_own {
                    self.types(chat, user, is_typing);
                }
                false
            }
            Hint::Chat(_) => false,
        };
        if is_heard && self.due().hear(hint) {
            self.news.notify_one();
        }
    }

    /// Tells what another process sealed, if it did.
    pub fn open(&self, payload: &str) {
        let whispers = self.seal.lock().unwrap_or_else(PoisonError::into_inner).open(payload);
        for Whisper { chat, user, kind } in whispers {
            match kind {
                Kind::Typing { is_typing } => self.types(chat, user, is_typing),
            }
        }
    }

    /// What is to be told to the other processes, as many whispers as a payload holds, and how many they are.
    pub fn seal(&self, whispers: &[Whisper], bytes_max: usize) -> (String, usize) {
        self.seal.lock().unwrap_or_else(PoisonError::into_inner).seal(whispers, bytes_max)
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was told, as far as what is told next depends on it.
#[derive(Default)]
struct Told {
    presence: presence::Known,
    states: states::Known,
    broadcasts: broadcasts::Recent,
}

/// Reads what was heard of and tells it, until it is told to stop.
pub async fn tell(db: Db, asides: Arc<Asides>, stop: CancellationToken) {
    let mut told = Told::default();
    let (mut sweep, mut typing) = (Instant::now(), Instant::now());
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(typing) => {
                typing = Instant::now() + typing::PACE;
                asides.stop_typing();
                continue;
            }
            () = sleep_until(sweep) => {
                sweep = Instant::now() + SWEEP_EVERY;
                look_around(&db, &asides, &mut told).await
            }
            () = asides.news.notified() => read(&db, &asides, &mut told).await,
        };
        if let Err(error) = step {
            match error {
                DbError::Away(_) => tracing::debug!("the database is away; who is here is read later"),
                other => tracing::error!(code = other.sqlstate(), "what is told beside the chats could not be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(REST) => asides.news.notify_one(),
            }
        }
    }
}

/// Whatever was heard: what is otherwise here than was told is read.
async fn look_around(db: &Db, asides: &Asides, told: &mut Told) -> Result<(), DbError> {
    let people = presence::look_around(db, &mut told.presence).await?;
    let states = states::look_around(db, asides, &mut told.states).await?;
    asides.due().put_back(Due { people, states, ..Due::default() });
    asides.news.notify_one();
    Ok(())
}

async fn read(db: &Db, asides: &Asides, told: &mut Told) -> Result<(), DbError> {
    let mut later = Due::default();
    let mut held = broadcasts::Held::default();
    loop {
        let some = asides.due().take_some();
        if some.is_empty() {
            break;
        }
        let done = async {
            later.broadcasts.extend(broadcasts::tell(db, asides, &mut told.broadcasts, &mut held, &some.broadcasts).await?);
            later.people.extend(presence::tell(db, asides, &mut told.presence, &some.people).await?);
            later.states.extend(states::tell(db, asides, &mut told.states, &some.states).await?);
            later.markers.extend(markers::tell(db, asides, &some.markers).await?);
            Ok(())
        };
        if let Err(error) = done.await {
            let mut due = asides.due();
            due.put_back(later);
            due.put_back(some);
            return Err(error);
        }
    }
    if !later.is_empty() {
        sleep(LAG).await;
        asides.due().put_back(later);
        asides.news.notify_one();
    }
    Ok(())
}
