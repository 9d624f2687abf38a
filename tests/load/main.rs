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
mod hints;
mod hot;
mod http;
mod keeper;
mod live;
mod parts;
mod peers;
mod pgbench;
mod profile;
mod report;
mod rounds;
mod scenarios;
mod sent;
mod server;
mod slow_disk;
mod statistics;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Part};
use cluster::{Cluster, SETTINGS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let result = match given.split_first() {
        Some((first, rest)) if first == keeper::KEEP => keeper::keep(rest),
        Some((first, _)) if first == live::bare::BARE => live::bare::serve(),
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
    let slow = arguments.parts.contains(&Part::Hints);
    let cluster = Cluster::start(arguments.data.as_deref(), arguments.postgres_bin.as_deref(), &arguments.settings, slow)?;
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
            Part::Small => parts::small(arguments, &cluster).await?,
            Part::Large => parts::large(arguments, &cluster).await?,
            Part::Deep => parts::deep(arguments, &cluster).await?,
            Part::Hot => hot::print(arguments, &cluster).await?,
            Part::Live => live::print(arguments, &cluster).await?,
            Part::Hints => hints::print(arguments, &cluster).await?,
            Part::Profile => profile::print(arguments, &cluster).await?,
        }
    }
    Ok(())
}
