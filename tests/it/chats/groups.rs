//! Groups: made with people, named after them, ended by the leave that leaves one.

use serde_json::json;

use crate::support::{TestServer, each};

#[tokio::test]
async fn a_group_without_a_name_is_called_after_its_people() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let body = json!({ "type": "group", "participantIds": [bob.id, carol.id, bob.id, alice.id] });
    let made = alice.post("/chats", body).await.expect_status(201);
    assert_eq!(made.body["participantCount"], 3, "named twice, or oneself: in it once");
    let name = made.body["name"].as_str().expect("a name");
    assert!(name == "@alice, @bob, @carol" || name == "@alice, @carol, @bob", "{name}");
    assert_eq!(bob.sees(made.id()).await["name"], name, "the same to everyone");
    let username = format!("update chat.users set username = 'carol.c' where id = '{}'", carol.id);
    server.database.db_owner().await.batch_execute(&username).await.expect("a username");
    assert!(alice.sees(made.id()).await["name"].as_str().expect("a name").contains("@carol.c"));
    carol.leaves(made.id()).await.expect_status(204);
    assert_eq!(alice.sees(made.id()).await["name"], "@alice, @bob");
    let path = format!("/chats/{}", made.id());
    assert_eq!(alice.patch(&path, json!({ "name": "us" })).await.expect_status(200).body["name"], "us");
    assert_eq!(alice.patch(&path, json!({ "name": null })).await.expect_status(200).body["name"], "@alice, @bob");
}

#[tokio::test]
async fn a_group_of_one_may_begin_and_ends_when_its_one_leaves() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    alice.says(chat, "a note to myself").await;
    assert_eq!(alice.sees(chat).await["participantCount"], 1);
    for _ in 0..2 {
        alice.leaves(chat).await.expect_status(204);
    }
    alice.get(&format!("/chats/{chat}")).await.refused(404, "chats_exist", "chats.2");
}

#[tokio::test]
async fn a_leave_that_leaves_one_ends_the_group() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    alice.says(chat, "hello").await;
    carol.leaves(chat).await.expect_status(204);
    assert_eq!(bob.reads(chat).await, ["hello"], "two are a group");
    carol.get(&format!("/chats/{chat}")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    bob.leaves(chat).await.expect_status(204);
    for person in [&alice, &bob, &carol] {
        assert_eq!(person.get("/chats").await.expect_status(200).data().len(), 0);
        person.get(&format!("/chats/{chat}/messages")).await.refused(404, "chats_exist", "chats.2");
        person.tries(chat, "anyone?").await.refused(404, "chats_exist", "chats.2");
    }
    alice.leaves(chat).await.expect_status(204);
    bob.leaves(chat).await.expect_status(204);
}

#[tokio::test]
async fn removing_the_last_other_ends_the_group_too() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    alice.removes(chat, &bob).await.expect_status(204);
    alice.get(&format!("/chats/{chat}")).await.refused(404, "chats_exist", "chats.2");
}

#[tokio::test]
async fn the_last_owner_of_a_group_of_two_just_leaves() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    alice.leaves(chat).await.expect_status(204);
    bob.get(&format!("/chats/{chat}")).await.refused(404, "chats_exist", "chats.2");
}

#[tokio::test]
async fn the_last_owner_of_more_people_passes_it_on_first() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let before = server.database.db_rows().await;
    alice.leaves(chat).await.refused(409, "participants_keep_an_owner", "participants.6");
    alice.removes(chat, &alice).await.refused(409, "participants_keep_an_owner", "participants.6");
    alice.adds(chat, &alice, "member").await.refused(409, "participants_keep_an_owner", "participants.6");
    assert_eq!(server.database.db_rows().await, before);
    alice.adds(chat, &bob, "owner").await.expect_status(200);
    alice.adds(chat, &alice, "member").await.expect_status(200);
    assert_eq!((&alice.sees(chat).await["myRole"], &bob.sees(chat).await["myRole"]), (&json!("member"), &json!("owner")));
    alice.leaves(chat).await.expect_status(204);
    bob.leaves(chat).await.expect_status(204);
}

#[tokio::test]
async fn a_group_is_never_open() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let before = server.database.db_rows().await;
    for visibility in ["public", "unlisted"] {
        let body = json!({ "visibility": visibility });
        alice.patch(&format!("/chats/{chat}"), body).await.refused(422, "chats_only_rooms_are_open", "chats.7");
    }
    assert_eq!(server.database.db_rows().await, before);
    let uid = alice.sees(chat).await["uid"].as_str().expect("a uid").to_owned();
    let mallory = server.person("mallory").await;
    mallory.joins(uid).await.refused(403, "participants_join_public_rooms", "participants.2");
}

