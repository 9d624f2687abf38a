//! A walk through a chat, either way, while others write: every message that existed throughout is seen exactly once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::path;
use crate::support::{Person, TestServer, each};

async fn conversation(people: &[&Person], chat: Uuid, length: usize) -> Vec<Value> {
    let mut said = Vec::new();
    for n in 0..length {
        said.push(people[n % people.len()].says(chat, &format!("message {n}")).await);
    }
    said
}

fn newest_first(said: &[Value]) -> Vec<&str> {
    let mut ids = each(said, "id");
    ids.reverse();
    ids
}

#[tokio::test]
async fn pages_of_any_size_add_up_to_the_conversation() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let list = format!("/chats/{chat}/messages");
    let empty = alice.get(&list).await.expect_status(200);
    assert_eq!(empty.body, json!({ "data": [], "nextCursor": null, "prevCursor": null }));
    let said = conversation(&[&alice, &bob], chat, 53).await;
    for limit in [1, 7, 52, 53, 54, 500] {
        assert_eq!(each(&bob.walks(&list, limit).await, "id"), newest_first(&said), "{limit} at a time");
        assert_eq!(each(&bob.walks_back(&list, limit).await, "id"), newest_first(&said), "{limit} at a time, back");
    }
    let page = bob.get(&list).await.expect_status(200);
    assert_eq!((page.data().len(), page.cursor("nextCursor").is_some()), (50, true), "50 when nobody says how many");
    let all = bob.page(&list, 53, None).await;
    assert_eq!(all.cursor("nextCursor"), None, "the end is known without asking again");
    let newest = all.cursor("prevCursor").expect("a cursor to keep");
    let nothing = bob.page(&list, 10, Some(&newest)).await;
    assert_eq!((nothing.data().len(), nothing.cursor("prevCursor")), (0, Some(newest.clone())), "to be asked again");
    let news = alice.says(chat, "news").await;
    assert_eq!(bob.page(&list, 10, Some(&newest)).await.data(), &[news]);
}

#[tokio::test]
async fn a_page_lies_around_a_message_and_goes_on_both_ways() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let list = format!("/chats/{chat}/messages");
    let said = conversation(&[&alice, &bob], chat, 21).await;
    let all = newest_first(&said);
    for place in [0, 1, 10, 19, 20] {
        for limit in [1, 2, 5, 500] {
            let around = format!("{list}?around={}&limit={limit}", all[place]);
            let page = bob.get(&around).await.expect_status(200);
            let mut seen: Vec<String> = each(page.data(), "id").iter().map(ToString::to_string).collect();
            assert!(seen.len() <= limit && seen.contains(&all[place].to_owned()), "{around}: {seen:?}");
            let (mut older, mut newer) = (page.cursor("nextCursor"), page.cursor("prevCursor"));
            while let Some(cursor) = older {
                let page = bob.page(&list, 3, Some(&cursor)).await;
                seen.extend(each(page.data(), "id").iter().map(ToString::to_string));
                older = page.cursor("nextCursor");
            }
            while let Some(cursor) = newer {
                let page = bob.page(&list, 3, Some(&cursor)).await;
                seen.splice(0..0, each(page.data(), "id").iter().map(ToString::to_string));
                newer = page.cursor("prevCursor").filter(|_| !page.data().is_empty());
            }
            assert_eq!(seen, all, "around {place}, {limit} at a time");
        }
    }
    bob.get(&format!("{list}?around={}", Uuid::new_v4())).await.refused(404, "messages_exist", "messages.12");
    bob.get(&format!("{list}?around=x")).await.invalid_at("around");
    let cursor = bob.page(&list, 1, None).await.cursor("nextCursor").expect("a cursor");
    bob.get(&format!("{list}?around={}&cursor={cursor}", all[0])).await.invalid_at("around");
    let elsewhere = alice.says(alice.group_with(&[&bob]).await, "elsewhere").await;
    let around = format!("{list}?around={}", elsewhere["id"].as_str().expect("an id"));
    bob.get(&around).await.refused(404, "messages_exist", "messages.12");
}

