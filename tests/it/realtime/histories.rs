//! Delivered is selectable: whatever happens, in whatever order, over whichever process, each device that applies its frames ends with what its
//! owner can select, and no frame ever held a row that they could not select when it was read.

mod faults;
mod listening;
mod rooms;
mod shadow;
mod shrink;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tabletalk::app::App;
use tabletalk::realtime::trial::Trial;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::listening::{Frames, Hears, Listening};
use self::shadow::Shadow;
use self::shrink::shrink;
use crate::changes::device::Device;
use crate::changes::histories::{differences, something_happens};
use crate::realtime::line::Since;
use crate::support::random::{Random, longer, seed};
use crate::support::server::settings;
use crate::support::{DEADLINE, Person, TestServer};

const HISTORIES: u64 = 50;
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];
const MOMENTS: usize = 90;
/// Those who write at once.
const WRITERS: usize = 3;

/// What is to happen. Each step makes its choices by a seed of its own, so that others can be left out.
#[derive(Clone)]
pub struct History {
    steps: Vec<u64>,
    cuts: u64,
    trial: Trial,
    /// What the DBA does to the database beforehand.
    sabotage: Option<&'static str>,
    /// How long devices may take to be up to date.
    patience: Duration,
    /// What their devices hear.
    hear: [Hears; PEOPLE.len()],
}

/// How it went wrong.
pub struct Failure {
    what: String,
    log: Vec<String>,
}

impl History {
    fn new(random: &mut Random) -> Self {
        // relays that read seldom read much at once; those that read little at once are cut short
        let pace = Duration::from_millis(*random.pick(&[0, 0, 15, 60]));
        let changes_at_once = *random.pick(&[None, Some(1), Some(3)]);
        let trial = Trial { changes_at_once, pace, fault: None };
        let steps = (0..MOMENTS).map(|_| random.next()).collect();
        let hear = PEOPLE.map(|_| *random.pick(&[Hears::Frames, Hears::Frames, Hears::Rows, Hears::Rooms]));
        Self { steps, cuts: random.next(), trial, sabotage: None, patience: DEADLINE, hear }
    }
}

/// Lets a history happen.
async fn run(history: &History) -> Result<(), Failure> {
    let server = Arc::new(TestServer::start().await);
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    if let Some(sabotage) = history.sabotage {
        server.database.cluster.db_superuser(&server.database.name).await.batch_execute(sabotage).await.expect(sabotage);
    }
    #[cfg(debug_assertions)]
    for app in [&server.app, &other] {
        app.try_under(history.trial);
    }
    let ended = happens(history, &server, &other).await;
    other.stop().await.expect("it stops");
    // else its connections would stay until the end of all
    Arc::into_inner(server).expect("nobody else has it").app.stop().await.expect("it stops");
    ended
}

async fn happens(history: &History, server: &Arc<TestServer>, other: &App) -> Result<(), Failure> {
    shadow::begin(server).await;
    let mut people = Vec::new();
    for name in PEOPLE {
        people.push(server.person(name).await);
    }
    let others: Vec<&Person> = people[1..].iter().collect();
    server.database.db_set("public_rooms = 'everyone'").await;
    let chats = vec![
        people[0].group_with(&others).await,
        people[0].room("a room", "unlisted").await,
        people[0].room("a square", "public").await,
    ];
    for person in &others {
        person.joins(chats[2]).await.expect_status(200);
    }
    let mut devices = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let at = if number % 2 == 0 { person.clone() } else { person.at(other.url()) };
        devices.push(Listening::begin(Device::of(&at), Frames::default(), history.hear[number], Since::now(&[])).await);
    }
    let writers: Vec<JoinHandle<Result<Vec<String>, String>>> = (0..WRITERS)
        .map(|writer| {
            let steps: Vec<u64> = history.steps.iter().skip(writer).step_by(WRITERS).copied().collect();
            let (server, people, mut chats) = (Arc::clone(server), people.clone(), chats.clone());
            tokio::spawn(async move {
                let mut log = Vec::new();
                for step in steps {
                    log.push(something_happens(&mut Random::new(step), &server, &people, &mut chats).await?);
                }
                Ok(log)
            })
        })
        .collect();
    let mut random = Random::new(history.cuts);
    while !writers.iter().all(JoinHandle::is_finished) {
        if random.chance(70) {
            let number = usize::try_from(random.below(4)).expect("small");
            let again = devices.remove(number).begin_again().await;
            devices.insert(number, again);
        } else {
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and application_name = 'tabletalk listener'";
            server.database.cluster.db_superuser(&server.database.name).await.batch_execute(cut).await.expect(cut);
        }
        sleep(Duration::from_millis(random.below(100))).await;
    }
    let mut log = Vec::new();
    for (number, writer) in writers.into_iter().enumerate() {
        match writer.await.expect("a writer") {
            Ok(lines) => log.extend(lines.into_iter().map(|line| format!("{number}: {line}"))),
            Err(what) => return Err(Failure { what, log }),
        }
    }
    let mut wrong = Vec::new();
    let mut heard = Vec::new();
    for listening in devices {
        wrong.extend(settles(&listening, history.patience).await.into_iter().take(6));
        let (device, frames) = listening.hang_up().await;
        heard.push((device.person.id, frames));
    }
    let shadow = Shadow::read(server).await;
    for (who, frames) in heard {
        wrong.extend(frames.lock().await.iter().filter_map(|frame| shadow.leak(who, frame)));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure { what: wrong.join("\n"), log }) }
}

/// Waits until a device has what its owner can select: what is otherwise after all.
async fn settles(listening: &Listening, patience: Duration) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let mut device = listening.device.lock().await.clone();
        let mut fresh = Device::from_scratch(&device.person).await;
        for side in [&mut device, &mut fresh] {
            listening.hears.leave_out(side);
        }
        let differences = differences(&device, &fresh);
        if differences.is_empty() || begin.elapsed() > patience || listening.has_ended() {
            return differences.into_iter().map(|line| format!("{} {line}", device.person.name)).collect();
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_device_ends_with_what_its_owner_can_select() {
    let first = seed();
    for number in 0..HISTORIES * longer() {
        let history = History::new(&mut Random::new(first.wrapping_add(number)));
        if let Err(failure) = run(&history).await {
            let trial = history.trial;
            let (smallest, failure) = shrink(history, failure).await;
            let steps = smallest.steps.len();
            let hear = smallest.hear;
            panic!(
                "history {number}, {trial:?}, {hear:?}, comes down to {steps} steps:\n{}\n{}",
                failure.log.join("\n"),
                failure.what
            );
        }
    }
}
