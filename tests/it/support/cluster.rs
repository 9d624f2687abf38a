//! One Postgres for all tests of a run, with one migrated database as the template of theirs.
//!
//! It belongs to a process of its own, which ends it when this one is gone, however that happens.

use std::fs::{DirBuilder, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use tabletalk::dsn::Dsn;
use tabletalk::migrate;
use tabletalk::postgres::{Options, Server};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config};

use super::pooler::{self, Pooler, THROUGH};

/// Set for the process that `cluster_process` runs in: its data folder.
const DATA: &str = "TABLETALK_TEST_CLUSTER_DATA";
/// The database that every test's is a copy of.
pub const TEMPLATE: &str = "template_tabletalk";
/// Migrates: no superuser, and RLS binds it.
pub const INSTALLER: &str = "installer";

/// The run's Postgres.
pub struct Cluster {
    socket: PathBuf,
    /// Where the pooler's socket is, if the run goes through one.
    pooler: Option<PathBuf>,
    // its end is the end of the cluster
    _process: Mutex<Child>,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The run's Postgres, started at the first call.
pub async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(|| async {
            let cluster = Cluster::start();
            let superuser = cluster.db_superuser("postgres").await;
            for statement in [
                format!("create role {INSTALLER} login createrole createdb"),
                // the second argument of everything that asks for it is spelt out: tests must not depend on the machine
                format!("create database {TEMPLATE} owner {INSTALLER}"),
            ] {
                superuser.batch_execute(&statement).await.expect(&statement);
            }
            migrate::migrate(&cluster.dsn(INSTALLER, TEMPLATE), None).await.expect("the template is migrated");
            cluster
        })
        .await
}

impl Cluster {
    fn start() -> Self {
        let data = std::env::temp_dir().join(format!("tabletalk-it-{}", std::process::id()));
        let module = module_path!().split_once("::").expect("a module of a crate").1;
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", &format!("{module}::cluster_process"), "--nocapture"])
            .env(DATA, &data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process");
        let output = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let mut told = |what| lines.find_map(|line| line.split_once(what).map(|(_, path)| PathBuf::from(path)));
        let socket = told("socket: ").expect("the tests' Postgres starts");
        let pooler = std::env::var_os(THROUGH).map(|_| told("pooler: ").expect("the tests' PgBouncer starts"));
        // read on: after a minute its test runner says that it is slow, and would die of a pipe that nobody reads
        std::thread::spawn(move || lines.for_each(drop));
        Self { socket, pooler, _process: Mutex::new(process) }
    }

    /// How `user` reaches `database`.
    pub fn dsn(&self, user: &str, database: &str) -> Dsn {
        let mut config = Config::new();
        config.host_path(&self.socket).user(user).dbname(database);
        Dsn::from_config(config)
    }

    /// The same as a connection string.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("host={} user={user} dbname={database}", self.socket.display())
    }

    /// How the login that serves reaches `database`: through the pooler, if the run goes through one.
    pub fn api_url(&self, database: &str) -> String {
        match &self.pooler {
            Some(folder) => pooler::url(folder, "chat_api", database) + " pgbouncer=true",
            None => self.url("chat_api", database),
        }
    }

    /// The route for LISTEN, where `url` leads through the run's pooler.
    pub fn listen_url(url: &str) -> Option<String> {
        let cluster = CLUSTER.get().filter(|cluster| cluster.pooler.is_some())?;
        let database = url.split(' ').find_map(|pair| pair.strip_prefix("dbname="))?;
        url.ends_with("pgbouncer=true").then(|| cluster.url("chat_api", database))
    }

    /// Where the socket is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection as `user` to `database`.
    pub async fn db_connect(&self, user: &str, database: &str) -> Client {
        self.dsn(user, database).connect().await.expect("the tests' Postgres answers").0
    }

    /// A connection as the superuser.
    pub async fn db_superuser(&self, database: &str) -> Client {
        self.db_connect("postgres", database).await
    }
}

/// Which server programs to test with.
pub fn options(data: &Path) -> Options {
    Options {
        data: data.to_owned(),
        bin: std::env::var_os("TABLETALK_TEST_POSTGRES_BIN").map(PathBuf::from),
        path: std::env::var_os("PATH"),
        install: false,
        settings: [("fsync", "off"), ("max_connections", "300"), ("max_prepared_transactions", "20")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    }
}

/// Not a test of its own: what `Cluster::start` runs.
#[tokio::test]
async fn cluster_process() {
    let Some(data) = std::env::var_os(DATA).map(PathBuf::from) else { return };
    DirBuilder::new().mode(0o711).create(&data).expect("a folder for the cluster");
    std::fs::set_permissions(&data, Permissions::from_mode(0o711)).expect("open to the server's account");
    let server = Server::start(&options(&data)).await.expect("the tests' Postgres starts");
    println!("\nsocket: {}", server.socket_dir().display());
    let mut pooler = None;
    if std::env::var_os(THROUGH).is_some() {
        let started =
            Pooler::start(server.socket_dir(), "transaction").await.expect("PgBouncer, which TABLETALK_TEST_POOLER wants");
        println!("\npooler: {}", started.folder().display());
        pooler = Some(started);
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(pooler);
    server.stop().await.expect("the tests' Postgres stops");
    let _ = std::fs::remove_dir_all(&data);
    // before the test runner reports to a pipe that nobody reads any more
    std::process::exit(0);
}
