//! The server process: starts it or adopts the one that runs, and stops it. All of it only under `start.lock`.
//!
//! `postgres` is started directly and asked over its socket until it answers. pg_ctl would do it too, but looks only
//! every 100 ms, runs a shell in between, and returns an exit code where we need the reason. What pg_ctl is used for is
//! signals: it runs as the server's account, so a tampered `postmaster.pid` cannot make root signal anything.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::process::Child;
use tokio_postgres::error::SqlState;

use super::account::Account;
use super::binaries::{Binaries, Version};
use super::error::Error;
use super::folder::Folder;
use super::{initdb, log, socket};

/// How long a server may be silent.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long it may answer that it is still replaying its log after a crash.
pub const RECOVERY_DEADLINE: Duration = Duration::from_secs(10 * 60);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A fast stop writes everything to disk once more; an immediate one is what a crash is, and as safe.
const FAST_STOP_DEADLINE: Duration = Duration::from_secs(60);
const IMMEDIATE_STOP_DEADLINE: Duration = Duration::from_secs(10);
const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);
const SHORTEST_POLL: Duration = Duration::from_millis(4);
const LONGEST_POLL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Postmaster {
    pub folder: Folder,
    pub account: Account,
    pub binaries: Binaries,
    pub settings: Vec<(String, String)>,
}

/// A server that accepts connections.
#[derive(Debug)]
pub struct Running {
    pub socket_dir: PathBuf,
    pub version: Version,
    /// Did we find it running?
    pub adopted: bool,
}

/// A server that we started and that does not answer yet.
struct Starting {
    child: Child,
    log: File,
    /// Where in the log its words begin, in bytes.
    log_from: u64,
}

impl Postmaster {
    pub async fn bring_up(&self) -> Result<Running, Error> {
        let cluster = self.folder.cluster();
        let begin = Instant::now();
        let mut poll = SHORTEST_POLL;
        let mut starting: Option<Starting> = None;
        let mut socket_dir = None;
        loop {
            if starting.is_none() {
                let recorded = PidFile::read(&cluster);
                if let Some(running) = recorded.as_ref().filter(|file| file.is_alive(&cluster)) {
                    socket_dir.clone_from(&running.socket_dir);
                    socket_dir.as_deref().map_or(Ok(()), |path| socket::verify(path, &self.account))?;
                } else if self.answers_unseen().await {
                    socket_dir = Some(self.folder.run());
                } else {
                    let path = recorded.as_ref().and_then(|file| file.socket_dir.as_deref());
                    let path = socket::for_new_server(&self.folder, &self.account, path)?;
                    remove_if_pid_was_reused(recorded, &cluster, &path);
                    starting = Some(self.spawn(&path)?);
                    socket_dir = Some(path);
                }
            }
            let refusal = match &socket_dir {
                None => Refusal { reason: "it has no socket yet".to_owned(), recovering: false },
                Some(path) => match ask_version(path).await {
                    Ok(version) => {
                        let adopted = starting.is_none();
                        if let Some(mut starting) = starting {
                            // Reaps it when it ends: as a zombie it would look alive to the next server.
                            tokio::spawn(async move { starting.child.wait().await });
                        }
                        return Ok(Running { socket_dir: path.clone(), version, adopted });
                    }
                    Err(refusal) => refusal,
                },
            };
            let ended = match &mut starting {
                Some(starting) => starting.child.try_wait().map_err(Error::file("cannot watch the server of", &cluster))?,
                None => None,
            };
            if let Some(status) = ended {
                let tail = starting.take().map(|starting| log::tail(&starting.log, starting.log_from)).unwrap_or_default();
                // The processes of a killed postmaster end within a second, and hold its memory until then.
                if !tail.contains("is still in use") || begin.elapsed() > START_DEADLINE {
                    return Err(Error::Ended { status: status.to_string(), log: self.folder.log(), tail });
                }
            }
            let deadline = if refusal.recovering { RECOVERY_DEADLINE } else { START_DEADLINE };
            if begin.elapsed() > deadline {
                let log = self.folder.open_file(&self.folder.log())?;
                let tail = log::tail(&log, 0);
                return Err(Error::StartTimeout {
                    seconds: deadline.as_secs(),
                    last: refusal.reason,
                    log: self.folder.log(),
                    tail,
                });
            }
            tokio::time::sleep(poll).await;
            poll = LONGEST_POLL.min(poll * 5 / 4);
        }
    }

    /// Is there a server whose process we cannot see? A second container on the same volume has process numbers of its
    /// own; a second server on the same files would destroy them.
    async fn answers_unseen(&self) -> bool {
        let run = self.folder.run();
        if socket::verify(&run, &self.account).is_err() {
            return false;
        }
        match ask_version(&run).await {
            Ok(_) => true,
            Err(refusal) => refusal.recovering,
        }
    }

    fn spawn(&self, socket_dir: &Path) -> Result<Starting, Error> {
        log::shorten(&self.folder)?;
        let path = self.folder.log();
        let log = self.folder.open_file(&path)?;
        let failed = || Error::file("cannot open", &path);
        let log_from = log.metadata().map_err(failed())?.len();
        let program = self.binaries.program("postgres");
        let mut command = self.account.command(&program);
        command.arg("-D").arg(self.folder.cluster());
        let socket_list = format!("\"{}\"", socket_dir.display());
        let port = socket::PORT.to_string();
        // Ours come last and win, also over ALTER SYSTEM: there is no way in that the folder's permissions do not guard.
        let needed = [
            ("listen_addresses", ""),
            ("unix_socket_directories", socket_list.as_str()),
            ("unix_socket_permissions", "0700"),
            ("port", port.as_str()),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
        ];
        let chosen = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in chosen.chain(needed) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let clone = || log.try_clone().map_err(failed());
        command.stdout(Stdio::from(clone()?)).stderr(Stdio::from(clone()?));
        // Ctrl-C goes to the terminal's foreground group: we hear it and stop the server in order, the server does not.
        command.process_group(0);
        let child = command.spawn().map_err(|source| Error::Run { program, source })?;
        Ok(Starting { child, log, log_from })
    }

