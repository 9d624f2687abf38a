//! The one way into the database: a request's statement, run as the role of its token.
//!
//! A request is one flush of pipelined messages: BEGIN, role and claims and lock, the statement, COMMIT. It fails closed:
//! the pool's connections run as `chat_api`, which may do nothing itself, so a statement that slipped out of its envelope
//! would end in 42501. Nothing else in this crate says BEGIN or names a role.
//!
//! This file knows nothing of chats, except that a write to one takes that chat's lock first. Errors go to [`crate::error`].

mod envelope;
mod hints;
mod queue;
mod statement;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Timeouts};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::auth::Identity;
use crate::dsn::Dsn;

use envelope::{Access, Envelope, silent};
pub use hints::{Hint, Hints};
use queue::{Queues, Turn};
use statement::Statements;

/// How long a request waits for a connection of the pool.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// How long making a connection may take.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long a whole request may wait for Postgres' answers: longer than Postgres lets it wait and run, so that only a server or a network
/// that has fallen silent is given up.
const ANSWER_WAIT: Duration = Duration::from_secs(25);
/// How long a connection is silent before TCP asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// How often a request that Postgres chose as the victim of a deadlock is tried again.
const DEADLOCK_RETRIES: usize = 2;
/// How often a request whose prepared statement Postgres no longer knows is tried again: each time on another connection, and in the
/// end on a new one.
const STALE_RETRIES: usize = 2;

/// What the pool's connections run as.
const API: &str = "chat_api";
/// What reads for everybody who listens.
const RELAY: &str = "chat_relay";

/// A statement's parameter, owned: a request that nobody waits for any more still runs to its end.
pub type Param = Box<dyn ToSql + Send + Sync>;

/// The parameters of a statement: `params![chat_id, text]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as $crate::db::Param),*] };
}

/// Why a statement gave no rows to use.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Postgres answered, and said no.
    #[error("{0}")]
    Refused(Box<tokio_postgres::error::DbError>),
    /// A grant or a policy held it back: Postgres does not say which rule that is, so here is what was asked.
    #[error("{refusal}")]
    Denied { refusal: Box<tokio_postgres::error::DbError>, role: &'static str, sql: &'static str },
    /// Postgres did not answer, or there was no connection to ask it over.
    #[error("the database is away: {0}")]
    Away(String),
    /// Too many are waiting to write to this chat.
    #[error("too many are waiting to write to this chat")]
    Crowded,
    /// A value could not be sent, or an answer not be read: a fault of this program.
    #[error("{0}")]
    Fault(String),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::Refused(Box::new(refusal.clone())),
            None if error.is_closed() || is_io(&error) => Self::Away(error.to_string()),
            None => Self::Fault(error.to_string()),
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>()).is_some()
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        Self::Away(error.to_string())
    }
}

