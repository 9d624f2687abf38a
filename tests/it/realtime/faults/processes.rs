//! No gap and no duplicate under faults: processes are killed and stopped, connections and networks cut, Postgres restarted, and every
//! client, over either protocol, ends with every message of its chats once, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::realtime::fleet::Fleet;
use crate::realtime::follower::Follower;
use crate::realtime::line::{PROTOCOLS, Protocol};
use crate::realtime::talk::{Answers, db_stored, talks};
use crate::support::random::{Random, longer, seed};
use crate::support::{Person, eventually};

const PROCESSES: usize = 3;
const CLIENTS: usize = 50;
const CHATS: usize = 4;
const SENDERS: usize = 6;
const PACE: Duration = Duration::from_millis(120);
/// How long, at least, there are faults: times what `TABLETALK_TEST_RACE` says.
const FAULTS_FOR: Duration = Duration::from_secs(40);
/// Faults that last go on beside others, but no more than so many at once: with two of three processes away little would be said.
const LASTING_MAX: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Killed,
    Stopped,
    ConnectionsCut,
    NetworkCut,
    PostgresRestarted,
    PostgresCrashed,
}

const FAULTS: [(u64, Fault); 6] = [
    (4, Fault::Killed),
    (2, Fault::Stopped),
    (9, Fault::ConnectionsCut),
    (2, Fault::NetworkCut),
    (1, Fault::PostgresRestarted),
    (1, Fault::PostgresCrashed),
];

impl Fault {
    fn lasts(self) -> bool {
        matches!(self, Self::Stopped | Self::NetworkCut)
    }

    /// Happens to a process, or to the database, and is over when this returns.
    async fn happens(self, fleet: &Fleet, which: usize, random: &mut Random) {
        let process = fleet.process(which);
        match self {
            Self::Killed => drop(process.hold().await.replace(Signal::SIGKILL).await),
            Self::Stopped => {
                let held = process.hold().await;
                held.signal(Signal::SIGSTOP);
                sleep(Duration::from_millis(16_000 + random.below(4_000))).await;
                held.signal(Signal::SIGCONT);
            }
            Self::NetworkCut => {
                let _held = process.hold().await;
                process.route.cut();
                sleep(Duration::from_millis(8_000 + random.below(8_000))).await;
                process.route.mend();
            }
            Self::ConnectionsCut => {
                let whose =
                    *random.pick(&["tabletalk", "tabletalk relay", "tabletalk listener", "tabletalk announcer", "tabletalk%"]);
                let cut = "select count(pg_terminate_backend(a.pid)) from pg_stat_activity a where a.application_name like $1";
                fleet.db_superuser().await.query_one(cut, &[&whose]).await.expect(cut);
            }
            Self::PostgresRestarted => fleet.cluster.restart(Signal::SIGINT).await,
            Self::PostgresCrashed => fleet.cluster.restart(Signal::SIGQUIT).await,
        }
    }
}

