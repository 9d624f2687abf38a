//! Single measurements: how long until a message is there, how many can be told, how fast messages are taken meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;

use super::crowd::{Board, Crowd};
use super::processor::Processor;
use super::systems::Started;
use crate::cell::{Request, WARM_UP};
use crate::cluster::Cluster;
use crate::http::Connection;
use crate::statistics::percentile;

/// Connections that send, where it is not one.
pub const SENDERS: usize = 16;
/// Messages that are under way at once at most: a server that tells fewer than are taken would else only fall behind.
const UNDER_WAY: u64 = 32;
/// How long everybody may take to be told of a message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages that are sent before those that count.
const UNCOUNTED: usize = 20;
/// How long one waits between a message that everybody has and the next.
const PAUSE: Duration = Duration::from_millis(2);

/// How long messages took, from being sent.
#[derive(Clone, Default)]
pub struct Delays {
    /// Until they were answered.
    pub answer: Spread,
    /// Until the first had them.
    pub first: Spread,
    /// Until everybody had them.
    pub last: Spread,
}

/// In the middle, and at the worst but one of a hundred.
#[derive(Clone, Default)]
pub struct Spread {
    pub p50: Duration,
    pub p99: Duration,
}

impl Spread {
    fn of(mut micros: Vec<u32>) -> Self {
        Self { p50: percentile(&mut micros, 50), p99: percentile(&mut micros, 99) }
    }
}

/// How many were told.
#[derive(Clone, Default)]
pub struct Told {
    pub messages: f64,
    pub events: f64,
    /// Bytes of a frame.
    pub bytes: u64,
    /// Seconds of processor time for 100,000 events: the server's, the database's, and those of who measures.
    pub server: f64,
    pub database: f64,
    pub load: f64,
    /// What share of its time the thread of those who listen was busy.
    pub crowd: f64,
}

/// Sends messages one after the other, each when everybody has the one before.
pub async fn delays(
    started: &Started,
    crowd: &Crowd,
    each: usize,
    requests: &[Request],
    time: Duration,
) -> anyhow::Result<Delays> {
    let board = &crowd.board;
    let mut sender = Connection::open(started.takes().address).await?;
    let (mut answers, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
    board.begin(each);
    let mut end = None;
    for (number, request) in requests.iter().cycle().enumerate() {
        if number == UNCOUNTED {
            end = Some(Instant::now() + time);
        }
        if end.is_some_and(|end| Instant::now() > end) {
            break;
        }
        let sent = board.now();
        let answer = sender.ask(&request.bytes).await?;
        let answered = board.now();
        ensure!(answer.status == 201, "{} {}", answer.status, String::from_utf8_lossy(answer.body));
        let expected = (number as u64 + 1) * each as u64;
        ensure!(board.wait_for(expected, PATIENCE).await, "of {expected} frames {} came: {:?}", board.heard(), board.lost());
        let (first, last) = board.times();
        if end.is_some() {
            for (all, at) in [(&mut answers, answered), (&mut firsts, first), (&mut lasts, last)] {
                all.push(u32::try_from(at.saturating_sub(sent) / 1_000).unwrap_or(u32::MAX));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    look_over(board)?;
    Ok(Delays { answer: Spread::of(answers), first: Spread::of(firsts), last: Spread::of(lasts) })
}

/// Sends as fast as everybody is told.
pub async fn saturate(
    started: &Started,
    cluster: &Cluster,
    crowd: &Crowd,
    each: usize,
    requests: &Arc<Vec<Request>>,
    time: Duration,
) -> anyhow::Result<Told> {
    let board = &crowd.board;
    board.begin(each);
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Instant::now() + WARM_UP;
    let end = counted + time;
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        let connection = Connection::open(started.takes().address).await.context("it takes no connection")?;
        senders.spawn(send(connection, Arc::clone(requests), number, Arc::clone(board), Arc::clone(&sent), each as u64, end));
    }
    let processor = Processor::of(started.pids(), cluster, board.thread())?;
    tokio::time::sleep_until(counted.into()).await;
    let (before, begun) = (board.heard(), Instant::now());
    let used = processor.used();
    tokio::time::sleep_until(end.into()).await;
    let events = board.heard() - before;
    let (took, used) = (begun.elapsed().as_secs_f64(), processor.used().since(&used));
    while let Some(done) = senders.join_next().await {
        done??;
    }
    let expected = sent.load(Relaxed) * each as u64;
    ensure!(board.wait_for(expected, PATIENCE).await, "of {expected} frames {} came: {:?}", board.heard(), board.lost());
    ensure!(board.heard() == expected, "{} frames came twice", board.heard() - expected);
    look_over(board)?;
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let (events, each) = (events as f64, each as f64);
    let a_hundred_thousand = events / 100_000.0;
    Ok(Told {
        messages: events / each / took,
        events: events / took,
        bytes: board.frame_bytes(),
        server: used.server / a_hundred_thousand,
        database: used.database / a_hundred_thousand,
        load: used.load / a_hundred_thousand,
        crowd: used.crowd / took,
    })
}

async fn send(
    mut connection: Connection,
    requests: Arc<Vec<Request>>,
    number: usize,
    board: Arc<Board>,
    sent: Arc<AtomicU64>,
    each: u64,
    end: Instant,
) -> anyhow::Result<()> {
    let mut requests = requests.iter().cycle().skip(number * 7);
    loop {
        let told = (sent.load(Relaxed) + 1).saturating_sub(UNDER_WAY) * each;
        ensure!(board.wait_for(told, PATIENCE).await, "of {told} frames {} came: {:?}", board.heard(), board.lost());
        if Instant::now() >= end {
            return Ok(());
        }
        // others may have passed by as well: at most one more for each connection
        sent.fetch_add(1, Relaxed);
        let request = requests.next().context("no request")?;
        let answer = connection.ask(&request.bytes).await?;
        ensure!(answer.status == 201, "{} {}", answer.status, String::from_utf8_lossy(answer.body));
    }
}

fn look_over(board: &Board) -> anyhow::Result<()> {
    ensure!(board.wrong() == 0, "{} frames were wrong", board.wrong());
    if let Some(end) = board.lost() {
        anyhow::bail!("a connection ended: {end}");
    }
    Ok(())
}
