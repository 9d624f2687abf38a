//! The private server: the Postgres that Tabletalk runs where no DATABASE_URL names another.
//!
//! It owns the folder `<data>/postgres` and the server process, and hands out a way to connect. It knows nothing of
//! schemas, roles or pools: `migrate.rs` and `db.rs` treat this server like any other.
//!
//! ```text
//! start: start.lock · binaries (or install them) and account · users.lock · initdb, once · adopt or spawn · it answers
//! stop:  start.lock · users.lock: am I the last? · no: let go | yes: fast stop
//! ```
//!
//! * **Invariant**: the server runs for as long as anyone holds `users.lock`; the last to leave stops it (`lock.rs`).
//! * **Invariant**: there is a whole cluster or none (`initdb.rs`). Whatever is killed, the next start takes over what is
//!   there: a server that still runs is adopted, one that does not is started and recovers (`postmaster.rs`).
//! * Threat: other people of this machine. There is no TCP; the socket lies in a folder that only the server's account
//!   enters; as root, the server runs without privileges (`account.rs`, `folder.rs`, `socket.rs`).

mod account;
mod binaries;
mod error;
mod folder;
mod initdb;
mod install;
mod lock;
mod log;
mod postmaster;
mod socket;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;

use binaries::{Binaries, Wanted};
use folder::Folder;
use lock::Lock;
use postmaster::{Postmaster, Running};

pub use binaries::Version;
pub use error::Error;

/// What the private server needs to know.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The data folder, such as /var/lib/tabletalk; the cluster lives in `<data>/postgres/cluster`.
    pub data: PathBuf,
    /// Folder of server programs (initdb, postgres, pg_ctl). None: search the machine.
    pub bin: Option<PathBuf>,
    /// The value of PATH, to be searched too.
    pub path: Option<OsString>,
    /// Install missing server programs with the system's package manager without asking.
    pub install: bool,
    /// Further server settings, such as ("fsync", "off") in tests.
    pub settings: Vec<(String, String)>,
}

/// A hold on a running server. Dropped without `stop`, as when we are killed, it leaves the server to the next start.
#[derive(Debug)]
pub struct Server {
    postmaster: Postmaster,
    running: Running,
    users: Lock,
    log_keeper: JoinHandle<()>,
}

impl Server {
    /// Makes the cluster or takes it over; returns when the server accepts connections. Dropped half-way, it leaves
    /// nothing, or a server that the next start adopts.
    ///
    /// # Errors
    /// Each says what a person can do about it.
    pub async fn start(options: &Options) -> Result<Server, Error> {
        let folder = Folder::open(&options.data)?;
        let _starting = start_lock(&folder).await?;
        let cluster = folder.cluster();
        let major = folder.major()?;
        let wanted = Wanted {
            bin: options.bin.as_deref(),
            path: options.path.as_deref(),
            install: options.install,
            cluster: &cluster,
            major,
        };
        let (binaries, account) = Binaries::find_or_install(&wanted).await?;
        folder.close_to_others(&account)?;
        account.must_reach(&folder.home, &binaries.program("postgres")).await?;
        let users = Lock::shared(folder.open_file(&folder.users_lock())?, &folder.users_lock()).await?;
        if major.is_none() {
            let durable = !options.settings.contains(&("fsync".to_owned(), "off".to_owned()));
            initdb::make(&folder, &binaries, &account, durable).await?;
        }
        let log_folder = folder.clone();
        let postmaster = Postmaster { folder, account, binaries, settings: options.settings.clone() };
        let running = postmaster.bring_up().await?;
        tracing::debug!(
            data = %postmaster.folder.data.display(),
            version = %running.version,
            adopted = running.adopted,
            "the private Postgres server runs"
        );
        let log_keeper = tokio::spawn(log::keep_short(log_folder));
        Ok(Server { postmaster, running, users, log_keeper })
    }

    /// Starts the server again if it is gone (killed by a person or for want of memory) while we use it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn ensure_running(&self) -> Result<(), Error> {
        let _starting = start_lock(&self.postmaster.folder).await?;
        self.postmaster.bring_up().await?;
        Ok(())
    }

    /// A connection as the superuser of the private cluster, over its socket.
    pub fn admin(&self) -> tokio_postgres::Config {
        postmaster::admin(&self.running.socket_dir)
    }

    pub fn socket_dir(&self) -> &Path {
        &self.running.socket_dir
    }

    pub fn port(&self) -> u16 {
        socket::PORT
    }

    pub fn data(&self) -> &Path {
        &self.postmaster.folder.data
    }

    pub fn version(&self) -> Version {
        self.running.version
    }

    /// Lets go of the server; the last one to do so stops it.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop(self) -> Result<(), Error> {
        let _starting = start_lock(&self.postmaster.folder).await?;
        if self.users.release_and_see_if_alone()? {
            self.postmaster.stop().await?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.log_keeper.abort();
    }
}

/// Makes a data folder as the first start would, for who needs it before.
///
/// # Errors
/// When it cannot be made or entered.
pub fn make_data_folder(data: &Path) -> Result<(), Error> {
    Folder::open(data).map(drop)
}

async fn start_lock(folder: &Folder) -> Result<Lock, Error> {
    let path = folder.start_lock();
    Lock::exclusive(folder.open_file(&path)?, &path).await
}

/// Where data lies unless a person says otherwise: /var/lib/tabletalk for root, else `$XDG_DATA_HOME/tabletalk` or
/// `~/.local/share/tabletalk`. The arguments are the values of XDG_DATA_HOME and HOME.
pub fn default_data_folder(xdg_data_home: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    if nix::unistd::Uid::effective().is_root() {
        return PathBuf::from("/var/lib/tabletalk");
    }
    // The XDG specification has relative values ignored.
    let absolute = |path: &PathBuf| path.is_absolute();
    let from_home = || home.filter(absolute).map(|home| home.join(".local/share"));
    let folder = xdg_data_home.filter(absolute).or_else(from_home).unwrap_or_default();
    folder.join("tabletalk")
}
