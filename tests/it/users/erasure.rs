//! Erasure: what goes, what stays, and that nobody comes back.

use reqwest::Method;
use serde_json::{Value, json};
use tabletalk::app::App;
use uuid::Uuid;

use crate::support::document::operations;
use crate::support::server::settings;
use crate::support::{Person, TestServer, each};

/// In everything that bob says, and nowhere else.
const WORDS: &str = "zzyzx";

fn path(message: &Value) -> String {
    let part = |field: &str| message[field].as_str().expect("an id").to_owned();
    format!("/chats/{}/messages/{}", part("chatId"), part("id"))
}

/// Says something of bob's with everything that a message may have, and edits it.
async fn says_all(bob: &Person, chat: Uuid, other: &Person) -> Value {
    let body = json!({
        "text": format!("{WORDS} first"),
        "mentions": [other.id],
        "attachmentUrl": format!("https://example.com/{WORDS}.png"),
    });
    let sent = bob.post(&format!("/chats/{chat}/messages"), body).await.expect_status(201).body;
    bob.patch(&path(&sent), json!({ "text": format!("{WORDS} second") })).await.expect_status(200).body
}

#[tokio::test]
async fn nothing_is_left_of_who_is_erased_but_rows() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let profile = json!({ "username": WORDS, "displayName": WORDS, "avatarUrl": format!("https://example.com/{WORDS}") });
    bob.patch("/users/me", profile).await.expect_status(200);
    bob.befriend(&alice).await;
    carol.put(&format!("/friends/{}", bob.id), json!({})).await.expect_status(201);
    let (group, direct) = (alice.group_with(&[&bob, &carol]).await, alice.direct_with(&bob).await);
    let (left, removed) = (carol.group_with(&[&alice, &bob]).await, carol.group_with(&[&alice, &bob]).await);
    let mut said = Vec::new();
    for chat in [group, direct, left, removed] {
        said.push(says_all(&bob, chat, &alice).await);
    }
    let deleted = says_all(&bob, group, &alice).await;
    bob.delete(&path(&deleted)).await.expect_status(204);
    bob.leaves(left).await.expect_status(204);
    carol.removes(removed, &bob).await.expect_status(204);
    let hers = alice.says(group, "what alice said").await;
    bob.put(&format!("{}/reactions/👍", path(&hers)), json!({})).await.expect_status(200);
    bob.put(&format!("/chats/{group}/read"), json!({ "seq": hers["seq"] })).await.expect_status(200);
    assert!(server.database.db_finds(WORDS).await.len() > 10, "there is something to erase");
    let (heads, rows) = (head(&alice, group).await, server.database.db_rows().await.len());

    bob.delete("/users/me").await.expect_status(204);

    assert_eq!(server.database.db_finds(WORDS).await, [""; 0], "the words are nowhere");
    for sent in &said[..2] {
        let seen = alice.get(&path(sent)).await.expect_status(200).body;
        assert_eq!((&seen["text"], &seen["mentions"], seen.get("attachmentUrl")), (&json!("[erased]"), &json!([]), None));
        assert_eq!((&seen["senderName"], &seen["senderId"]), (&json!("deleted user"), &json!(bob.id)));
        for field in ["id", "seq", "kind", "createdAt", "editedAt"] {
            assert_eq!(seen[field], sent[field], "{field}");
        }
        assert!(seen["erasedAt"].is_string() && seen["rev"].as_i64() > sent["rev"].as_i64(), "{seen}");
    }
    let seen = alice.get(&path(&deleted)).await.expect_status(200).body;
    assert!(seen["text"] == "[erased]" && seen["erasedAt"].is_string() && seen["deletedAt"].is_string(), "{seen}");
    let edits = alice.get(&format!("{}/edits", path(&said[0]))).await.expect_status(200);
    assert_eq!(each(edits.data(), "text"), ["[erased]"], "and the erasure left no edit");
    let seen = alice.get(&path(&hers)).await.expect_status(200).body;
    assert_eq!((&seen["text"], &seen["reactions"]), (&json!("what alice said"), &json!([])));
    assert!(seen.get("erasedAt").is_none() && seen["rev"].as_i64() > hers["rev"].as_i64(), "{seen}");

    // two messages, the reaction, the leaving
    assert_eq!(head(&alice, group).await, heads + 4, "everybody's copy is told of each change");
    assert_eq!(each(alice.get("/friends").await.data(), "id"), [""; 0]);
    assert_eq!(alice.sees(direct).await["name"], "deleted user");
    alice.get(&format!("/users/{}", bob.id)).await.refused(404, "users_are_seen_by_who_knows_them", "users.1");
    // two friendships, the reaction, the marker; nothing else is gone, and two groups are still of two
    assert_eq!(server.database.db_rows().await.len(), rows - 4);
}

