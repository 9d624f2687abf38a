//! The announcer: tells every process of this database in which chats something was committed.
//!
//! One NOTIFY is under way at a time; what gathers meanwhile goes with the next. A transaction that notified by itself would hold one lock
//! for the whole cluster over its fsync, which makes commits go one at a time. What is told is a hint: who hears it looks for itself.
//!
//! It also sends the relay's probe, over a connection that is not the relay's: through a pooler a connection hears what it tells itself
//! while it is deaf to everybody else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::Client;
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

/// Announces what `hints` gathers until it is told to stop: to this process at once, to the others by NOTIFY.
pub async fn announce(dsn: Dsn, hints: Hints, hub: Arc<Hub>, probe: Probe, stop: CancellationToken) {
    let mut untold = BTreeSet::new();
    let mut pause = PAUSE;
    while !stop.is_cancelled() {
        match dsn.connect().await {
            Ok((client, _connection)) => {
                pause = PAUSE;
                let told = tell(&client, &hints, &hub, &probe, &mut untold, &stop).await;
                match told {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "the announcer lost its connection"),
                }
            }
            Err(error) => tracing::debug!(%error, "the announcer has no connection"),
        }
        // this process' own listeners wait for nobody
        let resting = sleep(pause);
        tokio::pin!(resting);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = &mut resting => break,
                chats = hints.take() => {
                    hub.hint(chats.iter().copied());
                    untold.extend(chats);
                }
            }
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn tell(
    client: &Client,
    hints: &Hints,
    hub: &Hub,
    probe: &Probe,
    untold: &mut BTreeSet<Uuid>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let notify = client.prepare_typed(NOTIFY, &[tokio_postgres::types::Type::TEXT, tokio_postgres::types::Type::TEXT]).await?;
    let send = async |payload: String| timeout(ANSWER_WAIT, client.execute(&notify, &[&CHANNEL, &payload])).await;
    let mut next_probe = Instant::now();
    loop {
        while !untold.is_empty() {
            let (payload, told) = payload(probe.process(), untold);
            send(payload).await??;
            for chat in told {
                untold.remove(&chat);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep_until(next_probe) => {
                next_probe = Instant::now() + PROBE_EVERY;
                send(probe.next()).await??;
            }
            chats = hints.take() => {
                hub.hint(chats.iter().copied());
                untold.extend(chats);
            }
        }
    }
}

/// As many chats as a payload holds: whose it is, and their ids.
fn payload(process: Uuid, chats: &BTreeSet<Uuid>) -> (String, Vec<Uuid>) {
    let mut text = format!("{}:", process.simple());
    let mut told = Vec::new();
    for chat in chats {
        if text.len() + 33 > PAYLOAD_MAX {
            break;
        }
        if !told.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{}", chat.simple());
        told.push(*chat);
    }
    (text, told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_holds_as_many_chats_as_postgres_takes() {
        let process = Uuid::new_v4();
        let chats: BTreeSet<Uuid> = (0..1_000).map(|_| Uuid::new_v4()).collect();
        let (text, told) = payload(process, &chats);
        assert!(text.len() <= PAYLOAD_MAX && text.len() > PAYLOAD_MAX - 40, "{}", text.len());
        let read: Vec<Uuid> = text.split_once(':').unwrap().1.split(',').map(|id| id.parse().unwrap()).collect();
        assert_eq!(read, told);
    }
}
