//! All operations at once, through the API: nothing deadlocks, nothing fails that no document mentions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::log;
use crate::support::random::{Random, longer, seed};
use crate::support::{Answer, Person, TestServer, eventually};

const PEOPLE: usize = 8;
/// Requests under way at once.
const CLIENTS: u64 = 12;
/// Requests of each of them, when it runs for CI.
const REQUESTS: u64 = 100;
/// Events whose chats the host keeps up to date, from several places at once.
const EVENTS: u64 = 2;

/// What the clients share: which chats there are right now, and some messages of theirs.
struct Town {
    people: Vec<Person>,
    service: Person,
    chats: Mutex<Vec<Uuid>>,
    messages: Mutex<Vec<(Person, String)>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_of_all_kinds_at_once_never_deadlock() {
    let server = TestServer::start().await;
    let watcher = log::db_start(&server.database).await;
    let settings = "update chat.settings set direct = 'anyone', public_rooms = 'everyone'";
    server.database.db_owner().await.batch_execute(settings).await.expect(settings);
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(server.person(&format!("person {number}")).await);
    }
    let town = Arc::new(Town { service: server.service(), people, chats: Mutex::default(), messages: Mutex::default() });
    for number in 0..3 {
        town.found(&mut Random::new(number)).await;
    }

    let seed = seed();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (town, mut random) = (Arc::clone(&town), Random::new(seed ^ client));
        clients.spawn(async move {
            let mut counts = BTreeMap::new();
            for _ in 0..REQUESTS * longer() {
                let (what, answer) = town.request(&mut random).await;
                // a crowd is told to come back; nothing else may go wrong
                let crowded = answer.status == 503 && answer.body["code"] == "chat_is_busy";
                assert!(answer.status < 500 || crowded, "{what}: {answer:?}");
                *counts.entry((what, answer.status)).or_insert(0u32) += 1;
            }
            counts
        });
    }
    let mut counts = BTreeMap::new();
    for (what, n) in clients.join_all().await.into_iter().flatten() {
        *counts.entry(what).or_insert(0) += n;
    }
    println!("{counts:?}");
    for what in ["send", "edit", "delete message", "put participant", "remove", "leave", "join", "change", "delete", "event"] {
        assert!(counts.keys().any(|(did, status)| *did == what && *status < 300), "no {what} succeeded: {counts:?}");
    }

    let TestServer { app, database } = server;
    app.stop().await.expect("a stop");
    // a session adds up its figures when it ends
    eventually("the server's sessions ended", async || {
        let sessions = "select from pg_stat_activity where datname = $1 and application_name = 'tabletalk'";
        watcher.query(sessions, &[&database.name]).await.expect(sessions).is_empty()
    })
    .await;
    let statement = "select deadlocks from pg_stat_database where datname = $1";
    let deadlocks: i64 = watcher.query_one(statement, &[&database.name]).await.expect(statement).get(0);
    assert_eq!(deadlocks, 0);
    log::db_holds(&watcher).await;
}

