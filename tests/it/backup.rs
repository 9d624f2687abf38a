//! Backup and restore: nothing is lost, revs go on, and whoever was told something that is gone lists everything anew.

mod logical;
mod physical;

use serde_json::{Value, json};
use tabletalk::app::App;
use tabletalk::auth::{NewToken, Role, mint};
use tabletalk::check::{self, Level};
use tabletalk::config::SchemaPage;
use tabletalk::schema;
use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;

use crate::changes::device::Device;
use crate::support::Person;
use crate::support::server::{SECRET, settings};

/// People who have said and done a bit of everything.
struct People {
    alice: Person,
    bob: Person,
    service: Person,
    group: Uuid,
    room: Uuid,
}

impl People {
    async fn of(app: &App) -> Self {
        let person = async |name: &str| {
            let id = Uuid::new_v4();
            let token = NewToken { name: Some(name.to_owned()), ..NewToken::of_user(id) };
            let person = Person::new(name, id, app.url(), &mint(SECRET, &token).expect("a token"));
            person.get("/users/me").await.expect_status(200);
            person
        };
        let token = mint(SECRET, &NewToken::of(Role::ServiceRole)).expect("a token");
        let service = Person::new("service", Uuid::nil(), app.url(), &token);
        let (alice, bob, carol, dave) = (person("alice").await, person("bob").await, person("carol").await, person("dave").await);
        alice.befriend(&bob).await;
        let direct = alice.direct_with(&bob).await;
        bob.says(direct, "a word between the two of us").await;
        let group = alice.group_with(&[&bob, &carol, &dave]).await;
        let messages = format!("/chats/{group}/messages");
        let question = alice.says(group, "who brings the marmalade?").await;
        let there = format!("{messages}/{}", question["id"].as_str().expect("an id"));
        bob.post(&messages, json!({ "text": "I do", "replyToId": question["id"] })).await.expect_status(201);
        bob.put(&format!("{there}/reactions/%F0%9F%8D%8A"), json!({})).await.expect_status(200);
        alice.patch(&there, json!({ "text": "who brings the orange marmalade?" })).await.expect_status(200);
        alice.put(&format!("{there}/pin"), json!({})).await.expect_status(200);
        let regretted = carol.says(group, "nothing, really").await;
        carol.delete(&format!("{messages}/{}", regretted["id"].as_str().expect("an id"))).await.one_of(&[200, 204]);
        bob.put(&format!("/chats/{group}/read"), json!({ "seq": question["seq"] })).await.expect_status(200);
        carol.leaves(group).await.one_of(&[200, 204]);
        alice.put(&format!("/blocks/{}", carol.id), json!({})).await.one_of(&[200, 201, 204]);
        let room = alice.room("the room", "private").await;
        alice.adds(room, &bob, "moderator").await.one_of(&[200, 201]);
        let zoe = Uuid::new_v4();
        let history: Vec<Value> = (0..150)
            .map(|n| {
                let at = format!("2020-01-01T00:{:02}:{:02}Z", n / 60, n % 60);
                json!({ "id": Uuid::new_v4(), "senderId": zoe, "text": format!("page {n}"), "createdAt": at })
            })
            .collect();
        service.post(&format!("/chats/{room}/import"), json!({ "messages": history })).await.expect_status(200);
        let event = json!({ "participantIds": [alice.id, bob.id] });
        service.put("/events/e1/chats/approved_group", event).await.expect_status(201);
        dave.delete("/users/me").await.one_of(&[200, 202, 204]);
        Self { alice, bob, service, group, room }
    }

    /// The same, at another server.
    fn at(&self, app: &App) -> Self {
        let Self { alice, bob, service, group, room } = self;
        let url = app.url();
        Self { alice: alice.at(url), bob: bob.at(url), service: service.at(url), group: *group, room: *room }
    }
}

/// What somebody was told before, as their device and a client that follows one chat keep it.
struct Told {
    device: Device,
    head: Value,
}

impl Told {
    async fn by(person: &Person, chat: Uuid) -> Self {
        let head = person.get(&format!("/chats/{chat}/changes?since=0&limit=500")).await.expect_status(200).body;
        Self { device: Device::from_scratch(person).await, head }
    }

