//! A socket, as every protocol has it: what is said is bounded before it is waited for, frames come at a rate, and an end has a code.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use poem::web::websocket::{CloseCode, Message, WebSocketStream};
use tokio::time::{Instant, timeout};

use super::session::{Ended, SEND_WAIT};

/// The longest frame that is read, in bytes: as the longest body of a request.
pub const FRAME_MAX: usize = 1 << 20;
/// How often a silent connection is pinged.
pub const PING_EVERY: Duration = Duration::from_secs(25);
/// How long a connection may be silent: two pings without an answer.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes that are said before they are sent and waited for.
const UNSENT_MAX: usize = 64 << 10;
/// How long the other side may take to close its end.
const LINGER: Duration = Duration::from_secs(2);
/// Frames that a client may send at once, and one more each [`REFILL`].
pub const BURST: u32 = 100;
pub const REFILL: Duration = Duration::from_millis(20);

/// With which code this side closes a socket, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing(pub u16, pub &'static str);

/// They went, or nothing more is to be said.
pub const BYE: Closing = Closing(1000, "");

/// What is received.
pub enum Received {
    Text(String),
    Binary(Vec<u8>),
    /// Nothing but that the other side is there.
    Sign,
    /// A frame that is longer than [`FRAME_MAX`].
    TooLong,
    /// They went.
    End,
}

/// A socket, as a session tells it.
pub struct Socket {
    stream: WebSocketStream,
    /// Bytes that were said and perhaps not sent yet.
    unsent: usize,
}

impl Socket {
    /// One over which nothing was said yet.
    pub fn new(stream: WebSocketStream) -> Self {
        Self { stream, unsent: 0 }
    }

    /// What comes next. Nothing is lost if nobody waits for it to the end.
    pub async fn next(&mut self) -> Received {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Received::Text(text),
            Some(Ok(Message::Binary(bytes))) => Received::Binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Sign,
            // what stands behind poem's error has no name here but its text
            Some(Err(error)) if error.to_string().starts_with("Space limit exceeded") => Received::TooLong,
            Some(Ok(Message::Close(_)) | Err(_)) | None => Received::End,
        }
    }

    /// Says something: it is sent with the next [`Socket::flush`], or before.
    ///
    /// # Errors
    /// When the other side does not take what was said before.
    pub async fn say(&mut self, message: Message) -> Result<(), Ended> {
        // what the other side does not read would gather here
        if self.unsent > UNSENT_MAX {
            self.flush().await?;
        }
        self.unsent += match &message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
            _ => 0,
        };
        match timeout(SEND_WAIT, self.stream.feed(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Ended::Hangup),
        }
    }

    /// Sends what was said.
    ///
    /// # Errors
    /// When the other side does not take it.
    pub async fn flush(&mut self) -> Result<(), Ended> {
        self.unsent = 0;
        match timeout(SEND_WAIT, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Ended::Hangup),
        }
    }

    /// Asks whether the other side is there.
    ///
    /// # Errors
    /// When it does not take the question.
    pub async fn ping(&mut self) -> Result<(), Ended> {
        self.say(Message::Ping(Vec::new())).await?;
        self.flush().await
    }

    /// Closes it, and waits a moment for the other side to do so.
    pub async fn close(mut self, Closing(code, reason): Closing) {
        let bye = async {
            let _ = self.stream.send(Message::close_with(CloseCode::from(code), reason)).await;
            // what they have sent meanwhile is read: else the system would reset the connection, and the code never arrive
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        let _ = timeout(LINGER, bye).await;
    }
}

/// How much more a client may send: frames, or a kind of them.
#[derive(Debug)]
pub struct Credit {
    burst: u32,
    refill: Duration,
    left: u32,
    at: Instant,
}

impl Default for Credit {
    fn default() -> Self {
        Self::of(BURST, REFILL)
    }
}

impl Credit {
    /// So much at once, and one more each time.
    pub fn of(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, left: burst, at: Instant::now() }
    }

    /// Whether one more frame is within what a client may send.
    pub fn spend(&mut self) -> bool {
        let now = Instant::now();
        let earned = u32::try_from((now - self.at).as_millis() / self.refill.as_millis().max(1)).unwrap_or(self.burst);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.burst);
            self.at = now;
        }
        let is_within = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_within
    }
}

/// When a silent connection is asked whether it is there, and when it is given up.
#[derive(Debug)]
pub struct Patience {
    heard_at: Instant,
    ping_at: Instant,
}

/// What a silent connection is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    Ping,
    /// Nothing was heard for longer than [`IDLE_MAX`].
    End,
}

impl Default for Patience {
    fn default() -> Self {
        let now = Instant::now();
        Self { heard_at: now, ping_at: now + PING_EVERY }
    }
}

impl Patience {
    /// Something was heard.
    pub fn hear(&mut self) {
        self.heard_at = Instant::now();
    }

    /// When something is due.
    pub fn next_at(&self) -> Instant {
        self.ping_at
    }

    /// What is due now.
    pub fn due(&mut self) -> Due {
        let now = Instant::now();
        if now < self.ping_at {
            return Due::Nothing;
        }
        self.ping_at = now + PING_EVERY;
        if self.heard_at.elapsed() > IDLE_MAX { Due::End } else { Due::Ping }
    }
}