/// Faults at random, each kind at least once; how often each was.
async fn troubles(fleet: &Arc<Fleet>, random: &mut Random) -> BTreeMap<Fault, usize> {
    let mut counts = BTreeMap::new();
    let mut first: Vec<Fault> = FAULTS.iter().map(|(_, fault)| *fault).collect();
    let begin = Instant::now();
    let ends_at = begin + FAULTS_FOR * u32::try_from(longer()).expect("small");
    let mut lasting = JoinSet::new();
    while Instant::now() < ends_at || !first.is_empty() {
        while lasting.try_join_next().is_some() {}
        // those that last begin early, and the others come in between
        let next = first.iter().position(|fault| fault.lasts()).filter(|_| lasting.len() < LASTING_MAX);
        let fault = match next {
            Some(place) => first.swap_remove(place),
            None if !first.is_empty() && random.chance(50) => {
                let place = usize::try_from(random.below(first.len() as u64)).expect("small");
                if first[place].lasts() {
                    continue;
                }
                first.swap_remove(place)
            }
            None => random.weighted(&FAULTS),
        };
        let free: Vec<usize> = (0..PROCESSES).filter(|which| fleet.process(*which).is_free()).collect();
        let which = *random.pick(&free);
        if fault.lasts() {
            if lasting.len() >= LASTING_MAX {
                continue;
            }
            let (fleet, mut random) = (Arc::clone(fleet), Random::new(random.next()));
            lasting.spawn(async move { fault.happens(&fleet, which, &mut random).await });
        } else {
            fault.happens(fleet, which, random).await;
        }
        *counts.entry(fault).or_default() += 1;
        println!("{:5.1} s: {fault:?}, process {which}", begin.elapsed().as_secs_f32());
        sleep(Duration::from_millis(500 + random.below(2_500))).await;
    }
    while let Some(ended) = lasting.join_next().await {
        ended.expect("a fault that is over");
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_each_client_hears_each_message_once_and_in_order() {
    let mut random = Random::new(seed());
    let fleet = Arc::new(Fleet::start(PROCESSES).await);
    let urls = fleet.urls();
    let (alice, bob, carol) = (fleet.person("alice").await, fleet.person("bob").await, fleet.person("carol").await);
    let mut chats = Vec::new();
    for number in 0..CHATS {
        // the last is one that carol is not in
        let others: &[&Person] = if number < CHATS - 1 { &[&bob, &carol] } else { &[&bob] };
        chats.push(alice.group_with(others).await);
    }
    let (ready, mut are_ready) = watch::channel(0);
    let (say, stored) = watch::channel(None);
    let followers: Vec<JoinHandle<Follower>> = (0..CLIENTS)
        .map(|number| {
            let protocol = PROTOCOLS[number % PROTOCOLS.len()];
            let person = if number % 3 == 0 { &carol } else { &bob };
            let theirs: Vec<Uuid> = chats.iter().copied().take(if person.id == carol.id { CHATS - 1 } else { CHATS }).collect();
            let one = [theirs[number / PROTOCOLS.len() % theirs.len()]];
            let followed = if protocol == Protocol::StreamOne { &one[..] } else { &theirs[..] };
            let follower = Follower::new(number, person, protocol, followed, &urls);
            tokio::spawn(follower.follow(ready.clone(), stored.clone()))
        })
        .collect();
    are_ready.wait_for(|count| *count == CLIENTS).await.expect("they connect");
    let (halt, stop) = watch::channel(false);
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let mut urls = urls.clone();
            urls.rotate_left(number % PROCESSES);
            let person = if number % 2 == 0 { &alice } else { &bob };
            tokio::spawn(talks(person.clone(), chats[number % CHATS], urls, PACE, stop.clone()))
        })
        .collect();
    let counts = troubles(&fleet, &mut random).await;
    halt.send(true).expect("they talk");
    let (mut confirmed, mut answers) = (0, Answers::new());
    for sender in senders {
        let (ids, answered) = sender.await.expect("a sender");
        confirmed += ids.len();
        for (status, count) in answered {
            *answers.entry(status).or_default() += count;
        }
    }
    let database = fleet.db_superuser().await;
    // what a stopped process still had in hand is stored by now, or never
    let under_way = "select count(*) from pg_stat_activity a where a.application_name = 'tabletalk' and a.state <> 'idle'";
    eventually("nothing is under way", async || database.query_one(under_way, &[]).await.expect(under_way).get::<_, i64>(0) == 0)
        .await;
    let all = db_stored(&database).await;
    let messages: usize = all.values().map(Vec::len).sum();
    assert!(messages >= confirmed, "{confirmed} were answered to be stored, and {messages} are");
    say.send(Some(all.clone())).expect("they listen");
    let mut by_protocol: BTreeMap<Protocol, (usize, usize, usize, Duration, time::Duration)> = BTreeMap::new();
    for follower in followers {
        let follower = follower.await.expect("a follower");
        follower.must_have_exactly(&all);
        let figures = by_protocol.entry(follower.protocol).or_default();
        figures.0 += follower.connects;
        figures.1 += follower.again;
        figures.2 += follower.resyncs;
        figures.3 = figures.3.max(follower.silence);
        figures.4 = figures.4.max(follower.delay);
    }
    println!(
        "{messages} messages, {confirmed} of them confirmed, to {CLIENTS} clients of {PROCESSES} processes; faults: {counts:?}"
    );
    println!("senders were answered {answers:?} (0: nothing)");
    for (protocol, (connects, again, resyncs, silence, delay)) in &by_protocol {
        println!(
            "{protocol:?}: {connects} connections, {again} told again, {resyncs} resyncs, longest silence {silence:.1?}, delay {delay:.1}"
        );
    }
    assert!(messages > 200, "{messages} messages are too few to prove anything");
    drop(database);
    Arc::into_inner(fleet).expect("nobody else has it").stop().await;
}
