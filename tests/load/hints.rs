//! What it costs to tell others of a commit: pgbench sends messages as the server does, with nobody told, with hints that one connection
//! announces after the commit, and with NOTIFY in each transaction; on the disk as it is and on a slower one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_postgres::types::Type;

use crate::arguments::Arguments;
use crate::capture::Capture;
use crate::cluster::Cluster;
use crate::data::{SMALL, chat_id};
use crate::parts::CONTROL;
use crate::pgbench::{self, Script};
use crate::report::{Aim, print_aims};
use crate::rounds::{CONTROL_CONNECTIONS, CONTROL_OFF, CONTROL_TIME};
use crate::scenarios::{Scenario, World};
use crate::sent::Sent;
use crate::server::Running;
use crate::statistics::{Random, median, range};

/// Connections that send.
const CONNECTIONS: usize = 32;
/// How often everything is measured.
const ROUNDS: u16 = 3;
/// How much longer each flush to the slower disk takes.
const SLOWER_BY: Duration = Duration::from_millis(1);
/// How often hints are announced at most, a second.
const ANNOUNCED: u64 = 300;
/// Chats that one announcement names: a send each since the last.
const NAMED: u64 = 8;
/// What share of their rate sends keep.
const KEPT_AT_LEAST: f64 = 0.95;
/// How long messages are sent before the first rotation.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// Who is told, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Nobody,
    Announced,
    Notify,
}

impl Way {
    const ALL: [Self; 3] = [Self::Nobody, Self::Announced, Self::Notify];

    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody is told",
            Self::Announced => "hints, announced after the commit",
            Self::Notify => "NOTIFY in the transaction",
        }
    }

    /// What the server sends, for this way: the setting that says it.
    fn of(self, sent: &[Vec<Sent>]) -> anyhow::Result<Vec<Vec<Sent>>> {
        const SAYS: &str = "set_config('chat.hints_to', 'server', true)";
        const READS: &str = "select current_setting('chat.hints', true)";
        let mut sent = sent.to_vec();
        let mut said = 0;
        for one in sent.iter_mut().flatten() {
            said += one.sql.matches(SAYS).count();
            let to = match self {
                Self::Announced => "server",
                Self::Nobody => "nobody",
                Self::Notify => "",
            };
            one.sql = one.sql.replace(SAYS, &format!("set_config('chat.hints_to', '{to}', true)"));
        }
        anyhow::ensure!(said == 1, "the server does not say once whom hints go to");
        if self != Self::Announced {
            let before: usize = sent.iter().map(Vec::len).sum();
            for transaction in &mut sent {
                transaction.retain(|one| one.sql != READS);
            }
            anyhow::ensure!(before == sent.iter().map(Vec::len).sum::<usize>() + 1, "the server does not read its hints once");
        }
        Ok(sent)
    }
}

