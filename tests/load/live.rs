//! Live: how long until a message is with those who listen, how many can be told a second, and how fast messages are taken meanwhile.
//!
//! ```text
//! senders (this thread) ── POST ──► a system ── frames ──► crowd (a thread): counted, one in 61 read
//! ```
//!
//! Every system once in each rotation, in another order each time, started anew and alone; what is compared is of the same rotation.
//! Messages under way are bounded: what is measured is how many everybody is told, not how many are put off.

pub mod bare;
mod cells;
mod crowd;
mod processor;
mod rooms;
mod sends;
mod socket;
pub mod systems;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;

use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::data::{LIVE, Size};
use crate::parts::CONTROL;
use crate::peers;
use crate::pgbench::{self, Script};
use crate::rounds::{CONTROL_CONNECTIONS, CONTROL_OFF, CONTROL_TIME};
use crate::statistics::{Random, median};

use cells::{Delays, Told};
use crowd::Crowd;
use rooms::Rooms;
use sends::Sends;
use systems::System;

/// The data.
const DATA: Size = LIVE;
/// A copy of it for those who need a trigger and a table of their own.
const PEERS_DATABASE: &str = "live_peers";
/// How often everything is measured.
const ROUNDS: u16 = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// From sending a message to its arrival
    Delay,
    /// Events a second, and processor time
    Saturation,
    /// How fast the server takes messages while others listen
    Sends,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::Delay, Self::Saturation, Self::Sends];
}

/// What one rotation has measured.
#[derive(Default)]
struct Rotation {
    delays: BTreeMap<(u16, System), Delays>,
    told: BTreeMap<(u16, System), Told>,
    sends: Option<Sends>,
    /// What went wrong, and where.
    failures: Vec<String>,
}

/// Measures and prints it.
pub async fn print(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    println!("\n== live: {}, and {} rooms with all of {} people", DATA.words(), rooms::ROOMS, DATA.people);
    let rooms = Rooms::make(cluster).await?;
    let mut systems = arguments.systems.clone();
    if systems.iter().any(|system| system.needs_node()) && !peers::has_node() {
        println!("no Node and npm, so no peers: both come with the packages nodejs and npm");
        systems.retain(|system| !system.needs_node());
    }
    let node = if systems.iter().any(|system| system.needs_node()) { Some(peers::node::prepare()?) } else { None };
    let pgbench = pgbench::program(arguments.postgres_bin.as_deref());
    let control = Script::fixed(cluster, DATA.database, "control", CONTROL)?;
    let superuser = cluster.superuser(DATA.database).await?;
    let mut random = Random(arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0));
    let (mut rotations, mut controls) = (Vec::new(), Vec::new());
    let rounds = arguments.rounds(ROUNDS);
    for round in 1..=rounds {
        superuser.batch_execute("vacuum (analyze)").await?;
        if round == 1 {
            superuser.batch_execute("checkpoint").await?;
        }
        random.shuffle(&mut systems);
        let mut rotation = Rotation::default();
        for &system in &systems {
            if let Err(error) = measure(system, arguments, cluster, &rooms, node.as_deref(), &mut rotation).await {
                rotation.failures.push(format!("rotation {round}, {}: {error:#}", system.name()));
            }
        }
        if arguments.measures.contains(&Measure::Sends) {
            rotation.sends = Some(sends::measure(arguments, cluster, &rooms).await?);
        }
        rotations.push(rotation);
        let fast = match &pgbench {
            Some(program) => control.run(program, cluster, CONTROL_CONNECTIONS, CONTROL_TIME).await?,
            None => 1.0,
        };
        eprintln!("  rotation {round} of {rounds}: control {fast:.0}/s");
        controls.push(fast);
    }
    let usual = median(&controls);
    let mut off = controls.iter().map(|control| control / usual - 1.0);
    let mut number = 0;
    rotations.retain(|_| {
        let off = off.next().unwrap_or_default();
        number += 1;
        if off.abs() > CONTROL_OFF {
            println!("rotation {number} is left out: its control was off by {:+.0} %", off * 100.0);
        }
        off.abs() <= CONTROL_OFF
    });
    tables::print(arguments, &rotations);
    Ok(())
}

/// Everything about one system, in one rotation: more and more listen.
async fn measure(
    system: System,
    arguments: &Arguments,
    cluster: &Cluster,
    rooms: &Rooms,
    node: Option<&Path>,
    rotation: &mut Rotation,
) -> anyhow::Result<()> {
    let wanted = |measure| arguments.measures.contains(&measure);
    if !wanted(Measure::Delay) && !wanted(Measure::Saturation) {
        return Ok(());
    }
    let started = system.start(cluster, arguments.pool, node).await?;
    let crowd = Crowd::new(started.tells().address, started.dialect)?;
    let (one, all) = (rooms.requests(1), Arc::new(rooms.requests(rooms::ROOMS)));
    let mut listeners = arguments.listeners.clone();
    listeners.sort_unstable();
    let mut there = 0;
    for each in listeners {
        crowd.grow(rooms.members(there..each)).await?;
        there = each;
        let each_one = usize::from(each);
        if wanted(Measure::Delay) {
            let delays = cells::delays(&started, &crowd, each_one, &one, arguments.live_time()).await?;
            rotation.delays.insert((each, system), delays);
        }
        // one alone saturates nobody
        if wanted(Measure::Saturation) && each > 1 {
            let told = cells::saturate(&started, cluster, &crowd, each_one, &all, arguments.live_time()).await?;
            rotation.told.insert((each, system), told);
        }
    }
    Ok(())
}
