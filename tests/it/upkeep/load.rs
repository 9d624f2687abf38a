//! While people write.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use super::{db_count, keeps_up, square};
use crate::changes::device::Device;
use crate::support::{TestServer, eventually};

/// Sessions that write in SQL, statements of each, messages of a statement.
const SESSIONS: usize = 4;
const STATEMENTS: usize = 240;
const AT_ONCE: usize = 10;
/// What one more person says over the API meanwhile.
const SAID: usize = 400;
const KEPT: i32 = 100;
/// The longest that anybody waits for a message to be sent: the lock that a slice holds, on a machine that does much else.
const SENT_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_room_in_which_everybody_talks_keeps_its_newest_messages() {
    let server = TestServer::with(&["--upkeep", "1"]).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = square(&server, &[&alice, &bob]).await;
    server.database.db_set(&format!("keep_messages = {KEPT}")).await;
    let mut device = Device::from_scratch(&alice).await;

    let writing: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let (name, cluster, bob) = (server.database.name.clone(), server.database.cluster, bob.id);
            tokio::spawn(async move {
                let session = crate::support::Database { name, cluster }.db_as(bob).await;
                let mut sent: Vec<(i64, Uuid)> = Vec::new();
                let statement = "insert into chat.messages (chat_id, text) select $1, 'one of many' from generate_series(1, $2) returning seq, id";
                for _ in 0..STATEMENTS {
                    let n = i32::try_from(AT_ONCE).expect("few");
                    let rows = session.query(statement, &[&room, &n]).await.expect("it is sent");
                    sent.extend(rows.iter().map(|row| (row.get::<_, i64>(0), row.get::<_, Uuid>(1))));
                }
                sent
            })
        })
        .collect();
    // and where nothing is cut, somebody else talks
    let (over, elsewhere) = (Arc::new(AtomicBool::new(false)), bob.group_with(&[&alice]).await);
    let talking = tokio::spawn({
        let (over, bob) = (Arc::clone(&over), bob.clone());
        async move {
            let mut said = 0;
            while !over.load(Ordering::Relaxed) {
                bob.says(elsewhere, "over here").await;
                said += 1;
            }
            said
        }
    });
    let mut sent: Vec<(i64, Uuid)> = Vec::new();
    let mut longest = Duration::ZERO;
    for _ in 0..SAID {
        let begin = Instant::now();
        let said = alice.says(room, "among them").await;
        longest = longest.max(begin.elapsed());
        sent.push((said["seq"].as_i64().expect("a seq"), said["id"].as_str().expect("an id").parse().expect("an id")));
        device.ask(50).await;
    }
    for session in writing {
        sent.extend(session.await.expect("a session"));
    }
    over.store(true, Ordering::Relaxed);
    let said = talking.await.expect("they talked");
    println!("the longest that alice waited: {longest:?}");
    assert!(longest < SENT_WITHIN, "alice waited {longest:?}");
    assert_eq!(sent.len(), SESSIONS * STATEMENTS * AT_ONCE + SAID);

    // the server itself comes to it
    eventually("the room is cut", async || db_count(&server.database, room).await == i64::from(KEPT)).await;
    sent.sort_unstable();
    let newest: BTreeSet<String> = sent[sent.len() - 100..].iter().map(|(_, id)| id.to_string()).collect();
    let kept = alice.walks(&format!("/chats/{room}/messages"), 100).await;
    assert_eq!(kept.iter().map(|m| m["id"].as_str().expect("an id").to_owned()).collect::<BTreeSet<_>>(), newest);
    assert_eq!(db_count(&server.database, elsewhere).await, said, "a group keeps all");
    device.catch_up(50).await;
    assert_eq!(device.chats, Device::from_scratch(&alice).await.chats);
    assert_eq!(server.database.db_finds("one of many").await.len() + server.database.db_finds("among them").await.len(), 100);
}

#[tokio::test]
async fn who_deletes_while_it_is_cut_loses_nothing_that_is_kept() {
    // the newest that are not deleted are kept: who deletes some of them while a pass runs moves the end
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let room = square(&server, &[&alice]).await;
    server.database.db_set("keep_messages = 20").await;
    let over = Arc::new(AtomicBool::new(false));
    let cutting = tokio::spawn({
        let (over, url) = (Arc::clone(&over), server.database.api_url());
        async move {
            let settings = crate::support::server::settings(&url, &[]);
            while !over.load(Ordering::Relaxed) {
                tabletalk::app::upkeep::run(&settings).await.expect("upkeep");
            }
        }
    });
    for n in 0..150 {
        let said = alice.says(room, &format!("message {n}")).await;
        if n % 2 == 0 {
            alice.delete(&format!("/chats/{room}/messages/{}", said["id"].as_str().expect("an id"))).await.expect_status(204);
        }
        let shown = alice.get(&format!("/chats/{room}/messages?limit=200")).await.expect_status(200).data().len();
        // one that stood among the last may have made another go before it was deleted itself
        let undeleted = usize::try_from((n + 1) / 2).expect("few");
        assert!(shown >= undeleted.min(19), "of {undeleted} messages {shown} are there");
    }
    over.store(true, Ordering::Relaxed);
    cutting.await.expect("it was cut");
    keeps_up(&server.database).await;
    let kept = alice.get(&format!("/chats/{room}/messages?limit=200")).await.expect_status(200);
    let expected: Vec<String> = (0..150).rev().filter(|n| n % 2 == 1).take(20).map(|n| format!("message {n}")).collect();
    assert_eq!(
        kept.data().iter().map(|m| m["text"].clone()).collect::<Vec<_>>(),
        expected.iter().map(|t| json!(t)).collect::<Vec<_>>()
    );
}