/// Measures and prints it.
pub async fn print(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    println!("\n== hints: {CONNECTIONS} connections send to {} chats", SMALL.lively);
    let Some(program) = pgbench::program(arguments.postgres_bin.as_deref()) else {
        println!("no pgbench: it comes with the server programs (Debian: postgresql-15)");
        return Ok(());
    };
    SMALL.make(cluster).await?;
    let (database, disk) = (SMALL.database, cluster.slow_disk());
    let mut capture = Capture::begin(cluster, database).await?;
    let server = Running::tabletalk(cluster, database, 1)?;
    let world = World::of(SMALL, &server).await?;
    let (sent, set, varying) = Scenario::Send.sent(&world, &server, &mut capture).await?;
    capture.end(cluster, database).await?;
    drop(server);
    let mut scripts = Vec::new();
    for way in Way::ALL {
        let name = format!("hints-{}", scripts.len());
        scripts.push((way, Script::of(cluster, database, &name, &way.of(&sent)?, &set, &varying).await?));
    }
    let control = Script::fixed(cluster, database, "control", CONTROL)?;
    let superuser = cluster.superuser(database).await?;
    // somebody hears what is told, or it would be cheaper
    let _listening = listener(cluster).await?;
    let mut delays = vec![Duration::ZERO];
    delays.extend(disk.map(|_| SLOWER_BY));
    let mut random = Random(arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0));
    superuser.batch_execute("vacuum (analyze)").await?;
    superuser.batch_execute("checkpoint").await?;
    scripts[0].1.run(&program, cluster, CONNECTIONS, SETTLE_TIME).await?;

    let mut rotations = Vec::new();
    for round in 1..=arguments.rounds(ROUNDS) {
        superuser.batch_execute("vacuum (analyze)").await?;
        let mut cells: Vec<(usize, usize)> = (0..delays.len()).flat_map(|d| (0..scripts.len()).map(move |s| (d, s))).collect();
        random.shuffle(&mut cells);
        let mut rates = vec![[0.0; Way::ALL.len()]; delays.len()];
        for (d, s) in cells {
            if let Some(disk) = disk {
                disk.slow_down(delays[d])?;
            }
            let announcer = if scripts[s].0 == Way::Announced { Some(Announcer::start(cluster).await?) } else { None };
            rates[d][s] = scripts[s].1.run(&program, cluster, CONNECTIONS, arguments.time()).await?;
            if let Some(announcer) = announcer {
                let told = announcer.stop().await?;
                anyhow::ensure!(told > 0, "nothing was announced");
            }
        }
        if let Some(disk) = disk {
            disk.slow_down(Duration::ZERO)?;
        }
        let fast = control.run(&program, cluster, CONTROL_CONNECTIONS, CONTROL_TIME).await?;
        eprintln!("  rotation {round}: control {fast:.0}/s");
        rotations.push((rates, fast));
    }
    let usual = median(&rotations.iter().map(|(_, fast)| *fast).collect::<Vec<_>>());
    rotations.retain(|(_, fast)| (fast / usual - 1.0).abs() <= CONTROL_OFF);
    println!("medians of {} rotations; ratio: to nobody's rate of the same rotation, and its range", rotations.len());
    let mut aims = Vec::new();
    for (d, delay) in delays.iter().enumerate() {
        let on = if delay.is_zero() { "the disk as it is".to_owned() } else { format!("{} ms more a flush", delay.as_millis()) };
        println!("\n  {on:<36} {:>8} {:>7}", "sends/s", "ratio");
        for (s, (way, _)) in scripts.iter().enumerate() {
            let rates: Vec<f64> = rotations.iter().map(|(rates, _)| rates[d][s]).collect();
            let ratios: Vec<f64> = rotations.iter().map(|(rates, _)| rates[d][s] / rates[d][0]).collect();
            let (low, high) = range(&ratios);
            println!(
                "  {:<36} {:>8.0} {:>7.2} {:>15}",
                way.name(),
                median(&rates),
                median(&ratios),
                format!("{low:.2} – {high:.2}")
            );
            if *way == Way::Announced {
                let what = format!("hints: what sends keep of their rate, {on}");
                aims.push(Aim { what, is: median(&ratios), wanted: KEPT_AT_LEAST, at_most: false });
            }
        }
    }
    print_aims(&aims);
    Ok(())
}

async fn listener(cluster: &Cluster) -> anyhow::Result<tokio_postgres::Client> {
    let (client, mut heard) = cluster.dsn("chat_api", SMALL.database).connect_listening().await?;
    client.batch_execute("listen chat").await?;
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    Ok(client)
}

/// Announces as the server does: one NOTIFY at a time, so many a second at most.
struct Announcer {
    is_over: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Announcer {
    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let (client, connection) = cluster.dsn("chat_api", SMALL.database).connect().await.context("the announcer")?;
        let (is_over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&told));
        let task = tokio::spawn(async move {
            let _connection = connection;
            client.batch_execute("set synchronous_commit = off").await?; // as the server's does
            let notify = client.prepare_typed("select pg_catalog.pg_notify('chat', $1)", &[Type::TEXT]).await?;
            let mut next = Instant::now();
            while !over.load(Relaxed) {
                let number = count.fetch_add(1, Relaxed);
                let chats = (0..NAMED).map(|n| chat_id(1 + (number * NAMED + n) % SMALL.lively).simple().to_string());
                client.execute(&notify, &[&chats.collect::<Vec<_>>().join(",")]).await?;
                next = (next + Duration::from_micros(1_000_000 / ANNOUNCED)).max(Instant::now());
                tokio::time::sleep_until(next.into()).await;
            }
            Ok(())
        });
        Ok(Self { is_over, told, task })
    }

    /// How many it sent.
    async fn stop(self) -> anyhow::Result<u64> {
        self.is_over.store(true, Relaxed);
        self.task.await??;
        Ok(self.told.load(Relaxed))
    }
}
