//! One list of what must hold whatever the protocol: each scenario is written once, and happens over every protocol, for Supabase's and Pusher's
//! with their own clients. What comes of it is a table: how each protocol says what happened.

mod ear;
mod scenarios;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::ear::{DOORS, Door};
use self::scenarios::{SCENARIOS, Scenario};
use self::world::World;
use crate::support::npm::Node;

/// Cells that happen at once: each has a server of its own.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_hold_holds_over_every_protocol() {
    let node = Node::start().await.map(Arc::new);
    let few = Arc::new(Semaphore::new(AT_ONCE));
    let mut cells = JoinSet::new();
    for scenario in SCENARIOS {
        for door in DOORS.into_iter().filter(|door| node.is_some() || !door.is_stock()) {
            let (node, few) = (node.clone(), Arc::clone(&few));
            cells.spawn(async move {
                let _one = few.acquire_owned().await.expect("it is open");
                // in a task of its own: that it fails is told with its name
                let told = tokio::spawn(async move { scenario.happens(&World::begin(door, node).await).await }).await;
                (scenario, door, told)
            });
        }
    }
    let (mut table, mut broken) = (BTreeMap::<(Scenario, Door), String>::new(), Vec::new());
    while let Some(cell) = cells.join_next().await {
        let (scenario, door, told) = cell.expect("a cell");
        let told = told.unwrap_or_else(|panic| {
            broken.push(format!("{scenario:?}, {door:?}: {panic}"));
            "BROKEN".to_owned()
        });
        table.insert((scenario, door), told);
    }
    println!("{:<12}{}", "", DOORS.map(|door| format!("{:<34}", format!("{door:?}"))).concat());
    for scenario in SCENARIOS {
        let cell = |door| table.get(&(scenario, door)).map_or("-", String::as_str);
        println!("{:<12}{}", format!("{scenario:?}"), DOORS.map(|door| format!("{:<34}", cell(door))).concat());
    }
    assert!(broken.is_empty(), "{} cells are broken:\n{}", broken.len(), broken.join("\n"));
}
