//! Makes the cluster at the first start.
//!
//! It is made in a folder beside its place and renamed, so there is a whole cluster or none, whenever we are killed.
//!
//! Text is UTF-8 and sorts by code point, the same on every system (no index goes bad when the C library changes): from
//! Postgres 17 on by the built-in provider, before that by the C library's C.UTF-8, or plain C where it has none.
//!
//! Everyone who can open the socket may be any role (`trust`): the folder it lies in lets nobody pass but the server's
//! account (and root), and there is no TCP. Passwords would have to be stored beside the data they protect.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use super::account::Account;
use super::binaries::Binaries;
use super::error::Error;
use super::folder::Folder;

/// The role that initdb makes, superuser of the private cluster.
pub const SUPERUSER: &str = "postgres";
/// initdb takes half a second; a slow disk with fsync may take a hundred times as long.
const INITDB_DEADLINE: Duration = Duration::from_secs(5 * 60);
const BUILTIN_PROVIDER_SINCE: u32 = 17;

/// Only under `start.lock`.
pub async fn make(folder: &Folder, binaries: &Binaries, account: &Account, durable: bool) -> Result<(), Error> {
    account.must_be_listed()?;
    folder.remove_leftovers();
    let new = folder.new_cluster();
    let made = fill(&new, binaries, account, durable).await;
    let made = made.and_then(|()| {
        std::fs::rename(&new, folder.cluster()).map_err(Error::file("cannot rename to its place", &new))?;
        let home = File::open(&folder.home).and_then(|home| home.sync_all());
        home.map_err(Error::file("cannot write to disk", &folder.home))
    });
    if made.is_err() {
        folder.remove_leftovers();
    }
    made
}

async fn fill(new: &Path, binaries: &Binaries, account: &Account, durable: bool) -> Result<(), Error> {
    let locales: &[&[&str]] = if binaries.version.major >= BUILTIN_PROVIDER_SINCE {
        &[&["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    } else {
        &[&["--locale=C.UTF-8"], &["--locale=C"]]
    };
    let mut output = String::new();
    for locale in locales {
        DirBuilder::new().mode(0o700).create(new).map_err(Error::file("cannot make", new))?;
        account.give(new).map_err(Error::file("cannot give to the server's account", new))?;
        let program = binaries.program("initdb");
        let mut command = account.command(&program);
        command.arg("--pgdata").arg(new).arg("--username").arg(SUPERUSER);
        command.args(["--encoding=UTF8", "--data-checksums", "--no-instructions", "--text-search-config=simple"]);
        command.args(["--auth-local=trust", "--auth-host=reject"]).args(*locale);
        if !durable {
            command.arg("--no-sync");
        }
        let run = command.kill_on_drop(true).output();
        let done = if let Ok(done) = tokio::time::timeout(INITDB_DEADLINE, run).await {
            done.map_err(|source| Error::Run { program, source })?
        } else {
            let output = format!("it did not end within {} s", INITDB_DEADLINE.as_secs());
            return Err(Error::Initdb { path: new.to_owned(), output });
        };
        if done.status.success() {
            return Ok(());
        }
        String::from_utf8_lossy(&done.stderr).trim().clone_into(&mut output);
        // The one failure that the next locale may mend; initdb has to find an empty folder again.
        if !output.contains("locale") {
            break;
        }
        std::fs::remove_dir_all(new).map_err(Error::file("cannot remove", new))?;
    }
    Err(Error::Initdb { path: new.to_owned(), output })
}
