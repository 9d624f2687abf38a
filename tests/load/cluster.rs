//! A private cluster of the benchmark's own, with fsync and everything else as shipped but for what a measurement needs.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tabletalk::dsn::Dsn;
use tabletalk::migrate;
use tabletalk::postgres::{Options, Server};
use tokio_postgres::{Client, Config};

use crate::keeper::{self, KEEP_CLUSTER, Kept};
use crate::slow_disk::SlowDisk;

/// What differs from the settings that a private server has: room for several pools at once, and no work of its own accord in the middle
/// of a measurement. VACUUM and checkpoints come between the rotations instead.
pub const SETTINGS: [(&str, &str); 6] = [
    ("max_connections", "200"),
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "2GB"),
    ("log_checkpoints", "off"),
    // who sent a statement: see `sent.rs`
    ("log_line_prefix", "%m [%p] (%a) "),
];
/// The comment of a database that has all its data.
const FILLED: &str = "filled by the benchmark";
/// Migrates; no superuser.
const INSTALLER: &str = "installer";

/// A running cluster, which ends with this value.
pub struct Cluster {
    socket: PathBuf,
    data: PathBuf,
    version: String,
    keeps_data: bool,
    slow_disk: Option<SlowDisk>,
    // its end is the end of the cluster
    kept: Option<Kept>,
}

impl Cluster {
    /// Starts one with its data in `data`; without, in a folder that goes with it. `slow`: its disk can be [made slower](SlowDisk).
    pub fn start(data: Option<&Path>, bin: Option<&Path>, settings: &[(String, String)], slow: bool) -> anyhow::Result<Self> {
        let keeps_data = data.is_some();
        let data =
            data.map_or_else(|| std::env::temp_dir().join(format!("tabletalk-load-{}", std::process::id())), Path::to_owned);
        if !data.exists() {
            DirBuilder::new().mode(0o711).recursive(true).create(&data).context("no folder for the cluster")?;
            std::fs::set_permissions(&data, Permissions::from_mode(0o711))?;
        }
        let slow_disk = if slow { SlowDisk::make(&data, bin)? } else { None };
        let bin = slow_disk.as_ref().map(SlowDisk::programs).or(bin);
        let mut arguments =
            vec![KEEP_CLUSTER.to_owned(), data.display().to_string(), bin.map(|b| b.display().to_string()).unwrap_or_default()];
        let ours = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        arguments.extend(ours.iter().chain(settings).map(|(name, value)| format!("{name}={value}")));
        let mut kept = Kept::start(&arguments, &data.join("keeper.log"))?;
        let socket = kept.said("socket: ").with_context(|| format!("the cluster: see {}", data.join("keeper.log").display()))?;
        let version = kept.said("version: ")?;
        Ok(Self { socket: socket.into(), data, version, keeps_data, slow_disk, kept: Some(kept) })
    }

    /// Where the benchmark may leave files.
    pub fn folder(&self) -> &Path {
        &self.data
    }

    /// The server's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the socket is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its disk, if it can be made slower.
    pub fn slow_disk(&self) -> Option<&SlowDisk> {
        self.slow_disk.as_ref()
    }

    /// What the server says.
    pub fn log(&self) -> PathBuf {
        self.data.join("postgres/server.log")
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

    /// A connection as the superuser.
    pub async fn superuser(&self, database: &str) -> anyhow::Result<Client> {
        Ok(self.dsn("postgres", database).connect().await.with_context(|| format!("no connection to {database}"))?.0)
    }

    /// Makes a migrated database, unless one is there that was [filled](Self::is_filled); says whether it made it.
    pub async fn make_database(&self, name: &str) -> anyhow::Result<bool> {
        let superuser = self.superuser("postgres").await?;
        let is_filled = "select from pg_database where datname = $1 and shobj_description(oid, 'pg_database') = $2";
        if superuser.query_opt(is_filled, &[&name, &FILLED]).await?.is_some() {
            return Ok(false);
        }
        superuser.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
        if superuser.query_opt("select from pg_roles where rolname = $1", &[&INSTALLER]).await?.is_none() {
            superuser.batch_execute(&format!("create role {INSTALLER} login createrole createdb")).await?;
        }
        superuser.batch_execute(&format!("create database {name} owner {INSTALLER}")).await?;
        migrate::migrate(&self.dsn(INSTALLER, name), None).await?;
        Ok(true)
    }

    /// Notes that a database has all its data: one without that is made anew.
    pub async fn is_filled(&self, name: &str) -> anyhow::Result<()> {
        let superuser = self.superuser("postgres").await?;
        Ok(superuser.batch_execute(&format!("comment on database {name} is '{FILLED}'")).await?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.kept.take());
        if !self.keeps_data {
            let _ = std::fs::remove_dir_all(&self.data);
        }
    }
}

/// What the keeper of a cluster runs: its data folder, its programs' folder if one is given, its settings.
pub async fn keep(arguments: &[String]) -> anyhow::Result<()> {
    let [data, bin, settings @ ..] = arguments else { anyhow::bail!("keep which cluster?") };
    let settings = settings.iter().filter_map(|setting| setting.split_once('='));
    let options = Options {
        data: data.into(),
        bin: (!bin.is_empty()).then(|| bin.into()),
        path: search_path(),
        install: false,
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    let server = Server::start(&options).await?;
    println!("socket: {}\nversion: {}", server.socket_dir().display(), server.version());
    tokio::task::spawn_blocking(keeper::wait_for_the_end).await?;
    server.stop().await?;
    Ok(())
}

/// Where programs are looked for.
#[expect(clippy::disallowed_methods, reason = "a benchmark has no settings but its arguments and the environment")]
pub fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}
