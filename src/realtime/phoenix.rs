//! Supabase Realtime: what unmodified clients of it speak (`supabase-js`), at `/realtime/v1/websocket` and `/socket/websocket`.
//!
//! One socket carries channels by topic. A client joins with `phx_join`, which says what it wants; the answer comes when it is listened to, so
//! what is written after it is told. Then come
//!
//! * `postgres_changes`: rows of `messages`, `chats` and `participants` that were inserted, updated or deleted, as the one who asks sees them;
//! * `broadcast`: what clients say to each other, and `presence_state` and `presence_diff`: what they say of themselves, on topics `chat:<id>`;
//! * `system`: what the server has to say of a channel, before it ends it with `phx_error` (come back) or `phx_close`.
//!
//! ```text
//!  socket ─► frames: parse ─► Phoenix ─► channel ─► Session ─► out: encode ─┐
//!    ▲                          └─ answers for the socket ──────────────────┤
//!    └──────────────────────────── Pipe ◄───────────────────────────────────┘
//! ```
//!
//! What is asked is decided by the API, as the bearer of the channel's token. A client with a `resume_id` goes on where it stopped to hear
//! ([`mark`]), at whichever process it comes back to.

mod channel;
pub mod encode;
pub mod filter;
pub mod frames;
pub mod join;
mod keeper;
pub mod keys;
mod mark;
mod out;
mod presence;
pub mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use poem::web::websocket::WebSocketStream;
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub use self::channel::asked::content;
use self::channel::{BROKEN, Channel, Command, Ground};
use self::encode::Asker;
use self::frames::{ClientFrame, PREFIX, SOCKET, Said, Version};
use self::join::Join;
use self::keys::Keys;
use self::mark::Progress;
use super::channels::{self, Channels, Heard, Out, Pipe, Protocol, Untold, Why};
use super::hub::Hub;
use super::loopback::Loopback;
use super::marks::Marks;
use super::people::People;
use super::presence::{Registry, Stranger};
use super::session::Ended;
use super::socket::{BYE, Closing};
use super::somebody::Somebody;

/// The longest frame that joins a channel, in bytes: what it asks for is held while the channel is.
const JOIN_MAX: usize = 128 << 10;

/// What is said to who asks for more than can wait to be done.
const TOO_MUCH: &str = "ChannelRateLimitReached: Too much waits to be done, say it again in a moment";

/// What every socket needs. Cheap to clone.
#[derive(Clone)]
pub struct Phoenix {
    pub hub: Arc<Hub>,
    pub registry: Registry,
    pub api: Loopback,
    pub keys: Keys,
    pub marks: Marks,
    pub stop: CancellationToken,
}

/// Who opens a socket, and how.
pub struct Opening {
    pub version: Version,
    /// The key that it is opened with, and who that is.
    pub key: String,
    pub somebody: Somebody,
    /// By which its client is known again.
    pub resume: Option<String>,
    /// It counts among those of nobody, unless it is opened as somebody.
    pub stranger: Option<Stranger>,
}

impl Phoenix {
    /// Serves a socket until either side ends it.
    pub async fn serve(self, stream: WebSocketStream, opening: Opening) {
        let Opening { version, key, somebody, resume, stranger } = opening;
        let ground = Ground {
            hub: Arc::clone(&self.hub),
            api: self.api,
            keys: self.keys,
            marks: self.marks,
            people: People::new(self.registry, stranger),
            version,
            key: key.into(),
            opener: somebody,
            resume: resume.map(Into::into),
        };
        let talk = Talk { ground, channels: Channels::default(), joined: HashMap::new() };
        channels::serve(stream, talk, self.hub, self.stop).await;
    }
}

/// A socket's talk with its client.
struct Talk {
    ground: Ground,
    channels: Channels<Command>,
    joined: HashMap<String, Joined>,
}

/// How a channel was joined, and how far it was told.
struct Joined {
    join_ref: Option<String>,
    progress: Progress,
}

impl Protocol for Talk {
    async fn hear(&mut self, heard: Heard, pipe: &Pipe) -> Result<(), Closing> {
        let version = self.ground.version;
        let frame = match &heard {
            Heard::Text(text) => ClientFrame::parse(version, text),
            Heard::Binary(bytes) => ClientFrame::parse_bytes(version, bytes),
        };
        let is_long = matches!(&heard, Heard::Text(text) if text.len() > JOIN_MAX);
        match frame {
            Ok(ClientFrame { join_ref, reference, topic, said: Said::Join(_) }) if is_long => {
                let why = format!("a join has at most {JOIN_MAX} bytes");
                self.reply(pipe, &Asker { topic, join_ref, reference }, Err(why)).await.map_err(|_| BYE)
            }
            Ok(frame) => self.answer(frame, heard.length(), pipe).await.map_err(|_| BYE),
            Err(malformed) => {
                // as the clients' own server: what cannot be read is passed over
                tracing::debug!(%malformed, "a frame cannot be read");
                Ok(())
            }
        }
    }

    fn closing(&self, why: Why) -> Closing {
        match why {
            Why::Stopping => Closing(1012, "the server stops"),
            Why::TooMany => Closing(1008, "too many frames"),
            Why::TooLong => Closing(1009, "the frame is too long"),
            Why::Silent => Closing(1001, "nothing was heard"),
            Why::Broken => BROKEN,
            Why::Slow => Closing(1013, "what is sent is not read"),
        }
    }
}

