//! Who is here: told to who shares a chat with them, and true whatever becomes of the process that they were connected to.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tabletalk::app::App;
use uuid::Uuid;

use super::{heeding, public_room};
use crate::cli::program::{Serving, tabletalk};
use crate::support::server::{SECRET, settings};
use crate::support::{Person, Socket, TestServer, eventually};

/// Within which time the dead are gone.
const SOON: Duration = Duration::from_secs(15);

/// How it is with somebody, as somebody else lists it.
async fn sees(person: &Person, chat: Uuid, other: &Person) -> Value {
    let page = person.get(&format!("/chats/{chat}/presence")).await.expect_status(200);
    page.data().iter().find(|one| one["userId"] == json!(other.id)).cloned().unwrap_or_default()
}

/// The next frame is about somebody's presence: what it says of it.
async fn hears(socket: &mut Socket, of: &Person) -> Value {
    let frame = socket.next_is("presence").await;
    assert_eq!(frame["payload"]["userId"], json!(of.id), "{frame}");
    frame["payload"].clone()
}

#[tokio::test]
async fn who_comes_and_goes_is_told_by_every_process_to_who_is_in_a_chat_with_them() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mallory = server.person("mallory").await;
    let chat = alice.group_with(&[&bob]).await;
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let (mut hers, mut strangers) = (heeding(&alice, chat).await, heeding(&mallory, room).await);
    hers.subscribe(room).await;
    assert_eq!(sees(&alice, chat, &bob).await["status"], "offline");
    eventually("alice is here", async || sees(&bob, chat, &alice).await == json!({ "userId": alice.id, "status": "online" }))
        .await;

    let mut his = Socket::of(&bob.at(other.url())).await;
    assert_eq!(
        hears(&mut hers, &bob).await,
        json!({ "userId": bob.id, "status": "online" }),
        "once, though they share two chats"
    );
    let second = Socket::of(&bob).await;
    let answer = his.ask(json!({ "type": "presence", "payload": { "status": "away" } })).await;
    assert_eq!(answer["type"], "ack", "{answer}");
    let mut second = second.heeding();
    let answer = second.ask(json!({ "type": "presence", "payload": { "status": "away" } })).await;
    assert_eq!(answer["type"], "ack", "{answer}");
    assert_eq!(hears(&mut hers, &bob).await["status"], "away", "when all of his say so");
    assert_eq!(sees(&alice, chat, &bob).await, json!({ "userId": bob.id, "status": "away" }));

    drop((his, second));
    let gone = hears(&mut hers, &bob).await;
    assert_eq!(gone["status"], "offline");
    assert!(gone["lastActiveAt"].is_string(), "{gone}");
    assert_eq!(sees(&alice, chat, &bob).await, gone);
    alice.says(room, "a word").await;
    strangers.next_is("message.created").await;
    assert!(strangers.so_far().await.is_empty(), "who only reads a room is told of nobody");
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_block_hides_both_from_each_other() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    bob.put(&format!("/blocks/{}", carol.id), json!({})).await.expect_status(201);
    let (mut hers, mut carols) = (heeding(&alice, chat).await, heeding(&carol, chat).await);
    assert_eq!(hears(&mut hers, &carol).await["status"], "online");
    let mut his = heeding(&bob, chat).await;
    assert_eq!(hears(&mut hers, &bob).await["status"], "online");
    assert_eq!(sees(&carol, chat, &bob).await, json!({ "userId": bob.id, "status": "offline" }));
    assert_eq!(sees(&bob, chat, &carol).await, json!({ "userId": carol.id, "status": "offline" }));
    for status in ["away", "online"] {
        carols.ask(json!({ "type": "presence", "payload": { "status": status } })).await;
        assert_eq!(hears(&mut hers, &carol).await["status"], status);
    }
    alice.says(chat, "a word").await;
    for socket in [&mut his, &mut carols] {
        let mut frame = socket.next().await;
        // of alice, who was here first, either may be told late
        while frame["type"] == "presence" && frame["payload"]["userId"] == json!(alice.id) {
            frame = socket.next().await;
        }
        assert_eq!(frame["type"], "message.created", "{frame}");
    }
}