async fn head(person: &Person, chat: Uuid) -> i64 {
    person.sees(chat).await["headRev"].as_i64().expect("a rev")
}

#[tokio::test]
async fn no_token_of_the_erased_opens_anything() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let elsewhere = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    bob.delete("/users/me").await.expect_status(204);
    let before = server.database.db_rows().await;
    for operation in operations().iter().filter(|operation| operation.id != "deleteMe") {
        let path = operation.path_with(|name| match name {
            "userId" => alice.id.to_string(),
            "type" => "event_authors".to_owned(),
            "emoji" => "x".to_owned(),
            _ => chat.to_string(),
        });
        let body = operation.has_body().then(|| json!({}));
        for who in [&bob, &bob.at(elsewhere.url())] {
            let answer = who.ask(operation.method.clone(), &path, body.clone()).await;
            answer.refused(403, "users_erased_are_gone", "users.9");
        }
    }
    assert_eq!(server.database.db_rows().await, before);
    for who in [&bob, &bob.at(elsewhere.url())] {
        who.delete("/users/me").await.expect_status(204);
    }
    let again = server.bearer_of("bob", json!({ "sub": bob.id, "exp": 4_000_000_000_i64, "name": "Bob is back" }));
    again.get("/users/me").await.refused(403, "users_erased_are_gone", "users.9");
    assert_eq!(server.database.db_finds("Bob is back").await, [""; 0]);
    elsewhere.stop().await.expect("it stops");
}

#[tokio::test]
async fn who_was_never_seen_may_be_erased_and_who_is_nobody_may_not() {
    let server = TestServer::start().await;
    let bob = server.stranger(WORDS);
    bob.delete("/users/me").await.expect_status(204);
    bob.get("/users/me").await.refused(403, "users_erased_are_gone", "users.9");
    assert_eq!(server.database.db_finds(WORDS).await, [""; 0]);
    server.service().delete("/users/me").await.problem(404, "token_is_nobodys");
    server.anon().delete("/users/me").await.problem(403, "not_allowed");
    server.nobody().delete("/users/me").await.problem(401, "token_missing");
}

#[tokio::test]
async fn a_username_is_free_again() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    bob.patch("/users/me", json!({ "username": "the.one" })).await.expect_status(200);
    bob.delete("/users/me").await.expect_status(204);
    alice.patch("/users/me", json!({ "username": "the.one" })).await.expect_status(200);
}

#[tokio::test]
async fn nobody_reaches_or_brings_back_the_erased() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    server.database.db_set("direct = 'anyone', directory = 'everyone'").await;
    let (group, direct) = (alice.group_with(&[&bob, &carol]).await, alice.direct_with(&bob).await);
    let sent = bob.says(group, "here").await;
    bob.delete("/users/me").await.expect_status(204);
    alice.adds(group, &bob, "member").await.refused(404, "users_exist", "users.8");
    alice.put(&format!("/friends/{}", bob.id), json!({})).await.refused(404, "users_exist", "users.8");
    alice.put(&format!("/blocks/{}", bob.id), json!({})).await.refused(404, "users_exist", "users.8");
    alice.tries(direct, "are you there?").await.refused(403, "users_erased_are_gone", "users.9");
    carol.post("/chats", json!({ "type": "direct", "participantIds": [bob.id] })).await.refused(
        403,
        "users_erased_are_gone",
        "users.9",
    );
    carol.post("/chats", json!({ "type": "group", "participantIds": [bob.id] })).await.refused(404, "users_exist", "users.8");
    assert_eq!(each(alice.get("/users").await.data(), "displayName"), ["carol", "alice"], "an open directory lists them not");
    let body = json!({ "name": "the event", "participantIds": [alice.id, bob.id] });
    let event = server.service().put("/events/e1/chats/approved_group", body).await.expect_status(201).id();
    let people = alice.get(&format!("/chats/{event}/participants")).await.expect_status(200);
    assert_eq!(each(people.data(), "userId"), [alice.id.to_string()], "the host may not know it yet");
    // what they said stays in the conversation: it is answered, reacted to, pinned and deleted like any other message
    let answer = json!({ "text": "an answer", "replyToId": sent["id"] });
    let answer = carol.post(&format!("/chats/{group}/messages"), answer).await.expect_status(201).body;
    assert_eq!(answer["replyTo"]["text"], "[erased]");
    carol.put(&format!("{}/reactions/👍", path(&sent)), json!({})).await.expect_status(200);
    alice.put(&format!("{}/pin", path(&sent)), json!({})).await.expect_status(200);
    server.service().patch(&path(&sent), json!({ "text": "x" })).await.refused(409, "messages_stay_erased", "messages.20");
    alice.delete(&path(&sent)).await.expect_status(204);
}

