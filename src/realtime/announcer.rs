//! The announcer: tells every process of this database where something was committed.
//!
//! One NOTIFY is under way at a time; what gathers meanwhile goes with the next. A transaction that notified by itself would hold one lock
//! for the whole cluster over its fsync, which makes commits go one at a time. What is told is a hint: who hears it looks for itself.
//!
//! It also sends the relay's probe, over a connection that is not the relay's: through a pooler a connection hears what it tells itself
//! while it is deaf to everybody else.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::asides::Asides;
use super::hub::Hub;
use super::relay::{CHANNEL, Probe};
use super::sealed::{Kind, Whisper};
use crate::db::{Hint, Hints};
use crate::dsn::Dsn;

/// The longest payload of a NOTIFY is 8,000 bytes, less one (Postgres' NOTIFY_PAYLOAD_MAX_LENGTH).
const PAYLOAD_MAX: usize = 7_900;
/// The longest hint, with its comma: a letter, two ids, a dot.
const HINT_MAX: usize = 1 + 32 + 1 + 32 + 1;
/// How often the relay's hearing is tried.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long until a lost connection is made anew, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the last of it may take when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long one NOTIFY may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

const NOTIFY: &str = "select pg_catalog.pg_notify($1, $2)";

/// What was gathered and not sent yet.
#[derive(Default)]
struct Untold {
    hints: Mutex<BTreeSet<Hint>>,
    more: Notify,
}

/// Announces what `hints` gathers until it is told to stop, and then what is left: to this process at once, to the others by NOTIFY.
pub async fn announce(dsn: Dsn, hints: Hints, (hub, asides): (Arc<Hub>, Arc<Asides>), probe: Probe, stop: CancellationToken) {
    let untold = Untold::default();
    tokio::select! {
        () = stop.cancelled() => {}
        // this process' own listeners wait for no NOTIFY
        () = gather(&hints, &hub, &asides, &untold) => {}
        () = tell_again(&dsn, &asides, &probe, &untold) => {}
    }
    untold.add(hints.drain());
    if !untold.hints().is_empty() && timeout(LAST_WORDS, tell_the_rest(&dsn, &probe, &untold)).await.is_err() {
        tracing::warn!("what was committed last is found by the other processes' sweep");
    }
}

async fn tell_the_rest(dsn: &Dsn, probe: &Probe, untold: &Untold) {
    let Ok((client, _connection)) = dsn.connect().await else { return };
    loop {
        let (text, _) = payload(probe.process(), &mut untold.hints());
        if text.is_empty() || client.query(NOTIFY, &[&CHANNEL, &text]).await.is_err() {
            return;
        }
    }
}

async fn gather(hints: &Hints, hub: &Hub, asides: &Asides, untold: &Untold) {
    loop {
        let hints = hints.take().await;
        hub.hint(hints.iter().filter_map(|hint| match hint {
            Hint::Chat(chat) => Some(*chat),
            _ => None,
        }));
        for hint in &hints {
            asides.hint(*hint, true);
        }
        untold.add(hints);
        untold.more.notify_one();
    }
}

