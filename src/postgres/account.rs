//! As whom the server's programs run, and how they are run.
//!
//! An ordinary user runs them as themself. Root cannot, since Postgres refuses: then they run as the owner of the
//! cluster, or, where there is none yet, as `postgres`, which the system's packages make for the purpose. Where the
//! programs came without that account, as `tabletalk` if somebody made it, else as `nobody`: the only one without
//! privileges that every Unix has with a passwd entry (initdb insists on one). It is the last choice, and said so in the
//! log, because other daemons may run as `nobody` too, and could then enter the cluster.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{Gid, Uid, User};
use tokio::process::Command;

use super::error::Error;

/// To run `postgres --version`: milliseconds, but the disk may be cold.
const REACH_DEADLINE: Duration = Duration::from_secs(20);
const ACCOUNTS: [&str; 4] = ["postgres", "_postgres", "tabletalk", "nobody"];

#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub uid: Uid,
    gid: Gid,
    /// Are we root, so that programs must be told to run as this account?
    switch: bool,
    listed: bool,
}

impl Account {
    pub fn choose(cluster: &Path) -> Result<Account, Error> {
        let me = Uid::effective();
        if !me.is_root() {
            return Ok(Account::new(me, nix::unistd::getegid(), false));
        }
        if let Ok(metadata) = cluster.symlink_metadata() {
            if metadata.uid() == 0 {
                return Err(Error::OwnedByRoot { cluster: cluster.to_owned() });
            }
            return Ok(Account::new(metadata.uid().into(), metadata.gid().into(), true));
        }
        let usable = |user: &User| !user.uid.is_root();
        let found = ACCOUNTS.iter().find_map(|name| User::from_name(name).ok().flatten().filter(usable));
        let Some(user) = found else {
            return Err(Error::NoAccount { tried: ACCOUNTS.join(", ") });
        };
        Ok(Account::new(user.uid, user.gid, true))
    }

    fn new(uid: Uid, gid: Gid, switch: bool) -> Account {
        let user = User::from_uid(uid).ok().flatten();
        let listed = user.is_some();
        Account { name: user.map_or_else(|| uid.to_string(), |user| user.name), uid, gid, switch, listed }
    }

    /// Before a cluster is made: initdb looks its user up and ends if there is no entry.
    pub fn must_be_listed(&self) -> Result<(), Error> {
        if !self.listed {
            return Err(Error::NoPasswdEntry { uid: self.uid.as_raw() });
        }
        if self.switch && self.name == "nobody" {
            tracing::warn!(
                "Postgres will run as \"nobody\" for want of an account of its own; other programs that run as \"nobody\" could read the data. Better: useradd --system tabletalk, and start with an empty data folder"
            );
        }
        Ok(())
    }

    /// A program that runs as the account, with nothing of ours: our environment holds secrets, and what runs as
    /// another account shows its environment to everything else of that account. (Supplementary groups go as well: std
    /// drops them with a change of uid.) PG* variables and a folder that the account cannot enter would disturb it too.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if self.switch {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Makes the account the owner of a file or folder that we made.
    pub fn give(&self, path: &Path) -> std::io::Result<()> {
        if !self.switch {
            return Ok(());
        }
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }

    /// Lets the account through a folder of ours, by its group, without letting it write there.
    pub fn let_through(&self, folder: &Path) -> std::io::Result<u32> {
        let metadata = folder.symlink_metadata()?;
        if !self.switch || metadata.uid() == self.uid.as_raw() {
            return Ok(0o700);
        }
        lchown(folder, None, Some(self.gid.as_raw()))?;
        Ok(0o710)
    }

    /// The first folder on the way to `target` that the account may not enter, as far as mode bits tell.
    pub fn stopped_at(&self, target: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = target.ancestors().collect();
        way.reverse();
        let closed = |folder: &&&Path| folder.metadata().is_ok_and(|metadata| metadata.is_dir() && !self.may_enter(&metadata));
        way.iter().find(closed).map(|folder| folder.to_path_buf())
    }

    fn may_enter(&self, metadata: &Metadata) -> bool {
        let bit = match () {
            () if metadata.uid() == self.uid.as_raw() => 0o100,
            () if metadata.gid() == self.gid.as_raw() => 0o010,
            () => 0o001,
        };
        metadata.mode() & bit != 0
    }

    /// Tries it for real (mode bits do not show ACLs, mount options or confinement): runs `program` in `folder`.
    pub async fn must_reach(&self, folder: &Path, program: &Path) -> Result<(), Error> {
        if !self.switch {
            return Ok(());
        }
        let mut command = self.command(program);
        let run = command.arg("--version").current_dir(folder).kill_on_drop(true).output();
        let tried = tokio::time::timeout(REACH_DEADLINE, run).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        match tried {
            Ok(_) => Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => Err(Error::OutOfReach {
                account: self.name.clone(),
                culprit: self.stopped_at(folder).unwrap_or_else(|| folder.to_owned()),
                target: folder.to_owned(),
            }),
            Err(source) => Err(Error::Run { program: program.to_owned(), source }),
        }
    }
}
