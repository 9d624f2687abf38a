//! Direct chats: one per pair, between friends, past no block, and they come back.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, Person, TestServer};

async fn open(person: &Person, other: &Person) -> Answer {
    person.post("/chats", json!({ "type": "direct", "participantIds": [other.id] })).await
}

#[tokio::test]
async fn two_people_have_one_direct_chat_called_after_the_other() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let made = open(&alice, &bob).await.expect_status(201);
    assert_eq!(made.headers["location"], format!("/chats/{}", made.id()));
    let again = open(&alice, &bob).await.expect_status(200);
    assert_eq!(again.body, made.body);
    assert!(!again.headers.contains_key("location"));
    let seen_by_bob = open(&bob, &alice).await.expect_status(200);
    assert_eq!(seen_by_bob.id(), made.id());
    assert_eq!((&made.body["name"], &seen_by_bob.body["name"]), (&json!("bob"), &json!("alice")));
    assert_eq!((&made.body["type"], &made.body["myRole"]), (&json!("direct"), &json!("member")));
    assert_eq!(made.body["participantCount"], 2);
}

#[tokio::test]
async fn two_who_open_it_at_once_get_the_same_chat() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let (one, other) = tokio::join!(open(&alice, &bob), open(&bob, &alice));
    assert_eq!(one.one_of(&[200, 201]).id(), other.one_of(&[200, 201]).id());
}

#[tokio::test]
async fn strangers_have_no_direct_chat_unless_the_settings_say_anyone() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let before = server.database.db_rows().await;
    open(&alice, &bob).await.refused(403, "direct_chats_are_between_friends", "direct.1");
    open(&alice, &alice).await.refused(422, "direct_chats_are_with_somebody_else", "direct.3");
    let unseen = json!({ "type": "direct", "participantIds": [Uuid::new_v4()] });
    alice.post("/chats", unseen).await.refused(404, "users_exist", "users.8");
    assert_eq!(server.database.db_rows().await, before);
    // a request alone is no friendship
    alice.put(&format!("/friends/{}", bob.id), json!({})).await.expect_status(201);
    open(&alice, &bob).await.refused(403, "direct_chats_are_between_friends", "direct.1");

    server.database.db_set("direct = 'anyone'").await;
    let chat = open(&alice, &bob).await.expect_status(201).id();
    bob.says(chat, "who are you?").await;
    server.database.db_set("direct = 'friends'").await;
    bob.tries(chat, "hello?").await.refused(403, "direct_chats_are_between_friends", "direct.1");
    assert_eq!(alice.reads(chat).await, ["who are you?"], "what was said stays");
}

#[tokio::test]
async fn unfriending_ends_the_words_and_not_the_history() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let chat = alice.direct_with(&bob).await;
    let said = alice.says(chat, "hello").await;
    bob.delete(&format!("/friends/{}", alice.id)).await.expect_status(204);
    for person in [&alice, &bob] {
        person.tries(chat, "again").await.refused(403, "direct_chats_are_between_friends", "direct.1");
        assert_eq!(person.reads(chat).await, ["hello"]);
    }
    let path = format!("/chats/{chat}/messages/{}", said["id"].as_str().expect("an id"));
    alice.patch(&path, json!({ "text": "a new word" })).await.refused(403, "direct_chats_are_between_friends", "direct.1");
    assert_eq!(open(&alice, &bob).await.expect_status(200).id(), chat, "it is there, and can be read");
    alice.delete(&path).await.expect_status(204);
    alice.befriend(&bob).await;
    alice.says(chat, "friends again").await;
}

#[tokio::test]
async fn a_block_refuses_new_words_both_ways() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    server.database.db_set("direct = 'anyone'").await;
    let chat = alice.direct_with(&bob).await;
    let said = bob.says(chat, "hello").await;
    alice.put(&format!("/blocks/{}", bob.id), json!({})).await.expect_status(201);
    alice.put(&format!("/blocks/{}", mallory.id), json!({})).await.expect_status(201);
    let before = server.database.db_rows().await;
    alice.tries(chat, "x").await.refused(403, "direct_chats_pass_no_block", "direct.2");
    bob.tries(chat, "x").await.refused(403, "direct_chats_pass_no_block", "direct.2");
    let edit = format!("/chats/{chat}/messages/{}", said["id"].as_str().expect("an id"));
    bob.patch(&edit, json!({ "text": "x" })).await.refused(403, "direct_chats_pass_no_block", "direct.2");
    open(&mallory, &alice).await.refused(403, "direct_chats_pass_no_block", "direct.2");
    open(&alice, &mallory).await.refused(403, "direct_chats_pass_no_block", "direct.2");
    assert_eq!(server.database.db_rows().await, before);
    assert_eq!(bob.reads(chat).await, ["hello"]);
    // in a group a block hides nothing
    let group = mallory.group_with(&[&bob]).await;
    assert_eq!(mallory.reads(group).await, [""; 0]);
    alice.delete(&format!("/blocks/{}", bob.id)).await.expect_status(204);
    bob.says(chat, "we are fine").await;
}

#[tokio::test]
async fn a_direct_chat_that_one_left_comes_back_with_the_others_next_message() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let chat = alice.direct_with(&bob).await;
    alice.says(chat, "one").await;
    for _ in 0..2 {
        bob.leaves(chat).await.expect_status(204);
    }
    assert_eq!(bob.get("/chats").await.expect_status(200).data().len(), 0);
    bob.get(&format!("/chats/{chat}/messages")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    bob.tries(chat, "I am not in it").await.refused(403, "messages_are_sent_by_participants", "messages.2");
    assert_eq!(alice.sees(chat).await["name"], "bob", "called after the other, here or gone");
    alice.says(chat, "two").await;
    assert_eq!(bob.reads(chat).await, ["two", "one"], "with its history");
    assert_eq!(bob.get("/chats").await.data()[0]["unreadCount"], 2);
}

#[tokio::test]
async fn a_direct_chat_that_one_left_comes_back_when_one_opens_it() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let chat = alice.direct_with(&bob).await;
    alice.says(chat, "one").await;
    bob.leaves(chat).await.expect_status(204);
    alice.leaves(chat).await.expect_status(204);
    assert_eq!(open(&bob, &alice).await.expect_status(200).id(), chat);
    assert_eq!(bob.reads(chat).await, ["one"]);
    assert_eq!(alice.get("/chats").await.data().len(), 0, "the other stays away until something is said");
    bob.says(chat, "two").await;
    assert_eq!(alice.reads(chat).await, ["two", "one"]);
}

#[tokio::test]
async fn nobody_is_added_to_removed_from_or_raised_in_a_direct_chat() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    alice.befriend(&bob).await;
    let chat = alice.direct_with(&bob).await;
    let before = server.database.db_rows().await;
    alice.adds(chat, &mallory, "member").await.problem(403, "participants_are_added_by_moderators");
    alice.adds(chat, &alice, "owner").await.problem(403, "participants_get_roles_from_owners");
    alice.removes(chat, &bob).await.refused(403, "participants_are_removed_by_moderators", "participants.5");
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "us" })).await.problem(403, "chats_are_changed_by_moderators");
    alice.delete(&format!("/chats/{chat}?scope=everyone")).await.refused(403, "chats_are_deleted_by_owners", "chats.6");
    mallory.joins(chat).await.refused(403, "participants_join_public_rooms", "participants.2");
    assert_eq!(server.database.db_rows().await, before);
}
