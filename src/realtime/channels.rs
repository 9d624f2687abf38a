//! Sockets that carry several channels at once. Each channel is a task with a session of its own, and so with a token of its own; what all of
//! them say goes through one [`Pipe`], which the socket's own task writes.
//!
//! So a channel that waits for the database keeps no other waiting, nor what keeps the socket alive, and who leaves a channel drops it.
//! Knows no protocol: a [`Protocol`] reads what a client says, and answers into the pipe.

mod open;
mod pipe;

use std::sync::Arc;

use poem::web::websocket::{Message, WebSocketStream};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

pub use self::open::{Channels, Commands, Untold};
use self::pipe::Sent;
pub use self::pipe::{Out, Pipe};
use super::hub::Hub;
use super::socket::{BYE, Closing, Credit, Due, Patience, Received, Socket};

/// What a client says.
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
}

impl Heard {
    /// In bytes.
    pub fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// Why a socket is closed that did nothing but what every protocol has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The server stops: they are to come back, to another.
    Stopping,
    /// They send too many frames,
    TooMany,
    /// or one that is too long.
    TooLong,
    /// Nothing was heard of them for a while.
    Silent,
    /// A channel of it broke.
    Broken,
    /// What they are sent they do not read.
    Slow,
}

/// What a protocol does with a socket.
pub trait Protocol: Send {
    /// Does what a client asks for; what is to be answered goes into the pipe.
    fn hear(&mut self, heard: Heard, pipe: &Pipe) -> impl Future<Output = Result<(), Closing>> + Send;

    /// Says what comes before anything else.
    fn begin(&mut self, pipe: &Pipe) -> impl Future<Output = Result<(), Closing>> + Send {
        let _ = pipe;
        async { Ok(()) }
    }

    /// When something is due besides.
    fn next_at(&self) -> Option<tokio::time::Instant> {
        None
    }

    /// Does it.
    fn time_passes(&mut self, pipe: &Pipe) -> impl Future<Output = Result<(), Closing>> + Send {
        let _ = pipe;
        async { Ok(()) }
    }

    /// The code that its clients understand.
    fn closing(&self, why: Why) -> Closing;
}

/// Serves a socket until either side ends it.
pub async fn serve<P: Protocol>(stream: WebSocketStream, mut protocol: P, hub: Arc<Hub>, stop: CancellationToken) {
    let (pipe, sent) = Pipe::new(protocol.closing(Why::Broken));
    let mut end = End { socket: Socket::new(stream), sent };
    let closing = match talk(&mut end, &mut protocol, &pipe, &hub, &stop).await {
        // who went does not hear it, and who has read nothing for long is to come back
        BYE => protocol.closing(Why::Slow),
        closing => closing,
    };
    // its channels end before the socket does
    drop(protocol);
    end.socket.close(closing).await;
}

/// The socket's end of the pipe.
struct End {
    socket: Socket,
    sent: Sent,
}

async fn talk<P: Protocol>(end: &mut End, protocol: &mut P, pipe: &Pipe, hub: &Hub, stop: &CancellationToken) -> Closing {
    let (mut credit, mut patience) = (Credit::default(), Patience::default());
    if let Err(closing) = end.meanwhile(protocol.begin(pipe)).await {
        return closing;
    }
    loop {
        let next_at = protocol.next_at().map_or(patience.next_at(), |at| at.min(patience.next_at()));
        let step = tokio::select! {
            () = stop.cancelled() => {
                // one after the other: they all come back at once, to somebody else
                let spread = async { sleep(hub.spread()).await; Ok(()) };
                end.meanwhile(spread).await.and_then(|()| Err(protocol.closing(Why::Stopping)))
            }
            () = sleep_until(next_at) => match patience.due() {
                Due::End => Err(protocol.closing(Why::Silent)),
                Due::Ping => end.socket.ping().await.map_err(|_| BYE),
                Due::Nothing => end.meanwhile(protocol.time_passes(pipe)).await,
            },
            Some(first) = end.sent.frames.recv() => end.send(first).await,
            received = end.socket.next() => {
                patience.hear();
                let heard = match received {
                    Received::Text(text) => Heard::Text(text),
                    Received::Binary(bytes) => Heard::Binary(bytes),
                    Received::Sign => continue,
                    Received::TooLong => return protocol.closing(Why::TooLong),
                    Received::End => return BYE,
                };
                if !credit.spend() {
                    return protocol.closing(Why::TooMany);
                }
                Box::pin(end.meanwhile(protocol.hear(heard, pipe))).await
            }
        };
        if let Err(closing) = step {
            return closing;
        }
    }
}

impl End {
    /// Sends what is put into the pipe while something else is done, which may wait for room in it.
    async fn meanwhile(&mut self, work: impl Future<Output = Result<(), Closing>> + Send) -> Result<(), Closing> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(first) = self.sent.frames.recv() => self.send(first).await?,
            }
        }
    }

    /// Sends something, and what waits behind it.
    async fn send(&mut self, first: (Out, u32)) -> Result<(), Closing> {
        let mut next = Some(first);
        while let Some((out, weight)) = next {
            let message = match out {
                Out::Text(text) => Message::Text(text),
                Out::Binary(bytes) => Message::Binary(bytes),
                Out::Close(closing) => return Err(closing),
            };
            self.socket.say(message).await.map_err(|_| BYE)?;
            self.sent.room.add_permits(weight as usize);
            next = self.sent.frames.try_recv().ok();
        }
        self.socket.flush().await.map_err(|_| BYE)
    }
}
