//! Pusher Channels, protocol 7: stock clients (pusher-js 8), unmodified.
//!
//! ```text
//! GET /app/{key}?protocol=7 ─► pusher:connection_established { socket_id, activity_timeout }
//!   pusher:subscribe { channel, auth } ─► pusher_internal:subscription_succeeded | pusher:subscription_error
//!   pusher:signin { auth } ─► pusher:signin_success      pusher:unsubscribe { channel }
//!   pusher:ping ─► pusher:pong, both ways                client-* on private- and presence- channels
//! POST /pusher/auth, /pusher/user-auth: the token in the header becomes a pass, which is `auth`
//! ```
//!
//! Frames are JSON texts `{ event, channel?, data, user_id? }`, `data` being JSON in a string ([`encode`]; from clients also an object,
//! [`parse`]). Every channel is authorised, whatever its name: by the pass's token, or as who has signed in on the socket, or as nobody
//! ([`channel`]). What is heard there is what a session tells ([`voice`]), in the shapes of this protocol's clients ([`shapes`]).

pub mod channel;
pub mod codes;
pub mod encode;
mod looks;
mod members;
mod names;
mod others;
pub mod parse;
pub mod pass;
mod place;
mod progress;
pub mod shapes;
mod voice;

use std::sync::Arc;
use std::time::Duration;

use poem::http::Method;
use poem::web::websocket::{Message, WebSocketStream};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::channel::{Asked, Command, Shared};
use self::names::Name;
use self::parse::ClientFrame;
use self::pass::Passes;
use self::progress::{Pings, Progress};
use self::shapes::Profile;
use super::channels::{Channels, Heard, Out, Pipe, Protocol, Untold, Why, serve};
use super::hub::Hub;
use super::loopback::{Loopback, Unanswered};
use super::marks::Marks;
use super::people::{People, Present};
use super::presence::{Registry, Stranger};
use super::socket::{BYE, Closing, Credit, Socket};
use super::somebody::Somebody;
use crate::auth::{AuthError, Authenticator};

/// What every socket needs.
#[derive(Clone)]
pub struct Pusher {
    /// The key of the application, as clients name it.
    pub key: Arc<str>,
    pub hub: Arc<Hub>,
    pub registry: Registry,
    pub api: Loopback,
    pub authenticator: Authenticator,
    pub passes: Arc<Passes>,
    pub marks: Marks,
    pub stop: CancellationToken,
}

/// Why something is not told, or is told no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub error: String,
}

impl Refusal {
    /// One of this protocol's own.
    pub fn new(status: u16, error: &str) -> Self {
        Self { status, error: error.to_owned() }
    }

    /// Whether the same may be answered in a moment.
    fn is_passing(&self) -> bool {
        self.status >= 500
    }

    /// What the API says.
    fn of(problem: &Value) -> Self {
        let status = problem["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or(503);
        let said = ["detail", "title", "code"].iter().find_map(|field| problem[field].as_str());
        Self::new(status, said.unwrap_or("it could not be read"))
    }
}

impl From<Unanswered> for Refusal {
    fn from(Unanswered { status, problem }: Unanswered) -> Self {
        Self { status: status.as_u16(), ..Self::of(&problem) }
    }
}

impl Pusher {
    /// Whether a socket may be opened at this address: else, with what it is closed.
    pub fn refusal(&self, key: &str, query: &str) -> Option<Closing> {
        let protocol = query.split('&').find_map(|pair| pair.strip_prefix("protocol="));
        match protocol {
            _ if *key != *self.key => Some(codes::NO_APPLICATION),
            None | Some("") => Some(codes::NO_PROTOCOL),
            Some("7") => None,
            Some(_) => Some(codes::OTHER_PROTOCOL),
        }
    }

    /// Tells a client why it is closed, and closes it.
    pub async fn refuse(stream: WebSocketStream, closing: Closing) {
        let mut socket = Socket::new(stream);
        let error = encode::error(closing.0, closing.1);
        if socket.say(Message::Text(error)).await.is_ok() {
            socket.close(closing).await;
        }
    }

    /// Serves a socket until either side ends it.
    pub async fn serve(self, stream: WebSocketStream, stranger: Stranger) {
        let (hub, stop) = (Arc::clone(&self.hub), self.stop.clone());
        serve(stream, Connection::new(self, stranger), hub, stop).await;
    }

    /// Who bears a token, as others see them.
    ///
    /// # Errors
    /// With what the API answered instead.
    pub async fn profile(&self, token: &str) -> Result<Profile, Unanswered> {
        let me = self.api.ask(token, Method::GET, "/users/me", None).await?;
        Profile::of(&me).ok_or_else(|| Unanswered::malformed("a profile could not be read"))
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// When it is nobody's.
    async fn verify(&self, token: &str) -> Result<Somebody, Refusal> {
        Somebody::of_token(&self.authenticator, token).await.map_err(|error| {
            let status = if matches!(error, AuthError::KeysUnavailable) { 503 } else { 401 };
            Refusal { status, error: error.to_string() }
        })
    }
}

/// One socket.
struct Connection {
    shared: Arc<Shared>,
    channels: Channels<Command>,
    pings: Pings,
    /// That who has signed in is here.
    here: Option<Arc<Present>>,
    /// When the token ends that somebody signed in with.
    ends_at: Option<Instant>,
    /// Events that they may send to others.
    events: Credit,
}

/// Events that a client may send at once, and one more each [`EVENT_REFILL`]: ten a second.
const EVENT_BURST: u32 = 10;
const EVENT_REFILL: Duration = Duration::from_millis(100);

/// Something said to all of a socket.
async fn say(pipe: &Pipe, frame: String) -> Result<(), Closing> {
    pipe.put(Out::Text(frame)).await.map_err(|_| BYE)
}

impl Connection {
    fn new(pusher: Pusher, stranger: Stranger) -> Self {
        // two numbers, as clients expect it; nobody guesses them
        let (one, other) = Uuid::new_v4().as_u64_pair();
        let shared = Shared {
            people: People::new(pusher.registry.clone(), Some(stranger)),
            pusher,
            socket_id: format!("{one}.{other}"),
            who: watch::Sender::new(None),
            ledger: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
            channels: Channels::default(),
            pings: Pings::default(),
            here: None,
            ends_at: None,
            events: Credit::of(EVENT_BURST, EVENT_REFILL),
        }
    }

