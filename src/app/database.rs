//! Which database: a private one, or the one that the settings name; and the secret that comes with a private one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use poem::http::StatusCode;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Row};

use crate::config::{DatabaseSettings, Pooler, Settings, search_path};
use crate::db::Db;
use crate::dsn::Dsn;
use crate::error::{Rule, Rules};
use crate::migrate::{self, State};
use crate::pooler;
use crate::postgres::{Options, Server};

/// The database of the private server.
const DATABASE: &str = "tabletalk";
/// The login that serves.
const API: &str = "chat_api";
/// How long a database may take to answer when the server starts: they are often started together.
const START_WAIT: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const START_PACE: Duration = Duration::from_millis(250);

/// How often a private server is looked after.
const CARE_PACE: Duration = Duration::from_secs(2);

/// A database to serve from.
pub struct Database {
    server: Option<Arc<Server>>,
    api: Dsn,
    admin: Option<Dsn>,
    listen: Option<Dsn>,
}

/// Signs and verifies tokens where no issuer is set: made once, kept in the data folder.
#[derive(Clone)]
pub struct DevelopmentSecret(pub String);

impl std::fmt::Debug for DevelopmentSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DevelopmentSecret")
    }
}

impl Database {
    /// Finds the database that the settings name, or starts the private server.
    ///
    /// # Errors
    /// When a URL is not one, or there is no server and none can be started.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let production = settings.of_production();
        let settings = &settings.database;
        let Some(url) = &settings.database_url else {
            // who says how production is reached and believed means a database too, not an empty one that nobody asked for
            if let Some(setting) = production.filter(|_| settings.data.is_none()) {
                bail!("{setting} is set and DATABASE_URL is not: name the database to serve from, or a data folder with --data");
            }
            return Self::private(settings).await;
        };
        let mut api = Dsn::parse(url).context("DATABASE_URL")?;
        if settings.database_pooler == Pooler::Transaction {
            api.set_pooled();
        }
        let admin = settings.database_admin_url.as_deref().map(Dsn::parse).transpose().context("DATABASE_ADMIN_URL")?;
        let listen = settings.database_listen_url.as_deref().map(Dsn::parse).transpose().context("DATABASE_LISTEN_URL")?;
        Ok(Self { server: None, api, admin, listen })
    }

    async fn private(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        let options = Options {
            data: settings.data_folder(),
            bin: settings.postgres_bin.clone(),
            path: search_path(),
            install: settings.install,
            settings: Vec::new(),
        };
        let server = Server::start(&options).await?;
        let maintenance = Dsn::from_config(server.admin());
        let (client, _connection) = maintenance.connect().await.context("the private server does not answer")?;
        // fails where it is there, also when another process makes it in this moment
        let there = client.query_opt("select from pg_catalog.pg_database where datname = $1", &[&DATABASE]).await?;
        if there.is_none()
            && let Err(error) = client.batch_execute(&format!("create database {DATABASE}")).await
            && client.query_opt("select from pg_catalog.pg_database where datname = $1", &[&DATABASE]).await?.is_none()
        {
            return Err(error).context("the private server's database cannot be made");
        }
        let mut admin = Dsn::from_config(server.admin());
        admin.config_mut().dbname(DATABASE);
        let mut api = admin.clone();
        api.config_mut().user(API);
        Ok(Self { server: Some(Arc::new(server)), api, admin: Some(admin), listen: None })
    }

    /// Migrates it where there is a login for that; otherwise makes sure that nothing is missing.
    ///
    /// # Errors
    /// When it cannot be migrated, or lacks migrations and there is no login to run them.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        if let Some(admin) = &self.admin {
            let _ = answering(admin).await?;
            let password = self.api.config().get_password().filter(|_| self.api.config().get_user().is_some_and(is_api));
            let password = password.map(std::str::from_utf8).transpose().context("the password in DATABASE_URL is not UTF-8")?;
            let migrated = migrate::migrate(admin, password).await?;
            for migration in &migrated.applied {
                tracing::info!(migration, "migrated");
            }
        }
        let client = self.api_client().await?;
        match migrate::state(&client).await? {
            State::UpToDate => Ok(()),
            State::Behind => bail!(
                "the database {} lacks migrations: run `tabletalk migrate` with DATABASE_ADMIN_URL set, a login with CREATEROLE",
                self.api.redacted()
            ),
            State::Ahead => bail!("the database {} was migrated by a newer Tabletalk than this one", self.api.redacted()),
            State::Draft => bail!("{}: {}", self.api.redacted(), migrate::DRAFT),
        }
    }

    /// A connection of the login that serves, become `chat_api`: one server process all the time, behind a pooler by a transaction that
    /// nobody ends.
    ///
    /// # Errors
    /// When the database does not answer, or the login may not become `chat_api`, or there is a pooler that nobody has told of.
    pub async fn api_client(&self) -> anyhow::Result<Client> {
        let (client, _connection) = answering(&self.api).await?;
        if self.api.is_pooled() {
            client.batch_execute("begin").await?;
        } else if self.server.is_none() && pooler::is_between(&self.api, &client).await? {
            bail!(
                "the database {} is behind a pooler that changes the connection between transactions: \
                 set DATABASE_POOLER=transaction, or use its session mode",
                self.api.redacted()
            );
        }
        // before the first migration there is no such role; then the one thing to ask is whether there was one
        let roles = client.query("select session_user = $1 from pg_catalog.pg_roles where rolname = $1", &[&API]).await?;
        if let Some(role) = roles.first() {
            if self.api.is_pooled() && !role.get::<_, bool>(0) {
                bail!("behind a pooler no role lasts: the login of DATABASE_URL must be {API} itself");
            }
            client
                .batch_execute("set role chat_api")
                .await
                .with_context(|| format!("the login of DATABASE_URL is neither {API} nor may it become it: grant {API} to it"))?;
        }
        Ok(client)
    }

    /// The route for LISTEN, which leads to Postgres itself.
    ///
    /// # Errors
    /// When there is none: a pooler carries no LISTEN.
    pub fn listening(&self) -> anyhow::Result<&Dsn> {
        match &self.listen {
            Some(listen) => Ok(listen),
            None if self.api.is_pooled() => bail!(
                "through a pooler in transaction mode no NOTIFY arrives: \
                 set DATABASE_LISTEN_URL to a route that leads to Postgres itself, for one connection that listens and one that announces"
            ),
            None => Ok(&self.api),
        }
    }

    /// How the login that serves reaches it.
    pub fn api(&self) -> &Dsn {
        &self.api
    }

    /// How the login that migrates reaches it, if there is one.
    pub fn admin(&self) -> Option<&Dsn> {
        self.admin.as_ref()
    }

    /// The folder of a private server.
    pub fn data(&self) -> Option<&Path> {
        self.server.as_deref().map(Server::data)
    }

    /// The private server.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_deref()
    }

    /// Starts a private server again when it is gone, killed by a person or for want of memory, until the task is aborted.
    pub fn look_after(&self, db: &Db) -> Option<JoinHandle<()>> {
        let (server, db) = (Arc::clone(self.server.as_ref()?), db.clone());
        Some(tokio::spawn(async move {
            loop {
                sleep(CARE_PACE).await;
                if db.ping().await.is_err()
                    && let Err(error) = server.ensure_running().await
                {
                    tracing::error!(%error, "the private server cannot be started again");
                }
            }
        }))
    }

    /// Lets go of it: a private server stops when nobody uses it any more.
    ///
    /// # Errors
    /// When the private server cannot be stopped.
    pub async fn close(self) -> anyhow::Result<()> {
        match self.server.and_then(Arc::into_inner) {
            Some(server) => Ok(server.stop().await?),
            None => Ok(()),
        }
    }
}

