//! What is printed: how long, how many, how fast; medians of the rotations, and the aims.

use super::Rotation;
use super::cells::{Delays, Spread, Told};
use super::sends::LISTENERS;
use super::systems::System;
use crate::arguments::Arguments;
use crate::report::{Aim, print_aims};
use crate::statistics::{median, range};

/// What share of socket.io's time it may take until a message is there.
const DELAY_AT_MOST: f64 = 0.5;
/// How many times socket.io's events, and what share of the limit's.
const EVENTS: [(System, System, f64); 3] = [
    (System::Tabletalk, System::Socketio, 3.0),
    (System::Tabletalks, System::Socketios, 3.0),
    (System::Tabletalk, System::Bare, 0.6),
];
const DELAYS: [(System, System); 2] = [(System::Tabletalk, System::Socketio), (System::Tabletalks, System::Socketios)];
/// What share of its rate the server keeps while people listen elsewhere.
const SENDS_AT_LEAST: f64 = 0.9;

/// Prints what the rotations have measured.
pub fn print(arguments: &Arguments, rotations: &[Rotation]) {
    println!("medians of {} rotations, and their range", rotations.len());
    let table = Table { arguments, rotations };
    let aims = [table.delays(), table.told(), table.sends()].concat();
    let failures: Vec<&String> = rotations.iter().flat_map(|rotation| &rotation.failures).collect();
    if failures.is_empty() {
        println!("\nevery frame came once, and was right");
    }
    for failure in failures {
        println!("\nFAILED: {failure}");
    }
    if !aims.is_empty() {
        print_aims(&aims);
    }
}

struct Table<'a> {
    arguments: &'a Arguments,
    rotations: &'a [Rotation],
}

