//! Connections of the pool that the DBA ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use super::{assert_away, db_all_idle, whole_pool};
use crate::support::{TestServer, eventually};

const POOL: usize = 8;
const CLIENTS: usize = 12;
/// How often all connections are ended under load.
const KILLS: usize = 5;

const KILL: &str =
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1 and application_name = 'tabletalk'";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_is_killed_at_work_costs_one_request() {
    let server = TestServer::with(&["--pool", &POOL.to_string()]).await;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    let alice = server.person("alice").await;
    let mut chats = Vec::new();
    for _ in 0..CLIENTS {
        chats.push(alice.group_with(&[]).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for chat in chats {
        let (alice, stop) = (alice.clone(), Arc::clone(&stop));
        clients.spawn(async move {
            let (mut sent, mut refused) = (0u64, 0u64);
            while !stop.load(Ordering::Relaxed) {
                let answer = alice.post(&format!("/chats/{chat}/messages"), json!({ "text": "hello" })).await;
                if answer.status == 201 {
                    sent += 1;
                } else {
                    assert_away(answer);
                    refused += 1;
                }
            }
            (sent, refused)
        });
    }
    let mut killed = 0;
    for round in 0..KILLS {
        let count = "select count(*) from chat.messages";
        let before: i64 = watcher.query_one(count, &[]).await.expect(count).get(0);
        eventually("messages are sent", async || {
            watcher.query_one(count, &[]).await.expect(count).get::<_, i64>(0) > before + 50
        })
        .await;
        let now: i64 = watcher.query_one(KILL, &[&server.database.name]).await.expect(KILL).get(0);
        assert!(now > 0, "round {round}: there was nothing to kill");
        killed += u64::try_from(now).expect("a count");
    }
    stop.store(true, Ordering::Relaxed);
    let (sent, refused) = clients.join_all().await.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    println!("{sent} sent, {killed} connections killed, {refused} requests refused");
    assert!(refused <= killed, "{refused} requests failed over {killed} killed connections");
    assert_eq!(whole_pool(server.app.db(), POOL).await, POOL);
}

#[tokio::test]
async fn connections_that_are_killed_while_idle_cost_at_most_one_request_each() {
    let server = TestServer::with(&["--pool", &POOL.to_string()]).await;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    let alice = server.person("alice").await;
    assert_eq!(whole_pool(server.app.db(), POOL).await, POOL);
    assert_eq!(db_all_idle(&watcher, &server.database).await, POOL);
    let killed: i64 = watcher.query_one(KILL, &[&server.database.name]).await.expect(KILL).get(0);
    assert_eq!(usize::try_from(killed), Ok(POOL));
    let mut refused = 0;
    for _ in 0..2 * POOL {
        let answer = alice.get("/users/me").await;
        if answer.status != 200 {
            assert_away(answer);
            refused += 1;
        }
    }
    println!("{killed} idle connections killed, {refused} requests refused");
    assert!(refused <= killed, "{refused} requests failed over {killed} killed connections");
    alice.get("/users/me").await.expect_status(200);
    assert_eq!(whole_pool(server.app.db(), POOL).await, POOL);
}

#[tokio::test]
async fn a_statement_whose_table_changed_under_it_is_prepared_anew() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    alice.get("/users/me").await.expect_status(200);
    let owner = server.database.db_owner().await;
    owner.batch_execute("alter table chat.users alter column display_name type varchar(100)").await.expect("another type");
    for _ in 0..3 {
        assert_eq!(alice.get("/users/me").await.expect_status(200).body["displayName"], "alice");
    }
}
