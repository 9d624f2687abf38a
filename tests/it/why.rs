//! `chat.why`: what it answers is what happens, and nothing of it stays.

mod histories;
pub mod operations;
mod traces;
mod tries;

use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::Database;
use crate::support::cluster::INSTALLER;

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// An id, `anon` or `service_role`.
    pub who: String,
    pub command: &'static str,
    pub table: &'static str,
    pub id: Option<String>,
    pub values: Option<Value>,
    pub claims: Value,
}

/// What it was answered with.
#[derive(Debug)]
pub struct Why {
    pub allowed: Option<bool>,
    pub code: Option<String>,
    pub rule: Option<String>,
    pub held_by: Option<String>,
    pub fact: Option<String>,
}

impl Question {
    pub fn new(who: impl ToString, command: &'static str, table: &'static str, id: impl ToString) -> Self {
        Self { who: who.to_string(), command, table, id: Some(id.to_string()), values: None, claims: json!({}) }
    }

    pub fn with(self, values: Value) -> Self {
        Self { values: Some(values), ..self }
    }

    /// Asks it.
    pub async fn ask(&self, dba: &Client) -> Result<Why, tokio_postgres::Error> {
        let asked = "select w.allowed, w.code, w.rule, w.held_by, w.fact from chat.why($1, $2, $3, $4, $5, $6) w";
        let mut tries = 0;
        let row = loop {
            let row = dba.query_one(asked, &[&self.who, &self.command, &self.table, &self.id, &self.values, &self.claims]).await;
            match row {
                // roles belong to the whole cluster, and another test grants them too
                Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && tries < 60 => tries += 1,
                row => break row?,
            }
        };
        Ok(Why { allowed: row.get(0), code: row.get(1), rule: row.get(2), held_by: row.get(3), fact: row.get(4) })
    }
}

/// The login that migrates, which is no superuser and a member of none of the roles that it becomes.
pub async fn db_dba(database: &Database) -> Client {
    database.cluster.db_connect(INSTALLER, &database.name).await
}
