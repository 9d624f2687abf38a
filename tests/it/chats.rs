//! Chats through the API: what all types have in common. Each type has a file of its own.

mod direct;
mod groups;
mod list;
mod rooms;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestServer, each, fields};

/// What every chat says.
const ALWAYS: [&str; 10] =
    ["createdAt", "headRev", "id", "name", "participantCount", "participants", "readOnly", "type", "uid", "unreadCount"];

#[tokio::test]
async fn a_chat_says_what_it_is_and_leaves_out_what_it_has_not() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let body = json!({ "type": "group", "name": "lunch", "participantIds": [bob.id] });
    let made = alice.post("/chats", body).await.expect_status(201);
    assert_eq!(made.headers["location"], format!("/chats/{}", made.id()));
    let mut expected = [&ALWAYS[..], &["myRole", "visibility"]].concat();
    expected.sort_unstable();
    assert_eq!(fields(&made.body), expected);
    assert_eq!(made.body["type"], "group");
    assert_eq!(made.body["visibility"], "private");
    assert_eq!(made.body["name"], "lunch");
    assert_eq!(made.body["myRole"], "owner");
    assert_eq!(made.body["participantCount"], 2);
    assert_eq!(made.body["unreadCount"], 0);
    assert_eq!(made.body["readOnly"], false);
    assert_eq!(made.body["uid"].as_str().map(str::len), Some(12));
    let participants = made.body["participants"].as_array().expect("people");
    assert_eq!(each(participants, "name"), ["alice", "bob"]);
    assert_eq!(fields(&participants[0]), ["id", "name"], "no picture: no field");
    assert_eq!(alice.sees(made.id()).await, made.body);

    let message = bob.says(made.id(), "where?").await;
    let seen = alice.sees(made.id()).await;
    let mut expected = [&ALWAYS[..], &["lastMessage", "lastMessageAt", "myRole", "visibility"]].concat();
    expected.sort_unstable();
    assert_eq!(fields(&seen), expected);
    assert_eq!(fields(&seen["lastMessage"]), ["createdAt", "id", "senderId", "senderName", "seq", "text"]);
    for field in ["createdAt", "id", "senderId", "senderName", "seq", "text"] {
        assert_eq!(seen["lastMessage"][field], message[field], "{field}");
    }
    assert_eq!((&seen["unreadCount"], &seen["lastMessageAt"]), (&json!(1), &message["createdAt"]));
}

#[tokio::test]
async fn the_head_grows_with_every_change() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob]).await;
    let message = format!("/chats/{chat}/messages/{}", alice.says(chat, "hello").await["id"].as_str().expect("an id"));
    let mut head = alice.sees(chat).await["headRev"].as_i64().expect("a rev");
    let mut grew = async |what: &str| {
        let now = bob.sees(chat).await["headRev"].as_i64().expect("a rev");
        assert!(now > head, "{what}: {head} → {now}");
        head = now;
    };
    alice.patch(&message, json!({ "text": "hello all" })).await.expect_status(200);
    grew("an edit").await;
    alice.delete(&message).await.expect_status(204);
    grew("a deletion").await;
    alice.adds(chat, &carol, "member").await.expect_status(200);
    grew("someone who comes").await;
    alice.adds(chat, &carol, "moderator").await.expect_status(200);
    grew("a role").await;
    carol.leaves(chat).await.expect_status(204);
    grew("someone who leaves").await;
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "another" })).await.expect_status(200);
    grew("a name").await;
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "another" })).await.expect_status(200);
    assert_eq!(bob.sees(chat).await["headRev"], head, "what changes nothing makes no revision");
    bob.put(&format!("/chats/{chat}/read"), json!({ "seq": head })).await.expect_status(200);
    assert_eq!(bob.sees(chat).await["headRev"], head, "reading is no change of the chat");
}

#[tokio::test]
async fn the_first_twenty_are_shown_and_all_are_counted() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let twenty_five = "insert into chat.users (id, display_name)
                       select gen_random_uuid(), 'user ' || n from generate_series(1, 25) n returning id";
    let rows = server.database.db_owner().await.query(twenty_five, &[]).await.expect("users");
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    let body = json!({ "type": "group", "name": "all of us", "participantIds": ids });
    let made = alice.post("/chats", body).await.expect_status(201);
    assert_eq!(made.body["participantCount"], 26);
    let shown = made.body["participants"].as_array().expect("people");
    assert_eq!((shown.len(), &shown[0]["name"]), (20, &json!("alice")), "who came first is shown first");
}

