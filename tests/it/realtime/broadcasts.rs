//! Broadcasts: told once to those who are in a chat, by every process, in order; stored nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tabletalk::app::App;
use uuid::Uuid;

use super::{heeding, public_room};
use crate::support::server::settings;
use crate::support::{Person, Socket, TestServer, eventually};

async fn broadcasts(person: &Person, chat: Uuid, body: Value) -> Value {
    person.post(&format!("/chats/{chat}/broadcasts"), body).await.expect_status(202).body["id"].clone()
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

/// The next frame is a broadcast of the chat: what it says.
async fn hears(socket: &mut Socket, chat: Uuid) -> Value {
    let frame = next(socket).await;
    assert_eq!((&frame["type"], &frame["chatId"]), (&json!("broadcast"), &json!(chat)), "{frame}");
    frame["payload"].clone()
}

#[tokio::test]
async fn what_is_broadcast_is_told_by_every_process_to_who_is_in_the_chat_and_kept_by_nobody() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let (mut here, mut there) = (heeding(&alice, room).await, heeding(&alice.at(other.url()), room).await);
    let (mut his, mut strangers) = (heeding(&bob, room).await, heeding(&mallory, room).await);

    let payload = json!({ "z": [1, { "y": null }], "a": "x\u{0}y" });
    let id = broadcasts(&bob, room, json!({ "event": "cursor", "payload": payload })).await;
    for socket in [&mut here, &mut there, &mut his] {
        let told = hears(socket, room).await;
        assert_eq!(told, json!({ "id": id, "userId": bob.id, "event": "cursor", "payload": payload }));
        assert_eq!(told["payload"].to_string(), payload.to_string(), "in the order in which it was said");
    }
    let bytes = STANDARD.encode([0, 255, 7]);
    let frame = json!({ "type": "broadcast", "chatId": room, "payload": { "event": "ink", "bytes": bytes } });
    let answer = his.ask(frame).await;
    assert_eq!(answer["type"], "ack", "{answer}");
    for socket in [&mut here, &mut there, &mut his] {
        let told = hears(socket, room).await;
        assert_eq!(told, json!({ "id": answer["payload"]["id"], "userId": bob.id, "event": "ink", "bytes": bytes }));
    }
    alice.says(room, "a word").await;
    assert_eq!(next(&mut strangers).await["type"], "message.created", "who only reads the room hears nothing of it");
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn broadcasts_of_one_after_the_other_are_told_in_order_and_each_once() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (mut here, mut there) = (heeding(&alice, chat).await, heeding(&alice.at(other.url()), chat).await);
    for n in 0..100 {
        broadcasts(&bob, chat, json!({ "event": "stroke", "payload": n })).await;
    }
    // much of it at once is told in several answers of the database
    let much = "x".repeat(250_000);
    let mut his = Socket::of(&bob).await;
    for n in 100..116 {
        his.say(&json!({ "type": "broadcast", "chatId": chat, "payload": { "event": "stroke", "payload": [n, much] } })).await;
    }
    for socket in [&mut here, &mut there] {
        for n in 0..116 {
            let told = hears(socket, chat).await;
            let number = if n < 100 { &told["payload"] } else { &told["payload"][0] };
            assert_eq!(number, &json!(n));
        }
    }
    alice.says(chat, "a word").await;
    assert_eq!(next(&mut here).await["type"], "message.created", "and nothing twice");
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn who_may_not_write_broadcasts_nothing_and_nobody_too_much() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let path = format!("/chats/{room}/broadcasts");
    let hello = json!({ "event": "hello" });
    mallory.post(&path, hello.clone()).await.refused(403, "broadcasts_are_sent_by_writers", "broadcasts.1");
    server.anon().post(&path, hello.clone()).await.expect_status(403);
    let nowhere = format!("/chats/{}/broadcasts", Uuid::new_v4());
    bob.post(&nowhere, hello.clone()).await.refused(404, "chats_exist", "chats.2");
    server.service().post(&nowhere, hello.clone()).await.refused(404, "chats_exist", "chats.2");
    for (body, code, rule) in [
        (json!({ "event": "" }), "broadcast_event_is_a_name", "broadcasts.2"),
        (json!({ "event": "x".repeat(256) }), "broadcast_event_is_a_name", "broadcasts.2"),
        (json!({ "event": "e", "payload": "x".repeat(262_143) }), "broadcast_is_short", "broadcasts.3"),
        (json!({ "event": "e", "bytes": STANDARD.encode(vec![0; 262_145]) }), "broadcast_is_short", "broadcasts.3"),
        (json!({ "event": "e", "bytes": "AA==", "payload": 1 }), "broadcast_has_one_content", "broadcasts.4"),
    ] {
        bob.post(&path, body).await.refused(422, code, rule);
    }
    for body in [json!({}), json!({ "event": "e", "bytes": "?" }), json!({ "event": "e", "more": 1 })] {
        bob.post(&path, body).await.expect_status(400);
    }
    alice.patch(&format!("/chats/{room}"), json!({ "readOnly": true })).await.expect_status(200);
    bob.post(&path, hello.clone()).await.refused(403, "messages_in_read_only_chats_are_moderators", "messages.18");
    let mut his = Socket::of(&bob).await;
    let answer = his.ask(json!({ "type": "broadcast", "chatId": room, "payload": hello })).await;
    assert_eq!((&answer["type"], &answer["payload"]["rule"]), (&json!("error"), &json!("messages.18")), "{answer}");
}

