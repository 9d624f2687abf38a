//! Somebody is erased while everybody, they too, goes on: sending, editing, reacting, taking them in again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::log;
use crate::support::random::{Random, longer, seed};
use crate::support::{Answer, Person, TestServer, eventually};

/// In everything that those say who are erased.
const WORDS: &str = "zzyzx";
const CHATS: usize = 4;
/// Who are erased, one after the other.
const ERASED: usize = 3;
/// Clients of those who are erased, and of the others.
const CLIENTS: u64 = 8;
/// Messages each of them has sent before they are erased.
const SAID: usize = 30;

struct Town {
    /// Own the chats and stay.
    stay: Vec<Person>,
    /// Are erased, as many as [`ERASED`].
    go: Vec<Person>,
    chats: Vec<Uuid>,
    /// Whose, and where.
    messages: Mutex<Vec<(Person, String)>>,
    is_over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_erasure_is_whole_whatever_happens_meanwhile() {
    let server = TestServer::start().await;
    let watcher = log::db_start(&server.database).await;
    server.database.db_set("direct = 'anyone'").await;
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    for n in 0..3 {
        stay.push(server.person(&format!("person {n}")).await);
    }
    for n in 0..ERASED * usize::try_from(longer()).expect("a factor") {
        go.push(server.person(&format!("{WORDS} {n}")).await);
    }
    let mut chats = Vec::new();
    for n in 0..CHATS {
        let others: Vec<&Person> = stay.iter().skip(1).chain(&go).collect();
        chats.push(stay[0].group_with(&others).await);
        // of one chat the last owner is among those who go
        if n == 0 {
            stay[0].adds(chats[0], &go[0], "owner").await.expect_status(200);
            go[0].adds(chats[0], &stay[0], "member").await.expect_status(200);
        }
    }
    let town = Arc::new(Town { stay, go, chats, messages: Mutex::default(), is_over: AtomicBool::new(false) });

    let seed = seed();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (town, mut random) = (Arc::clone(&town), Random::new(seed ^ client));
        clients.spawn(async move {
            let mut counts = BTreeMap::new();
            while !town.is_over.load(Ordering::Relaxed) {
                let (what, answer) = town.request(&mut random).await;
                assert!(answer.status < 500, "{what}: {answer:?}");
                *counts.entry((what, answer.status)).or_insert(0u32) += 1;
            }
            counts
        });
    }
    for person in &town.go {
        let sent = "select count(*) >= $2 from chat.messages m where m.sender_id = $1";
        let said = i64::try_from(SAID).expect("few");
        eventually("they have said something", async || watcher.query_one(sent, &[&person.id, &said]).await.expect(sent).get(0))
            .await;
        person.delete("/users/me").await.expect_status(204);
        person.get("/users/me").await.refused(403, "users_erased_are_gone", "users.9");
    }
    town.is_over.store(true, Ordering::Relaxed);
    let mut counts = BTreeMap::new();
    for (what, n) in clients.join_all().await.into_iter().flatten() {
        *counts.entry(what).or_insert(0) += n;
    }
    println!("{counts:?}");
    for what in ["send", "edit", "delete", "react", "take in", "read", "befriend", "block", "write to"] {
        assert!(counts.keys().any(|(did, status)| *did == what && *status < 300), "no {what} succeeded: {counts:?}");
    }
    for what in ["send", "take in"] {
        assert!(counts.keys().any(|(did, status)| *did == what && *status >= 400), "no {what} came too late: {counts:?}");
    }

    assert_eq!(server.database.db_finds(WORDS).await, [""; 0], "their words are nowhere");
    for (what, left) in [
        ("they are in no chat", "chat.participants where left_at is null and user_id = any ($1)"),
        ("their markers are gone", "chat.read_markers where user_id = any ($1)"),
        ("their reactions are gone", "chat.reactions where user_id = any ($1)"),
        ("their friendships are gone", "chat.friendships where array[requester_id, addressee_id] && $1"),
        ("their blocks are gone", "chat.blocks where array[blocker_id, blocked_id] && $1"),
        ("their messages are erased", "chat.messages where erased_at is null and sender_id = any ($1)"),
        ("and nobody else's", "chat.messages where erased_at is not null and sender_id <> all ($1)"),
        ("nothing is left to do", "chat_private.erasures where user_id = any ($1)"),
    ] {
        let ids: Vec<Uuid> = town.go.iter().map(|person| person.id).collect();
        let statement = format!("select count(*) from {left}");
        let n: i64 = watcher.query_one(&statement, &[&ids]).await.expect(&statement).get(0);
        assert_eq!(n, 0, "{what}");
    }
    for chat in &town.chats {
        let page = town.stay[1].get(&format!("/chats/{chat}/participants")).await.expect_status(200);
        assert!(page.data().iter().any(|person| person["role"] == "owner"), "every chat has an owner: {}", page.body);
    }
    log::db_holds(&watcher).await;
}

