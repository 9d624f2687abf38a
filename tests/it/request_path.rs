//! The way of a request into the database: it fails closed, and it survives clients that go, connections that die, a database that is
//! away and a crowd in one chat.

mod clients;
mod closed;
mod crowd;
mod killed;
mod outage;

use std::sync::Arc;

use tabletalk::auth::{Identity, NEVER, Role};
use tabletalk::db::Db;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Answer, Database, eventually};

/// Someone with these claims, as a verified token would say.
fn identity(role: Role, subject: Option<Uuid>, claims: &str) -> Identity {
    Identity { role, subject, claims: Arc::from(claims), expires_at: NEVER, request: None }
}

/// A user.
fn user(id: Uuid) -> Identity {
    identity(Role::Authenticated, Some(id), &serde_json::json!({ "sub": id, "role": "authenticated" }).to_string())
}

/// Waits until every connection of the login that serves is idle: none inside a transaction, none at work.
async fn db_all_idle(watcher: &Client, database: &Database) -> usize {
    let busy = "select state from pg_stat_activity where datname = $1 and application_name = 'tabletalk' and state <> 'idle'";
    eventually("every connection is idle", async || watcher.query(busy, &[&database.name]).await.expect(busy).is_empty()).await;
    let all = "select from pg_stat_activity where datname = $1 and application_name = 'tabletalk'";
    watcher.query(all, &[&database.name]).await.expect(all).len()
}

/// Uses every connection of the pool at once, and says how many there are.
async fn whole_pool(db: &Db, size: usize) -> usize {
    // all wait for the last of them: each is on a connection of its own
    const TOGETHER: &str = "
        select pg_backend_pid(), current_user::text
        from (select pg_sleep(0.2)) s";
    let uses: Vec<_> = (0..size)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { db.write(&user(Uuid::new_v4()), TOGETHER, Vec::new()).await })
        })
        .collect();
    let mut backends = std::collections::BTreeSet::new();
    for used in uses {
        let rows = used.await.expect("a task").expect("a connection that answers");
        assert_eq!(rows[0].get::<_, &str>(1), "authenticated");
        backends.insert(rows[0].get::<_, i32>(0));
    }
    backends.len()
}

/// Whether this is a whole problem document of the status for "come back in a moment".
#[track_caller]
fn assert_away(answer: Answer) {
    assert!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
    let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
    answer.problem(503, &code);
}
