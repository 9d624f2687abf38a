//! Everything that changes a chat, at once, from many sessions, while others read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::log;
use super::moves::{Move, Place, found, of_owner, of_person};
use crate::support::Database;
use crate::support::random::{Random, longer, seed};

const CHATS: usize = 3;
const PEOPLE: usize = 6;
/// Sessions that RLS binds, and sessions of the owner.
const PEOPLES_SESSIONS: u64 = 6;
const OWNERS_SESSIONS: u64 = 3;
const READERS: usize = 2;
/// Transactions of each session, when it runs for CI.
const TRANSACTIONS: u64 = 200;
/// Longer than any of it takes: what is still running then hangs.
const HUNG: Duration = Duration::from_secs(120);

/// What ends a transaction of a race in order: a rule, RLS, a deadlock or a wait in plain SQL, a row that somebody removed for good or
/// a chat that two found anew. Not a rev that an index has already.
fn is_expected(error: &Error) -> bool {
    let Some(refusal) = error.as_db_error() else { return false };
    let code = refusal.code().code();
    code.starts_with("PT4")
        || ["42501", "40P01", "55P03", "23503"].contains(&code)
        || code == "23505" && refusal.constraint() == Some("chats_pkey")
}

/// How often what ended how: a move, an end of a transaction, or an error's code.
type Counts = BTreeMap<String, u64>;

#[tokio::test]
async fn revs_have_neither_a_gap_nor_a_double_whoever_races() {
    let database = Database::new().await;
    let watcher = log::db_start(&database).await;
    // deadlocks are part of the game where plain SQL takes row locks first
    watcher.batch_execute(&format!("alter database {} set deadlock_timeout = '5ms'", database.name)).await.expect("a setting");
    let place = Arc::new(Place {
        chats: (0..CHATS).map(|_| Uuid::new_v4()).collect(),
        people: (0..PEOPLE).map(|_| Uuid::new_v4()).collect(),
    });
    let owner = database.db_owner().await;
    for person in &place.people {
        let statement = format!("insert into chat.users (id, display_name) values ('{person}', 'somebody')");
        owner.batch_execute(&statement).await.expect(&statement);
    }
    for chat in &place.chats {
        owner.batch_execute(&found(*chat, &place)).await.expect("a chat");
    }

    let seed = seed();
    let mut writers = Vec::new();
    for session in 0..PEOPLES_SESSIONS + OWNERS_SESSIONS {
        let random = Random::new(seed ^ session);
        let place = Arc::clone(&place);
        let is_owner = session < OWNERS_SESSIONS;
        let client =
            if is_owner { database.db_owner().await } else { database.cluster.db_connect("chat_api", &database.name).await };
        writers.push(tokio::spawn(async move {
            Writer { client, random, place, is_owner, counts: Counts::new() }.run(session).await
        }));
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let reader = database.cluster.db_superuser(&database.name).await;
        let done = Arc::clone(&done);
        readers.push(tokio::spawn(async move {
            let mut snapshots = 0;
            while !done.load(Ordering::Relaxed) {
                let broken = log::db_broken(&reader).await;
                assert!(broken.is_empty(), "a reader saw {broken:#?}");
                snapshots += 1;
            }
            snapshots
        }));
    }

    let hung = HUNG * u32::try_from(longer()).expect("a factor");
    let mut counts = Counts::new();
    for writer in writers {
        let its = tokio::time::timeout(hung, writer).await.expect("no writer hangs").expect("a writer");
        for (what, n) in its {
            *counts.entry(what).or_default() += n;
        }
    }
    done.store(true, Ordering::Relaxed);
    let mut snapshots = 0;
    for reader in readers {
        snapshots += reader.await.expect("what a reader sees is whole");
    }
    let revs: i64 = watcher.query_one("select count(*) from race.log", &[]).await.expect("a count").get(0);
    println!("{revs} revs, {snapshots} snapshots, {counts:#?}");

    log::db_holds(&watcher).await;
    // it was a race of all of it, or it proves nothing
    for action in [
        Move::Send,
        Move::Reply,
        Move::SendSeveral,
        Move::Edit,
        Move::EditMany,
        Move::Pin,
        Move::Leave,
        Move::Join,
        Move::ChangeRole,
        Move::Remove,
        Move::Add,
        Move::Delete,
        Move::Rename,
        Move::DeleteForGood,
        Move::DeleteRepliedForGood,
        Move::DeleteParticipantForGood,
        Move::Refound,
    ] {
        assert!(counts.contains_key(&format!("{action:?}")), "nobody did {action:?}");
    }
    for end in ["commit", "rollback", "savepoint rolled back", "commit prepared", "rollback prepared", "two chats"] {
        assert!(counts.contains_key(end), "no transaction had this: {end}");
    }
    assert!(snapshots > 20, "{snapshots} snapshots are too few to see anything");
}

