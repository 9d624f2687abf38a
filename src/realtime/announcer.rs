//! The announcer: tells every process of this database in which chats something was committed.
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

use super::hub::Hub;
use super::relay::{CHANNEL, Probe};
use crate::db::Hints;
use crate::dsn::Dsn;

/// The longest payload of a NOTIFY is 8,000 bytes, less one (Postgres' NOTIFY_PAYLOAD_MAX_LENGTH).
const PAYLOAD_MAX: usize = 7_900;
/// How often the relay's hearing is tried.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long until a lost connection is made anew, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one NOTIFY may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

const NOTIFY: &str = "select pg_catalog.pg_notify($1, $2)";

/// What was gathered and not sent yet.
#[derive(Default)]
struct Untold {
    chats: Mutex<BTreeSet<Uuid>>,
    more: Notify,
}

/// Announces what `hints` gathers until it is told to stop: to this process at once, to the others by NOTIFY.
pub async fn announce(dsn: Dsn, hints: Hints, hub: Arc<Hub>, probe: Probe, stop: CancellationToken) {
    let untold = Untold::default();
    tokio::select! {
        () = stop.cancelled() => {}
        // this process' own listeners wait for no NOTIFY
        () = gather(&hints, &hub, &untold) => {}
        () = tell_again(&dsn, &probe, &untold) => {}
    }
}

async fn gather(hints: &Hints, hub: &Hub, untold: &Untold) {
    loop {
        let chats = hints.take().await;
        hub.hint(chats.iter().copied());
        untold.chats().extend(chats);
        untold.more.notify_one();
    }
}

async fn tell_again(dsn: &Dsn, probe: &Probe, untold: &Untold) {
    let mut pause = PAUSE;
    loop {
        match dsn.connect().await {
            Ok((client, _connection)) => {
                pause = PAUSE;
                let Err(error) = tell(&client, probe, untold).await;
                tracing::warn!(%error, "the announcer lost its connection");
            }
            Err(error) => tracing::debug!(%error, "the announcer has no connection"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn tell(client: &Client, probe: &Probe, untold: &Untold) -> anyhow::Result<Infallible> {
    let notify = client.prepare_typed(NOTIFY, &[Type::TEXT, Type::TEXT]).await?;
    let send = async |payload: String| timeout(ANSWER_WAIT, client.execute(&notify, &[&CHANNEL, &payload])).await;
    let mut next_probe = Instant::now();
    loop {
        // first, so that no rush keeps it waiting
        if next_probe <= Instant::now() {
            next_probe = Instant::now() + PROBE_EVERY;
            send(probe.next()).await??;
        }
        let (text, told) = payload(probe.process(), &mut untold.chats());
        if told.is_empty() {
            tokio::select! {
                () = sleep_until(next_probe) => {}
                () = untold.more.notified() => {}
            }
        } else if !matches!(send(text).await, Ok(Ok(_))) {
            untold.chats().extend(told);
            bail!("a NOTIFY was not answered");
        }
    }
}

impl Untold {
    fn chats(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.chats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes as many chats as a payload holds: whose it is, and their ids.
fn payload(process: Uuid, chats: &mut BTreeSet<Uuid>) -> (String, Vec<Uuid>) {
    let mut text = format!("{}:", process.simple());
    let mut told = Vec::new();
    while text.len() + 33 <= PAYLOAD_MAX
        && let Some(chat) = chats.pop_first()
    {
        if !told.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{}", chat.simple());
        told.push(chat);
    }
    (text, told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_holds_as_many_chats_as_postgres_takes() {
        let process = Uuid::new_v4();
        let mut chats: BTreeSet<Uuid> = (0..1_000).map(|_| Uuid::new_v4()).collect();
        let (text, told) = payload(process, &mut chats);
        assert_eq!(told.len() + chats.len(), 1_000);
        assert!(text.len() <= PAYLOAD_MAX && text.len() > PAYLOAD_MAX - 40, "{}", text.len());
        let read: Vec<Uuid> = text.split_once(':').unwrap().1.split(',').map(|id| id.parse().unwrap()).collect();
        assert_eq!(read, told);
    }
}
