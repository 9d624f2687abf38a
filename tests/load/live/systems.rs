//! What is measured: the server as one process and as two, socket.io the same, a server written by hand for Node, and the limit.
//!
//! What is equal: the client, the people and their tokens, the rooms and who is in them, the statement that stores a message with its policies
//! and triggers, 16 connections of a pool, whether one is in a room asked of the database at each subscription. What is not: the limit keeps
//! nothing and asks nobody; the one by hand reads what it tells as a superuser, in one statement without a transaction.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::bare::BARE;
use super::crowd::Dialect;
use super::{DATA, PEERS_DATABASE};
use crate::cluster::Cluster;
use crate::data::SECRET;
use crate::keeper::Kept;
use crate::peers::{free_address, node, start, text};
use crate::server::Running;

/// Who tells of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// The server, one process
    Tabletalk,
    /// Two processes of it: who listens is at the one, who sends at the other
    Tabletalks,
    /// socket.io, one process
    Socketio,
    /// Two processes of it with the adapter for Postgres
    Socketios,
    /// Written by hand for Node, with ws, a trigger and LISTEN
    Listen,
    /// tokio-tungstenite passing on what it is sent, without a database: the limit
    Bare,
}

impl System {
    pub const ALL: [Self; 6] = [Self::Tabletalk, Self::Tabletalks, Self::Socketio, Self::Socketios, Self::Listen, Self::Bare];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Tabletalk => "tabletalk",
            Self::Tabletalks => "tabletalk, two",
            Self::Socketio => "socket.io",
            Self::Socketios => "socket.io, two",
            Self::Listen => "ws and LISTEN",
            Self::Bare => "bare",
        }
    }

    pub const fn needs_node(self) -> bool {
        matches!(self, Self::Socketio | Self::Socketios | Self::Listen)
    }

    const fn dialect(self) -> Dialect {
        if matches!(self, Self::Socketio | Self::Socketios) { Dialect::SocketIo } else { Dialect::Frames }
    }

    /// Starts what it consists of; `node` is where the packages are.
    pub async fn start(self, cluster: &Cluster, pool: u16, node: Option<&Path>) -> anyhow::Result<Started> {
        let mut running = Vec::new();
        match self {
            Self::Tabletalk => running.push(Running::tabletalk(cluster, DATA.database, pool)?),
            Self::Tabletalks => {
                for _ in 0..2 {
                    running.push(Running::tabletalk(cluster, DATA.database, pool)?);
                }
            }
            Self::Socketio => running.push(in_node(cluster, pool, node, "socketio.js", 1, &[]).await?),
            Self::Socketios => {
                for number in 1..=2 {
                    running.push(in_node(cluster, pool, node, "socketio.js", number, &[("ADAPTER", "postgres")]).await?);
                }
            }
            Self::Listen => running.push(in_node(cluster, pool, node, "listen.js", 1, &[("READER", "postgres")]).await?),
            Self::Bare => {
                let mut kept = Kept::start(&[BARE.to_owned()], &cluster.folder().join("bare.log"))?;
                let pid = kept.said("pid: ")?.parse()?;
                let address = kept.said("serves on http://")?.parse()?;
                running.push(Running::peer(address, pid, kept));
            }
        }
        Ok(Started { dialect: self.dialect(), running })
    }
}

async fn in_node(
    cluster: &Cluster,
    pool: u16,
    folder: Option<&Path>,
    program: &str,
    number: usize,
    more: &[(&str, &str)],
) -> anyhow::Result<Running> {
    let folder: PathBuf = folder.map_or_else(node::prepare, |folder| Ok(folder.to_owned()))?;
    let program_file = folder.join(program);
    let address = free_address()?;
    let (port, pool) = (address.port().to_string(), pool.to_string());
    let environment = [
        ("NODE_ENV", "production"),
        ("PGHOST", text(cluster.socket())?),
        ("PGUSER", "chat_api"),
        ("PGDATABASE", PEERS_DATABASE),
        ("POOL", &pool),
        ("PORT", &port),
        ("SECRET", SECRET),
    ];
    let log = cluster.folder().join(format!("{program}.{number}.log"));
    start("Node", address, &[&environment, more].concat(), &["node", text(&program_file)?], &log).await
}

/// A system that runs until this is dropped.
pub struct Started {
    pub dialect: Dialect,
    running: Vec<Running>,
}

impl Started {
    /// Who takes messages.
    pub fn takes(&self) -> &Running {
        &self.running[0]
    }

    /// Who tells of them.
    pub fn tells(&self) -> &Running {
        self.running.last().expect("invariant: it consists of something")
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<i32> {
        self.running.iter().map(|running| running.pid).collect()
    }
}
