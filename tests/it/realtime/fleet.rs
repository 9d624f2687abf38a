//! Several server processes over a Postgres of the test's own, each with a route to it that can be cut.

use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::Signal;
use tabletalk::dsn::Dsn;
use tabletalk::migrate;
use tokio::sync::{Mutex, MutexGuard};

use crate::cli::program::{Serving, tabletalk};
use crate::migrate::cluster::{Guard, OwnCluster};
use crate::support::cluster::Cluster;
use crate::support::route::Route;
use crate::support::server::{SECRET, stranger_at};
use crate::support::{Database, Person};

/// The database of the fleet.
const DATABASE: &str = "chat";
/// How often a process that ended while it started is started again: faults happen then, too.
const STARTS_MAX: usize = 20;

pub struct Fleet {
    // first: what still runs ends before its database
    processes: Vec<Process>,
    pub cluster: OwnCluster,
    _guard: Guard,
}

/// A server process, on the same port for as long as the fleet is there.
pub struct Process {
    address: String,
    pub route: Route,
    serving: Mutex<Option<Serving>>,
}

/// A server process over a test's database.
pub async fn serving(database: &Database) -> Serving {
    serving_at("127.0.0.1:0", database).await
}

/// The same, at this address.
pub async fn serving_at(address: &str, database: &Database) -> Serving {
    serving_by(tabletalk::<&str>([]), address, database).await
}

/// The same, by this program.
pub async fn serving_by(mut program: Command, address: &str, database: &Database) -> Serving {
    let url = database.api_url();
    let mut arguments = vec!["serve", "--listen", address, "--database-url", &url, "--jwt-secret", SECRET, "--upkeep", "off"];
    let listen = Cluster::listen_url(&url);
    arguments.extend(listen.iter().flat_map(|listen| ["--database-listen-url", listen]));
    program.args(arguments);
    Serving::start(program).await
}

impl Fleet {
    pub async fn start(count: usize) -> Self {
        let cluster = OwnCluster::start().await;
        let guard = cluster.guard();
        cluster.db_run("postgres", "create role installer login createrole createdb").await;
        cluster.db_run("postgres", &format!("create database {DATABASE} owner installer")).await;
        let installer = Dsn::parse(&cluster.url("installer", DATABASE)).expect("a connection string");
        migrate::migrate(&installer, None).await.expect("the database is migrated");
        let mut processes = Vec::new();
        for _ in 0..count {
            let route = Route::to(cluster.socket().join(".s.PGSQL.5432")).await;
            let process = Process { address: free_address(), route, serving: Mutex::default() };
            *process.serving.lock().await = Some(process.launch().await);
            processes.push(process);
        }
        Self { processes, cluster, _guard: guard }
    }

    pub fn process(&self, which: usize) -> &Process {
        &self.processes[which % self.processes.len()]
    }

    /// Where they serve.
    pub fn urls(&self) -> Vec<String> {
        self.processes.iter().map(|process| format!("http://{}", process.address)).collect()
    }

    /// Someone with a token, known to the servers.
    pub async fn person(&self, name: &str) -> Person {
        let person = stranger_at(&self.urls()[0], name);
        person.get("/users/me").await.expect_status(200);
        person
    }

    /// A connection as the superuser.
    pub async fn db_superuser(&self) -> tokio_postgres::Client {
        self.cluster.db("postgres", DATABASE).await
    }

    pub async fn stop(self) {
        drop(self.processes);
        self.cluster.stop().await;
    }
}

impl Process {
    async fn launch(&self) -> Serving {
        let url = format!("host=127.0.0.1 port={} user=chat_api dbname={DATABASE} sslmode=disable", self.route.port);
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            let arguments =
                ["serve", "--listen", &self.address, "--database-url", &url, "--jwt-secret", SECRET, "--upkeep", "off"];
            match Serving::try_start(tabletalk(arguments)).await {
                Ok(serving) => return serving,
                Err(log) => said = log,
            }
        }
        panic!("it does not start: {said}");
    }

    /// The process, for as long as nobody else does anything to it.
    pub async fn hold(&self) -> Held<'_> {
        Held { process: self, serving: self.serving.lock().await }
    }

    /// Whether nobody does anything to it.
    pub fn is_free(&self) -> bool {
        self.serving.try_lock().is_ok()
    }
}

/// A process that is one's own for a while.
pub struct Held<'a> {
    process: &'a Process,
    serving: MutexGuard<'a, Option<Serving>>,
}

impl Held<'_> {
    pub fn signal(&self, signal: Signal) {
        self.serving.as_ref().expect("it runs").signal(signal);
    }

    /// Sends it a signal that ends it, and starts another in its place; how the first ended, and its log.
    pub async fn replace(&mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let ended = self.serving.take().expect("it runs").ended().await;
        *self.serving = Some(self.process.launch().await);
        ended
    }
}

/// An address below the ports that the system gives to outgoing connections: it is still free when its process starts again.
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).expect("it is below");
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}