impl DbError {
    /// Whether a prepared statement is not what it was: a table changed under it, or a pooler dropped it. Nothing was done then.
    fn is_stale_plan(&self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal.code().code() {
                "26000" | "42P05" => true,
                "0A000" => refusal.message().starts_with("cached plan"),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the server no longer takes writes: it has become a standby.
    fn is_of_a_standby(&self) -> bool {
        self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// What Postgres said, as its code; empty where it said nothing.
    pub fn sqlstate(&self) -> &str {
        self.code().map_or("", SqlState::code)
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Refused(refusal) | Self::Denied { refusal, .. } => Some(refusal.code()),
            _ => None,
        }
    }
}

/// The pool, and the queues in front of it. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    statements: Statements,
    queues: Arc<Queues>,
    hints: Hints,
}

impl Db {
    /// A pool of at most `size` connections, made as they are needed.
    ///
    /// `dsn` logs in as `chat_api`, or as a login that may become it; behind a pooler as `chat_api` itself.
    ///
    /// # Errors
    /// When the pool cannot be built; a database that is away is no error here.
    pub fn new(dsn: &Dsn, size: usize) -> Result<Self, deadpool_postgres::BuildError> {
        let mut config = dsn.config().clone();
        if config.get_application_name().is_none() {
            config.application_name("tabletalk");
        }
        config.keepalives_idle(KEEPALIVE_IDLE);
        let manager = Manager::from_config(config, dsn.tls(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pooled = dsn.is_pooled();
        let become_api = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move {
                if !pooled {
                    return client.batch_execute("set role chat_api").await.map_err(HookError::Backend);
                }
                match statement::is_api(client).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(HookError::message("behind a pooler the login must be chat_api itself")),
                    Err(error) => Err(HookError::Backend(error)),
                }
            })
        });
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(POOL_WAIT), create: Some(CONNECT_WAIT), recycle: Some(CONNECT_WAIT) })
            .post_create(become_api)
            .build()?;
        Ok(Self { pool, statements: Statements::new(pooled), queues: Arc::new(Queues::default()), hints: Hints::default() })
    }

    /// Runs a statement that reads, as `who`.
    ///
    /// # Errors
    /// [`DbError`], when there are no rows to answer with: an empty answer is none.
    pub async fn read(&self, who: &Identity, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.run(Envelope::of(who, Access::Read, sql, params), None).await
    }

    /// Runs a statement that writes, as `who`, to no chat or to one that does not exist yet.
    ///
    /// # Errors
    /// [`DbError`]; nothing was changed then, unless the connection was lost while it committed.
    pub async fn write(&self, who: &Identity, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.run(Envelope::of(who, Access::Write { lock: None }, sql, params), None).await
    }

    /// Runs a statement of the server's own, in nobody's name: as its login, which may take no more than the doors of upkeep.
    ///
    /// # Errors
    /// [`DbError`]; nothing was changed then, unless the connection was lost while it committed.
    pub async fn write_as_server(&self, sql: &'static str) -> Result<Vec<Row>, DbError> {
        let access = Access::Write { lock: None };
        let request = String::new();
        self.run(Envelope { role: API, claims: Arc::from("{}"), request, access, sql, params: Vec::new() }, None).await
    }

    /// The same pool, whose hints go where another's go.
    #[must_use]
    pub fn hinting_with(mut self, other: &Self) -> Self {
        self.hints = other.hints.clone();
        self
    }

    /// Runs a statement of the relay's that writes: who is here.
    ///
    /// # Errors
    /// [`DbError`]; nothing was changed then, unless the connection was lost while it committed.
    pub async fn write_as_relay(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        let (request, access) = (String::new(), Access::Write { lock: None });
        self.run(Envelope { role: RELAY, claims: Arc::from("{}"), request, access, sql, params }, None).await
    }

    /// Runs a statement of the relay's, which reads for everybody who listens.
    ///
    /// # Errors
    /// [`DbError`], when there are no rows to answer with.
    pub async fn read_as_relay(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        let request = String::new();
        self.run(Envelope { role: RELAY, claims: Arc::from("{}"), request, access: Access::Read, sql, params }, None).await
    }

    /// What statements of this process changed.
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// Runs a statement that writes to one chat, as `who`, under that chat's lock.
    ///
    /// # Errors
    /// [`DbError`]; nothing was changed then, unless the connection was lost while it committed.
    pub async fn write_to(&self, chat: Uuid, who: &Identity, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        // here and not on a connection: a busy chat slows itself down, not the others
        let turn = self.queues.turn(chat, who.subject).await.ok_or(DbError::Crowded)?;
        self.run(Envelope::of(who, Access::Write { lock: Some(chat) }, sql, params), Some(turn)).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`DbError::Away`], with the reason.
    pub async fn ping(&self) -> Result<(), DbError> {
        let connection = self.pool.get().await?;
        if let Ok(answer) = timeout(ANSWER_WAIT, connection.simple_query("select 1")).await {
            return Ok(answer.map(drop)?);
        }
        drop(Object::take(connection));
        Err(silent())
    }

    /// How many connections there are, how many of them are idle, and how many requests wait for one.
    pub fn connections(&self) -> (usize, usize, usize) {
        let status = self.pool.status();
        (status.size, status.available, status.waiting)
    }

    /// Closes the pool: whoever asks from now on is refused.
    pub fn close(&self) {
        self.pool.close();
    }

    async fn run(&self, envelope: Envelope, turn: Option<Turn>) -> Result<Vec<Row>, DbError> {
        let (statements, hints, pool) = (self.statements.clone(), self.hints.clone(), self.pool.clone());
        // A task of its own: a client that hangs up does not leave a connection half-way through a transaction. The task
        // gives it back when every answer is there.
        let task = tokio::spawn(async move {
            let _turn = turn;
            let mut tries = 0;
            loop {
                let connection = pool.get().await?;
                match envelope.send(connection, &statements, &hints).await {
                    Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) && tries < DEADLOCK_RETRIES => {
                        tries += 1;
                    }
                    Err(error) if error.is_stale_plan() && tries < STALE_RETRIES => tries += 1,
                    result => return result,
                }
            }
        });
        task.await.unwrap_or_else(|panic| Err(DbError::Fault(panic.to_string())))
    }
}
