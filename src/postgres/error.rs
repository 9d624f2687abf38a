//! What can go wrong with the private server, each with what a person can do about it.

use std::path::{Path, PathBuf};

use super::binaries::Version;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no Postgres server (version {oldest} or newer) was found on this machine.{rejected}\n{advice}\nOr set DATABASE_URL to a Postgres that runs elsewhere.",
        oldest = super::binaries::OLDEST_MAJOR
    )]
    NoBinaries { rejected: String, advice: String },

    #[error(
        "the cluster in {cluster} was made by Postgres {needed}, but of that version no server is installed (found: {found}).\n{advice}\nTo move to another version, dump the data with version {needed} first."
    )]
    MajorMissing { cluster: PathBuf, needed: u32, found: String, advice: String },

    #[error(
        "the cluster in {cluster} was made by Postgres {needed}, but {bin} holds version {given}. Name a folder of version {needed}, or none to have it searched for."
    )]
    OtherMajor { cluster: PathBuf, needed: u32, bin: PathBuf, given: Version },

    #[error("{bin} cannot be used as the folder of Postgres' server programs: {reason}")]
    BadBinaries { bin: PathBuf, reason: String },

    #[error("{what} {path}: {source}{hint}", hint = owner_hint(path, source))]
    File { what: &'static str, path: PathBuf, source: std::io::Error },

    #[error("cannot run {program}: {source}")]
    Run { program: PathBuf, source: std::io::Error },

    #[error(
        "Postgres refuses to run as root, so its processes run as the account \"{account}\", and that account cannot enter {culprit}, which lies on the way to {target}. Use a data folder elsewhere (such as /var/lib/tabletalk), or let it pass: chmod o+x {culprit}"
    )]
    OutOfReach { account: String, culprit: PathBuf, target: PathBuf },

    #[error(
        "Postgres refuses to run as root, and this machine has none of the accounts {tried} to run it as. Create one: useradd --system tabletalk"
    )]
    NoAccount { tried: String },

    #[error(
        "{cluster} belongs to root, and Postgres refuses to run as root. Give it to an account without privileges: chown -R postgres {cluster}"
    )]
    OwnedByRoot { cluster: PathBuf },

    #[error(
        "the user id {uid} has no entry in /etc/passwd, and Postgres cannot make a cluster without one. Add an entry, or run as another user."
    )]
    NoPasswdEntry { uid: u32 },

    #[error("{path} exists but holds no Postgres cluster (no PG_VERSION). Move it away, or choose another data folder.")]
    NotACluster { path: PathBuf },

    #[error("initdb could not make a cluster in {path}:\n{output}")]
    Initdb { path: PathBuf, output: String },

    #[error("the Postgres server ended while starting ({status}). Its last words, from {log}:\n{tail}")]
    Ended { status: String, log: PathBuf, tail: String },

    #[error("the Postgres server did not accept connections within {seconds} s: {last}. Its last words, from {log}:\n{tail}")]
    StartTimeout { seconds: u64, last: String, log: PathBuf, tail: String },

    #[error(
        "the Postgres server (process {pid}) did not stop within {seconds} s. Its log is {log}; the next start takes it over as it is."
    )]
    StopTimeout { pid: i32, seconds: u64, log: PathBuf },

    #[error("the socket folder {path} is not safe to use: {reason}. If no Postgres server uses it, remove it and start again.")]
    UnsafeSocketFolder { path: PathBuf, reason: &'static str },

    #[error(
        "another process has been starting or stopping the server of {path} for {seconds} s. See what it is doing: fuser -v {path}"
    )]
    Busy { path: PathBuf, seconds: u64 },

    #[error("Postgres could not be installed: {0}")]
    Install(String),
}

impl Error {
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::File { what, path: path.to_owned(), source }
    }
}

/// Who owns what cannot be used: mostly a folder first used as root and now as somebody else.
fn owner_hint(path: &Path, source: &std::io::Error) -> String {
    use std::os::unix::fs::MetadataExt;
    if source.kind() != std::io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let nearest = path.ancestors().find_map(|folder| Some((folder, folder.metadata().ok()?.uid())));
    let Some((folder, uid)) = nearest else {
        return String::new();
    };
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let name = user.map_or_else(|| uid.to_string(), |user| user.name);
    format!(" ({} belongs to {name}: run as {name}, or choose another data folder)", folder.display())
}