#[tokio::test]
async fn the_host_application_broadcasts_from_wherever_it_writes() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = heeding(&alice, chat).await;
    let id = broadcasts(&server.service(), chat, json!({ "event": "hello", "payload": 1 })).await;
    assert_eq!(hears(&mut hers, chat).await, json!({ "id": id, "event": "hello", "payload": 1 }));
    // in plain SQL, as a trigger of the host's would; what is more than the server reads is told to nobody
    let host = server.database.cluster.db_superuser(&server.database.name).await;
    host.batch_execute("set role service_role").await.expect("it may");
    for payload in ["1e999", &format!("{}1{}", "[".repeat(200), "]".repeat(200)), "{\"z\": 1, \"a\": 2}"] {
        host.execute("select chat.broadcast($1, 'sql', $2::text::json)", &[&chat, &payload]).await.expect("it may");
    }
    let told = hears(&mut hers, chat).await;
    assert_eq!((told["event"].as_str(), told["payload"].to_string()), (Some("sql"), "{\"z\":1,\"a\":2}".to_owned()));
}

#[tokio::test]
async fn a_forged_hint_tells_what_is_there_once_or_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let elsewhere = bob.group_with(&[]).await;
    let mut hers = heeding(&alice, chat).await;
    let id = broadcasts(&bob, chat, json!({ "event": "once" })).await.as_i64().expect("a number");
    assert_eq!(hears(&mut hers, chat).await["event"], "once");
    // one that is there, and is not for her, by the name of her chat
    let secret = broadcasts(&bob, elsewhere, json!({ "event": "secret" })).await.as_i64().expect("a number");
    let owner = server.database.db_owner().await;
    for n in [id, secret, 0, -1, i64::MAX] {
        for forged in [format!("w{chat}.{n}"), format!("{}:w{}.{n}", Uuid::new_v4().simple(), chat.simple())] {
            owner.execute("select pg_notify('chat', $1)", &[&forged]).await.expect("anybody may");
        }
    }
    bob.says(chat, "after all that").await;
    assert_eq!(next(&mut hers).await["payload"]["text"], "after all that", "and nothing of it was told");
    assert!(hers.so_far().await.is_empty());
}

#[tokio::test]
async fn after_a_crash_of_the_database_ids_begin_anew_and_all_is_told() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = heeding(&alice, chat).await;
    let before = broadcasts(&bob, chat, json!({ "event": "before" })).await;
    assert_eq!(hears(&mut hers, chat).await["event"], "before");
    // what Postgres does to unlogged tables and their sequences when it recovers
    let crash = "truncate chat_private.broadcasts restart identity";
    server.database.db_owner().await.batch_execute(crash).await.expect(crash);
    assert_eq!(broadcasts(&bob, chat, json!({ "event": "after" })).await, before);
    assert_eq!(hears(&mut hers, chat).await["event"], "after");
}

#[tokio::test]
async fn what_was_told_is_soon_forgotten() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let owner = server.database.db_owner().await;
    for _ in 0..3 {
        broadcasts(&alice, chat, json!({ "event": "hello" })).await;
    }
    let older = "update chat_private.broadcasts set told_at = told_at - interval '31 seconds' where id < (select max(id) from chat_private.broadcasts)";
    owner.batch_execute(older).await.expect(older);
    let left = "select count(*) from chat_private.broadcasts";
    eventually("the others are gone", async || owner.query_one(left, &[]).await.expect(left).get::<_, i64>(0) == 1).await;
}
