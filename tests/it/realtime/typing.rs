//! Who types: told to the others in the chat, stored nowhere, and believed of servers alone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletalk::app::App;
use tabletalk::dsn::Dsn;
use uuid::Uuid;

use super::{heeding, public_room};
use crate::support::cluster::Cluster;
use crate::support::server::settings;
use crate::support::{DEADLINE, Person, Socket, TestServer};

async fn types(person: &Person, chat: Uuid, body: Value) {
    person.post(&format!("/chats/{chat}/typing"), body).await.expect_status(204);
}

/// The next frame that is not about who is here.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = socket.next().await;
        if frame["type"] != "presence" {
            return frame;
        }
    }
}

/// The next frame says that somebody types, or does no more.
async fn hears(socket: &mut Socket, of: &Person, is_typing: bool) {
    let frame = next(socket).await;
    assert_eq!(frame["type"], "typing", "{frame}");
    let mut expected = json!({ "userId": of.id, "isTyping": is_typing });
    if is_typing {
        expected["expiresInMs"] = json!(6_000);
    }
    assert_eq!(frame["payload"], expected);
}

#[tokio::test]
async fn who_types_is_told_by_every_process_to_the_others_in_the_chat() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let (mut here, mut there) = (heeding(&alice, room).await, heeding(&alice.at(other.url()), room).await);
    let (mut his, mut strangers) = (heeding(&bob, room).await, heeding(&mallory, room).await);

    types(&bob, room, json!({})).await;
    for socket in [&mut here, &mut there] {
        hears(socket, &bob, true).await;
    }
    types(&bob, room, json!({ "isTyping": false })).await;
    for socket in [&mut here, &mut there] {
        hears(socket, &bob, false).await;
    }
    let answer = his.ask(json!({ "type": "typing", "chatId": room })).await;
    assert_eq!((answer["type"].as_str(), answer["payload"].clone()), (Some("ack"), json!({})), "{answer}");
    for socket in [&mut here, &mut there] {
        hears(socket, &bob, true).await;
    }
    alice.says(room, "a word").await;
    for (socket, why) in [(&mut his, "nobody is told of themselves"), (&mut strangers, "nor who only reads the room")] {
        assert_eq!(next(socket).await["type"], "message.created", "{why}");
    }
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn who_does_not_say_so_again_types_no_more() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = heeding(&alice, chat).await;
    types(&bob, chat, json!({ "isTyping": true })).await;
    hears(&mut hers, &bob, true).await;
    let begun = Instant::now();
    // at once again: what was just told is not told twice
    types(&bob, chat, json!({})).await;
    hears(&mut hers, &bob, false).await;
    assert!((4..9).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_may_not_write_does_not_type() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let path = format!("/chats/{room}/typing");
    mallory.post(&path, json!({})).await.refused(403, "messages_are_sent_by_participants", "messages.2");
    alice.patch(&format!("/chats/{room}"), json!({ "readOnly": true })).await.expect_status(200);
    bob.post(&path, json!({})).await.refused(403, "messages_in_read_only_chats_are_moderators", "messages.18");
    alice.post(&path, json!({})).await.expect_status(204);
    let mut his = Socket::of(&bob).await;
    let answer = his.ask(json!({ "type": "typing", "chatId": room, "payload": { "isTyping": true } })).await;
    assert_eq!((&answer["type"], &answer["payload"]["rule"]), (&json!("error"), &json!("messages.18")), "{answer}");
    let direct = {
        alice.befriend(&bob).await;
        alice.direct_with(&bob).await
    };
    alice.post(&format!("/chats/{direct}/typing"), json!({})).await.expect_status(204);
    bob.put(&format!("/blocks/{}", alice.id), json!({})).await.expect_status(201);
    let refused = alice.post(&format!("/chats/{direct}/typing"), json!({})).await;
    refused.refused(403, "direct_chats_pass_no_block", "direct.2");
}

#[tokio::test]
async fn what_an_ordinary_role_notifies_is_not_believed_nor_what_it_overheard() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    // one process hears what the other seals, and so may an ordinary login
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let url = server.database.api_url();
    let route = Dsn::parse(&Cluster::listen_url(&url).unwrap_or(url)).expect("a route");
    let (client, mut payloads) = route.connect_listening().await.expect("anybody may");
    client.batch_execute("set role authenticated; listen chat").await.expect("anybody may");
    let mut hers = heeding(&alice, chat).await;
    types(&bob.at(other.url()), chat, json!({})).await;
    hears(&mut hers, &bob, true).await;
    let overheard = tokio::time::timeout(DEADLINE, async {
        loop {
            let payload = payloads.recv().await.expect("a payload");
            if payload.starts_with('~') {
                return payload;
            }
        }
    });
    let overheard = overheard.await.expect("it is sealed");
    types(&bob.at(other.url()), chat, json!({ "isTyping": false })).await;
    hears(&mut hers, &bob, false).await;

    let (plain, process) = (format!("t{chat}.{}", bob.id), Uuid::new_v4().simple());
    let mut changed = overheard.clone().into_bytes();
    changed[20] ^= 1;
    let changed = String::from_utf8(changed).expect("a text");
    for forged in [&plain, &format!("{process}:{plain}"), &overheard, &changed, "~", "~AAAA", &overheard[..40]] {
        client.execute("select pg_notify('chat', $1)", &[&forged]).await.expect("anybody may");
    }
    // what the server is to send, nobody else has it send
    let typed = "set role chat_api; set chat.hints_to = 'server'";
    client.batch_execute(typed).await.expect(typed);
    bob.says(chat, "after all that").await;
    assert_eq!(next(&mut hers).await["payload"]["text"], "after all that", "and nothing of it was told");
    assert!(hers.so_far().await.is_empty());
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn thousands_of_keystrokes_are_told_once_a_second() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = heeding(&alice, chat).await;
    let begun = Instant::now();
    for _ in 0..50 {
        types(&bob, chat, json!({})).await;
    }
    let most = 2 + begun.elapsed().as_secs();
    bob.says(chat, "done").await;
    let mut told = 0;
    while next(&mut hers).await["type"] == "typing" {
        told += 1;
    }
    assert!((1..=most).contains(&told), "{told} in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20));
}
