//! Who uses a cluster: two lock files, so that the last one to leave stops the server and nobody else does.
//!
//! * `start.lock`, exclusive: held while the server is being made, started, adopted or stopped.
//! * `users.lock`, shared: held by each process for as long as it uses the server.
//!
//! **Invariant**: `users.lock` changes hands only under `start.lock`. So when two leave at once, the first sees the second
//! and lets go, and the second finds itself alone; and who arrives while the last one leaves waits until the server is down.
//!
//! The kernel drops the locks of a process that is killed. They belong to the open file, so a child that inherited it
//! would keep them: std opens with O_CLOEXEC, and `release` unlocks by name (closing would leave the lock to a
//! child that another thread has forked and that has not reached its exec).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::Error;

/// Longer than a start may take (`postmaster::RECOVERY_DEADLINE`): the holder may be replaying the log after a crash.
const LOCK_DEADLINE: Duration = Duration::from_secs(15 * 60);
const LOCK_POLL: Duration = Duration::from_millis(5);
/// Whoever waits longer than this is told why.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits until nobody else holds it.
    pub async fn exclusive(file: File, path: &Path) -> Result<Lock, Error> {
        Lock::wait(file, path, File::try_lock).await
    }

    /// Waits until nobody holds it exclusively.
    pub async fn shared(file: File, path: &Path) -> Result<Lock, Error> {
        Lock::wait(file, path, File::try_lock_shared).await
    }

    /// Polls instead of blocking: a blocked flock would pin a thread and could not have a deadline.
    async fn wait(file: File, path: &Path, attempt: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Lock, Error> {
        let begin = Instant::now();
        let mut told = false;
        loop {
            match attempt(&file) {
                Ok(()) => {
                    return Ok(Lock { file, path: path.to_owned() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(Error::file("cannot lock", path)(source));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if begin.elapsed() > LOCK_DEADLINE {
                return Err(Error::Busy { path: path.to_owned(), seconds: LOCK_DEADLINE.as_secs() });
            }
            if !told && begin.elapsed() > LOCK_PATIENCE {
                told = true;
                tracing::info!(lock = %path.display(), "waiting for another process that is starting or stopping this server");
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Gives up a shared hold and says whether nobody else has one. Call it under `start.lock` only.
    pub fn release_and_see_if_alone(&self) -> Result<bool, Error> {
        self.file.unlock().map_err(Error::file("cannot unlock", &self.path))?;
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(Error::file("cannot lock", &self.path)(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file unlocks as well, unless a child is between fork and exec.
        let _ = self.file.unlock();
    }
}
