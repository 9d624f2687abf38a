//! Whether there is a pooler between this program and Postgres that gives each transaction whichever connection is free: PgBouncer in
//! transaction mode, Supavisor's port 6543.
//!
//! Through one nothing of a session lasts: no prepared statement, no role, no lock. [`crate::db`] knows a way through where it is told
//! of it; here it is noticed where nobody has told. Knows no settings; who asks says what is to be done about it.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::dsn::Dsn;

/// How often it is tried to make a pooler change the connection: one that is in use may give back the same by chance.
const TRIES: usize = 3;
/// How long an answer may take while another transaction is open: a pooler whose only connection that holds gives none.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Whether `client`, which `dsn` led to, is another server process from one transaction to the next.
///
/// # Errors
/// When the database cannot be asked, or knows no transactions (PgBouncer in statement mode).
pub async fn is_between(dsn: &Dsn, client: &Client) -> Result<bool, tokio_postgres::Error> {
    for _ in 0..TRIES {
        let before = server_process(client).await?;
        // takes the connection that this client has just let go of, if it has let go of it
        let (other, _connection) = dsn.connect().await?;
        // where it is given no connection beside ours, it is no more told apart than where there is none
        let Ok(taken) = timeout(ANSWER_WAIT, other.batch_execute("begin; select")).await else { return Ok(false) };
        taken?;
        match timeout(ANSWER_WAIT, server_process(client)).await {
            Ok(after) if after.as_ref().is_ok_and(|after| *after == before) => {}
            Ok(Err(error)) => return Err(error),
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// By the simple protocol, which prepares nothing.
async fn server_process(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let answer = client.simple_query("select pg_catalog.pg_backend_pid()").await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
