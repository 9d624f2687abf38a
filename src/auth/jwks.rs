//! Where published keys come from: a URL or a file, read again when a token names a key we don't know, and from time to time.
//!
//! The threats: an attacker's tokens must not make us a hammer on the issuer ([`Pace`], one read at a time, whoever asks);
//! nor may one who hangs up in the middle waste the read that a real rotation waits for (reads are tasks of their own);
//! a key that the issuer has withdrawn must die here too (`fresh_for`, `believed_for`), while an issuer that is away for
//! an hour must not lock everybody out (until then the last keys stay).

use std::{error::Error, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Client, Url, redirect};
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::Instant,
};

use super::{
    KeysError, SetupError,
    keys::{KeySet, Origin},
};

/// Largest key set read, in bytes.
const JWKS_MAX_BYTES: usize = 1024 * 1024;
/// Longest that a fetch may take, from the name look-up to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Most requests that wait for a read at a time; the next is judged by the keys at hand.
const WAITING_MAX: usize = 256;

/// How often the keys are read, and how long they are believed.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Least time from one read to the next, whatever tokens say. A key published within it is found after it.
    pub between_reads: Duration,
    /// The same after a read that failed: an issuer that comes up is found sooner.
    pub after_failure: Duration,
    /// Older keys are read anew in the background.
    pub fresh_for: Duration,
    /// Older keys are not believed any more: that long an issuer may be away, and that long a withdrawn key lives at worst.
    pub believed_for: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between_reads: Duration::from_secs(10),
            after_failure: Duration::from_secs(2),
            fresh_for: Duration::from_secs(10 * 60),
            believed_for: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Source(Arc<Inner>);

struct Inner {
    place: Place,
    /// For people: without credentials and query.
    location: String,
    pace: Pace,
    keys: watch::Sender<Option<Loaded>>,
    gate: Arc<Mutex<Gate>>,
    waiting: Arc<Semaphore>,
}

enum Place {
    Url(Url, Client),
    File(PathBuf),
}

#[derive(Clone)]
struct Loaded {
    keys: Arc<KeySet>,
    at: Instant,
}

/// Held while reading.
struct Gate {
    not_before: Instant,
}

impl Gate {
    fn is_closed(&self) -> bool {
        Instant::now() < self.not_before
    }
}

impl Source {
    /// A URL that can't be reached is a warning, a file that can't be read an error.
    pub async fn open(jwks: &str, pace: Pace) -> Result<Self, SetupError> {
        let place = Place::find(jwks)?;
        let source = Self(Arc::new(Inner {
            place,
            location: shown(jwks),
            pace,
            keys: watch::Sender::new(None),
            gate: Arc::new(Mutex::new(Gate { not_before: Instant::now() })),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }));
        let read = source.probe().await;
        match (&source.0.place, read) {
            (Place::File(_), Err(error)) => Err(error.into()),
            (Place::File(_), Ok(keys)) if keys.usable() == 0 => Err(SetupError::JwksFileHasNoKeys(source.0.location.clone())),
            _ => Ok(source),
        }
    }

    pub fn location(&self) -> &str {
        &self.0.location
    }

    pub fn may_hold_secrets(&self) -> bool {
        self.0.place.origin() == Origin::Local
    }

    /// The keys to believe now, if any. Never waits.
    pub fn current(&self) -> Option<Arc<KeySet>> {
        let loaded = self.0.keys.borrow().clone()?;
        let age = loaded.at.elapsed();
        if age > self.0.pace.fresh_for {
            self.refresh_in_background();
        }
        (age <= self.0.pace.believed_for).then_some(loaded.keys)
    }

    /// Reads the keys if it is time, or waits for the read under way. Whether it went well, [`current`](Self::current) tells.
    pub async fn refresh(&self) {
        if self.0.gate.try_lock().is_ok_and(|gate| gate.is_closed()) {
            return;
        }
        let Ok(place_in_queue) = self.0.waiting.clone().try_acquire_owned() else {
            return;
        };
        let source = self.clone();
        let read = tokio::spawn(async move {
            let mut gate = source.0.gate.lock().await;
            if !gate.is_closed() {
                // The outcome is in `keys` and in the log.
                let _ = source.read(&mut gate).await;
            }
            drop(place_in_queue);
        });
        if read.await.is_err() {
            tracing::error!(location = self.0.location, "reading the published keys panicked");
        }
    }

    /// Reads the keys now, whatever the pace.
    pub async fn probe(&self) -> Result<Arc<KeySet>, KeysError> {
        let mut gate = self.0.gate.lock().await;
        self.read(&mut gate).await
    }

    fn refresh_in_background(&self) {
        if let Ok(mut gate) = self.0.gate.clone().try_lock_owned()
            && !gate.is_closed()
        {
            let source = self.clone();
            tokio::spawn(async move { drop(source.read(&mut gate).await) });
        }
    }

