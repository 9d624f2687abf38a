//! What people say of themselves while they are here: told as differences to who is in the chat, and listed by them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabletalk::app::App;
use tabletalk::auth::{Identity, Role};
use tabletalk::realtime::asides::{Track, What};
use tabletalk::realtime::hub::{Heard, Listener, Signal};
use tabletalk::realtime::presence::Tracking;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::public_room;
use crate::support::random::{Random, longer, seed};
use crate::support::server::settings;
use crate::support::{DEADLINE, Person, TestServer, eventually};

/// Within which time what a dead process said is gone.
const SOON: Duration = Duration::from_secs(15);

/// Somebody's ear at a process, as an adapter has one.
struct Ear {
    listener: Listener,
    chat: Uuid,
    /// What they know: by id, whose it is and what it says.
    known: BTreeMap<String, (Uuid, Value)>,
}

fn identity(person: &Person) -> Identity {
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
    let claims = json!({ "sub": person.id, "role": "authenticated" }).to_string().into();
    Identity { role: Role::Authenticated, subject: Some(person.id), claims, expires_at, request: None }
}

fn says(app: &App, person: &Person, chat: Uuid, what: &Value) -> Tracking {
    app.live().registry.track(&identity(person), chat, "laptop".to_owned(), what.clone()).expect("they may")
}

async fn listed(person: &Person, chat: Uuid) -> BTreeMap<String, (Uuid, Value)> {
    let page = person.get(&format!("/chats/{chat}/presence/states")).await.expect_status(200);
    let of = |state: &Value| {
        assert_eq!(state["key"], "laptop", "{state}");
        let text = |field: &str| state[field].as_str().expect("a text").to_owned();
        (text("id"), (text("userId").parse().expect("an id"), state["state"].clone()))
    };
    page.data().iter().map(of).collect()
}

/// What is said, without its ids.
fn said(known: &BTreeMap<String, (Uuid, Value)>) -> Vec<(Uuid, Value)> {
    let mut said: Vec<(Uuid, Value)> = known.values().cloned().collect();
    said.sort_by_key(|(user, state)| (*user, state.to_string()));
    said
}

impl Ear {
    /// Listens, and lists after that.
    async fn of(app: &App, person: &Person, chat: Uuid) -> Self {
        let mut listener = app.live().hub.connect(&identity(person));
        listener.listen(chat).expect("to one chat they may");
        loop {
            if let Signal::Heard { what: Heard::Ready(ready), .. } =
                timeout(DEADLINE, listener.next()).await.expect("it is ready")
            {
                ready.expect("they read it");
                break;
            }
        }
        Self { listener, chat, known: listed(person, chat).await }
    }

    /// Takes the next that it is told of what people say of themselves, and gives it.
    async fn hears(&mut self) -> (Uuid, Vec<Track>, Vec<Track>) {
        let told = timeout(DEADLINE, async {
            loop {
                if let Signal::Aside(aside, _) = self.listener.next().await
                    && aside.chat == Some(self.chat)
                    && let What::Tracked { user, joins, leaves } = &aside.what
                {
                    return (*user, joins.clone(), leaves.clone());
                }
            }
        });
        let told = told.await.expect("it is told");
        self.take(&told);
        told
    }

    /// As a client does: what it has already comes once, what it does not have does not go.
    fn take(&mut self, (user, joins, leaves): &(Uuid, Vec<Track>, Vec<Track>)) {
        for track in joins {
            self.known.insert(track.id.clone(), (*user, track.state.clone()));
        }
        for track in leaves {
            self.known.remove(&track.id);
        }
    }

