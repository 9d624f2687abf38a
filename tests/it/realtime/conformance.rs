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
                let world = Arc::new(World::begin(door, node).await);
                // in a task of its own: if it fails, the world ends all the same
                let shared = Arc::clone(&world);
                let told = tokio::spawn(async move { scenario.happens(&shared).await }).await;
                Arc::into_inner(world).expect("nobody else has it").server.app.stop().await.expect("it stops");
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
    let cell = |scenario, door| table.get(&(scenario, door)).map_or("-", String::as_str);
    let widths = DOORS.map(|door| SCENARIOS.map(|scenario| cell(scenario, door).len()).into_iter().max().unwrap_or(0) + 2);
    let row = |first: &str, cells: [String; DOORS.len()]| {
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{first:<12}{}", cells.concat().trim_end());
    };
    row("", DOORS.map(|door| format!("{door:?}")));
    for scenario in SCENARIOS {
        row(&format!("{scenario:?}"), DOORS.map(|door| cell(scenario, door).to_owned()));
    }
    assert!(broken.is_empty(), "{} cells are broken:\n{}", broken.len(), broken.join("\n"));
}
