//! A statement that is ready to be sent: one message, whatever lies between here and Postgres.
//!
//! To Postgres itself statements are prepared once for each connection. Behind a pooler that changes the connection between
//! transactions nothing lasts that long: there each is sent whole, unnamed, with the types of its parameters. Those are asked for once in
//! the life of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, SimpleQueryMessage};

use super::DbError;
use super::envelope::{BEGIN_READ_ONLY, COMMIT};

/// The types of the parameters of statements: as many entries as this program has statements.
type Known = Mutex<HashMap<&'static str, Arc<[Type]>>>;

/// How statements are made ready.
#[derive(Clone)]
pub enum Statements {
    /// Prepared on the connection, and kept there.
    OfConnection,
    /// Sent whole each time.
    Unnamed(Arc<Known>),
}

/// A statement that is ready to be sent.
pub enum Statement {
    Named(tokio_postgres::Statement),
    Unnamed(String, Arc<[Type]>),
}

impl Statements {
    /// Those for connections that are the same server process all the time, or that are `pooled`.
    pub fn new(pooled: bool) -> Self {
        if pooled { Self::Unnamed(Arc::default()) } else { Self::OfConnection }
    }

    /// Makes a statement ready. Its text says whose it is: a prepared statement shared by roles is planned anew at each change of role.
    pub async fn ready(&self, connection: &Object, sql: &'static str, role: &str) -> Result<Statement, DbError> {
        let text = if role.is_empty() { sql.to_owned() } else { format!("/* {role} */ {sql}") };
        match self {
            Self::OfConnection => Ok(Statement::Named(connection.prepare_cached(&text).await?)),
            Self::Unnamed(known) => {
                let types = known.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
                if let Some(types) = types {
                    return Ok(Statement::Unnamed(text, types));
                }
                let types = types_of(connection, sql).await?;
                known.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, Arc::clone(&types));
                Ok(Statement::Unnamed(text, types))
            }
        }
    }
}

impl Statement {
    /// Sends it at the first poll, and reads its rows.
    pub async fn query(&self, connection: &Object, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        match self {
            Self::Named(statement) => connection.query(statement, params).await,
            Self::Unnamed(text, types) => {
                let typed: Vec<_> = params.iter().copied().zip(types.iter().cloned()).collect();
                connection.query_typed(text, &typed).await
            }
        }
    }
}

/// Asks Postgres for the types of a statement's parameters, in a transaction: the statement has a name until it is dropped, and goes the
/// same way as the question.
async fn types_of(connection: &Object, sql: &str) -> Result<Arc<[Type]>, DbError> {
    let (begun, prepared) = tokio::join!(biased; connection.batch_execute(BEGIN_READ_ONLY), connection.prepare(sql));
    begun?;
    let prepared = prepared?;
    let types: Arc<[Type]> = prepared.params().into();
    let strange = types.iter().chain(prepared.columns().iter().map(tokio_postgres::Column::type_));
    // the driver would look those up on the way, by a statement that it prepares
    if let Some(strange) = strange.into_iter().find(|kind| Type::from_oid(kind.oid()).is_none()) {
        return Err(DbError::Fault(format!("a statement has the type {strange}, which is not one of Postgres' own")));
    }
    drop(prepared);
    connection.batch_execute(COMMIT).await?;
    Ok(types)
}

/// Whether a connection is `chat_api` from its login on, as it must be where SET ROLE does not last.
///
/// # Errors
/// When it does not answer.
pub async fn is_api(client: &Client) -> Result<bool, Error> {
    let answer = client.simple_query("select session_user = 'chat_api' and current_user = 'chat_api'").await?;
    Ok(answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))))
}