    /// Makes sure that the server says, of all chats and of the one, that what was told before does not count any more; and that the device
    /// then has what a new one would get.
    async fn must_be_told_anew(mut self, person: &Person, chat: Uuid) {
        let position = self.device.position.clone().expect("a position");
        let answer = person.get(&format!("/sync?since={position}")).await.expect_status(200);
        assert_eq!(answer.body["reset"], true, "{answer:?}");
        let (since, epoch) = (&self.head["nextSince"], self.head["epoch"].as_str().expect("an epoch"));
        let answer = person.get(&format!("/chats/{chat}/changes?since={since}&epoch={epoch}")).await.expect_status(200);
        assert_eq!(answer.body["reset"], true, "{answer:?}");
        self.device.person = person.clone();
        self.device.catch_up(200).await;
        assert_eq!(self.device.chats, Device::from_scratch(person).await.chats);
    }
}

/// Every row of every table that outlives a crash, and every setting that the database or its roles have.
async fn db_everything(client: &Client) -> Vec<String> {
    let tables =
        "select c.oid::regclass::text from pg_class c where c.relnamespace in ('chat'::regnamespace, 'chat_private'::regnamespace)
         and c.relkind in ('r', 'p') and c.relpersistence = 'p' order by 1";
    let mut rows = Vec::new();
    for table in client.query(tables, &[]).await.expect(tables) {
        let table: &str = table.get(0);
        let before = rows.len();
        for message in client.simple_query(&format!("select t from {table} t order by t::text collate \"C\"")).await.expect(table)
        {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push(format!("{table}: {}", row.get(0).unwrap_or_default()));
            }
        }
        println!("{table}: {} rows", rows.len() - before);
    }
    rows
}

/// Both generated pages, piece by piece; the tables stand in the order in which they were made, and a restore makes them in its own.
async fn db_pages(client: &Client) -> [Vec<String>; 2] {
    let page = async |what| {
        let page = schema::page(client, what).await.expect("a page");
        let mut pieces: Vec<String> = page.split(['\n', ',', '|']).map(|piece| piece.trim().to_owned()).collect();
        pieces.sort_unstable();
        pieces
    };
    [page(SchemaPage::Schema).await, page(SchemaPage::Policies).await]
}

/// A server over a restored database, which `tabletalk check` finds nothing wrong with.
async fn serves(api: &str, admin: &str) -> App {
    let settings = settings(api, &["--database-admin-url", admin]);
    let report = check::report(&settings).await.expect("a report");
    let told = report.findings().iter().filter(|finding| finding.level != Level::Ok);
    // the tests' servers do not sync to disk
    let told: Vec<_> = told.filter(|finding| finding.what != "what is committed is kept").collect();
    assert!(told.is_empty(), "{told:#?}");
    App::start(&settings).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Life goes on: what was said is found, each new change gets the chat's next rev, and devices are told of it.
async fn life_goes_on(people: &People, client: &Client) {
    let found = people.bob.get("/search?q=%22orange%20marmalade%22").await.expect_status(200);
    assert_eq!(found.data().len(), 1, "{found:?}");
    assert_eq!(people.bob.get("/search?q=%22page%20133%22").await.data().len(), 1, "in an imported page, too");
    let mut device = Device::from_scratch(&people.bob).await;
    device.largest = 0;
    assert!(!device.ask(200).await);
    assert_eq!(device.largest, 0, "what was restored is no news");
    for chat in [people.group, people.room] {
        let head = "select chat_private.head_rev($1)";
        let head: i64 = client.query_one(head, &[&chat]).await.expect(head).get(0);
        let said = people.alice.says(chat, "and so it goes on").await;
        assert_eq!(said["seq"], head + 1, "the next rev, and no rev twice");
    }
    device.answers = 0;
    device.catch_up(200).await;
    assert_eq!(device.answers, 1);
    assert_eq!(device.chats, Device::from_scratch(&people.bob).await.chats);
    let twice =
        "select chat_id, rev from (select chat_id, rev from chat.messages union all select chat_id, rev from chat.participants
                 union all select chat_id, rev from chat.tombstones union all select id, rev from chat.chats) r
                 group by chat_id, rev having count(*) > 1";
    assert!(client.query(twice, &[]).await.expect(twice).is_empty());
    // a stranger is one, and nobody is erased by halves
    people.alice.get(&format!("/chats/{}/messages", Uuid::new_v4())).await.one_of(&[403, 404]);
    people.service.get(&format!("/chats/{}", people.group)).await.expect_status(200);
}
