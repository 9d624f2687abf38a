//! Rotations: every measurement once in each, in another order each time, and each as a ratio to pgbench's of the same rotation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use crate::arguments::Arguments;
use crate::cell::{self, Figures, Questions};
use crate::cluster::Cluster;
use crate::pgbench::Script;
use crate::scenarios::Scenario;
use crate::server::Running;
use crate::statistics::{Random, median};

/// How often everything is measured.
const ROUNDS: u16 = 5;
/// How far the control may be off in a rotation that counts.
pub const CONTROL_OFF: f64 = 0.15;
/// How long the control counts.
pub const CONTROL_TIME: Duration = Duration::from_secs(1);
/// How long messages are sent before the first rotation.
const SETTLE_TIME: Duration = Duration::from_secs(8);
/// Connections of the control.
pub const CONTROL_CONNECTIONS: usize = 16;

/// What a measurement is of: which request, how many connections, and who answers, by the place among the [`Contender`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub scenario: Scenario,
    pub connections: u16,
    pub who: usize,
}

/// Who answers, and what they are asked.
pub struct Contender {
    pub name: String,
    pub kind: Kind,
    /// With how many connections.
    pub connections: Vec<u16>,
}

/// How they are asked.
pub enum Kind {
    /// The database itself, by pgbench.
    Pgbench(BTreeMap<Scenario, Script>),
    /// A server, over HTTP.
    Server(Rc<Running>, BTreeMap<Scenario, Arc<Questions>>),
}

impl Contender {
    /// The server that answers, unless the database itself does.
    pub fn running(&self) -> Option<&Running> {
        match &self.kind {
            Kind::Server(running, _) => Some(running),
            Kind::Pgbench(_) => None,
        }
    }

    fn takes(&self, scenario: Scenario, connections: u16) -> bool {
        let is_asked = match &self.kind {
            Kind::Pgbench(scripts) => scripts.contains_key(&scenario),
            Kind::Server(_, questions) => questions.contains_key(&scenario),
        };
        is_asked && self.connections.contains(&connections)
    }
}

/// Everything that takes part.
pub struct Field<'a> {
    pub arguments: &'a Arguments,
    pub cluster: &'a Cluster,
    pub pgbench: Option<PathBuf>,
    pub control: Script,
    pub scenarios: Vec<Scenario>,
    pub connections: Vec<u16>,
    pub contenders: Vec<Contender>,
    /// For what is done between the rotations, in each database.
    pub superusers: Vec<Client>,
}

/// What was measured, rotation by rotation.
#[derive(Default)]
pub struct Results {
    pub rounds: Vec<BTreeMap<Key, Figures>>,
    /// Those that were left out: which, and by how much their control was off.
    pub dropped: Vec<(usize, f64)>,
    /// The most memory that each server had resident, and its proportional share of it while it was loaded; in MiB.
    pub memory: BTreeMap<usize, (f64, f64)>,
}

impl Field<'_> {
    /// Runs all rotations.
    pub async fn run(&self, random: &mut Random) -> anyhow::Result<Results> {
        let mut results = Results::default();
        let mut controls = Vec::new();
        let rounds = self.arguments.rounds(ROUNDS);
        self.let_run(false)?;
        for round in 1..=rounds {
            self.settle(round == 1).await?;
            let mut keys = self.keys();
            random.shuffle(&mut keys);
            let mut figures = BTreeMap::new();
            for key in keys {
                let measured = self.measure(key, random).await?;
                if let Some(failure) = &measured.failure {
                    eprintln!("  {}: {} wrong answers, such as {failure}", self.contenders[key.who].name, measured.failures);
                }
                if let Some(running) = self.contenders[key.who].running() {
                    let (peak, share) = running.memory()?;
                    let most = results.memory.entry(key.who).or_default();
                    *most = (most.0.max(peak), most.1.max(share));
                }
                figures.insert(key, measured);
            }
            results.rounds.push(figures);
            controls.push(self.control().await?);
            eprintln!("  rotation {round} of {rounds}: control {:.0}/s", controls.last().copied().unwrap_or_default());
        }
        self.let_run(true)?;
        let usual = median(&controls);
        let off: Vec<f64> = controls.iter().map(|control| control / usual - 1.0).collect();
        results.dropped = off.iter().copied().enumerate().filter(|(_, off)| off.abs() > CONTROL_OFF).collect();
        let mut off = off.into_iter();
        results.rounds.retain(|_| off.next().is_some_and(|off| off.abs() <= CONTROL_OFF));
        Ok(results)
    }

    /// What autovacuum would do, outside of what counts. Before the first rotation also a checkpoint, and the full page images that follow
    /// one: there is none later.
    async fn settle(&self, is_first: bool) -> anyhow::Result<()> {
        for superuser in &self.superusers {
            superuser.batch_execute("vacuum (analyze)").await?;
        }
        if !is_first {
            return Ok(());
        }
        for superuser in &self.superusers {
            superuser.batch_execute("checkpoint").await?;
        }
        for contender in &self.contenders {
            if let (Kind::Pgbench(scripts), Some(program)) = (&contender.kind, &self.pgbench)
                && let Some(script) = scripts.get(&Scenario::Send)
            {
                script.run(program, self.cluster, CONTROL_CONNECTIONS, SETTLE_TIME).await?;
            }
        }
        Ok(())
    }

    /// How fast the machine is just now.
    async fn control(&self) -> anyhow::Result<f64> {
        match &self.pgbench {
            Some(program) => self.control.run(program, self.cluster, CONTROL_CONNECTIONS, CONTROL_TIME).await,
            None => Ok(1.0),
        }
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for (who, contender) in self.contenders.iter().enumerate() {
            for &scenario in &self.scenarios {
                for &connections in &self.connections {
                    if contender.takes(scenario, connections) {
                        keys.push(Key { scenario, connections, who });
                    }
                }
            }
        }
        keys
    }

    /// Only one of the servers is ever at work.
    fn let_run(&self, run: bool) -> anyhow::Result<()> {
        self.contenders.iter().filter_map(Contender::running).try_for_each(|running| running.let_run(run))
    }

    async fn measure(&self, key: Key, random: &mut Random) -> anyhow::Result<Figures> {
        let (connections, time) = (usize::from(key.connections), self.arguments.time());
        match &self.contenders[key.who].kind {
            Kind::Pgbench(scripts) => {
                let program = self.pgbench.as_ref().expect("invariant: without it nobody is asked by it");
                Ok(Figures::of_rate(scripts[&key.scenario].run(program, self.cluster, connections, time).await?))
            }
            Kind::Server(running, questions) => {
                running.let_run(true)?;
                let seed = random.below(usize::MAX) as u64;
                let figures = cell::measure(running.address, &questions[&key.scenario], connections, time, seed).await;
                running.let_run(false)?;
                figures
            }
        }
    }
}

impl Results {
    /// The figures of one measurement, rotation by rotation.
    pub fn of(&self, key: Key) -> Vec<&Figures> {
        self.rounds.iter().filter_map(|round| round.get(&key)).collect()
    }

    /// The middle of its rates.
    pub fn per_second(&self, key: Key) -> f64 {
        median(&self.of(key).iter().map(|figures| figures.per_second).collect::<Vec<_>>())
    }

    /// Its rate as a ratio to another's of the same rotation, each time.
    pub fn ratios(&self, key: Key, to: Key) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| Some(round.get(&key)?.per_second / round.get(&to)?.per_second)).collect()
    }

    /// How many answers were not right.
    pub fn failures(&self) -> usize {
        self.rounds.iter().flat_map(BTreeMap::values).map(|figures| figures.failures).sum()
    }
}
