//! A server for Node as people write it by hand (`node/server.js`): node:http, node:crypto for the tokens, pg with a pool; BEGIN, role and
//! claims, the statement and COMMIT one after the other. It answers what the server answers, but for cursors. One process: one thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::{folder, free_address, install, start, text};
use crate::cluster::Cluster;
use crate::data::SECRET;
use crate::rounds::{Contender, Kind};
use crate::scenarios::{Scenario, World};

/// Where its sources are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/peers/node");

/// Has its packages installed; says where.
pub fn prepare() -> anyhow::Result<PathBuf> {
    let folder = folder("node")?;
    for file in ["package.json", "chat.js", "server.js", "socketio.js", "listen.js"] {
        std::fs::copy(Path::new(SOURCES).join(file), folder.join(file))?;
    }
    install(&folder, &[])?;
    Ok(folder)
}

/// Starts it, with the same questions as the server's: it has the same paths.
pub async fn contender(cluster: &Cluster, world: &World, pool: u16, connections: &[u16]) -> anyhow::Result<Contender> {
    let folder = prepare()?;
    let program = folder.join("server.js");
    let address = free_address()?;
    let (port, pool) = (address.port().to_string(), pool.to_string());
    let environment = [
        ("NODE_ENV", "production"),
        ("PGHOST", text(cluster.socket())?),
        ("PGUSER", "chat_api"),
        ("PGDATABASE", world.size.database),
        ("POOL", &pool),
        ("PORT", &port),
        ("SECRET", SECRET),
    ];
    let running = start("Node", address, &environment, &["node", text(&program)?], &cluster.folder().join("node.log")).await?;
    let mut questions = BTreeMap::new();
    for scenario in [Scenario::Send, Scenario::Page] {
        questions.insert(scenario, Arc::new(scenario.of_messages(world)?));
    }
    Ok(Contender { name: "Node".to_owned(), kind: Kind::Server(Rc::new(running), questions), connections: connections.to_vec() })
}
