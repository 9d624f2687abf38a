//! Rotations: every measurement once in each, in another order each time, and each as a ratio to pgbench's of the same rotation.

use std::collections::BTreeMap;
use std::path::PathBuf;
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

/// How far the control may be off in a rotation that counts.
const CONTROL_OFF: f64 = 0.15;
/// How long the control counts.
const CONTROL_TIME: Duration = Duration::from_secs(1);
/// Connections of the control.
const CONTROL_CONNECTIONS: usize = 16;

/// What a measurement is of: which request, how many connections, and who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub scenario: Scenario,
    pub connections: u16,
    /// The place among the [`Contenders`]; none is pgbench.
    pub who: Option<usize>,
}

/// A server, and what is asked of it.
pub struct Contender {
    pub running: Running,
    pub questions: BTreeMap<Scenario, Arc<Questions>>,
    /// With how many connections.
    pub connections: Vec<u16>,
}

/// Everything that takes part.
pub struct Field<'a> {
    pub arguments: &'a Arguments,
    pub cluster: &'a Cluster,
    pub pgbench: Option<PathBuf>,
    pub scripts: BTreeMap<Scenario, Script>,
    pub control: Script,
    pub contenders: Vec<Contender>,
    /// For what is done between the rotations.
    pub superuser: Client,
}

/// What was measured, rotation by rotation.
#[derive(Default)]
pub struct Results {
    pub rounds: Vec<BTreeMap<Key, Figures>>,
    /// Those that were left out: which, and by how much their control was off.
    pub dropped: Vec<(usize, f64)>,
    /// The most memory the first contender had resident, and its share of it under the most connections; in MiB.
    pub memory: Option<(f64, f64)>,
}

impl Field<'_> {
    /// Runs all rotations.
    pub async fn run(&self, random: &mut Random) -> anyhow::Result<Results> {
        let mut results = Results::default();
        let mut controls = Vec::new();
        for contender in &self.contenders {
            contender.running.let_run(false)?;
        }
        for round in 1..=self.arguments.rounds {
            // what autovacuum and checkpoints would do, and the full page images that follow a checkpoint, outside of what counts
            self.superuser.batch_execute("vacuum (analyze)").await?;
            self.superuser.batch_execute("checkpoint").await?;
            if let (Some(program), Some(script)) = (&self.pgbench, self.scripts.get(&Scenario::Send)) {
                script.run(program, self.cluster, CONTROL_CONNECTIONS, cell::WARM_UP).await?;
            }
            let mut keys = self.keys();
            random.shuffle(&mut keys);
            let mut figures = BTreeMap::new();
            for key in keys {
                let measured = self.measure(key, random).await?;
                if let Some(failure) = &measured.failure {
                    eprintln!("  {key:?}: {} wrong answers, such as {failure}", measured.failures);
                }
                if key.who == Some(0) && Some(key.connections) == self.arguments.connections.iter().max().copied() {
                    let (peak, share) = self.contenders[0].running.memory()?;
                    results.memory = Some(results.memory.map_or((peak, share), |(p, s)| (peak.max(p), share.max(s))));
                }
                figures.insert(key, measured);
            }
            controls.push(match &self.pgbench {
                Some(program) => self.control.run(program, self.cluster, CONTROL_CONNECTIONS, CONTROL_TIME).await?,
                None => 1.0,
            });
            eprintln!(
                "  rotation {round} of {}: control {:.0}/s",
                self.arguments.rounds,
                controls.last().copied().unwrap_or_default()
            );
            results.rounds.push(figures);
        }
        let usual = median(&controls);
        let off: Vec<f64> = controls.iter().map(|control| control / usual - 1.0).collect();
        results.dropped = off.iter().copied().enumerate().filter(|(_, off)| off.abs() > CONTROL_OFF).collect();
        let mut number = 0;
        results.rounds.retain(|_| {
            number += 1;
            off[number - 1].abs() <= CONTROL_OFF
        });
        for contender in &self.contenders {
            contender.running.let_run(true)?;
        }
        Ok(results)
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for &scenario in &self.arguments.scenarios {
            for &connections in &self.arguments.connections {
                if self.pgbench.is_some() {
                    keys.push(Key { scenario, connections, who: None });
                }
                for (number, contender) in self.contenders.iter().enumerate() {
                    if contender.questions.contains_key(&scenario) && contender.connections.contains(&connections) {
                        keys.push(Key { scenario, connections, who: Some(number) });
                    }
                }
            }
        }
        keys
    }

    async fn measure(&self, key: Key, random: &mut Random) -> anyhow::Result<Figures> {
        let (connections, time) = (usize::from(key.connections), self.arguments.time());
        let Some(who) = key.who else {
            let program = self.pgbench.as_ref().expect("invariant: without it there is no such key");
            let per_second = self.scripts[&key.scenario].run(program, self.cluster, connections, time).await?;
            let none = Duration::ZERO;
            return Ok(Figures { per_second, p50: none, p99: none, failures: 0, failure: None });
        };
        let contender = &self.contenders[who];
        contender.running.let_run(true)?;
        let seed = random.below(usize::MAX) as u64;
        let figures =
            cell::measure(contender.running.address, &contender.questions[&key.scenario], connections, time, seed).await;
        contender.running.let_run(false)?;
        figures
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
