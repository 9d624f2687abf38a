//! Slow readers: who does not read what they are told costs the server little, and nobody else anything.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::fleet::serving;
use super::line::{Heard, Line, PROTOCOLS, Protocol, Since};
use crate::cli::program::Serving;
use crate::support::random::longer;
use crate::support::{DEADLINE, Database, Person, TestServer};

/// Messages that are not read, those that are read before to see what that takes, and how many of them one transaction writes.
const MESSAGES: i64 = 5_000;
const READ: i64 = 1_500;
const AT_ONCE: i64 = 100;
/// The length of each, in bytes.
const LENGTH: i64 = 2_000;
/// Readers of each protocol that read, and that don't.
const READERS: usize = 1;
const SLOW: usize = 4;
/// What all that don't read may cost together, in bytes, beyond what the server takes when they read: a quarter of what they are not reading.
const COST_MAX: u64 = 16 << 20;
/// How long who does not read is waited for: the server's patience with what is to be sent, and with its close.
const PATIENCE: Duration = Duration::from_secs(180);
/// The connection of the test's own requests.
const OF_API: usize = 1;

/// Reads for good, and says up to which rev.
fn reads(mut line: Line) -> (JoinHandle<()>, watch::Receiver<i64>) {
    let (say, upto) = watch::channel(0);
    let task = tokio::spawn(async move {
        loop {
            match line.next().await {
                Heard::Frame(frame, _) => {
                    if frame["type"] == "message.created" {
                        let rev = frame["rev"].as_i64().expect("a rev");
                        let before = say.send_replace(rev);
                        assert!(before == 0 || rev == before + 1, "{rev} comes after {before}");
                    }
                    assert_ne!(frame["type"], "resync", "who reads is not told to begin anew");
                }
                Heard::Sign => {}
                Heard::End(code) => panic!("closed with {code:?}"),
            }
        }
    });
    (task, upto)
}

/// What somebody who begins to read at last comes to.
#[derive(Debug, Default)]
struct Late {
    revs: BTreeSet<i64>,
    is_anew: bool,
    /// With which code it was closed; 0: with none.
    end: Option<u16>,
}

/// Reads until it has all, is told to begin anew, or is closed.
async fn reads_at_last(line: &mut Line, last: i64) -> Late {
    let mut late = Late::default();
    while late.revs.last() != Some(&last) && !late.is_anew {
        match timeout(DEADLINE, line.next()).await.expect("something in time") {
            Heard::Frame(frame, _) => match frame["type"].as_str() {
                Some("message.created") => drop(late.revs.insert(frame["rev"].as_i64().expect("a rev"))),
                Some("resync") => late.is_anew = true,
                _ => {}
            },
            Heard::Sign => {}
            Heard::End(code) => {
                late.end = Some(code.unwrap_or(0));
                break;
            }
        }
    }
    late
}

/// A round of messages, as fast as those who read hear them; the most memory that the server had meanwhile, and the last rev.
async fn round(
    messages: i64,
    server: &Serving,
    database: &Database,
    who: &Person,
    chat: Uuid,
    readers: &mut [watch::Receiver<i64>],
) -> (u64, i64) {
    let psql = database.db_as(who.id).await;
    let send = "with sent as (insert into chat.messages (chat_id, text)
                              select $1, repeat('x', $3::int) from generate_series(1, $2) returning rev)
                select max(s.rev) from sent s";
    let (mut most, mut last) = (0, 0);
    for _ in 0..messages / AT_ONCE {
        let length = i32::try_from(LENGTH).expect("small");
        let count = i32::try_from(AT_ONCE).expect("small");
        last = psql.query_one(send, &[&chat, &count, &length]).await.expect(send).get(0);
        for reader in readers.iter_mut() {
            let heard = timeout(DEADLINE, reader.wait_for(|upto| *upto >= last)).await;
            heard.expect("who reads hears it in time").expect("it reads");
        }
        most = most.max(server.memory());
    }
    (most, last)
}

async fn listening(protocol: Protocol, person: &Person, chat: Uuid) -> Line {
    let since = Since::now(&[chat]);
    Line::open(person, protocol, &since).await.expect("they may")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_costs_little_and_holds_up_nobody() {
    let other = TestServer::start().await;
    let server = serving(&other.database).await;
    let alice = other.person("alice").await.at(&server.url());
    let chat = alice.group_with(&[]).await;
    let (mut tasks, mut readers) = (Vec::new(), Vec::new());
    let mut add = |line: Line| {
        let (task, upto) = reads(line);
        tasks.push(task);
        readers.push(upto);
    };
    for protocol in PROTOCOLS.repeat(READERS) {
        add(listening(protocol, &alice, chat).await);
    }
    // everybody reads at first: what the server takes for that is no cost of being slow
    let mut fast = Vec::new();
    for protocol in [Protocol::SocketOne, Protocol::StreamOne].repeat(SLOW) {
        let (task, upto) = reads(Line::narrow(&alice, protocol, chat).await);
        fast.push(task);
        readers.push(upto);
    }
    let (before, _) = round(READ, &server, &other.database, &alice, chat, &mut readers).await;
    readers.truncate(PROTOCOLS.len() * READERS);
    for task in fast {
        task.abort();
        let _ = task.await;
    }
    let mut slow = Vec::new();
    for protocol in [Protocol::SocketOne, Protocol::StreamOne].repeat(SLOW) {
        let mut line = Line::narrow(&alice, protocol, chat).await;
        // it listens, and then it does not read
        while !matches!(line.next().await, Heard::Frame(frame, _) if frame["payload"]["headRev"].is_i64()) {}
        slow.push((protocol, line));
    }
    let (most, last) = round(MESSAGES, &server, &other.database, &alice, chat, &mut readers).await;
    let cost = most.saturating_sub(before);
    println!("{} MiB while all read, {} MiB while {} did not: {} KiB more", before >> 20, most >> 20, slow.len(), cost >> 10);

    // half of them read at last: what they missed comes, or they are told to begin anew or to come back
    let never = slow.split_off(SLOW);
    for (protocol, line) in &mut slow {
        let late = reads_at_last(line, last).await;
        let said = (late.revs.len(), late.is_anew, late.end);
        println!("{protocol:?} reads at last: {said:?} (messages, told to begin anew, closed with)");
        let is_all = late.revs == (last - MESSAGES + 1..=last).collect();
        let again = Some(if protocol.is_socket() { 1013 } else { 0 });
        assert!(is_all || late.is_anew || late.end == again, "{protocol:?}: {said:?}");
    }
    drop(slow);
    let begin = Instant::now();
    // that takes the server's patience, which is long
    while longer() > 1 && server.connections() > tasks.len() + OF_API {
        assert!(begin.elapsed() < PATIENCE, "who does not read is not given up: {} connections", server.connections());
        sleep(Duration::from_millis(100)).await;
    }
    if longer() > 1 {
        println!("who never reads is given up after {:.0?}", begin.elapsed());
    }
    drop(never);
    assert!(cost < COST_MAX, "{} KiB", cost >> 10);
    for task in tasks {
        assert!(!task.is_finished(), "who reads is not closed");
        // before the server ends
        task.abort();
        let _ = task.await;
    }
}
