//! The running server: what `main` and the tests start, in the same way.
//!
//! It reaches the database (starting a private one where none is named), migrates it where it may, refuses one that is not safe to
//! serve from, and puts the routes together. Requests then go to [`crate::api`].

mod database;
mod routes;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::config::Settings;
use crate::db::Db;
use crate::{check, error, operations};

pub use database::{Database, DevelopmentSecret, development_secret};

/// How long requests that are under way may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(75);

/// A running server.
pub struct App {
    address: SocketAddr,
    url: String,
    secret: Option<DevelopmentSecret>,
    database: Database,
    db: Db,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl App {
    /// Starts a server; returns when it answers.
    ///
    /// # Errors
    /// When the database cannot be reached, migrated or trusted, the token settings do not fit, or the address is taken. The
    /// message is for a person.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let database = Database::open(&settings.database).await?;
        match Self::serve(settings, &database).await {
            Ok((address, url, secret, db, stop, serving)) => Ok(Self { address, url, secret, database, db, stop, serving }),
            Err(error) => {
                database.close().await?;
                Err(error)
            }
        }
    }

    async fn serve(
        settings: &Settings,
        database: &Database,
    ) -> anyhow::Result<(SocketAddr, String, Option<DevelopmentSecret>, Db, CancellationToken, JoinHandle<std::io::Result<()>>)>
    {
        database.migrate().await?;
        let client = database.api_client().await?;
        check::refuse_if_unsafe(&client).await?;
        error::learn_rules(database::rules(&client).await?);
        drop(client);

        let mut auth = settings.tokens.auth();
        let mut secret = None;
        if !settings.tokens.names_an_issuer() {
            let made = database
                .data()
                .map(development_secret)
                .transpose()?
                .context("nothing says which tokens to believe: set JWT_SECRET or JWT_JWKS")?;
            auth.secret = Some(made.0.clone());
            secret = Some(made);
        }
        let authenticator = Authenticator::new(&auth).await?;
        let db = Db::new(database.api(), settings.database.pool.into())?;

        let acceptor = TcpListener::bind(settings.process.listen.clone())
            .into_acceptor()
            .await
            .with_context(|| format!("cannot listen on {}", settings.process.listen))?;
        let address =
            *acceptor.local_addr().first().and_then(|address| address.as_socket_addr()).context("the listener has no address")?;
        let url = settings.process.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let endpoint = routes::routes(&db, authenticator, &url, &settings.process.origins, operations::Figures::new()?);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let serving = tokio::spawn(poem::Server::new_with_acceptor(acceptor).idle_timeout(IDLE).run_with_graceful_shutdown(
            endpoint,
            async move { stopping.cancelled().await },
            Some(GRACE),
        ));
        Ok((address, url, secret, db, stop, serving))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The secret that its tokens are signed with, if it made one itself.
    pub fn development_secret(&self) -> Option<&DevelopmentSecret> {
        self.secret.as_ref()
    }

    /// The database it serves from.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The pool it serves with.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Ends it in order: no new requests, those under way answered, the pool closed, the private server stopped if nobody else
    /// uses it.
    ///
    /// # Errors
    /// When the private server cannot be stopped.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        match self.serving.await {
            Ok(ended) => ended.context("the listener ended badly")?,
            Err(panic) => tracing::error!(%panic, "the server ended badly"),
        }
        self.db.close();
        self.database.close().await
    }
}
