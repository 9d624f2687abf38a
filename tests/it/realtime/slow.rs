//! Slow readers: who does not read what they are told costs the server little, and nobody else anything.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;
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
/// Readers of each protocol that read, and of each of these that don't.
const READERS: usize = 1;
const SLOW: usize = 2;
const OF_SLOW: [Protocol; 4] = [Protocol::SocketOne, Protocol::StreamOne, Protocol::SupabaseOne, Protocol::PusherOne];
/// What all that don't read may cost together, in bytes, beyond what the server takes when they read: a quarter of what they are not reading.
const COST_MAX: u64 = 16 << 20;
/// How long who does not read is waited for: the server's patience with what is to be sent, and with its close.
const PATIENCE: Duration = Duration::from_secs(180);
/// The connection of the test's own requests.
const OF_API: usize = 1;

/// The number with which a message's text begins.
fn number(frame: &Value) -> i64 {
    frame["payload"]["text"].as_str().and_then(|text| text.trim_end_matches('x').parse().ok()).expect("a number")
}

/// Reads for good, and says up to which number.
fn reads(mut line: Line) -> (JoinHandle<()>, watch::Receiver<i64>) {
    let (say, upto) = watch::channel(0);
    let task = tokio::spawn(async move {
        loop {
            match line.next().await {
                Heard::Frame(frame, _) => {
                    if frame["type"] == "message.created" {
                        let number = number(&frame);
                        let before = say.send_replace(number);
                        assert!(before == 0 || number == before + 1, "{number} comes after {before}");
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
    numbers: BTreeSet<i64>,
    is_anew: bool,
    /// With which code it was closed; 0: with none.
    end: Option<u16>,
}

/// Reads until it has all, is told to begin anew, or is closed.
async fn reads_at_last(line: &mut Line, last: i64) -> Late {
    let mut late = Late::default();
    while late.numbers.last() != Some(&last) && !late.is_anew {
        match timeout(DEADLINE, line.next()).await.expect("something in time") {
            Heard::Frame(frame, _) => match frame["type"].as_str() {
                Some("message.created") => drop(late.numbers.insert(number(&frame))),
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

/// The messages with these numbers, as fast as those who read hear them; the most memory that the server had meanwhile.
async fn round(
    numbers: Range<i64>,
    server: &Serving,
    database: &Database,
    who: &Person,
    chat: Uuid,
    readers: &mut [watch::Receiver<i64>],
) -> u64 {
    let psql = database.db_as(who.id).await;
    let send = "insert into chat.messages (chat_id, text)
                select $1, n || repeat('x', $4) from generate_series($2::bigint, $3::bigint) n";
    let length = i32::try_from(LENGTH).expect("small");
    let mut most = 0;
    for first in numbers.step_by(usize::try_from(AT_ONCE).expect("small")) {
        let last = first + AT_ONCE - 1;
        psql.execute(send, &[&chat, &first, &last, &length]).await.expect(send);
        for reader in readers.iter_mut() {
            let heard = timeout(DEADLINE, reader.wait_for(|upto| *upto >= last)).await;
            heard.expect("who reads hears it in time").expect("it reads");
        }
        most = most.max(server.memory());
    }
    most
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
    for protocol in OF_SLOW.repeat(SLOW) {
        let (task, upto) = reads(Line::narrow(&alice, protocol, chat).await);
        fast.push(task);
        readers.push(upto);
    }
    let before = round(1..READ + 1, &server, &other.database, &alice, chat, &mut readers).await;
    readers.truncate(PROTOCOLS.len() * READERS);
    for task in fast {
        task.abort();
        let _ = task.await;
    }
    let mut slow = Vec::new();
    for protocol in OF_SLOW.repeat(SLOW) {
        let mut line = Line::narrow(&alice, protocol, chat).await;
        // it listens, and then it does not read
        while !matches!(line.next().await, Heard::Frame(frame, _) if frame["type"] == "ack" || frame["type"] == "subscribed") {}
        slow.push((protocol, line));
    }
    let last = READ + MESSAGES;
    let most = round(READ + 1..last + 1, &server, &other.database, &alice, chat, &mut readers).await;
    let cost = most.saturating_sub(before);
    println!("{} MiB while all read, {} MiB while {} did not: {} KiB more", before >> 20, most >> 20, slow.len(), cost >> 10);

    // half of them read at last: what they missed comes, or they are told to begin anew or to come back
    let never = slow.split_off(OF_SLOW.len() * SLOW / 2);
    for (protocol, line) in &mut slow {
        let late = reads_at_last(line, last).await;
        let said = (late.numbers.len(), late.is_anew, late.end);
        println!("{protocol:?} reads at last: {said:?} (messages, told to begin anew, closed with)");
        let is_all = late.numbers == (last - MESSAGES + 1..=last).collect();
        assert!(is_all || late.is_anew || late.end == Some(protocol.too_slow()), "{protocol:?}: {said:?}");
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
