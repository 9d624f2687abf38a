//! A server that is told to stop: who listens is told to come back, who waits for an answer gets it, and under load nobody notices.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fleet::{Fleet, serving};
use super::follower::Follower;
use super::line::{Heard, Line, PROTOCOLS, Since};
use super::talk::{Answers, db_stored, talks};
use crate::support::random::longer;
use crate::support::{DEADLINE, Socket, TestServer, eventually};

const PROCESSES: usize = 3;
const CLIENTS: usize = 24;
const SENDERS: usize = 6;
const PACE: Duration = Duration::from_millis(40);
/// The close code that says that the server stops (RFC 6455's registry: service restart).
const RESTART: u16 = 1012;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_tells_its_sockets_so_and_answers_what_is_under_way() {
    let other = TestServer::start().await;
    let stopping = serving(&other.database).await;
    let (alice, bob) = (other.person("alice").await, other.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut elsewhere = Socket::of(&bob).await;
    elsewhere.subscribe(chat).await;
    let mut lines = Vec::new();
    for protocol in PROTOCOLS.repeat(5) {
        let since = Since::now(&[chat]);
        lines.push((protocol, Line::open(&bob.at(&stopping.url()), protocol, &since).await.expect("he may")));
    }

    // a message that is half sent when the signal comes
    let address = stopping.url().strip_prefix("http://").expect("http").to_owned();
    let body = json!({ "text": "not too late" }).to_string();
    let head = format!(
        "POST /chats/{chat}/messages HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        alice.token(),
        body.len()
    );
    let mut connection = TcpStream::connect(&address).await.expect("it listens");
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut buffer = [0; 1024];
    let read = connection.read(&mut buffer).await.expect("an answer");
    assert!(buffer[..read].starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&buffer[..read]));

    stopping.signal(Signal::SIGTERM);
    eventually("it takes no new connections", || async { TcpStream::connect(&address).await.is_err() }).await;
    for (protocol, mut line) in lines {
        let code = loop {
            match timeout(DEADLINE, line.next()).await.expect("an end in time") {
                Heard::End(code) => break code,
                Heard::Sign => {}
                Heard::Frame(frame, _) => assert_ne!(frame["type"], "chat.deleted", "{frame}"),
            }
        };
        assert_eq!(code, protocol.restart(), "{protocol:?}");
    }
    connection.write_all(body.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(elsewhere.next_is("message.created").await["payload"]["text"], "not too late");
    let (code, log) = stopping.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_replaced_one_by_one_lose_nothing_and_answer_everybody() {
    let fleet = Fleet::start(PROCESSES).await;
    let urls = fleet.urls();
    let (alice, bob) = (fleet.person("alice").await, fleet.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (ready, mut are_ready) = watch::channel(0);
    let (say, stored) = watch::channel(None);
    let followers: Vec<JoinHandle<Follower>> = (0..CLIENTS)
        .map(|number| {
            let follower = Follower::new(number, &bob, PROTOCOLS[number / 2 % PROTOCOLS.len()], &[chat], &urls);
            tokio::spawn(follower.follow(ready.clone(), stored.clone()))
        })
        .collect();
    are_ready.wait_for(|count| *count == CLIENTS).await.expect("they connect");
    let (halt, stop) = watch::channel(false);
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let mut urls = urls.clone();
            urls.rotate_left(number % PROCESSES);
            tokio::spawn(talks(if number % 2 == 0 { &alice } else { &bob }.clone(), chat, urls, PACE, stop.clone()))
        })
        .collect();
    for _ in 0..2 * longer() {
        for which in 0..PROCESSES {
            let (code, log) = fleet.process(which).hold().await.replace(Signal::SIGTERM).await;
            assert_eq!(code, Some(0), "{log}");
        }
    }
    halt.send(true).expect("they talk");
    let (mut confirmed, mut answers) = (0, Answers::new());
    for sender in senders {
        let (ids, answered) = sender.await.expect("a sender");
        confirmed += ids.len();
        for (status, count) in answered {
            *answers.entry(status).or_default() += count;
        }
    }
    let all = db_stored(&fleet.db_superuser().await).await;
    say.send(Some(all.clone())).expect("they listen");
    let mut closes: BTreeMap<u16, usize> = BTreeMap::new();
    let mut connects = 0;
    for follower in followers {
        let follower = follower.await.expect("a follower");
        follower.must_have_exactly(&all);
        connects += follower.connects;
        for (code, count) in follower.closes {
            assert_eq!(code, follower.protocol.restart().unwrap_or(0), "{}", follower.name);
            *closes.entry(code).or_default() += count;
        }
    }
    println!("{} messages, {confirmed} confirmed, to {CLIENTS} clients over {connects} connections", all[&chat].len());
    println!(
        "senders were answered {answers:?} (0: refused or reset); sockets were closed with {closes:?} (0: streams that ended)"
    );
    assert_eq!(all[&chat].len(), confirmed, "what is stored is what was answered to be");
    assert!(answers.keys().all(|status| *status < 500), "{answers:?}");
    assert!(closes.get(&RESTART).is_some_and(|count| *count >= CLIENTS / 2), "{closes:?}");
    fleet.stop().await;
}
