//! Sockets that carry several channels at once. Each channel is a task with a session of its own, and so with a token of its own; what all of
//! them say goes through one [`Pipe`], which the socket's own task writes.
//!
//! So a channel that waits for the database keeps no other waiting, nor what keeps the socket alive, and who leaves a channel drops it.
//! Knows no protocol: a [`Protocol`] reads what a client says, and answers into the pipe.

use std::collections::HashMap;
use std::sync::Arc;

use poem::web::websocket::{Message, WebSocketStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use super::session::{Ended, SEND_WAIT};
use super::socket::{BYE, Closing, Credit, Due, Patience, Received, Socket};

/// Channels that one socket may carry.
pub const CHANNELS_MAX: usize = 100;
/// Bytes that wait in a pipe: a channel that would say more waits.
const WAITING_MAX: usize = 256 << 10;
/// What a frame counts at least.
const WEIGHT_MIN: usize = 64;
/// What waits to be done by one channel at most; who asks for more waits.
const COMMANDS_MAX: usize = 32;

/// What a socket is to send.
#[derive(Debug)]
pub enum Out {
    Text(String),
    Binary(Vec<u8>),
    /// Nothing any more.
    Close(Closing),
}

/// What a client says.
#[derive(Debug)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
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

/// Where channels put what their socket is to send: first come, first sent.
#[derive(Clone)]
pub struct Pipe {
    out: mpsc::UnboundedSender<(Out, u32)>,
    room: Arc<Semaphore>,
}

impl Pipe {
    fn new() -> (Self, mpsc::UnboundedReceiver<(Out, u32)>) {
        let (out, sent) = mpsc::unbounded_channel();
        (Self { out, room: Arc::new(Semaphore::new(WAITING_MAX)) }, sent)
    }

    /// Says something. When this ends it stands behind everything that was put before, and in front of everything after.
    ///
    /// Who does not read what they are sent is closed: a channel that ended alone would be one that its client takes for open.
    ///
    /// # Errors
    /// When the socket is no more, or the other side does not read what it is sent.
    pub async fn put(&self, out: Out) -> Result<(), Ended> {
        let length = match &out {
            Out::Text(text) => text.len(),
            Out::Binary(bytes) => bytes.len(),
            Out::Close(_) => 0,
        };
        // one that is longer than the pipe goes through when it is empty
        let weight = u32::try_from(length.clamp(WEIGHT_MIN, WAITING_MAX)).unwrap_or(u32::MAX);
        let Ok(Ok(room)) = timeout(SEND_WAIT, self.room.acquire_many(weight)).await else {
            let _ = self.out.send((Out::Close(BYE), 0));
            return Err(Ended::Hangup);
        };
        room.forget();
        self.out.send((out, weight)).map_err(|_| Ended::Hangup)
    }
}

/// The channels of a socket, by their names. Dropped, they are left.
pub struct Channels<Command> {
    open: HashMap<String, Channel<Command>>,
}

struct Channel<Command> {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

impl<Command> Drop for Channel<Command> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<Command> Default for Channels<Command> {
    fn default() -> Self {
        Self { open: HashMap::new() }
    }
}

impl<Command: Send> Channels<Command> {
    /// Begins a channel, in place of one of that name. False: there are as many as there may be.
    pub fn open<Task>(&mut self, name: String, begin: impl FnOnce(mpsc::Receiver<Command>) -> Task) -> bool
    where
        Task: Future<Output = ()> + Send + 'static,
    {
        self.open.remove(&name);
        if self.open.len() >= CHANNELS_MAX {
            self.open.retain(|_, channel| !channel.task.is_finished());
        }
        if self.open.len() >= CHANNELS_MAX {
            return false;
        }
        let (commands, to_do) = mpsc::channel(COMMANDS_MAX);
        let task = tokio::spawn(begin(to_do));
        self.open.insert(name, Channel { commands, task });
        true
    }

    /// Whether a channel is open.
    pub fn has(&self, name: &str) -> bool {
        self.open.get(name).is_some_and(|channel| !channel.task.is_finished())
    }

    /// Has a channel do something. False: it is not open.
    pub async fn tell(&self, name: &str, command: Command) -> bool {
        match self.open.get(name) {
            Some(channel) => channel.commands.send(command).await.is_ok(),
            None => false,
        }
    }

    /// Has every channel do something.
    pub async fn tell_all(&self, command: impl Fn() -> Command) {
        for channel in self.open.values() {
            let _ = channel.commands.send(command()).await;
        }
    }

    /// Leaves a channel. False: it was not open.
    pub fn leave(&mut self, name: &str) -> bool {
        self.open.remove(name).is_some_and(|channel| !channel.task.is_finished())
    }
}

/// Serves a socket until either side ends it.
pub async fn serve<P: Protocol>(stream: WebSocketStream, mut protocol: P, hub: Arc<Hub>, stop: CancellationToken) {
    let (pipe, sent) = Pipe::new();
    let mut end = End { socket: Socket::new(stream), room: Arc::clone(&pipe.room), sent };
    let closing = talk(&mut end, &mut protocol, &pipe, &hub, &stop).await;
    // its channels end before the socket does
    drop(protocol);
    end.socket.close(closing).await;
}

/// The socket's end of the pipe.
struct End {
    socket: Socket,
    sent: mpsc::UnboundedReceiver<(Out, u32)>,
    room: Arc<Semaphore>,
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
            Some(first) = end.sent.recv() => end.send(first).await,
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
                Some(first) = self.sent.recv() => self.send(first).await?,
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
            self.room.add_permits(weight as usize);
            next = self.sent.try_recv().ok();
        }
        self.socket.flush().await.map_err(|_| BYE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: Option<(Out, u32)>) -> String {
        match out {
            Some((Out::Text(text), _)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_more_than_a_pipe_holds_waits_and_is_given_up() {
        let (pipe, mut sent) = Pipe::new();
        let half = "x".repeat(WAITING_MAX / 2);
        pipe.put(Out::Text(half.clone())).await.expect("there is room");
        pipe.put(Out::Text(half.clone())).await.expect("there is room");
        assert!(pipe.put(Out::Text("one more".to_owned())).await.is_err(), "nobody reads");
        let (_, weight) = sent.recv().await.expect("the first");
        pipe.room.add_permits(weight as usize);
        pipe.put(Out::Text("now".to_owned())).await.expect("there is room again");
        assert_eq!(text(sent.recv().await), half);
        assert!(matches!(sent.recv().await, Some((Out::Close(BYE), 0))), "no channel ends alone");
        assert_eq!(text(sent.recv().await), "now");
    }

    #[tokio::test]
    async fn one_that_is_longer_than_the_pipe_goes_through_alone() {
        let (pipe, mut sent) = Pipe::new();
        pipe.put(Out::Binary(vec![0; WAITING_MAX * 2])).await.expect("it is empty");
        assert_eq!(pipe.room.available_permits(), 0);
        let (_, weight) = sent.recv().await.expect("it");
        pipe.room.add_permits(weight as usize);
        assert_eq!(pipe.room.available_permits(), WAITING_MAX);
    }

    #[tokio::test]
    async fn a_channel_is_told_until_it_is_left_and_there_are_so_many() {
        let (done, mut was_done) = mpsc::unbounded_channel();
        let mut channels = Channels::default();
        let begin = |done: mpsc::UnboundedSender<u32>| {
            |mut to_do: mpsc::Receiver<u32>| async move {
                while let Some(command) = to_do.recv().await {
                    let _ = done.send(command);
                }
            }
        };
        assert!(channels.open("one".to_owned(), begin(done.clone())));
        assert!(channels.has("one") && !channels.has("two"));
        assert!(channels.tell("one", 1).await && !channels.tell("two", 2).await);
        assert_eq!(was_done.recv().await, Some(1));
        assert!(channels.leave("one") && !channels.leave("one"));
        for n in 0..CHANNELS_MAX {
            assert!(channels.open(n.to_string(), begin(done.clone())));
        }
        assert!(!channels.open("one more".to_owned(), begin(done.clone())));
        assert!(channels.open("0".to_owned(), begin(done)), "in place of one that was there");
    }
}
