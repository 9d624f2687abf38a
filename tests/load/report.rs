//! What is printed: a table, and the aims.

use std::time::Duration;

use crate::parts::COMPARED_AT;
use crate::peers::postgrest;
use crate::rounds::{Field, Key, Results};
use crate::scenarios::Scenario;
use crate::statistics::{median, range};

/// The most that the server may have resident under load, in MiB.
const MEMORY_MAX: f64 = 60.0;
/// The least of somebody's rate. pgbench's is without NOTIFY.
const RATES: [(&str, Scenario, f64); 4] = [
    (PGBENCH, Scenario::Send, 0.8),
    (PGBENCH, Scenario::Page, 0.8),
    (postgrest::NAME, Scenario::Send, 2.0),
    (postgrest::NAME, Scenario::Page, 5.0),
];

/// What the contenders are called.
pub const PGBENCH: &str = "pgbench";
pub const TABLETALK: &str = "tabletalk";

/// An aim, and what was measured.
#[derive(Clone)]
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

/// Prints what was measured; ratios are to the first contender.
pub fn print(field: &Field<'_>, results: &Results) {
    for (number, off) in &results.dropped {
        println!("rotation {} is left out: its control was off by {:+.0} %", number + 1, off * 100.0);
    }
    let first = &field.contenders[0].name;
    println!("medians of {} rotations; ratio: to {first}'s rate of the same rotation, and its range\n", results.rounds.len());
    println!("  {:<6} {:>5}  {:<16} {:>9} {:>7} {:>15} {:>9} {:>9}", "", "conn.", "", "/s", "ratio", "", "p50 µs", "p99 µs");
    for &scenario in &field.scenarios {
        for &connections in &field.connections {
            for (who, contender) in field.contenders.iter().enumerate() {
                let key = Key { scenario, connections, who };
                if results.of(key).is_empty() {
                    continue;
                }
                let ratios = results.ratios(key, Key { who: 0, ..key });
                let (low, high) = range(&ratios);
                let compared = if who == 0 { String::new() } else { format!("{low:.2} – {high:.2}") };
                println!(
                    "  {:<6} {:>5}  {:<16} {:>9.0} {:>7.2} {compared:>15} {:>9.0} {:>9.0}",
                    scenario.name(),
                    connections,
                    contender.name,
                    results.per_second(key),
                    median(&ratios),
                    micros(results, key, |figures| figures.p50),
                    micros(results, key, |figures| figures.p99),
                );
            }
        }
    }
    for (who, (peak, share)) in &results.memory {
        println!("  {}: at most {peak:.0} MiB resident, {share:.0} of them its share", field.contenders[*who].name);
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
    let place = |name: &str| field.contenders.iter().position(|contender| contender.name == name);
    let Some(ours) = place(TABLETALK) else { return aims };
    let mut compare = |to: &str, scenario: Scenario, wanted: f64| {
        let key = Key { scenario, connections: COMPARED_AT, who: ours };
        let ratios = place(to).map(|who| results.ratios(key, Key { who, ..key })).unwrap_or_default();
        if !ratios.is_empty() {
            let what = format!("{}: times {to}'s rate, at {COMPARED_AT} connections", scenario.name());
            aims.push(Aim { what, is: median(&ratios), wanted, at_most: false });
        }
    };
    for (to, scenario, wanted) in RATES {
        compare(to, scenario, wanted);
    }
    if let Some((peak, _)) = results.memory.get(&ours) {
        let connections = field.connections.iter().max().copied().unwrap_or_default();
        let what = format!("MiB resident at most, with up to {connections} connections");
        aims.push(Aim { what, is: *peak, wanted: MEMORY_MAX, at_most: true });
    }
    aims
}

fn micros(results: &Results, key: Key, of: fn(&crate::cell::Figures) -> Duration) -> f64 {
    median(&results.of(key).iter().map(|figures| of(figures).as_secs_f64() * 1e6).collect::<Vec<_>>())
}
