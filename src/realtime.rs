//! Live: what is committed reaches everybody who may read it, in order and without a gap.
//!
//! ```text
//!  commit ─► db: hints ─► announcer ── NOTIFY ──► relay (every process) ─► hub ─► session ─► adapter ─► client
//!                             └─► its own hub at once       └── reads what is due, many chats in one snapshot
//! ```
//!
//! * A hint says where to look and is believed by nobody; a sweep looks everywhere, so a lost one costs seconds.
//! * The relay reads each chat by rev: no event can be skipped, and what it reads is what the tables hold.
//! * Who sees what is computed by the database, in the same snapshot as the rows, and applied before any of them.
//! * Handlers know nothing of this: they meet it in Postgres.

pub mod announcer;
pub mod asides;
pub mod batch;
pub mod channels;
mod forgetting;
pub mod hub;
pub mod life;
pub mod loopback;
pub mod marks;
pub mod native;
mod own;
mod people;
pub mod phoenix;
pub mod presence;
pub mod pusher;
pub mod relay;
pub mod sealed;
pub mod session;
pub mod socket;
pub mod somebody;
pub mod sse;
pub mod trial;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::asides::Asides;
use self::hub::Hub;
use self::life::Life;
use self::marks::Marks;
use self::presence::Registry;
use self::pusher::pass::Passes;
use self::relay::Probe;
use self::sealed::Seal;
use crate::db::Db;
use crate::dsn::Dsn;
use crate::params;

/// Connections that the relay reads with: one of its own for what is in the chats' logs, so that nothing else keeps that waiting, and as many
/// for what is told beside them. Marks of who comes back, which anybody may make, go with requests.
const READING: usize = 1;

const SEALING_KEY: &str = "select chat.sealing_key() as key";

/// How long the announcer may take to end, and what writes marks.
const END_WAIT: Duration = Duration::from_secs(3);

/// The live part of a server: what runs behind its sockets.
pub struct Live {
    pub hub: Arc<Hub>,
    /// Who is connected to this process.
    pub registry: Registry,
    /// What lets clients of the Pusher protocol in.
    pub passes: Arc<Passes>,
    /// From where on clients go on that come back.
    pub marks: Marks,
    tasks: Vec<JoinHandle<()>>,
    announcer: JoinHandle<()>,
    marking: JoinHandle<()>,
    /// Ends the announcer and what writes marks: after the last request, which may change something yet.
    silence: CancellationToken,
}

impl Live {
    /// Begins to announce what `db` changes and to relay what anybody changed.
    ///
    /// `route` leads to Postgres itself: it carries LISTEN. `through` is how statements go.
    ///
    /// # Errors
    /// When the database does not answer, or LISTEN does not work over `route`.
    pub async fn start(db: &Db, through: &Dsn, route: &Dsn, stop: &CancellationToken) -> anyhow::Result<Self> {
        let (client, connection) = route.connect().await?;
        let is_standby: bool = client.query_one("select pg_is_in_recovery()", &[]).await?.get(0);
        anyhow::ensure!(!is_standby, "this is a standby: it takes no writes and hears no NOTIFY. Name the primary");
        drop((client, connection));
        let hub = Arc::new(Hub::default());
        let probe = Probe::default();
        let reader = Db::new(&named(through, "tabletalk relay"), READING)?.hinting_with(db);
        let beside = Db::new(&named(through, "tabletalk relay"), READING)?.hinting_with(db);
        let (listening, announcing) = (named(route, "tabletalk listener"), named(route, "tabletalk announcer"));
        let life = Life::now(&reader).await?;
        hub.database_stands_at(&life);
        let key = reader.read_as_relay(SEALING_KEY, params![]).await?;
        let key: &[u8] = key.first().map(|row| row.get("key")).context("the database has no key")?;
        let seal = Seal::new(probe.process(), key).context("the database's key is none")?;
        let passes = Arc::new(Passes::new(key).context("the database's key is none")?);
        let asides = Arc::new(Asides::new(Arc::clone(&hub), seal));
        let registry = Registry::default();
        let silence = CancellationToken::new();
        let both = (Arc::clone(&hub), Arc::clone(&asides));
        let announcer =
            tokio::spawn(announcer::announce(announcing, db.hints().clone(), both.clone(), probe.clone(), silence.clone()));
        let tasks = vec![
            tokio::spawn(relay::listen(listening, both, probe.clone(), stop.clone())),
            tokio::spawn(asides::tell(beside.clone(), asides, stop.clone())),
            tokio::spawn(presence::keep(beside.clone(), probe.process(), registry.clone(), stop.clone())),
            tokio::spawn(presence::keep_tracks(beside, probe.process(), registry.clone(), stop.clone())),
            tokio::spawn(forgetting::forget(db.clone(), stop.clone())),
            tokio::spawn(relay::read(reader, Arc::clone(&hub), life, stop.clone())),
        ];
        let marks = Marks::new(db.clone());
        let marking = tokio::spawn(marks::write(marks.clone(), silence.clone()));
        let live = Self { hub, registry, passes, marks, tasks, announcer, marking, silence };
        if let Err(deaf) = probe.first().await {
            live.stop().await;
            return Err(deaf);
        }
        Ok(live)
    }

    /// Ends its tasks, the announcer when all is told.
    pub async fn stop(self) {
        self.silence.cancel();
        for last in [self.announcer, self.marking] {
            let aborts = last.abort_handle();
            if timeout(END_WAIT, last).await.is_err() {
                aborts.abort();
            }
        }
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// The same route, by a name that a DBA tells from the others' in pg_stat_activity.
fn named(route: &Dsn, name: &str) -> Dsn {
    let mut route = route.clone();
    route.config_mut().application_name(name);
    route
}