    async fn subscribe(&mut self, channel: String, pass: String, pipe: &Pipe) -> Result<(), Closing> {
        let refusal = match Name::parse(&channel) {
            None => Refusal::new(404, "no channel is called so"),
            Some(name) => {
                let asked = Asked { channel: channel.as_str().into(), name, pass };
                let shared = Arc::clone(&self.shared);
                if self.channels.open(channel.clone(), pipe, |commands, pipe| channel::run(shared, asked, pipe, commands)) {
                    return Ok(());
                }
                Refusal::new(429, "no socket has more channels")
            }
        };
        say(pipe, encode::refused(&channel, refusal.status, &refusal.error)).await
    }

    async fn sign_in(&mut self, shown: &str, pipe: &Pipe) -> Result<(), Closing> {
        let pass = self.shared.pusher.passes.open(shown, &self.shared.socket_id, None);
        let Some((token, data)) = pass.and_then(|pass| Some((pass.token, pass.data?))) else {
            return say(pipe, encode::error(codes::NOT_AUTHORISED, "auth is what POST /pusher/user-auth answered")).await;
        };
        match self.shared.pusher.verify(&token).await {
            Ok(who) => {
                let Ok(here) = self.shared.people.enter(&who.identity) else {
                    return say(pipe, encode::error(codes::NOT_AUTHORISED, channel::TOO_MANY_SOCKETS)).await;
                };
                self.here = here;
                self.ends_at = Some(Instant::now() + who.identity.time_left());
                self.shared.who.send_replace(Some(who));
                say(pipe, encode::signed_in(&data)).await
            }
            Err(refusal) => say(pipe, encode::error(codes::NOT_AUTHORISED, &refusal.error)).await,
        }
    }

    async fn pass_on(&mut self, channel: &str, event: String, data: Value, length: usize, pipe: &Pipe) -> Result<(), Closing> {
        let wrong = if !self.events.spend() {
            Some((codes::TOO_MANY_EVENTS, "no client sends more than 10 events a second"))
        } else if !Name::parse(channel).is_some_and(|name| name.needs_pass()) {
            Some((codes::NOT_AUTHORISED, "clients send events on private- and presence- channels alone"))
        } else {
            match self.channels.tell(channel, Command::Say { event, data }, length) {
                Ok(()) => None,
                Err(Untold::Full) => Some((codes::TOO_MANY_EVENTS, "too much waits to be sent")),
                Err(Untold::Closed) => Some((codes::NOT_AUTHORISED, "the channel is not subscribed")),
            }
        };
        match wrong {
            Some((code, message)) => say(pipe, encode::error(code, message)).await,
            None => Ok(()),
        }
    }
}

impl Protocol for Connection {
    async fn begin(&mut self, pipe: &Pipe) -> Result<(), Closing> {
        say(pipe, encode::established(&self.shared.socket_id)).await
    }

    async fn hear(&mut self, heard: Heard, pipe: &Pipe) -> Result<(), Closing> {
        let frame = match &heard {
            Heard::Text(text) => ClientFrame::parse(text),
            Heard::Binary(_) => Err(parse::Malformed("frames are texts")),
        };
        match frame {
            Err(parse::Malformed(what)) => say(pipe, encode::error(codes::NOT_AUTHORISED, what)).await,
            Ok(ClientFrame::Subscribe { channel, pass }) => self.subscribe(channel, pass, pipe).await,
            Ok(ClientFrame::Unsubscribe { channel }) => {
                self.channels.leave(&channel);
                Ok(())
            }
            Ok(ClientFrame::Signin { pass }) => self.sign_in(&pass, pipe).await,
            Ok(ClientFrame::Ping) => say(pipe, encode::pong()).await,
            Ok(ClientFrame::Pong) => {
                for (progress, mark) in self.pings.answered(&self.shared.ledger) {
                    let Progress { whose, resume_id, channel, .. } = &*progress;
                    self.shared.pusher.marks.keep(*whose, resume_id, channel, mark.text());
                }
                Ok(())
            }
            Ok(ClientFrame::Event { channel, event, data }) => self.pass_on(&channel, event, data, heard.length(), pipe).await,
            Ok(ClientFrame::Unknown) => Ok(()),
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let ping_at = self.pings.next_at(&self.shared.ledger);
        ping_at.into_iter().chain(self.ends_at).min()
    }

    async fn time_passes(&mut self, pipe: &Pipe) -> Result<(), Closing> {
        let now = Instant::now();
        if self.ends_at.is_some_and(|at| at <= now) {
            return Err(codes::TOKEN_ENDED);
        }
        if self.pings.next_at(&self.shared.ledger).is_some_and(|at| at <= now) {
            self.pings.send(&self.shared.ledger, now);
            say(pipe, encode::ping()).await?;
        }
        Ok(())
    }

    fn closing(&self, why: Why) -> Closing {
        codes::closing(why)
    }
}
