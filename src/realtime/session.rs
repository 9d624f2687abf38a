//! A session: what one connection listens to, and how far it has been told of each chat.
//!
//! Knows no protocol: what is to be told goes to a [`Sink`]. What was missed, because the connection is new, names a rev, or fell behind, is
//! read through the API, as the one who asks; then what the hub passes on takes over, from that rev on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use poem::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::batch::Seen;
use super::hub::{Hub, Listener, Signal};
use super::loopback::Loopback;
use crate::auth::Identity;

/// Chats that a session waits for at once: fewer than a queue holds signals.
const WAITING_MAX: usize = 64;
/// Chats that are listed at once.
const CHATS_AT_ONCE: u32 = 200;
/// Changes that are read at once.
const CHANGES_AT_ONCE: u32 = 500;
/// How often what was missed is tried to be read while the database is away, and how long between.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// What a connection is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// It listens to the chat from this rev on.
    Subscribed { chat: Uuid, head: i64, reference: Option<&'a str> },
    /// It does not: the API's problem document says why.
    Refused { chat: Uuid, problem: &'a Value, reference: Option<&'a str> },
    /// Something changed.
    Live(Seen<'a>),
    /// Something changed that it had missed: a change as the API writes it.
    Missed { chat: Uuid, change: &'a Value },
    /// What it has of the chat is to be forgotten, and to be listed anew.
    Anew { chat: Uuid, head: i64 },
    /// It does not read the chat any more.
    Gone { chat: Uuid },
    /// It came to this chat: as the API writes it.
    Entered { chat: Uuid, profile: &'a Value },
    /// All that was to be told is told: it may be sent.
    Flush,
}

/// The connection is no more.
#[derive(Debug)]
pub struct Hangup;

/// The API answered otherwise than hoped: its status, and its problem document.
#[derive(Debug)]
pub struct Unanswered(pub StatusCode, pub Value);

/// Where a session tells.
pub trait Sink {
    /// Tells; waits while the other side does not read, which is bounded.
    fn tell(&mut self, told: Told<'_>) -> impl Future<Output = Result<(), Hangup>> + Send;
}

/// How a session stands to a chat.
struct Place {
    /// It was asked for by name, and not with all chats.
    is_asked: bool,
    /// Up to which rev it was told.
    floor: i64,
    epoch: Option<String>,
    state: State,
}

enum State {
    /// It waits for the hub; then it goes on from this rev, if it names one.
    Waiting {
        since: Option<i64>,
        reference: Option<String>,
        why: Why,
    },
    Live,
}

/// Why it listens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Asked,
    /// With all its chats: who does not read one of them is not told so.
    Everywhere,
    /// It came to the chat just now.
    Arrived,
    /// It fell behind.
    Again {
        is_asked: bool,
    },
}

/// What one connection listens to.
pub struct Session {
    pub token: String,
    api: Loopback,
    listener: Listener,
    places: HashMap<Uuid, Place>,
    is_everywhere: bool,
    /// Chats that it is to listen to, when those that it waits for are there: more would fill the queue.
    backlog: VecDeque<(Uuid, Option<i64>, Why)>,
}

/// `GET /chats/{id}/changes`, with the changes as they are written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    data: Vec<Value>,
    next_since: i64,
    head_rev: i64,
    epoch: String,
    more: bool,
    reset: bool,
}

impl Session {
    /// A session that listens to nothing yet.
    pub fn new(hub: &Arc<Hub>, api: Loopback, identity: &Identity, token: String) -> Self {
        Self {
            token,
            api,
            listener: hub.connect(identity),
            places: HashMap::new(),
            is_everywhere: false,
            backlog: VecDeque::new(),
        }
    }

    /// The next signal of the hub: to be given to [`Session::take`].
    pub async fn next(&mut self) -> Signal {
        self.listener.next().await
    }

    /// Listens to a chat. False: they listen to as many as they may.
    pub fn subscribe(&mut self, chat: Uuid, since: Option<i64>, reference: Option<String>) -> bool {
        self.wait_for(chat, since, reference, Why::Asked)
    }

    fn wait_for(&mut self, chat: Uuid, since: Option<i64>, reference: Option<String>, why: Why) -> bool {
        if !self.listener.listen(chat) {
            return false;
        }
        let state = State::Waiting { since, reference, why };
        let is_asked = matches!(why, Why::Asked | Why::Again { is_asked: true });
        self.places.insert(chat, Place { is_asked, floor: since.unwrap_or(0), epoch: None, state });
        true
    }

    /// Listens to all chats, those that they come to as well. `chats` are those they are in, with the rev to go on from if there is one.
    pub fn subscribe_everywhere(&mut self, chats: impl IntoIterator<Item = (Uuid, Option<i64>)>) {
        self.backlog.extend(chats.into_iter().map(|(chat, since)| (chat, since, Why::Everywhere)));
        self.go_on();
    }

    /// Listens to more of the backlog, as far as there is room to wait.
    fn go_on(&mut self) {
        let mut waiting = self.places.values().filter(|place| !matches!(place.state, State::Live)).count();
        while waiting < WAITING_MAX
            && let Some((chat, since, why)) = self.backlog.pop_front()
        {
            if matches!(why, Why::Again { .. }) || !self.places.contains_key(&chat) {
                self.wait_for(chat, since, None, why);
                waiting += 1;
            }
        }
    }

    /// The chats they are in, at most so many, and where each stands; from now on they hear of those that they come to.
    ///
    /// # Errors
    /// What the API answered instead.
    pub async fn chats(&mut self, most: usize) -> Result<Vec<(Uuid, Option<i64>)>, Unanswered> {
        // before they are listed: who comes to one afterwards is told
        self.is_everywhere = true;
        self.listener.listen_everywhere();
        let mut known = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/chats?limit={CHATS_AT_ONCE}{cursor}");
            let (status, page) = self.api.ask(&self.token, Method::GET, &path, None).await;
            if !status.is_success() {
                return Err(Unanswered(status, page));
            }
            let id_and_head = |chat: &Value| Some((chat["id"].as_str()?.parse().ok()?, chat["headRev"].as_i64()));
            known.extend(page["data"].as_array().into_iter().flatten().filter_map(id_and_head));
            match page["nextCursor"].as_str() {
                Some(next) if known.len() < most => cursor = format!("&cursor={next}"),
                _ => return Ok(known),
            }
        }
    }

    /// Tells what happened in all of their chats since a position, and gives the one to go on from.
    ///
    /// # Errors
    /// What the API answered instead; nothing, when the connection is no more.
    pub async fn walk(&self, since: String, sink: &mut impl Sink) -> Result<String, Option<Unanswered>> {
        let id = |value: &Value| value.as_str().and_then(|id| id.parse().ok());
        let mut position = since;
        loop {
            let path = format!("/sync?limit={CHANGES_AT_ONCE}&since={position}");
            let (status, answer) = self.api.ask(&self.token, Method::GET, &path, None).await;
            if !status.is_success() {
                return Err(Some(Unanswered(status, answer)));
            }
            let list = |name: &str| answer[name].as_array().into_iter().flatten();
            for chat in list("left").filter_map(id) {
                sink.tell(Told::Gone { chat }).await.map_err(|Hangup| None)?;
            }
            for entered in list("entered") {
                if let Some(chat) = id(&entered["id"]) {
                    let head = entered["headRev"].as_i64().unwrap_or(0);
                    sink.tell(Told::Anew { chat, head }).await.map_err(|Hangup| None)?;
                }
            }
            for change in list("data") {
                if let Some(chat) = id(&change["chatId"]) {
                    sink.tell(Told::Missed { chat, change }).await.map_err(|Hangup| None)?;
                }
            }
            answer["position"].as_str().unwrap_or_default().clone_into(&mut position);
            if answer["more"] != true {
                return Ok(position);
            }
        }
    }

    /// Listens to a chat no more.
    pub fn unsubscribe(&mut self, chat: Uuid) {
        self.places.remove(&chat);
        self.listener.leave(chat);
    }

    /// Does what a signal says.
    ///
    /// # Errors
    /// When the connection is no more.
    pub async fn take(&mut self, signal: Signal, sink: &mut impl Sink) -> Result<(), Hangup> {
        if self.listener.is_behind() {
            // what waits is not all: the API has the rest
            for chat in self.listener.begin_anew() {
                let Some(place) = self.places.remove(&chat) else { continue };
                match place.state {
                    State::Live => self.backlog.push_back((chat, Some(place.floor), Why::Again { is_asked: place.is_asked })),
                    State::Waiting { since, reference, why: Why::Asked } => {
                        self.wait_for(chat, since, reference, Why::Asked);
                    }
                    State::Waiting { since, why, .. } => self.backlog.push_back((chat, since, why)),
                }
            }
            self.go_on();
            return Ok(());
        }
        match signal {
            Signal::Ready { chat, head } => {
                self.ready(chat, head, sink).await?;
                self.go_on();
            }
            Signal::Batch(batch, standing) => {
                let Some(place) = self.places.get_mut(&batch.chat) else { return Ok(()) };
                for seen in batch.seen(standing, place.floor) {
                    sink.tell(Told::Live(seen)).await?;
                }
                place.floor = place.floor.max(batch.upto);
            }
            Signal::Look { chat } => {
                if let Some(Place { floor, state: State::Live, .. }) = self.places.get(&chat) {
                    let floor = *floor;
                    self.catch_up(chat, floor, sink).await?;
                }
            }
            Signal::Gone { chat } => self.gone(chat, sink).await?,
            Signal::Anew { chat, head } => {
                if let Some(place) = self.places.get_mut(&chat) {
                    place.floor = head; // also a lower one: a restore took revs back
                    place.epoch = None;
                    sink.tell(Told::Anew { chat, head }).await?;
                }
            }
            Signal::Arrived { chat } => match self.places.get(&chat) {
                None if self.is_everywhere => {
                    // listed before, and perhaps left since: it is looked at when it is there
                    self.backlog.retain(|(listed, ..)| *listed != chat);
                    self.wait_for(chat, None, None, Why::Arrived);
                }
                // who left a public room may still read it, but it is not one of theirs
                Some(Place { is_asked: false, .. }) if !self.is_in(chat).await => self.gone(chat, sink).await?,
                _ => {}
            },
        }
        sink.tell(Told::Flush).await
    }

    async fn is_in(&self, chat: Uuid) -> bool {
        let (status, chat) = self.api.ask(&self.token, Method::GET, &format!("/chats/{chat}"), None).await;
        status.is_success() && chat["myRole"].is_string()
    }

    async fn gone(&mut self, chat: Uuid, sink: &mut impl Sink) -> Result<(), Hangup> {
        self.listener.leave(chat);
        if self.places.remove(&chat).is_some() {
            sink.tell(Told::Gone { chat }).await?;
        }
        Ok(())
    }

    async fn ready(&mut self, chat: Uuid, head: Option<i64>, sink: &mut impl Sink) -> Result<(), Hangup> {
        let Some(place) = self.places.get_mut(&chat) else { return Ok(()) };
        let State::Waiting { since, reference, why } = std::mem::replace(&mut place.state, State::Live) else { return Ok(()) };
        let Some(head) = head else {
            self.listener.leave(chat);
            self.places.remove(&chat);
            match why {
                Why::Asked => {
                    let (_, problem) = self.api.ask(&self.token, Method::GET, &format!("/chats/{chat}"), None).await;
                    sink.tell(Told::Refused { chat, problem: &problem, reference: reference.as_deref() }).await?;
                }
                Why::Again { .. } | Why::Everywhere => sink.tell(Told::Gone { chat }).await?,
                Why::Arrived => {}
            }
            return Ok(());
        };
        place.floor = since.unwrap_or(head);
        if why == Why::Asked {
            // where everybody looks for themselves, nobody else knows whether they read it
            let (status, problem) = self.api.ask(&self.token, Method::GET, &format!("/chats/{chat}"), None).await;
            if !status.is_success() {
                self.unsubscribe(chat);
                return sink.tell(Told::Refused { chat, problem: &problem, reference: reference.as_deref() }).await;
            }
        }
        match why {
            Why::Asked => sink.tell(Told::Subscribed { chat, head, reference: reference.as_deref() }).await?,
            Why::Arrived if !self.is_in(chat).await => {
                self.unsubscribe(chat);
                return Ok(());
            }
            Why::Arrived => {
                let (status, profile) = self.api.ask(&self.token, Method::GET, &format!("/chats/{chat}"), None).await;
                if status.is_success() {
                    sink.tell(Told::Entered { chat, profile: &profile }).await?;
                }
            }
            Why::Everywhere | Why::Again { .. } => {}
        }
        match since {
            Some(since) => self.catch_up(chat, since, sink).await,
            None => Ok(()),
        }
    }

    /// Tells what happened in a chat since a rev, as the API tells it to the one who asks.
    async fn catch_up(&mut self, chat: Uuid, since: i64, sink: &mut impl Sink) -> Result<(), Hangup> {
        let mut since = since;
        let mut tries = 0;
        loop {
            let epoch = self.places.get(&chat).and_then(|place| place.epoch.clone()).filter(|_| since > 0);
            let epoch = epoch.map_or_else(String::new, |epoch| format!("&epoch={epoch}"));
            let path = format!("/chats/{chat}/changes?since={since}&limit={CHANGES_AT_ONCE}{epoch}");
            let (status, text) = self.api.ask_text(&self.token, Method::GET, &path, None).await;
            if matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
                return self.gone(chat, sink).await;
            }
            let Some(changes) = serde_json::from_slice::<Changes>(&text).ok().filter(|_| status.is_success()) else {
                tries += 1;
                if tries > TRIES || !status.is_server_error() {
                    return Err(Hangup);
                }
                sleep(PAUSE).await;
                continue;
            };
            for change in &changes.data {
                sink.tell(Told::Missed { chat, change }).await?;
            }
            if changes.reset {
                sink.tell(Told::Anew { chat, head: changes.head_rev }).await?;
            }
            since = if changes.reset { changes.head_rev } else { changes.next_since };
            if let Some(place) = self.places.get_mut(&chat) {
                place.floor = since;
                place.epoch = Some(changes.epoch);
            }
            if !changes.more || changes.reset {
                return Ok(());
            }
        }
    }
}