async fn tell_again(dsn: &Dsn, asides: &Asides, probe: &Probe, untold: &Untold) {
    let mut pause = PAUSE;
    loop {
        match dsn.connect().await {
            Ok((client, _connection)) => {
                pause = PAUSE;
                let Err(error) = tell(&client, asides, probe, untold).await;
                tracing::warn!(%error, "the announcer lost its connection");
            }
            Err(error) => tracing::debug!(%error, "the announcer has no connection"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn tell(client: &Client, asides: &Asides, probe: &Probe, untold: &Untold) -> anyhow::Result<Infallible> {
    // who typed while there was no connection does no more
    untold.hints().retain(|hint| !matches!(hint, Hint::Typing { .. }));
    // what a NOTIFY says outlives no crash anyway: it need not wait for the disk
    client.batch_execute("set synchronous_commit = off").await?;
    let notify = client.prepare_typed(NOTIFY, &[Type::TEXT, Type::TEXT]).await?;
    let send = async |payload: String| timeout(ANSWER_WAIT, client.execute(&notify, &[&CHANNEL, &payload])).await;
    let mut next_probe = Instant::now();
    let mut is_sealed = false;
    loop {
        // first, so that no rush keeps it waiting
        if next_probe <= Instant::now() {
            next_probe = Instant::now() + PROBE_EVERY;
            send(probe.next()).await??;
        }
        // by turns, so that neither keeps the other waiting
        is_sealed = !is_sealed;
        let take = |is_sealed| {
            let hints = &mut untold.hints();
            if is_sealed { (sealed(asides, hints), Vec::new()) } else { payload(probe.process(), hints) }
        };
        let (mut text, mut told) = take(is_sealed);
        if text.is_empty() {
            (text, told) = take(!is_sealed);
        }
        if text.is_empty() {
            tokio::select! {
                () = sleep_until(next_probe) => {}
                () = probe.wanted() => next_probe = Instant::now(),
                () = untold.more.notified() => {}
            }
        } else if !matches!(send(text).await, Ok(Ok(_))) {
            untold.add(told);
            bail!("a NOTIFY was not answered");
        }
    }
}

impl Untold {
    /// What is beyond the bound is found by the others' sweep.
    fn add(&self, hints: impl IntoIterator<Item = Hint>) {
        let mut all = self.hints();
        for hint in hints {
            hint.join(&mut all);
        }
    }

    fn hints(&self) -> MutexGuard<'_, BTreeSet<Hint>> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes as many hints as a payload holds, and says whose they are; but for those that are to be sealed. Empty: there are none.
fn payload(process: Uuid, hints: &mut BTreeSet<Hint>) -> (String, Vec<Hint>) {
    let mut text = format!("{}:", process.simple());
    let mut told = Vec::new();
    while text.len() + HINT_MAX <= PAYLOAD_MAX
        && let Some(hint) = hints.first().copied().filter(|hint| !matches!(hint, Hint::Typing { .. }))
    {
        hints.pop_first();
        if !told.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{hint}");
        told.push(hint);
    }
    if told.is_empty() {
        text.clear();
    }
    (text, told)
}

/// Takes as many of the others as a payload holds, and seals them. Empty: there are none.
fn sealed(asides: &Asides, hints: &mut BTreeSet<Hint>) -> String {
    let whispers: Vec<Whisper> = hints
        .iter()
        .filter_map(|hint| match *hint {
            Hint::Typing { chat, user, is_typing } => Some(Whisper { chat, user, kind: Kind::Typing { is_typing } }),
            _ => None,
        })
        .collect();
    if whispers.is_empty() {
        return String::new();
    }
    let (text, count) = asides.seal(&whispers, PAYLOAD_MAX);
    for Whisper { chat, user, kind: Kind::Typing { is_typing } } in whispers.into_iter().take(count) {
        hints.remove(&Hint::Typing { chat, user, is_typing });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_holds_as_many_hints_as_postgres_takes() {
        let process = Uuid::new_v4();
        let mut hints: BTreeSet<Hint> = (0..1_000).map(|_| Hint::Read { chat: Uuid::new_v4(), user: Uuid::new_v4() }).collect();
        let (text, told) = payload(process, &mut hints);
        assert_eq!(told.len() + hints.len(), 1_000);
        assert!(text.len() <= PAYLOAD_MAX && text.len() > PAYLOAD_MAX - 2 * HINT_MAX, "{}", text.len());
        let read: Vec<Hint> = text.split_once(':').unwrap().1.split(',').map(|hint| hint.parse().unwrap()).collect();
        assert_eq!(read, told);
    }

    #[test]
    fn what_is_to_be_sealed_is_never_told_as_it_is() {
        let (chat, user) = (Uuid::new_v4(), Uuid::new_v4());
        let typing = Hint::Typing { chat, user, is_typing: true };
        let mut hints = BTreeSet::from([typing, Hint::Presence(user), Hint::Chat(chat)]);
        let (text, told) = payload(user, &mut hints);
        assert_eq!((told.len(), hints), (2, BTreeSet::from([typing])), "{text}");
    }
}
