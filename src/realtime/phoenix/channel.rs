//! One channel: a task with a session, and a token, of its own.
//!
//! It answers the join when every chat that is asked for is listened to; what the client missed follows, then what happens. It ends with
//! `phx_error` where the client may come back by itself, which it does, with the token that it has then; with `phx_close` where it would be
//! refused.

pub mod asked;
mod joining;

use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use self::asked::{NO_CHAT, reason};
use super::encode::{self, Asker};
use super::frames::{Sent, Version};
use super::join::{CHAT, Join, Wanted};
use super::keeper::Keeper;
use super::keys::{Keys, refusal};
use super::mark::Progress;
use super::out::{ROWS, Speaker};
use super::presence;
use crate::realtime::asides::Track;
use crate::realtime::channels::{Commands, Out, Pipe};
use crate::realtime::hub::Hub;
use crate::realtime::loopback::{Loopback, Unanswered};
use crate::realtime::marks::Marks;
use crate::realtime::people::{People, Present};
use crate::realtime::presence::Tracking;
use crate::realtime::session::{Ended, Session};
use crate::realtime::socket::{Closing, Credit};
use crate::realtime::somebody::Somebody;

/// What a client may say of itself at once, and again after so long: whoever is in the chat is told each time.
const STATES_AT_ONCE: u32 = 10;
const STATE_EVERY: Duration = Duration::from_secs(1);
/// How long before its token ends a client is told.
const WARNING: Duration = Duration::from_secs(60);

/// How a socket is closed of which a channel cannot say how it ends: its client comes back.
pub const BROKEN: Closing = Closing(1011, "a channel broke");

/// What the channels of one socket share. Cheap to clone.
#[derive(Clone)]
pub struct Ground {
    pub hub: Arc<Hub>,
    pub api: Loopback,
    pub keys: Keys,
    pub marks: Marks,
    pub people: People,
    pub version: Version,
    /// With which key the socket was opened, and who that is.
    pub key: Arc<str>,
    pub opener: Somebody,
    /// By which its client is known again.
    pub resume: Option<Arc<str>>,
}

/// What a channel is asked to do.
pub enum Command {
    Broadcast { asker: Asker, event: String, sent: Sent },
    Track { asker: Asker, state: Value },
    Untrack { asker: Asker },
    Token(String),
}

/// Why a channel ends, or does not begin.
enum End {
    /// The socket is no more, or is to be closed.
    Hangup,
    /// They may not; before it was joined this is the answer.
    Refused(String),
    /// Not now: the client is to try again.
    Again(String),
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Hangup => Self::Hangup,
            Ended::Unanswered(unanswered) => unanswered.into(),
        }
    }
}

impl From<Unanswered> for End {
    fn from(Unanswered { status, problem }: Unanswered) -> Self {
        let why = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("Unknown Error on Channel");
        match status {
            StatusCode::UNAUTHORIZED => Self::Again(format!("InvalidJWTToken: {why}")),
            status if status.is_server_error() => Self::Again(format!("UnknownErrorOnChannel: {why}")),
            _ => Self::Refused(format!("Unauthorized: {why}")),
        }
    }
}

/// A channel before it begins.
pub struct Channel {
    pub ground: Ground,
    /// Who joins it.
    pub asker: Asker,
    pub join: Join,
    pub progress: Progress,
}

/// A channel that somebody listens to.
struct Running<'a> {
    ground: &'a Ground,
    asker: &'a Asker,
    join: Arc<Join>,
    progress: &'a Progress,
    speaker: &'a mut Speaker,
    wanted: Wanted,
    session: Session,
    who: Somebody,
    _here: Option<Arc<Present>>,
    warn_at: Option<Instant>,
    ends_at: Instant,
    tracking: Option<Tracking>,
    /// How often its client may say something of itself.
    credit: Credit,
    /// What its client says of itself, and by which key.
    state: Option<Value>,
    key: String,
}

/// Somebody else asks from now on, who says this of themselves.
struct Another(Somebody, Option<Value>);

impl Channel {
    /// Runs until it is left, or ends with what it says last.
    pub async fn run(self, mut commands: Commands<Command>, pipe: Pipe) -> Out {
        let Self { ground, asker, join, progress } = self;
        let version = ground.version;
        let keeper = ground.resume.clone().map(|resume| Keeper {
            marks: ground.marks.clone(),
            resume,
            topic: asker.topic.clone(),
            progress: progress.clone(),
        });
        let mut speaker = Speaker::new(pipe, version, asker.topic.clone(), Arc::new(join), progress.clone(), keeper);
        let end = lives(&ground, &asker, &progress, &mut speaker, &mut commands).await;
        let (event, why) = match end {
            End::Hangup => return Out::Close(BROKEN),
            End::Refused(why) => ("phx_close", why),
            End::Again(why) => ("phx_error", why),
        };
        if !speaker.is_answered {
            return Out::Text(encode::reply(version, &asker, Err(why)));
        }
        match speaker.system("system", false, &why).await {
            Ok(()) => Out::Text(encode::end(version, &asker.topic, asker.join_ref.as_deref(), event)),
            Err(_) => Out::Close(BROKEN),
        }
    }
}

