//! The way from a socket's channels to what the socket sends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::super::session::{Ended, SEND_WAIT};
use super::super::socket::{BYE, Closing};

/// Bytes that wait in a pipe: a channel that would say more waits.
const WAITING_MAX: usize = 256 << 10;
/// What a frame counts at least.
const WEIGHT_MIN: usize = 64;

/// What a socket is to send.
pub enum Out {
    Text(String),
    Binary(Vec<u8>),
    /// Nothing any more.
    Close(Closing),
}

impl Out {
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Close(_) => 0,
        }
    }
}

/// Without what people say: that is not for logs.
impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(closing) => f.debug_tuple("Close").field(closing).finish(),
            Self::Text(_) | Self::Binary(_) => write!(f, "{} bytes", self.length()),
        }
    }
}

/// Where channels put what their socket is to send: first come, first sent.
#[derive(Clone)]
pub struct Pipe {
    out: mpsc::UnboundedSender<(Out, u32)>,
    room: Arc<Semaphore>,
    /// With what a socket is closed of which a channel broke.
    broken: Closing,
    /// Nothing comes this way any more.
    is_shut: Arc<Mutex<bool>>,
}

/// The other end of it.
pub(super) struct Sent {
    pub frames: mpsc::UnboundedReceiver<(Out, u32)>,
    pub room: Arc<Semaphore>,
}

impl Pipe {
    pub(super) fn new(broken: Closing) -> (Self, Sent) {
        let (out, frames) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING_MAX));
        (Self { out, room: Arc::clone(&room), broken, is_shut: Arc::default() }, Sent { frames, room })
    }

    /// A way of one channel's own into the same pipe.
    pub(super) fn branch(&self) -> Self {
        Self { is_shut: Arc::default(), ..self.clone() }
    }

    /// What is put here, or about to be, goes nowhere from now on.
    pub(super) fn shut(&self) {
        *self.is_shut.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// A channel broke whose client takes it for open: the socket is closed instead.
    pub(super) fn breaks(&self) {
        let _ = self.push(Out::Close(self.broken), 0);
    }

    /// Says something. When this ends it stands behind everything that was put before, and in front of everything after.
    ///
    /// Who does not read what they are sent is closed: a channel that ended alone would be one that its client takes for open.
    ///
    /// # Errors
    /// When the socket is no more, or the other side does not read what it is sent.
    pub async fn put(&self, out: Out) -> Result<(), Ended> {
        // one that is longer than the pipe goes through when it is empty
        let weight = u32::try_from(out.length().clamp(WEIGHT_MIN, WAITING_MAX)).unwrap_or(u32::MAX);
        let Ok(Ok(room)) = timeout(SEND_WAIT, self.room.acquire_many(weight)).await else {
            let _ = self.push(Out::Close(BYE), 0);
            return Err(Ended::Hangup);
        };
        self.push(out, weight)?;
        // given back when it is sent
        room.forget();
        Ok(())
    }

    fn push(&self, out: Out, weight: u32) -> Result<(), Ended> {
        let is_shut = self.is_shut.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_shut {
            return Err(Ended::Hangup);
        }
        self.out.send((out, weight)).map_err(|_| Ended::Hangup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Closing = Closing(1011, "broken");

    fn text(out: Option<(Out, u32)>) -> String {
        match out {
            Some((Out::Text(text), _)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_more_than_a_pipe_holds_waits_and_is_given_up() {
        let (pipe, mut sent) = Pipe::new(BROKEN);
        let half = "x".repeat(WAITING_MAX / 2);
        pipe.put(Out::Text(half.clone())).await.expect("there is room");
        pipe.put(Out::Text(half.clone())).await.expect("there is room");
        assert!(pipe.put(Out::Text("one more".to_owned())).await.is_err(), "nobody reads");
        let (_, weight) = sent.frames.recv().await.expect("the first");
        sent.room.add_permits(weight as usize);
        pipe.put(Out::Text("now".to_owned())).await.expect("there is room again");
        assert_eq!(text(sent.frames.recv().await), half);
        assert!(matches!(sent.frames.recv().await, Some((Out::Close(BYE), 0))), "no channel ends alone");
        assert_eq!(text(sent.frames.recv().await), "now");
    }

    #[tokio::test]
    async fn one_that_is_longer_than_the_pipe_goes_through_alone() {
        let (pipe, mut sent) = Pipe::new(BROKEN);
        pipe.put(Out::Binary(vec![0; WAITING_MAX * 2])).await.expect("it is empty");
        assert_eq!(sent.room.available_permits(), 0);
        let (_, weight) = sent.frames.recv().await.expect("it");
        sent.room.add_permits(weight as usize);
        assert_eq!(sent.room.available_permits(), WAITING_MAX);
    }

    #[tokio::test]
    async fn a_way_that_is_shut_leads_nowhere_and_takes_no_room() {
        let (pipe, mut sent) = Pipe::new(BROKEN);
        let (one, other) = (pipe.branch(), pipe.branch());
        one.put(Out::Text("before".to_owned())).await.expect("it is open");
        one.shut();
        assert!(one.clone().put(Out::Text("after".to_owned())).await.is_err());
        one.breaks();
        other.put(Out::Text("another".to_owned())).await.expect("it is open");
        assert_eq!(text(sent.frames.recv().await), "before");
        assert_eq!(text(sent.frames.recv().await), "another");
        assert_eq!(sent.room.available_permits(), WAITING_MAX - 2 * WEIGHT_MIN);
    }

    #[test]
    fn what_is_sent_stands_in_no_log() {
        for out in [Out::Text("between us".to_owned()), Out::Binary(b"between us".to_vec())] {
            assert_eq!(format!("{out:?}"), "10 bytes");
        }
    }
}
