//! pgbench: the same statements without a server in between, which is as fast as a server could be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::cell::WARM_UP;
use crate::cluster::{Cluster, search_path};
use crate::sent::Sent;
use crate::statistics::median;

/// A script for pgbench.
pub struct Script {
    file: PathBuf,
    definitions: Vec<String>,
    user: &'static str,
    database: &'static str,
}

/// What differs from request to request: a text of the sample request, and the variable that takes its place in the text's last group.
pub struct Varying {
    pub sample: String,
    pub prefix: &'static str,
    pub variable: &'static str,
}

/// Where pgbench is, if it is on this machine.
pub fn program(bin: Option<&Path>) -> Option<PathBuf> {
    let path = search_path().unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let folders = bin.map(Path::to_owned).into_iter().chain(versions).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join("pgbench")).find(|file| file.is_file())
}

impl Script {
    /// A script that does what was sent, transaction by transaction, each in one flush; `set` sets the variables of `varying`.
    pub async fn of(
        cluster: &Cluster,
        database: &'static str,
        name: &str,
        transactions: &[Vec<Sent>],
        set: &str,
        varying: &[Varying],
    ) -> anyhow::Result<Self> {
        let client = cluster.superuser(database).await?;
        let mut text = format!("{set}\n");
        let mut constants = Constants::default();
        for transaction in transactions {
            text += "\\startpipeline\n";
            for sent in transaction {
                let types = client.prepare(&sent.sql).await.with_context(|| sent.sql.clone())?.params().to_vec();
                let mut values = Vec::new();
                for (value, kind) in sent.parameters.iter().zip(types) {
                    values.push(format!("{}::{}", constants.expression(value.as_deref(), varying), kind.name()));
                }
                text += &format!("{};\n", with_values(&sent.sql, &values));
            }
            text += "\\endpipeline\n";
        }
        let file = cluster.folder().join(format!("{database}-{name}.pgbench"));
        fs::write(&file, text)?;
        let definitions = constants.0.into_iter().map(|(value, name)| format!("{name}={value}")).collect();
        Ok(Self { file, definitions, user: "chat_api", database })
    }

    /// A script of one's own making, run as the superuser.
    pub fn fixed(cluster: &Cluster, database: &'static str, name: &str, text: &str) -> anyhow::Result<Self> {
        let file = cluster.folder().join(format!("{database}-{name}.pgbench"));
        fs::write(&file, text)?;
        Ok(Self { file, definitions: Vec::new(), user: "postgres", database })
    }

    /// How many times a second it ran, once warm.
    pub async fn run(&self, program: &Path, cluster: &Cluster, connections: usize, time: Duration) -> anyhow::Result<f64> {
        let seconds = (WARM_UP + time).as_secs();
        let mut command = Command::new(program);
        command.args([
            "-n",
            "-M",
            "prepared",
            "-P",
            "1",
            "-U",
            self.user,
            "-T",
            &seconds.to_string(),
            "-c",
            &connections.to_string(),
        ]);
        command.arg("-h").arg(cluster.socket()).arg("-f").arg(&self.file);
        for definition in &self.definitions {
            command.arg("-D").arg(definition);
        }
        let output = command.arg(self.database).kill_on_drop(true).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && !said.contains("error"), "pgbench: {said}");
        // progress: 2.0 s, 9877.5 tps, lat …
        let progress = said.lines().filter_map(|line| line.strip_prefix("progress: "));
        let rates = progress.filter_map(|line| {
            let (at, rest) = line.split_once(" s, ")?;
            let (rate, _) = rest.split_once(" tps")?;
            Some((at.parse::<f64>().ok()?, rate.parse::<f64>().ok()?))
        });
        let warm: Vec<f64> = rates.filter(|(at, _)| *at > WARM_UP.as_secs_f64() + 0.5).map(|(_, rate)| rate).collect();
        ensure!(!warm.is_empty(), "pgbench said nothing of its progress: {said}");
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let mean = warm.iter().sum::<f64>() / warm.len() as f64;
        ensure!(median(&warm) > 0.0, "pgbench did nothing: {said}");
        Ok(mean)
    }
}

/// Texts that are the same each time, by the variables that hold them.
#[derive(Default)]
struct Constants(BTreeMap<String, String>);

impl Constants {
    fn variable(&mut self, value: &str) -> String {
        let next = format!("constant_{}", self.0.len());
        format!(":{}", self.0.entry(value.to_owned()).or_insert(next))
    }

    /// What stands for a parameter: itself, or with what varies in it put together.
    fn expression(&mut self, value: Option<&str>, varying: &[Varying]) -> String {
        // pgbench has variables for neither null nor nothing, and a constant would be planned as one
        let Some(value) = value else { return format!("nullif({}, '-')", self.variable("-")) };
        if value.is_empty() {
            return format!("left({}, 0)", self.variable("-"));
        }
        for one in varying {
            if let Some((before, after)) = value.split_once(&one.sample) {
                let before = self.variable(&format!("{before}{}", one.prefix));
                let after = if after.is_empty() { String::new() } else { format!(" || {}", self.variable(after)) };
                return format!("({before}::text || :{}::text{after})", one.variable);
            }
        }
        self.variable(value)
    }
}

/// A statement with expressions in place of `$1` and so on.
fn with_values(sql: &str, values: &[String]) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value = after[..digits].parse::<usize>().ok().and_then(|n| values.get(n.wrapping_sub(1)));
        text += before;
        match value {
            Some(value) => text += value,
            None => text += &format!("${}", &after[..digits]),
        }
        rest = &after[digits..];
    }
    text + rest
}
