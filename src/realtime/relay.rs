//! The relay: hears in which chats something changed, reads what, and gives it to the hub.
//!
//! Two tasks. One has the process' only LISTEN connection and turns whatever it hears into hints; the other reads what is due, many chats
//! in one statement and so in one snapshot. A hint is believed by nobody: any role of the database may NOTIFY, so it only says where to
//! look. A sweep looks everywhere, so a lost hint costs seconds and never an event.
//!
//! **Invariant**: after each (new) LISTEN everything is looked at; what was told before it is lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::announcer::PROBE_EVERY;
use super::asides::Asides;
use super::batch::{Audience, Batch, Event, Standing};
use super::hub::{Hub, Reading, Who, Work};
use super::life::Life;
use super::sealed;
use super::trial::Fault;
use crate::api::shapes::change::{Change, changes};
use crate::auth::Role;
use crate::db::{Db, DbError, Hint};
use crate::dsn::Dsn;
use crate::params;

/// What every process of this database listens on.
pub const CHANNEL: &str = "chat";
/// Chats that one statement reads.
const CHATS_AT_ONCE: usize = 200;
/// Changes that one statement reads of one chat, at most and at least; of all chats together some [`CHANGES_OF_ALL`].
const CHANGES_AT_ONCE: usize = 500;
const CHANGES_AT_LEAST: usize = 25;
const CHANGES_OF_ALL: usize = 5_000;
/// What a trigger says when something changed that no rev tells: a setting, an account.
const LOOK: &str = "look";
/// How often everything that somebody listens to is looked at, whatever was heard.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often chats are looked for that somebody came to, and nobody here listens to.
const ARRIVALS_EVERY: Duration = Duration::from_millis(250);
/// How often it looks around at most because somebody said so: anybody may.
const DOUBT_EVERY: Duration = Duration::from_secs(1);
/// How long the relay rests after a statement that failed.
const REST: Duration = Duration::from_millis(200);
/// After how long without its own probe the connection is given up: two are missing then.
const DEAF_AFTER: Duration = Duration::from_secs(13);
/// How long the first probe may take.
const FIRST_PROBE: Duration = Duration::from_secs(10);

/// What the announcer sends for the relay to hear: that the way from one connection to the other is open.
#[derive(Clone)]
pub struct Probe(Arc<Probing>);

struct Probing {
    process: Uuid,
    token: Mutex<String>,
    heard: AtomicU64,
    news: Notify,
    /// The relay has begun to listen, and waits for one.
    wanted: Notify,
}

impl Default for Probe {
    fn default() -> Self {
        let probing = Probing {
            process: Uuid::new_v4(),
            token: Mutex::default(),
            heard: AtomicU64::new(0),
            news: Notify::new(),
            wanted: Notify::new(),
        };
        Self(Arc::new(probing))
    }
}

impl Probe {
    /// Which process this is, to itself.
    pub fn process(&self) -> Uuid {
        self.0.process
    }

    /// A new one to be sent.
    pub fn next(&self) -> String {
        let token = format!("probe:{}", Uuid::new_v4().simple());
        self.0.token.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&token);
        token
    }

    /// Ends when the relay has begun to listen: one that was sent before, it did not hear.
    pub async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    fn hear(&self, payload: &str) -> bool {
        let is_it = *self.0.token.lock().unwrap_or_else(PoisonError::into_inner) == payload;
        if is_it {
            self.0.heard.fetch_add(1, Ordering::Relaxed);
            self.0.news.notify_waiters();
        }
        is_it
    }

    /// Waits for the first that is heard.
    ///
    /// # Errors
    /// When none is: LISTEN does not work over this route.
    pub async fn first(&self) -> anyhow::Result<()> {
        let heard = async {
            loop {
                let news = self.0.news.notified();
                if self.0.heard.load(Ordering::Relaxed) > 0 {
                    return;
                }
                news.await;
            }
        };
        timeout(FIRST_PROBE.max(PROBE_EVERY * 2), heard).await.context(
            "NOTIFY does not arrive: between this server and Postgres is a pooler in transaction mode. \
             Set DATABASE_LISTEN_URL to a route that leads to Postgres itself",
        )
    }
}

/// Hears hints until it is told to stop.
pub async fn listen(dsn: Dsn, (hub, asides): (Arc<Hub>, Arc<Asides>), probe: Probe, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = hear(&dsn, &hub, &asides, &probe) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the relay does not hear the database");
        }
        sleep(REST).await;
    }
}

