//! Rooms: private, unlisted, public.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Person, TestServer, each};

async fn uid(person: &Person, room: Uuid) -> String {
    person.sees(room).await["uid"].as_str().expect("a uid").to_owned()
}

#[tokio::test]
async fn a_private_room_is_joined_by_nobody() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let body = json!({ "type": "room", "name": "ours", "topic": "tea" });
    let made = alice.post("/chats", body).await.expect_status(201);
    assert_eq!((&made.body["visibility"], &made.body["topic"]), (&json!("private"), &json!("tea")));
    assert_eq!((&made.body["type"], &made.body["myRole"]), (&json!("room"), &json!("owner")));
    let before = server.database.db_rows().await;
    mallory.joins(made.id()).await.refused(403, "participants_join_public_rooms", "participants.2");
    let by_uid = mallory.joins(made.body["uid"].as_str().expect("a uid")).await;
    by_uid.refused(403, "participants_join_public_rooms", "participants.2");
    mallory.adds(made.id(), &mallory, "member").await.problem(403, "participants_join_public_rooms");
    assert_eq!(server.database.db_rows().await, before);
    assert_eq!(alice.joins(made.id()).await.expect_status(200).body, alice.sees(made.id()).await, "who is in, is in");
}

#[tokio::test]
async fn an_unlisted_room_is_joined_by_who_knows_its_uid() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = alice.room("ours", "unlisted").await;
    let uid = uid(&alice, room).await;
    let before = server.database.db_rows().await;
    mallory.joins(room).await.refused(403, "participants_join_public_rooms", "participants.2");
    mallory.joins("AAAAAAAAAAAA").await.refused(404, "chats_exist", "chats.2");
    mallory.joins(uid.to_lowercase() + "x").await.refused(404, "chats_exist", "chats.2");
    mallory.joins("x".repeat(37)).await.problem(400, "request_is_invalid");
    server.anon().joins(&uid).await.problem(403, "not_allowed");
    assert_eq!(server.database.db_rows().await, before);
    mallory.get(&format!("/chats/{room}")).await.refused(403, "chats_are_read_by_participants", "chats.1");

    for _ in 0..2 {
        let joined = bob.joins(&uid).await.expect_status(200);
        assert_eq!((joined.id(), &joined.body["myRole"]), (room, &json!("member")));
        assert_eq!(joined.body["participantCount"], 2);
    }
    bob.leaves(room).await.expect_status(204);
    bob.joins(&uid).await.expect_status(200);
}

#[tokio::test]
async fn admins_open_rooms_to_the_public_and_others_when_the_settings_say_so() {
    let server = TestServer::start().await;
    let (alice, admin) = (server.person("alice").await, server.admin("admin").await);
    let body = json!({ "type": "room", "name": "the square", "visibility": "public" });
    let before = server.database.db_rows().await;
    alice.post("/chats", body.clone()).await.refused(403, "chats_public_ones_are_made_by_admins", "chats.4");
    assert_eq!(server.database.db_rows().await, before);
    let made = admin.post("/chats", body.clone()).await.expect_status(201);
    assert_eq!(made.body["visibility"], "public");
    server.database.db_set("public_rooms = 'everyone'").await;
    alice.post("/chats", body).await.expect_status(201);
}

#[tokio::test]
async fn a_public_room_is_read_by_everyone_and_written_in_by_who_joined() {
    let server = TestServer::start().await;
    let (admin, bob) = (server.admin("admin").await, server.person("bob").await);
    let room = admin.room("the square", "public").await;
    let said = admin.says(room, "welcome").await;
    let seen = bob.sees(room).await;
    assert_eq!((seen.get("myRole"), &seen["unreadCount"]), (None, &json!(0)));
    assert_eq!(seen["lastMessage"]["senderName"], "admin");
    assert_eq!(bob.reads(room).await, ["welcome"]);
    let message = format!("/chats/{room}/messages/{}", said["id"].as_str().expect("an id"));
    assert_eq!(bob.get(&message).await.expect_status(200).body, said);
    let people = bob.get(&format!("/chats/{room}/participants")).await.expect_status(200);
    assert_eq!(each(people.data(), "name"), ["admin"]);
    assert_eq!(bob.get("/chats").await.data().len(), 0, "reading is not being in it");

    let before = server.database.db_rows().await;
    bob.tries(room, "x").await.refused(403, "messages_are_sent_by_participants", "messages.2");
    bob.patch(&message, json!({ "text": "x" })).await.problem(403, "messages_are_sent_by_participants");
    bob.delete(&message).await.problem(403, "chats_are_read_by_participants");
    bob.patch(&format!("/chats/{room}"), json!({ "name": "x" })).await.refused(403, "chats_are_changed_by_moderators", "chats.5");
    bob.removes(room, &admin).await.refused(403, "participants_are_removed_by_moderators", "participants.5");
    bob.adds(room, &bob, "owner").await.problem(403, "participants_get_roles_from_owners");
    bob.adds(room, &server.person("carol").await, "member").await.problem(403, "participants_are_added_by_moderators");
    bob.put(&format!("/chats/{room}/read"), json!({ "seq": 1 })).await.refused(403, "reads_are_marked_for_oneself", "reads.2");
    assert_eq!(server.database.db_rows().await, before);

    assert_eq!(bob.joins(room).await.expect_status(200).body["myRole"], "member");
    bob.says(room, "hello").await;
    bob.leaves(room).await.expect_status(204);
    assert_eq!(bob.joins(uid(&admin, room).await).await.expect_status(200).id(), room, "by its uid as well");
}

