//! The list of one's chats: order, filters, what is unread.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Person, TestServer, each};

async fn names(person: &Person, query: &str) -> Vec<String> {
    let page = person.get(&format!("/chats{query}")).await.expect_status(200);
    each(page.data(), "name").iter().map(ToString::to_string).collect()
}

async fn group(person: &Person, name: &str, others: &[&Person]) -> Uuid {
    let ids: Vec<Uuid> = others.iter().map(|other| other.id).collect();
    person.post("/chats", json!({ "type": "group", "name": name, "participantIds": ids })).await.expect_status(201).id()
}

#[tokio::test]
async fn the_chat_with_the_newest_activity_stands_first() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (one, two) = (group(&alice, "one", &[&bob]).await, group(&alice, "two", &[&bob]).await);
    let three = group(&alice, "three", &[&bob]).await;
    assert_eq!(names(&alice, "").await, ["three", "two", "one"]);
    let said = bob.says(one, "hello").await;
    assert_eq!(names(&alice, "").await, ["one", "three", "two"]);
    alice.says(two, "hello").await;
    assert_eq!(names(&bob, "").await, ["two", "one", "three"]);
    // neither a name nor a newcomer is activity, and what is deleted was none
    alice.patch(&format!("/chats/{three}"), json!({ "topic": "tea" })).await.expect_status(200);
    alice.adds(three, &server.person("carol").await, "member").await.expect_status(200);
    bob.delete(&format!("/chats/{one}/messages/{}", said["id"].as_str().expect("an id"))).await.expect_status(204);
    assert_eq!(names(&bob, "").await, ["two", "three", "one"]);
    assert!(bob.sees(one).await.get("lastMessage").is_none());
    bob.leaves(two).await.expect_status(204);
    assert_eq!(names(&bob, "").await, ["three", "one"], "what one left is not one's own");
}

#[tokio::test]
async fn the_list_is_narrowed_by_type_and_by_name() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("Bob 100%").await, server.person("carol").await);
    alice.befriend(&bob).await;
    group(&alice, "Lunch_Club", &[&bob]).await;
    alice.room("the tea room", "private").await;
    alice.direct_with(&bob).await;
    alice.post("/chats", json!({ "type": "group", "participantIds": [carol.id] })).await.expect_status(201);
    let body = json!({ "name": "the event", "participantIds": [alice.id] });
    server.service().put("/events/e1/chats/event_authors", body).await.expect_status(201);

    for (kind, expected) in [
        ("direct", &["Bob 100%"][..]),
        ("group", &["@alice, @carol", "Lunch_Club"]),
        ("room", &["the tea room"]),
        ("event_authors", &["the event"]),
        ("approved_group", &[]),
    ] {
        assert_eq!(names(&alice, &format!("?type={kind}")).await, expected, "{kind}");
    }
    assert_eq!(names(&alice, "?query=LUNCH").await, ["Lunch_Club"]);
    assert_eq!(names(&alice, "?query=_").await, ["Lunch_Club"], "an underscore is an underscore");
    assert_eq!(names(&alice, "?query=bob").await, ["Bob 100%"], "a direct chat by the other's name");
    assert_eq!(names(&alice, "?query=CAROL").await, ["@alice, @carol"], "a group without a name by its people's");
    assert_eq!(names(&alice, "?query=the").await, ["the event", "the tea room"]);
    assert_eq!(names(&alice, "?query=the&type=room").await, ["the tea room"]);
    assert_eq!(names(&alice, "?query=nothing").await, [""; 0]);
    alice.get("/chats?type=club").await.invalid_at("type");
    alice.get("/chats?query=").await.invalid_at("query");
}

#[tokio::test]
async fn what_is_unread_is_counted_to_99_and_100_stands_for_more() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let unread = async |person: &Person| person.get("/chats").await.expect_status(200).data()[0]["unreadCount"].clone();
    let mut said = Vec::new();
    for n in 1..=98 {
        said.push(bob.says(chat, &format!("message {n}")).await);
    }
    assert_eq!(unread(&alice).await, 98);
    assert_eq!(unread(&bob).await, 0, "one's own words are read");
    bob.says(chat, "message 99").await;
    assert_eq!(unread(&alice).await, 99);
    alice.says(chat, "my own").await;
    assert_eq!(unread(&alice).await, 99);
    bob.says(chat, "message 100").await;
    assert_eq!(unread(&alice).await, 100);
    bob.says(chat, "message 101").await;
    assert_eq!(unread(&alice).await, 100);
    // two of them deleted, and 90 read
    for message in &said[..2] {
        bob.delete(&format!("/chats/{chat}/messages/{}", message["id"].as_str().expect("an id"))).await.expect_status(204);
    }
    assert_eq!(unread(&alice).await, 99, "what is deleted needs no reading");
    alice.put(&format!("/chats/{chat}/read"), json!({ "seq": said[89]["seq"] })).await.expect_status(200);
    assert_eq!(unread(&alice).await, 11);
    let head = alice.sees(chat).await["lastMessage"]["seq"].clone();
    alice.put(&format!("/chats/{chat}/read"), json!({ "seq": head })).await.expect_status(200);
    assert_eq!(unread(&alice).await, 0);
}

#[tokio::test]
async fn the_list_walks_both_ways() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    for n in 0..7 {
        let chat = group(&alice, &format!("group {n}"), &[&bob]).await;
        if n % 2 == 0 {
            alice.says(chat, "hello").await;
        }
    }
    let all = alice.walks("/chats", 200).await;
    assert_eq!(all.len(), 7);
    for limit in [1, 2, 3, 7] {
        assert_eq!(alice.walks("/chats", limit).await, all, "{limit} at a time");
        assert_eq!(alice.walks_back("/chats", limit).await, all, "{limit} at a time, back");
        assert_eq!(alice.walks("/chats?type=group&query=group", limit).await, all);
    }
    let newest = alice.page("/chats", 3, None).await.cursor("prevCursor").expect("a cursor towards newer ones");
    alice.says(all[6]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"), "news").await;
    let page = alice.page("/chats", 3, Some(&newest)).await;
    assert_eq!(each(page.data(), "id"), [all[6]["id"].as_str().expect("an id")], "what moved up is newer");
    alice.get("/chats?limit=0").await.invalid_at("limit");
    alice.get("/chats?limit=201").await.invalid_at("limit");
}
