//! No gap under faults: while connections to the database are cut at random, every message that was answered 201 reaches every listener, in order.

mod processes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tabletalk::app::App;
use tokio::sync::{Barrier, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::random::{Random, longer, seed};
use crate::support::server::settings;
use crate::support::{DEADLINE, Person, Socket, TestServer};

const LISTENERS: usize = 8;
const SENDERS: u64 = 3;
const MESSAGES: u64 = 60;
/// A message, then a rest: cuts come in between.
const PACE: Duration = Duration::from_millis(20);

/// What a listener has: texts by rev, and the order in which new ones came.
#[derive(Default)]
struct Heard {
    texts: BTreeMap<i64, String>,
    again: usize,
}

/// Listens until it has heard so many, and longer than that nothing more came.
async fn listens(person: Person, chat: Uuid, ready: Arc<Barrier>, wanted: watch::Receiver<Option<usize>>) -> Heard {
    let mut socket = Socket::of(&person).await;
    socket.subscribe(chat).await;
    ready.wait().await;
    let mut heard = Heard::default();
    let mut last = Instant::now();
    loop {
        if wanted.borrow().is_some_and(|wanted| heard.texts.len() >= wanted) {
            return heard;
        }
        assert!(last.elapsed() < DEADLINE, "{} heard {} of {:?}", person.name, heard.texts.len(), *wanted.borrow());
        let Ok(frame) = tokio::time::timeout(Duration::from_millis(100), socket.next_in_any_time()).await else { continue };
        last = Instant::now();
        assert_eq!(frame["type"], "message.created", "{frame}");
        let rev = frame["rev"].as_i64().expect("a rev");
        let text = frame["payload"]["text"].as_str().expect("a text").to_owned();
        match heard.texts.last_key_value() {
            Some((highest, _)) if rev <= *highest => {
                assert_eq!(heard.texts.get(&rev), Some(&text), "what comes again is what came before");
                heard.again += 1;
            }
            _ => drop(heard.texts.insert(rev, text)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_heard_by_all_in_order_whatever_is_cut() {
    let mut random = Random::new(seed());
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (say, wanted) = watch::channel(None);
    let ready = Arc::new(Barrier::new(LISTENERS + 1));
    let listeners: Vec<JoinHandle<Heard>> = (0..LISTENERS)
        .map(|n| {
            let person = if n % 2 == 0 { bob.clone() } else { bob.at(other.url()) };
            tokio::spawn(listens(person, chat, Arc::clone(&ready), wanted.clone()))
        })
        .collect();
    let (here, there) = (server.app.url().to_owned(), other.url().to_owned());
    ready.wait().await;
    let senders: Vec<JoinHandle<Vec<String>>> = (0..SENDERS)
        .map(|sender| {
            let alice = alice.at(if sender % 2 == 0 { &here } else { &there });
            tokio::spawn(async move {
                let mut stored = Vec::new();
                for n in 0..MESSAGES * longer() {
                    let (id, text) = (Uuid::now_v7(), format!("{sender} says {n}"));
                    // sent until it is known to be stored: the id makes it one
                    loop {
                        let body = json!({ "id": id, "text": text });
                        let answer = alice.post(&format!("/chats/{chat}/messages"), body).await;
                        if answer.status < 300 {
                            break;
                        }
                        assert_eq!(answer.status, 503, "{}", answer.body);
                        tokio::time::sleep(PACE).await;
                    }
                    stored.push(text);
                    tokio::time::sleep(PACE).await;
                }
                stored
            })
        })
        .collect();
    let superuser = server.database.cluster.db_superuser("postgres").await;
    let mut cuts = 0;
    while !senders.iter().all(JoinHandle::is_finished) {
        let which = *random.pick(&["tabletalk", "tabletalk relay", "tabletalk listener", "tabletalk announcer", "tabletalk%"]);
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1 and application_name like $2";
        cuts += superuser.query_one(cut, &[&server.database.name, &which]).await.expect(cut).get::<_, i64>(0);
        tokio::time::sleep(Duration::from_millis(100 + random.below(300))).await;
    }
    let mut stored = Vec::new();
    for sender in senders {
        stored.extend(sender.await.expect("a sender"));
    }
    stored.sort();
    say.send(Some(stored.len())).expect("they listen");
    let mut again = 0;
    for listener in listeners {
        let heard = listener.await.expect("a listener");
        let mut texts: Vec<String> = heard.texts.into_values().collect();
        for sender in 0..SENDERS {
            let own = |texts: &[String]| -> Vec<String> {
                texts.iter().filter(|text| text.starts_with(&format!("{sender} "))).cloned().collect()
            };
            let numbers: Vec<u64> = own(&texts).iter().filter_map(|text| text.rsplit(' ').next()?.parse().ok()).collect();
            assert!(numbers.is_sorted(), "{sender}'s came in another order: {numbers:?}");
        }
        texts.sort();
        assert_eq!(texts, stored);
        again += heard.again;
    }
    assert!(cuts > 5, "{cuts} cuts are too few to prove anything");
    println!("{} messages to {LISTENERS} listeners, {cuts} connections cut, {again} told again", stored.len());
    other.stop().await.expect("it stops");
}
