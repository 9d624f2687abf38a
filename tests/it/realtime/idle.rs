//! What an idle socket costs. On demand: it takes a minute, ten thousand descriptors, and a release build to say anything.

use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fleet::serving_by;
use crate::support::{Person, TestServer};

/// How many sockets to open; unset, nothing is measured.
const SOCKETS: &str = "TABLETALK_TEST_IDLE";
/// Another server program than the tests' own build, such as target/release/tabletalk.
const PROGRAM: &str = "TABLETALK_TEST_IDLE_SERVER";
/// What one may cost in a release build, in bytes.
const COST_MAX: u64 = 8 << 10;
/// People whose they are. Each is in one chat: `hello` names one's chats, and its length is what a socket keeps to write in.
const PEOPLE: usize = 100;
const AT_ONCE: usize = 50;
/// Sockets of one address: the system has some 28,000 ports for each.
const OF_ADDRESS: usize = 20_000;

/// Opens a socket, listens to a chat, and leaves it at that. By hand: a client's buffers would be more than what is measured.
async fn idles(person: Person, chat: Uuid, number: usize) -> TcpStream {
    let server = person.url().strip_prefix("http://").expect("http").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("127.0.0.{}:0", 1 + number / OF_ADDRESS).parse().expect("an address")).expect("a port");
    let mut stream = socket.connect(server).await.expect("it listens");
    let subscribe = json!({ "type": "subscribe", "chatId": chat }).to_string();
    let mut bytes = format!(
        "GET /ws HTTP/1.1\r\nhost: {server}\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        person.token()
    )
    .into_bytes();
    // a text in one frame, masked with zeros
    bytes.extend([0x81, 0x80 | u8::try_from(subscribe.len()).expect("short"), 0, 0, 0, 0]);
    bytes.extend(subscribe.as_bytes());
    stream.write_all(&bytes).await.expect("sent");
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    while !heard.windows(6).any(|six| six == b"\"ack\",") {
        let read = stream.read(&mut buffer).await.expect("an answer");
        assert!(read > 0, "it ends: {}", String::from_utf8_lossy(&heard));
        heard.extend(&buffer[..read]);
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_socket_costs_little() {
    let Some(count) = std::env::var(SOCKETS).ok().map(|count| count.parse::<usize>().expect("a number")) else {
        eprintln!("skipped: {SOCKETS}=10000 measures it");
        return;
    };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many as the system lets one have");
    let other = TestServer::start().await;
    let program = std::env::var(PROGRAM).unwrap_or_else(|_| env!("CARGO_BIN_EXE_tabletalk").to_owned());
    let server = serving_by(Command::new(program), "127.0.0.1:0", &other.database).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let person = other.person(&format!("person {number}")).await.at(&server.url());
        let chat = person.group_with(&[]).await;
        people.push((person, chat));
    }
    let (alice, hers) = people[0].clone();
    let first = idles(alice, hers, 0).await;
    let before = server.memory();
    let (mut sockets, mut opening) = (vec![first], JoinSet::new());
    for number in 1..=count {
        let (person, chat) = people[number % PEOPLE].clone();
        opening.spawn(idles(person, chat, number));
        while opening.len() >= AT_ONCE || number == count && !opening.is_empty() {
            sockets.push(opening.join_next().await.expect("one of them").expect("a socket"));
        }
        if number % (count / 4).max(1) == 0 {
            println!(
                "{number} sockets: {} KiB in all, {} bytes each",
                server.memory() >> 10,
                (server.memory() - before) / number as u64
            );
        }
    }
    let cost = (server.memory() - before) / count as u64;
    println!("an idle socket costs {cost} bytes of the server's memory");
    assert!(server.connections() > sockets.len(), "all are open");
    // a build for development keeps more
    assert!(cost < COST_MAX || cfg!(debug_assertions) && std::env::var(PROGRAM).is_err(), "{cost} bytes");
}
