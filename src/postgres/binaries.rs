//! Finds the server's programs (initdb, postgres, pg_ctl) on the machine.
//!
//! A cluster that exists decides the major version; otherwise the newest wins. Each candidate is asked for its version
//! as the account that will run it, so that one which that account cannot execute does not count.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;
use super::error::Error;
use super::install;

pub const OLDEST_MAJOR: u32 = 15;
/// `postgres --version` takes milliseconds; a cold network disk may take longer.
const VERSION_DEADLINE: Duration = Duration::from_secs(20);
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// Where packages put the server: one component of each may hold a `*`.
const PLACES: [&str; 12] = [
    "/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
    "/usr/pgsql-*/bin",                                   // PGDG on Fedora, RHEL
    "/usr/lib/postgresql*/bin",                           // openSUSE
    "/usr/libexec/postgresql*",                           // Alpine
    "/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, ARM
    "/usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
    "/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
    "/opt/local/lib/postgresql*/bin",                     // MacPorts
    "/usr/local/pgsql/bin",                               // built by hand
    "/run/current-system/sw/bin",                         // NixOS
    "/usr/local/bin",                                     // BSDs
    "/usr/bin",                                           // Fedora, Arch
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// From `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`, also `18beta1` or `19devel`.
    fn parse(output: &str) -> Option<Version> {
        let number = output.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
        let digits = |text: &str| -> Option<u32> {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        };
        let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
        Some(Version { major: digits(major)?, minor: digits(minor).unwrap_or(0) })
    }

    /// From `server_version_num`, such as 150013.
    pub(super) fn from_number(number: u32) -> Version {
        Version { major: number / 10_000, minor: number % 10_000 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
    pub version: Version,
}

/// What to look for.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub bin: Option<&'a Path>,
    /// The value of PATH.
    pub path: Option<&'a OsStr>,
    pub install: bool,
    /// The cluster's folder and the major version that made it, if it exists.
    pub cluster: &'a Path,
    pub major: Option<u32>,
}

impl Binaries {
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The programs, and the account to run them as.
    pub async fn find_or_install(wanted: &Wanted<'_>) -> Result<(Binaries, Account), Error> {
        let account = Account::choose(wanted.cluster)?;
        match Binaries::find(wanted, &account).await {
            Ok(found) => Ok((found, account)),
            Err(error @ (Error::NoBinaries { .. } | Error::MajorMissing { .. })) => {
                if !install::offer(wanted.major, wanted.install, &error).await? {
                    return Err(error);
                }
                // The package may have brought the account `postgres`.
                let account = Account::choose(wanted.cluster)?;
                Ok((Binaries::find(wanted, &account).await?, account))
            }
            Err(error) => Err(error),
        }
    }

    async fn find(wanted: &Wanted<'_>, account: &Account) -> Result<Binaries, Error> {
        if let Some(bin) = wanted.bin {
            return Binaries::given(bin, wanted, account).await;
        }
        let mut found = Vec::new();
        let mut rejected = String::new();
        for folder in candidates(wanted.path) {
            match Binaries::probe(&folder, account).await {
                Ok(binaries) => found.push(binaries),
                Err(reason) => rejected.push_str(&format!("\n  {}: {reason}", folder.display())),
            }
        }
        let fits = |binaries: &&Binaries| wanted.major.is_none_or(|major| binaries.version.major == major);
        if let Some(best) = found.iter().filter(fits).max_by_key(|binaries| binaries.version) {
            return Ok(best.clone());
        }
        let advice = install::advice(wanted.major);
        match wanted.major {
            None => Err(Error::NoBinaries { rejected, advice }),
            Some(needed) => {
                let mut versions: Vec<String> = found.iter().map(|binaries| binaries.version.to_string()).collect();
                versions.dedup();
                let found = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
                Err(Error::MajorMissing { cluster: wanted.cluster.to_owned(), needed, found: found + &rejected, advice })
            }
        }
    }

    async fn given(bin: &Path, wanted: &Wanted<'_>, account: &Account) -> Result<Binaries, Error> {
        let bin = std::path::absolute(bin).map_err(Error::file("cannot find", bin))?;
        let found = match Binaries::probe(&bin, account).await {
            Ok(binaries) => binaries,
            Err(reason) => return Err(Error::BadBinaries { bin, reason }),
        };
        match wanted.major {
            Some(needed) if needed != found.version.major => {
                Err(Error::OtherMajor { cluster: wanted.cluster.to_owned(), needed, bin, given: found.version })
            }
            _ => Ok(found),
        }
    }

    async fn probe(folder: &Path, account: &Account) -> Result<Binaries, String> {
        for name in PROGRAMS {
            folder.join(name).metadata().map_err(|error| format!("{name}: {error}"))?;
        }
        let mut command = account.command(&folder.join("postgres"));
        let run = command.arg("--version").kill_on_drop(true).output();
        let output = match tokio::time::timeout(VERSION_DEADLINE, run).await {
            Err(_) => {
                return Err(format!("`postgres --version` did not end within {} s", VERSION_DEADLINE.as_secs()));
            }
            Ok(Err(error)) => {
                let closed = account.stopped_at(folder).map(|at| format!(" (it cannot enter {})", at.display()));
                return Err(format!(
                    "the account \"{}\" cannot run postgres: {error}{}",
                    account.name,
                    closed.unwrap_or_default()
                ));
            }
            Ok(Ok(output)) => output,
        };
        let Some(version) = Version::parse(&String::from_utf8_lossy(&output.stdout)) else {
            return Err(format!("`postgres --version` failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        };
        if version.major < OLDEST_MAJOR {
            return Err(format!("version {version} is older than {OLDEST_MAJOR}"));
        }
        Ok(Binaries { folder: folder.to_owned(), version })
    }
}

/// Existing folders that hold the programs, PATH first, each once.
fn candidates(path: Option<&OsStr>) -> Vec<PathBuf> {
    let from_path = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let mut seen = Vec::new();
    let mut folders = Vec::new();
    for folder in from_path.chain(PLACES.into_iter().flat_map(expand)) {
        // Debian's folder of a version exists with the client alone; a link to `postgres` alone is not enough either.
        if !PROGRAMS.iter().all(|name| folder.join(name).exists()) {
            continue;
        }
        let Ok(program) = folder.join("postgres").canonicalize() else {
            continue;
        };
        if !seen.contains(&program) {
            seen.push(program);
            folders.push(folder);
        }
    }
    folders
}

/// The folders that a pattern with at most one component holding a `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').expect("invariant: patterns are absolute");
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let matches = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    matches.map(|entry| entry.path().join(after.trim_start_matches('/'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_print() {
        let version = |text| Version::parse(text).map(|version| (version.major, version.minor));
        assert_eq!(version("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some((15, 13)));
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n"), Some((18, 0)));
        assert_eq!(version("postgres (PostgreSQL) 19devel"), Some((19, 0)));
        assert_eq!(version("bash: postgres: not found"), None);
        assert_eq!(Version::from_number(150_013), Version { major: 15, minor: 13 });
    }
}
