//! Server-sent events (WHATWG HTML, "Server-sent events"): one chat, or all of one's chats, for readers.
//!
//! An event's name is the type of the native frame, its data that frame. Its id is where a client goes on from when it comes back with
//! `Last-Event-ID`, as browsers do by themselves: of one chat a rev and its epoch, of all chats a position.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use poem::web::sse::Event;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hub::Hub;
use super::loopback::{Loopback, Unanswered};
use super::native::frames::server::Position;
use super::native::frames::{self, Kind, ServerFrame};
use super::presence::Registry;
use super::session::{Ended, SEND_WAIT, Session, Since, Sink, Told};
use crate::auth::Identity;
use crate::wire;

/// Events that wait for a connection to be written.
const WAITING_MAX: usize = 32;
/// How often a silent stream says that it is there: proxies close those that don't.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is streamed.
#[derive(Debug, Clone)]
pub enum What {
    /// One chat, from here on if it is named.
    Chat { chat: Uuid, since: Option<Since> },
    /// All of one's chats, from this position on if one is named.
    All { since: Option<String> },
}

/// Whether a stream of all chats can go on from here.
pub fn is_position(text: &str) -> bool {
    text.parse::<wire::Position>().is_ok()
}

/// What streams need.
#[derive(Clone)]
pub struct Streams {
    pub hub: Arc<Hub>,
    pub registry: Registry,
    pub api: Loopback,
    pub stop: CancellationToken,
}

impl Streams {
    /// Begins a stream; it ends with its reader, its token, or the server.
    pub fn begin(&self, what: What, identity: Identity, token: String) -> mpsc::Receiver<Event> {
        let (sender, events) = mpsc::channel(WAITING_MAX);
        let streams = self.clone();
        tokio::spawn(async move {
            let _here = streams.registry.enter(&identity);
            let mut session = Session::new(&streams.hub, streams.api.clone(), &identity, token);
            let mut out = Out { events: sender, ids: Ids::Of(None), is_fresh: false };
            let _ = timeout(identity.time_left(), streams.run(what, &mut session, &mut out)).await;
        });
        events
    }

    async fn run(&self, what: What, session: &mut Session, out: &mut Out) -> Result<(), Ended> {
        match what {
            What::Chat { chat, since } => {
                out.is_fresh = since.is_none();
                session.subscribe(chat, since, None);
            }
            What::All { since } => {
                out.ids = Ids::All(None);
                let position = session.subscribe_all(since, out).await?;
                // The id of all that follows: events of many chats have no order that a later position could say they were told in.
                out.ids = Ids::All(Some(position.clone()));
                let begun = ServerFrame::Position(Position { position });
                out.send(begun.kind(), None, begun.text(None, None, None)).await?;
            }
        }
        loop {
            let signal = tokio::select! {
                () = self.stop.cancelled() => {
                    sleep(self.hub.spread()).await;
                    return Ok(());
                }
                () = out.events.closed() => return Ok(()),
                signal = session.next() => signal,
            };
            session.take(signal, out).await?;
        }
    }

    /// Whether the chat may be streamed to them: what the API answers if not.
    pub async fn refusal(&self, chat: Uuid, token: &str) -> Option<Unanswered> {
        self.api.ask(token, poem::http::Method::GET, &format!("/chats/{chat}"), None).await.err()
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rev)?;
        self.epoch.as_ref().map_or(Ok(()), |epoch| write!(f, "-{epoch}"))
    }
}

impl FromStr for Since {
    type Err = &'static str;

    /// The id of an event of one chat: a rev, and the epoch after a hyphen.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rev, epoch) = text.split_once('-').map_or((text, None), |(rev, epoch)| (rev, Some(epoch.into())));
        let rev = rev.parse().ok().filter(|rev| *rev >= 0).ok_or("a revision is a number, 0 or more")?;
        Ok(Self { rev, epoch })
    }
}

/// The ids that events bear.
enum Ids {
    /// Of one chat: their rev, in this life of the database.
    Of(Option<Arc<str>>),
    /// Of all chats: a position, once it is known.
    All(Option<String>),
}

/// The stream, as a session tells it.
struct Out {
    events: mpsc::Sender<Event>,
    ids: Ids,
    /// Nothing was missed, since it goes on from nowhere.
    is_fresh: bool,
}

impl Out {
    async fn send(&self, kind: Kind, rev: Option<i64>, data: String) -> Result<(), Ended> {
        let event = Event::message(data).event_type(kind.as_str());
        let event = match (&self.ids, rev) {
            (Ids::Of(epoch), Some(rev)) => event.id(Since { rev, epoch: epoch.clone() }.to_string()),
            (Ids::All(Some(position)), _) => event.id(position.clone()),
            _ => event,
        };
        match timeout(SEND_WAIT, self.events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Ended::Hangup),
        }
    }
}

impl Sink for Out {
    async fn tell(&mut self, told: Told<'_>) -> Result<(), Ended> {
        let Some(mut data) = frames::told(&told) else { return Ok(()) };
        let (kind, rev) = match &told {
            // nobody asked by a frame; and no id where what was missed comes after it
            Told::Subscribed { chat, head, epoch, .. } => {
                self.ids = Ids::Of(Some((*epoch).into()));
                let begun = ServerFrame::Subscribed(frames::subscribed(*head, epoch));
                data = begun.text(Some(*chat), None, None);
                (begun.kind(), self.is_fresh.then_some(*head))
            }
            Told::Live(seen) => (Kind::from(seen.event.kind(seen.form)), Some(seen.rev)),
            Told::Missed { change, .. } => (Kind::from(change.kind), Some(change.rev)),
            Told::Anew { head, epoch, .. } => {
                if matches!(self.ids, Ids::Of(_)) {
                    self.ids = Ids::Of(Some((*epoch).into()));
                }
                (Kind::Resync, Some(*head))
            }
            Told::AllAnew => (Kind::Resync, None),
            Told::Gone { .. } => (Kind::ChatDeleted, None),
            Told::Entered { .. } => (Kind::ChatCreated, None),
            Told::Aside(aside) => match Kind::of_aside(&aside.what) {
                Some(kind) => (kind, None),
                None => return Ok(()),
            },
            Told::Refused { .. } | Told::Listed { .. } | Told::Flush => return Err(Ended::Hangup),
        };
        self.send(kind, rev, data).await?;
        // a stream of one chat has nothing more to tell
        if kind == Kind::ChatDeleted && matches!(self.ids, Ids::Of(_)) { Err(Ended::Hangup) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_rev_with_or_without_its_epoch() {
        let since = Since { rev: 17, epoch: Some("9f8e".into()) };
        assert_eq!("17-9f8e".parse(), Ok(since.clone()));
        assert_eq!(since.to_string(), "17-9f8e");
        assert_eq!("17".parse(), Ok(Since { rev: 17, epoch: None }));
        assert!(["", "x", "-1", "-9f8e", "1.5"].iter().all(|text| text.parse::<Since>().is_err()));
    }
}
