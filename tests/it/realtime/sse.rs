//! Server-sent events.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::stream::{Events, Said};
use crate::support::{DEADLINE, Person, Socket, TestServer, eventually};

pub type Happened = (String, Option<String>, Value);

/// Opens a stream, and looks at what a proxy or a browser would look at.
pub async fn open(person: &Person, path: &str, last: Option<&str>) -> Events {
    let answer = Events::ask(person, path, last).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().expect("a text").to_owned();
    assert_eq!((header("content-type").as_str(), header("cache-control").as_str()), ("text/event-stream", "no-cache"));
    assert_eq!(header("x-accel-buffering"), "no", "a proxy must not keep it");
    assert!(!answer.headers().contains_key("content-encoding"), "what is said now would wait for what is said later");
    Events::of(answer)
}

impl Events {
    pub async fn happened(&mut self) -> Option<Happened> {
        loop {
            if let Said::Event(name, id, data) = timeout(DEADLINE, self.next()).await.expect("something in time")? {
                return Some((name, id, data));
            }
        }
    }

    /// The next event; who comes and goes meanwhile is passed over, if that is not what is waited for.
    async fn named(&mut self, name: &str) -> Happened {
        loop {
            let event = self.happened().await.expect("an event");
            if event.0 == name {
                return event;
            }
            assert_eq!(event.0, "presence", "{name} was waited for: {event:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_a_chat_goes_on_from_the_last_event() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let path = format!("/chats/{chat}/stream");
    let mut events = open(&bob, &path, None).await;
    let (_, begun, frame) = events.named("subscribed").await;
    let head = frame["payload"]["headRev"].to_string();
    assert!(begun.is_some_and(|id| id.starts_with(&head)), "who loses the line before anything happens goes on from here");
    alice.says(chat, "one").await;
    let (_, id, frame) = events.named("message.created").await;
    let (rev, epoch) = id.as_deref().and_then(|id| id.split_once('-')).expect("a rev and an epoch");
    assert_eq!((frame["payload"]["text"].as_str(), frame["rev"].to_string().as_str()), (Some("one"), rev));
    drop(events);
    // a database that was restored or has failed over: what the rev says holds no more
    let elsewhere = format!("{rev}-{}", epoch.replace(|_| true, "0"));
    let mut events = open(&bob, &path, Some(&elsewhere)).await;
    events.named("subscribed").await;
    events.named("resync").await;
    drop(events);
    alice.says(chat, "two").await;
    let mut events = open(&bob, &path, id.as_deref()).await;
    events.named("subscribed").await;
    alice.says(chat, "three").await;
    for expected in ["two", "three"] {
        assert_eq!(events.named("message.created").await.2["payload"]["text"], expected);
    }
    alice.delete(&format!("/chats/{chat}/participants/{}", bob.id)).await.expect_status(204);
    let mut last = events.happened().await.expect("an event");
    while last.0 != "chat.deleted" {
        last = events.happened().await.expect("an event");
    }
    assert_eq!(events.happened().await.map(|event| event.0), None, "it ends");
}

#[tokio::test]
async fn a_stream_of_all_chats_hears_of_new_ones() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mut events = open(&bob, "/stream", None).await;
    let (_, id, _) = events.named("position").await;
    assert!(id.is_some_and(|id| !id.is_empty()));
    let chat = alice.group_with(&[&bob]).await;
    assert_eq!(events.named("chat.created").await.2["chatId"], json!(chat));
    alice.says(chat, "hello").await;
    assert_eq!(events.named("message.created").await.2["payload"]["text"], "hello");
}

#[tokio::test]
async fn who_may_not_read_a_chat_is_told_so_before_it_begins() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let chat = alice.group_with(&[]).await;
    let refused = mallory.get(&format!("/chats/{chat}/stream")).await.expect_status(403);
    assert_eq!(refused.body["code"], "chats_are_read_by_participants");
    assert_eq!(server.nobody().get("/stream").await.expect_status(401).body["code"], "token_missing");
    let by_address = format!("/chats/{chat}/stream?token={}", mallory.token());
    server.nobody().get(&by_address).await.expect_status(403);
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_by_name_and_not_taken_for_the_beginning() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    for path in ["/stream".to_owned(), format!("/chats/{chat}/stream")] {
        for since in ["", "x", "-1"] {
            alice.get(&format!("{path}?since={since}")).await.invalid_at("since");
        }
        let answer = Events::ask(&alice, &path, Some("x")).await.expect("an answer");
        assert_eq!(answer.json::<Value>().await.expect("a problem")["errors"][0]["pointer"], "Last-Event-ID");
        // who was told no id yet sends an empty header
        let begun = Events::ask(&alice, &path, Some("")).await.expect("an answer");
        assert_eq!(begun.status(), 200);
        let answer = Events::ask(&alice, &format!("{path}?since=x"), Some("")).await.expect("an answer");
        assert_eq!(answer.json::<Value>().await.expect("a problem")["errors"][0]["pointer"], "since");
    }
    alice.get("/chats/x/stream").await.invalid_at("chatId");
}

#[tokio::test]
async fn what_stands_in_no_log_is_streamed_as_well_and_bears_no_id() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let seq = alice.says(chat, "read this").await["seq"].clone();
    let path = format!("/chats/{chat}/stream");
    let mut events = open(&alice, &path, None).await;
    events.named("subscribed").await;
    let _his = Socket::of(&bob).await;
    let (_, id, frame) = events.named("presence").await;
    assert_eq!((id, &frame["payload"]), (None, &json!({ "userId": bob.id, "status": "online" })));
    bob.put(&format!("/chats/{chat}/read"), json!({ "seq": seq })).await.expect_status(200);
    let (_, id, frame) = events.named("read").await;
    assert_eq!((id, &frame["chatId"], &frame["payload"]["lastReadSeq"]), (None, &json!(chat), &seq));
    bob.post(&format!("/chats/{chat}/typing"), json!({})).await.expect_status(204);
    let (_, id, frame) = events.named("typing").await;
    assert_eq!((id, &frame["payload"]["isTyping"]), (None, &json!(true)));
    // who streams is here for as long
    let alices = async || {
        let page = bob.get(&format!("/chats/{chat}/presence")).await.expect_status(200);
        page.data().iter().find(|one| one["userId"] == json!(alice.id)).map(|one| one["status"].clone())
    };
    eventually("alice is here", async || alices().await == Some(json!("online"))).await;
    drop(events);
    eventually("alice is gone", async || alices().await == Some(json!("offline"))).await;
}
