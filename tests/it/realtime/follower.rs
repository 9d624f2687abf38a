//! A good client: it follows chats over one protocol, comes back by itself to another process, and goes on from what it has.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::line::{Heard, Line, Protocol, Since};
use crate::support::Person;

/// How often a socket is pinged, and after how long a silence another process is asked.
const PING_EVERY: Duration = Duration::from_secs(2);
const SOCKET_SILENCE: Duration = Duration::from_secs(5);
/// The same for a stream, which says every 15 s that it is there, and cannot be asked.
const STREAM_SILENCE: Duration = Duration::from_secs(20);
/// How long a client rests before it connects again.
const REST: Duration = Duration::from_millis(250);
/// How long a client may take, in all, to hear what it is to have heard at the end.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who was sent which message where: ids by chat.
pub type Stored = BTreeMap<Uuid, Vec<Uuid>>;

/// What a client has, and how it came to it.
pub struct Follower {
    pub name: String,
    person: Person,
    pub protocol: Protocol,
    /// The processes, in the order in which it asks them.
    urls: Vec<String>,
    since: Since,
    /// Messages by chat, in the order in which they came, and the rev of the last, where it was said.
    pub heard: BTreeMap<Uuid, (Vec<Uuid>, Option<i64>)>,
    had: HashSet<Uuid>,
    /// Codes with which sockets were closed.
    pub closes: BTreeMap<u16, usize>,
    pub again: usize,
    pub connects: usize,
    pub resyncs: usize,
    /// The longest time without a new message.
    pub silence: Duration,
    /// The longest time from when a message was written until it came.
    pub delay: time::Duration,
    last: Option<Instant>,
    ready: bool,
}

impl Follower {
    pub fn new(number: usize, person: &Person, protocol: Protocol, chats: &[Uuid], urls: &[String]) -> Self {
        let mut urls = urls.to_vec();
        let first = number % urls.len();
        urls.rotate_left(first);
        Self {
            name: format!("{} ({protocol:?}, {number})", person.name),
            person: person.clone(),
            protocol,
            urls,
            since: Since::now(chats),
            heard: chats.iter().map(|chat| (*chat, (Vec::new(), None))).collect(),
            had: HashSet::new(),
            closes: BTreeMap::new(),
            again: 0,
            connects: 0,
            resyncs: 0,
            silence: Duration::ZERO,
            delay: time::Duration::ZERO,
            last: None,
            ready: false,
        }
    }