#[tokio::test]
async fn the_last_owner_passes_on_what_others_are_in() {
    let server = TestServer::start().await;
    let (bob, carol) = (server.person("bob").await, server.person("carol").await);
    let (dave, erin) = (server.person("dave").await, server.person("erin").await);
    let roles = async |person: &Person, chat: Uuid| {
        let page = person.get(&format!("/chats/{chat}/participants")).await.expect_status(200);
        let mut roles: Vec<String> =
            page.data().iter().map(|p| format!("{} {}", p["name"], p["role"]).replace('"', "")).collect();
        roles.sort();
        roles
    };
    let group = bob.group_with(&[&carol, &dave, &erin]).await;
    bob.adds(group, &erin, "moderator").await.expect_status(200);
    let room = bob.room("a room", "unlisted").await;
    let uid = bob.sees(room).await["uid"].as_str().expect("a uid").to_owned();
    for person in [&dave, &carol] {
        person.joins(&uid).await.expect_status(200);
    }
    let shared = bob.group_with(&[&carol, &dave]).await;
    bob.adds(shared, &carol, "owner").await.expect_status(200);
    let (pair, alone) = (bob.group_with(&[&carol]).await, bob.room("alone", "private").await);
    let heads = head(&carol, shared).await;
    bob.delete("/users/me").await.expect_status(204);
    assert_eq!(roles(&carol, group).await, ["carol member", "dave member", "erin owner"], "to the moderator");
    assert_eq!(roles(&carol, room).await, ["carol member", "dave owner"], "to who was there longest");
    assert_eq!(roles(&carol, shared).await, ["carol owner", "dave member"]);
    assert_eq!(head(&carol, shared).await, heads + 1, "where there is an owner, leaving is all that happens");
    for ended in [pair, alone] {
        carol.get(&format!("/chats/{ended}")).await.refused(404, "chats_exist", "chats.2");
    }
    // and the heir is gone as well
    dave.delete("/users/me").await.expect_status(204);
    assert_eq!(roles(&carol, room).await, ["carol owner"]);
    carol.ask(Method::DELETE, &format!("/chats/{room}?scope=everyone"), None).await.expect_status(204);
}

#[tokio::test]
async fn every_copy_of_the_words_is_told() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let group = alice.group_with(&[&bob, &carol]).await;
    let mut said = Vec::new();
    for text in ["first", "second"] {
        said.push(bob.says(group, text).await["id"].clone());
    }
    let deleted = bob.says(group, "deleted").await;
    bob.delete(&path(&deleted)).await.expect_status(204);
    let copy = carol.get(&format!("/chats/{group}/changes?since=0")).await.expect_status(200).body;
    let position = carol.get("/sync").await.expect_status(200).body["position"].as_str().expect("a position").to_owned();
    bob.delete("/users/me").await.expect_status(204);
    let (since, epoch) = (&copy["nextSince"], copy["epoch"].as_str().expect("an epoch"));
    for path in [format!("/chats/{group}/changes?since={since}&epoch={epoch}"), format!("/sync?since={position}")] {
        let told = carol.get(&path).await.expect_status(200);
        let erased: Vec<&Value> = told.data().iter().filter(|change| change["message"].is_object()).collect();
        assert_eq!(erased.iter().map(|change| &change["message"]["id"]).collect::<Vec<_>>(), said.iter().collect::<Vec<_>>());
        assert!(erased.iter().all(|change| change["message"]["text"] == "[erased]"), "{}", told.body);
        let left: Vec<&Value> = told.data().iter().filter(|change| change["kind"] == "participant.left").collect();
        assert_eq!(left.iter().map(|change| &change["userId"]).collect::<Vec<_>>(), [&json!(bob.id)]);
    }
}
