//! Long polls.

use std::time::{Duration, Instant};

use serde_json::json;

use super::device::{Device, list, text};
use crate::support::TestServer;

#[tokio::test]
async fn who_waits_is_answered_as_soon_as_something_happens() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let head = bob.get(&format!("/chats/{chat}")).await.body["headRev"].clone();
    let position = Device::from_scratch(&bob).await.position.expect("a position");
    let one = format!("/chats/{chat}/changes?since={head}&wait=30");
    let all = format!("/sync?since={position}&wait=30");
    let begin = Instant::now();
    let (told, synced, ()) = tokio::join!(bob.get(&one), bob.get(&all), async {
        alice.says(chat, "news").await;
    });
    for answer in [&told, &synced] {
        assert_eq!(list(answer, "data").len(), 1, "{}", answer.body);
        assert_eq!(text(&list(answer, "data")[0]["message"], "text"), "news");
    }
    assert!(begin.elapsed() < Duration::from_secs(15), "nobody waited for the end");
}

#[tokio::test]
async fn who_waits_in_vain_is_answered_at_the_end() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let head = alice.get(&format!("/chats/{chat}")).await.body["headRev"].clone();
    let begin = Instant::now();
    let answer = alice.get(&format!("/chats/{chat}/changes?since={head}&wait=1")).await.expect_status(200);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!((&answer.body["data"], &answer.body["nextSince"]), (&json!([]), &head));
}

#[tokio::test]
async fn a_server_that_stops_keeps_nobody_waiting() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let position = Device::from_scratch(&alice).await.position.expect("a position");
    let begin = Instant::now();
    let path = format!("/sync?since={position}&wait=30");
    let (asked, told) = (tokio::sync::oneshot::channel(), alice.clone());
    let (sender, receiver) = asked;
    let waiting = tokio::spawn(async move {
        let _ = sender.send(());
        told.get(&path).await
    });
    receiver.await.expect("it asks");
    // it is seated when the pool has served it
    crate::support::eventually("the request waits", || async { server.app.db().connections().1 > 0 }).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.app.stop().await.expect("it stops");
    waiting.await.expect("an answer").expect_status(200);
    assert!(begin.elapsed() < Duration::from_secs(10));
}
