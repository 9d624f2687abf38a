//! What the server sends to the database for a request, as the database's own log has it. So pgbench runs the same statements, and
//! cannot fall behind a change of them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::cluster::Cluster;

/// How long the log may take to be written.
const LOG_WAIT: Duration = Duration::from_secs(5);

/// A statement, and its parameters as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub sql: String,
    pub parameters: Vec<Option<String>>,
}

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

/// Each from its BEGIN to its COMMIT; what is outside of them is left out.
fn split(sent: Vec<Sent>) -> Vec<Vec<Sent>> {
    let mut transactions: Vec<Vec<Sent>> = Vec::new();
    let mut is_open = false;
    for one in sent {
        let word = one.sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        if word == "begin" {
            is_open = true;
            transactions.push(Vec::new());
        }
        if let Some(transaction) = transactions.last_mut().filter(|_| is_open) {
            transaction.push(one);
        }
        is_open &= word != "commit";
    }
    transactions
}

/// The statements of a log. A message goes on in the next lines that begin with a tab.
fn read_log(text: &str) -> Vec<Sent> {
    let mut sent: Vec<Sent> = Vec::new();
    for entry in text.replace("\n\t", "\u{1}").lines() {
        let entry = entry.replace('\u{1}', "\n");
        if let Some((_, sql)) = entry.split_once(" LOG:  statement: ") {
            sent.push(Sent { sql: sql.trim().to_owned(), parameters: Vec::new() });
        } else if let Some((_, named)) = entry.split_once(" LOG:  execute ") {
            let sql = named.split_once(": ").map_or("", |(_, sql)| sql);
            sent.push(Sent { sql: sql.trim().to_owned(), parameters: Vec::new() });
        } else if let (Some((_, list)), Some(last)) = (entry.split_once(" DETAIL:  parameters: "), sent.last_mut()) {
            last.parameters = read_parameters(list);
        }
    }
    sent
}

/// `$1 = 'it''s', $2 = NULL`.
fn read_parameters(mut list: &str) -> Vec<Option<String>> {
    let mut parameters = Vec::new();
    while let Some((_, value)) = list.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            parameters.push(None);
            list = value;
            continue;
        };
        let mut end = 0;
        while let Some(at) = quoted[end..].find('\'') {
            end += at;
            if !quoted[end + 1..].starts_with('\'') {
                break;
            }
            end += 2;
        }
        parameters.push(Some(quoted[..end].replace("''", "'")));
        list = quoted.get(end + 1..).unwrap_or_default();
    }
    parameters
}
