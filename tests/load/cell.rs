//! One measurement: so many connections, each asking again as soon as it is answered, for so long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::http::{Answer, Connection};
use crate::statistics::{Random, percentile};

/// How long a measurement runs before it counts.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// One answer of so many is read as a whole: a fast wrong one is no answer.
const READ_ONE_OF: usize = 61;

/// So many requests of a connection may end without an answer.
const LOST_MAX: usize = 10;

/// A rendered request, and what its answer must say.
pub struct Request {
    pub bytes: Vec<u8>,
    pub chat: String,
    pub text: String,
}

/// What is asked, and what a right answer is.
pub struct Questions {
    pub requests: Vec<Request>,
    pub status: u16,
    /// The least that an answer has, in bytes.
    pub least: usize,
    /// Whether it is the answer to this.
    pub is_right: fn(&Value, &Request) -> bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub failures: usize,
    /// The first answer that was not right.
    pub failure: Option<String>,
}

impl Figures {
    /// Of something that says no more than its rate.
    pub fn of_rate(per_second: f64) -> Self {
        Self { per_second, p50: Duration::ZERO, p99: Duration::ZERO, failures: 0, failure: None }
    }
}

struct Tally {
    micros: Vec<u32>,
    failures: usize,
    failure: Option<String>,
}

/// Measures.
pub async fn measure(
    address: SocketAddr,
    questions: &Arc<Questions>,
    connections: usize,
    time: Duration,
    seed: u64,
) -> anyhow::Result<Figures> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await.context("it takes no connection")?);
    }
    let counted = Instant::now() + WARM_UP;
    let mut tasks = JoinSet::new();
    for (number, connection) in open.into_iter().enumerate() {
        let random = Random(seed.wrapping_add(number as u64 * 0x1_0001));
        tasks.spawn(ask(address, connection, Arc::clone(questions), random, counted, counted + time));
    }
    let mut all = Tally { micros: Vec::new(), failures: 0, failure: None };
    while let Some(tally) = tasks.join_next().await {
        let tally = tally??;
        all.micros.extend(tally.micros);
        all.failures += tally.failures;
        all.failure = all.failure.or(tally.failure);
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let per_second = all.micros.len() as f64 / time.as_secs_f64();
    Ok(Figures {
        per_second,
        p50: percentile(&mut all.micros, 50),
        p99: percentile(&mut all.micros, 99),
        failures: all.failures,
        failure: all.failure,
    })
}

async fn ask(
    address: SocketAddr,
    mut connection: Connection,
    questions: Arc<Questions>,
    mut random: Random,
    counted: Instant,
    end: Instant,
) -> anyhow::Result<Tally> {
    let mut tally = Tally { micros: Vec::with_capacity(1 << 12), failures: 0, failure: None };
    let mut begun = Instant::now();
    for number in 0_usize.. {
        if begun >= end {
            break;
        }
        let request = &questions.requests[random.below(questions.requests.len())];
        let result = connection.ask(&request.bytes).await;
        let answered = Instant::now();
        let is_lost = result.is_err();
        let failure = match result {
            Ok(answer) => wrong(&questions, request, &answer, number % READ_ONE_OF == 0),
            Err(error) => Some(format!("no answer: {error}")),
        };
        if let Some(failure) = failure {
            tally.failures += 1;
            tally.failure.get_or_insert(failure);
        }
        if is_lost {
            ensure!(tally.failures < LOST_MAX, "it loses its connections");
            connection = Connection::open(address).await.context("it takes no connection any more")?;
        } else if answered >= counted && answered < end {
            tally.micros.push(u32::try_from((answered - begun).as_micros()).unwrap_or(u32::MAX));
        }
        begun = answered;
    }
    Ok(tally)
}

fn wrong(questions: &Questions, request: &Request, answer: &Answer, read: bool) -> Option<String> {
    let is_right = answer.status == questions.status
        && answer.body.len() >= questions.least
        && (!read || serde_json::from_slice(answer.body).is_ok_and(|value| (questions.is_right)(&value, request)));
    (!is_right).then(|| {
        let body = String::from_utf8_lossy(answer.body);
        format!("{} {}", answer.status, body.chars().take(300).collect::<String>())
    })
}
