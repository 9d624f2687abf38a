//! The native protocol: a WebSocket at `/ws`, with JSON texts both ways.
//!
//! `hello` first; then what the client asks for, each answered by `ack` or `error` with its `ref`, and what happens in the chats it listens to.
//! What a frame writes is a request of the API's, so its problems are the API's. Frames are read and written in [`frames`].

pub mod close;
pub mod frames;
mod lobby;

use std::sync::Arc;
use std::time::Duration;

use poem::http::{Method, StatusCode};
use poem::web::websocket::{Message, WebSocketStream};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::frames::client::{
    Broadcasting, MessageCreate, MessageDelete, MessageUpdate, Ping, Presence, Read, Subscribe, SubscribeAll, Token, Typing,
    Unsubscribe,
};
use self::frames::server::{
    Answer, BroadcastAnswer, Expiring, Failure, HeadOfChat, Hello, MessageAnswer, Nothing, Position, ReadAnswer, UserAnswer,
};
use self::frames::{Asked, ClientFrame, ServerFrame};
use super::hub::Hub;
use super::loopback::{Loopback, Unanswered};
use super::presence::{Here, Registry};
use super::session::{Ended, Session, Since, Sink, Told};
use super::socket::{BYE, Closing, Credit, Due, Patience, Received, Socket};
use crate::auth::{Authenticator, Identity};

/// How long before its token ends a client is told.
const WARNING: Duration = Duration::from_secs(60);
/// Chats that `hello` names.
const CHATS_NAMED: usize = 200;

/// The code of a frame that cannot be read.
const MALFORMED: &str = "frame_is_malformed";

/// What every socket needs.
#[derive(Clone)]
pub struct Native {
    pub hub: Arc<Hub>,
    pub registry: Registry,
    pub api: Loopback,
    pub authenticator: Authenticator,
    pub stop: CancellationToken,
}

impl From<Ended> for Closing {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Unanswered(Unanswered { status: StatusCode::UNAUTHORIZED, .. }) => {
                Self(close::TOKEN_EXPIRED, "the token is not believed any more")
            }
            Ended::Hangup | Ended::Unanswered(_) => Self(close::AGAIN, "what is to be told could not be"),
        }
    }
}

/// What is left of a socket's patience and rights.
struct Terms {
    identity: Identity,
    /// Where they talk when they name no chat.
    lobby: Option<Uuid>,
    here: Option<Here>,
    warn_at: Option<Instant>,
    ends_at: Instant,
    patience: Patience,
    credit: Credit,
}

impl Terms {
    fn new(identity: Identity, here: Option<Here>) -> Self {
        let now = Instant::now();
        let mut terms = Self {
            identity,
            lobby: None,
            here,
            warn_at: None,
            ends_at: now,
            patience: Patience::default(),
            credit: Credit::default(),
        };
        terms.renew();
        terms
    }

    fn renew(&mut self) {
        let left = self.identity.time_left();
        self.ends_at = Instant::now() + left;
        self.warn_at = Some(Instant::now() + left.saturating_sub(WARNING));
    }

    /// When something is due.
    fn next_at(&self) -> Instant {
        self.ends_at.min(self.patience.next_at()).min(self.warn_at.unwrap_or(self.ends_at))
    }
}

impl Native {
    /// Serves a socket until either side ends it.
    pub async fn serve(self, socket: WebSocketStream, identity: Identity, token: String) {
        let mut out = Socket::new(socket);
        let mut session = Session::new(&self.hub, self.api.clone(), &identity, token);
        let here = self.registry.enter(&identity);
        let mut terms = Terms::new(identity, here);
        let closing = match Box::pin(self.greet(&mut session, &mut terms, &mut out)).await {
            Ok(()) => self.talk(&mut session, &mut terms, &mut out).await,
            Err(ended) => ended.into(),
        };
        drop(session);
        out.close(closing).await;
    }

