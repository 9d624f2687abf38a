//! Asides: what is told as it happens and stands in no chat's log: who is here, how far somebody has read, that somebody types.
//!
//! Hints of the first two are believed by nobody either: they are read, and what is told is what the tables hold. That somebody types stands
//! nowhere: it comes sealed ([`super::sealed`]). A lost hint of somebody's presence is found by a sweep; that of a marker or of typing is lost.
//!
//! Told to those alone who listen to a chat and are in it; of presence, the database says from whom it is hidden.
//!
//! **Invariant**: what was read in a snapshot is told when the hub knows who was in the chat as of that snapshot, or later; never to who had left.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hub::Hub;
use super::sealed::{Kind, Seal, Whisper};
use crate::db::{Db, DbError, Hint};
use crate::params;
use crate::wire::Timestamp;

/// What waits to be read at most: what is beyond is found by the sweep, or lost.
const WAITING_MAX: usize = 20_000;
/// People, or markers, that one statement reads.
const READ_AT_ONCE: usize = 200;
/// How often everybody who is here is looked at, whatever was heard.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How long the task rests after a statement that failed.
const REST: Duration = Duration::from_millis(500);
/// How long is waited until the hub knows who is in a chat.
const LAG: Duration = Duration::from_millis(20);
/// How long somebody types who does not say it again.
pub const TYPING_LASTS: Duration = Duration::from_secs(6);
/// How often it is looked who does no more.
const TYPING_PACE: Duration = Duration::from_millis(500);
/// Who says so more often than this is told of once.
const TYPING_REST: Duration = Duration::from_secs(1);
/// People who type that are remembered at most: of those beyond, nobody is told that they stopped but by the time that they were told of.
const TYPING_MAX: usize = 20_000;

/// What an aside is about: of two of the same, the later one says all.
pub type Key = (&'static str, Option<Uuid>, Uuid);

/// Something to be told. Encoded once, and shared.
#[derive(Debug)]
pub struct Aside {
    /// The chat that it is of; absent: it is of a person, wherever they are met.
    pub chat: Option<Uuid>,
    pub what: What,
    encoded: OnceLock<String>,
}

/// What is told.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    Read { user: Uuid, seq: i64 },
    Typing { user: Uuid, is_typing: bool },
    Presence { user: Uuid, status: String, last_active_at: Option<Timestamp> },
}

impl Aside {
    /// One that is not encoded yet.
    pub fn new(chat: Option<Uuid>, what: What) -> Arc<Self> {
        Arc::new(Self { chat, what, encoded: OnceLock::new() })
    }

    /// What it is about.
    pub fn key(&self) -> Key {
        let (What::Read { user, .. } | What::Typing { user, .. } | What::Presence { user, .. }) = &self.what;
        (self.name(), self.chat, *user)
    }

    fn name(&self) -> &'static str {
        match self.what {
            What::Read { .. } => "read",
            What::Typing { .. } => "typing",
            What::Presence { .. } => "presence",
        }
    }

    /// Its frame: made once.
    pub fn encoding(&self, encode: impl FnOnce(&Self) -> String) -> &str {
        self.encoded.get_or_init(|| encode(self))
    }
}

/// What was heard and is to be read and told.
pub struct Asides {
    hub: Arc<Hub>,
    seal: Mutex<Seal>,
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    people: BTreeSet<Uuid>,
    markers: BTreeSet<(Uuid, Uuid)>,
    /// Until when who types, by chat and person.
    typing: HashMap<(Uuid, Uuid), Instant>,
}

impl Asides {
    /// For the listeners of a hub.
    pub fn new(hub: Arc<Hub>, seal: Seal) -> Self {
        Self { hub, seal: Mutex::new(seal), waiting: Mutex::default(), news: Notify::new() }
    }

