//! The folder that holds the server's socket: `<data>/postgres/run`, or a short one under /tmp where that path is too
//! long for a socket.
//!
//! A second process finds the folder in `postmaster.pid`, where Postgres itself records it.
//!
//! Threat: /tmp is everybody's. The folder is made with a name nobody can foresee and mode 0700; one that is found must
//! be a folder (no link), the account's, and closed to others. Nobody else can replace it, since /tmp is sticky.

use std::collections::hash_map::RandomState;
use std::fs::{DirBuilder, Permissions};
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::Error;
use super::folder::Folder;

/// The number in the socket's name; nothing listens on a TCP port.
pub const PORT: u16 = 5432;
/// `sockaddr_un` has 104 bytes on macOS and BSD, 108 on Linux, the closing zero included.
const MAX_SOCKET_PATH_BYTES: usize = 103;
const SHORT_PARENT: &str = "/tmp";
const SHORT_PREFIX: &str = "tabletalk-";
const NAME_ATTEMPTS: usize = 16;

/// The folder for a server that is about to start; `recorded` is what an earlier one left in its `postmaster.pid`.
pub fn for_new_server(folder: &Folder, account: &Account, recorded: Option<&Path>) -> Result<PathBuf, Error> {
    let run = folder.run();
    if fits(&run) {
        match DirBuilder::new().mode(0o700).create(&run) {
            Ok(()) => account.give(&run).map_err(Error::file("cannot give to the server's account", &run))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => close(&run)?,
            Err(error) => return Err(Error::file("cannot make", &run)(error)),
        }
        verify(&run, account)?;
        return Ok(run);
    }
    // Used again: a killed server leaves no second folder, and whoever knows the first finds the new server.
    if let Some(recorded) = recorded.filter(|path| is_short(path) && verify(path, account).is_ok()) {
        return Ok(recorded.to_owned());
    }
    for _ in 0..NAME_ATTEMPTS {
        let name = format!("{SHORT_PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        let path = Path::new(SHORT_PARENT).join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                account.give(&path).map_err(Error::file("cannot give to the server's account", &path))?;
                verify(&path, account)?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::file("cannot make", &path)(error)),
        }
    }
    Err(Error::UnsafeSocketFolder { path: Path::new(SHORT_PARENT).join(SHORT_PREFIX), reason: "every name tried is taken" })
}

/// A backup that was restored may have opened it.
fn close(run: &Path) -> Result<(), Error> {
    let metadata = run.symlink_metadata().map_err(Error::file("cannot read", run))?;
    let ours = metadata.is_dir() && metadata.uid() == nix::unistd::Uid::effective().as_raw();
    if ours && metadata.mode() & 0o777 != 0o700 {
        std::fs::set_permissions(run, Permissions::from_mode(0o700)).map_err(Error::file("cannot close", run))?;
    }
    Ok(())
}

/// Only the account (and root) can be at the other end of a socket in this folder.
pub fn verify(path: &Path, account: &Account) -> Result<(), Error> {
    let metadata = path.symlink_metadata().map_err(Error::file("cannot find the socket folder", path))?;
    let reason = if !metadata.is_dir() {
        "it is not a folder"
    } else if metadata.uid() != account.uid.as_raw() {
        "it belongs to another account"
    } else if metadata.mode() & 0o077 != 0 {
        "others can enter it"
    } else {
        return Ok(());
    };
    Err(Error::UnsafeSocketFolder { path: path.to_owned(), reason })
}

/// Where the server writes down whose socket it is.
pub fn lock_file(path: &Path) -> PathBuf {
    path.join(format!(".s.PGSQL.{PORT}.lock"))
}

/// After the server has stopped; the folder is empty then.
pub fn remove_if_short(path: &Path) {
    if is_short(path) {
        let _ = std::fs::remove_dir(path);
    }
}

fn is_short(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name.as_bytes().starts_with(SHORT_PREFIX.as_bytes()));
    path.parent() == Some(Path::new(SHORT_PARENT)) && named
}

/// Postgres takes a comma-separated list of folders, in which some characters would need care, and records the folder as
/// one line of text.
fn fits(folder: &Path) -> bool {
    let bytes = folder.as_os_str().as_bytes();
    let plain = folder.to_str().is_some_and(|text| !text.contains([',', '"', '\'', '\\']) && !text.contains(char::is_control));
    let length = bytes.len() + format!("/.s.PGSQL.{PORT}").len();
    plain && length <= MAX_SOCKET_PATH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_up_to_the_last_byte_of_a_socket_address() {
        let longest = MAX_SOCKET_PATH_BYTES - "/.s.PGSQL.5432".len();
        assert!(fits(Path::new(&format!("/{}", "a".repeat(longest - 1)))));
        assert!(!fits(Path::new(&format!("/{}", "a".repeat(longest)))));
        assert!(fits(Path::new("/with a space")));
        assert!(!fits(Path::new("/with,comma")));
    }
}