    /// Who they are, and where their chats stand; the lobby, if there is one, they join and listen to.
    async fn greet(&self, session: &mut Session, terms: &mut Terms, out: &mut Socket) -> Result<(), Ended> {
        // before the chats are listed: who comes to one in between is told of it from here on
        let (epoch, position) = self.hub.position();
        let refused = |unanswered: Unanswered| if unanswered.is_passing() { Err(unanswered) } else { Ok(None) };
        // somebody without an account has no profile
        let me = session.ask_again("/users/me").await.map(Some).or_else(refused)?;
        let page =
            session.ask_again(&format!("/chats?limit={CHATS_NAMED}")).await.map(Some).or_else(refused)?.unwrap_or_default();
        let chats = page["data"].as_array().into_iter().flatten();
        let mut hello = Hello {
            authenticated_user: me.map(UserAnswer),
            chats: chats.filter_map(|chat| HeadOfChat::deserialize(chat).ok()).collect(),
            more: page["nextCursor"].is_string(),
            position,
            epoch: epoch.to_string(),
            lobby: None,
            users: None,
            messages: None,
        };
        if self.hub.lobby().is_some()
            && let Some(lobby) = lobby::enter(session).await
        {
            (hello.lobby, hello.users, hello.messages) = (Some(lobby.chat), Some(lobby.users), Some(lobby.messages));
            terms.lobby = Some(lobby.chat);
            let since = Since { rev: lobby.head, epoch: Some(epoch) };
            session.subscribe(lobby.chat, Some(since), None);
        }
        out.say(Message::Text(ServerFrame::Hello(hello).text(None, None, None))).await?;
        out.flush().await
    }

