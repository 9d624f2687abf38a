//! A session: what one connection listens to, and how far it has been told of each chat.
//!
//! Knows no protocol: what is to be told goes to a [`Sink`]. What was missed, because the connection is new, names a rev, or fell behind, is
//! read through the API ([`catch_up`]), as the one who asks; then what the hub passes on takes over, from that rev on.

mod catch_up;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use poem::http::Method;
use serde_json::Value;
use uuid::Uuid;

use super::asides::{Aside, What};
use super::batch::Seen;
use super::hub::{CHATS_OF_ONE_MAX, Heard, Hub, Listener, Ready, Signal};
use super::loopback::{Loopback, Unanswered};
use crate::api::shapes::change::Change;
use crate::auth::Identity;
use crate::wire::Position;

/// Chats that a session waits for at once: fewer than a line holds signals.
const WAITING_MAX: usize = 64;
/// Signals that are heeded before what they say is sent.
const TOGETHER_MAX: u32 = 64;
/// How long the other side of a connection may take to read what it is sent.
pub const SEND_WAIT: Duration = Duration::from_secs(30);

/// What a connection is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// It listens to the chat from this rev on, in this life of the database.
    Subscribed { chat: Uuid, head: i64, epoch: &'a str, reference: Option<&'a str> },
    /// It does not: the API's problem document says why.
    Refused { chat: Uuid, problem: &'a Value, reference: Option<&'a str> },
    /// Something changed.
    Live(Seen<'a>),
    /// Something changed that it had missed.
    Missed { chat: Uuid, change: &'a Change },
    /// What it has of the chat is to be forgotten, and to be listed anew.
    Anew { chat: Uuid, head: i64, epoch: &'a str },
    /// What it has of all chats is.
    AllAnew,
    /// It does not read the chat any more.
    Gone { chat: Uuid },
    /// It came to this chat, which is as the API writes it, and listens to it from this rev on.
    Entered { chat: Uuid, head: i64, profile: &'a Value },
    /// Something changed about this chat, or about any: who lists rooms is to look.
    Listed { chat: Option<Uuid> },
    /// Something that stands in no log.
    Aside(&'a Aside),
    /// All that was to be told is told: it may be sent.
    Flush,
}

/// Why a session ends.
#[derive(Debug)]
pub enum Ended {
    /// The connection is no more, or does not read what it is sent.
    Hangup,
    /// The API did not answer, or not as hoped.
    Unanswered(Unanswered),
}

impl From<Unanswered> for Ended {
    fn from(unanswered: Unanswered) -> Self {
        Self::Unanswered(unanswered)
    }
}

/// Where a session tells.
pub trait Sink {
    /// Tells; waits while the other side does not read, which is bounded.
    fn tell(&mut self, told: Told<'_>) -> impl Future<Output = Result<(), Ended>> + Send;
}

/// From where on a client wants to be told of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    pub rev: i64,
    /// The life of the database that the rev is of, if the client says so.
    pub epoch: Option<Arc<str>>,
}

/// A chat that is to be listened to.
struct Wanted {
    chat: Uuid,
    since: Option<Since>,
    why: Why,
    reference: Option<String>,
}

/// Why it is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It was asked for by name.
    Asked,
    /// With all its chats: who does not read one of them is not told why.
    Everywhere,
    /// It came to the chat just now.
    Arrived,
    /// It fell behind.
    Again { is_asked: bool },
}

/// How a session stands to a chat.
struct Place {
    ear: u32,
    /// It was asked for by name, and not with all chats.
    is_asked: bool,
    /// Up to which rev it was told, in which life of the database and, once it was read through the API, as whom.
    floor: i64,
    epoch: Arc<str>,
    /// What is to be done when the hub is ready.
    waiting: Option<Box<Wanted>>,
}

/// What one connection listens to.
pub struct Session {
    pub token: String,
    /// Its client cannot list a chat anew: when it is told to, what changed is told nevertheless.
    pub keeps_place: bool,
    hub: Arc<Hub>,
    api: Loopback,
    listener: Listener,
    places: HashMap<Uuid, Place>,
    /// Chats that it was told to be gone last: once is enough.
    gone: HashSet<Uuid>,
    waiting: usize,
    /// Chats that it is to listen to, when those that it waits for are there: more would fill the line.
    backlog: VecDeque<Wanted>,
}

impl Session {
    /// A session that listens to nothing yet.
    pub fn new(hub: &Arc<Hub>, api: Loopback, identity: &Identity, token: String) -> Self {
        let listener = hub.connect(identity);
        let (places, gone, backlog) = (HashMap::new(), HashSet::new(), VecDeque::new());
        Self { token, keeps_place: false, hub: Arc::clone(hub), api, listener, places, gone, waiting: 0, backlog }
    }

    /// The next signal of the hub: to be given to [`Session::take`].
    pub async fn next(&self) -> Signal {
        self.listener.next().await
    }

    /// Asks the API as the one who listens.
    ///
    /// # Errors
    /// With what it answered, if that is not a success.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Unanswered> {
        self.api.ask(&self.token, method, path, body).await
    }

    /// The chat, as the API shows it.
    ///
    /// # Errors
    /// With what it answered instead.
    pub async fn chat(&self, chat: Uuid) -> Result<Value, Unanswered> {
        self.ask_again(&format!("/chats/{chat}")).await
    }

    /// Listens to a chat. False: they listen to as many as they may.
    pub fn subscribe(&mut self, chat: Uuid, since: Option<Since>, reference: Option<String>) -> bool {
        self.want(Wanted { chat, since, why: Why::Asked, reference })
    }

    /// Listens to all chats, those that they come to as well, and tells what happened since a position. Gives the one to go on from.
    ///
    /// # Errors
    /// When the API did not answer, or the connection is no more.
    pub async fn subscribe_all(&mut self, since: Option<String>, sink: &mut impl Sink) -> Result<String, Ended> {
        if since.as_ref().is_some_and(|since| since.parse::<Position>().is_err()) {
            return Err(Ended::Unanswered(Unanswered::malformed("since is a position that was given")));
        }
        // before they are listed: who comes to one afterwards is told
        self.listener.listen_everywhere();
        let (epoch, begun) = self.hub.position();
        let known = self.chats().await?;
        let position = match since {
            Some(since) => self.walk(since, sink).await?,
            None => begun,
        };
        self.gone.clear();
        // they may have asked before
        self.backlog.retain(|wanted| wanted.why != Why::Everywhere);
        // the list was read before the walk: what happened since is told again rather than missed
        for (chat, head) in known {
            let since = Some(Since { rev: head, epoch: Some(Arc::clone(&epoch)) });
            self.backlog.push_back(Wanted { chat, since, why: Why::Everywhere, reference: None });
        }
        self.go_on();
        Ok(position)
    }

    /// Is told which chats changed, whoever is in them: [`Told::Listed`].
    pub fn list_rooms(&mut self) {
        self.listener.list_rooms();
    }

    /// Listens to a chat no more.
    pub fn unsubscribe(&mut self, chat: Uuid) {
        self.forget(chat);
        self.backlog.retain(|wanted| wanted.chat != chat);
    }

    fn want(&mut self, wanted: Wanted) -> bool {
        let chat = wanted.chat;
        let Some(ear) = self.listener.listen(chat) else { return false };
        self.forget_place(chat);
        let is_asked = matches!(wanted.why, Why::Asked | Why::Again { is_asked: true });
        self.waiting += 1;
        self.places.insert(chat, Place { ear, is_asked, floor: 0, epoch: Arc::default(), waiting: Some(Box::new(wanted)) });
        true
    }

    /// Listens to more of the backlog, as far as there is room to wait.
    fn go_on(&mut self) {
        while self.waiting < WAITING_MAX
            && let Some(wanted) = self.backlog.pop_front()
        {
            // beyond what one connection may listen to, the rest is not listened to
            if !self.places.contains_key(&wanted.chat) && !self.want(wanted) {
                self.backlog.clear();
            }
        }
    }

    fn forget(&mut self, chat: Uuid) {
        self.listener.leave(chat);
        self.forget_place(chat);
    }

    fn forget_place(&mut self, chat: Uuid) {
        let place = self.places.remove(&chat);
        self.waiting -= usize::from(place.is_some_and(|place| place.waiting.is_some()));
    }

    /// Does what a signal says.
    ///
    /// # Errors
    /// When the API did not answer, or the connection is no more.
    pub async fn take(&mut self, signal: Signal, sink: &mut impl Sink) -> Result<(), Ended> {
        self.heed(signal, sink).await?;
        // what waits besides is sent with it
        for _ in 1..TOGETHER_MAX {
            let Some(signal) = self.listener.waits() else { break };
            self.heed(signal, sink).await?;
        }
        sink.tell(Told::Flush).await
    }

    async fn heed(&mut self, signal: Signal, sink: &mut impl Sink) -> Result<(), Ended> {
        match signal {
            Signal::Behind => {
                self.begin_anew().await?;
                if self.listener.is_listing() {
                    sink.tell(Told::Listed { chat: None }).await?;
                }
            }
            Signal::Arrived { chat } => self.arrive(chat),
            Signal::Listed { chat } => sink.tell(Told::Listed { chat }).await?,
            // by a chat that they listened to until just now: not any more
            Signal::Aside(_, by) if self.places.get(&by).is_none_or(|place| place.waiting.is_some()) => {}
            Signal::Aside(aside, _) => sink.tell(Told::Aside(&aside)).await?,
            Signal::Heard { chat, ear, what } => {
                // what was sent to an ear of before is not meant any more
                if self.places.get(&chat).is_some_and(|place| place.ear == ear) {
                    self.hear(chat, what, sink).await?;
                }
            }
        }
        Ok(())
    }

    /// What waited is not all: the API has the rest.
    async fn begin_anew(&mut self) -> Result<(), Ended> {
        let mut arrivals = self.listener.begin_anew();
        self.waiting = 0;
        for (chat, place) in std::mem::take(&mut self.places) {
            let wanted = if let Some(wanted) = place.waiting {
                *wanted
            } else {
                let since = Some(Since { rev: place.floor, epoch: Some(place.epoch) });
                Wanted { chat, since, why: Why::Again { is_asked: place.is_asked }, reference: None }
            };
            // who waits for an answer gets it before the others
            if wanted.why == Why::Asked { self.backlog.push_front(wanted) } else { self.backlog.push_back(wanted) }
        }
        self.go_on();
        // in another life of the database there may be chats that nobody came to
        if self.listener.is_everywhere() {
            arrivals.extend(self.chats().await?.into_iter().map(|(chat, _)| chat));
        }
        for chat in arrivals {
            self.arrive(chat);
        }
        Ok(())
    }

    fn arrive(&mut self, chat: Uuid) {
        // that their part in a chat changed which they listen to, or are about to, they hear by that chat
        if !self.places.contains_key(&chat) && !self.backlog.iter().any(|wanted| wanted.chat == chat) {
            self.backlog.push_front(Wanted { chat, since: None, why: Why::Arrived, reference: None });
            self.go_on();
        }
    }

    async fn hear(&mut self, chat: Uuid, what: Heard, sink: &mut impl Sink) -> Result<(), Ended> {
        let Some(place) = self.places.get_mut(&chat) else { return Ok(()) };
        match what {
            Heard::Ready(ready) => {
                let Some(wanted) = place.waiting.take() else { return Ok(()) };
                self.waiting -= 1;
                self.ready(*wanted, ready, sink).await?;
                self.go_on();
                Ok(())
            }
            Heard::Batch(batch, standing) => {
                for seen in batch.seen(standing, place.floor) {
                    sink.tell(Told::Live(seen)).await?;
                }
                place.floor = place.floor.max(batch.upto);
                Ok(())
            }
            Heard::Look => self.catch_up(chat, sink).await,
            Heard::Gone => self.gone(chat, sink).await,
            // who left a public room may still read it, but it is not one of theirs
            Heard::Anew { is_in: false, .. } if !place.is_asked => self.gone(chat, sink).await,
            Heard::Anew { head, .. } => {
                // also a lower one: what stands in the database is what holds
                place.floor = if self.keeps_place { place.floor.min(head) } else { head };
                place.epoch = db_epoch(&place.epoch).into();
                sink.tell(Told::Anew { chat, head, epoch: &place.epoch }).await
            }
        }
    }

    async fn gone(&mut self, chat: Uuid, sink: &mut impl Sink) -> Result<(), Ended> {
        self.forget(chat);
        if self.gone.len() >= CHATS_OF_ONE_MAX {
            self.gone.clear();
        }
        if self.gone.insert(chat) { sink.tell(Told::Gone { chat }).await } else { Ok(()) }
    }

    /// The hub is ready to tell of a chat, or says that they do not read it.
    async fn ready(&mut self, wanted: Wanted, ready: Option<Ready>, sink: &mut impl Sink) -> Result<(), Ended> {
        let Wanted { chat, since, why, reference } = wanted;
        let reference = reference.as_deref();
        let is_asked = matches!(why, Why::Asked | Why::Again { is_asked: true });
        let Some(ready) = ready.filter(|ready| is_asked || ready.is_in) else {
            if why != Why::Asked {
                return self.gone(chat, sink).await;
            }
            if let Err(Unanswered { problem, .. }) = self.chat(chat).await {
                self.forget(chat);
                return sink.tell(Told::Refused { chat, problem: &problem, reference }).await;
            }
            // they came to it just now
            self.want(Wanted { chat, since, why, reference: reference.map(str::to_owned) });
            return Ok(());
        };
        if let Some(place) = self.places.get_mut(&chat) {
            place.floor = since.as_ref().map_or(ready.head, |since| since.rev);
            place.epoch = since.as_ref().and_then(|since| since.epoch.clone()).unwrap_or_else(|| Arc::clone(&ready.epoch));
        }
        self.gone.remove(&chat);
        match why {
            // where everybody looks for themselves, nobody else knows whether they read it
            Why::Asked
                if ready.is_strict
                    && let Err(Unanswered { problem, .. }) = self.chat(chat).await =>
            {
                self.forget(chat);
                return sink.tell(Told::Refused { chat, problem: &problem, reference }).await;
            }
            Why::Asked => sink.tell(Told::Subscribed { chat, head: ready.head, epoch: &ready.epoch, reference }).await?,
            Why::Arrived => match self.chat(chat).await {
                Ok(profile) => sink.tell(Told::Entered { chat, head: ready.head, profile: &profile }).await?,
                Err(refusal) if refusal.is_refusal() => return self.gone(chat, sink).await,
                Err(unanswered) => return Err(Ended::Unanswered(unanswered)),
            },
            // what was told meanwhile of what people say of themselves they did not hear
            Why::Again { .. } => sink.tell(Told::Aside(&Aside::new(Some(chat), What::TrackedAnew))).await?,
            Why::Everywhere => {}
        }
        // who has all up to the head, of this life, has missed nothing: whatever changes who reads what has a rev
        let has_all = since.is_none_or(|since| since.rev == ready.head && since.epoch.is_none_or(|epoch| epoch == ready.epoch));
        if has_all && !ready.is_strict { Ok(()) } else { self.catch_up(chat, sink).await }
    }
}

/// The life of the database that an epoch of the API's names, without the caller's part in the chat.
fn db_epoch(epoch: &str) -> &str {
    epoch.split_once('.').map_or(epoch, |(life, _)| life)
}