#[tokio::test]
async fn a_cursor_that_is_not_of_this_list_is_refused() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    conversation(&[&alice], chat, 2).await;
    let list = format!("/chats/{chat}/messages");
    alice.befriend(&bob).await;
    alice.put(&format!("/blocks/{}", server.person("mallory").await.id), json!({})).await.expect_status(201);
    let people = format!("/chats/{chat}/participants");
    let lists = ["/users", "/friends", "/blocks", "/chats", &people, &list];
    for of in lists {
        let cursor = alice.page(of, 1, None).await.cursor("prevCursor").expect("a cursor");
        for other in lists.iter().filter(|other| **other != of) {
            alice.get(&format!("{other}?cursor={cursor}")).await.invalid_at("cursor");
        }
    }
    // -, +x, a place beyond all, none and two, an id that is none; and no base64 at all
    let encoded = [
        "",
        "x",
        "LQ",
        "K3g",
        "LW1lc3NhZ2VzLzkyMjMzNzIwMzY4NTQ3NzU4MDg",
        "LW1lc3NhZ2VzLw",
        "LW1lc3NhZ2VzLzEvMg",
        "LXVzZXJzLzEveA",
    ];
    for garbage in encoded.into_iter().chain(["%00", "%F0%9F%98%80", "*", &"A".repeat(5000)]) {
        for list in lists {
            alice.get(&format!("{list}?cursor={garbage}")).await.invalid_at("cursor");
        }
    }
    for limit in ["0", "501", "-1", "x", "1.5", "", "4294967296"] {
        alice.get(&format!("{list}?limit={limit}")).await.invalid_at("limit");
    }
    for at_the_edge in [
        "LW1lc3NhZ2VzLy05MjIzMzcyMDM2ODU0Nzc1ODA3",
        "K21lc3NhZ2VzLzkyMjMzNzIwMzY4NTQ3NzU4MDc",
        "LW1lc3NhZ2VzLy05MjIzMzcyMDM2ODU0Nzc1ODA4",
    ] {
        alice.get(&format!("{list}?cursor={at_the_edge}")).await.expect_status(200);
    }
}

/// Sends, edits and deletes until told to stop; the first messages stay, whatever happens to their texts.
async fn disturb(person: Person, chat: Uuid, kept: Vec<String>, stop: Arc<AtomicBool>) -> usize {
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let new = person.says(chat, &format!("new {rounds}")).await;
        let edit = json!({ "text": format!("edited {rounds}") });
        // somebody else's cannot be edited, and that is no matter
        person.patch(&kept[(rounds * 7) % kept.len()], edit).await.one_of(&[200, 403]);
        if rounds.is_multiple_of(2) {
            person.delete(&path(&new)).await.expect_status(204);
        }
        rounds += 1;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_existed_throughout_a_walk_is_seen_exactly_once_whatever_others_do() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let list = format!("/chats/{chat}/messages");
    // every other one goes while the walk is on
    let (mut kept, mut doomed) = (Vec::new(), Vec::new());
    for (n, message) in conversation(&[&alice, &bob], chat, 120).await.into_iter().enumerate() {
        if n % 2 == 0 { kept.push(message) } else { doomed.push(message) }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let paths: Vec<String> = kept.iter().map(path).collect();
    let mut others: Vec<_> =
        [&alice, &bob].map(|person| tokio::spawn(disturb(person.clone(), chat, paths.clone(), Arc::clone(&stop)))).into();
    let (owner, gone) = (alice.clone(), doomed.iter().map(path).collect::<Vec<_>>());
    others.push(tokio::spawn(async move {
        for path in &gone {
            owner.delete(path).await.expect_status(204);
        }
        gone.len()
    }));
    let (session, undecided) = (server.database.db_as(bob.id).await, Arc::clone(&stop));
    others.push(tokio::spawn(async move {
        let mut rounds = 0;
        while !undecided.load(Ordering::Relaxed) {
            let said = format!("insert into chat.messages (chat_id, text) values ('{chat}', 'never said {rounds}')");
            let edited =
                format!("update chat.messages set text = 'never edited' where chat_id = '{chat}' and sender_id = chat.uid()");
            session.batch_execute(&format!("begin; {said}; {edited}; rollback")).await.expect("undone");
            rounds += 1;
        }
        rounds
    }));
    // carol is a member: what is deleted she does not see
    for limit in [1, 3, 10] {
        for items in [carol.walks(&list, limit).await, carol.walks_back_to(&list, limit, &kept[kept.len() - 1]).await] {
            let mut times: HashMap<&str, usize> = HashMap::new();
            for id in each(&items, "id") {
                *times.entry(id).or_default() += 1;
            }
            for message in &kept {
                let id = message["id"].as_str().expect("an id");
                assert_eq!(times.get(id), Some(&1), "{limit} at a time: {message}");
            }
            assert!(times.values().all(|count| *count == 1), "nothing is seen twice");
            let seqs: Vec<i64> = items.iter().map(|item| item["seq"].as_i64().expect("a seq")).collect();
            assert!(seqs.is_sorted_by(|a, b| a > b), "newest first throughout");
            assert!(each(&items, "text").iter().all(|text| !text.starts_with("never")), "what was undone is not seen");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for other in others {
        assert!(other.await.expect("a disturber") > 0);
    }
}