    async fn talk(&self, session: &mut Session, terms: &mut Terms, out: &mut Socket) -> Closing {
        // one timer for all that time brings: a socket that is idle costs little
        let timer = sleep_until(terms.next_at());
        tokio::pin!(timer);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    // one after the other: they all come back at once, to somebody else
                    sleep(self.hub.spread()).await;
                    return Closing(close::RESTART, "the server stops");
                }
                () = &mut timer => {
                    if let Err(closing) = self.time_passes(terms, out).await {
                        return closing;
                    }
                }
                received = out.next() => {
                    terms.patience.hear();
                    match received {
                        Received::Text(text) => {
                            if !terms.credit.spend() {
                                return Closing(close::TOO_MANY, "too many frames");
                            }
                            // in a box, as below: else each idle socket would hold the room that an answer takes
                            if let Err(ended) = Box::pin(self.answer(&text, session, terms, out)).await {
                                return ended.into();
                            }
                        }
                        Received::Binary(_) => return Closing(close::NO_TEXT, "frames are texts"),
                        Received::TooLong => return Closing(close::TOO_LONG, "the frame is too long"),
                        Received::Sign => {}
                        Received::End => return BYE,
                    }
                }
                signal = session.next() => {
                    if let Err(ended) = Box::pin(session.take(signal, out)).await {
                        return ended.into();
                    }
                }
            }
            if timer.deadline() != terms.next_at() {
                timer.as_mut().reset(terms.next_at());
            }
        }
    }

    /// Does what is due: the token's end, the warning before it, a ping.
    async fn time_passes(&self, terms: &mut Terms, out: &mut Socket) -> Result<(), Closing> {
        let now = Instant::now();
        if terms.ends_at <= now {
            return Err(Closing(close::TOKEN_EXPIRED, "the token has expired"));
        }
        if terms.warn_at.is_some_and(|warn_at| warn_at <= now) {
            terms.warn_at = None;
            let expiring = Expiring { seconds: (terms.ends_at - now).as_secs() };
            out.say(Message::Text(ServerFrame::TokenExpiring(expiring).text(None, None, None))).await?;
            out.flush().await?;
        }
        match terms.patience.due() {
            Due::Nothing => Ok(()),
            Due::End => Err(Closing(close::SILENT, "nothing was heard")),
            Due::Ping => out.ping().await.map_err(|_| BYE),
        }
    }

    async fn answer(&self, text: &str, session: &mut Session, terms: &mut Terms, out: &mut Socket) -> Result<(), Ended> {
        let answer = match ClientFrame::parse(text) {
            Err(wrong) => Some(frames::wrong(None, MALFORMED, &wrong.message, wrong.reference.as_deref())),
            Ok(frame) => self.do_as_asked(frame, session, terms, out).await?,
        };
        if let Some(answer) = answer {
            out.say(Message::Text(answer)).await?;
        }
        out.flush().await
    }

    /// The answer, if it is not for the session to give.
    async fn do_as_asked(
        &self,
        frame: ClientFrame,
        session: &mut Session,
        terms: &mut Terms,
        out: &mut Socket,
    ) -> Result<Option<String>, Ended> {
        let ClientFrame { reference, asked } = frame;
        let reference = reference.as_deref();
        let ack = |chat, answer| ServerFrame::Ack(answer).text(chat, None, reference);
        let failed = |chat, problem: &Value| ServerFrame::Error(Failure::of(problem)).text(chat, None, reference);
        let done = |_| Answer::Nothing(Nothing {});
        let (chat, method, path, body, answer): (_, _, _, _, fn(Value) -> Answer) = match asked {
            Asked::Subscribe(Subscribe { chat_id: chat, since, epoch }) => {
                let since = since.map(|rev| Since { rev, epoch: epoch.map(Into::into) });
                if session.subscribe(chat, since, reference.map(str::to_owned)) {
                    return Ok(None);
                }
                return Ok(Some(frames::wrong(Some(chat), "too_many_chats", "no connection listens to more chats", reference)));
            }
            Asked::SubscribeAll(SubscribeAll { since, .. }) => {
                return match session.subscribe_all(since, out).await {
                    Ok(position) => Ok(Some(ack(None, Answer::Position(Position { position })))),
                    Err(Ended::Unanswered(Unanswered { problem, .. })) => Ok(Some(failed(None, &problem))),
                    Err(hangup) => Err(hangup),
                };
            }
            Asked::Unsubscribe(Unsubscribe { chat_id: chat }) => {
                session.unsubscribe(chat);
                return Ok(Some(ack(Some(chat), done(Value::Null))));
            }
            Asked::Ping(Ping {}) => return Ok(Some(ServerFrame::Pong(Nothing {}).text(None, None, reference))),
            Asked::Token(Token { token }) => {
                let old = (terms.identity.role, terms.identity.subject);
                return Ok(Some(match self.authenticator.verify(&token).await {
                    Ok(identity) if (identity.role, identity.subject) == old => {
                        terms.identity = identity;
                        terms.renew();
                        session.token = token;
                        ack(None, done(Value::Null))
                    }
                    Ok(_) => frames::wrong(None, "token_is_anothers", "the token is somebody else's", reference),
                    Err(error) => frames::wrong(None, error.code(), &error.to_string(), reference),
                }));
            }
            Asked::MessageCreate(MessageCreate { chat_id, body }) => {
                let Some(chat) = chat_id.or(terms.lobby) else {
                    return Ok(Some(frames::wrong(None, MALFORMED, "chatId is a UUID: there is no lobby", reference)));
                };
                (chat, Method::POST, format!("/chats/{chat}/messages"), Some(body), |sent| Answer::Message(MessageAnswer(sent)))
            }
            Asked::MessageUpdate(MessageUpdate { chat_id: chat, id, body }) => {
                let path = format!("/chats/{chat}/messages/{id}");
                (chat, Method::PATCH, path, Some(body), |edited| Answer::Message(MessageAnswer(edited)))
            }
            Asked::MessageDelete(MessageDelete { chat_id: chat, id }) => {
                (chat, Method::DELETE, format!("/chats/{chat}/messages/{id}"), None, done)
            }
            Asked::Read(Read { chat_id: chat, seq }) => {
                let body = json!({ "seq": seq });
                (chat, Method::PUT, format!("/chats/{chat}/read"), Some(body), |read| Answer::Read(ReadAnswer(read)))
            }
            Asked::Presence(Presence { state }) => {
                if let Some(here) = &terms.here {
                    here.set(state);
                }
                return Ok(Some(ack(None, done(Value::Null))));
            }
            Asked::Typing(Typing { chat_id: chat, body }) => {
                (chat, Method::POST, format!("/chats/{chat}/typing"), Some(body), done)
            }
            Asked::Broadcasting(Broadcasting { chat_id: chat, body }) => {
                let answer = |told| Answer::Broadcast(BroadcastAnswer(told));
                (chat, Method::POST, format!("/chats/{chat}/broadcasts"), Some(body), answer)
            }
        };
        Ok(Some(match session.ask(method, &path, body.as_ref()).await {
            // without a rev beside the payload: what stands below it may not have been told yet
            Ok(answered) => ack(Some(chat), answer(answered)),
            Err(Unanswered { problem, .. }) => failed(Some(chat), &problem),
        }))
    }
}

impl Sink for Socket {
    async fn tell(&mut self, told: Told<'_>) -> Result<(), Ended> {
        match frames::told(&told) {
            Some(text) => self.say(Message::Text(text)).await,
            None => self.flush().await,
        }
    }
}
