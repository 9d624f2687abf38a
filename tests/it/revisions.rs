//! Revisions under races: sessions that write to the same chats at the same moment, in plain SQL and through the API.
//!
//! `TABLETALK_TEST_RACE=20` races twenty times longer than usual; `TABLETALK_TEST_SEED` repeats a run's choices.

mod erasure;
mod isolation;
mod log;
mod moves;
mod removal;
mod requests;
mod torture;
mod twice;

use tokio_postgres::Client;

use crate::support::{Database, eventually};

/// Waits until a session of this database waits for the lock of a chat.
async fn db_somebody_waits(watcher: &Client, database: &Database) {
    let waiting = "select from pg_locks l join pg_database d on d.oid = l.database
                   where l.locktype = 'advisory' and not l.granted and d.datname = $1";
    eventually("somebody waits for the chat's lock", async || {
        !watcher.query(waiting, &[&database.name]).await.expect(waiting).is_empty()
    })
    .await;
}
