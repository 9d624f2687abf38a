//! Server-sent events (WHATWG HTML, "Server-sent events"): one chat, or all of one's chats, for readers.
//!
//! An event's name is the type of the native frame, its data that frame. Its id is where a client goes on from when it comes back with
//! `Last-Event-ID`, as browsers do by themselves: of one chat a rev, of all chats a position.

use std::sync::Arc;
use std::time::Duration;

use poem::http::Method;
use poem::web::sse::Event;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hub::{CHATS_OF_ONE_MAX, Hub};
use super::loopback::Loopback;
use super::native::frames;
use super::session::{Hangup, Session, Sink, Told};
use crate::auth::{CLOCK_SKEW_SECONDS, Identity};

/// Events that wait for a connection to be written.
const WAITING_MAX: usize = 32;
/// How long the other side may take to read what it is sent.
const SEND_WAIT: Duration = Duration::from_secs(30);
/// How often a silent stream says that it is there: proxies close those that don't.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// The adapter's place among those who keep encodings: its data are the native frames.
const PROTOCOL: usize = 0;

/// What is streamed.
#[derive(Debug, Clone)]
pub enum What {
    /// One chat, from this rev on if one is named.
    Chat { chat: Uuid, since: Option<i64> },
    /// All of one's chats, from this position on if one is named.
    All { since: Option<String> },
}

/// What streams need.
#[derive(Clone)]
pub struct Streams {
    pub hub: Arc<Hub>,
    pub api: Loopback,
    pub stop: CancellationToken,
}

impl Streams {
    /// Begins a stream; it ends with its reader, its token, or the server.
    pub fn begin(&self, what: What, identity: Identity, token: String) -> mpsc::Receiver<Event> {
        let (sender, events) = mpsc::channel(WAITING_MAX);
        let streams = self.clone();
        tokio::spawn(async move {
            let mut session = Session::new(&streams.hub, streams.api.clone(), &identity, token);
            let is_all = matches!(what, What::All { .. });
            let mut out = Out { events: sender, is_all, position: None };
            let left = identity.expires_at - OffsetDateTime::now_utc() + time::Duration::seconds(CLOCK_SKEW_SECONDS);
            let left = Duration::try_from(left).unwrap_or_default().min(Duration::from_secs(365 * 86_400));
            let _ = timeout(left, streams.run(what, &mut session, &mut out)).await;
        });
        events
    }

    async fn run(&self, what: What, session: &mut Session, out: &mut Out) -> Result<(), Hangup> {
        match what {
            What::Chat { chat, since } => {
                session.subscribe(chat, since, None);
            }
            What::All { since } => self.all(since, session, out).await?,
        }
        loop {
            let signal = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = out.events.closed() => return Ok(()),
                signal = session.next() => signal,
            };
            session.take(signal, out).await?;
        }
    }

    async fn all(&self, since: Option<String>, session: &mut Session, out: &mut Out) -> Result<(), Hangup> {
        let before = self.hub.snapshot();
        let known = session.chats(CHATS_OF_ONE_MAX).await.map_err(|_| Hangup)?;
        let position = match since {
            Some(since) => session.walk(since, out).await.map_err(|_| Hangup)?,
            None => before,
        };
        session.subscribe_everywhere(known);
        // The id of all that follows: events of many chats have no order that a later position could say they were told in.
        out.position = Some(position);
        out.send("position", None, json!({ "position": out.position }).to_string()).await
    }

    /// Whether the chat may be streamed to them: the API's answer if not.
    pub async fn refusal(&self, chat: Uuid, token: &str) -> Option<(poem::http::StatusCode, Value)> {
        let (status, answer) = self.api.ask(token, Method::GET, &format!("/chats/{chat}"), None).await;
        (!status.is_success()).then_some((status, answer))
    }
}

/// The stream, as a session tells it.
struct Out {
    events: mpsc::Sender<Event>,
    is_all: bool,
    position: Option<String>,
}

impl Out {
    async fn send(&self, kind: &str, rev: Option<i64>, data: String) -> Result<(), Hangup> {
        let mut event = Event::message(data).event_type(kind.to_owned());
        if let Some(position) = &self.position {
            event = event.id(position.clone());
        } else if let Some(rev) = rev.filter(|_| !self.is_all) {
            event = event.id(rev.to_string());
        }
        match timeout(SEND_WAIT, self.events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Hangup),
        }
    }
}

impl Sink for Out {
    async fn tell(&mut self, told: Told<'_>) -> Result<(), Hangup> {
        match told {
            Told::Live(seen) => {
                let kind = frames::name(seen.event.kind(seen.form));
                self.send(kind, Some(seen.rev), frames::live(&seen, PROTOCOL)).await
            }
            Told::Missed { chat, change } => {
                let kind = change["kind"].as_str().unwrap_or_default();
                self.send(kind, change["rev"].as_i64(), frames::missed(chat, change)).await
            }
            Told::Subscribed { chat, head, .. } => {
                // no id: what was missed comes after it
                let data = frames::frame("subscribed", Some(chat), Some(head), &json!({ "headRev": head }), None);
                self.send("subscribed", None, data).await
            }
            Told::Anew { chat, head } => {
                let data = frames::frame("resync", Some(chat), Some(head), &json!({ "chatId": chat, "headRev": head }), None);
                self.send("resync", Some(head), data).await
            }
            Told::Entered { chat, profile } => {
                self.send("chat.created", None, frames::frame("chat.created", Some(chat), None, profile, None)).await
            }
            Told::Gone { chat } => {
                let data = frames::frame("chat.deleted", Some(chat), None, &json!({ "id": chat }), None);
                self.send("chat.deleted", None, data).await?;
                // a stream of one chat has nothing more to tell
                if self.is_all { Ok(()) } else { Err(Hangup) }
            }
            Told::Refused { .. } => Err(Hangup),
            Told::Flush => Ok(()),
        }
    }
}