/// As one person after another, until it ends.
async fn lives(
    ground: &Ground,
    asker: &Asker,
    progress: &Progress,
    speaker: &mut Speaker,
    commands: &mut Commands<Command>,
) -> End {
    let first = match &speaker.join.token {
        None => Ok(ground.opener.clone()),
        Some(token) => ground.keys.of_token(token, &ground.key).await,
    };
    let mut next = match first {
        Ok(somebody) => Another(somebody, None),
        Err(error) => {
            let (code, why) = refusal(error);
            return End::Refused(format!("{code}: {why}"));
        }
    };
    loop {
        let listened = async {
            let mut running = Running::join(ground, asker, progress, speaker, next).await?;
            running.listens(commands).await
        };
        next = match listened.await {
            Ok(another) => another,
            Err(end) => return end,
        };
    }
}

impl Running<'_> {
    /// Tells what happens and does what is asked, until somebody else asks.
    async fn listens(&mut self, commands: &mut Commands<Command>) -> Result<Another, End> {
        loop {
            let next_at = self.warn_at.map_or(self.ends_at, |warn_at| warn_at.min(self.ends_at));
            tokio::select! {
                signal = self.session.next() => self.session.take(signal, self.speaker).await?,
                command = commands.recv() => {
                    if let Some(another) = self.does(command.ok_or(End::Hangup)?).await? {
                        return Ok(another);
                    }
                }
                () = sleep_until(next_at) => self.time_passes().await?,
            }
            self.settles().await?;
        }
    }

    async fn time_passes(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.ends_at <= now {
            return Err(End::Again("Token has expired".to_owned()));
        }
        if self.warn_at.is_some_and(|warn_at| warn_at <= now) {
            self.warn_at = None;
            let left = (self.ends_at - now).as_secs();
            self.speaker.system("system", true, &format!("Token expires in {left} seconds, send a fresh one")).await?;
        }
        Ok(())
    }

    /// When the token ends, and is warned of.
    fn renew(&mut self) {
        let left = self.who.identity.time_left();
        self.ends_at = Instant::now() + left;
        self.warn_at = Some(Instant::now() + left.saturating_sub(WARNING));
    }

    /// Does what the session's tale asks for besides.
    async fn settles(&mut self) -> Result<(), End> {
        for chat in std::mem::take(&mut self.speaker.due.gone) {
            if !self.wanted.named.remove(&chat) {
                continue;
            }
            let is_all = self.join.chat == Some(chat) || self.wanted.named.is_empty() && !self.wanted.all;
            let lost = "You no longer have permission to read from this Channel topic";
            if is_all {
                return Err(End::Refused(format!("{lost}: {}", self.speaker.name())));
            }
            self.speaker.system(ROWS, false, &format!("{lost}: {CHAT}{chat}")).await?;
        }
        let is_present_anew = std::mem::take(&mut self.speaker.due.is_present_anew);
        let is_back = std::mem::take(&mut self.speaker.due.is_back);
        if is_present_anew || is_back {
            self.tells_who_is_present(is_back).await?;
        }
        Ok(())
    }

    /// Tells what people say of themselves in the chat whose channel it is, if its client wants to know. Who has come to the chat by now is
    /// present as they said; who is there no more is not, until they come again; of who may be back it is said again.
    async fn tells_who_is_present(&mut self, is_back: bool) -> Result<(), End> {
        if self.join.chat.is_none() || !self.speaker.hears_presence {
            return Ok(());
        }
        let present = self.present().await?;
        let is_in = present.is_ok();
        let state = presence::state(&present.unwrap_or_default()).to_string();
        self.speaker.say(encode::push(self.ground.version, &self.speaker.topic, "presence_state", &state)).await?;
        if !is_in {
            self.tracking = None;
        } else if (is_back || self.tracking.is_none())
            && let Some(state) = self.state.clone()
        {
            // nobody waits for an answer
            let _ = self.tracks(state);
        }
        Ok(())
    }

    /// What people say of themselves in the chat; why the one who asks neither sees it nor says anything, who only visits it.
    async fn present(&self) -> Result<Result<Vec<Track>, String>, End> {
        let Some(chat) = self.join.chat else { return Ok(Err(NO_CHAT.to_owned())) };
        let states = match self.session.ask_again(&format!("/chats/{chat}/presence/states")).await {
            Ok(states) => states,
            Err(unanswered) if !unanswered.is_passing() => return Ok(Err(format!("Unauthorized: {}", reason(&unanswered)))),
            Err(unanswered) => return Err(unanswered.into()),
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let track = |said: &Value| Some(Track { id: text(&said["id"])?, key: text(&said["key"])?, state: said["state"].clone() });
        Ok(Ok(states["data"].as_array().into_iter().flatten().filter_map(track).collect()))
    }
}
