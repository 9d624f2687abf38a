//! What is printed: a table, and the aims.

use std::time::Duration;

use crate::rounds::{Field, Key, Results};
use crate::scenarios::Scenario;
use crate::statistics::{median, range};

/// The most that the server may have resident under load, in MiB.
const MEMORY_MAX: f64 = 60.0;
/// The least of pgbench's rate, at so many connections.
const OF_PGBENCH: (f64, u16) = (0.8, 16);

/// An aim, and what was measured.
pub struct Aim {
    pub what: String,
    pub is: f64,
    pub wanted: f64,
    /// Whether less is better.
    pub at_most: bool,
}

impl Aim {
    fn line(&self) -> String {
        let met = if self.at_most { self.is <= self.wanted } else { self.is >= self.wanted };
        let word = if met { "met" } else { "MISSED" };
        let sign = if self.at_most { "≤" } else { "≥" };
        format!("  {:<62} {:>7.2}   {sign} {:<5} {word}", self.what, self.is, self.wanted)
    }
}

/// Prints what was measured.
pub fn print(field: &Field<'_>, results: &Results) {
    for (number, off) in &results.dropped {
        println!("rotation {} is left out: its control was off by {:+.0} %", number + 1, off * 100.0);
    }
    println!("medians of {} rotations; ratio: to pgbench's rate of the same rotation, and its range\n", results.rounds.len());
    println!("  {:<6} {:>5}  {:<10} {:>9} {:>7} {:>15} {:>9} {:>9}", "", "conn.", "", "/s", "ratio", "", "p50 µs", "p99 µs");
    for &scenario in &field.arguments.scenarios {
        for &connections in &field.arguments.connections {
            let pgbench = Key { scenario, connections, who: None };
            println!("  {:<6} {connections:>5}  {:<10} {:>9.0}", scenario.name(), "pgbench", results.per_second(pgbench));
            for (who, contender) in field.contenders.iter().enumerate() {
                let key = Key { who: Some(who), ..pgbench };
                if results.of(key).is_empty() {
                    continue;
                }
                let ratios = results.ratios(key, pgbench);
                let (low, high) = range(&ratios);
                println!(
                    "  {:<6} {:>5}  {:<10} {:>9.0} {:>7.2} {:>15} {:>9.0} {:>9.0}",
                    "",
                    "",
                    contender.running.name,
                    results.per_second(key),
                    median(&ratios),
                    format!("{low:.2} – {high:.2}"),
                    micros(results, key, |figures| figures.p50),
                    micros(results, key, |figures| figures.p99),
                );
            }
        }
    }
    let failures = results.failures();
    println!("\n{}", if failures == 0 { "every answer was right".to_owned() } else { format!("{failures} ANSWERS WERE WRONG") });
}

/// Prints the aims, and whether they are met.
pub fn print_aims(aims: &[Aim]) {
    println!("\naims:");
    for aim in aims {
        println!("{}", aim.line());
    }
}

/// The aims that these results say something about.
pub fn aims(field: &Field<'_>, results: &Results) -> Vec<Aim> {
    let mut aims = Vec::new();
    let (least, connections) = OF_PGBENCH;
    for scenario in [Scenario::Send, Scenario::Page] {
        let ours = Key { scenario, connections, who: Some(0) };
        let ratios = results.ratios(ours, Key { who: None, ..ours });
        if !ratios.is_empty() {
            let what = format!("{} of pgbench without NOTIFY, {connections} connections", scenario.name());
            aims.push(Aim { what, is: median(&ratios), wanted: least, at_most: false });
        }
    }
    if let Some((peak, share)) = results.memory {
        let connections = field.arguments.connections.iter().max().copied().unwrap_or_default();
        let what = format!("MiB resident at most ({share:.0} PSS), up to {connections} connections");
        aims.push(Aim { what, is: peak, wanted: MEMORY_MAX, at_most: true });
    }
    aims
}

fn micros(results: &Results, key: Key, of: fn(&crate::cell::Figures) -> Duration) -> f64 {
    median(&results.of(key).iter().map(|figures| of(figures).as_secs_f64() * 1e6).collect::<Vec<_>>())
}
