//! Where everything of the private server lies.
//!
//! ```text
//! <data>/postgres/                 ours; the server's account may pass, not write
//!     start.lock  users.lock       see lock.rs
//!     server.log  server.log.old   what the server says
//!     cluster/                     the server's data directory      } the account's,
//!     cluster.new-…/               one that initdb is still making  } closed to
//!     run/                         the server's socket              } everybody else
//! ```
//!
//! Threat: when we are root, whatever took over the server's account must not be able to make root write elsewhere. So
//! root creates files only where that account cannot plant a link.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;

use super::account::Account;
use super::error::Error;

const NEW_CLUSTER: &str = "cluster.new-";

#[derive(Debug, Clone)]
pub struct Folder {
    pub data: PathBuf,
    pub home: PathBuf,
}

impl Folder {
    /// Makes the folders that are missing. What exists keeps its owner.
    pub fn open(data: &Path) -> Result<Folder, Error> {
        let me = Uid::effective();
        let data = std::path::absolute(data).map_err(Error::file("cannot find the data folder", data))?;
        let mode = if me.is_root() { 0o711 } else { 0o700 };
        make_missing(&data, mode).map_err(Error::file("cannot make the data folder", &data))?;
        let data = data.canonicalize().map_err(Error::file("cannot enter the data folder", &data))?;
        let home = data.join("postgres");
        match DirBuilder::new().mode(0o700).create(&home) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
        .map_err(Error::file("cannot make", &home))?;
        let home = home.canonicalize().map_err(Error::file("cannot enter", &home))?;
        Ok(Folder { data, home })
    }

    pub fn cluster(&self) -> PathBuf {
        self.home.join("cluster")
    }

    pub fn run(&self) -> PathBuf {
        self.home.join("run")
    }

    pub fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    pub fn start_lock(&self) -> PathBuf {
        self.home.join("start.lock")
    }

    pub fn users_lock(&self) -> PathBuf {
        self.home.join("users.lock")
    }

    /// Closes the folder to all but ourselves and the server's account.
    pub fn close_to_others(&self, account: &Account) -> Result<(), Error> {
        let denied = || Error::file("cannot set the permissions of", &self.home);
        let owner = self.home.metadata().map_err(denied())?.uid();
        if owner == Uid::effective().as_raw() {
            let mode = account.let_through(&self.home).map_err(denied())?;
            std::fs::set_permissions(&self.home, Permissions::from_mode(mode)).map_err(denied())?;
        }
        Ok(())
    }

    /// Opens a file of ours for reading and appending, never through a link. It belongs to the owner of the folder, also
    /// if root makes it in another user's, who would otherwise find it closed the next time.
    pub fn open_file(&self, path: &Path) -> Result<File, Error> {
        let denied = || Error::file("cannot open", path);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(path).map_err(denied())?;
        if Uid::effective().is_root() {
            let home = self.home.metadata().map_err(denied())?;
            if file.metadata().map_err(denied())?.uid() != home.uid() {
                std::os::unix::fs::fchown(&file, Some(home.uid()), Some(home.gid())).map_err(denied())?;
            }
        }
        Ok(file)
    }

    /// The major version that made the cluster; None where there is no cluster yet.
    pub fn major(&self) -> Result<Option<u32>, Error> {
        let cluster = self.cluster();
        let path = cluster.join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(Error::NotACluster { path: cluster }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if cluster.symlink_metadata().is_ok() {
                    Err(Error::NotACluster { path: cluster })
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(Error::file("cannot read", &path)(error)),
        }
    }

    /// A name that nobody has used: an initdb that outlived a killed start still writes to its own folder.
    pub fn new_cluster(&self) -> PathBuf {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.home.join(format!("{NEW_CLUSTER}{}-{}", std::process::id(), since_epoch.as_nanos()))
    }

    /// Removes what killed starts left behind. Only under `start.lock`. An orphaned initdb may still be writing: then
    /// some of it stays, which is in nobody's way.
    pub fn remove_leftovers(&self) {
        let Ok(entries) = std::fs::read_dir(&self.home) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(NEW_CLUSTER)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "cannot remove what an interrupted first start left");
            }
        }
    }
}

/// Makes a folder and those above it that are missing, with this mode whatever the umask: a strict one would shut out
/// the server's account.
fn make_missing(folder: &Path, mode: u32) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_missing(parent, mode)?;
    }
    match DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => std::fs::set_permissions(folder, Permissions::from_mode(mode)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