impl Town {
    /// One request of somebody's: what it was, and what was answered.
    async fn request(&self, random: &mut Random) -> (&'static str, Answer) {
        let me = random.pick(&self.people);
        let other = random.pick(&self.people).id;
        let chat = *random.pick(&self.chats.lock().expect("no panic before"));
        let at = format!("/chats/{chat}");
        match random.below(100) {
            0..26 => {
                let answer = me.post(&format!("{at}/messages"), json!({ "text": "hello" })).await;
                if answer.status == 201 {
                    let mut messages = self.messages.lock().expect("no panic before");
                    messages.push((me.clone(), format!("{at}/messages/{}", answer.id())));
                    // few, so that several reach for the same one
                    let surplus = messages.len().saturating_sub(6);
                    messages.drain(..surplus);
                }
                ("send", answer)
            }
            26..40 => match self.message(random) {
                Some((sender, path)) => ("edit", sender.patch(&path, json!({ "text": "edited" })).await),
                None => ("list", me.get(&format!("{at}/messages")).await),
            },
            40..48 => match self.message(random) {
                Some((sender, path)) => ("delete message", if random.chance(50) { &sender } else { me }.delete(&path).await),
                None => ("list", me.get(&format!("{at}/messages")).await),
            },
            48..56 => {
                let role = random.pick(&["owner", "moderator", "member"]);
                ("put participant", me.put(&format!("{at}/participants/{other}"), json!({ "role": role })).await)
            }
            56..59 => ("put oneself", me.put(&format!("{at}/participants/{}", me.id), json!({})).await),
            59..63 => ("remove", me.delete(&format!("{at}/participants/{other}")).await),
            63..67 => ("leave", me.delete(&at).await),
            67..77 => ("join", me.post(&format!("{at}/join"), json!(null)).await),
            77..81 => ("change", me.patch(&at, json!({ "topic": "a topic" })).await),
            81..83 => {
                let answer = me.delete(&format!("{at}?scope=everyone")).await;
                if answer.status == 204 {
                    self.chats.lock().expect("no panic before").retain(|there| *there != chat);
                    self.found(random).await;
                }
                ("delete", answer)
            }
            83..88 => ("event", self.put_event(random).await),
            88..90 => {
                let path = format!("/events/event-{}/chats/event_authors", random.below(EVENTS));
                ("end event", self.service.delete(&path).await)
            }
            90..92 => ("read", me.put(&format!("{at}/read"), json!({ "seq": 1_000_000 })).await),
            92..94 => ("direct", me.post("/chats", json!({ "type": "direct", "participantIds": [other] })).await),
            94..96 => ("befriend", me.put(&format!("/friends/{other}"), json!({})).await),
            96..97 => ("block", me.put(&format!("/blocks/{other}"), json!({})).await),
            97..98 => ("unblock", me.delete(&format!("/blocks/{other}")).await),
            98..99 => ("unfriend", me.delete(&format!("/friends/{other}")).await),
            _ => ("chats", me.get("/chats").await),
        }
    }

    /// The host puts an event's chat, with people whom it names for the first time among others.
    async fn put_event(&self, random: &mut Random) -> Answer {
        let mut ids: Vec<Uuid> = self.people.iter().map(|person| person.id).filter(|_| random.chance(60)).collect();
        // the same few strangers from everywhere, in any order
        let strangers = random.below(20);
        ids.extend((0..4).map(|n| Uuid::from_u64_pair(strangers, n)));
        if random.chance(50) {
            ids.reverse();
        }
        let path = format!("/events/event-{}/chats/event_authors", random.below(EVENTS));
        let answer =
            self.service.put(&path, json!({ "name": format!("event {}", random.below(3)), "participantIds": ids })).await;
        if answer.status == 201 {
            let mut chats = self.chats.lock().expect("no panic before");
            chats.push(answer.id());
            if chats.len() > 6 {
                chats.remove(3);
            }
        }
        answer
    }

    /// A room or a group with everybody in it.
    async fn found(&self, random: &mut Random) {
        let founder = random.pick(&self.people);
        let others: Vec<&Person> = self.people.iter().filter(|person| person.id != founder.id).collect();
        let id = if random.chance(50) {
            // a block may stand between two: then it is a group of one
            let ids: Vec<Uuid> = others.iter().map(|person| person.id).collect();
            let group = |ids: Vec<Uuid>| json!({ "type": "group", "participantIds": ids });
            let answer = founder.post("/chats", group(ids)).await.one_of(&[201, 403]);
            if answer.status == 201 { answer } else { founder.post("/chats", group(Vec::new())).await.expect_status(201) }.id()
        } else {
            let room = founder.room("a room", "public").await;
            for person in others {
                person.post(&format!("/chats/{room}/join"), json!(null)).await.one_of(&[200, 403, 404]);
            }
            room
        };
        self.chats.lock().expect("no panic before").push(id);
    }

    /// Some message: its sender and its path.
    fn message(&self, random: &mut Random) -> Option<(Person, String)> {
        let messages = self.messages.lock().expect("no panic before");
        (!messages.is_empty()).then(|| random.pick(&messages).clone())
    }
}