    /// Follows until it has heard as many messages of each of its chats as were stored, once that is known.
    pub async fn follow(mut self, ready: watch::Sender<usize>, stored: watch::Receiver<Option<Stored>>) -> Self {
        let mut ends_at = None;
        loop {
            let person = self.person.at(&self.urls[0]);
            self.connects += 1;
            if let Ok(mut line) = Line::open(&person, self.protocol, &self.since).await {
                let (mut sign, mut pinged) = (Instant::now(), Instant::now());
                let patience = if self.protocol.is_socket() { SOCKET_SILENCE } else { STREAM_SILENCE };
                while sign.elapsed() < patience {
                    if let Some(stored) = &*stored.borrow() {
                        if self.has(stored) {
                            return self;
                        }
                        let ends_at = *ends_at.get_or_insert_with(|| Instant::now() + PATIENCE);
                        assert!(Instant::now() < ends_at, "{}", self.lacks(stored));
                    }
                    if pinged.elapsed() > PING_EVERY {
                        line.ping().await;
                        pinged = Instant::now();
                    }
                    let Ok(heard) = timeout(Duration::from_millis(500), line.next()).await else { continue };
                    sign = Instant::now();
                    match heard {
                        Heard::Sign => {}
                        Heard::End(code) => {
                            *self.closes.entry(code.unwrap_or(0)).or_default() += 1;
                            break;
                        }
                        Heard::Frame(frame, id) => {
                            if !self.take(&frame, id).await {
                                break;
                            }
                        }
                    }
                    if !self.ready && self.since.is_known(self.protocol) {
                        self.ready = true;
                        ready.send_modify(|count| *count += 1);
                    }
                }
            }
            self.urls.rotate_left(1);
            if let Some(stored) = &*stored.borrow() {
                let ends_at = *ends_at.get_or_insert_with(|| Instant::now() + PATIENCE);
                assert!(Instant::now() < ends_at, "{}", self.lacks(stored));
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Does what a frame says. False: the line is of no use.
    async fn take(&mut self, frame: &Value, id: Option<String>) -> bool {
        let chat: Option<Uuid> = frame["chatId"].as_str().and_then(|id| id.parse().ok());
        match frame["type"].as_str().unwrap_or_default() {
            "error" => return false,
            "message.created" => self.take_message(frame, chat.expect("of a chat")),
            "resync" => {
                if !self.list_anew(chat.expect("of a chat"), frame["payload"]["headRev"].as_i64()).await {
                    return false;
                }
                self.resyncs += 1;
            }
            "chat.deleted" => panic!("{}: {frame}", self.name),
            _ => {}
        }
        self.since.moves(self.protocol, frame, id);
        true
    }

    fn take_message(&mut self, frame: &Value, chat: Uuid) {
        let id = frame["payload"]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let heard = self.heard.get_mut(&chat).unwrap_or_else(|| panic!("{} hears of a chat of others: {frame}", self.name));
        let (heard, last) = heard;
        if !self.had.insert(id) {
            self.again += 1;
            return;
        }
        let rev = frame["rev"].as_i64();
        assert!(rev.is_none() || rev > *last, "{}: what comes late is what it had: {frame}", self.name);
        heard.push(id);
        *last = rev;
        let written = frame["payload"]["createdAt"].as_str().and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        self.delay = self.delay.max(OffsetDateTime::now_utc() - written.expect("a time"));
        if let Some(last) = self.last.replace(Instant::now()) {
            self.silence = self.silence.max(last.elapsed());
        }
    }

    /// Lists a chat, as `resync` asks for. False: it could not be listed.
    async fn list_anew(&mut self, chat: Uuid, head: Option<i64>) -> bool {
        let mut cursor = String::new();
        let mut listed = BTreeMap::new();
        loop {
            let path = format!("/chats/{chat}/messages?limit=100{cursor}");
            let request = self.person.at(&self.urls[0]).request(reqwest::Method::GET, &path).timeout(SOCKET_SILENCE);
            let Ok(answer) = request.send().await else { return false };
            let Ok(page) = answer.json::<Value>().await else { return false };
            let Some(messages) = page["data"].as_array() else { return false };
            for message in messages {
                let id = message["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
                listed.insert(message["rev"].as_i64().expect("a rev"), id);
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let (heard, last) = self.heard.get_mut(&chat).expect("one of its chats");
        let stored: HashSet<Uuid> = listed.values().copied().collect();
        assert!(heard.iter().all(|id| stored.contains(id)), "{}: what it had is stored", self.name);
        // what is listed beyond the head is told again, and what it had beyond it stays
        let upto = head.unwrap_or(i64::MAX).max(last.unwrap_or(0));
        let kept = listed.range(..=upto);
        *last = kept.clone().next_back().map(|(rev, _)| *rev);
        *heard = kept.map(|(_, id)| *id).collect();
        self.had.extend(heard.iter());
        true
    }

    fn has(&self, stored: &Stored) -> bool {
        self.heard.iter().all(|(chat, (heard, _))| heard.len() >= stored.get(chat).map_or(0, Vec::len))
    }

    fn lacks(&self, stored: &Stored) -> String {
        let lacking: Vec<String> = self
            .heard
            .iter()
            .filter_map(|(chat, (heard, _))| {
                let stored = stored.get(chat)?;
                let first = stored.iter().position(|id| !self.had.contains(id))?;
                Some(format!("{chat}: {} of {}, first without number {first}, since {:?}", heard.len(), stored.len(), self.since))
            })
            .collect();
        format!("{} never hears all after {} connections: {}", self.name, self.connects, lacking.join("; "))
    }

    /// Makes sure that it has each of what is stored once, and nothing else.
    pub fn must_have_exactly(&self, stored: &Stored) {
        for (chat, (heard, _)) in &self.heard {
            assert!(Some(heard) == stored.get(chat), "{} has other messages than are stored, or in another order", self.name);
        }
    }
}
