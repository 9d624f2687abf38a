//! What a client asks of a channel that it joined.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::http::Method;
use serde_json::{Value, json};

use super::super::encode::{self, Asker};
use super::super::frames::Sent;
use super::super::keys::{Keys, refusal};
use super::{Another, Command, End, Running};
use crate::realtime::loopback::Unanswered;
use crate::realtime::presence::may_be_said;

/// What is said to who is present in no chat.
pub const NO_CHAT: &str = "Unauthorized: presence is on the channel of a chat, chat:<id>";

/// What is said to who says too much of themselves, or is nobody.
const NOT_TAKEN: &str = "Unauthorized: the state is not taken: it is too long, or one of too many, or nobody's";

/// Why the API refuses something, in its words.
pub fn reason(Unanswered { problem, .. }: &Unanswered) -> &str {
    problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("it was not taken")
}

impl Running<'_> {
    /// Does what is asked; gives who asks from now on, if that is somebody else.
    pub async fn does(&mut self, command: Command) -> Result<Option<Another>, End> {
        match command {
            Command::Broadcast { asker, event, sent } => self.broadcasts(&asker, &event, sent).await?,
            Command::Track { asker, state } => {
                let is_first = !std::mem::replace(&mut self.speaker.hears_presence, true);
                let answer = if !state.is_object() {
                    Err("Presence track payload must be a map".to_owned())
                } else if !self.credit.spend() {
                    Err("ClientPresenceRateLimitReached: Too many presence messages per second".to_owned())
                } else if self.join.chat.is_none() {
                    Err(NO_CHAT.to_owned())
                } else if !may_be_said(&self.who.identity, &self.key, &state) {
                    Err(NOT_TAKEN.to_owned())
                } else if self.tracking.is_none()
                    && let Err(why) = self.present().await?
                {
                    // said as soon as they come to the chat
                    self.state = Some(state);
                    Err(why)
                } else {
                    self.tracks(state)
                };
                self.answer(&asker, answer.map(|()| json!({}))).await?;
                if is_first {
                    self.tells_who_is_present(false).await?;
                }
            }
            Command::Untrack { asker } => {
                (self.tracking, self.state) = (None, None);
                self.answer(&asker, Ok(json!({}))).await?;
            }
            Command::Token(token) => return self.takes_token(token).await,
        }
        Ok(None)
    }

    async fn answer(&mut self, asker: &Asker, answer: Result<Value, String>) -> Result<(), End> {
        // what nobody waits for is not answered
        if asker.reference.is_none() {
            return Ok(());
        }
        Ok(self.speaker.say(encode::reply(self.ground.version, asker, answer)).await?)
    }

    /// Who may is decided by the API; what it tells the others comes to this channel, too.
    async fn broadcasts(&mut self, asker: &Asker, event: &str, sent: Sent) -> Result<(), End> {
        let Some(chat) = self.join.chat else {
            let why = "Unauthorized: broadcasts are sent on the channel of a chat, chat:<id>".to_owned();
            return self.answer(asker, Err(why)).await;
        };
        let body = content(event, sent);
        match self.session.ask(Method::POST, &format!("/chats/{chat}/broadcasts"), Some(&body)).await {
            Ok(answer) => {
                if let Some(id) = answer["id"].as_i64().filter(|_| !self.join.broadcasts.hears_itself) {
                    self.speaker.own.note(id);
                }
                if self.join.broadcasts.acks { self.answer(asker, Ok(json!({}))).await } else { Ok(()) }
            }
            Err(unanswered) => self.answer(asker, Err(reason(&unanswered).to_owned())).await,
        }
    }

    /// Its client says something of itself, in place of what it said.
    pub(super) fn tracks(&mut self, state: Value) -> Result<(), String> {
        let chat = self.join.chat.ok_or(NO_CHAT)?;
        let registry = &self.ground.people.registry;
        let tracking = registry.track(&self.who.identity, chat, self.key.clone(), state.clone());
        let tracking = tracking.ok_or(NOT_TAKEN)?;
        // what was said before is dropped after what is said now is there: the others are told of both together
        (self.tracking, self.state) = (Some(tracking), Some(state));
        Ok(())
    }

    /// Another token of theirs, or of somebody else.
    async fn takes_token(&mut self, token: String) -> Result<Option<Another>, End> {
        if Keys::is_publishable(&token) || token == self.session.token {
            return Ok(None);
        }
        match self.ground.keys.of_token(&token, &self.ground.key).await {
            Ok(who) if who.is(&self.who.identity) => {
                self.session.token.clone_from(&who.bearer);
                self.who = who;
                self.renew();
                Ok(None)
            }
            Ok(another) => Ok(Some(Another(another, self.state.take()))),
            Err(error) => {
                let (code, why) = refusal(error);
                // the one before holds as long as it does
                self.speaker.system("system", false, &format!("{code}: {why}")).await?;
                Ok(None)
            }
        }
    }
}

/// A broadcast, as the API takes it.
pub fn content(event: &str, sent: Sent) -> Value {
    match sent {
        Sent::Json(payload) => json!({ "event": event, "payload": payload }),
        Sent::Bytes(bytes) => json!({ "event": event, "bytes": STANDARD.encode(bytes) }),
    }
}
