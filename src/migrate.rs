//! Brings a database up to date: roles, schemas, migrations.
//!
//! Needs a login with CREATEROLE and CREATE on the database, no superuser. Ten processes may call it at once: a lock lets one
//! after the other in, and those behind it find nothing to do.

use std::collections::BTreeMap;

use refinery::{Runner, Target};
use tokio_postgres::Client;

use crate::dsn::Dsn;
use crate::pooler;

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

const ROLES: &str = include_str!("../sql/roles.sql");
const BOOTSTRAP: &str = include_str!("../sql/bootstrap.sql");
const HISTORY: &str = "chat_private.migrations";
/// The advisory lock of whoever migrates: any number will do that nobody else uses ("tabletal" in ASCII).
const LOCK: i64 = 0x7461_626c_6574_616c;

/// What is to be said of [`State::Draft`].
pub const DRAFT: &str = "the database was made by an earlier draft of the migrations, which are edited in place until the first \
    release. A private server's data folder can be deleted; what another database holds goes on with the program that made it";

/// Why a database was not migrated. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the database cannot be reached: {0}")]
    Away(#[source] tokio_postgres::Error),
    #[error(
        "there is a schema `{schema}` in this database already, owned by {owner}, and it is not Tabletalk's; \
         nothing was changed. Use another database, or rename that schema"
    )]
    ForeignSchema { schema: String, owner: String },
    #[error(
        "the login that migrates is behind a pooler that changes the connection between transactions; nothing was changed. \
         Reach Postgres itself with DATABASE_ADMIN_URL, or the pooler's session mode"
    )]
    Pooled,
    #[error("the database was migrated by a newer Tabletalk than this one; nothing was changed")]
    Newer,
    #[error("{DRAFT}; nothing was changed")]
    Draft,
    #[error("{}", refusal(.0))]
    Refused(#[source] tokio_postgres::Error),
    #[error("a migration failed: {0}")]
    Failed(#[source] Box<refinery::Error>),
}

/// What a migration did.
#[derive(Debug, Default)]
pub struct Migrated {
    /// The migrations that ran now, in order; none: the database was up to date.
    pub applied: Vec<String>,
}

/// How a database's migrations compare with those of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    UpToDate,
    /// It lacks some, or has none at all.
    Behind,
    /// It has some that this program does not know.
    Ahead,
    /// It has had others by the same numbers: drafts, edited in place since.
    Draft,
}

/// Migrates the database behind `admin`. When this makes the role `chat_api`, it gets `api_password`.
///
/// # Errors
/// [`MigrateError`]; the database is as it was.
pub async fn migrate(admin: &Dsn, api_password: Option<&str>) -> Result<Migrated, MigrateError> {
    migrate_to(admin, api_password, Target::Latest).await
}

/// The same, as far as a program of that time would: for what proves that such a database is brought up to date.
///
/// # Errors
/// [`MigrateError`]; the database is as it was.
pub async fn migrate_as_of(admin: &Dsn, last: u32) -> Result<Migrated, MigrateError> {
    let last = i32::try_from(last).unwrap_or(i32::MAX);
    migrate_to(admin, None, Target::Version(last)).await
}

async fn migrate_to(admin: &Dsn, api_password: Option<&str>, target: Target) -> Result<Migrated, MigrateError> {
    let (mut client, _connection) = admin.connect().await.map_err(MigrateError::Away)?;
    if pooler::is_between(admin, &client).await.map_err(MigrateError::Refused)? {
        return Err(MigrateError::Pooled); // neither the lock nor the role would last
    }
    // held until the connection ends, on every way out of here
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await.map_err(MigrateError::Refused)?;
    if !is_ours(&client).await? {
        let login_was_there = role_exists(&client, "chat_api").await.map_err(MigrateError::Refused)?;
        let transaction = client.transaction().await.map_err(MigrateError::Refused)?;
        transaction.batch_execute(ROLES).await.map_err(MigrateError::Refused)?;
        if let Some(password) = api_password.filter(|_| !login_was_there) {
            // hashed here, so that the server's log never sees the password itself
            let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
            transaction
                .batch_execute(&format!("alter role chat_api password '{verifier}'"))
                .await
                .map_err(MigrateError::Refused)?;
        }
        transaction.batch_execute(BOOTSTRAP).await.map_err(MigrateError::Refused)?;
        transaction.commit().await.map_err(MigrateError::Refused)?;
    }
    client.batch_execute("set role chat_owner").await.map_err(MigrateError::Refused)?;
    match state(&client).await.map_err(MigrateError::Refused)? {
        State::Ahead => return Err(MigrateError::Newer),
        State::Draft => return Err(MigrateError::Draft),
        State::UpToDate | State::Behind => {}
    }
    // grouped: all of them in one transaction, so that a failure leaves the database as it was
    let run = runner().set_target(target).run_async(&mut client).await;
    let report = run.map_err(|error| MigrateError::Failed(Box::new(error)))?;
    let applied = report.applied_migrations().iter().map(ToString::to_string).collect();
    Ok(Migrated { applied })
}

/// Compares the database's migrations with those of this program, as a login that may become `chat_api`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn state(client: &Client) -> Result<State, tokio_postgres::Error> {
    let there = "select to_regnamespace('chat_private') is not null, to_regprocedure('chat_private.migrated()') is not null";
    let row = client.query_one(there, &[]).await?;
    match (row.get(0), row.get(1)) {
        (false, _) => return Ok(State::Behind),
        (true, false) => return Ok(State::Draft), // older than this very question
        (true, true) => {}
    }
    let rows = client.query("select m.version, m.checksum from chat_private.migrated() m", &[]).await?;
    let had: BTreeMap<i32, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let ours: BTreeMap<i32, String> =
        runner().get_migrations().iter().map(|ours| (ours.version(), ours.checksum().to_string())).collect();
    Ok(if had.keys().any(|version| !ours.contains_key(version)) {
        State::Ahead
    } else if had.iter().any(|(version, checksum)| ours[version] != *checksum) {
        State::Draft
    } else if had.len() < ours.len() {
        State::Behind
    } else {
        State::UpToDate
    })
}

fn runner() -> Runner {
    let mut runner = embedded::migrations::runner().set_grouped(true).set_target(Target::Latest);
    runner.set_migration_table_name(HISTORY);
    runner
}

async fn role_exists(client: &Client, name: &str) -> Result<bool, tokio_postgres::Error> {
    Ok(client.query_one("select exists (select from pg_catalog.pg_roles where rolname = $1)", &[&name]).await?.get(0))
}

async fn is_ours(client: &Client) -> Result<bool, MigrateError> {
    let rows = client
        .query(
            "select n.nspname::text, pg_catalog.pg_get_userbyid(n.nspowner)::text, h.oid is not null
             from pg_catalog.pg_namespace n
             left join pg_catalog.pg_class h
               on h.relname = 'migrations' and h.relnamespace = pg_catalog.to_regnamespace('chat_private')
               and pg_catalog.pg_get_userbyid(h.relowner) = 'chat_owner'
             where n.nspname in ('chat', 'chat_private')",
            &[],
        )
        .await
        .map_err(MigrateError::Refused)?;
    for row in &rows {
        let (schema, owner, has_history): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
        if owner != "chat_owner" || !has_history {
            return Err(MigrateError::ForeignSchema { schema, owner });
        }
    }
    Ok(!rows.is_empty())
}

fn refusal(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |db| match db.hint() {
            Some(hint) => format!("{} ({hint})", db.message()),
            None => db.message().to_owned(),
        },
    )
}
