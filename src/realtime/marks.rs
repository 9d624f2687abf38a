//! Marks: from where on clients go on that come back, of protocols that have no place for it; kept by the database, so that any process knows.
//!
//! A mark is a text of the adapter's own. It says where to begin to read and lets nobody read anything. An older one is as good, and tells some
//! of it twice: so those that follow the first are gathered for a moment before they are written down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, RwLock};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::{Identity, Role};
use crate::db::{Db, DbError};
use crate::params;

/// How often the mark of a client is written down anew that is there and is told nothing: the database forgets what is not for a day.
pub const RENEW_EVERY: Duration = Duration::from_secs(3_600);
/// The longest id by which a client is known again, in characters: as rule resumes.2.
pub const RESUME_ID_MAX: usize = 128;
/// How long marks are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// How long the task rests after a statement that failed.
const REST: Duration = Duration::from_secs(1);
/// What waits to be written down at most, in bytes: of what is beyond the mark before it holds.
const WAITING_MAX: usize = 64 << 20;
/// Marks that one statement writes down, and bytes of them.
const MARKS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;
/// What a mark holds in memory beside its texts, in bytes: about.
const WEIGHT: usize = 200;

const FIND: &str = "select chat.find_resume($1, $2, $3) as mark";

const KEEP: &str = "select chat.keep_resumes($1, $2, $3, $4)";

/// Whose a mark is: a person's, the host application's, or nobody's, whose ids strangers choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Whose(Uuid);

impl From<&Identity> for Whose {
    fn from(identity: &Identity) -> Self {
        match identity.role {
            Role::Anon => Self(Uuid::nil()),
            Role::Authenticated => Self(identity.subject.unwrap_or_default()),
            Role::ServiceRole => Self(Uuid::max()),
        }
    }
}

/// Whose mark it is, their client's id, and of what.
type Name = (Whose, String, String);

/// Where clients' marks are. Cheap to clone.
#[derive(Clone)]
pub struct Marks(Arc<Inner>);

struct Inner {
    db: Db,
    waiting: Mutex<Waiting>,
    news: Notify,
    /// Held by who writes down what was gathered, and shared by those who write one: what is gathered is never written after what was written
    /// meanwhile.
    gathered: RwLock<()>,
}

#[derive(Default)]
struct Waiting {
    marks: HashMap<Name, String>,
    bytes: usize,
}

/// Clients choose their ids: what Postgres takes for no text must not keep the others' from being written down.
fn name(whose: Whose, resume: &str, topic: &str) -> Name {
    let text = |text: &str| text.replace('\0', "\u{fffd}");
    (whose, text(resume), text(topic))
}

fn weight((_, resume, topic): &Name, mark: &str) -> usize {
    WEIGHT + resume.len() + topic.len() + mark.len()
}

impl Waiting {
    /// False: there is no room.
    fn put(&mut self, name: Name, mark: String) -> bool {
        self.remove(&name);
        let bytes = self.bytes + weight(&name, &mark);
        let has_room = bytes <= WAITING_MAX;
        if has_room {
            self.bytes = bytes;
            self.marks.insert(name, mark);
        }
        has_room
    }

    fn remove(&mut self, name: &Name) -> Option<String> {
        let mark = self.marks.remove(name)?;
        self.bytes -= weight(name, &mark);
        Some(mark)
    }

    fn take_some(&mut self) -> Vec<(Name, String)> {
        let mut bytes = 0;
        let names: Vec<Name> = self.marks.keys().take(MARKS_AT_ONCE).cloned().collect();
        let mut some = Vec::new();
        for name in names {
            let Some(mark) = self.remove(&name) else { continue };
            bytes += weight(&name, &mark);
            some.push((name, mark));
            if bytes > BYTES_AT_ONCE {
                break;
            }
        }
        some
    }

    /// What was not written down, unless there is a later one.
    fn put_back(&mut self, marks: Vec<(Name, String)>) {
        for (name, mark) in marks {
            if !self.marks.contains_key(&name) {
                self.put(name, mark);
            }
        }
    }
}

impl Marks {
    /// Those that a database keeps, over a pool of the relay's.
    pub fn new(db: Db) -> Self {
        Self(Arc::new(Inner { db, waiting: Mutex::default(), news: Notify::new(), gathered: RwLock::default() }))
    }

    /// From where on somebody's client goes on with a topic. None: nobody knows.
    ///
    /// # Errors
    /// When the database gives no answer: then it is not to begin as if nothing had been missed.
    pub async fn find(&self, whose: Whose, resume: &str, topic: &str) -> Result<Option<String>, DbError> {
        let name = name(whose, resume, topic);
        if let Some(mark) = self.waiting().marks.get(&name).cloned() {
            return Ok(Some(mark));
        }
        let (Whose(user), resume, topic) = name;
        let rows = self.0.db.read_as_relay(FIND, params![user, resume, topic]).await?;
        Ok(rows.first().and_then(|row| row.get("mark")))
    }

    /// Writes down from where on it is told, before it is told that it listens, or of what it may have heard when it comes back.
    ///
    /// # Errors
    /// When the database gives no answer: then it could not come back.
    pub async fn begin(&self, whose: Whose, resume: &str, topic: &str, mark: String) -> Result<(), DbError> {
        let name = name(whose, resume, topic);
        let _alone = self.0.gathered.read().await;
        self.waiting().remove(&name);
        self.write(&[(name, mark)]).await
    }

    /// It goes on from here: written down within a second.
    pub fn keep(&self, whose: Whose, resume: &str, topic: &str, mark: String) {
        if self.waiting().put(name(whose, resume, topic), mark) {
            self.0.news.notify_one();
        }
    }

    /// Writes down all that waits.
    pub async fn flush(&self) {
        loop {
            let _alone = self.0.gathered.write().await;
            let some = self.waiting().take_some();
            if some.is_empty() || !self.write_or_put_back(some).await {
                return;
            }
        }
    }

    async fn write_or_put_back(&self, some: Vec<(Name, String)>) -> bool {
        let Err(error) = self.write(&some).await else { return true };
        match error {
            DbError::Away(_) => tracing::debug!("the database is away; marks are written down later"),
            other => tracing::error!(code = other.sqlstate(), "marks could not be written down"),
        }
        self.waiting().put_back(some);
        false
    }

    async fn write(&self, marks: &[(Name, String)]) -> Result<(), DbError> {
        let users: Vec<Uuid> = marks.iter().map(|((Whose(user), _, _), _)| *user).collect();
        let resumes: Vec<String> = marks.iter().map(|((_, resume, _), _)| resume.clone()).collect();
        let topics: Vec<String> = marks.iter().map(|((_, _, topic), _)| topic.clone()).collect();
        let texts: Vec<String> = marks.iter().map(|(_, mark)| mark.clone()).collect();
        self.0.db.write_as_relay(KEEP, params![users, resumes, topics, texts]).await.map(drop)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what is kept, until it is told to stop, and then what is left.
pub async fn write(marks: Marks, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return marks.flush().await,
            () = marks.0.news.notified() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return marks.flush().await,
            () = sleep(GATHER) => {}
        }
        marks.flush().await;
        if !marks.waiting().marks.is_empty() {
            sleep(REST).await;
            marks.0.news.notify_one();
        }
    }
}
