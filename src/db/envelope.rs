//! A transaction in one flush: BEGIN, role and claims and lock, the statement, what it changed, COMMIT.
//!
//! Statements are prepared before anything is sent, and every answer is looked at, the earliest first.

use std::sync::Arc;

use deadpool_postgres::Object;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::statement::Statements;
use super::{ANSWER_WAIT, DbError, Hint, Hints, Param};
use crate::auth::Identity;

/// How long a statement waits for a chat's lock, in Postgres' notation.
const LOCK_TIMEOUT: &str = "5s";
/// How long a statement may run, in Postgres' notation.
const STATEMENT_TIMEOUT: &str = "15s";

const BEGIN: &str = "begin isolation level read committed";
pub const BEGIN_READ_ONLY: &str = "begin isolation level read committed read only";
// Local to the transaction, all of it. READ COMMITTED is spelt out above because a database may default otherwise.
const ENTER: &str = "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), \
                     set_config('statement_timeout', $3, true), set_config('lock_timeout', $4, true), \
                     set_config('chat.hints_to', 'server', true), set_config('chat.hints', '', true), \
                     set_config('chat.request_id', $5, true)";
// The lock comes after the claims, which say whether a stranger asks, and before the statement, whose snapshot must be younger.
const ENTER_LOCKED: &str = "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), \
                            set_config('statement_timeout', $3, true), set_config('lock_timeout', $4, true), \
                            set_config('chat.hints_to', 'server', true), set_config('chat.hints', '', true), \
                            set_config('chat.request_id', $5, true), chat_private.lock_chat($6)";
// What the statement changed, by its chats: read before COMMIT, which forgets it, and announced after.
const HINTS: &str = "select current_setting('chat.hints', true)";
pub const COMMIT: &str = "commit";

/// What a request does to the database besides its statement.
#[derive(Clone, Copy)]
pub enum Access {
    Read,
    Write { lock: Option<Uuid> },
}

/// One request's transaction, or one of the server's own.
pub struct Envelope {
    pub role: &'static str,
    pub claims: Arc<str>,
    /// What the audit calls it; empty outside of requests.
    pub request: String,
    pub access: Access,
    pub sql: &'static str,
    pub params: Vec<Param>,
}

impl Envelope {
    /// A request's.
    pub fn of(who: &Identity, access: Access, sql: &'static str, params: Vec<Param>) -> Self {
        let request = who.request.map(|id| id.to_string()).unwrap_or_default();
        Self { role: who.role.as_str(), claims: Arc::clone(&who.claims), request, access, sql, params }
    }

    /// Sends it all at once, and gives the connection back when it ended in order.
    pub async fn send(&self, connection: Object, statements: &Statements, hints: &Hints) -> Result<Vec<Row>, DbError> {
        let lease = Lease(Some(connection));
        let flushed = timeout(ANSWER_WAIT, self.flush(lease.connection(), statements, hints)).await;
        let flushed = flushed.unwrap_or_else(|_| {
            // it may have been committed all the same
            if let Access::Write { lock } = self.access {
                hints.add(lock.map(Hint::Chat));
            }
            Err(Failure::OfEnvelope(silent()))
        });
        match flushed {
            Ok(rows) => {
                lease.give_back();
                Ok(rows)
            }
            Err(Failure::InStatement(error)) if !error.is_stale_plan() && !error.is_of_a_standby() => {
                lease.give_back();
                Err(error)
            }
            Err(Failure::InStatement(error) | Failure::OfEnvelope(error)) => Err(error),
        }
    }

    async fn flush(&self, connection: &Object, statements: &Statements, hints: &Hints) -> Result<Vec<Row>, Failure> {
        let lock = match self.access {
            Access::Write { lock } => lock,
            Access::Read => None,
        };
        let begin = match self.access {
            Access::Read => BEGIN_READ_ONLY,
            Access::Write { .. } => BEGIN,
        };
        // Made ready before anything is sent: a statement that had to be prepared on the way would arrive after COMMIT.
        let ready = async |sql, role| statements.ready(connection, sql, role).await.map_err(Failure::OfEnvelope);
        let enter = ready(if lock.is_some() { ENTER_LOCKED } else { ENTER }, "").await?;
        let statement = ready(self.sql, self.role).await?;
        let hinted = match self.access {
            Access::Write { .. } => Some(ready(HINTS, "").await?),
            Access::Read => None,
        };

        let claims: &str = &self.claims;
        let mut entering: Vec<&(dyn ToSql + Sync)> = vec![&self.role, &claims, &STATEMENT_TIMEOUT, &LOCK_TIMEOUT, &self.request];
        if let Some(chat) = &lock {
            entering.push(chat);
        }
        let params: Vec<&(dyn ToSql + Sync)> = self.params.iter().map(|p| p.as_ref() as &(dyn ToSql + Sync)).collect();

        // Polled in this order, so sent in this order; the first poll sends everything.
        let (begun, entered, rows, changed, committed) = tokio::join!(
            biased;
            connection.batch_execute(begin),
            enter.query(connection, &entering),
            statement.query(connection, &params),
            async {
                match &hinted {
                    Some(hinted) => hinted.query(connection, &[]).await,
                    None => Ok(Vec::new()),
                }
            },
            connection.batch_execute(COMMIT),
        );
        // whatever became of it: a hint too many costs a look, one too few a wait for the next sweep
        match changed.as_deref() {
            Ok([row]) => hints.read(row.get::<_, Option<&str>>(0).unwrap_or_default()),
            Ok(_) => {}
            Err(_) => hints.add(lock.filter(|_| committed.is_err()).map(Hint::Chat)),
        }
        // COMMIT of a failed transaction is no error to Postgres, so every answer counts, the earliest first.
        begun.map_err(|error| Failure::OfEnvelope(error.into()))?;
        match entered {
            // a lock not had in time is an answer like any other
            Err(error) if error.as_db_error().is_some() => return Err(Failure::InStatement(error.into())),
            Err(error) => return Err(Failure::OfEnvelope(error.into())),
            Ok(_) => {}
        }
        let rows = rows.map_err(|error| match DbError::from(error) {
            DbError::Refused(refusal) if *refusal.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
                Failure::InStatement(DbError::Denied { refusal, role: self.role, sql: self.sql })
            }
            refused @ DbError::Refused(_) => Failure::InStatement(refused),
            other => Failure::OfEnvelope(other),
        })?;
        committed.map_err(|error| Failure::OfEnvelope(error.into()))?;
        Ok(rows)
    }
}

/// A connection of the pool that goes back only from a transaction that ended in order. On every other way out, a panic too, it is
/// closed: what state it is in is anybody's guess.
struct Lease(Option<Object>);

impl Lease {
    fn connection(&self) -> &Object {
        self.0.as_ref().expect("invariant: given back at the end alone")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// Postgres does not answer.
pub fn silent() -> DbError {
    DbError::Away(format!("no answer within {} s", ANSWER_WAIT.as_secs()))
}

enum Failure {
    /// The transaction ended in order, without effect.
    InStatement(DbError),
    /// Something around the statement went wrong; the connection is not to be trusted.
    OfEnvelope(DbError),
}
