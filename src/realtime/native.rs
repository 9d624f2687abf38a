//! The native protocol: a WebSocket at `/ws`, with JSON texts both ways.
//!
//! `hello` first; then what the client asks for, each answered by `ack` or `error` with its `ref`, and what happens in the chats it listens to.
//! What a frame writes is a request of the API's, so its problems are the API's. Frames are read and written in [`frames`].

pub mod frames;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use poem::http::{Method, StatusCode};
use poem::web::websocket::{CloseCode, Message, WebSocketStream};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::frames::{Asked, ClientFrame, frame};
use super::hub::{CHATS_OF_ONE_MAX, Hub};
use super::loopback::Loopback;
use super::session::{Hangup, Session, Sink, Told, Unanswered};
use crate::auth::{Authenticator, CLOCK_SKEW_SECONDS, Identity};

/// The longest frame that is read, in bytes: as the longest body of a request.
pub const FRAME_MAX: usize = 1 << 20;
/// How long the other side may take to read what it is sent.
const SEND_WAIT: Duration = Duration::from_secs(30);
/// How long the other side may take to close its end.
const LINGER: Duration = Duration::from_secs(2);
/// How often a silent connection is pinged.
const PING_EVERY: Duration = Duration::from_secs(25);
/// How long a connection may be silent: two pings without an answer.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long before its token ends a client is told.
const WARNING: Duration = Duration::from_secs(60);
/// Frames that a client may send at once, and one more each [`REFILL`].
const BURST: u32 = 100;
const REFILL: Duration = Duration::from_millis(20);
/// Chats that `hello` names.
const CHATS_NAMED: usize = 200;

/// The adapter's place among those who keep encodings.
const PROTOCOL: usize = 0;

/// Close codes beside those of RFC 6455: 1001 going away, 1008 policy, 1009 too big.
mod close {
    /// The token ended: come back with another.
    pub const TOKEN_EXPIRED: u16 = 4401;
    /// Too many frames.
    pub const TOO_MANY: u16 = 4429;
    /// What was to be told could not be read, or was not read in time (RFC 6455's registry: try again later).
    pub const AGAIN: u16 = 1013;
    /// Nothing was heard for a while.
    pub const SILENT: u16 = 4408;
    /// The server stops (RFC 6455's registry: service restart): come back, to whoever answers.
    pub const RESTART: u16 = 1012;
}

/// What every socket needs.
#[derive(Clone)]
pub struct Native {
    pub hub: Arc<Hub>,
    pub api: Loopback,
    pub authenticator: Authenticator,
    pub stop: CancellationToken,
}

