//! Sending, and sending again.

use serde_json::{Value, json};
use uuid::Uuid;

use super::path;
use crate::support::{TestServer, fields};

#[tokio::test]
async fn a_message_says_what_it_is_and_leaves_out_what_it_has_not() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let sent = alice.tries(chat, "hello").await.expect_status(201);
    let plain = ["chatId", "createdAt", "id", "kind", "mentions", "reactions", "rev", "senderId", "senderName", "seq", "text"];
    assert_eq!(fields(&sent.body), plain);
    assert_eq!(sent.headers["location"], path(&sent.body));
    assert_eq!((&sent.body["chatId"], &sent.body["senderId"]), (&json!(chat), &json!(alice.id)));
    assert_eq!((&sent.body["senderName"], &sent.body["kind"]), (&json!("alice"), &json!("user")));
    assert_eq!((&sent.body["text"], &sent.body["mentions"]), (&json!("hello"), &json!([])));
    assert!(sent.body["seq"].is_i64() && sent.body["seq"] == sent.body["rev"], "{}", sent.body);
    assert_eq!(sent.id().get_version_num(), 7);
    assert_eq!(bob.get(&path(&sent.body)).await.expect_status(200).body, sent.body);
    let page = bob.get(&format!("/chats/{chat}/messages")).await.expect_status(200);
    assert_eq!(page.data(), std::slice::from_ref(&sent.body));

    let whole = json!({
        "id": Uuid::now_v7(), "text": "look, @bob", "replyToId": sent.id(),
        "attachmentUrl": "https://example.com/a%20b.png?x=1#y", "mentions": [bob.id],
    });
    let reply = alice.post(&format!("/chats/{chat}/messages"), whole.clone()).await.expect_status(201);
    for field in ["id", "text", "replyToId", "attachmentUrl", "mentions"] {
        assert_eq!(reply.body[field], whole[field], "{field}");
    }
    assert!(reply.body["seq"].as_i64() > sent.body["seq"].as_i64());
    assert_eq!(bob.get(&path(&reply.body)).await.expect_status(200).body, reply.body);
}

#[tokio::test]
async fn what_changes_after_sending_does_not_refuse_sending_again() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    let (group, direct) = (alice.group_with(&[&bob]).await, alice.direct_with(&bob).await);
    let parent = alice.says(group, "what is answered").await;
    let reply = json!({ "id": Uuid::now_v7(), "text": "an answer of some length", "replyToId": parent["id"] });
    let letter = json!({ "id": Uuid::now_v7(), "text": "a letter of some length" });
    let sent = [(group, &reply), (direct, &letter)];
    for (chat, message) in sent {
        bob.post(&format!("/chats/{chat}/messages"), message.clone()).await.expect_status(201);
    }
    alice.delete(&path(&parent)).await.expect_status(204);
    alice.patch(&format!("/chats/{group}"), json!({ "readOnly": true })).await.expect_status(200);
    alice.put(&format!("/blocks/{}", bob.id), json!({})).await.expect_status(201);
    server.database.db_set("text_max = 5").await;
    for (chat, message) in sent {
        let again = bob.post(&format!("/chats/{chat}/messages"), message.clone()).await.expect_status(200);
        assert_eq!(again.body["text"], message["text"]);
        let mut another = message.clone();
        another["id"] = json!(Uuid::now_v7());
        bob.post(&format!("/chats/{chat}/messages"), another).await.one_of(&[403, 422]);
    }
}

#[tokio::test]
async fn sending_an_id_again_is_sending_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let path = format!("/chats/{chat}/messages");
    let message = json!({ "id": Uuid::now_v7(), "text": "once" });
    let sent = alice.post(&path, message.clone()).await.expect_status(201);
    let again = alice.post(&path, message.clone()).await.expect_status(200);
    assert_eq!(sent.body, again.body);
    assert!(!again.headers.contains_key("location"));
    let otherwise = json!({ "id": sent.id(), "text": "twice" });
    assert_eq!(alice.post(&path, otherwise).await.expect_status(200).body, sent.body, "what is stored is the answer");
    bob.post(&path, message.clone()).await.refused(409, "message_id_is_taken", "messages.13");
    let other = alice.group_with(&[&bob]).await;
    alice.post(&format!("/chats/{other}/messages"), message.clone()).await.expect_status(201);

    alice.delete(&format!("{path}/{}", sent.id())).await.expect_status(204);
    alice.delete(&format!("{path}/{}", sent.id())).await.expect_status(204);
    let before = server.database.db_rows().await;
    alice.post(&path, message.clone()).await.refused(409, "message_id_was_used", "messages.14");
    bob.post(&path, message.clone()).await.refused(409, "message_id_was_used", "messages.14");
    server.person("mallory").await.post(&path, message).await.refused(403, "messages_are_sent_by_participants", "messages.2");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn ten_who_send_the_same_id_at_once_send_it_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let message = json!({ "id": Uuid::now_v7(), "text": "once" });
    let tries: Vec<_> = (0..10)
        .map(|_| {
            let (alice, message) = (alice.clone(), message.clone());
            tokio::spawn(async move { alice.post(&format!("/chats/{chat}/messages"), message).await })
        })
        .collect();
    let mut made = 0;
    for attempt in tries {
        made += usize::from(attempt.await.expect("an answer").one_of(&[200, 201]).status == 201);
    }
    assert_eq!(made, 1);
    assert_eq!(bob.reads(chat).await, ["once"]);
}