#[tokio::test]
async fn who_has_no_account_reads_public_rooms_if_the_settings_say_so() {
    let server = TestServer::start().await;
    let (admin, anon) = (server.admin("admin").await, server.anon());
    let (square, ours) = (admin.room("the square", "public").await, admin.room("ours", "unlisted").await);
    let said = admin.says(square, "welcome").await;
    let paths = ["", "/messages", "/participants"].map(|path| format!("/chats/{square}{path}"));
    for path in &paths {
        anon.get(path).await.problem(403, "chats_are_read_by_participants");
    }
    server.database.db_set("anon_reads_public_rooms = true").await;
    for path in &paths {
        anon.get(path).await.expect_status(200);
    }
    assert_eq!(anon.reads(square).await, ["welcome"]);
    let message = format!("/chats/{square}/messages/{}", said["id"].as_str().expect("an id"));
    assert_eq!(anon.get(&message).await.expect_status(200).body, said);
    assert_eq!(anon.sees(square).await["name"], "the square");

    let before = server.database.db_rows().await;
    anon.get(&format!("/chats/{ours}")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    anon.get(&format!("/chats/{}", Uuid::new_v4())).await.refused(404, "chats_exist", "chats.2");
    anon.tries(square, "x").await.problem(403, "not_allowed");
    anon.joins(square).await.problem(403, "not_allowed");
    anon.patch(&message, json!({ "text": "x" })).await.problem(403, "not_allowed");
    anon.delete(&message).await.problem(403, "not_allowed");
    anon.patch(&format!("/chats/{square}"), json!({ "name": "x" })).await.problem(403, "not_allowed");
    anon.removes(square, &admin).await.problem(403, "not_allowed");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_room_is_deleted_by_its_owner_and_by_admins() {
    let server = TestServer::start().await;
    let (alice, bob, admin) = (server.person("alice").await, server.person("bob").await, server.admin("admin").await);
    for deleter in [&alice, &admin] {
        let room = alice.room("ours", "private").await;
        alice.adds(room, &bob, "moderator").await.expect_status(200);
        let path = format!("/chats/{room}?scope=everyone");
        bob.delete(&path).await.refused(403, "chats_are_deleted_by_owners", "chats.6");
        for _ in 0..2 {
            deleter.delete(&path).await.expect_status(204);
        }
        bob.get(&format!("/chats/{room}")).await.refused(404, "chats_exist", "chats.2");
        bob.joins(room).await.refused(404, "chats_exist", "chats.2");
        alice.patch(&format!("/chats/{room}"), json!({ "name": "back" })).await.refused(404, "chats_exist", "chats.2");
    }
}

#[tokio::test]
async fn a_room_does_not_end_with_its_people_but_keeps_an_owner() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.room("ours", "private").await;
    alice.leaves(room).await.refused(409, "participants_keep_an_owner", "participants.6");
    alice.adds(room, &bob, "member").await.expect_status(200);
    bob.leaves(room).await.expect_status(204);
    assert_eq!(alice.sees(room).await["participantCount"], 1);
}

#[tokio::test]
async fn the_directory_lists_public_rooms_newest_first_and_no_others() {
    let server = TestServer::start().await;
    let (alice, bob, admin) = (server.person("alice").await, server.person("bob").await, server.admin("admin").await);
    alice.room("ours", "private").await;
    alice.room("by link", "unlisted").await;
    let mut rooms = Vec::new();
    for name in ["Square", "Market", "Little square"] {
        rooms.push(json!(admin.room(name, "public").await));
    }
    rooms.reverse();
    let page = bob.get("/rooms").await.expect_status(200);
    assert_eq!(each(page.data(), "id"), rooms);
    assert_eq!(each(bob.get("/rooms?query=SQUARE").await.expect_status(200).data(), "name"), ["Little square", "Square"]);
    let first = bob.get("/rooms?limit=2").await.expect_status(200).body;
    let rest = bob.get(&format!("/rooms?cursor={}", first["nextCursor"].as_str().expect("more"))).await.expect_status(200);
    assert_eq!(each(rest.data(), "id"), rooms[2..]);
    let back = bob.get(&format!("/rooms?cursor={}", rest.body["prevCursor"].as_str().expect("before"))).await;
    assert_eq!(each(back.expect_status(200).data(), "id"), rooms[..2]);
    assert_eq!(page.data()[0], bob.sees(rooms[0].as_str().and_then(|id| id.parse().ok()).expect("an id")).await);
    assert!(server.anon().get("/rooms").await.expect_status(200).data().is_empty(), "the settings do not say so");
    admin.delete(&format!("/chats/{}?scope=everyone", rooms[0].as_str().expect("an id"))).await.expect_status(204);
    assert_eq!(each(bob.get("/rooms").await.expect_status(200).data(), "id"), rooms[1..]);
}

#[tokio::test]
async fn a_uid_leads_to_what_one_reads_and_tells_nobody_else_that_there_is_something() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let room = alice.room("ours", "private").await;
    let uid = uid(&alice, room).await;
    for path in [format!("/rooms/{uid}"), format!("/rooms/{room}")] {
        assert_eq!(alice.get(&path).await.expect_status(200).body, alice.sees(room).await);
    }
    mallory.get(&format!("/rooms/{uid}")).await.refused(404, "chats_exist", "chats.2");
    mallory.get("/rooms/AAAAAAAAAAAA").await.refused(404, "chats_exist", "chats.2");
    mallory.get(&format!("/rooms/{room}")).await.problem(403, "chats_are_read_by_participants");
}
