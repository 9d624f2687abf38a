//! Search through the API.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Person, TestServer, fields};

/// What someone finds, newest first.
async fn finds(person: &Person, query: &str) -> Vec<String> {
    let hits = person.walks(&format!("/search?q={query}"), 200).await;
    hits.iter().map(|hit| hit["message"]["text"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn people_find_what_they_read_newest_first() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let (one, other) = (alice.group_with(&[&bob]).await, bob.group_with(&[&alice]).await);
    alice.says(one, "Wo ist der Käse?").await;
    bob.says(other, "the cheese is in the kitchen").await;
    let said = alice.says(one, "der KASE ist weg").await;
    assert_eq!(finds(&bob, "k%C3%A4se").await, ["der KASE ist weg", "Wo ist der Käse?"]);
    assert_eq!(finds(&bob, "ist%20-wo").await, ["der KASE ist weg"]);
    assert_eq!(finds(&alice, "%22the%20cheese%22").await, ["the cheese is in the kitchen"]);
    assert_eq!(finds(&alice, &format!("ka&chatId={one}&senderId={}", bob.id)).await, [""; 0]);
    assert_eq!(finds(&mallory, "kase").await, [""; 0]);
    let found = bob.get("/search?q=weg").await.expect_status(200);
    let [hit] = &found.data()[..] else { panic!("one hit: {}", found.body) };
    assert_eq!(fields(hit), ["highlights", "message"]);
    assert_eq!(hit["message"], said, "the same as everywhere");
    assert_eq!(hit["highlights"], json!([{ "text": "der KASE ist ", "hit": false }, { "text": "weg", "hit": true }]));
}

#[tokio::test]
async fn a_walk_through_what_was_found_finds_each_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chats = [alice.group_with(&[&bob]).await, alice.group_with(&[&bob]).await, bob.group_with(&[&alice]).await];
    for n in 0..90 {
        // the first chat has enough for a page of the index
        alice.says(chats[if n < 75 { 0 } else { n % 3 }], &format!("word {n}")).await;
    }
    let texts =
        |hits: Vec<Value>| hits.iter().map(|hit| hit["message"]["text"].as_str().unwrap_or_default().to_owned()).collect();
    let expected: Vec<String> = (0..90).rev().map(|n| format!("word {n}")).collect();
    for limit in [1, 7, 90] {
        let walked: Vec<String> = texts(bob.walks("/search?q=word", limit).await);
        assert_eq!(walked, expected, "{limit} at a time");
        let back: Vec<String> = texts(bob.walks_back("/search?q=word", limit).await);
        assert_eq!(back, expected, "{limit} at a time, back");
    }
    let page = bob.page("/search?q=word", 5, None).await;
    let newer = page.cursor("prevCursor").expect("a cursor towards newer");
    alice.says(chats[1], "one more word").await;
    let hits = bob.page("/search?q=word", 5, Some(&newer)).await;
    assert_eq!(texts(hits.data().clone()) as Vec<String>, ["one more word"], "what was said since is found from there");
    let at = page.data()[2]["message"]["createdAt"].as_str().expect("a time").to_owned();
    assert_eq!(bob.get(&format!("/search?q=word&createdAfter={at}")).await.data().len(), 3);
    assert_eq!(bob.get(&format!("/search?q=word&createdBefore={at}&limit=200")).await.data().len(), 87);
}

#[tokio::test]
async fn a_search_that_is_none_says_so() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let chat = alice.group_with(&[]).await;
    alice.says(chat, "something").await;
    for nothing in ["", "%20", "%3F%21", "-something", "%22%22", "%00"] {
        let answer = alice.get(&format!("/search?q={nothing}")).await;
        assert!([400, 422].contains(&answer.status), "{nothing}: {} {}", answer.status, answer.body);
    }
    alice.get("/search?q=-something").await.refused(422, "searches_have_a_word", "search.2");
    alice.get(&format!("/search?q={}", "x".repeat(501))).await.refused(422, "searches_are_short", "search.3");
    alice.get("/search").await.invalid_at("q");
    alice.get("/search?q=x&limit=201").await.invalid_at("limit");
    alice.get("/search?q=x&cursor=x").await.invalid_at("cursor");
    alice.get("/search?q=x&createdAfter=yesterday").await.invalid_at("createdAfter");
    let list = alice.page(&format!("/chats/{chat}/messages"), 1, None).await.cursor("prevCursor").expect("a cursor");
    alice.get(&format!("/search?q=x&cursor={list}")).await.invalid_at("cursor");
    server.service().get("/search?q=x").await.refused(422, "searches_of_the_host_are_of_one_chat", "search.4");
    let there = format!("/search?q=something&chatId={chat}");
    mallory.get(&there).await.refused(403, "chats_are_read_by_participants", "chats.1");
    assert_eq!(alice.get(&there).await.expect_status(200).data().len(), 1);
    alice.get(&format!("/search?q=x&chatId={}", Uuid::new_v4())).await.refused(404, "chats_exist", "chats.2");
}

#[tokio::test]
async fn a_walk_is_in_order_of_time_whatever_was_imported_when() {
    let server = TestServer::start().await;
    let (alice, service) = (server.person("alice").await, server.service());
    let chat = alice.group_with(&[]).await;
    // each of these is older than the one before, and none fills a page of the index
    for year in [2022, 2021, 2020] {
        let history: Vec<Value> = (0..20)
            .map(|n| json!({ "senderId": alice.id, "text": format!("word {year} {n}"), "createdAt": format!("{year}-01-01T00:00:{n:02}Z") }))
            .collect();
        service.post(&format!("/chats/{chat}/import"), json!({ "messages": history })).await.expect_status(200);
    }
    alice.says(chat, "a word of today").await;
    for limit in [1, 7, 200] {
        let hits = alice.walks("/search?q=word", limit).await;
        let times: Vec<&str> = hits.iter().map(|hit| hit["message"]["createdAt"].as_str().expect("a time")).collect();
        assert!(times.is_sorted_by(|a, b| a > b), "{limit} at a time: {times:?}");
        assert_eq!(times.len(), 61, "{limit} at a time");
    }
}
