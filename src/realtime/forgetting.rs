//! What is kept for a moment goes for good: broadcasts that were told, states that ended, marks that nobody renews.
//!
//! Every process does it, in slices; what another one is at is left to it.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::db::{Db, DbError};
use crate::params;

/// How often it is looked what there is.
const EVERY: Duration = Duration::from_secs(3);
/// Slices of one kind that are done at once: what is left waits for the next time.
const SLICES_MAX: usize = 20;
/// Of the marks, which are kept for a day, how many times they are passed over.
const MARKS_EVERY: u32 = 100;

const BROADCASTS: &str = "select chat.forget_broadcasts() as is_more";
const STATES: &str = "select chat.forget_states() as is_more";
const MARKS: &str = "select chat.forget_resumes() as is_more";

/// Forgets until it is told to stop.
pub async fn forget(db: Db, stop: CancellationToken) {
    let mut times = 0_u32;
    loop {
        for kind in [BROADCASTS, STATES, MARKS] {
            if kind == MARKS && !times.is_multiple_of(MARKS_EVERY) {
                continue;
            }
            match slices(&db, kind).await {
                Ok(()) => {}
                Err(DbError::Away(_)) => tracing::debug!("the database is away; what is over is forgotten later"),
                Err(other) => tracing::error!(code = other.sqlstate(), "what is over could not be forgotten"),
            }
        }
        times = times.wrapping_add(1);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

async fn slices(db: &Db, kind: &'static str) -> Result<(), DbError> {
    for _ in 0..SLICES_MAX {
        let rows = db.write_as_relay(kind, params![]).await?;
        if !rows.first().is_some_and(|row| row.get("is_more")) {
            break;
        }
    }
    Ok(())
}
