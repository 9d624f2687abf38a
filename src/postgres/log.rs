//! What the server says: `server.log`, and one older file. Together they stay below about twice `LOG_BYTES`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use super::error::Error;
use super::folder::Folder;

const LOG_BYTES: u64 = 8 * 1024 * 1024;
const LOG_CHECK_EVERY: Duration = Duration::from_secs(60);
const TAIL_LINES: usize = 15;
const TAIL_BYTES: u64 = 8 * 1024;

/// Copies a log that has grown too long aside and empties it. The server appends, so it goes on at the beginning.
pub fn shorten(folder: &Folder) -> Result<(), Error> {
    let path = folder.log();
    let failed = || Error::file("cannot shorten", &path);
    let mut log = folder.open_file(&path)?;
    // Several processes may use the server: one of them does it.
    if log.try_lock().is_err() || log.metadata().map_err(failed())?.len() <= LOG_BYTES {
        return Ok(());
    }
    let mut old = folder.open_file(&path.with_extension("log.old"))?;
    old.set_len(0).map_err(failed())?;
    std::io::copy(&mut log, &mut old).map_err(failed())?;
    log.set_len(0).map_err(failed())
}

/// Shortens the log now and then, for as long as the future is polled.
pub async fn keep_short(folder: Folder) {
    loop {
        tokio::time::sleep(LOG_CHECK_EVERY).await;
        if let Err(error) = shorten(&folder) {
            tracing::warn!(%error, "the log of the Postgres server keeps growing");
        }
    }
}

/// The last lines written since `from` (bytes), for an error message.
pub fn tail(mut log: &File, from: u64) -> String {
    let mut read = || -> std::io::Result<Vec<u8>> {
        let length = log.metadata()?.len();
        let from = if from > length { 0 } else { from };
        log.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
