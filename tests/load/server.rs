//! The server under load: the release build, in a process of its own.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context as _;

use crate::cluster::Cluster;
use crate::data::SECRET;
use crate::http::{Connection, render};
use crate::keeper::{self, KEEP, Kept};

/// A running process that answers requests.
pub struct Running {
    pub address: SocketAddr,
    pub pid: i32,
    _kept: Kept,
}

impl Running {
    /// A server over this database, with the settings it comes with.
    pub fn tabletalk(cluster: &Cluster, database: &str, pool: u16) -> anyhow::Result<Self> {
        let log = cluster.folder().join(format!("tabletalk-{database}.log"));
        let url = cluster.url("chat_api", database);
        let pool = pool.to_string();
        let arguments =
            ["--listen", "127.0.0.1:0", "--database-url", &url, "--jwt-secret", SECRET, "--jwt-subject", "uuid", "--pool", &pool];
        let program = [
            KEEP,
            "env",
            "-u",
            "DATABASE_ADMIN_URL",
            "-u",
            "JWT_JWKS",
            "-u",
            "JWT_AUDIENCE",
            "-u",
            "JWT_ISSUER",
            "-u",
            "TABLETALK_PUBLIC_URL",
        ];
        let mut command: Vec<String> = program.iter().map(ToString::to_string).collect();
        command.push(env!("CARGO_BIN_EXE_tabletalk").to_owned());
        command.extend(arguments.iter().map(ToString::to_string));
        let mut kept = Kept::start(&command, &log)?;
        let pid = kept.said("pid: ")?.parse()?;
        let address = kept.said("serves on http://").with_context(|| format!("the server: see {}", log.display()))?;
        Ok(Self { address: address.parse()?, pid, _kept: kept })
    }

    /// A peer that listens where it was told to.
    pub fn peer(address: SocketAddr, pid: i32, kept: Kept) -> Self {
        Self { address, pid, _kept: kept }
    }

    /// Stops it where it is, or lets it go on: only one of them may be at work.
    pub fn let_run(&self, run: bool) -> anyhow::Result<()> {
        keeper::let_run(self.pid, run)
    }

    /// Asks once.
    pub async fn get(&self, path: &str, token: &str) -> anyhow::Result<(u16, String)> {
        let mut connection = Connection::open(self.address).await?;
        let answer = connection.ask(&render("GET", path, token, "", "")).await?;
        Ok((answer.status, String::from_utf8_lossy(answer.body).into_owned()))
    }

    /// The most memory it ever had resident, and its proportional share now; in MiB.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let field = |file: &str, name: &str| -> anyhow::Result<f64> {
            let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid))?;
            let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((field("status", "VmHWM:")?, field("smaps_rollup", "Pss:")?))
    }
}