    /// Something may have changed. Of this process' own commits, also that somebody types: what comes over NOTIFY is to be [`Asides::open`]ed.
    pub fn hint(&self, hint: Hint, is_own: bool) {
        match hint {
            Hint::Presence(user) => {
                let mut waiting = self.waiting();
                if waiting.people.len() < WAITING_MAX {
                    waiting.people.insert(user);
                }
                drop(waiting);
                self.news.notify_one();
            }
            Hint::Read { chat, user } => {
                let mut waiting = self.waiting();
                if waiting.markers.len() < WAITING_MAX && self.hub.is_listened_to(chat) {
                    waiting.markers.insert((chat, user));
                }
                drop(waiting);
                self.news.notify_one();
            }
            Hint::Typing { chat, user, is_typing } if is_own => self.types(chat, user, is_typing),
            Hint::Chat(_) | Hint::Typing { .. } => {}
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

    fn types(&self, chat: Uuid, user: Uuid, is_typing: bool) {
        if !self.hub.is_listened_to(chat) {
            return;
        }
        let until = Instant::now() + TYPING_LASTS;
        let mut waiting = self.waiting();
        if !is_typing {
            if waiting.typing.remove(&(chat, user)).is_none() {
                return;
            }
        } else if waiting.typing.get(&(chat, user)).is_some_and(|told| *told + TYPING_REST > until) {
            return;
        } else if waiting.typing.len() < TYPING_MAX || waiting.typing.contains_key(&(chat, user)) {
            waiting.typing.insert((chat, user), until);
        }
        drop(waiting);
        self.tell_typing(chat, user, is_typing);
    }

    fn tell_typing(&self, chat: Uuid, user: Uuid, is_typing: bool) {
        let aside = Aside::new(Some(chat), What::Typing { user, is_typing });
        self.hub.tell_in([chat], &aside, &HashSet::from([user]));
    }

    /// Who has not said for a while that they type: they do no more.
    fn stop_typing(&self) {
        let now = Instant::now();
        let mut over = Vec::new();
        self.waiting().typing.retain(|who, until| {
            if *until <= now {
                over.push(*who);
            }
            *until > now
        });
        for (chat, user) in over {
            self.tell_typing(chat, user, false);
        }
    }

    fn put_back(&self, later: Waiting) {
        let mut waiting = self.waiting();
        waiting.people.extend(later.people);
        waiting.markers.extend(later.markers);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what was heard of and tells it, until it is told to stop.
pub async fn tell(db: Db, asides: Arc<Asides>, stop: CancellationToken) {
    // who is here, as it was last told
    let mut known: HashMap<Uuid, String> = HashMap::new();
    let mut is_first = true;
    let (mut sweep, mut typing) = (Instant::now(), Instant::now());
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(typing) => {
                typing = Instant::now() + TYPING_PACE;
                asides.stop_typing();
                continue;
            }
            () = sleep_until(sweep) => {
                sweep = Instant::now() + SWEEP_EVERY;
                look_around(&db, &asides, &mut known, is_first).await.map(|()| is_first = false)
            }
            () = asides.news.notified() => read(&db, &asides, &mut known).await,
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

/// Whatever was heard: who is otherwise here than was told is read.
async fn look_around(db: &Db, asides: &Asides, known: &mut HashMap<Uuid, String>, is_first: bool) -> Result<(), DbError> {
    let rows = db.read_as_relay(PRESENT, params![]).await?;
    let mut present: HashMap<Uuid, String> = rows.iter().map(|row| (row.get("user_id"), row.get("status"))).collect();
    if is_first {
        // nobody has listened for longer than this runs
        *known = present;
        return Ok(());
    }
    let mut waiting = asides.waiting();
    for (user, status) in known.iter() {
        if present.remove(user).as_ref() != Some(status) {
            waiting.people.insert(*user);
        }
    }
    waiting.people.extend(present.into_keys());
    drop(waiting);
    asides.news.notify_one();
    Ok(())
}

async fn read(db: &Db, asides: &Asides, known: &mut HashMap<Uuid, String>) -> Result<(), DbError> {
    let mut later = Waiting::default();
    loop {
        let (people, markers) = {
            let mut waiting = asides.waiting();
            (some_of(&mut waiting.people), some_of(&mut waiting.markers))
        };
        if people.is_empty() && markers.is_empty() {
            break;
        }
        let done = async {
            later.people.extend(tell_presence(db, asides, known, people.clone()).await?);
            later.markers.extend(tell_markers(db, asides, &markers).await?);
            Ok(())
        };
        if let Err(error) = done.await {
            later.people.extend(people);
            later.markers.extend(markers);
            asides.put_back(later);
            return Err(error);
        }
    }
    if !later.people.is_empty() || !later.markers.is_empty() {
        sleep(LAG).await;
        asides.put_back(later);
        asides.news.notify_one();
    }
    Ok(())
}

fn some_of<T: Ord>(set: &mut BTreeSet<T>) -> Vec<T> {
    let mut some = Vec::new();
    while some.len() < READ_AT_ONCE
        && let Some(one) = set.pop_first()
    {
        some.push(one);
    }
    some
}

/// Tells how it is with people; gives those of whom it is to be told later.
async fn tell_presence(
    db: &Db,
    asides: &Asides,
    known: &mut HashMap<Uuid, String>,
    people: Vec<Uuid>,
) -> Result<Vec<Uuid>, DbError> {
    let mut later = Vec::new();
    if people.is_empty() {
        return Ok(later);
    }
    for row in db.read_as_relay(PRESENCE, params![people]).await? {
        let (user, status): (Uuid, String) = (row.get("user_id"), row.get("status"));
        // what was told is not told again, whoever hints at it
        if known.get(&user).map_or("offline", String::as_str) == status {
            continue;
        }
        let (chats, revs): (Vec<Uuid>, Vec<i64>) = (row.get("chat_ids"), row.get("standing_revs"));
        let lagging = asides.hub.lagging(chats.iter().copied().zip(revs));
        if !lagging.is_empty() {
            asides.hub.hint(lagging);
            later.push(user);
            continue;
        }
        if status == "offline" {
            known.remove(&user);
        } else {
            known.insert(user, status.clone());
        }
        // they know how it is with themselves
        let hidden: HashSet<Uuid> = row.get::<_, Vec<Uuid>>("hidden_from").into_iter().chain([user]).collect();
        let aside = Aside::new(None, What::Presence { user, status, last_active_at: row.get("last_active_at") });
        asides.hub.tell_in(chats, &aside, &hidden);
    }
    Ok(later)
}

/// Tells how far people have read; gives those of whom it is to be told later.
async fn tell_markers(db: &Db, asides: &Asides, markers: &[(Uuid, Uuid)]) -> Result<Vec<(Uuid, Uuid)>, DbError> {
    let mut later = Vec::new();
    if markers.is_empty() {
        return Ok(later);
    }
    let (chats, users): (Vec<Uuid>, Vec<Uuid>) = markers.iter().copied().unzip();
    for row in db.read_as_relay(MARKERS, params![chats, users]).await? {
        let (chat, user): (Uuid, Uuid) = (row.get("chat_id"), row.get("user_id"));
        let lagging = asides.hub.lagging([(chat, row.get("standing_rev"))]);
        if !lagging.is_empty() {
            asides.hub.hint(lagging);
            later.push((chat, user));
            continue;
        }
        let aside = Aside::new(Some(chat), What::Read { user, seq: row.get("seq") });
        asides.hub.tell_in([chat], &aside, &HashSet::new());
    }
    Ok(later)
}

const PRESENT: &str = "select p.user_id, p.status from chat.present() p";

const PRESENCE: &str =
    "select t.user_id, t.status, t.last_active_at, t.chat_ids, t.standing_revs, t.hidden_from from chat.presence_told($1) t";

const MARKERS: &str = "
select r.chat_id, r.user_id, r.seq, (select max(o.rev) from chat.participants o where o.chat_id = a.chat_id) as standing_rev
from unnest($1::uuid[], $2::uuid[]) a (chat_id, user_id)
join chat.read_markers r on r.chat_id = a.chat_id and r.user_id = a.user_id
join chat.participants p on p.chat_id = a.chat_id and p.user_id = a.user_id and p.left_at is null";