async fn hear(dsn: &Dsn, hub: &Hub, asides: &Asides, probe: &Probe) -> anyhow::Result<()> {
    let (client, mut notices) = dsn.connect_listening().await?;
    client.batch_execute(&format!("listen {CHANNEL}")).await?;
    probe.0.wanted.notify_one();
    if !hub.trial().has(Fault::NoCatchUp) {
        hub.hint_all();
    }
    // it may be another database than before
    hub.doubt();
    let own = probe.process().simple().to_string();
    let mut deaf_at = Instant::now() + DEAF_AFTER;
    loop {
        let payload = tokio::select! {
            payload = notices.recv() => payload.context("the connection ended")?,
            () = sleep_until(deaf_at) => bail!("no probe arrived for {} s", DEAF_AFTER.as_secs()),
        };
        if probe.hear(&payload) {
            deaf_at = Instant::now() + DEAF_AFTER;
            continue;
        }
        if payload == LOOK {
            hub.doubt();
            continue;
        }
        if payload.starts_with(sealed::PREFIX) {
            asides.open(&payload);
            continue;
        }
        // what this process changed it has looked at already
        let hints = match payload.split_once(':') {
            Some((process, _)) if process == own => continue,
            Some((_, hints)) => hints,
            None => &payload,
        };
        let mut chats = Vec::new();
        for hint in hints.split(',').filter_map(|hint| hint.parse().ok()) {
            match hint {
                Hint::Chat(chat) => chats.push(chat),
                other => asides.hint(other, false),
            }
        }
        hub.hint(chats);
    }
}

/// Reads what is due until it is told to stop. `begun` is where the database stood when the relay began.
pub async fn read(db: Db, hub: Arc<Hub>, begun: Life, stop: CancellationToken) {
    let mut life = begun;
    let mut chats_at_once = CHATS_AT_ONCE;
    let mut sweep = Instant::now() + SWEEP_EVERY;
    let mut arrivals = Instant::now() + ARRIVALS_EVERY;
    let mut doubted = Instant::now();
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(sweep), if !hub.trial().has_no_sweep() => {
                let looked = look_around(&db, &hub, &mut life).await;
                // from its end: however long it took, what is due comes in between
                sweep = Instant::now() + SWEEP_EVERY;
                looked
            }
            () = sleep_until(arrivals) => {
                if doubted + DOUBT_EVERY <= Instant::now() && !hub.trial().has_no_sweep() && hub.was_doubtful() {
                    doubted = Instant::now();
                    sweep = doubted;
                }
                let welcomed = welcome(&db, &hub, &mut life).await;
                arrivals = Instant::now() + ARRIVALS_EVERY;
                welcomed
            }
            () = hub.is_due() => {
                if !hub.trial().pace.is_zero() {
                    sleep(hub.trial().pace).await;
                }
                let work = hub.next(chats_at_once);
                match pass_on(&db, &hub, &work, &life).await {
                    Ok(true) => {
                        chats_at_once = CHATS_AT_ONCE.min(chats_at_once * 2);
                        Ok(())
                    }
                    Ok(false) => {
                        hub.put_back(&work);
                        look_around(&db, &hub, &mut life).await
                    }
                    Err(error) => {
                        // one chat that cannot be read keeps fewer and fewer others waiting
                        chats_at_once = (chats_at_once / 2).max(1);
                        hub.put_back(&work);
                        Err(error)
                    }
                }
            }
        };
        if let Err(error) = step {
            match error {
                DbError::Away(_) => tracing::debug!("the database is away; the relay looks again"),
                other => tracing::error!(code = other.sqlstate(), "the relay could not read"),
            }
            sleep(REST).await;
        }
    }
}

/// Whatever was heard: looks at all that somebody listens to, and whether it is still the same database.
async fn look_around(db: &Db, hub: &Hub, life: &mut Life) -> Result<(), DbError> {
    let now = Life::now(db).await?;
    let is_same = now.epoch == life.epoch;
    life.lobby = now.lobby;
    if now.is_open != life.is_open {
        life.is_open = now.is_open;
        hub.any_listed();
    }
    hub.database_stands_at(life);
    if !is_same || now.is_strict != life.is_strict {
        tracing::info!(epoch = now.epoch, is_strict = now.is_strict, "everybody who listens begins anew");
        // arrivals go on from where they were: this has not looked for any
        *life = Life { snapshot: if is_same { life.snapshot.clone() } else { now.snapshot.clone() }, ..now };
        hub.begin_anew(life);
    } else {
        hub.hint_all();
    }
    Ok(())
}

/// Tells people of chats that they came to.
async fn welcome(db: &Db, hub: &Hub, life: &mut Life) -> Result<(), DbError> {
    let rows = db.read_as_relay(ARRIVALS, params![life.snapshot.clone()]).await?;
    for row in &rows {
        match (row.get("what"), row.get::<_, Option<Uuid>>("chat_id"), row.get::<_, Option<Uuid>>("user_id")) {
            ("participant", Some(chat), Some(user)) => {
                hub.hint([chat]);
                hub.arrived(user, chat);
                if row.get("may_be_listed") {
                    hub.listed(chat);
                }
            }
            ("chat", Some(chat), _) => {
                hub.hint([chat]);
                if row.get("may_be_listed") {
                    hub.listed(chat);
                }
            }
            _ => life.snapshot = row.get("next_position"),
        }
    }
    hub.database_stands_at(life);
    Ok(())
}

