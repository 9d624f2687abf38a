//! The parts of the benchmark that go in rotations: who takes part in each, on which data.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tabletalk::wire::{Cursor, Direction, number_key};

use crate::arguments::{Arguments, Part};
use crate::capture::Capture;
use crate::cell::Questions;
use crate::cluster::Cluster;
use crate::data::{LARGE, LONG, SMALL, Size};
use crate::peers::{self, Peer};
use crate::pgbench::{self, Script};
use crate::report::{self, Aim};
use crate::rounds::{Contender, Field, Key, Kind, Results};
use crate::scenarios::{PAGE, Place, Scenario, World};
use crate::server::Running;
use crate::statistics::{Random, median};

/// What is compared at so many connections.
pub const COMPARED_AT: u16 = 16;
/// How many times slower the large data may be than the small.
const LARGE_AT_MOST: f64 = 1.1;
/// How many times slower the deepest page may be than the first.
const DEEP_AT_MOST: f64 = 1.1;
/// Reads one row by its key: how fast is the machine just now?
pub const CONTROL: &str = "select r.sentence from chat.rules r where r.number = 'messages.1';";

/// The server beside pgbench and its peers.
pub async fn small(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let mut field = field(arguments, cluster, &[SMALL], &[1, 16, 64]).await?;
    if field.pgbench.is_some() {
        field.contenders.push(beside(&field, SMALL, report::PGBENCH).await?);
    }
    let (world, server) = served(&field, SMALL, report::TABLETALK).await?;
    field.contenders.push(server);
    let peers = arguments.peers();
    if peers.is_empty() || peers::has_node() {
        for peer in peers {
            field.contenders.push(match peer {
                Peer::Postgrest => {
                    peers::postgrest::contender(cluster, &world, arguments.pool, &arguments.peer_connections).await?
                }
                Peer::Node => peers::node::contender(cluster, &world, arguments.pool, &arguments.peer_connections).await?,
            });
        }
    } else {
        println!("no Node and npm, so no peers beside it: both come with the packages nodejs and npm");
    }
    let results = run(&field).await?;
    report::print_aims(&report::aims(&field, &results));
    Ok(())
}

/// The server on the large data, beside itself on the small.
pub async fn large(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let mut field = field(arguments, cluster, &[SMALL, LARGE], &[COMPARED_AT]).await?;
    for size in [SMALL, LARGE] {
        let (_, server) = served(&field, size, size.database).await?;
        field.contenders.push(server);
    }
    for (size, name) in [(SMALL, "pgbench, small"), (LARGE, "pgbench, large")] {
        if field.pgbench.is_some() {
            field.contenders.push(beside(&field, size, name).await?);
        }
    }
    let results = run(&field).await?;
    let aims: Vec<Aim> = field
        .scenarios
        .iter()
        .map(|&scenario| {
            slower(&results, scenario, &format!("{}: times slower on the large data", scenario.name()), LARGE_AT_MOST)
        })
        .collect();
    report::print_aims(&aims);
    Ok(())
}

/// The deepest page of a chat of a million messages, beside its first.
pub async fn deep(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let size = if arguments.parts.contains(&Part::Large) { LARGE } else { LONG };
    let mut field = field(arguments, cluster, &[size], &[COMPARED_AT]).await?;
    field.scenarios = vec![Scenario::Page];
    let server = Rc::new(Running::tabletalk(cluster, size.database, arguments.pool)?);
    let world = World::of(size, &server).await?;
    // its ten participants have the revs 2 to 11, so its first message has 12
    let deepest = Cursor { direction: Direction::Older, key: number_key("messages", 12 + i64::try_from(PAGE)?) };
    for (name, query) in [("first page", String::new()), ("deepest page", format!("?cursor={deepest}"))] {
        let places = (0..10).map(|k| Place { chat: size.long_chat(), user: size.participant(size.long_chat(), k) });
        let requests = places.map(|place| Scenario::page_at(&world, place, &query)).collect::<anyhow::Result<_>>()?;
        let questions = Arc::new(Questions { requests, ..Scenario::Page.of_messages(&world)? });
        let kind = Kind::Server(Rc::clone(&server), BTreeMap::from([(Scenario::Page, questions)]));
        field.contenders.push(Contender { name: name.to_owned(), kind, connections: field.connections.clone() });
    }
    let results = run(&field).await?;
    report::print_aims(&[slower(&results, Scenario::Page, "page: times slower at its deepest", DEEP_AT_MOST)]);
    Ok(())
}

/// How many times slower the second contender is than the first.
fn slower(results: &Results, scenario: Scenario, what: &str, wanted: f64) -> Aim {
    let of = |who| Key { scenario, connections: COMPARED_AT, who };
    Aim { what: what.to_owned(), is: median(&results.ratios(of(0), of(1))), wanted, at_most: true }
}

async fn run(field: &Field<'_>) -> anyhow::Result<Results> {
    let mut random = Random(field.arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0));
    let results = field.run(&mut random).await?;
    report::print(field, &results);
    Ok(results)
}

/// The data, and nobody yet who takes part.
async fn field<'a>(
    arguments: &'a Arguments,
    cluster: &'a Cluster,
    sizes: &[Size],
    connections: &[u16],
) -> anyhow::Result<Field<'a>> {
    let mut superusers = Vec::new();
    for size in sizes {
        println!("\n== {}: {}", size.database, size.words());
        size.make(cluster).await?;
        superusers.push(cluster.superuser(size.database).await?);
    }
    let pgbench = pgbench::program(arguments.postgres_bin.as_deref());
    if pgbench.is_none() {
        println!("no pgbench, so nothing beside it and no control: it comes with the server programs (Debian: postgresql-15)");
    }
    Ok(Field {
        arguments,
        cluster,
        pgbench,
        control: Script::fixed(cluster, sizes[0].database, "control", CONTROL)?,
        scenarios: arguments.scenarios.clone(),
        connections: arguments.connections(connections),
        contenders: Vec::new(),
        superusers,
    })
}

/// pgbench, with what a server sends that runs only to be listened to.
async fn beside(field: &Field<'_>, size: Size, name: &str) -> anyhow::Result<Contender> {
    let mut scripts = BTreeMap::new();
    let mut capture = Capture::begin(field.cluster, size.database).await?;
    let server = Running::tabletalk(field.cluster, size.database, 1)?;
    let world = World::of(size, &server).await?;
    for &scenario in &field.scenarios {
        scripts.insert(scenario, scenario.script(&world, &server, field.cluster, &mut capture).await?);
    }
    capture.end(field.cluster, size.database).await?;
    Ok(Contender { name: name.to_owned(), kind: Kind::Pgbench(scripts), connections: field.connections.clone() })
}

/// The server, and what it is asked.
async fn served(field: &Field<'_>, size: Size, name: &str) -> anyhow::Result<(World, Contender)> {
    let server = Running::tabletalk(field.cluster, size.database, field.arguments.pool)?;
    let world = World::of(size, &server).await?;
    let mut questions = BTreeMap::new();
    for &scenario in &field.scenarios {
        questions.insert(scenario, scenario.questions(&world, &server).await?);
    }
    let kind = Kind::Server(Rc::new(server), questions);
    Ok((world, Contender { name: name.to_owned(), kind, connections: field.connections.clone() }))
}
