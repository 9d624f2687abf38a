//! The running server: what `main` and the tests start, in the same way.
//!
//! It reaches the database (starting a private one where none is named), migrates it where it may, refuses one that is not safe to
//! serve from, and puts the routes together. Requests then go to [`crate::api`].

pub mod asyncapi;
mod connections;
mod database;
mod origins;
mod pusher;
mod routes;
mod sockets;
mod supabase;
pub mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::waiting::WaitingRoom;
use crate::auth::{AuthConfig, Authenticator};
use crate::config::Settings;
use crate::db::Db;
use crate::realtime::Live;
use crate::realtime::loopback::Loopback;
use crate::realtime::native::Native;
use crate::realtime::phoenix::Phoenix;
use crate::realtime::phoenix::keys::Keys;
use crate::realtime::pusher::Pusher;
use crate::realtime::sse::Streams;
use crate::{check, error, operations};

use connections::Bounded;
use origins::Origins;
use sockets::Doors;

pub use database::{Database, DevelopmentSecret, development_secret};

/// How long requests that are under way may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(75);

/// A running server.
pub struct App {
    database: Database,
    serving: Serving,
}

/// What runs over a database.
struct Serving {
    address: SocketAddr,
    url: String,
    secret: Option<DevelopmentSecret>,
    db: Db,
    care: Option<JoinHandle<()>>,
    upkeep: Option<JoinHandle<()>>,
    live: Live,
    open: TaskTracker,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl App {
    /// Starts a server; returns when it answers.
    ///
    /// # Errors
    /// When the database cannot be reached, migrated or trusted, the token settings do not fit, or the address is taken. The
    /// message is for a person.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let database = Database::open(settings).await?;
        match Serving::start(settings, &database).await {
            Ok(serving) => Ok(Self { database, serving }),
            Err(error) => {
                database.close().await?;
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// How it is reached, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.serving.url
    }

    /// The secret that its tokens are signed with, if it made one itself.
    pub fn development_secret(&self) -> Option<&DevelopmentSecret> {
        self.serving.secret.as_ref()
    }

    /// The database it serves from.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The pool it serves with.
    pub fn db(&self) -> &Db {
        &self.serving.db
    }

    /// Its live part, for tests of what no client reaches.
    #[cfg(debug_assertions)]
    pub fn live(&self) -> &Live {
        &self.serving.live
    }

    /// Has its relay run under the conditions of a test.
    #[cfg(debug_assertions)]
    pub fn try_under(&self, trial: crate::realtime::trial::Trial) {
        self.serving.live.hub.try_under(trial);
    }

    /// Ends it in order: no new requests, those under way answered, the pool closed, the private server stopped if nobody else
    /// uses it.
    ///
    /// # Errors
    /// When the private server cannot be stopped.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Serving { db, care, upkeep, live, open, stop, task, .. } = self.serving;
        if let Some(care) = care {
            care.abort();
            // its hold on the private server ends with it
            let _ = care.await;
        }
        stop.cancel();
        match task.await {
            Ok(ended) => ended.context("the listener ended badly")?,
            Err(panic) => tracing::error!(%panic, "the server ended badly"),
        }
        if let Some(upkeep) = upkeep {
            let _ = upkeep.await;
        }
        open.close();
        // sockets that do not answer the close end with the process
        let _ = timeout(GRACE, open.wait()).await;
        live.stop().await;
        db.close();
        self.database.close().await
    }
}

impl Serving {
    async fn start(settings: &Settings, database: &Database) -> anyhow::Result<Self> {
        // before anything is written: who cannot serve has no business migrating
        let (auth, secret) = believed(settings, database)?;
        let authenticator = Authenticator::new(&auth).await?;

        database.migrate().await?;
        let client = database.api_client().await?;
        check::refuse_if_unsafe(&client).await?;
        error::learn_rules(database::rules(&client).await?);
        drop(client);
        let db = Db::new(database.api(), settings.database.pool.into())?;

        let listen = &settings.process.listen;
        let acceptor = TcpListener::bind(listen.clone())
            .into_acceptor()
            .await
            .with_context(|| format!("cannot listen on {listen} (--listen 127.0.0.1:0 takes a free port)"))?;
        let address =
            *acceptor.local_addr().first().and_then(|address| address.as_socket_addr()).context("the listener has no address")?;
        let url = settings.process.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let url = url.trim_end_matches('/').to_owned();
        let stop = CancellationToken::new();
        let figures = operations::Figures::new()?;
        let live = Live::start(&db, database.api(), database.listening()?, &stop).await?;
        let api = Loopback::default();
        let waiting = WaitingRoom::new(stop.clone());
        let woken = waiting.clone();
        live.hub.on_hint(move |chats| woken.wake(chats));
        let counted = Arc::clone(&live.hub);
        figures.live_from(move || counted.size());
        let open = TaskTracker::new();
        let doors = Doors {
            native: Native {
                hub: live.hub.clone(),
                registry: live.registry.clone(),
                api: api.clone(),
                authenticator: authenticator.clone(),
                stop: stop.clone(),
            },
            phoenix: Phoenix {
                hub: live.hub.clone(),
                registry: live.registry.clone(),
                api: api.clone(),
                keys: Keys::new(authenticator.clone(), settings.tokens.supabase_anon_key.as_deref()),
                marks: live.marks.clone(),
                stop: stop.clone(),
            },
            streams: Streams { hub: live.hub.clone(), registry: live.registry.clone(), api: api.clone(), stop: stop.clone() },
            open: open.clone(),
            pusher: Pusher {
                key: settings.process.pusher_key.as_str().into(),
                hub: live.hub.clone(),
                registry: live.registry.clone(),
                api: api.clone(),
                authenticator: authenticator.clone(),
                passes: live.passes.clone(),
                marks: live.marks.clone(),
                stop: stop.clone(),
            },
        };
        let origins = Origins::new(&url, &settings.process.origins);
        let endpoint = Arc::new(routes::routes(&db, authenticator, doors, &url, origins, figures.clone(), &waiting));
        api.set(Arc::clone(&endpoint));
        let stopping = stop.clone();
        let task = tokio::spawn(
            poem::Server::new_with_acceptor(Bounded::by_descriptors(acceptor)).idle_timeout(IDLE).run_with_graceful_shutdown(
                endpoint,
                async move { stopping.cancelled().await },
                Some(GRACE),
            ),
        );
        let care = database.look_after(&db);
        let upkeep =
            settings.process.upkeep.pace().map(|pace| tokio::spawn(upkeep::keep_up(db.clone(), figures, pace, stop.clone())));
        Ok(Self { address, url, secret, db, care, upkeep, live, open, stop, task })
    }
}

/// Which tokens to believe: as the settings say, or with a private server and no word about it, those of its development secret.
fn believed(settings: &Settings, database: &Database) -> anyhow::Result<(AuthConfig, Option<DevelopmentSecret>)> {
    let mut auth = settings.tokens.auth();
    if settings.tokens.names_an_issuer() {
        return Ok((auth, None));
    }
    let data = database.data().context("nothing says which tokens to believe: set JWT_SECRET or JWT_JWKS")?;
    let secret = development_secret(data)?;
    auth.secret = Some(secret.0.clone());
    Ok((auth, Some(secret)))
}
