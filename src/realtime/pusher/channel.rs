//! A channel: a task with a session, as whoever carries the token that it was asked for with.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::looks::Looks;
use super::names::{Guard, Name};
use super::others::Presence;
use super::place::Place;
use super::progress::{Ledger, Mark};
use super::voice::{Resume, Scope, Voice};
use super::{Pusher, Refusal, codes, encode};
use crate::realtime::channels::{Commands, Out, Pipe};
use crate::realtime::loopback::Unanswered;
use crate::realtime::own::Own;
use crate::realtime::people::{People, TooMany};
use crate::realtime::session::{Ended, Session};
use crate::realtime::socket::Closing;
use crate::realtime::somebody::Somebody;

/// How long a channel that nobody may hear who has not signed in waits for somebody to do so: clients do both at once.
const SIGNIN_WAIT: Duration = Duration::from_secs(2);

/// What is said to who has as many sockets as one may have.
pub const TOO_MANY_SOCKETS: &str = "nobody has more sockets and streams at once";

/// What one socket's channels share.
pub struct Shared {
    pub pusher: Pusher,
    pub socket_id: String,
    /// Who has signed in on it.
    pub who: watch::Sender<Option<Somebody>>,
    /// The channels whose clients may come back.
    pub ledger: Arc<Ledger>,
    /// Who is here: who has signed in, and who has a channel.
    pub people: People,
}

/// What is asked of a channel that is open.
pub enum Command {
    /// To send something to the others in it.
    Say { event: String, data: Value },
}

/// A channel that is asked for.
pub struct Asked {
    pub channel: Arc<str>,
    pub name: Name,
    pub pass: String,
}

/// Who listens, and where.
struct Entered {
    who: Somebody,
    place: Place,
    /// What others are shown of them, on a presence channel.
    info: Value,
    /// By what their client is known if it comes back.
    resume_id: Option<String>,
}

impl Shared {
    async fn enter(&self, asked: &Asked) -> Result<Entered, Refusal> {
        if asked.name.needs_pass() || !asked.pass.is_empty() {
            let pass = self.pusher.passes.open(&asked.pass, &self.socket_id, Some(&asked.channel));
            let pass = pass.ok_or(Refusal::new(401, "auth is what POST /pusher/auth answered for this socket and channel"))?;
            let who = self.pusher.verify(&pass.token).await?;
            let place = self.pusher.place(&who, &asked.name.topic).await?;
            let data: Value = pass.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
            return Ok(Entered { who, place, info: data["user_info"].clone(), resume_id: pass.resume_id });
        }
        let mut signed_in = self.who.subscribe();
        let until = Instant::now() + SIGNIN_WAIT;
        loop {
            let signed = signed_in.borrow_and_update().clone();
            let is_nobody = signed.is_none();
            let who = match signed {
                Some(who) => who,
                None => Somebody::nobody(&self.pusher.authenticator),
            };
            let found = self.pusher.place(&who, &asked.name.topic).await.map_err(Refusal::from);
            // what nobody sees may be there for somebody
            let is_in_doubt = matches!(found, Err(_) | Ok(Place::Directory { is_empty: true }));
            if is_nobody && is_in_doubt && timeout_at(until, signed_in.changed()).await.is_ok_and(|changed| changed.is_ok()) {
                continue;
            }
            return match found {
                Ok(place) => Ok(Entered { who, place, info: Value::Null, resume_id: None }),
                Err(refusal) if is_nobody && refusal.status < 500 => {
                    Err(Refusal::new(401, "nobody has signed in who may hear this channel"))
                }
                Err(refusal) => Err(refusal),
            };
        }
    }

    async fn listen(
        &self,
        Entered { who, place, info, resume_id }: Entered,
        asked: &Asked,
        pipe: &Pipe,
        mut commands: Commands<Command>,
    ) -> Result<Refusal, Ended> {
        let pusher = &self.pusher;
        let mut session = Session::new(&pusher.hub, pusher.api.clone(), &who.identity, who.bearer.clone());
        // of what is to be listed anew its clients are told the rooms alone
        session.keeps_place = true;
        let me = who.identity.subject.filter(|_| asked.name.guard == Guard::Presence);
        let resume = match resume_id {
            Some(id) => {
                let found = pusher.marks.find((&who.identity).into(), &id, &asked.channel).await.map_err(|_| Ended::Hangup)?;
                Some(Resume { id, found: found.and_then(|mark| Mark::read(&mark, place.chat())) })
            }
            None => None,
        };
        let since = resume.as_ref().and_then(|resume| resume.found.as_ref()).and_then(Mark::since);
        let scope = match place {
            Place::Room(chat) => Scope::Room(chat),
            Place::Mine => Scope::Mine,
            Place::Directory { .. } | Place::User => Scope::Directory(HashSet::new()),
        };
        let mut voice = Voice {
            channel: Arc::clone(&asked.channel),
            scope,
            looks: Looks::default(),
            progress: None,
            ledger: Arc::clone(&self.ledger),
            pipe: pipe.clone(),
            pusher: pusher.clone(),
            who,
            has_pass: asked.name.needs_pass(),
            presence: me.map(|me| Presence::new(me, info)),
            own: Own::default(),
            resume,
            over: None,
        };
        match place {
            Place::Room(chat) => {
                session.subscribe(chat, since, None);
            }
            Place::Mine => {
                session.subscribe_all(None, &mut voice).await?;
                voice.begin(Mark::there()).await?;
            }
            Place::Directory { .. } => {
                // before they are listed: what changes in between is looked at again
                session.list_rooms();
                voice.list(&session).await?;
                voice.begin(Mark::there()).await?;
            }
            Place::User => {
                voice.begin(Mark::there()).await?;
            }
        }
        loop {
            if let Some(refusal) = voice.over.take() {
                return Ok(refusal);
            }
            let look_at = voice.looks.next_at();
            tokio::select! {
                signal = session.next() => session.take(signal, &mut voice).await?,
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => voice.look(&session).await?,
                Some(command) = commands.recv() => voice.heed(command, &session).await?,
            }
        }
    }
}

/// Serves a channel until it is dropped, or over: with what it says last.
pub async fn run(shared: Arc<Shared>, asked: Asked, pipe: Pipe, commands: Commands<Command>) -> Out {
    match shared.enter(&asked).await {
        // it was not read whether they may: their client comes back, and asks again
        Err(refusal) if refusal.is_passing() => Out::Close(codes::AGAIN),
        Err(refusal) => refused(&asked, &refusal),
        Ok(entered) => match shared.people.enter(&entered.who.identity) {
            Err(TooMany) => refused(&asked, &Refusal::new(429, TOO_MANY_SOCKETS)),
            Ok(_here) => {
                let left = entered.who.identity.time_left();
                match timeout(left, Box::pin(shared.listen(entered, &asked, &pipe, commands))).await {
                    Ok(Ok(refusal)) => refused(&asked, &refusal),
                    Ok(Err(ended)) => Out::Close(closing(&ended)),
                    Err(_) => Out::Close(codes::TOKEN_ENDED),
                }
            }
        },
    }
}

fn refused(asked: &Asked, refusal: &Refusal) -> Out {
    Out::Text(encode::refused(&asked.channel, refusal.status, &refusal.error))
}

fn closing(ended: &Ended) -> Closing {
    match ended {
        Ended::Unanswered(Unanswered { status: StatusCode::UNAUTHORIZED, .. }) => codes::TOKEN_ENDED,
        Ended::Hangup | Ended::Unanswered(_) => codes::AGAIN,
    }
}