    async fn read(&self, gate: &mut Gate) -> Result<Arc<KeySet>, KeysError> {
        let Inner { place, location, pace, keys, .. } = &*self.0;
        // Before the read, so that one that panics counts too.
        gate.not_before = Instant::now() + pace.between_reads;
        let read = place.read(location).await.and_then(|json| {
            KeySet::parse(&json, place.origin()).map_err(|reason| KeysError::NotAKeySet { location: location.clone(), reason })
        });
        match read {
            Ok(set) => {
                gate.not_before = Instant::now() + pace.between_reads;
                let (usable, ignored) = (set.usable(), set.ignored());
                if usable == 0 {
                    tracing::warn!(location, ignored, "no published key can verify a token");
                } else {
                    tracing::info!(location, usable, ignored, "read the published keys");
                }
                let set = Arc::new(set);
                keys.send_replace(Some(Loaded { keys: set.clone(), at: Instant::now() }));
                Ok(set)
            }
            Err(error) => {
                gate.not_before = Instant::now() + pace.after_failure;
                tracing::warn!(%error, "the published keys can't be read; the last ones stay for now");
                Err(error)
            }
        }
    }
}

impl Place {
    fn find(jwks: &str) -> Result<Self, SetupError> {
        if jwks.trim_start().starts_with('{') {
            return Err(SetupError::JwksIsInline);
        }
        if !jwks.contains("://") {
            return Ok(Place::File(PathBuf::from(jwks)));
        }
        let url = Url::parse(jwks).map_err(|_| SetupError::JwksUrlIsWrong)?;
        let client = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none())
            // One fetch in ten minutes: a kept connection would only be found dead.
            .pool_max_idle_per_host(0);
        let client = match url.scheme() {
            "https" => client,
            // A proxy is another machine.
            "http" if is_loopback(&url) => client.no_proxy(),
            _ => return Err(SetupError::JwksUrlIsNotHttps(shown(jwks))),
        };
        let client = client.build().map_err(|error| SetupError::HttpClient(reasons(&error)))?;
        Ok(Place::Url(url, client))
    }

    fn origin(&self) -> Origin {
        match self {
            Place::Url(..) => Origin::Published,
            Place::File(_) => Origin::Local,
        }
    }

    async fn read(&self, location: &str) -> Result<Vec<u8>, KeysError> {
        let location = location.to_owned();
        match self {
            Place::Url(url, client) => fetch(url, client, location).await,
            Place::File(path) => {
                let path = path.clone();
                let file = tokio::task::spawn_blocking(move || read_file(&path)).await;
                let json = match file {
                    Ok(Ok(json)) => json,
                    Ok(Err(error)) => {
                        return Err(KeysError::Unreadable { location, reason: error.to_string() });
                    }
                    Err(error) => {
                        return Err(KeysError::Unreadable { location, reason: error.to_string() });
                    }
                };
                if json.len() > JWKS_MAX_BYTES {
                    return Err(KeysError::TooLarge { location, limit: JWKS_MAX_BYTES });
                }
                Ok(json)
            }
        }
    }
}

async fn fetch(url: &Url, client: &Client, location: String) -> Result<Vec<u8>, KeysError> {
    let unreadable =
        |error: reqwest::Error| KeysError::Unreadable { location: location.clone(), reason: reasons(&error.without_url()) };
    let mut answer = client.get(url.clone()).send().await.map_err(unreadable)?;
    // Redirects too: they could lead to http, or into the network behind us.
    if answer.status() != reqwest::StatusCode::OK {
        return Err(KeysError::Refused { location, status: answer.status().as_u16() });
    }
    let mut json = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreadable)? {
        if json.len() + chunk.len() > JWKS_MAX_BYTES {
            return Err(KeysError::TooLarge { location, limit: JWKS_MAX_BYTES });
        }
        json.extend_from_slice(&chunk);
    }
    Ok(json)
}

/// At most one byte more than allowed. A pipe or device would block for ever.
fn read_file(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut json = Vec::new();
    std::fs::File::open(path)?.take(JWKS_MAX_BYTES as u64 + 1).read_to_end(&mut json)?;
    Ok(json)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The location as people may see it: user, password and query of a URL can be credentials.
pub(super) fn shown(jwks: &str) -> String {
    if jwks.trim_start().starts_with('{') {
        return "[inline]".to_owned();
    }
    if !jwks.contains("://") {
        return jwks.to_owned();
    }
    match Url::parse(jwks) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
        }
        Err(_) => "[not a URL]".to_owned(),
    }
}

/// An error with its causes: reqwest's own sentence says only that sending failed.
fn reasons(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
