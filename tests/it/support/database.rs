//! A database per test, copied from the template.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::cluster::{Cluster, INSTALLER, TEMPLATE, cluster};

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
        self.cluster.url("chat_api", &self.name)
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
        const TABLES: [&str; 9] = [
            "chats",
            "participants",
            "messages",
            "message_edits",
            "reactions",
            "read_markers",
            "tombstones",
            "friendships",
            "blocks",
        ];
        let each = TABLES.map(|table| format!("select format('%s: %s', '{table}', t) as row from chat.{table} t"));
        let rows = self.db_owner().await.query(&format!("{} order by 1", each.join(" union all ")), &[]).await.expect("rows");
        rows.iter().map(|row| row.get("row")).collect()
    }
}