/// Why a socket is closed by this side.
struct Closing(u16, &'static str);

/// What is left of a socket's patience and rights.
struct Terms {
    identity: Identity,
    warn_at: Option<Instant>,
    ends_at: Instant,
    heard_at: Instant,
    ping_at: Instant,
    credit: u32,
    credited_at: Instant,
}

impl Terms {
    fn new(identity: Identity) -> Self {
        let now = Instant::now();
        let mut terms = Self {
            identity,
            warn_at: None,
            ends_at: now,
            heard_at: now,
            ping_at: now + PING_EVERY,
            credit: BURST,
            credited_at: now,
        };
        terms.renew();
        terms
    }

    fn renew(&mut self) {
        let left = self.identity.expires_at - OffsetDateTime::now_utc() + time::Duration::seconds(CLOCK_SKEW_SECONDS);
        // one that lasts longer than this process is like one that does not end
        let left = Duration::try_from(left).unwrap_or_default().min(Duration::from_secs(10 * 365 * 86_400));
        self.ends_at = Instant::now() + left;
        self.warn_at = Some(Instant::now() + left.saturating_sub(WARNING));
    }

    /// Whether one more frame is within what a client may send.
    fn spend(&mut self) -> bool {
        let now = Instant::now();
        let earned = u32::try_from((now - self.credited_at).as_millis() / REFILL.as_millis()).unwrap_or(BURST);
        if earned > 0 {
            self.credit = self.credit.saturating_add(earned).min(BURST);
            self.credited_at = now;
        }
        self.credit = self.credit.saturating_sub(1);
        self.credit > 0
    }
}

impl Native {
    /// Serves a socket until either side ends it.
    pub async fn serve(self, socket: WebSocketStream, identity: Identity, token: String) {
        let mut out = Socket { socket };
        let mut session = Session::new(&self.hub, self.api.clone(), &identity, token);
        let mut terms = Terms::new(identity);
        let ended = match self.greet(&session, &mut out).await {
            Ok(()) => self.talk(&mut session, &mut terms, &mut out).await,
            Err(Hangup) => Ok(()),
        };
        let Closing(code, reason) = match ended {
            Ok(()) => Closing(1000, ""),
            Err(closing) => closing,
        };
        let _ = timeout(SEND_WAIT, out.socket.send(Message::close_with(CloseCode::from(code), reason))).await;
        // what they have sent meanwhile is read: else the system would reset the connection, and the code never arrive
        let _ = timeout(LINGER, async { while let Some(Ok(_)) = out.socket.next().await {} }).await;
    }

    /// Who they are, and where their chats stand.
    async fn greet(&self, session: &Session, out: &mut Socket) -> Result<(), Hangup> {
        let (_, me) = self.api.ask(&session.token, Method::GET, "/users/me", None).await;
        let (_, page) = self.api.ask(&session.token, Method::GET, &format!("/chats?limit={CHATS_NAMED}"), None).await;
        let chats: Vec<Value> = page["data"]
            .as_array()
            .map(|chats| chats.iter().map(|chat| json!({ "id": chat["id"], "headRev": chat["headRev"] })).collect())
            .unwrap_or_default();
        let me = if me["id"].is_string() { me } else { Value::Null };
        let hello = json!({
            "authenticatedUser": me,
            "chats": chats,
            "more": page["nextCursor"].is_string(),
            "position": self.hub.snapshot(),
        });
        out.say(frame("hello", None, None, &hello, None)).await?;
        out.flush().await
    }

    async fn talk(&self, session: &mut Session, terms: &mut Terms, out: &mut Socket) -> Result<(), Closing> {
        loop {
            let warn_at = terms.warn_at.unwrap_or(terms.ends_at);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Closing(close::RESTART, "the server stops")),
                () = sleep_until(terms.ends_at) => return Err(Closing(close::TOKEN_EXPIRED, "the token has expired")),
                () = sleep_until(warn_at), if terms.warn_at.is_some() => {
                    terms.warn_at = None;
                    let payload = json!({ "seconds": (terms.ends_at - Instant::now()).as_secs() });
                    let told = out.say(frame("token.expiring", None, None, &payload, None)).await;
                    if told.is_err() || out.flush().await.is_err() {
                        return Ok(());
                    }
                }
                () = sleep_until(terms.ping_at) => {
                    if terms.heard_at.elapsed() > IDLE_MAX {
                        return Err(Closing(close::SILENT, "nothing was heard"));
                    }
                    terms.ping_at = Instant::now() + PING_EVERY;
                    if timeout(SEND_WAIT, out.socket.send(Message::Ping(Vec::new()))).await.is_err() {
                        return Ok(());
                    }
                }
                received = out.socket.next() => {
                    let Some(Ok(message)) = received else { return Ok(()) };
                    terms.heard_at = Instant::now();
                    match message {
                        Message::Text(text) => {
                            if !terms.spend() {
                                return Err(Closing(close::TOO_MANY, "too many frames"));
                            }
                            if self.answer(&text, session, terms, out).await.is_err() {
                                return Ok(());
                            }
                        }
                        Message::Binary(_) => return Err(Closing(1003, "frames are texts")),
                        Message::Close(_) => return Ok(()),
                        Message::Ping(_) | Message::Pong(_) => {}
                    }
                }
                signal = session.next() => {
                    if session.take(signal, out).await.is_err() {
                        return Err(Closing(close::AGAIN, "what is to be told could not be"));
                    }
                }
            }
        }
    }

    async fn answer(&self, text: &str, session: &mut Session, terms: &mut Terms, out: &mut Socket) -> Result<(), Hangup> {
        match ClientFrame::parse(text) {
            Err(wrong) => {
                let problem = json!({ "code": "frame_is_malformed", "message": wrong.message });
                out.say(frame("error", None, None, &problem, wrong.reference.as_deref())).await?;
            }
            Ok(ClientFrame { reference, asked }) => self.do_as_asked(asked, reference, session, terms, out).await?,
        }
        out.flush().await
    }

    async fn do_as_asked(
        &self,
        asked: Asked,
        reference: Option<String>,
        session: &mut Session,
        terms: &mut Terms,
        out: &mut Socket,
    ) -> Result<(), Hangup> {
        let reference_text = reference.as_deref();
        let request = match asked {
            Asked::Subscribe { chat, since } => {
                if !session.subscribe(chat, since, reference.clone()) {
                    let problem = json!({ "code": "too_many_chats", "message": "no connection listens to more chats" });
                    out.say(frame("error", Some(chat), None, &problem, reference_text)).await?;
                }
                return Ok(());
            }
            Asked::SubscribeAll { since } => return self.subscribe_all(since, reference_text, session, out).await,
            Asked::Unsubscribe { chat } => {
                session.unsubscribe(chat);
                return out.say(frame("ack", Some(chat), None, &json!({}), reference_text)).await;
            }
            Asked::Ping => return out.say(frame("pong", None, None, &json!({}), reference_text)).await,
            Asked::Token { token } => {
                let renewed = self.authenticator.verify(&token).await;
                let same =
                    |identity: &Identity| (identity.role, identity.subject) == (terms.identity.role, terms.identity.subject);
                return match renewed {
                    Ok(identity) if same(&identity) => {
                        terms.identity = identity;
                        terms.renew();
                        session.token = token;
                        out.say(frame("ack", None, None, &json!({}), reference_text)).await
                    }
                    Ok(_) => {
                        let problem = json!({ "code": "token_is_anothers", "message": "the token is somebody else's" });
                        out.say(frame("error", None, None, &problem, reference_text)).await
                    }
                    Err(error) => {
                        let problem = json!({ "code": error.code(), "message": error.to_string() });
                        out.say(frame("error", None, None, &problem, reference_text)).await
                    }
                };
            }
            Asked::Send { chat: None, .. } => {
                let problem = json!({ "code": "frame_is_malformed", "message": "chatId is a UUID" });
                return out.say(frame("error", None, None, &problem, reference_text)).await;
            }
            Asked::Send { chat: Some(chat), message } => (chat, Method::POST, format!("/chats/{chat}/messages"), Some(message)),
            Asked::Edit { chat, message, change } => {
                (chat, Method::PATCH, format!("/chats/{chat}/messages/{message}"), Some(change))
            }
            Asked::Delete { chat, message } => (chat, Method::DELETE, format!("/chats/{chat}/messages/{message}"), None),
            Asked::Read { chat, seq } => (chat, Method::PUT, format!("/chats/{chat}/read"), Some(json!({ "seq": seq }))),
        };
        let (chat, method, path, body) = request;
        let (status, answer) = self.api.ask(&session.token, method, &path, body.as_ref()).await;
        out.say(answered(chat, status, &answer, reference_text)).await
    }

    /// All chats: those of today, from where the client stands, and those they come to.
    async fn subscribe_all(
        &self,
        since: Option<String>,
        reference: Option<&str>,
        session: &mut Session,
        out: &mut Socket,
    ) -> Result<(), Hangup> {
        let known = match session.chats(CHATS_OF_ONE_MAX).await {
            Ok(known) => known,
            Err(Unanswered(status, problem)) => {
                return out.say(frame("error", None, None, &problem_of(status, &problem), reference)).await;
            }
        };
        let position = match since {
            None => self.hub.snapshot(),
            Some(since) => match session.walk(since, out).await {
                Ok(position) => position,
                Err(None) => return Err(Hangup),
                Err(Some(Unanswered(status, problem))) => {
                    return out.say(frame("error", None, None, &problem_of(status, &problem), reference)).await;
                }
            },
        };
        // the list was read before the walk: what happened since is told again rather than missed
        session.subscribe_everywhere(known);
        out.say(frame("ack", None, None, &json!({ "position": position }), reference)).await
    }
}