    /// Takes all that it is told until it knows what is listed.
    async fn knows_what_is_listed(&mut self, person: &Person) {
        let begun = Instant::now();
        loop {
            while let Some(signal) = self.listener.waits() {
                if let Signal::Aside(aside, _) = signal
                    && aside.chat == Some(self.chat)
                {
                    match &aside.what {
                        What::Tracked { user, joins, leaves } => self.take(&(*user, joins.clone(), leaves.clone())),
                        What::TrackedAnew => self.known = listed(person, self.chat).await,
                        _ => {}
                    }
                }
            }
            let listed = listed(person, self.chat).await;
            if self.known == listed {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{}: {:?} is not {listed:?}", person.name, self.known);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn what_people_say_of_themselves_is_told_by_every_process_and_listed() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let (mut here, mut there) = (Ear::of(&server.app, &alice, room).await, Ear::of(&other, &alice, room).await);
    let mut his = Ear::of(&other, &bob, room).await;
    let path = format!("/chats/{room}/presence/states");
    mallory.get(&path).await.refused(403, "presence_is_seen_by_participants", "presence.1");

    let online = json!({ "at": [1, 2], "name": "bob\u{0}" });
    let first = says(&other, &bob, room, &online);
    for ear in [&mut here, &mut there, &mut his] {
        let (user, joins, leaves) = ear.hears().await;
        assert_eq!((user, joins.len(), leaves.len()), (bob.id, 1, 0), "himself as well");
        assert_eq!((joins[0].key.as_str(), &joins[0].state), ("laptop", &online));
    }
    assert_eq!(listed(&alice, room).await, here.known);
    assert_eq!(server.service().get(&path).await.expect_status(200).data().len(), 1);

    let away = json!("away");
    let second = says(&other, &bob, room, &away);
    drop(first);
    for ear in [&mut here, &mut there, &mut his] {
        let (_, joins, leaves) = ear.hears().await;
        assert_eq!((&joins[0].state, &leaves[0].state), (&away, &online), "both at once");
    }
    drop(second);
    for ear in [&mut here, &mut there, &mut his] {
        let (_, joins, leaves) = ear.hears().await;
        assert_eq!((joins.len(), &leaves[0].state), (0, &away));
        assert!(ear.known.is_empty());
    }
    assert!(listed(&bob, room).await.is_empty());

    // who is not in it says nothing, also where they read it
    let _hers = says(&server.app, &mallory, room, &online);
    let _his = says(&server.app, &bob, room, &online);
    assert_eq!(here.hears().await.0, bob.id);
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_block_that_comes_hides_both_and_one_that_goes_shows_them() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let people = [&alice, &bob, &carol];
    let _said: Vec<Tracking> = people.iter().map(|person| says(&server.app, person, chat, &json!(person.name))).collect();
    let mut ears = Vec::new();
    for person in people {
        let mut ear = Ear::of(&server.app, person, chat).await;
        ear.knows_what_is_listed(person).await;
        ears.push(ear);
    }
    let [hers, his, carols] = &mut ears[..] else { panic!("three") };
    eventually("all is said", async || listed(&alice, chat).await.len() == 3).await;

    bob.put(&format!("/blocks/{}", carol.id), json!({})).await.expect_status(201);
    assert_eq!(listed(&bob, chat).await.len(), 2);
    his.knows_what_is_listed(&bob).await;
    carols.knows_what_is_listed(&carol).await;
    assert_eq!(said(&carols.known), said(&listed(&carol, chat).await));
    let _more = says(&server.app, &bob, chat, &json!("more"));
    eventually("more is said", async || listed(&alice, chat).await.len() == 4).await;
    hers.knows_what_is_listed(&alice).await;
    carols.knows_what_is_listed(&carol).await;
    assert_eq!((hers.known.len(), carols.known.len()), (4, 2));

    bob.delete(&format!("/blocks/{}", carol.id)).await.expect_status(204);
    his.knows_what_is_listed(&bob).await;
    carols.knows_what_is_listed(&carol).await;
    assert_eq!((his.known.len(), carols.known.len()), (4, 4));
}

#[tokio::test]
async fn who_leaves_the_chat_says_nothing_there_any_more() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let mut hers = Ear::of(&server.app, &alice, chat).await;
    let _his = says(&server.app, &bob, chat, &json!("here"));
    assert_eq!(hers.hears().await.1.len(), 1);
    alice.removes(chat, &bob).await.expect_status(204);
    assert_eq!(hers.hears().await.2.len(), 1);
    assert!(listed(&alice, chat).await.is_empty());
    // and not by coming back either
    alice.adds(chat, &bob, "member").await.one_of(&[200, 201]);
    assert!(listed(&alice, chat).await.is_empty());
}

#[tokio::test]
async fn what_a_process_said_that_is_gone_is_gone_soon() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = Ear::of(&server.app, &alice, chat).await;
    let owner = server.database.db_owner().await;
    // a process as the database knows one, which then says nothing more
    let (process, id) = (Uuid::new_v4(), Uuid::new_v4());
    owner.execute("select chat_private.keep_presence($1, '{}', '{}', true)", &[&process]).await.expect("a lease");
    let keep = "select chat_private.keep_states($1, '{}', array[$2::uuid], array[$3::uuid], array[$4::uuid], '{laptop}', array['1'::json])";
    owner.query(keep, &[&process, &id, &chat, &bob.id]).await.expect(keep);
    let died = Instant::now();
    assert_eq!(hers.hears().await.1.len(), 1);
    assert_eq!(hers.hears().await.2.len(), 1);
    assert!(died.elapsed() < SOON, "{:?}", died.elapsed());
    assert!(listed(&alice, chat).await.is_empty());
    let left = "select count(*) from chat.presence_states";
    eventually("nothing is left", async || owner.query_one(left, &[]).await.expect(left).get::<_, i64>(0) == 0).await;
}

#[tokio::test]
async fn what_a_crash_of_the_database_empties_is_said_anew() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = Ear::of(&server.app, &alice, chat).await;
    let _his = says(&server.app, &bob, chat, &json!("here"));
    let (_, first, _) = hers.hears().await;
    // what Postgres does to unlogged tables when it recovers
    let crash = "truncate chat_private.leases, chat.presence, chat.presence_states";
    server.database.db_owner().await.batch_execute(crash).await.expect(crash);
    eventually("it is said again", async || listed(&alice, chat).await.len() == 1).await;
    hers.knows_what_is_listed(&alice).await;
    assert!(!hers.known.contains_key(&first[0].id), "as something new: who listed it in between did not have it");
}

