//! Random histories: whatever happens and whenever it asks, a device ends with what it would get from scratch.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::device::Device;
use crate::support::random::{Random, longer, seed};
use crate::support::{Answer, Person, TestServer};

const HISTORIES: u64 = 12;
const MOMENTS: usize = 90;

/// One of the people does something, or tries to: what is refused changes nothing. Says what it was.
///
/// # Errors
/// When the server answers that it failed.
pub async fn something_happens(
    random: &mut Random,
    server: &TestServer,
    people: &[Person],
    chats: &mut Vec<Uuid>,
) -> Result<String, String> {
    let who = random.pick(people).clone();
    let whom = random.pick(people).clone();
    let chat = *random.pick(chats);
    let here = format!("/chats/{chat}");
    let message = {
        let said = who.get(&format!("{here}/messages?limit=20")).await;
        let said = if said.status == 200 { said.data().clone() } else { Vec::new() };
        if said.is_empty() { Uuid::nil().to_string() } else { random.pick(&said)["id"].as_str().expect("an id").to_owned() }
    };
    let there = format!("{here}/messages/{message}");
    let role = *random.pick(&["member", "moderator", "owner"]);
    let n = random.next();
    let statement = |statement: String| async move { server.database.db_does(&statement).await };
    let place = chats.iter().position(|known| *known == chat).expect("it is one of them");
    let to = whom.name.clone();
    let (what, answer): (String, Option<Answer>) = match random.below(100) {
        0..35 => (format!("says message {n}"), Some(who.tries(chat, &format!("message {n}")).await)),
        35..45 => (format!("edits {message}"), Some(who.patch(&there, json!({ "text": format!("edited {n}") })).await)),
        45..53 => (format!("deletes {message}"), Some(who.delete(&there).await)),
        53..60 => {
            let path = format!("{there}/reactions/{}", random.pick(&["a", "b"]));
            (format!("reacts to {message}"), Some(who.put(&path, json!({})).await))
        }
        60..63 => (format!("takes a reaction to {message} back"), Some(who.delete(&format!("{there}/reactions/a")).await)),
        63..66 => (format!("pins {message}"), Some(who.put(&format!("{there}/pin"), json!({})).await)),
        66..74 => (format!("adds {to} as {role}"), Some(who.adds(chat, &whom, role).await)),
        74..79 => (format!("removes {to}"), Some(who.delete(&format!("{here}/participants/{}", whom.id)).await)),
        79..84 => ("leaves".to_owned(), Some(who.delete(&here).await)),
        84..86 => ("renames it".to_owned(), Some(who.patch(&here, json!({ "name": format!("name {n}") })).await)),
        86..87 => {
            let visibility = random.pick(&["private", "public"]);
            (format!("makes it {visibility}"), Some(who.patch(&here, json!({ "visibility": visibility })).await))
        }
        87..90 => {
            let body =
                json!({ "type": "group", "name": "another", "participantIds": people.iter().map(|p| p.id).collect::<Vec<_>>() });
            let answer = who.post("/chats", body).await;
            chats.extend((answer.status == 201).then(|| answer.id()));
            ("founds another with all".to_owned(), Some(answer))
        }
        90..91 => ("ends it".to_owned(), Some(who.delete(&format!("{here}?scope=everyone")).await)),
        91..93 => {
            statement(format!("delete from chat.messages where id = '{message}'")).await;
            (format!("is not asked: the DBA removes {message}"), None)
        }
        93..94 => {
            statement(format!("delete from chat.participants where chat_id = '{chat}' and user_id = '{}'", whom.id)).await;
            (format!("is not asked: the DBA removes that {to} was there"), None)
        }
        94..95 => {
            statement(format!("delete from chat.chats where id = '{chat}'")).await;
            ("is not asked: the DBA removes it".to_owned(), None)
        }
        95..96 => {
            statement(format!("delete from chat.tombstones where chat_id = '{chat}'")).await;
            ("is not asked: the DBA removes its tombstones".to_owned(), None)
        }
        96..99 => {
            let (messages, deleted) = (random.pick(&["null", "3", "8"]), random.pick(&["null", "'0'"]));
            statement(format!("update chat.settings set keep_messages = {messages}, keep_deleted = {deleted}")).await;
            keeps_up(server).await;
            (format!("is not asked: upkeep keeps {messages} messages and {deleted} of the deleted"), None)
        }
        _ => {
            let history = random.pick(&["all", "since_join"]);
            statement(format!("update chat.settings set history = '{history}'")).await;
            (format!("is not asked: who comes reads {history}"), None)
        }
    };
    let status = answer.as_ref().map(|answer| format!(" -> {}", answer.status)).unwrap_or_default();
    let said = format!("in chat {place} {} {what}{status}", who.name);
    match answer {
        Some(answer) if answer.status >= 500 => Err(format!("{said}: {}", answer.body)),
        _ => Ok(said),
    }
}

/// All of the upkeep, as the DBA does it.
async fn keeps_up(server: &TestServer) {
    let statement = "do $$ begin while (select u.more from chat.upkeep() u) loop commit; end loop; end $$";
    server.database.db_owner().await.batch_execute(statement).await.expect(statement);
}

#[tokio::test]
async fn a_device_ends_with_what_it_would_get_from_scratch() {
    let first = seed();
    for history in 0..HISTORIES * longer() {
        let mut random = Random::new(first.wrapping_add(history));
        let server = TestServer::start().await;
        let mut people = Vec::new();
        for name in ["alice", "bob", "carol", "dave"] {
            people.push(server.person(name).await);
        }
        let others: Vec<&Person> = people[1..].iter().collect();
        server.database.db_set("public_rooms = 'everyone'").await;
        let mut chats = vec![
            people[0].group_with(&others).await,
            people[0].room("a room", "unlisted").await,
            people[0].room("a square", "public").await,
        ];
        for person in &others {
            person.joins(chats[2]).await.expect_status(200);
        }
        let mut devices: Vec<Device> = people.iter().map(Device::of).collect();
        for _ in 0..MOMENTS {
            if random.chance(75) {
                something_happens(&mut random, &server, &people, &mut chats).await.expect("no failure");
            } else {
                // one answer, whole or cut short
                let limit = usize::try_from(random.below(12) + 1).expect("small");
                let n = usize::try_from(random.below(4)).expect("small");
                devices[n].ask(limit).await;
            }
        }
        for device in &mut devices {
            device.catch_up(7).await;
            let differences = differences(device, &Device::from_scratch(&device.person).await);
            assert!(differences.is_empty(), "history {history}, {}:\n{}", device.person.name, differences.join("\n"));
        }
    }
}

/// What one device has otherwise than another, line by line.
pub fn differences(device: &Device, other: &Device) -> Vec<String> {
    let lines = |device: &Device| -> BTreeSet<String> {
        let chats = device.chats.iter();
        chats
            .flat_map(|(id, kept)| {
                let messages = kept.messages.values().map(Value::to_string);
                let people = kept.roles.iter().map(|(who, role)| format!("{who} is {role}"));
                let all: Vec<String> = messages.chain(people).chain([format!("is called {}", kept.name)]).collect();
                all.into_iter().map(move |what| format!("{id}: {what}"))
            })
            .collect()
    };
    let (has, should) = (lines(device), lines(other));
    let wrong = has.difference(&should).map(|line| format!("has {line}"));
    wrong.chain(should.difference(&has).map(|line| format!("has not {line}"))).collect()
}