impl Table<'_> {
    fn rows(&self) -> impl Iterator<Item = (u16, System)> {
        let mut listeners = self.arguments.listeners.clone();
        listeners.sort_unstable();
        listeners.into_iter().flat_map(|each| System::ALL.map(|system| (each, system)))
    }

    fn each_delay(&self, key: (u16, System), of: impl Fn(&Delays) -> f64) -> Vec<f64> {
        self.rotations.iter().filter_map(|rotation| rotation.delays.get(&key)).map(of).collect()
    }

    fn each_told(&self, key: (u16, System), of: impl Fn(&Told) -> f64) -> Vec<f64> {
        self.rotations.iter().filter_map(|rotation| rotation.told.get(&key)).map(of).collect()
    }

    fn delays(&self) -> Vec<Aim> {
        if self.rotations.iter().all(|rotation| rotation.delays.is_empty()) {
            return Vec::new();
        }
        println!("\nfrom sending a message to its frame, ms: at the first of those who listen, and at the last");
        println!(
            "  {:>6}  {:<16} {:>9}  {:>9} {:>15} {:>8}  {:>9} {:>15} {:>8}",
            "listen", "", "answered", "first p50", "", "p99", "last p50", "", "p99"
        );
        for key in self.rows() {
            let spread = |of: fn(&Delays) -> &Spread| {
                let p50 = self.each_delay(key, |delays| millis(of(delays).p50));
                let p99 = self.each_delay(key, |delays| millis(of(delays).p99));
                let (low, high) = range(&p50);
                format!("{:>9.2} {:>15} {:>8.2}", median(&p50), format!("{low:.2} – {high:.2}"), median(&p99))
            };
            let answered = self.each_delay(key, |delays| millis(delays.answer.p50));
            if !answered.is_empty() {
                println!(
                    "  {:>6}  {:<16} {:>9.2}  {}  {}",
                    key.0,
                    key.1.name(),
                    median(&answered),
                    spread(|delays| &delays.first),
                    spread(|delays| &delays.last)
                );
            }
        }
        let mut aims = Vec::new();
        for (each, ours) in self.rows() {
            for (who, other) in DELAYS.into_iter().filter(|(who, _)| *who == ours) {
                let ratios = self.ratios(|rotation| {
                    let of = |system| Some(millis(rotation.delays.get(&(each, system))?.first.p50));
                    Some(of(who)? / of(other)?)
                });
                if !ratios.is_empty() {
                    let what = format!("{}: times {}'s time to the first frame, {each} listen", who.name(), other.name());
                    aims.push(Aim { what, is: median(&ratios), wanted: DELAY_AT_MOST, at_most: true });
                }
            }
        }
        aims
    }

    fn told(&self) -> Vec<Aim> {
        if self.rotations.iter().all(|rotation| rotation.told.is_empty()) {
            return Vec::new();
        }
        println!(
            "\nat saturation; an event is a message at one who listens; processor seconds for 100,000 events; client: how busy its thread was"
        );
        println!(
            "  {:>6}  {:<16} {:>10} {:>9} {:>19} {:>7}  {:>7} {:>9} {:>7}  {:>6}",
            "listen", "", "messages/s", "events/s", "", "bytes", "server", "database", "load", "client"
        );
        for key in self.rows() {
            let events = self.each_told(key, |told| told.events);
            if events.is_empty() {
                continue;
            }
            let of = |of: fn(&Told) -> f64| median(&self.each_told(key, of));
            let (low, high) = range(&events);
            let bytes = self.rotations.iter().find_map(|rotation| Some(rotation.told.get(&key)?.bytes)).unwrap_or_default();
            println!(
                "  {:>6}  {:<16} {:>10.0} {:>9.0} {:>19} {bytes:>7}  {:>7.2} {:>9.2} {:>7.2}  {:>4.0} %",
                key.0,
                key.1.name(),
                of(|told| told.messages),
                median(&events),
                format!("{low:.0} – {high:.0}"),
                of(|told| told.server),
                of(|told| told.database),
                of(|told| told.load),
                of(|told| told.crowd) * 100.0,
            );
        }
        let mut aims = Vec::new();
        for (each, ours) in self.rows() {
            for (who, other, wanted) in EVENTS.into_iter().filter(|(who, ..)| *who == ours) {
                let ratios = self.ratios(|rotation| {
                    let of = |system| Some(rotation.told.get(&(each, system))?.events);
                    Some(of(who)? / of(other)?)
                });
                if !ratios.is_empty() {
                    let what = format!("{}: times {}'s events, {each} listen", who.name(), other.name());
                    aims.push(Aim { what, is: median(&ratios), wanted, at_most: false });
                }
            }
        }
        aims
    }

    fn sends(&self) -> Vec<Aim> {
        let sends: Vec<_> = self.rotations.iter().filter_map(|rotation| rotation.sends.as_ref()).collect();
        if sends.is_empty() {
            return Vec::new();
        }
        println!("\nmessages taken a second, 16 connections");
        let line = |what: &str, rates: Vec<f64>| {
            let (low, high) = range(&rates);
            println!("  {what:<46} {:>7.0} {:>15}", median(&rates), format!("{low:.0} – {high:.0}"));
        };
        line("to 800 chats, nobody listens", sends.iter().map(|sends| sends.elsewhere[0]).collect());
        line(&format!("to 800 chats, {LISTENERS} listen to others"), sends.iter().map(|sends| sends.elsewhere[1]).collect());
        line("to the rooms, nobody listens", sends.iter().map(|sends| sends.here[0]).collect());
        line(&format!("to the rooms, {LISTENERS} listen to all of them"), sends.iter().map(|sends| sends.here[1]).collect());
        let ratios: Vec<f64> = sends.iter().map(|sends| sends.elsewhere[1] / sends.elsewhere[0]).collect();
        let what = format!("sends: their rate while {LISTENERS} listen elsewhere");
        vec![Aim { what, is: median(&ratios), wanted: SENDS_AT_LEAST, at_most: false }]
    }

    fn ratios(&self, of: impl Fn(&Rotation) -> Option<f64>) -> Vec<f64> {
        self.rotations.iter().filter_map(of).collect()
    }
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
