//! Server-sent events.

use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{DEADLINE, Person, TestServer};

/// A stream of events: name, id, data.
struct Events<S> {
    bytes: S,
    text: String,
}

type Happened = (String, Option<String>, Value);

/// Opens one; `last` is the id that a browser would name.
async fn open(person: &Person, path: &str, last: Option<&str>) -> Events<impl Stream<Item = Vec<u8>> + Unpin> {
    let mut request = person.request(reqwest::Method::GET, path).header("accept-encoding", "gzip");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().expect("a text").to_owned();
    assert_eq!((header("content-type").as_str(), header("cache-control").as_str()), ("text/event-stream", "no-cache"));
    assert_eq!(header("x-accel-buffering"), "no", "a proxy must not keep it");
    assert!(!answer.headers().contains_key("content-encoding"), "what is said now would wait for what is said later");
    let bytes = answer.bytes_stream().filter_map(async |bytes| bytes.ok().map(|bytes| bytes.to_vec())).boxed();
    Events { bytes, text: String::new() }
}

impl<S: Stream<Item = Vec<u8>> + Unpin> Events<S> {
    async fn next(&mut self) -> Option<Happened> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned());
                if let Some(data) = line("data:") {
                    return Some((line("event:").unwrap_or_default(), line("id:"), serde_json::from_str(&data).expect("JSON")));
                }
                continue;
            }
            let bytes = timeout(DEADLINE, self.bytes.next()).await.expect("something in time")?;
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    async fn named(&mut self, name: &str) -> Happened {
        let event = self.next().await.expect("an event");
        assert_eq!(event.0, name, "{event:?}");
        event
    }
}

#[tokio::test]
async fn a_stream_of_a_chat_goes_on_from_the_last_event() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let path = format!("/chats/{chat}/stream");
    let mut events = open(&bob, &path, None).await;
    events.named("subscribed").await;
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
    let mut last = events.next().await.expect("an event");
    while last.0 != "chat.deleted" {
        last = events.next().await.expect("an event");
    }
    assert_eq!(events.next().await.map(|event| event.0), None, "it ends");
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
    alice.get(&format!("/chats/{chat}/stream?since=x")).await.expect_status(400);
    let by_address = format!("/chats/{chat}/stream?token={}", mallory.token());
    server.nobody().get(&by_address).await.expect_status(403);
}
