//! Import through the API.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Person, TestServer, each};

/// Messages of another system: `n` of this sender, a second apart.
fn messages(sender: Uuid, about: &str, n: usize) -> Vec<Value> {
    (0..n)
        .map(|n| {
            let at = format!("2020-01-01T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60);
            json!({ "id": Uuid::new_v4(), "senderId": sender, "text": format!("{about} {n}"), "createdAt": at })
        })
        .collect()
}

async fn imports(service: &Person, chat: Uuid, messages: &[Value]) -> Value {
    service.post(&format!("/chats/{chat}/import"), json!({ "messages": messages })).await.expect_status(200).body
}

#[tokio::test]
async fn a_history_is_brought_along() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (zoe, service) = (Uuid::new_v4(), server.service());
    let history = messages(zoe, "said", 100);
    let done = imports(&service, chat, &history).await;
    assert_eq!((&done["imported"], &done["alreadyThere"]), (&json!(100), &json!(0)));
    let again = imports(&service, chat, &history).await;
    assert_eq!((&again["imported"], &again["alreadyThere"], &again["lastSeq"]), (&json!(0), &json!(100), &done["lastSeq"]));
    let read = alice.walks(&format!("/chats/{chat}/messages"), 30).await;
    for (message, sent) in read.iter().rev().zip(&history) {
        for field in ["id", "senderId", "text"] {
            assert_eq!(message[field], sent[field]);
        }
        assert_eq!(message["createdAt"].as_str().map(|at| at.replace(".000000", "")).as_deref(), sent["createdAt"].as_str());
        assert_eq!(message["senderName"], json!(format!("user {}", &zoe.to_string()[..8])));
    }
    assert_eq!(read.len(), 100);
    for person in [&alice, &bob] {
        assert_eq!(person.sees(chat).await["unreadCount"], 0, "nobody has a hundred messages to read");
    }
    assert_eq!(alice.get("/search?q=%22said%2077%22").await.data().len(), 1);
    alice.says(chat, "and so it goes on").await;
    assert_eq!(bob.sees(chat).await["unreadCount"], 1);
    let more = json!({ "messages": messages(zoe, "news", 2), "read": false });
    service.post(&format!("/chats/{chat}/import"), more).await.expect_status(200);
    assert_eq!(bob.sees(chat).await["unreadCount"], 3);
}

#[tokio::test]
async fn an_import_is_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let (alice, service) = (server.person("alice").await, server.service());
    let chat = alice.group_with(&[]).await;
    let path = format!("/chats/{chat}/import");
    let mut broken = messages(alice.id, "said", 3);
    broken[2]["createdAt"] = json!("2999-01-01T00:00:00Z");
    let before = server.database.db_rows().await;
    let import = |messages: &[Value]| json!({ "messages": messages });
    service.post(&path, import(&broken)).await.refused(422, "imported_messages_are_of_the_past", "imports.2");
    broken[2] = json!({ "text": "x", "createdAt": "2020-01-01T00:00:00Z", "kind": "rumour", "senderId": alice.id });
    service.post(&path, import(&broken)).await.invalid_at("/messages/2/kind");
    broken[2] = json!({ "text": "x", "createdAt": "yesterday" });
    service.post(&path, import(&broken)).await.invalid_at("/messages/2/createdAt");
    broken[2] = json!({ "createdAt": "2020-01-01T00:00:00Z" });
    service.post(&path, import(&broken)).await.invalid_at("/messages/2/text");
    service.post(&path, import(&messages(alice.id, "said", 5001))).await.invalid_at("/messages");
    alice.post(&path, import(&messages(alice.id, "said", 1))).await.problem(403, "not_allowed");
    let nowhere = format!("/chats/{}/import", Uuid::new_v4());
    service.post(&nowhere, import(&messages(alice.id, "said", 1))).await.refused(404, "chats_exist", "chats.2");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn an_import_has_a_longer_body_than_others_and_a_bound() {
    let server = TestServer::start().await;
    let (alice, service) = (server.person("alice").await, server.service());
    let chat = alice.group_with(&[]).await;
    let long = |n: usize| {
        let mut all = messages(alice.id, "said", n);
        for message in &mut all {
            message["text"] = json!("x".repeat(10_000));
        }
        json!({ "messages": all })
    };
    let path = format!("/chats/{chat}/import");
    assert_eq!(service.post(&path, long(350)).await.expect_status(200).body["imported"], 350);
    assert_eq!(service.post(&path, long(450)).await.status, 413);
    assert_eq!(service.post(&format!("/chats/{chat}/messages"), long(200)).await.status, 413);
}

#[tokio::test]
async fn people_go_on_talking_while_a_history_is_imported() {
    let server = TestServer::start().await;
    let (alice, bob, service) = (server.person("alice").await, server.person("bob").await, server.service());
    let chat = alice.group_with(&[&bob]).await;
    let talks = |person: Person| async move {
        for n in 0..40 {
            person.says(chat, &format!("{} {n}", person.name)).await;
        }
    };
    let import = async {
        for part in messages(Uuid::new_v4(), "then", 2_000).chunks(250) {
            imports(&service, chat, part).await;
        }
    };
    tokio::join!(talks(alice.clone()), talks(bob.clone()), import);
    let all = alice.walks(&format!("/chats/{chat}/messages"), 500).await;
    assert_eq!(all.len(), 2_080);
    let mut revs: Vec<i64> = all.iter().filter_map(|message| message["rev"].as_i64()).collect();
    assert!(revs.is_sorted_by(|a, b| a > b), "every rev is given once, in the order of the conversation");
    revs.sort_unstable();
    let told = |about: &str| -> Vec<&str> {
        each(&all, "text").into_iter().rev().filter(|text| text.starts_with(&format!("{about} "))).collect()
    };
    for (about, n) in [("alice", 40), ("bob", 40), ("then", 2_000)] {
        assert_eq!(told(about), (0..n).map(|n| format!("{about} {n}")).collect::<Vec<_>>());
    }
    // newest first by time, though the past came between
    let found = bob.walks("/search?q=then", 200).await;
    assert_eq!(found.len(), 2_000);
    let found = bob.walks("/search?q=alice", 7).await;
    let texts: Vec<&str> = found.iter().filter_map(|hit| hit["message"]["text"].as_str()).collect();
    assert_eq!(texts, (0..40).rev().map(|n| format!("alice {n}")).collect::<Vec<_>>());
}
