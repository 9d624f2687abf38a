//! Participants through the API: who is in a chat, with which role, and how far they have read.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Person, TestServer, each, fields};

async fn role(person: &Person, chat: Uuid, of: &Person) -> Value {
    let page = person.get(&format!("/chats/{chat}/participants")).await.expect_status(200);
    let found = page.data().iter().find(|participant| participant["userId"] == json!(of.id));
    found.map_or(Value::Null, |participant| participant["role"].clone())
}

#[tokio::test]
async fn a_participant_says_who_what_since_when_and_how_far() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.room("ours", "private").await;
    let added = alice.adds(room, &bob, "moderator").await.expect_status(200);
    assert_eq!(fields(&added.body), ["joinedAt", "lastReadSeq", "name", "role", "userId"], "no picture: no field");
    assert_eq!((&added.body["userId"], &added.body["name"]), (&json!(bob.id), &json!("bob")));
    assert_eq!((&added.body["role"], &added.body["lastReadSeq"]), (&json!("moderator"), &json!(0)));
    let page = bob.get(&format!("/chats/{room}/participants")).await.expect_status(200);
    assert_eq!(page.data()[0], added.body);
    assert_eq!(each(page.data(), "name"), ["bob", "alice"], "who came last stands first");
    let again = alice.put(&format!("/chats/{room}/participants/{}", bob.id), json!({})).await.expect_status(200);
    assert_eq!(again.body, added.body, "without a role everything stays");
}

#[tokio::test]
async fn owners_and_moderators_add_people() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let (dave, mallory) = (server.person("dave").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    assert_eq!(bob.adds(chat, &dave, "member").await.expect_status(200).body["role"], "member");
    mallory.put(&format!("/blocks/{}", alice.id), json!({})).await.expect_status(201);
    alice.put(&format!("/blocks/{}", server.person("erin").await.id), json!({})).await.expect_status(201);

    let before = server.database.db_rows().await;
    carol.adds(chat, &mallory, "member").await.refused(403, "participants_are_added_by_moderators", "participants.3");
    mallory.adds(chat, &mallory, "member").await.problem(403, "participants_join_public_rooms");
    bob.adds(chat, &mallory, "moderator").await.refused(403, "participants_get_roles_from_owners", "participants.4");
    let over_a_block = alice.adds(chat, &mallory, "member").await;
    over_a_block.refused(403, "participants_are_not_added_over_a_block", "participants.7");
    let nobody = format!("/chats/{chat}/participants/{}", Uuid::new_v4());
    alice.put(&nobody, json!({})).await.refused(404, "users_exist", "users.8");
    let nowhere = format!("/chats/{}/participants/{}", Uuid::new_v4(), bob.id);
    alice.put(&nowhere, json!({})).await.refused(404, "chats_exist", "chats.2");
    alice.adds(chat, &dave, "king").await.invalid_at("/role");
    let group = json!({ "type": "group", "participantIds": [mallory.id] });
    alice.post("/chats", group).await.refused(403, "participants_are_not_added_over_a_block", "participants.7");
    assert_eq!(server.database.db_rows().await, before);
    bob.adds(chat, &mallory, "member").await.expect_status(200);
}

#[tokio::test]
async fn a_block_does_not_keep_an_owner_from_giving_roles() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    bob.put(&format!("/blocks/{}", alice.id), json!({})).await.expect_status(201);
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    alice.adds(chat, &bob, "member").await.expect_status(200);
    alice.removes(chat, &bob).await.expect_status(204);
}

#[tokio::test]
async fn owners_give_and_take_roles() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let before = server.database.db_rows().await;
    carol.adds(chat, &carol, "moderator").await.refused(403, "participants_get_roles_from_owners", "participants.4");
    carol.adds(chat, &alice, "member").await.refused(403, "participants_get_roles_from_owners", "participants.4");
    assert_eq!(server.database.db_rows().await, before);

    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    let before = server.database.db_rows().await;
    bob.adds(chat, &bob, "owner").await.refused(403, "participants_get_roles_from_owners", "participants.4");
    bob.adds(chat, &carol, "moderator").await.refused(403, "participants_get_roles_from_owners", "participants.4");
    bob.adds(chat, &alice, "member").await.refused(403, "participants_get_roles_from_owners", "participants.4");
    assert_eq!(server.database.db_rows().await, before);

    alice.adds(chat, &carol, "owner").await.expect_status(200);
    carol.adds(chat, &alice, "moderator").await.expect_status(200);
    assert_eq!(role(&bob, chat, &alice).await, "moderator");
    assert_eq!(role(&bob, chat, &carol).await, "owner");
    carol.adds(chat, &bob, "member").await.expect_status(200);
    assert_eq!(role(&bob, chat, &bob).await, "member");
}

