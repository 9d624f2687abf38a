//! A Postgres of a test's own, for what belongs to the whole server: its roles.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tabletalk::dsn::Dsn;
use tabletalk::postgres::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::cluster::options;
use crate::support::tools::Tools;

pub struct OwnCluster {
    root: PathBuf,
    server: Server,
    /// Where it is reached by TCP, if it was asked to be.
    pub address: String,
}

impl OwnCluster {
    pub async fn start() -> Self {
        Self::with(false).await
    }

    /// One that is reached by TCP, too, asks for passwords, and logs every statement.
    pub async fn listening() -> Self {
        Self::with(true).await
    }

    async fn with(listens: bool) -> Self {
        let root = new_root();
        let mut options = options(&root.join("data"));
        if listens {
            let hba = root.join("hba.conf");
            std::fs::write(&hba, "local all postgres trust\nlocal all all scram-sha-256\n").expect("a file");
            std::fs::set_permissions(&hba, Permissions::from_mode(0o644)).expect("open to the server's account");
            options.settings.push(("hba_file".to_owned(), hba.display().to_string()));
            options.settings.push(("log_statement".to_owned(), "all".to_owned()));
        }
        let server = Server::start(&options).await.expect("the server starts");
        let address = if listens { forward(server.socket_dir().join(".s.PGSQL.5432")).await } else { String::new() };
        Self { root, server, address }
    }

    /// A copy of it, running: a standby, or what a copy of its disk would be.
    pub async fn copy(&self, tools: &Tools, is_standby: bool) -> Self {
        let root = new_root();
        let home = root.join("data/postgres");
        DirBuilder::new().mode(0o711).create(root.join("data")).expect("a folder for the copy");
        DirBuilder::new().mode(0o700).create(&home).expect("a folder for the copy");
        let target = format!("--pgdata={}", home.join("cluster").display());
        let source = format!("--host={}", self.socket().display());
        let mut arguments = vec![source.as_str(), "--username=postgres", &target, "--wal-method=stream", "--checkpoint=fast"];
        arguments.extend(is_standby.then_some("--write-recovery-conf"));
        tools.run("pg_basebackup", &arguments);
        let account = std::fs::metadata(self.server.data().join("postgres/cluster")).expect("a cluster");
        give(&home.join("cluster"), account.uid(), account.gid());
        let server = Server::start(&options(&root.join("data"))).await.expect("the copy starts");
        Self { root, server, address: String::new() }
    }

    /// Its major version.
    pub fn major(&self) -> u32 {
        self.server.version().major
    }

    /// Where its socket is.
    pub fn socket(&self) -> &Path {
        self.server.socket_dir()
    }

    pub async fn stop(self) {
        let Self { root, server, .. } = self;
        server.stop().await.expect("it stops");
        let _ = std::fs::remove_dir_all(root);
    }

    /// The connection string over the socket, where nobody asks for a password.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("host={} user={user} dbname={database}", self.server.socket_dir().display())
    }

    pub async fn db(&self, user: &str, database: &str) -> Client {
        Dsn::parse(&self.url(user, database)).expect("a connection string").connect().await.expect("it answers").0
    }

    /// Runs statements as the superuser.
    pub async fn db_run(&self, database: &str, sql: &str) {
        self.db("postgres", database).await.batch_execute(sql).await.expect(sql);
    }

    /// What the server has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.server.data().join("postgres/server.log")).expect("a log")
    }
}

fn new_root() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let root = std::env::temp_dir().join(format!("tabletalk-it-own-{}-{number}", std::process::id()));
    DirBuilder::new().mode(0o711).create(&root).expect("a folder for the test");
    std::fs::set_permissions(&root, Permissions::from_mode(0o711)).expect("open to the server's account");
    root
}

/// Gives a folder and what is in it to an account.
fn give(path: &Path, user: u32, group: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(group)).expect("it is the account's");
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            give(&entry.path(), user, group);
        }
    }
}

/// A TCP port of this machine that leads to a socket: the private server has none of its own.
async fn forward(socket: PathBuf) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its number").to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::UnixStream::connect(socket).await.expect("it answers");
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

/// A test that failed leaves nothing running either.
pub struct Guard(pub PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.join("postmaster.pid")).ok();
        if let Some(pid) = pid.and_then(|text| text.lines().next()?.trim().parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        }
    }
}

impl OwnCluster {
    /// Ends its Postgres with a signal (SIGINT: a fast stop, SIGQUIT: an immediate one, as a crash is), and starts it again.
    pub async fn restart(&self, signal: Signal) {
        let file = self.server.data().join("postgres/cluster/postmaster.pid");
        let postmaster = || std::fs::read_to_string(&file).ok()?.lines().next()?.trim().parse().ok();
        let before: i32 = postmaster().expect("a running server");
        kill(Pid::from_raw(before), signal).expect("a signal");
        let gone = async || postmaster() != Some(before);
        crate::support::eventually("Postgres has stopped", gone).await;
        self.server.ensure_running().await.expect("it starts again");
    }

    pub fn guard(&self) -> Guard {
        Guard(self.server.data().join("postgres/cluster"))
    }
}

/// Everything of a server and a database that a migration could touch: roles, memberships, schemas, what is in them, grants.
pub async fn db_snapshot(client: &Client) -> String {
    let questions = [
        "select r from pg_catalog.pg_authid r order by r.rolname",
        "select pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), m.admin_option from pg_catalog.pg_auth_members m order by 1, 2",
        "select n.nspname, pg_get_userbyid(n.nspowner), n.nspacl from pg_catalog.pg_namespace n where n.nspname !~ '^pg_t' order by 1",
        "select c.oid::regclass, c.relkind, c.relowner, c.relacl from pg_catalog.pg_class c where c.oid >= 16384
         and c.relnamespace::regnamespace::text !~ '^pg_t' order by 1::text",
        "select p.oid::regprocedure, p.proacl from pg_catalog.pg_proc p where p.oid >= 16384 order by 1::text",
        "select d.defaclnamespace::regnamespace, d.defaclobjtype, d.defaclacl from pg_catalog.pg_default_acl d order by d.oid",
        "select d.datname, d.datacl from pg_catalog.pg_database d order by 1",
        "select s.setdatabase, s.setrole, s.setconfig from pg_catalog.pg_db_role_setting s order by 1, 2",
    ];
    let mut snapshot = String::new();
    for question in questions {
        for message in client.simple_query(question).await.expect(question) {
            if let SimpleQueryMessage::Row(row) = message {
                let cells: Vec<&str> = (0..row.len()).map(|index| row.get(index).unwrap_or("null")).collect();
                snapshot += &format!("{}\n", cells.join(" | "));
            }
        }
    }
    snapshot
}