/// Reads, and passes on. False: it is another database than it was, and nothing was passed on.
async fn pass_on(db: &Db, hub: &Hub, work: &Work, life: &Life) -> Result<bool, DbError> {
    let (chats, since): (Vec<Uuid>, Vec<Option<i64>>) = work.chats.iter().copied().unzip();
    let asked_of: Vec<Uuid> = work.asked.iter().map(|(chat, _)| *chat).collect();
    let users: Vec<Option<Uuid>> = work.asked.iter().map(|(_, who)| who.user).collect();
    let roles: Vec<&'static str> = work.asked.iter().map(|(_, who)| who.role.as_str()).collect();
    let most = (CHANGES_OF_ALL / chats.len().max(1)).clamp(CHANGES_AT_LEAST, CHANGES_AT_ONCE);
    let most = hub.trial().changes_at_once.unwrap_or(most);
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = db.read_as_relay(LIVE, params![chats, since, asked_of, users, roles, limit]).await?;
    if rows.first().and_then(|row| row.get::<_, Option<&str>>("epoch")) != Some(&life.epoch) {
        return Ok(false);
    }
    for (chat, reading) in readings(&rows, &work.chats, most)? {
        hub.apply(chat, reading, work.whole.contains(&chat));
    }
    Ok(true)
}

/// What the rows say of each chat: which database it is, then heads, then standings, then changes, `most` of a chat.
fn readings(rows: &[Row], asked: &[(Uuid, Option<i64>)], most: usize) -> Result<Vec<(Uuid, Reading)>, DbError> {
    let since: HashMap<Uuid, Option<i64>> = asked.iter().copied().collect();
    let mut all: Vec<(Uuid, Reading)> = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for row in rows.iter().skip(1) {
        let chat: Uuid = row.get("at_chat_id");
        let what: &str = row.get("what");
        if matches!(what, "head" | "reset") {
            let head: i64 = row.get("head_rev");
            let since = since.get(&chat).copied().flatten().unwrap_or(head);
            let batch = Batch { chat, since, upto: head, events: Vec::new(), weight: 0 };
            places.insert(chat, all.len());
            let is_reset = what == "reset";
            all.push((chat, Reading { head, is_reset, is_chat_changed: row.get("is_new"), standings: Vec::new(), batch }));
            continue;
        }
        let place = places.get(&chat).ok_or_else(|| DbError::Fault("a chat has no head".into()))?;
        let reading = &mut all[*place].1;
        if what == "standing" {
            reading.standings.push(standing(row));
            continue;
        }
        let event = event(row)?;
        reading.batch.weight += event.weight();
        reading.batch.events.push(event);
    }
    for (_, reading) in &mut all {
        if reading.batch.events.len() >= most {
            reading.batch.upto = reading.batch.events.last().map_or(reading.head, |event| event.rev);
        }
    }
    Ok(all)
}

fn standing(row: &Row) -> (Who, Option<Standing>) {
    let role = match row.get("asks_as") {
        "anon" => Role::Anon,
        "service_role" => Role::ServiceRole,
        _ => Role::Authenticated,
    };
    let reads_after: Option<i64> = row.get("reads_after");
    let standing = reads_after.map(|reads_after| Standing {
        reads_after,
        reads_deleted_after: row.get("reads_deleted_after"),
        since_rev: row.get("at_rev"),
    });
    (Who { role, user: row.get("row_id") }, standing)
}

fn event(row: &Row) -> Result<Event, DbError> {
    let change = Change::read(row)?;
    let born = row.get("born_rev");
    let (audience, changed) = match (&change.message, row.get("what")) {
        (Some(message), _) => (Audience::Message { seq: message.seq, is_deleted: message.deleted_at.is_some() }, message.rev),
        // a message without a row: a policy of the house binds the relay too, and everybody looks for themselves
        (None, "message" | "removed message" | "removed participant") => (Audience::Removed { rev: change.rev }, change.rev),
        (None, _) => (Audience::Readers, change.rev),
    };
    Ok(Event::new(change, born, changed, audience))
}

const ARRIVALS: &str =
    "select a.what, a.chat_id, a.user_id, a.may_be_listed, a.next_position from chat.arrivals($1::text::pg_snapshot) a";

const LIVE: &str = changes!(
    "
  select k.chat_id, k.rev, k.what, k.row_id, k.is_new, k.born_rev, k.head_rev, k.asks_as, k.reads_after, k.reads_deleted_after,
         k.epoch, null::text as next_position, row_number() over () as place
  from chat.live($1, $2, $3, $4, $5, $6) k",
    " k.born_rev, k.asks_as, k.reads_after, k.reads_deleted_after,"
);