#[tokio::test]
async fn an_owner_deletes_the_group_for_everyone() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let (chat, admin) = (alice.group_with(&[&bob]).await, server.admin("admin").await);
    alice.adds(chat, &mallory, "moderator").await.expect_status(200);
    let everyone = format!("/chats/{chat}?scope=everyone");
    let before = server.database.db_rows().await;
    for person in [&bob, &mallory, &admin] {
        person.delete(&everyone).await.refused(403, "chats_are_deleted_by_owners", "chats.6");
    }
    assert_eq!(server.database.db_rows().await, before);
    for _ in 0..2 {
        alice.delete(&everyone).await.expect_status(204);
    }
    bob.get(&format!("/chats/{chat}")).await.refused(404, "chats_exist", "chats.2");
    bob.tries(chat, "hello?").await.refused(404, "chats_exist", "chats.2");
    alice.adds(chat, &bob, "member").await.refused(404, "chats_exist", "chats.2");
    alice.delete(&format!("/chats/{}?scope=everyone", uuid::Uuid::new_v4())).await.refused(404, "chats_exist", "chats.2");
}

#[tokio::test]
async fn who_comes_back_is_a_member() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    alice.says(chat, "one").await;
    alice.removes(chat, &bob).await.expect_status(204);
    alice.says(chat, "two").await;
    let path = format!("/chats/{chat}/participants/{}", bob.id);
    let back = alice.put(&path, json!({})).await.expect_status(200);
    assert_eq!(back.body["role"], "member");
    assert_eq!(bob.reads(chat).await, ["two", "one"]);
}

#[tokio::test]
async fn who_is_new_reads_from_the_beginning_or_from_where_they_joined() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&server.person("dave").await]).await;
    let old = alice.says(chat, "before").await;
    alice.adds(chat, &bob, "member").await.expect_status(200);
    assert_eq!(bob.reads(chat).await, ["before"]);

    server.database.db_set("history = 'since_join'").await;
    alice.adds(chat, &carol, "member").await.expect_status(200);
    alice.says(chat, "after").await;
    assert_eq!(carol.reads(chat).await, ["after"]);
    let seen = carol.sees(chat).await;
    assert_eq!((&seen["unreadCount"], &seen["lastMessage"]["text"]), (&json!(1), &json!("after")));
    let path = format!("/chats/{chat}/messages/{}", old["id"].as_str().expect("an id"));
    carol.get(&path).await.refused(404, "messages_exist", "messages.12");
    let around = format!("/chats/{chat}/messages?around={}", old["id"].as_str().expect("an id"));
    carol.get(&around).await.refused(404, "messages_exist", "messages.12");
    assert_eq!(bob.reads(chat).await, ["after", "before"], "who was there keeps what they had");
    assert_eq!(each(&carol.walks(&format!("/chats/{chat}/messages"), 1).await, "text"), ["after"]);
    // who leaves and is added again has missed what was said meanwhile
    bob.leaves(chat).await.expect_status(204);
    alice.says(chat, "meanwhile").await;
    alice.adds(chat, &bob, "member").await.expect_status(200);
    assert_eq!(bob.reads(chat).await, [""; 0]);
}

#[tokio::test]
async fn in_a_read_only_chat_owner_and_moderators_write() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    alice.adds(chat, &bob, "moderator").await.expect_status(200);
    let said = carol.says(chat, "hello").await;
    bob.patch(&format!("/chats/{chat}"), json!({ "readOnly": true })).await.expect_status(200);
    let path = format!("/chats/{chat}/messages/{}", said["id"].as_str().expect("an id"));
    let before = server.database.db_rows().await;
    let (rule, number) = ("messages_in_read_only_chats_are_moderators", "messages.18");
    carol.tries(chat, "may I?").await.refused(403, rule, number);
    carol.patch(&path, json!({ "text": "may I?" })).await.refused(403, rule, number);
    assert_eq!(server.database.db_rows().await, before);
    alice.says(chat, "quiet").await;
    bob.says(chat, "please").await;
    carol.delete(&path).await.expect_status(204);
    bob.patch(&format!("/chats/{chat}"), json!({ "readOnly": false })).await.expect_status(200);
    carol.says(chat, "thanks").await;
}
