//! What the server sends to the database for a request, as the database's own log has it. So pgbench runs the same statements, and
//! cannot fall behind a change of them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::cluster::Cluster;
use crate::sent::{Sent, read_log, split};

/// How long the log may take to be written.
const LOG_WAIT: Duration = Duration::from_secs(5);

/// Statements of one database, written down from when this is made on.
pub struct Capture {
    log: File,
    from: u64,
}

impl Capture {
    /// Has the statements of connections to `database` that are made from now on logged.
    pub async fn begin(cluster: &Cluster, database: &str) -> anyhow::Result<Self> {
        let superuser = cluster.superuser("postgres").await?;
        for setting in ["log_statement = 'all'", "log_parameter_max_length = -1"] {
            superuser.batch_execute(&format!("alter database {database} set {setting}")).await?;
        }
        let log = File::open(cluster.log())?;
        let from = log.metadata()?.len();
        Ok(Self { log, from })
    }

    /// No longer: connections made from now on are not logged.
    pub async fn end(self, cluster: &Cluster, database: &str) -> anyhow::Result<()> {
        let superuser = cluster.superuser("postgres").await?;
        superuser.batch_execute(&format!("alter database {database} reset all")).await?;
        Ok(())
    }

    /// Leaves out what was sent up to now.
    pub fn skip(&mut self) -> anyhow::Result<()> {
        self.from = self.log.metadata()?.len();
        Ok(())
    }

    /// The transactions that were ended since this was last asked, at least one.
    pub async fn transactions(&mut self) -> anyhow::Result<Vec<Vec<Sent>>> {
        let asked = Instant::now();
        loop {
            let mut text = String::new();
            self.log.seek(SeekFrom::Start(self.from))?;
            self.log.read_to_string(&mut text)?;
            let sent = read_log(&text);
            if sent.last().is_some_and(|last| last.sql.eq_ignore_ascii_case("commit")) {
                self.from += text.len() as u64;
                return Ok(split(sent));
            }
            ensure!(asked.elapsed() < LOG_WAIT, "the log has no transaction: {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