#[tokio::test]
async fn moderators_remove_members_and_owners_remove_everyone() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let (dave, mallory) = (server.person("dave").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob, &carol, &dave]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    alice.adds(chat, &carol, "moderator").await.expect_status(200);

    let before = server.database.db_rows().await;
    let (rule, number) = ("participants_are_removed_by_moderators", "participants.5");
    dave.removes(chat, &carol).await.refused(403, rule, number);
    bob.removes(chat, &carol).await.refused(403, rule, number);
    bob.removes(chat, &alice).await.refused(403, rule, number);
    mallory.removes(chat, &dave).await.refused(403, "chats_are_read_by_participants", "chats.1");
    let nowhere = format!("/chats/{}/participants/{}", Uuid::new_v4(), bob.id);
    alice.delete(&nowhere).await.refused(404, "chats_exist", "chats.2");
    assert_eq!(server.database.db_rows().await, before);

    for _ in 0..2 {
        bob.removes(chat, &dave).await.expect_status(204);
    }
    dave.tries(chat, "hello?").await.refused(403, "messages_are_sent_by_participants", "messages.2");
    alice.removes(chat, &carol).await.expect_status(204);
    alice.removes(chat, &mallory).await.expect_status(204);
    bob.removes(chat, &bob).await.expect_status(204);
}

#[tokio::test]
async fn the_list_walks_both_ways() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let six = "insert into chat.users (id, display_name)
               select gen_random_uuid(), 'user ' || n from generate_series(1, 6) n returning id";
    let rows = server.database.db_owner().await.query(six, &[]).await.expect("users");
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    let body = json!({ "type": "group", "name": "all of us", "participantIds": ids });
    let chat = alice.post("/chats", body).await.expect_status(201).id();
    let path = format!("/chats/{chat}/participants");
    let all = alice.walks(&path, 200).await;
    assert_eq!(all.len(), 7);
    for limit in [1, 2, 3, 7] {
        assert_eq!(alice.walks(&path, limit).await, all);
        assert_eq!(alice.walks_back(&path, limit).await, all);
    }
    // a page past the end is empty, and no refusal
    let newest = alice.page(&path, 1, None).await.cursor("prevCursor").expect("a cursor");
    assert_eq!(alice.page(&path, 1, Some(&newest)).await.data().len(), 0);
}

#[tokio::test]
async fn a_read_marker_goes_forward_and_never_past_the_last_message() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob, &server.person("carol").await]).await;
    let (path, read) = (format!("/chats/{chat}/read"), |seq: &Value| json!({ "seq": seq }));
    assert_eq!(bob.put(&path, read(&json!(7))).await.expect_status(200).body, json!({ "seq": 0 }), "nothing was said yet");
    let (one, two) = (alice.says(chat, "one").await, alice.says(chat, "two").await);
    assert_eq!(bob.put(&path, read(&one["seq"])).await.expect_status(200).body, json!({ "seq": one["seq"] }));
    assert_eq!(bob.put(&path, read(&two["seq"])).await.expect_status(200).body, json!({ "seq": two["seq"] }));
    assert_eq!(bob.put(&path, read(&one["seq"])).await.expect_status(200).body, json!({ "seq": two["seq"] }), "not back");
    let past = read(&json!(9_007_199_254_740_991_i64));
    assert_eq!(bob.put(&path, past).await.expect_status(200).body, json!({ "seq": two["seq"] }), "not past the last");
    let people = alice.get(&format!("/chats/{chat}/participants")).await.expect_status(200);
    let bobs = people.data().iter().find(|participant| participant["name"] == "bob").expect("bob");
    assert_eq!(bobs["lastReadSeq"], two["seq"], "the others see it");

    let before = server.database.db_rows().await;
    mallory.put(&path, read(&one["seq"])).await.refused(403, "reads_are_marked_for_oneself", "reads.2");
    let nowhere = format!("/chats/{}/read", Uuid::new_v4());
    mallory.put(&nowhere, read(&json!(1))).await.refused(404, "chats_exist", "chats.2");
    alice.put(&path, json!({ "seq": -1 })).await.refused(422, "reads_start_at_the_beginning", "reads.4");
    bob.put(&path, json!({ "seq": -1 })).await.refused(422, "reads_start_at_the_beginning", "reads.4");
    bob.put(&path, json!({ "seq": 1.5 })).await.invalid_at("/seq");
    bob.put(&path, json!({ "seq": "1" })).await.invalid_at("/seq");
    assert_eq!(server.database.db_rows().await, before);
}