/// Whether a login is `chat_api`: poolers of many databases want the name of one behind it, as in `chat_api.project`.
fn is_api(user: &str) -> bool {
    user.split('.').next() == Some(API)
}

/// The rules, and which of them grants and policies hold.
///
/// # Errors
/// When they cannot be read.
pub async fn rules(client: &Client) -> anyhow::Result<Rules> {
    let rows = client.query("select r.number, r.name, r.status, r.sentence from chat.rules r", &[]).await?;
    let rule = |row: &Row| {
        let status: i32 = row.get("status");
        let status = StatusCode::from_u16(u16::try_from(status)?)?;
        Ok((row.get("name"), Rule { number: row.get("number"), status, sentence: row.get("sentence") }))
    };
    let by_name = rows.iter().map(rule).collect::<anyhow::Result<_>>()?;
    let held = client.query("select h.held, h.name from chat_private.held_rules() h", &[]).await?;
    Ok(Rules { by_name, held: held.iter().map(|row| (row.get(0), row.get(1))).collect() })
}

/// The development secret in a data folder, made if there is none.
///
/// # Errors
/// When the file can be neither read nor written.
pub fn development_secret(data: &Path) -> anyhow::Result<DevelopmentSecret> {
    let path = data.join("development.secret");
    let read = || fs::read_to_string(&path).map(|text| DevelopmentSecret(text.trim().to_owned()));
    if let Ok(secret) = read() {
        return Ok(secret);
    }
    let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes).concat();
    let secret = base64::engine::general_purpose::STANDARD.encode(random);
    // under another name first: who starts at the same time reads a whole secret or none
    let draft = data.join(format!(".development.secret.{}", uuid::Uuid::new_v4()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("cannot write {}", draft.display()))?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot write {}", path.display()))
        }
        _ => read().with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Connects, waiting a while for a database that is only just starting.
async fn answering(dsn: &Dsn) -> anyhow::Result<(Client, JoinHandle<()>)> {
    let deadline = Instant::now() + START_WAIT;
    let mut told = false;
    loop {
        match dsn.connect().await {
            Ok(connected) => return Ok(connected),
            // it answered, and said no: waiting does not help, unless it is starting up or full
            Err(error) if error.as_db_error().is_some_and(|e| !matches!(e.code().code(), "57P03" | "53300")) => {
                return Err(error).with_context(|| format!("the database {} refuses this login", dsn.redacted()));
            }
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("the database {} does not answer", dsn.redacted()));
            }
            Err(error) => {
                if !told {
                    tracing::warn!(database = dsn.redacted(), %error, "the database does not answer yet");
                    told = true;
                }
                sleep(START_PACE).await;
            }
        }
    }
}
