//! NOTIFY is free for all: whoever may log in to the database can forge hints, hear those of the servers, and send them by the thousand.
//! A hint is believed by nobody, so all that this may cost is time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::AsyncMessage;
use uuid::Uuid;

use super::fleet::serving;
use super::listening;
use crate::support::cluster::INSTALLER;
use crate::support::{Database, Socket, TestServer, eventually};

/// An ordinary login: it may do nothing in the schema.
const PASSER: &str = "a_passer_by";
/// What each forger sends at once, and how often.
const AT_ONCE: usize = 1_000;
const ROUNDS: usize = 8;
/// Messages that are sent meanwhile, and how long each may take to arrive.
const MESSAGES: usize = 40;
const LATENCY_MAX: Duration = Duration::from_secs(10);

/// Forged hints, each of a kind, with what is overheard: a chat, the prefix of a server process, a probe.
const FORGERIES: [&str; 7] = [
    // chats that do not exist
    "select pg_notify('chat', gen_random_uuid()::text) from generate_series(1, {count})",
    // one that does, with what looks like a server's name before it, or like nothing
    "select pg_notify('chat', md5(n::text) || ':' || '{chat}') from generate_series(1, {count}) n",
    // as the servers themselves say it
    "select pg_notify('chat', '{process}' || ':' || replace(gen_random_uuid()::text, '-', '')) from generate_series(1, {count})",
    // what was overheard, with a tail so that Postgres does not take it for one and the same, and as it was
    "select pg_notify('chat', '{probe}' || case when n = 1 then '' else repeat(',', n) end) from generate_series(1, {count}) n",
    // as long as they may be
    "select pg_notify('chat', rpad(n::text, 7999, ',' || replace('{chat}', '-', ''))) from generate_series(1, {count} / 10) n",
    // what is told beside the log: broadcasts that are not there, states, markers and people
    "select pg_notify('chat', concat('w{chat}.', n, ',s{chat},r{chat}.', md5(n::text), ',p', md5(n::text))) from generate_series(1, {count}) n",
    // what a believer would pass on
    "select pg_notify('chat', json_build_object('type', 'message.created', 'chatId', '{chat}', 'rev', n,
              'payload', json_build_object('text', 'forged'))::text) from generate_series(1, {count}) n",
];

/// Hears whatever anybody tells the servers; anybody can.
async fn overhears(database: &Database) -> Arc<Mutex<BTreeSet<String>>> {
    let dsn = database.cluster.dsn(PASSER, &database.name);
    let (client, mut connection) = dsn.config().connect(tokio_postgres::NoTls).await.expect("it may log in");
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notice) = message {
                kept.lock().expect("what was heard").insert(notice.payload().to_owned());
            }
        }
    });
    client.batch_execute("listen chat").await.expect("anybody may listen");
    // listens for as long as the test runs
    tokio::spawn(async move {
        let _client = client;
        std::future::pending::<()>().await;
    });
    heard
}

/// Whose connections hear the database.
async fn db_listeners(database: &Database) -> BTreeSet<i32> {
    let pids = "select a.pid from pg_stat_activity a where a.datname = $1 and a.application_name = 'tabletalk listener'";
    let rows = database.cluster.db_superuser("postgres").await.query(pids, &[&database.name]).await.expect(pids);
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_hints_by_the_thousand_tell_nobody_anything_and_keep_nobody_from_hearing() {
    let other = TestServer::start().await;
    let server = serving(&other.database).await;
    let database = &other.database;
    let installer = database.cluster.db_connect(INSTALLER, "postgres").await;
    let role = format!("do $$ begin create role {PASSER} login; exception when duplicate_object then null; end $$");
    installer.batch_execute(&role).await.expect(&role);

    let (alice, bob, mallory) = (other.person("alice").await, other.person("bob").await, other.person("mallory").await);
    let bob = bob.at(&server.url());
    let chat = alice.group_with(&[&bob]).await;
    let hers = mallory.group_with(&[]).await;
    let mut his = listening(&bob, chat).await;
    let mut strangers = Socket::of(&mallory.at(&server.url())).await;
    strangers.ask(json!({ "type": "subscribe", "chatId": "*" })).await;
    let overheard = overhears(database).await;
    alice.says(chat, "overheard").await;
    his.next_is("message.created").await;
    let hint = chat.simple().to_string();
    let find = |what: &str| overheard.lock().expect("what was heard").iter().find(|heard| heard.contains(what)).cloned();
    eventually("a hint and a probe are overheard", async || find(&hint).is_some() && find("probe:").is_some()).await;
    let hint = find(&hint).expect("a hint");
    assert!(!hint.contains("overheard"), "a hint says nothing of what was written: {hint}");
    let (process, probe) = (hint.split(':').next().expect("a prefix").to_owned(), find("probe:").expect("a probe"));
    let before = db_listeners(database).await;

    let mut forgers = Vec::new();
    for as_person in [false, false, true] {
        let client =
            if as_person { database.db_as(mallory.id).await } else { database.cluster.db_connect(PASSER, &database.name).await };
        let (process, probe) = (process.clone(), probe.clone());
        forgers.push(tokio::spawn(async move {
            let mut count = 0;
            for _ in 0..ROUNDS {
                for forgery in FORGERIES {
                    let forgery = forgery.replace("{chat}", &chat.to_string()).replace("{process}", &process);
                    let forgery = forgery.replace("{probe}", &probe).replace("{count}", &AT_ONCE.to_string());
                    count += client.query(&forgery, &[]).await.expect(&forgery).len();
                }
            }
            count
        }));
    }
    let (say, mut said) = watch::channel((0, Instant::now()));
    let speaker = {
        let alice = alice.clone();
        tokio::spawn(async move {
            for number in 0..MESSAGES {
                alice.says(chat, &format!("message {number}")).await;
                say.send_replace((number + 1, Instant::now()));
            }
        })
    };
    let mut longest = Duration::ZERO;
    for number in 0..MESSAGES {
        let frame = his.next_is("message.created").await;
        assert_eq!(frame["payload"]["text"], format!("message {number}"), "in order, and nothing else: {frame}");
        let (count, at) = *said.borrow_and_update();
        if count == number + 1 {
            longest = longest.max(at.elapsed());
        }
    }
    speaker.await.expect("she speaks");
    let mut forged = 0;
    for forger in forgers {
        forged += forger.await.expect("a forger");
    }
    // and once all of it has been heard
    let begin = Instant::now();
    alice.says(chat, "after the storm").await;
    assert_eq!(his.next_is("message.created").await["payload"]["text"], "after the storm");
    longest = longest.max(begin.elapsed());
    mallory.says(hers, "mine").await;
    assert_eq!(strangers.next_is("message.created").await["payload"]["text"], "mine", "a stranger hears her own alone");
    assert!(his.so_far().await.is_empty() && strangers.so_far().await.is_empty());
    let deaf = server.err().matches("does not hear the database").count();
    println!("{forged} forged hints; {MESSAGES} messages arrived within {longest:.1?}; the relay connected anew {deaf} times");
    assert!(longest < LATENCY_MAX, "{longest:?}");
    assert_eq!((deaf, db_listeners(database).await), (0, before), "the relay hears on over the same connection");
    let secrets: Vec<Uuid> = overheard.lock().expect("what was heard").iter().filter_map(|heard| heard.parse().ok()).collect();
    assert!(!secrets.contains(&bob.id), "hints name chats, not people");
}