impl Talk {
    async fn answer(&mut self, frame: ClientFrame, length: usize, pipe: &Pipe) -> Result<(), Ended> {
        let ClientFrame { join_ref, reference, topic, said } = frame;
        let asker = Asker { topic, join_ref, reference };
        let command = match said {
            Said::Heartbeat => {
                self.shows_life();
                return self.reply(pipe, &asker, Ok(json!({}))).await;
            }
            Said::Join(payload) => return self.join(asker, &payload, pipe).await,
            Said::Leave => return self.leave(&asker, pipe).await,
            Said::Token(None) => return Ok(()),
            Said::Token(Some(token)) => Some(Command::Token(token)),
            Said::Broadcast { event, sent } => Some(Command::Broadcast { asker: asker.clone(), event, sent }),
            Said::Track(state) => Some(Command::Track { asker: asker.clone(), state }),
            Said::Untrack => Some(Command::Untrack { asker: asker.clone() }),
            Said::Unknown(event) => {
                // its name is theirs, and not for logs
                tracing::debug!(length = event.len(), "nobody knows this event");
                None
            }
        };
        if !self.channels.has(&asker.topic) {
            return self.reply(pipe, &asker, Err("unmatched topic".to_owned())).await;
        }
        let Some(command) = command.filter(|_| self.is_of_this_join(&asker)) else { return Ok(()) };
        let is_token = matches!(command, Command::Token(_));
        match self.channels.tell(&asker.topic, command, length) {
            // a channel that lost a token would go on as who it was before: its client joins anew, with the one that it has
            Err(Untold::Full) if is_token => self.breaks_off(&asker.topic, pipe).await,
            // what nobody waits for is not answered
            Err(Untold::Full) if asker.reference.is_some() => self.reply(pipe, &asker, Err(TOO_MUCH.to_owned())).await,
            // one that has just closed says so itself
            Err(Untold::Full | Untold::Closed) | Ok(()) => Ok(()),
        }
    }

    async fn join(&mut self, asker: Asker, payload: &serde_json::Value, pipe: &Pipe) -> Result<(), Ended> {
        if !asker.topic.starts_with(PREFIX) || asker.topic == SOCKET {
            return self.reply(pipe, &asker, Err("unmatched topic".to_owned())).await;
        }
        if let Some(before) = self.joined.remove(&asker.topic)
            && self.channels.leave(&asker.topic)
        {
            let closed = encode::end(self.ground.version, &asker.topic, before.join_ref.as_deref(), "phx_close");
            pipe.put(Out::Text(closed)).await?;
        }
        let join = match Join::read(&asker.topic, payload) {
            Ok(join) => join,
            Err(why) => return self.reply(pipe, &asker, Err(why)).await,
        };
        let progress = Progress::default();
        let channel = Channel { ground: self.ground.clone(), asker: asker.clone(), join, progress: progress.clone() };
        if !self.channels.open(asker.topic.clone(), pipe, |commands, pipe| channel.run(commands, pipe)) {
            return self.reply(pipe, &asker, Err("ChannelRateLimitReached: Too many channels".to_owned())).await;
        }
        let channels = &self.channels;
        self.joined.retain(|topic, _| channels.has(topic));
        self.joined.insert(asker.topic, Joined { join_ref: asker.join_ref, progress });
        Ok(())
    }

    async fn leave(&mut self, asker: &Asker, pipe: &Pipe) -> Result<(), Ended> {
        if !self.channels.has(&asker.topic) {
            return self.reply(pipe, asker, Ok(json!({}))).await;
        }
        if !self.is_of_this_join(asker) {
            return Ok(());
        }
        self.channels.leave(&asker.topic);
        let Some(Joined { join_ref, progress }) = self.joined.remove(&asker.topic) else { return Ok(()) };
        if let Some(resume) = self.ground.resume.as_ref().filter(|_| progress.was_heard()) {
            // who leaves because no answer came wants to hear what was missed, who leaves after it begins anew
            self.ground.marks.keep(progress.whose(), resume, &asker.topic, String::new());
        }
        self.reply(pipe, asker, Ok(json!({}))).await?;
        pipe.put(Out::Text(encode::end(self.ground.version, &asker.topic, join_ref.as_deref(), "phx_close"))).await
    }

    /// Ends a channel that its client joins anew.
    async fn breaks_off(&mut self, topic: &str, pipe: &Pipe) -> Result<(), Ended> {
        self.channels.leave(topic);
        let Some(Joined { join_ref, .. }) = self.joined.remove(topic) else { return Ok(()) };
        pipe.put(Out::Text(encode::end(self.ground.version, topic, join_ref.as_deref(), "phx_error"))).await
    }

    /// What was sent before the last answer to this has arrived.
    fn shows_life(&self) {
        let Some(resume) = &self.ground.resume else { return };
        for (topic, joined) in &self.joined {
            joined.progress.beat(|whose, mark| self.ground.marks.keep(whose, resume, topic, mark.text()));
        }
    }

    /// Whether a frame is meant for the channel as it was joined last.
    fn is_of_this_join(&self, asker: &Asker) -> bool {
        let joined = self.joined.get(&asker.topic);
        asker.join_ref.is_none() || joined.is_some_and(|joined| joined.join_ref == asker.join_ref)
    }

    async fn reply(&self, pipe: &Pipe, asker: &Asker, answer: Result<serde_json::Value, String>) -> Result<(), Ended> {
        pipe.put(Out::Text(encode::reply(self.ground.version, asker, answer))).await
    }
}