#[tokio::test]
async fn an_erasure_waits_for_who_lets_them_in_at_this_moment() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.room("a room", "private").await;
    let hers = server.database.db_as(alice.id).await;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    hers.batch_execute("begin").await.expect("a transaction");
    let adding = format!("insert into chat.participants (chat_id, user_id) values ('{room}', '{}')", bob.id);
    hers.batch_execute(&adding).await.expect(&adding);
    let asking = format!("insert into chat.friendships (addressee_id) values ('{}')", bob.id);
    hers.batch_execute(&asking).await.expect(&asking);
    let (me, erasing) = (bob.id, tokio::spawn(async move { bob.delete("/users/me").await }));
    eventually("the erasure waits", async || {
        let waiting = "select from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'";
        !watcher.query(waiting, &[]).await.expect(waiting).is_empty()
    })
    .await;
    hers.batch_execute("commit").await.expect("a commit");
    erasing.await.expect("an answer").expect_status(204);
    let left = "select (select count(*) from chat.participants p where p.user_id = $1 and p.left_at is null)
                     + (select count(*) from chat.friendships f where f.addressee_id = $1)";
    assert_eq!(watcher.query_one(left, &[&me]).await.expect(left).get::<_, i64>(0), 0);
    let people = alice.get(&format!("/chats/{room}/participants")).await.expect_status(200);
    assert_eq!(people.data().len(), 1, "{}", people.body);
}

impl Town {
    async fn request(&self, random: &mut Random) -> (&'static str, Answer) {
        let me = if random.chance(60) { random.pick(&self.go) } else { random.pick(&self.stay) };
        let is_erased = self.go.iter().any(|person| person.id == me.id);
        let (stays, goes) = (random.pick(&self.stay), random.pick(&self.go));
        let text = if is_erased { format!("{WORDS} {}", random.next()) } else { "hello".to_owned() };
        let at = format!("/chats/{}", random.pick(&self.chats));
        match random.below(100) {
            0..40 => {
                let answer = me.post(&format!("{at}/messages"), json!({ "text": text })).await;
                if answer.status == 201 {
                    let mut messages = self.messages.lock().expect("no panic before");
                    messages.push((me.clone(), format!("{at}/messages/{}", answer.id())));
                    let surplus = messages.len().saturating_sub(20);
                    messages.drain(..surplus);
                }
                ("send", answer)
            }
            40..55 => match self.message(random) {
                Some((sender, path)) => {
                    let text =
                        if self.go.iter().any(|person| person.id == sender.id) { text + WORDS } else { "edited".to_owned() };
                    ("edit", sender.patch(&path, json!({ "text": text })).await)
                }
                None => ("list", me.get(&format!("{at}/messages")).await),
            },
            55..60 => match self.message(random) {
                Some((sender, path)) => ("delete", sender.delete(&path).await),
                None => ("list", me.get(&format!("{at}/messages")).await),
            },
            60..72 => match self.message(random) {
                Some((_, path)) => ("react", me.put(&format!("{path}/reactions/👍"), json!({})).await),
                None => ("list", me.get(&format!("{at}/messages")).await),
            },
            72..78 => ("take in", self.stay[0].put(&format!("{at}/participants/{}", goes.id), json!({})).await),
            78..82 => ("leave", goes.delete(&at).await),
            82..86 => ("read", me.put(&format!("{at}/read"), json!({ "seq": 1_000_000 })).await),
            86..90 => ("befriend", goes.put(&format!("/friends/{}", stays.id), json!({})).await),
            90..92 => ("befriend", stays.put(&format!("/friends/{}", goes.id), json!({})).await),
            92..93 => ("block", goes.put(&format!("/blocks/{}", stays.id), json!({})).await),
            93..95 => ("unblock", goes.delete(&format!("/blocks/{}", stays.id)).await),
            _ => {
                let direct = stays.post("/chats", json!({ "type": "direct", "participantIds": [goes.id] })).await;
                if direct.status >= 300 {
                    return ("open", direct);
                }
                ("write to", stays.post(&format!("/chats/{}/messages", direct.id()), json!({ "text": "hello" })).await)
            }
        }
    }

    fn message(&self, random: &mut Random) -> Option<(Person, String)> {
        let messages = self.messages.lock().expect("no panic before");
        (!messages.is_empty()).then(|| random.pick(&messages).clone())
    }
}
