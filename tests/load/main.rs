//! The benchmark: a release server under load, beside pgbench with the same statements, role and claims in the same database and the
//! same run. `cargo bench -- --help` says what it can do.
//!
//! ```text
//! cluster (a private one) ─ data (loader.sql) ─ server (the release build) ─ capture (what it sends for a request)
//!   └─ rounds: every measurement once in each rotation ─ cell (http) | pgbench ─ report: ratios, aims
//! ```
//!
//! It shares the machine with what it measures: one thread, requests rendered beforehand, answers looked at and one in 61 read as a whole.

mod arguments;
mod capture;
mod cell;
mod cluster;
mod data;
mod http;
mod keeper;
mod peers;
mod pgbench;
mod profile;
mod report;
mod rounds;
mod scenarios;
mod server;
mod statistics;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser as _;

use arguments::{Arguments, Part};
use capture::Capture;
use cluster::{Cluster, SETTINGS};
use data::{SMALL, Size};
use peers::Peer;
use pgbench::Script;
use rounds::{Contender, Field, Kind};
use scenarios::World;
use server::Running;
use statistics::Random;

/// Reads one row by its key: how fast is the machine just now?
const CONTROL: &str = "select r.sentence from chat.rules r where r.number = 'messages.1';";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let result = match given.split_first() {
        Some((first, rest)) if first == keeper::KEEP => keeper::keep(rest),
        Some((first, rest)) if first == keeper::KEEP_CLUSTER => cluster::keep(rest).await,
        _ => run(&Arguments::parse()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let cluster = Cluster::start(arguments.data.as_deref(), arguments.postgres_bin.as_deref(), &arguments.settings)?;
    let ours: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let given: Vec<String> = arguments.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    println!(
        "Postgres {}, a private cluster with fsync, as shipped but for {}",
        cluster.version(),
        [ours, given].concat().join(", ")
    );
    println!("{} processors, the load's one thread among those who share them", std::thread::available_parallelism()?);
    for part in &arguments.parts {
        match part {
            Part::Small => sized(arguments, &cluster, SMALL).await?,
            Part::Profile => {
                SMALL.make(&cluster).await?;
                profile::print(arguments, &cluster, SMALL).await?;
            }
        }
    }
    Ok(())
}

/// Everything on data of one size.
async fn sized(arguments: &Arguments, cluster: &Cluster, size: Size) -> anyhow::Result<()> {
    println!("\n== {}: {}", size.database, size.words());
    size.make(cluster).await?;
    let field = field(arguments, cluster, size).await?;
    let mut random = Random(arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0));
    let results = field.run(&mut random).await?;
    report::print(&field, &results);
    report::print_aims(&report::aims(&field, &results));
    Ok(())
}

/// All who take part, ready to begin.
async fn field<'a>(arguments: &'a Arguments, cluster: &'a Cluster, size: Size) -> anyhow::Result<Field<'a>> {
    let pgbench = pgbench::program(arguments.postgres_bin.as_deref());
    let mut contenders = Vec::new();
    if pgbench.is_some() {
        contenders.push(beside(arguments, cluster, size, report::PGBENCH).await?);
    } else {
        println!("no pgbench, so no ratios to it: it comes with the server programs (Debian: postgresql-15)");
    }
    let (world, server) = served(arguments, cluster, size, report::TABLETALK).await?;
    contenders.push(server);
    let peers = arguments.peers();
    if peers.is_empty() || peers::has_node() {
        for peer in peers {
            contenders.push(match peer {
                Peer::Postgrest => {
                    peers::postgrest::contender(cluster, &world, arguments.pool, &arguments.peer_connections).await?
                }
                Peer::Node => peers::node::contender(cluster, &world, arguments.pool, &arguments.peer_connections).await?,
            });
        }
    } else {
        println!("no Node and npm, so no peers beside it: both come with the packages nodejs and npm");
    }
    let control = Script::fixed(cluster, size.database, "control", CONTROL)?;
    let superusers = vec![cluster.superuser(size.database).await?];
    Ok(Field { arguments, cluster, pgbench, control: Some(control), contenders, superusers })
}

/// pgbench, with what a server sends that runs only to be listened to.
async fn beside(arguments: &Arguments, cluster: &Cluster, size: Size, name: &str) -> anyhow::Result<Contender> {
    let mut scripts = BTreeMap::new();
    let mut capture = Capture::begin(cluster, size.database).await?;
    let server = Running::tabletalk(cluster, size.database, 1)?;
    let world = World::of(size, &server).await?;
    for &scenario in &arguments.scenarios {
        scripts.insert(scenario, scenario.script(&world, &server, cluster, &mut capture).await?);
    }
    capture.end(cluster, size.database).await?;
    Ok(Contender { name: name.to_owned(), kind: Kind::Pgbench(scripts), connections: arguments.connections.clone() })
}

/// The server, and what it is asked.
async fn served(arguments: &Arguments, cluster: &Cluster, size: Size, name: &str) -> anyhow::Result<(World, Contender)> {
    let server = Running::tabletalk(cluster, size.database, arguments.pool)?;
    let world = World::of(size, &server).await?;
    let mut questions = BTreeMap::new();
    for &scenario in &arguments.scenarios {
        questions.insert(scenario, scenario.questions(&world, &server).await?);
    }
    let kind = Kind::Server(Rc::new(server), questions);
    Ok((world, Contender { name: name.to_owned(), kind, connections: arguments.connections.clone() }))
}
