//! What the tests stand on: a real Postgres of this run's own, a database per test, a real server, and people who talk to it.
//!
//! Helpers act through the API; those that reach around it start with `db_`.

pub mod cluster;
pub mod database;
pub mod document;
pub mod npm;
pub mod people;
pub mod pooler;
pub mod random;
pub mod route;
pub mod server;
pub mod socket;
pub mod stream;
pub mod tools;

use std::time::{Duration, Instant};

pub use database::Database;
pub use people::{Answer, Person, each, fields};
pub use server::TestServer;
pub use socket::Socket;

/// How long anything may take to come true.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(10);

/// Waits until something is true, and fails when it does not become so in time.
pub async fn eventually<F, T>(what: &str, mut holds: F)
where
    F: FnMut() -> T,
    T: Future<Output = bool>,
{
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < DEADLINE, "it never came true that {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// What is missing on this machine skips a test, unless `TABLETALK_TEST_ALL` says that nothing may be missing.
pub fn skip(what: &str) {
    assert!(std::env::var_os("TABLETALK_TEST_ALL").is_none(), "TABLETALK_TEST_ALL is set, and this is missing: {what}");
    eprintln!("skipped: {what}");
}

/// Whether this run has to do what takes minutes and downloads: `TABLETALK_TEST_CLIENTS` says 1 or 0, and without it
/// `TABLETALK_TEST_ALL` means yes.
pub fn demanding() -> bool {
    let wanted = match std::env::var("TABLETALK_TEST_CLIENTS") {
        Ok(value) => value == "1",
        Err(_) => std::env::var_os("TABLETALK_TEST_ALL").is_some(),
    };
    if !wanted {
        eprintln!("skipped: it takes minutes and downloads; TABLETALK_TEST_CLIENTS=1 wants it");
    }
    wanted
}
