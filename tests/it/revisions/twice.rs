//! The same thing asked twice at the same moment.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Answer, Person, TestServer};

/// How often each race is run.
const PAIRS: usize = 20;

/// Two requests at once.
async fn both<A, B>(one: A, other: B) -> [Answer; 2]
where
    A: Future<Output = Answer>,
    B: Future<Output = Answer>,
{
    let (one, other) = tokio::join!(one, other);
    [one, other]
}

fn statuses(answers: &[Answer; 2]) -> [u16; 2] {
    let mut statuses = [answers[0].status, answers[1].status];
    statuses.sort_unstable();
    statuses
}

async fn people(server: &TestServer, names: [&str; 2]) -> Vec<[Person; 2]> {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push([server.person(names[0]).await, server.person(names[1]).await]);
    }
    pairs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_message_sent_twice_at_once_is_one_message() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let path = format!("/chats/{chat}/messages");
    let mut races = JoinSet::new();
    for _ in 0..PAIRS {
        let (alice, path) = (alice.clone(), path.clone());
        races.spawn(async move {
            let message = json!({ "id": Uuid::now_v7(), "text": "once" });
            both(alice.post(&path, message.clone()), alice.post(&path, message)).await
        });
    }
    for answers in races.join_all().await {
        assert_eq!(statuses(&answers), [200, 201], "{answers:?}");
        assert_eq!(answers[0].body, answers[1].body);
    }
    assert_eq!(alice.reads(chat).await.len(), PAIRS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_open_their_direct_chat_at_once_are_in_the_same() {
    let server = TestServer::start().await;
    let mut races = JoinSet::new();
    for [alice, bob] in people(&server, ["alice", "bob"]).await {
        alice.befriend(&bob).await;
        races.spawn(async move {
            let with = |other: &Person| json!({ "type": "direct", "participantIds": [other.id] });
            both(alice.post("/chats", with(&bob)), bob.post("/chats", with(&alice))).await
        });
    }
    for answers in races.join_all().await {
        assert_eq!(statuses(&answers), [200, 201], "{answers:?}");
        assert_eq!(answers[0].id(), answers[1].id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_owners_who_leave_at_once_one_stays() {
    let server = TestServer::start().await;
    // enough others for the group to outlive either's leaving
    let (carol, dan) = (server.person("carol").await, server.person("dan").await);
    let mut races = JoinSet::new();
    for [alice, bob] in people(&server, ["alice", "bob"]).await {
        let chat = alice.group_with(&[&bob, &carol, &dan]).await;
        let path = format!("/chats/{chat}");
        alice.put(&format!("{path}/participants/{}", bob.id), json!({ "role": "owner" })).await.expect_status(200);
        races.spawn(async move { both(alice.delete(&path), bob.delete(&path)).await });
    }
    for answers in races.join_all().await {
        assert_eq!(statuses(&answers), [204, 409], "{answers:?}");
        let refused = answers.into_iter().find(|answer| answer.status == 409).expect("one is refused");
        refused.problem(409, "participants_keep_an_owner");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_ask_each_other_at_once_are_friends() {
    let server = TestServer::start().await;
    let pairs = people(&server, ["alice", "bob"]).await;
    let mut races = JoinSet::new();
    for [alice, bob] in pairs.clone() {
        races.spawn(async move {
            let (for_bob, for_alice) = (format!("/friends/{}", bob.id), format!("/friends/{}", alice.id));
            both(alice.put(&for_bob, json!({})), bob.put(&for_alice, json!({}))).await
        });
    }
    for answers in races.join_all().await {
        assert_eq!(statuses(&answers), [200, 201], "{answers:?}");
    }
    for [alice, bob] in pairs {
        let friends = alice.get("/friends?status=friends").await.expect_status(200);
        let ids: BTreeSet<_> = friends.data().iter().map(|friend| friend["userId"].to_string()).collect();
        assert_eq!(ids, BTreeSet::from([json!(bob.id).to_string()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_chat_put_twice_at_once_is_one_chat() {
    let server = TestServer::start().await;
    let service = server.service();
    let mut races = JoinSet::new();
    for event in 0..PAIRS {
        let service = service.clone();
        races.spawn(async move {
            let path = format!("/events/event-{event}/chats/event_authors");
            let people: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
            let body = |ids: Vec<Uuid>| json!({ "name": "authors", "participantIds": ids });
            both(service.put(&path, body(people.clone())), service.put(&path, body(people.iter().rev().copied().collect()))).await
        });
    }
    for answers in races.join_all().await {
        assert_eq!(statuses(&answers), [200, 201], "{answers:?}");
        assert_eq!(answers[0].id(), answers[1].id());
    }
}
