//! Who hears what: strangers, those who are removed, visitors of rooms, moderators.

use serde_json::json;

use super::{listening, texts};
use crate::support::{Socket, TestServer};

#[tokio::test]
async fn a_stranger_hears_nothing_and_is_told_why() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let chat = alice.group_with(&[]).await;
    let mut socket = Socket::of(&mallory).await;
    let refusal = socket.ask(json!({ "type": "subscribe", "chatId": chat })).await;
    assert_eq!((&refusal["type"], &refusal["payload"]["code"]), (&json!("error"), &json!("chats_are_read_by_participants")));
    let none = uuid::Uuid::new_v4();
    let refusal = socket.ask(json!({ "type": "subscribe", "chatId": none })).await;
    assert_eq!(refusal["payload"]["code"], "chats_exist", "{refusal}");
    let mut hers = listening(&alice, chat).await;
    alice.says(chat, "a secret").await;
    hers.next_is("message.created").await;
    assert!(socket.so_far().await.is_empty());
}

#[tokio::test]
async fn who_is_removed_hears_that_and_nothing_more() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let (mut hers, mut his) = (listening(&alice, chat).await, listening(&bob, chat).await);
    // in one transaction: who is removed in it hears of nothing else in it
    let psql = server.database.db_as(alice.id).await;
    let all = format!(
        "begin;
         insert into chat.messages (chat_id, text) values ('{chat}', 'before he goes');
         update chat.participants set left_at = now() where chat_id = '{chat}' and user_id = '{}';
         insert into chat.messages (chat_id, text) values ('{chat}', 'after he went');
         commit",
        bob.id
    );
    psql.batch_execute(&all).await.expect(&all);
    alice.says(chat, "and later").await;
    let mut heard = Vec::new();
    while texts(&heard).last() != Some(&"and later") {
        heard.push(hers.next().await);
    }
    assert_eq!(his.next_is("chat.deleted").await["payload"]["id"], json!(chat));
    assert!(his.so_far().await.is_empty());
    let again = his.ask(json!({ "type": "subscribe", "chatId": chat })).await;
    assert_eq!(again["payload"]["code"], "chats_are_read_by_participants");
}

#[tokio::test]
async fn a_room_that_is_closed_falls_silent_for_those_who_are_not_in_it() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.admin("alice").await, server.person("bob").await, server.person("carol").await);
    server.database.db_set("anon_reads_public_rooms = true").await;
    let room = alice.room("square", "public").await;
    bob.joins(room).await.expect_status(200);
    let (mut hers, mut his, mut theirs) =
        (listening(&alice, room).await, listening(&bob, room).await, listening(&carol, room).await);
    let mut anybody = listening(&server.anon(), room).await;
    alice.says(room, "to all").await;
    for socket in [&mut hers, &mut his, &mut theirs, &mut anybody] {
        socket.next_is("message.created").await;
    }
    alice.patch(&format!("/chats/{room}"), json!({ "visibility": "private" })).await.expect_status(200);
    alice.says(room, "to us").await;
    assert_eq!(theirs.next_is("chat.deleted").await["payload"]["id"], json!(room));
    assert_eq!(anybody.next_is("chat.deleted").await["payload"]["id"], json!(room));
    let mut frame = his.next().await;
    while frame["payload"]["text"] != "to us" {
        frame = his.next().await;
    }
    assert!(theirs.so_far().await.is_empty() && anybody.so_far().await.is_empty());
}

#[tokio::test]
async fn a_new_role_is_a_reason_to_list_the_chat_anew() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut his = listening(&bob, chat).await;
    let member = format!("/chats/{chat}/participants/{}", bob.id);
    alice.put(&member, json!({ "role": "moderator" })).await.expect_status(200);
    assert_eq!(his.next_is("resync").await["payload"]["chatId"], json!(chat));
    let said = alice.says(chat, "soon gone").await["id"].as_str().expect("an id").to_owned();
    his.next_is("message.created").await;
    alice.delete(&format!("/chats/{chat}/messages/{said}")).await.expect_status(204);
    assert_eq!(his.next_is("message.deleted").await["payload"]["text"], "soon gone");
}

#[tokio::test]
async fn where_the_house_has_a_policy_everybody_is_told_what_it_lets_through() {
    let database = crate::support::Database::new().await;
    let installer = database.cluster.db_connect(crate::support::cluster::INSTALLER, &database.name).await;
    let policy = "create policy house_secrets on chat.messages as restrictive for select to authenticated
                  using (sender_id = chat.uid() or text not like '%secret%')";
    installer.batch_execute(policy).await.expect(policy);
    let server = TestServer::over(database, &[]).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (mut hers, mut his) = (listening(&alice, chat).await, listening(&bob, chat).await);
    alice.says(chat, "a secret of the house").await;
    alice.says(chat, "nothing much").await;
    assert_eq!(hers.next_is("message.created").await["payload"]["text"], "a secret of the house");
    assert_eq!(hers.next_is("message.created").await["payload"]["text"], "nothing much");
    let mut frames = vec![his.next().await];
    while texts(&frames).last() != Some(&"nothing much") {
        frames.push(his.next().await);
    }
    assert_eq!(texts(&frames), ["nothing much"], "{frames:?}");
}
