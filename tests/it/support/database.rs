//! A database per test, copied from the template.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::cluster::{Cluster, INSTALLER, TEMPLATE, cluster};

/// The tables that requests write: their keys, and whom or what a row is about.
const TABLES: [(&str, &str, &str); 10] = [
    ("users", "t.id", "t.id"),
    ("friendships", "t.requester_id, t.addressee_id", "t.requester_id, t.addressee_id"),
    ("blocks", "t.blocker_id, t.blocked_id", "t.blocker_id, t.blocked_id"),
    ("chats", "t.id", "t.id"),
    ("participants", "t.chat_id, t.user_id", "t.user_id"),
    ("messages", "t.chat_id, t.id", "t.id"),
    ("message_edits", "t.chat_id, t.message_id, t.rev", "t.message_id"),
    ("reactions", "t.chat_id, t.message_id, t.user_id, t.emoji", "t.user_id, t.message_id"),
    ("read_markers", "t.chat_id, t.user_id", "t.user_id"),
    ("tombstones", "t.chat_id, t.rev", "t.row_id"),
];

/// A row as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Whom or what it is about.
    pub of: Vec<Option<Uuid>>,
    /// All of it.
    pub all: String,
}

/// A migrated database that no other test uses.
pub struct Database {
    pub name: String,
    pub cluster: &'static Cluster,
}

impl Database {
    pub async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster().await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let maintenance = cluster.db_superuser("postgres").await;
        let statement = format!("create database {name} template {TEMPLATE} owner {INSTALLER}");
        maintenance.batch_execute(&statement).await.expect(&statement);
        Self { name, cluster }
    }

    /// The connection string of the login that serves.
    pub fn api_url(&self) -> String {
        self.cluster.api_url(&self.name)
    }

    /// The connection string of the login that migrates.
    pub fn admin_url(&self) -> String {
        self.cluster.url(INSTALLER, &self.name)
    }

    /// A connection as the owner of everything, whom RLS does not bind.
    pub async fn db_owner(&self) -> Client {
        let client = self.cluster.db_connect(INSTALLER, &self.name).await;
        client.batch_execute("set role chat_owner").await.expect("the installer may become the owner");
        client
    }

    /// Does something as the owner. Plain SQL may meet another's locks in another order, is told so, and does it again; as it does where a test
    /// lets two take the same place in a chat.
    pub async fn db_does(&self, statement: &str) {
        let mut collisions = 0;
        loop {
            match self.db_owner().await.batch_execute(statement).await {
                Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => {}
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) && collisions < 5 => collisions += 1,
                done => return done.expect(statement),
            }
        }
    }

    /// A connection as somebody, as in psql: role and claims set for the session.
    pub async fn db_as(&self, user: Uuid) -> Client {
        let client = self.cluster.db_connect("chat_api", &self.name).await;
        let claims = json!({ "sub": user, "role": "authenticated" }).to_string();
        client.execute("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.expect("claims are set");
        client.batch_execute("set role authenticated").await.expect("chat_api may become authenticated");
        client
    }

    /// Sets rules' settings, as the DBA does: `edit_window = '0'`.
    pub async fn db_set(&self, settings: &str) {
        let statement = format!("update chat.settings set {settings}");
        self.db_owner().await.batch_execute(&statement).await.expect(&statement);
    }

    /// Where these words are, in whatever column of whatever table: its name and the row.
    pub async fn db_finds(&self, words: &str) -> Vec<String> {
        let owner = self.db_owner().await;
        let tables = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('chat', 'chat_private')";
        let mut found = Vec::new();
        for table in owner.query(tables, &[]).await.expect(tables) {
            let table: &str = table.get(0);
            let statement =
                format!("select format('%s: %s', '{table}', t) from {table} t where strpos(lower(t::text), lower($1)) > 0");
            let rows = owner.query(&statement, &[&words]).await.expect(&statement);
            found.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        found
    }

    /// What the tables hold that requests write, to compare: a refused request changes nothing of it.
    pub async fn db_rows(&self) -> Vec<String> {
        let rows = self.db_rows_by_key().await;
        rows.into_iter()
            .filter(|((table, _), _)| *table != "users")
            .map(|((table, _), row)| format!("{table}: {}", row.all))
            .collect()
    }

    /// The same and the people, to see which rows a request changed.
    pub async fn db_rows_by_key(&self) -> BTreeMap<(&'static str, String), StoredRow> {
        let each = TABLES.iter().map(|(table, key, of)| {
            // people are active whenever they ask for something
            format!(
                "select '{table}' as table, concat_ws(' ', {key}) as key, array[{of}]::uuid[] as of,
                            (to_jsonb(t) - 'last_active_at')::text as all from chat.{table} t"
            )
        });
        let statement = each.collect::<Vec<_>>().join(" union all ");
        let rows = self.db_owner().await.query(&statement, &[]).await.expect("rows");
        rows.iter()
            .map(|row| {
                let table = TABLES.iter().find(|(table, ..)| *table == row.get::<_, &str>("table")).expect("one of them").0;
                ((table, row.get("key")), StoredRow { of: row.get("of"), all: row.get("all") })
            })
            .collect()
    }
}