    /// Stops the server if it runs.
    pub async fn stop(&self) -> Result<(), Error> {
        let cluster = self.folder.cluster();
        let Some(running) = PidFile::read(&cluster) else {
            return Ok(());
        };
        if !running.is_alive(&cluster) && self.answers_unseen().await {
            tracing::warn!("the Postgres server runs in another container, which has to stop it");
            return Ok(());
        }
        let attempts = [("INT", FAST_STOP_DEADLINE), ("QUIT", IMMEDIATE_STOP_DEADLINE)];
        for (signal, deadline) in attempts {
            if !running.is_alive(&cluster) {
                return Ok(());
            }
            self.signal(running.pid, signal).await?;
            let begin = Instant::now();
            while begin.elapsed() < deadline {
                // The server removes the file as its last act.
                let current = PidFile::read(&cluster);
                if current.is_none_or(|current| current.pid != running.pid) || !running.is_some_process() {
                    if let Some(path) = &running.socket_dir {
                        socket::remove_if_short(path);
                    }
                    return Ok(());
                }
                tokio::time::sleep(SHORTEST_POLL).await;
            }
            tracing::warn!(pid = running.pid, signal, "the Postgres server did not stop in time");
        }
        let seconds = (FAST_STOP_DEADLINE + IMMEDIATE_STOP_DEADLINE).as_secs();
        Err(Error::StopTimeout { pid: running.pid, seconds, log: self.folder.log() })
    }

    async fn signal(&self, pid: i32, signal: &str) -> Result<(), Error> {
        let program = self.binaries.program("pg_ctl");
        let mut command = self.account.command(&program);
        let run = command.args(["kill", signal, &pid.to_string()]).kill_on_drop(true).output();
        match tokio::time::timeout(SIGNAL_DEADLINE, run).await {
            // That it failed shows: the server does not stop. (It may just have ended by itself.)
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(Error::Run { program, source }),
            Err(elapsed) => Err(Error::Run { program, source: elapsed.into() }),
        }
    }
}

/// Why a server did not let us in.
struct Refusal {
    reason: String,
    recovering: bool,
}

pub fn admin(socket_dir: &Path) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket_dir).port(socket::PORT).user(initdb::SUPERUSER).dbname("postgres");
    config
}

async fn ask_version(socket_dir: &Path) -> Result<Version, Refusal> {
    let refusal = |reason: String| Refusal { reason, recovering: false };
    let config = admin(socket_dir);
    let ask = async {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let rows = client.simple_query("show server_version_num").await;
        drop(client);
        // Waits for the end, so that nothing of ours is left in the server when we say that it is up.
        let _ = connection.await;
        rows
    };
    match tokio::time::timeout(CONNECT_DEADLINE, ask).await {
        Err(_) => Err(refusal(format!("it took the connection but did not answer within {} s", CONNECT_DEADLINE.as_secs()))),
        Ok(Err(error)) => {
            let recovering = error.code() == Some(&SqlState::CANNOT_CONNECT_NOW);
            Err(Refusal {
                reason: error.as_db_error().map_or_else(|| format!("{error:?}"), |db| db.message().to_owned()),
                recovering,
            })
        }
        Ok(Ok(messages)) => messages
            .iter()
            .find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok().map(Version::from_number),
                _ => None,
            })
            .ok_or_else(|| refusal("it did not tell its version".to_owned())),
    }
}

/// `postmaster.pid`, as the server writes it.
#[derive(Debug)]
struct PidFile {
    pid: i32,
    socket_dir: Option<PathBuf>,
}

impl PidFile {
    fn read(cluster: &Path) -> Option<PidFile> {
        let text = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        // then: data directory, start time, port, socket folder
        let socket_dir = lines.nth(3).filter(|line| !line.is_empty()).map(PathBuf::from);
        Some(PidFile { pid, socket_dir })
    }

    /// Does this process exist, and is it the server of this cluster? After a crash or in a restarted container the
    /// number may be anybody's, and Postgres itself would then refuse to start.
    fn is_alive(&self, cluster: &Path) -> bool {
        if Path::new("/proc/self/cwd").symlink_metadata().is_ok() {
            // The server's working directory is its cluster. Not readable: another account's process, so not the server.
            let inode = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
            let cwd = inode(Path::new(&format!("/proc/{}/cwd", self.pid)));
            return matches!((cwd, inode(cluster)), (Ok(cwd), Ok(cluster)) if cwd == cluster);
        }
        let listed = std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p", &self.pid.to_string()]).output();
        match listed {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).contains(&*cluster.to_string_lossy())
            }
            Ok(_) | Err(_) => self.is_some_process(),
        }
    }

    fn is_some_process(&self) -> bool {
        kill(Pid::from_raw(self.pid), None) != Err(nix::errno::Errno::ESRCH)
    }
}

/// A file whose process number now belongs to something else stops Postgres, be it the cluster's or the socket's. So does one
/// whose process was just killed and is not reaped yet. Without the files it still sees processes of the earlier server: by
/// the shared memory, whose key comes from the folder's inode.
fn remove_if_pid_was_reused(recorded: Option<PidFile>, cluster: &Path, socket_dir: &Path) {
    if recorded.is_some_and(|file| file.is_some_process()) {
        let _ = std::fs::remove_file(cluster.join("postmaster.pid"));
        let _ = std::fs::remove_file(socket::lock_file(socket_dir));
    }
}
