//! The data under load: how much there is of what, made by `loader.sql` past the triggers and looked over afterwards.

use std::time::Instant;

use anyhow::ensure;
use nix::sys::statvfs::statvfs;
use tabletalk::auth::{NewToken, mint};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::cluster::Cluster;

/// Signs the tokens of everybody under load.
pub const SECRET: &str = "a secret of the benchmark, long enough for HS256";
/// How long they are valid, in hours.
const TOKEN_HOURS: i64 = 24;
/// What a message takes on the disk, with its indexes and its share of everything else; in bytes, on the safe side.
const MESSAGE_BYTES: u64 = 700;
/// What the log of the cluster takes, in bytes.
const WAL_BYTES: u64 = 2 << 30;
/// Connections that load at once.
const LOADERS: u64 = 2;
/// The chats that stay as they are.
pub const WATCHED: u64 = 200;
/// The chats of those who list many.
pub const LISTED: u64 = 1_000;
/// How many watch, and how many list.
pub const EACH: u64 = 16;

/// How much data there is. See `loader.sql` for what the numbers mean.
#[derive(Clone, Copy)]
pub struct Size {
    pub database: &'static str,
    pub people: u64,
    pub lively: u64,
    pub messages_each: u64,
    pub long: u64,
    /// So many different requests.
    pub requests: u64,
}

pub const SMALL: Size = Size { database: "small", people: 1_000, lively: 800, messages_each: 100, long: 0, requests: 4_096 };
pub const LARGE: Size =
    Size { database: "large", people: 50_000, lively: 98_799, messages_each: 90, long: 1_000_090, requests: 16_384 };

/// The small data with a chat of a million messages.
pub const LONG: Size = Size { database: "long", long: 1_000_000, ..SMALL };

/// The small data with fewer messages: those that are live are new.
pub const LIVE: Size = Size { database: "live", messages_each: 20, ..SMALL };

impl Size {
    /// The number of the chat that has many messages, or would have.
    pub const fn long_chat(&self) -> u64 {
        self.lively + WATCHED + LISTED + 1
    }

    const fn chats(&self) -> u64 {
        self.lively + WATCHED + LISTED + if self.long > 0 { 1 } else { 0 }
    }

    const fn messages(&self) -> u64 {
        (self.lively + WATCHED + LISTED) * self.messages_each + self.long
    }

    /// Whom a chat's participant `k` is.
    pub const fn participant(&self, chat: u64, k: u64) -> u64 {
        1 + (chat * 7 + k * 13) % self.people
    }

    /// In words.
    pub fn words(&self) -> String {
        format!("{} messages in {} chats, {} users", self.messages(), self.chats(), self.people + 2 * EACH)
    }

    /// Makes the data, if its database is not there yet.
    pub async fn make(&self, cluster: &Cluster) -> anyhow::Result<()> {
        if !cluster.make_database(self.database).await? {
            return Ok(());
        }
        let free = statvfs(cluster.folder())?;
        let free = free.blocks_available() as u64 * free.fragment_size() as u64;
        ensure!(free >= WAL_BYTES + self.messages() * MESSAGE_BYTES, "too little room on the disk: {} MiB are free", free >> 20);
        let begun = Instant::now();
        let first = self.connect(cluster).await?;
        first.batch_execute(include_str!("loader.sql")).await?;
        first.batch_execute("call load.people()").await?;
        let ordinary = self.lively + WATCHED + LISTED;
        self.all(cluster, 1, self.chats(), |from, to| format!("call load.chats({from}, {to})")).await?;
        let each = self.messages_each;
        self.all(cluster, 1, ordinary, |from, to| format!("call load.messages({from}, {to}, 1, {each})")).await?;
        if self.long > 0 {
            let chat = self.long_chat();
            first.batch_execute(&format!("call load.messages({chat}, {chat}, 1, {})", self.long)).await?;
        }
        first.batch_execute("vacuum (analyze)").await?;
        eprintln!("  loaded {} in {} s", self.words(), begun.elapsed().as_secs());
        // the index of words is quicker made at once
        let index = "chat_private.search_pages_by_word";
        let definition: String = first.query_one(&format!("select pg_get_indexdef('{index}'::regclass)"), &[]).await?.get(0);
        first.batch_execute(&format!("drop index {index}")).await?;
        self.all(cluster, 1, self.chats(), |from, to| format!("call load.pages({from}, {to})")).await?;
        first.batch_execute(&format!("{definition}; analyze chat_private.search_pages; checkpoint")).await?;
        let step = (self.chats() / 2_000).max(1);
        let wrong = first.query_one(&format!("select load.check(1, {}, {step})", self.chats()), &[]).await?;
        let wrong: Option<String> = wrong.get(0);
        ensure!(wrong.is_none(), "the loader is wrong: {}", wrong.unwrap_or_default());
        first.batch_execute("drop schema load cascade").await?;
        cluster.is_filled(self.database).await?;
        eprintln!("  indexed for search and looked over, after {} s", begun.elapsed().as_secs());
        Ok(())
    }

    /// Runs a statement for all of `from` to `to`, by several connections in slices.
    async fn all(&self, cluster: &Cluster, from: u64, to: u64, statement: impl Fn(u64, u64) -> String) -> anyhow::Result<()> {
        let slice = (to - from + 1).div_ceil(LOADERS);
        let mut loaders = Vec::new();
        for begin in (from..=to).step_by(usize::try_from(slice)?) {
            let (client, statement) = (self.connect(cluster).await?, statement(begin, to.min(begin + slice - 1)));
            loaders.push(tokio::spawn(async move { client.batch_execute(&statement).await }));
        }
        for loader in loaders {
            loader.await??;
        }
        Ok(())
    }

    async fn connect(&self, cluster: &Cluster) -> anyhow::Result<Client> {
        let client = cluster.superuser(self.database).await?;
        let settings = format!(
            "set load.people = {}; set load.lively = {}; set synchronous_commit = off; set maintenance_work_mem = '512MB'; set work_mem = '256MB'",
            self.people, self.lively
        );
        client.batch_execute(&settings).await?;
        Ok(client)
    }
}

/// The id of a user.
pub fn user_id(n: u64) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 | decimal(n))
}

/// The id of a chat.
pub fn chat_id(n: u64) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_9000_0000_0000_0000 | decimal(n))
}

/// The last group of an id: decimal digits, written as if they were hexadecimal.
fn decimal(n: u64) -> u128 {
    u128::from_str_radix(&(100_000_000_000 + n).to_string(), 16).expect("decimal digits are hexadecimal ones")
}

/// A token of a user.
pub fn token(user: u64) -> anyhow::Result<String> {
    let lifetime = time::Duration::hours(TOKEN_HOURS);
    Ok(mint(SECRET, &NewToken { lifetime, ..NewToken::of_user(user_id(user).to_string()) })?)
}