#[tokio::test]
async fn who_comes_back_at_once_was_never_gone() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = heeding(&alice, chat).await;
    let his = Socket::of(&bob).await;
    assert_eq!(hears(&mut hers, &bob).await["status"], "online");
    drop(his);
    let mut his = Socket::of(&bob).await;
    his.ask(json!({ "type": "presence", "payload": { "status": "away" } })).await;
    assert_eq!(hears(&mut hers, &bob).await["status"], "away", "and nothing before it");
    drop(his);
    assert_eq!(hears(&mut hers, &bob).await["status"], "offline");
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_no_ghosts() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let url = server.database.api_url();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--database-url", &url, "--jwt-secret", SECRET, "--upkeep", "off"];
    let doomed = Serving::start(tabletalk(serve)).await;
    let mut hers = heeding(&alice, chat).await;
    let _his = Socket::of(&bob.at(&doomed.url())).await;
    assert_eq!(hears(&mut hers, &bob).await["status"], "online");
    let died = Instant::now();
    doomed.signal(Signal::SIGKILL);
    assert_eq!(hears(&mut hers, &bob).await["status"], "offline");
    assert!(died.elapsed() < SOON, "{:?}", died.elapsed());
    assert_eq!(sees(&alice, chat, &bob).await["status"], "offline");
    let statement = "select count(*) from chat.presence where user_id = $1";
    let left: i64 = server.database.db_owner().await.query_one(statement, &[&bob.id]).await.expect(statement).get(0);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_a_crash_of_the_database_empties_is_written_anew() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let _his = Socket::of(&bob).await;
    let status = async || sees(&alice, chat, &bob).await["status"].clone();
    eventually("bob is here", async || status().await == "online").await;
    // what Postgres does to unlogged tables when it recovers
    server
        .database
        .db_owner()
        .await
        .batch_execute("truncate chat_private.leases, chat.presence, chat.presence_states")
        .await
        .expect("the owner may");
    assert_eq!(status().await, "offline");
    eventually("bob is here again", async || status().await == "online").await;
}

#[tokio::test]
async fn a_hint_that_is_lost_is_made_good_and_one_that_is_forged_tells_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = heeding(&alice, chat).await;
    let psql = server.database.db_as(bob.id).await;
    for forged in [format!("p{}", bob.id), format!("{}:p{}", Uuid::new_v4().simple(), bob.id.simple())] {
        psql.execute("select pg_notify('chat', $1)", &[&forged]).await.expect("anybody may");
    }
    let process = Uuid::new_v4();
    let owner = server.database.db_owner().await;
    let silently = format!(
        "insert into chat_private.leases (process_id) values ('{process}');
         insert into chat.presence (process_id, user_id, state) values ('{process}', '{}', 'away')",
        bob.id
    );
    owner.batch_execute(&silently).await.expect(&silently);
    assert_eq!(hears(&mut hers, &bob).await["status"], "away", "not what was forged, but what is so");
}

#[tokio::test]
async fn the_host_application_and_who_has_no_account_are_nowhere() {
    let server = TestServer::start().await;
    server.database.db_set("anon_reads_public_rooms = true").await;
    let alice = server.person("alice").await;
    let room = public_room(&server, &alice).await;
    let mut hers = heeding(&alice, room).await;
    let _service = Socket::of(&server.service()).await;
    let _anon = super::listening(&server.anon(), room).await;
    let bob = server.person("bob").await;
    bob.joins(room).await.expect_status(200);
    let _his = Socket::of(&bob).await;
    loop {
        let frame = hers.next().await;
        if frame["type"] == "presence" {
            assert_eq!(frame["payload"]["userId"], json!(bob.id), "{frame}");
            break;
        }
    }
    let statement = "select count(*) from chat.presence where user_id not in ($1, $2)";
    let others: i64 = server.database.db_owner().await.query_one(statement, &[&alice.id, &bob.id]).await.expect(statement).get(0);
    assert_eq!(others, 0);
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(server.person(&format!("person {n}")).await);
    }
    let chat = alice.group_with(&people.iter().collect::<Vec<_>>()).await;
    let walked = alice.walks(&format!("/chats/{chat}/presence"), 2).await;
    let listed = alice.walks(&format!("/chats/{chat}/participants"), 3).await;
    let ids = |list: &[Value]| list.iter().map(|one| one["userId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&walked), ids(&listed), "in the order of the participants");
    let mallory = server.person("mallory").await;
    mallory.get(&format!("/chats/{chat}/presence")).await.refused(403, "presence_is_seen_by_participants", "presence.1");
    alice.get(&format!("/chats/{}/presence", Uuid::new_v4())).await.refused(404, "chats_exist", "chats.2");
}
