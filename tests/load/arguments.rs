//! What to measure, and how long.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::live::Measure;
use crate::live::systems::System;
use crate::peers::Peer;
use crate::scenarios::Scenario;

/// A release server under load, beside pgbench with the same statements in the same database.
#[derive(Parser, Debug)]
#[command(name = "cargo bench --", max_term_width = 110)]
pub struct Arguments {
    /// What to run
    #[arg(value_enum, default_values_t = [Part::Small])]
    pub parts: Vec<Part>,
    /// Which requests
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    pub scenarios: Vec<Scenario>,
    /// Connections at once [default: 1,16,64; 16 where something is compared]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: Vec<u16>,
    /// Who else is measured, with the requests about messages
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::Postgrest, Peer::Node])]
    pub peers: Vec<Peer>,
    /// Measure no peers
    #[arg(long, conflicts_with = "peers")]
    pub no_peers: bool,
    /// Connections at once to peers
    #[arg(long, value_delimiter = ',', default_values_t = [16], value_parser = clap::value_parser!(u16).range(1..=64))]
    pub peer_connections: Vec<u16>,
    /// Of the live part: what is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Measure::ALL)]
    pub measures: Vec<Measure>,
    /// Of the live part: who is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = System::ALL)]
    pub systems: Vec<System>,
    /// Of the live part: how many listen
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000], value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub listeners: Vec<u16>,
    /// How often everything is measured, in another order each time [default: 5; 3 of what is live, and of hints]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=50))]
    rounds: Option<u16>,
    /// How long a measurement counts, after a second to warm up [default: 3; 2 of what is live]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=120))]
    seconds: Option<u16>,
    /// The server's connections to the database
    #[arg(long, default_value_t = 16)]
    pub pool: u16,
    /// A further setting of the cluster, such as shared_buffers=1GB
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Folder of the Postgres programs, pgbench among them
    #[arg(long, value_name = "FOLDER")]
    pub postgres_bin: Option<PathBuf>,
    /// Keep the cluster and its data in this folder, for the next run
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Repeats an order
    #[arg(long)]
    pub seed: Option<u64>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// 200,000 messages in 2,000 chats
    Small,
    /// 10,000,000 messages in 100,000 chats, beside the small data; takes minutes to make, and a quarter of memory as shared_buffers (--set) to be like a real one
    Large,
    /// The deepest page of a chat of a million messages, beside its first
    Deep,
    /// One busy chat while another session holds a snapshot for a minute
    Hot,
    /// How long until a message is with 1, 100 and 1,000 who listen, how many can be told, and what it costs; beside others
    Live,
    /// What it costs sends that others are told of them, on the disk as it is and on a slower one
    Hints,
    /// Where the time goes on that data: processor time, functions of the database and of the programs
    Profile,
}

impl Arguments {
    /// Connections at once.
    pub fn connections(&self, usually: &[u16]) -> Vec<u16> {
        if self.connections.is_empty() { usually.to_vec() } else { self.connections.clone() }
    }

    /// How often everything is measured.
    pub fn rounds(&self, usually: u16) -> u16 {
        self.rounds.unwrap_or(usually)
    }

    /// Who else takes part.
    pub fn peers(&self) -> &[Peer] {
        if self.no_peers { &[] } else { &self.peers }
    }

    /// How long a measurement counts.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(3).into())
    }

    /// And of what is live: there is more to measure.
    pub fn live_time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(2).into())
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "not NAME=VALUE".to_owned())
}
