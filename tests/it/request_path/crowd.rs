//! A crowd that writes in one chat, seen from the others.
//!
//! `TABLETALK_TEST_CROWD=1 cargo test --test it request_path::crowd -- --nocapture` measures instead of only looking.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tabletalk::params;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Person, TestServer, eventually};

const WRITERS: usize = 200;
/// Writers of one chat that the server lets on connections at once.
const WRITERS_AT_ONCE: usize = 2;
const POOL: &str = "16";
/// Sends elsewhere while the crowd is at it.
const ELSEWHERE: usize = 50;
/// The same when it is measured.
const MEASURED: usize = 400;

const SEND: &str = "insert into chat.messages (chat_id, text) values ($1, 'hello')";

/// A crowd at work, until it is called off.
struct Crowd {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    writers: JoinSet<()>,
}

impl Crowd {
    fn in_chat(chat: Uuid, writer: &Person, size: usize) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut writers = JoinSet::new();
        for _ in 0..size {
            let (writer, stop, sent) = (writer.clone(), Arc::clone(&stop), Arc::clone(&sent));
            writers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    writer.says(chat, "everybody at once").await;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, sent, writers }
    }

    async fn ends(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_in_one_chat_keeps_nobody_from_sending_in_another() {
    let server = TestServer::with(&["--pool", POOL]).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (crowded, quiet) = (alice.group_with(&[]).await, bob.group_with(&[]).await);
    let crowd = Crowd::in_chat(crowded, &alice, WRITERS);
    eventually("the crowd writes", async || crowd.sent.load(Ordering::Relaxed) > WRITERS).await;
    for _ in 0..ELSEWHERE {
        bob.says(quiet, "hello").await;
    }
    let (open, idle, waiting) = server.app.db().connections();
    println!("{open} connections open, {idle} idle, {waiting} requests wait for one");
    crowd.ends().await;
    assert_eq!(bob.reads(quiet).await.len(), ELSEWHERE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chat_whose_lock_is_held_holds_up_no_other() {
    let server = TestServer::with(&["--pool", POOL]).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (crowded, quiet) = (alice.group_with(&[]).await, bob.group_with(&[]).await);
    // a session in psql that forgot to commit: every writer waits, more of them than there are connections
    let holder = server.database.db_owner().await;
    let held = format!("begin; select pg_advisory_xact_lock(uuid_hash_extended('{crowded}', 4279))");
    holder.batch_execute(&held).await.expect(&held);
    let mut waiting = JoinSet::new();
    for _ in 0..WRITERS {
        let alice = alice.clone();
        waiting.spawn(async move { alice.post(&format!("/chats/{crowded}/messages"), json!({ "text": "at last" })).await });
    }
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    let waits = "select from pg_locks l join pg_database d on d.oid = l.database
                 where l.locktype = 'advisory' and not l.granted and d.datname = $1";
    eventually("writers wait for the lock", async || {
        watcher.query(waits, &[&server.database.name]).await.expect(waits).len() > 1
    })
    .await;
    for _ in 0..ELSEWHERE {
        bob.says(quiet, "hello").await;
    }
    let holds_up = watcher.query(waits, &[&server.database.name]).await.expect(waits).len();
    assert!(holds_up < 16, "{holds_up} connections wait for one chat");
    holder.batch_execute("rollback").await.expect("a rollback");
    for answer in waiting.join_all().await {
        answer.expect_status(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "tests have no settings but the environment")]
async fn sends_elsewhere_are_measured_on_demand() {
    if std::env::var_os("TABLETALK_TEST_CROWD").is_none() {
        return;
    }
    let server = TestServer::with(&["--pool", POOL]).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let quiet = bob.group_with(&[]).await;
    let over_http = async || drop(bob.says(quiet, "hello").await);
    let over_the_pool = async || {
        let sent = server.app.db().write_to(quiet, &super::user(bob.id), SEND, params![quiet]).await;
        sent.expect("a message");
    };
    measured(over_http).await; // warm
    let idle = [measured(over_http).await, measured(over_the_pool).await];
    // as many as write to a chat at once in any case, then a crowd: the difference is the crowd's, the rest the machine's
    for size in [WRITERS_AT_ONCE, WRITERS] {
        let crowd = Crowd::in_chat(alice.group_with(&[]).await, &alice, size);
        eventually("the crowd writes", async || crowd.sent.load(Ordering::Relaxed) > WRITERS).await;
        let (before, begin) = (crowd.sent.load(Ordering::Relaxed), Instant::now());
        let beside = [measured(over_http).await, measured(over_the_pool).await];
        let sent = u32::try_from(crowd.sent.load(Ordering::Relaxed) - before).expect("a count");
        let rate = f64::from(sent) / begin.elapsed().as_secs_f64();
        crowd.ends().await;
        report(&format!("beside {size} writers of one chat, who send {rate:.0}/s"), &idle, &beside);
    }
    // a crowd that only waits uses no processor: what it costs the others is the pool's and the queue's doing
    let held = alice.group_with(&[]).await;
    let holder = server.database.db_owner().await;
    let lock = format!("begin; select pg_advisory_xact_lock(uuid_hash_extended('{held}', 4279))");
    holder.batch_execute(&lock).await.expect(&lock);
    let mut waiting = JoinSet::new();
    for _ in 0..WRITERS {
        let alice = alice.clone();
        waiting.spawn(async move { alice.post(&format!("/chats/{held}/messages"), json!({ "text": "at last" })).await });
    }
    let beside = [measured(over_http).await, measured(over_the_pool).await];
    holder.batch_execute("rollback").await.expect("a rollback");
    waiting.join_all().await;
    report(&format!("beside {WRITERS} writers who wait for a lock"), &idle, &beside);
}

fn report(what: &str, idle: &[(Duration, Duration)], beside: &[(Duration, Duration)]) {
    for (way, (idle, beside)) in ["over HTTP", "over the pool"].iter().zip(idle.iter().zip(beside)) {
        println!(
            "{what}, {way}: p50 {:.1?} after {:.1?} ({:.1} times), p99 {:.1?} after {:.1?} ({:.1} times)",
            beside.0,
            idle.0,
            ratio(beside.0, idle.0),
            beside.1,
            idle.1,
            ratio(beside.1, idle.1)
        );
    }
}

/// The median and the 99th percentile of sends, one after the other.
async fn measured(send: impl AsyncFn()) -> (Duration, Duration) {
    let mut times = Vec::with_capacity(MEASURED);
    for _ in 0..MEASURED {
        let begin = Instant::now();
        send().await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    (times[MEASURED / 2], times[MEASURED * 99 / 100])
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