#[tokio::test]
async fn a_hint_that_is_lost_is_made_good_and_one_that_is_forged_tells_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = Ear::of(&server.app, &alice, chat).await;
    let his = says(&server.app, &bob, chat, &json!("here"));
    hers.hears().await;
    let owner = server.database.db_owner().await;
    for forged in [format!("s{chat}"), format!("s{}", Uuid::new_v4()), format!("{}:s{}", Uuid::new_v4().simple(), chat.simple())]
    {
        owner.execute("select pg_notify('chat', $1)", &[&forged]).await.expect("anybody may");
    }
    let silent = "set chat.hints_to = 'nobody'; update chat.presence_states set state = '\"other\"', id = gen_random_uuid(), since = clock_timestamp()";
    owner.batch_execute(silent).await.expect(silent);
    let (_, joins, leaves) = hers.hears().await;
    assert_eq!((joins[0].state.clone(), leaves[0].state.clone()), (json!("other"), json!("here")), "and nothing before it");
    drop(his);
}

#[tokio::test]
async fn what_came_and_ended_unheard_is_told_to_have_ended_to_who_listed_it() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let owner = server.database.db_owner().await;
    let silent = "set chat.hints_to = 'nobody'";
    owner.batch_execute(silent).await.expect(silent);
    let begin = "insert into chat.presence_states (process_id, id, chat_id, user_id, key, state)
                 select l.process_id, $1, $2, $3, 'laptop', '1' from chat_private.leases l";
    let end = "update chat.presence_states set ended_at = clock_timestamp() where id = $1";
    // in a chat of which nothing was read before, and in one of which something was
    let mut hers = Ear::of(&server.app, &alice, chat).await;
    for _ in 0..2 {
        let id = Uuid::new_v4();
        owner.execute(begin, &[&id, &chat, &bob.id]).await.expect(begin);
        hers.known = listed(&alice, chat).await;
        assert!(hers.known.contains_key(&id.to_string()));
        owner.execute(end, &[&id]).await.expect(end);
        hers.knows_what_is_listed(&alice).await;
        // and one that nobody listed yet
        let id = Uuid::new_v4();
        owner.execute(begin, &[&id, &chat, &bob.id]).await.expect(begin);
        hers.knows_what_is_listed(&alice).await;
        owner.execute(end, &[&id]).await.expect(end);
        hers.knows_what_is_listed(&alice).await;
    }
}