#[tokio::test]
async fn participants_send_as_themselves_while_they_are_in_the_chat() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob, &mallory]).await;
    alice.removes(chat, &mallory).await.expect_status(204);
    let before = server.database.db_rows().await;
    mallory.tries(chat, "x").await.refused(403, "messages_are_sent_by_participants", "messages.2");
    alice.tries(Uuid::new_v4(), "x").await.refused(404, "chats_exist", "chats.2");
    server.anon().tries(chat, "x").await.problem(403, "not_allowed");
    for forged in ["senderId", "kind", "seq", "rev", "createdAt", "pinnedAt"] {
        let body = json!({ "text": "x", forged: "y" });
        alice.post(&format!("/chats/{chat}/messages"), body).await.invalid_at(&format!("/{forged}"));
    }
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_message_that_breaks_a_rule_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (chat, other) = (alice.group_with(&[&bob]).await, alice.group_with(&[&bob]).await);
    let elsewhere = alice.says(other, "elsewhere").await;
    let deleted = alice.says(chat, "deleted").await;
    alice.delete(&path(&deleted)).await.expect_status(204);
    let before = server.database.db_rows().await;
    let send = async |body: Value| alice.post(&format!("/chats/{chat}/messages"), body).await;
    for blank in ["", " ", "\n\t ", "\u{2003}"] {
        send(json!({ "text": blank })).await.refused(422, "messages_text_is_not_blank", "messages.7");
    }
    let (rule, number) = ("messages_reply_within_their_chat", "messages.9");
    for reply in [&elsewhere["id"], &deleted["id"], &json!(Uuid::new_v4())] {
        send(json!({ "text": "x", "replyToId": reply })).await.refused(422, rule, number);
    }
    let (rule, number) = ("messages_attachment_url_is_a_link", "messages.16");
    let long = format!("https://example.com/{}", "x".repeat(1981));
    for link in ["", "javascript:alert(1)", "file:///etc/passwd", "https://", "https://a b", "data:text/html,x", &long] {
        send(json!({ "text": "x", "attachmentUrl": link })).await.refused(422, rule, number);
    }
    let many: Vec<Uuid> = (0..51).map(|_| Uuid::new_v4()).collect();
    send(json!({ "text": "x", "mentions": many })).await.refused(422, "messages_mention_a_few", "messages.17");
    send(json!({ "text": "x", "mentions": [null] })).await.invalid_at("/mentions/0");
    send(json!({ "text": "x", "mentions": "bob" })).await.invalid_at("/mentions");
    send(json!({ "text": 1 })).await.invalid_at("/text");
    send(json!({ "text": null })).await.invalid_at("/text");
    send(json!({ "text": "x", "id": "1" })).await.invalid_at("/id");
    assert_eq!(server.database.db_rows().await, before);
    send(json!({ "text": "x", "mentions": many[..50] })).await.expect_status(201);
    send(json!({ "text": "x", "attachmentUrl": long[..2000] })).await.expect_status(201);
}

#[tokio::test]
async fn the_host_speaks_as_the_system() {
    let server = TestServer::start().await;
    let (alice, service) = (server.person("alice").await, server.service());
    let body = json!({ "participantIds": [alice.id] });
    let chat = service.put("/events/e1/chats/event_authors", body).await.expect_status(201).id();
    let sent = service.tries(chat, "the event was moved").await.expect_status(201);
    assert_eq!(sent.body["kind"], "system");
    assert_eq!((sent.body.get("senderId"), sent.body.get("senderName")), (None, None));
    let read = alice.get(&path(&sent.body)).await.expect_status(200);
    assert_eq!(read.body, sent.body);
    let seen = alice.sees(chat).await;
    assert_eq!((&seen["lastMessage"]["text"], &seen["unreadCount"]), (&json!("the event was moved"), &json!(1)));
    assert_eq!(fields(&seen["lastMessage"]), ["createdAt", "id", "seq", "text"]);
    // again, safely: the system is one sender
    let message = json!({ "id": sent.id(), "text": "the event was moved" });
    service.post(&format!("/chats/{chat}/messages"), message).await.expect_status(200);
    alice.patch(&path(&sent.body), json!({ "text": "x" })).await.refused(
        403,
        "messages_are_edited_by_their_sender",
        "messages.3",
    );
    service.delete(&path(&sent.body)).await.expect_status(204);
    service.tries(Uuid::new_v4(), "x").await.refused(404, "chats_exist", "chats.2");
}