struct Writer {
    client: Client,
    random: Random,
    place: Arc<Place>,
    is_owner: bool,
    counts: Counts,
}

impl Writer {
    async fn run(mut self, session: u64) -> Counts {
        // the owner's changes may be prepared, and what notifies may not
        let hints = if self.is_owner { "server" } else { "" };
        let settings = format!("set lock_timeout = '5s'; set chat.hints_to = '{hints}'");
        self.client.batch_execute(&settings).await.expect("settings");
        for number in 0..TRANSACTIONS * longer() {
            if let Err(error) = self.transact(&format!("race_{}_{session}_{number}", Uuid::new_v4().simple())).await {
                assert!(is_expected(&error), "{error:?}");
                self.count(&format!("error {}", error.code().map_or("", |code| code.code())));
                self.client.batch_execute("rollback").await.expect("a rollback");
            }
        }
        self.counts
    }

    /// One transaction: some moves, perhaps with a savepoint rolled back in between, and one of the ways to end it.
    async fn transact(&mut self, name: &str) -> Result<(), Error> {
        let me = *self.random.pick(&self.place.people);
        self.client.batch_execute("begin isolation level read committed").await?;
        self.enter(me).await?;
        let moves = *self.random.pick(&[1, 1, 1, 2, 3]);
        for _ in 0..moves {
            let (action, sql) = self.next(me);
            if self.random.chance(10) {
                let (_, undone) = self.next(me);
                self.client.batch_execute("savepoint s").await?;
                self.client.batch_execute(&undone).await?;
                self.client.batch_execute("rollback to savepoint s").await?;
                self.count("savepoint rolled back");
            }
            self.client.batch_execute(&sql).await?;
            self.count(&format!("{action:?}"));
        }
        if self.random.chance(5) {
            let [first, second] = [self.place.chats[1], self.place.chats[2]];
            let (first, second) = if self.random.chance(50) { (first, second) } else { (second, first) };
            let sender = if self.is_owner { ", sender_id, kind" } else { "" };
            let values = if self.is_owner { format!(", '{me}', 'user'") } else { String::new() };
            for chat in [first, second] {
                let sql = format!("insert into chat.messages (chat_id, text{sender}) values ('{chat}', 'both'{values})");
                self.client.batch_execute(&sql).await?;
            }
            self.count("two chats");
        }
        self.end(name).await
    }

    async fn end(&mut self, name: &str) -> Result<(), Error> {
        let (sql, end) = if self.is_owner && self.random.chance(20) {
            self.client.batch_execute(&format!("prepare transaction '{name}'")).await?;
            if self.random.chance(30) {
                (format!("rollback prepared '{name}'"), "rollback prepared")
            } else {
                (format!("commit prepared '{name}'"), "commit prepared")
            }
        } else if self.random.chance(10) {
            ("rollback".to_owned(), "rollback")
        } else {
            ("commit".to_owned(), "commit")
        };
        self.client.batch_execute(&sql).await?;
        self.count(end);
        Ok(())
    }

    /// Becomes this person if RLS is to bind it; takes the locks first, as the server does, most of the time.
    async fn enter(&mut self, me: Uuid) -> Result<(), Error> {
        let mut settings = Vec::new();
        if !self.is_owner {
            let claims = json!({ "sub": me, "role": "authenticated" });
            settings.push("set_config('role', 'authenticated', true)".to_owned());
            settings.push(format!("set_config('request.jwt.claims', '{claims}', true)"));
        }
        if self.random.chance(70) {
            let mut chats = self.place.chats.clone();
            chats.sort();
            let lock = |chat: &Uuid| {
                if self.is_owner {
                    format!("chat_private.hold_chat('{chat}')")
                } else {
                    format!("chat_private.lock_chat('{chat}')")
                }
            };
            settings.extend(chats.iter().map(lock));
        }
        self.client.batch_execute(&format!("select {}", settings.join(", "))).await
    }

    fn next(&mut self, me: Uuid) -> (Move, String) {
        if self.is_owner { of_owner(&mut self.random, &self.place) } else { of_person(&mut self.random, &self.place, me) }
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }
}
