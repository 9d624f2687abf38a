//! Upkeep: what the settings keep no longer goes, erasures that nobody ends come to their end, the audit gets its next months.
//!
//! What that is, the database knows: here is only when. A slice is a transaction of its own, so whoever dies between two of them leaves a
//! whole state and the place where the next goes on; of several servers over one database one at a time gets a slice. What fails is tried
//! again at the next time, and keeps nobody from being served.

use std::time::Duration;

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Database;
use crate::config::Settings;
use crate::db::{Db, DbError};
use crate::migrate::{self, State};
use crate::operations::Figures;

/// Slices of a pass, at most: one that never came to its end would keep a core busy for ever. At 1,000 messages each it is 50 million.
const SLICES_MAX: usize = 50_000;
/// Which part of the time between two passes is left to chance, so that servers that were started together don't come together.
const JITTER: f64 = 0.2;
/// The first pass comes earlier than the others: who is started anew every day does not wait for it.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// How long the command waits for somebody else who is at it.
const ELSEWHERE_WAIT: Duration = Duration::from_secs(600);
/// How often it looks meanwhile.
const ELSEWHERE_PACE: Duration = Duration::from_millis(250);

const UPKEEP: &str = "select u.removed, u.ended, u.skipped, u.more from chat.upkeep() u";

/// What upkeep did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Messages that were removed for good.
    pub removed: u64,
    /// Erasures that came to their end.
    pub ended: u64,
    /// Chats and erasures that were busy or refused, and are left for another time.
    pub skipped: u64,
}

/// What a slice left.
enum Left {
    More,
    Nothing,
    /// It was not done: somebody else is at it.
    ToOthers,
}

/// Does upkeep every `pace`, until it is told to stop.
pub async fn keep_up(db: Db, figures: Figures, pace: Duration, stop: CancellationToken) {
    let mut rest = pace.min(FIRST_WITHIN).mul_f64(chance());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(rest) => {}
        }
        tokio::select! {
            // a slice that is under way comes to its end by itself
            () = stop.cancelled() => return,
            passed = pass(&db, &figures) => passed.unwrap_or_else(|error| {
                figures.upkeep_failed();
                tell(&error);
            }),
        }
        rest = pace.mul_f64(1.0 - JITTER * chance());
    }
}

/// A pass, or as much of it as nobody else does.
async fn pass(db: &Db, figures: &Figures) -> Result<(), DbError> {
    let mut done = Done::default();
    for _ in 0..SLICES_MAX {
        let removed = done.removed;
        let left = slice(db, &mut done).await?;
        figures.removed(done.removed - removed);
        match left {
            Left::More => {}
            Left::Nothing => {
                figures.kept_up(OffsetDateTime::now_utc());
                break;
            }
            Left::ToOthers => break,
        }
    }
    if done != Done::default() {
        tracing::info!(removed = done.removed, ended = done.ended, skipped = done.skipped, "upkeep");
    }
    Ok(())
}

async fn slice(db: &Db, done: &mut Done) -> Result<Left, DbError> {
    let rows = db.write_as_server(UPKEEP).await?;
    let Some(row) = rows.first() else { return Ok(Left::Nothing) };
    let count = |column: &str| u64::try_from(row.get::<_, i32>(column)).unwrap_or_default();
    done.removed += count("removed");
    done.ended += count("ended");
    done.skipped += count("skipped");
    Ok(match row.get("more") {
        Some(true) => Left::More,
        Some(false) => Left::Nothing,
        None => Left::ToOthers,
    })
}

/// Says that a pass failed, without a text: the database's may hold somebody's words.
fn tell(error: &DbError) {
    match error {
        DbError::Refused(refusal) => tracing::error!(code = refusal.code().code(), "upkeep was refused; it is tried again later"),
        DbError::Denied { .. } => tracing::error!("the server's login may not do the upkeep; it is tried again later"),
        DbError::Fault(_) => tracing::error!("upkeep failed; it is tried again later"),
        DbError::Away(_) | DbError::Crowded => tracing::debug!("the database is away; upkeep is tried again later"),
    }
}

/// Does all of it once, for who runs it by hand or by a clock of their own.
///
/// # Errors
/// When the database cannot be reached, has other migrations than this program, or refuses.
pub async fn run(settings: &Settings) -> anyhow::Result<Done> {
    let database = Database::open(settings).await?;
    let done = run_over(&database).await;
    database.close().await?;
    done
}

async fn run_over(database: &Database) -> anyhow::Result<Done> {
    if migrate::state(&database.api_client().await?).await? != State::UpToDate {
        bail!("the database {} was migrated by another version than this one", database.api().redacted());
    }
    let db = Db::new(database.api(), 1)?;
    let mut done = Done::default();
    let mut at_it = Instant::now();
    loop {
        match slice(&db, &mut done).await {
            Ok(Left::More) => at_it = Instant::now(),
            Ok(Left::Nothing) => return Ok(done),
            Ok(Left::ToOthers) if at_it.elapsed() < ELSEWHERE_WAIT => sleep(ELSEWHERE_PACE).await,
            Ok(Left::ToOthers) => bail!("somebody else does it: whoever holds the row of chat_private.upkeep_place"),
            Err(error) => return Err(error).context("upkeep failed"),
        }
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u16::try_from(Uuid::new_v4().as_u128() & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
}