#[tokio::test]
async fn so_much_is_said_and_no_more() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let registry = &server.app.live().registry;
    let track = |identity: &Identity, key: &str, state: Value| registry.track(identity, chat, key.to_owned(), state);
    let his = identity(&bob);
    for (key, state) in [("", json!(1)), ("k\0", json!(1)), (&"k".repeat(256), json!(1)), ("k", json!("x".repeat(8_191)))] {
        assert!(track(&his, key, state).is_none(), "{key}");
    }
    assert!(track(&his, "k", json!("x".repeat(8_190))).is_some());
    let nobody = Identity { role: Role::Anon, subject: None, ..identity(&bob) };
    assert!(track(&nobody, "k", json!(1)).is_none());
    let all: Vec<Tracking> = (0..200).map(|n| track(&his, "laptop", json!(n)).expect("they may")).collect();
    assert!(track(&his, "k", json!(1)).is_none(), "of one person");
    assert!(track(&identity(&alice), "laptop", json!(1)).is_some(), "and not of another");
    eventually("twenty are said in the chat", async || listed(&alice, chat).await.len() == 20).await;
    drop(all);
    eventually("none is", async || listed(&alice, chat).await.is_empty()).await;
    let again = track(&his, "laptop", json!("again"));
    eventually("they may again", async || listed(&alice, chat).await.len() == 1).await;
    drop(again);
}

#[tokio::test]
async fn of_a_crowd_nobody_is_told_and_when_it_is_gone_everybody_lists_anew() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = Ear::of(&server.app, &alice, chat).await;
    let listen = |person: &Person| {
        let mut listener = server.app.live().hub.connect(&identity(person));
        listener.listen(chat).expect("they may");
        listener
    };
    let crowd: Vec<Listener> = (0..1_000).map(|_| listen(&bob)).collect();
    let _his = says(&server.app, &bob, chat, &json!("unheard"));
    eventually("it is said", async || listed(&alice, chat).await.len() == 1).await;
    drop(crowd);
    hers.knows_what_is_listed(&alice).await;
}

/// Whatever comes and goes, through whatever process, and whenever somebody begins to listen and lists: in the end they know what is.
#[tokio::test]
async fn whoever_listens_and_then_lists_is_told_every_difference() {
    let mut random = Random::new(seed());
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let (apps, people) = ([&server.app, &other], [&alice, &bob, &carol]);
    let mut all_said: Vec<Tracking> = Vec::new();
    let mut ears: Vec<(Ear, &Person)> = Vec::new();
    for step in 0..300 * longer() {
        match random.below(24) {
            // as many as one person may say in a chat, whoever says them
            0..8 if all_said.len() < 20 => {
                all_said.push(says(random.pick::<&App>(&apps), random.pick::<&Person>(&people), chat, &json!(step)));
            }
            8..15 => drop(all_said.pop()),
            15 => all_said.reverse(),
            16 => {
                let person = *random.pick(&people);
                ears.push((Ear::of(random.pick::<&App>(&apps), person, chat).await, person));
            }
            17 => {
                ears.pop();
            }
            18 => drop(bob.put(&format!("/blocks/{}", carol.id), json!({})).await),
            19 => drop(bob.delete(&format!("/blocks/{}", carol.id)).await),
            20 if random.chance(10) => {
                let crash = "truncate chat_private.leases, chat.presence, chat.presence_states";
                server.database.db_owner().await.batch_execute(crash).await.expect(crash);
            }
            _ => sleep(Duration::from_millis(random.below(60))).await,
        }
    }
    ears.push((Ear::of(&other, &bob, chat).await, &bob));
    eventually("all is said", async || listed(&alice, chat).await.len() == all_said.len()).await;
    for (ear, person) in &mut ears {
        ear.knows_what_is_listed(person).await;
    }
    other.stop().await.expect("it stops");
}