#[tokio::test]
async fn owners_and_moderators_change_a_chat_and_nobody_else() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let mallory = server.person("mallory").await;
    let room = alice.room("the room", "private").await;
    alice.adds(room, &bob, "moderator").await.expect_status(200);
    alice.adds(room, &carol, "member").await.expect_status(200);
    let path = format!("/chats/{room}");

    let changed = bob.patch(&path, json!({ "topic": "tea", "visibility": "unlisted" })).await.expect_status(200);
    assert_eq!((&changed.body["topic"], &changed.body["visibility"]), (&json!("tea"), &json!("unlisted")));
    assert_eq!(changed.body["name"], "the room", "what is absent stays");
    let changed = alice.patch(&path, json!({ "topic": null, "readOnly": true })).await.expect_status(200);
    assert_eq!((changed.body.get("topic"), &changed.body["readOnly"]), (None, &json!(true)), "null clears");
    let same = alice.patch(&path, json!({})).await.expect_status(200);
    assert_eq!(same.body, changed.body, "nothing asked, nothing changed");

    let before = server.database.db_rows().await;
    carol.patch(&path, json!({ "name": "carol's" })).await.refused(403, "chats_are_changed_by_moderators", "chats.5");
    mallory.patch(&path, json!({ "name": "mine" })).await.refused(403, "chats_are_read_by_participants", "chats.1");
    mallory.patch(&format!("/chats/{}", Uuid::new_v4()), json!({ "name": "mine" })).await.refused(404, "chats_exist", "chats.2");
    alice.patch(&path, json!({ "name": " " })).await.refused(422, "chats_name_is_a_name", "chats.10");
    alice.patch(&path, json!({ "name": "x".repeat(201) })).await.refused(422, "chats_name_is_a_name", "chats.10");
    alice.patch(&path, json!({ "name": null })).await.refused(422, "chats_rooms_have_a_name", "chats.14");
    alice.patch(&path, json!({ "topic": "x".repeat(1001) })).await.refused(422, "chats_topic_is_short", "chats.11");
    alice.patch(&path, json!({ "visibility": "public" })).await.refused(403, "chats_public_ones_are_made_by_admins", "chats.4");
    alice.patch(&path, json!({ "visibility": "secret" })).await.invalid_at("/visibility");
    alice.patch(&path, json!({ "type": "group" })).await.invalid_at("/type");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_chat_that_is_not_ones_own_is_forbidden_and_one_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob]).await;
    let ended = alice.group_with(&[&bob]).await;
    alice.delete(&format!("/chats/{ended}?scope=everyone")).await.expect_status(204);
    let before = server.database.db_rows().await;
    for path in ["", "/participants", "/messages"] {
        mallory.get(&format!("/chats/{chat}{path}")).await.refused(403, "chats_are_read_by_participants", "chats.1");
        for gone in [ended, Uuid::new_v4()] {
            bob.get(&format!("/chats/{gone}{path}")).await.refused(404, "chats_exist", "chats.2");
        }
    }
    mallory.delete(&format!("/chats/{chat}")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    mallory.delete(&format!("/chats/{}", Uuid::new_v4())).await.refused(404, "chats_exist", "chats.2");
    alice.delete(&format!("/chats/{chat}?scope=all")).await.invalid_at("scope");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_chat_that_makes_no_sense_is_refused() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let before = server.database.db_rows().await;
    let make = async |body: Value| alice.post("/chats", body).await;
    make(json!({ "type": "direct" })).await.invalid_at("/participantIds");
    make(json!({ "type": "direct", "participantIds": [bob.id, alice.id] })).await.invalid_at("/participantIds");
    make(json!({ "type": "direct", "participantIds": [bob.id], "name": "us" })).await.problem(400, "request_is_invalid");
    make(json!({ "type": "group", "topic": "x" })).await.problem(400, "request_is_invalid");
    make(json!({ "type": "room", "name": "x", "participantIds": [bob.id] })).await.invalid_at("/participantIds");
    make(json!({ "type": "room" })).await.refused(422, "chats_rooms_have_a_name", "chats.14");
    make(json!({ "type": "group", "name": "" })).await.refused(422, "chats_name_is_a_name", "chats.10");
    make(json!({ "type": "room", "name": "x", "topic": "x".repeat(1001) })).await.refused(
        422,
        "chats_topic_is_short",
        "chats.11",
    );
    make(json!({ "type": "event_authors" })).await.invalid_at("/type");
    make(json!({ "type": "group", "participantIds": [Uuid::new_v4()] })).await.refused(404, "users_exist", "users.8");
    make(json!({ "type": "group", "participantIds": vec![bob.id; 201] })).await.invalid_at("/participantIds");
    server.service().post("/chats", json!({ "type": "group" })).await.problem(403, "not_allowed");
    server.anon().post("/chats", json!({ "type": "group" })).await.problem(403, "not_allowed");
    assert_eq!(server.database.db_rows().await, before);
}
