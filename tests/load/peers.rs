//! Peers: what people would otherwise put in front of the same database, under the same policies and the same load.
//!
//! What is equal: the database with its triggers and policies, the tokens (HS256, one a user), who asks where, 16 connections of a pool, the
//! fields of a message, a transaction with role and claims for each request, and that a send notifies nobody. What is not is said by each.

pub mod node;
pub mod postgrest;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use crate::cluster::search_path;
use crate::http::{Connection, render};
use crate::keeper::{KEEP, Kept, succeeds};
use crate::server::Running;

/// How long a peer may take to answer.
const START_WAIT: Duration = Duration::from_secs(20);
/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(100);

/// What is measured beside the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// PostgREST, from npm
    Postgrest,
    /// A server written by hand for Node
    Node,
}

/// Where a peer is installed: below the build's folder.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Installs packages, or what the folder's `package.json` names, with their scripts left alone.
fn install(folder: &Path, packages: &[&str]) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]);
    succeeds(npm.arg("--prefix").arg(folder).args(packages))
}

/// Whether this machine has Node and npm.
pub fn has_node() -> bool {
    let path = search_path().unwrap_or_default();
    ["node", "npm"].iter().all(|program| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// An address that nobody listens at.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts a peer that listens at `address`, and waits until it answers.
pub async fn start(
    name: &'static str,
    address: SocketAddr,
    environment: &[(&str, &str)],
    command: &[&str],
    log: &Path,
) -> anyhow::Result<Running> {
    let mut program = vec![KEEP.to_owned(), "env".to_owned()];
    program.extend(environment.iter().map(|(name, value)| format!("{name}={value}")));
    program.extend(command.iter().map(ToString::to_string));
    let mut kept = Kept::start(&program, log)?;
    let pid = kept.said("pid: ")?.parse()?;
    let running = Running::peer(address, pid, kept);
    let begun = Instant::now();
    loop {
        // whatever it answers: it is there
        if let Ok(mut connection) = Connection::open(address).await
            && connection.ask(&render("GET", "/", "", "", "")).await.is_ok_and(|answer| answer.status < 500)
        {
            return Ok(running);
        }
        ensure!(begun.elapsed() < START_WAIT, "{name} does not answer: see {}", log.display());
        tokio::time::sleep(POLL).await;
    }
}

/// A folder's file, as text.
pub fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a folder whose name is not text")
}
