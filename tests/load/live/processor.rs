//! Processor time: of servers, of the database with all its processes, and of this program.

use std::fs;

use anyhow::Context as _;

use crate::cluster::Cluster;

/// Clock ticks of Linux a second.
const TICKS: f64 = 100.0;

/// Whose time is looked at.
pub struct Processor {
    servers: Vec<i32>,
    postmaster: i32,
    /// The thread of those who listen.
    crowd: i32,
}

/// Seconds used so far.
pub struct Used {
    pub server: f64,
    pub database: f64,
    pub load: f64,
    /// Of the load, the thread of those who listen.
    pub crowd: f64,
}

impl Used {
    pub fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server - before.server,
            database: self.database - before.database,
            load: self.load - before.load,
            crowd: self.crowd - before.crowd,
        }
    }
}

impl Processor {
    pub fn of(servers: Vec<i32>, cluster: &Cluster, crowd: i32) -> anyhow::Result<Self> {
        let text = fs::read_to_string(cluster.folder().join("postgres/cluster/postmaster.pid"))?;
        let postmaster = text.lines().next().context("no postmaster")?.trim().parse()?;
        Ok(Self { servers, postmaster, crowd })
    }

    pub fn used(&self) -> Used {
        // the postmaster has waited for those of its children that have ended
        let mut database = ticks(&self.postmaster.to_string(), 4);
        for pid in pids() {
            if field(&pid, 1) == Some(i64::from(self.postmaster)) {
                database += ticks(&pid, 2);
            }
        }
        Used {
            server: self.servers.iter().map(|pid| ticks(&pid.to_string(), 2)).sum(),
            database,
            load: ticks("self", 2),
            crowd: ticks(&format!("self/task/{}", self.crowd), 2),
        }
    }
}

fn pids() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Seconds as user and in the kernel; with four fields also those of children that were waited for.
fn ticks(process: &str, fields: usize) -> f64 {
    let ticks: i64 = (11..11 + fields).filter_map(|number| field(process, number)).sum();
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let ticks = ticks as f64;
    ticks / TICKS
}

/// A field of /proc/…/stat, counted from the one after the name.
fn field(process: &str, number: usize) -> Option<i64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split(' ').nth(number)?.parse().ok()
}