fn answered(chat: Uuid, status: StatusCode, answer: &Value, reference: Option<&str>) -> String {
    if status.is_success() {
        let done = if answer.is_null() { json!({}) } else { answer.clone() };
        // without a rev beside the payload: what stands below it may not have been told yet
        return frame("ack", Some(chat), None, &done, reference);
    }
    frame("error", Some(chat), None, &problem_of(status, answer), reference)
}

/// What is wrong, from a problem document.
fn problem_of(status: StatusCode, problem: &Value) -> Value {
    let mut told = problem.clone();
    if !told.is_object() {
        told = json!({ "status": status.as_u16() });
    }
    let code = told["code"].as_str().unwrap_or("unavailable").to_owned();
    let message = told["detail"].as_str().unwrap_or("the server could not answer").to_owned();
    told["code"] = json!(code);
    told["message"] = json!(message);
    told
}

/// The socket, as a session tells it.
struct Socket {
    socket: WebSocketStream,
}

impl Socket {
    async fn say(&mut self, text: String) -> Result<(), Hangup> {
        match timeout(SEND_WAIT, self.socket.feed(Message::Text(text))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Hangup),
        }
    }

    async fn flush(&mut self) -> Result<(), Hangup> {
        match timeout(SEND_WAIT, self.socket.flush()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Hangup),
        }
    }
}

impl Sink for Socket {
    async fn tell(&mut self, told: Told<'_>) -> Result<(), Hangup> {
        let text = match told {
            Told::Subscribed { chat, head, reference } => frame("ack", Some(chat), None, &json!({ "headRev": head }), reference),
            Told::Refused { chat, problem, reference } => {
                frame("error", Some(chat), None, &problem_of(StatusCode::FORBIDDEN, problem), reference)
            }
            Told::Live(seen) => frames::live(&seen, PROTOCOL),
            Told::Missed { chat, change } => frames::missed(chat, change),
            Told::Anew { chat, head } => {
                frame("resync", Some(chat), Some(head), &json!({ "chatId": chat, "headRev": head }), None)
            }
            Told::Gone { chat } => frame("chat.deleted", Some(chat), None, &json!({ "id": chat }), None),
            Told::Entered { chat, profile } => frame("chat.created", Some(chat), None, profile, None),
            Told::Flush => return self.flush().await,
        };
        self.say(text).await
    }
}
