//! Reactions through the API.

use serde_json::{Value, json};
use uuid::Uuid;

use super::path;
use crate::support::{Person, TestServer};

async fn reacts(person: &Person, message: &Value, emoji: &str) -> Value {
    person.put(&reaction(message, emoji), json!({})).await.expect_status(200).body
}

/// Where someone's reaction is.
fn reaction(message: &Value, emoji: &str) -> String {
    format!("{}/reactions/{emoji}", path(message))
}

#[tokio::test]
async fn a_message_shows_how_people_reacted() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let sent = alice.says(chat, "who walks?").await;
    assert_eq!(sent["reactions"], json!([]));
    let once = reacts(&bob, &sent, "👍").await;
    assert_eq!(once["reactions"], json!([{ "emoji": "👍", "count": 1, "mine": true }]));
    assert!(once["rev"].as_i64() > sent["rev"].as_i64(), "the message has changed");
    assert_eq!((&once["seq"], once.get("editedAt")), (&sent["seq"], None), "and is not edited");
    assert_eq!(reacts(&bob, &sent, "👍").await, once, "reacting again is reacting once");
    reacts(&carol, &sent, "🏳️‍🌈").await;
    reacts(&carol, &sent, "👍").await;
    // in the order in which they came, each as who asks has it
    let seen = |mine: bool| json!([{ "emoji": "👍", "count": 2, "mine": mine }, { "emoji": "🏳️‍🌈", "count": 1, "mine": false }]);
    assert_eq!(bob.get(&path(&sent)).await.body["reactions"], seen(true));
    assert_eq!(alice.get(&format!("/chats/{chat}/messages")).await.data()[0]["reactions"], seen(false));

    bob.delete(&reaction(&sent, "👍")).await.expect_status(204);
    bob.delete(&reaction(&sent, "👍")).await.expect_status(204);
    bob.delete(&reaction(&sent, "never")).await.expect_status(204);
    let left = alice.get(&path(&sent)).await.body["reactions"].clone();
    assert_eq!(left[0], json!({ "emoji": "👍", "count": 1, "mine": false }));
    carol.delete(&reaction(&sent, "👍")).await.expect_status(204);
    carol.delete(&reaction(&sent, "🏳️‍🌈")).await.expect_status(204);
    assert_eq!(alice.get(&path(&sent)).await.body["reactions"], json!([]));
}

#[tokio::test]
async fn what_is_no_reaction_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob]).await;
    let sent = alice.says(chat, "hello").await;
    let deleted = alice.says(chat, "oops").await;
    alice.delete(&path(&deleted)).await.expect_status(204);
    let before = server.database.db_rows().await;
    bob.put(&reaction(&sent, "two%20words"), json!({})).await.refused(422, "reactions_are_an_emoji", "reactions.4");
    bob.put(&reaction(&sent, "%00"), json!({})).await.expect_status(422);
    bob.put(&reaction(&sent, &"x".repeat(33)), json!({})).await.refused(422, "reactions_are_an_emoji", "reactions.4");
    for person in [&alice, &bob] {
        person.put(&reaction(&deleted, "👍"), json!({})).await.refused(404, "messages_exist", "messages.12");
    }
    bob.delete(&reaction(&deleted, "👍")).await.refused(404, "messages_exist", "messages.12");
    let nothing = format!("/chats/{chat}/messages/{}/reactions/👍", Uuid::new_v4());
    bob.put(&nothing, json!({})).await.refused(404, "messages_exist", "messages.12");
    bob.delete(&nothing).await.refused(404, "messages_exist", "messages.12");
    mallory.put(&reaction(&sent, "👍"), json!({})).await.refused(403, "reactions_are_made_by_participants", "reactions.2");
    mallory.delete(&reaction(&sent, "👍")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn reactions_at_once_are_all_counted() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.room("square", "unlisted").await;
    let uid = alice.get(&format!("/chats/{chat}")).await.body["uid"].as_str().expect("a uid").to_owned();
    let sent = alice.says(chat, "how many are we?").await;
    let mut people = Vec::new();
    for n in 0..8 {
        let person = server.person(&format!("person {n}")).await;
        person.joins(&uid).await.expect_status(200);
        people.push(person);
    }
    let count = people.len();
    let at_once = people.into_iter().map(|person| {
        let sent = sent.clone();
        tokio::spawn(async move {
            for emoji in ["a", "b", "c"] {
                reacts(&person, &sent, emoji).await;
            }
            person.delete(&reaction(&sent, "b")).await.expect_status(204);
        })
    });
    for task in at_once.collect::<Vec<_>>() {
        task.await.expect("everybody reacts");
    }
    let mut reactions = alice.get(&path(&sent)).await.body["reactions"].as_array().expect("reactions").clone();
    reactions.sort_by_key(|reaction| reaction["emoji"].to_string());
    let expected = ["a", "c"].map(|emoji| json!({ "emoji": emoji, "count": count, "mine": false }));
    assert_eq!(reactions, expected);
}
