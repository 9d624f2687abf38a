//! The channels of a socket that are open, and what they are asked to do.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::pipe::{Out, Pipe};

/// Channels that one socket may carry.
pub const CHANNELS_MAX: usize = 100;
/// What waits to be done by one channel at most: more than a client may send at once.
const COMMANDS_MAX: usize = 128;
/// What waits to be done by all channels of a socket, in bytes of the frames that asked for it.
const COMMANDS_BYTES_MAX: usize = 2 << 20;
/// What each counts at least.
const WEIGHT_MIN: usize = 64;

/// The channels of a socket, by their names. Dropped, they are left.
pub struct Channels<Command> {
    open: HashMap<String, Channel<Command>>,
    room: Arc<Semaphore>,
}

/// Why a channel is not asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// It is not open.
    Closed,
    /// Too much waits to be done.
    Full,
}

struct Channel<Command> {
    commands: mpsc::Sender<(Command, OwnedSemaphorePermit)>,
    pipe: Pipe,
    task: JoinHandle<()>,
}

impl<Command> Drop for Channel<Command> {
    fn drop(&mut self) {
        // it may be saying something just now, by another thread
        self.pipe.shut();
        self.task.abort();
    }
}

/// What a channel is asked to do, in order.
pub struct Commands<Command> {
    waiting: mpsc::Receiver<(Command, OwnedSemaphorePermit)>,
    doing: Option<OwnedSemaphorePermit>,
}

impl<Command> Commands<Command> {
    /// The next; what was given before is done. None: nothing will be asked any more.
    pub async fn recv(&mut self) -> Option<Command> {
        self.doing = None;
        let (command, room) = self.waiting.recv().await?;
        self.doing = Some(room);
        Some(command)
    }
}

/// A channel that runs. Dropped without having said that it ends, it broke.
struct Running(Option<Pipe>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pipe) = &self.0 {
            pipe.breaks();
        }
    }
}

impl<Command> Default for Channels<Command> {
    fn default() -> Self {
        Self { open: HashMap::new(), room: Arc::new(Semaphore::new(COMMANDS_BYTES_MAX)) }
    }
}

impl<Command: Send + 'static> Channels<Command> {
    /// Begins a channel, in place of one of that name. False: there are as many as there may be.
    ///
    /// What its task ends with is the last that it says. One that panics closes the socket: its client would take it for open.
    pub fn open<Task>(&mut self, name: String, pipe: &Pipe, begin: impl FnOnce(Commands<Command>, Pipe) -> Task) -> bool
    where
        Task: Future<Output = Out> + Send + 'static,
    {
        self.open.remove(&name);
        if self.open.len() >= CHANNELS_MAX {
            self.open.retain(|_, channel| !channel.task.is_finished());
        }
        if self.open.len() >= CHANNELS_MAX {
            return false;
        }
        let (commands, waiting) = mpsc::channel(COMMANDS_MAX);
        let pipe = pipe.branch();
        let work = begin(Commands { waiting, doing: None }, pipe.clone());
        let mut running = Running(Some(pipe.clone()));
        let task = tokio::spawn(async move {
            let last = work.await;
            if let Some(pipe) = running.0.take() {
                // whether anybody reads it is nobody's concern any more
                let _ = pipe.put(last).await;
            }
        });
        self.open.insert(name, Channel { commands, pipe, task });
        true
    }

    /// Whether a channel is open.
    pub fn has(&self, name: &str) -> bool {
        self.open.get(name).is_some_and(|channel| !channel.task.is_finished())
    }

    /// Has a channel do what a frame of so many bytes asks for. Never waits: a channel that does keeps no other waiting.
    ///
    /// # Errors
    /// When it is not open, or too much waits.
    pub fn tell(&self, name: &str, command: Command, bytes: usize) -> Result<(), Untold> {
        let channel = self.open.get(name).ok_or(Untold::Closed)?;
        let weight = u32::try_from(bytes.clamp(WEIGHT_MIN, COMMANDS_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(weight).map_err(|_| Untold::Full)?;
        channel.commands.try_send((command, room)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Untold::Full,
            mpsc::error::TrySendError::Closed(_) => Untold::Closed,
        })
    }

    /// Leaves a channel: when this ends, nothing more is heard of it but what was put before. False: it was not open.
    pub fn leave(&mut self, name: &str) -> bool {
        self.open.remove(name).is_some_and(|channel| !channel.task.is_finished())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use super::super::super::socket::Closing;
    use super::super::pipe::Sent;
    use super::*;

    const BROKEN: Closing = Closing(1011, "broken");

    /// A channel that says what it is asked to do, when it is let.
    async fn echoes(mut commands: Commands<u32>, pipe: Pipe, may: Arc<Semaphore>) -> Out {
        while let Some(command) = commands.recv().await {
            may.acquire().await.expect("open").forget();
            let _ = pipe.put(Out::Text(command.to_string())).await;
        }
        Out::Text("nothing more".to_owned())
    }

    fn ready() -> (Channels<u32>, Pipe, Sent, Arc<Semaphore>) {
        let (pipe, sent) = Pipe::new(BROKEN);
        (Channels::default(), pipe, sent, Arc::new(Semaphore::new(0)))
    }

    /// What is sent next; none, when nothing is any more.
    async fn said(sent: &mut Sent) -> Option<String> {
        let (out, _) = sent.frames.recv().await?;
        Some(if let Out::Text(text) = out { text } else { format!("{out:?}") })
    }

    #[tokio::test]
    async fn a_channel_is_told_until_it_is_left_and_there_are_so_many() {
        let (mut channels, pipe, mut sent, may) = ready();
        may.add_permits(1);
        let begin = || {
            let may = Arc::clone(&may);
            |commands, pipe| echoes(commands, pipe, may)
        };
        assert!(channels.open("one".to_owned(), &pipe, begin()));
        assert!(channels.has("one") && !channels.has("two"));
        assert_eq!((channels.tell("one", 1, 1), channels.tell("two", 2, 1)), (Ok(()), Err(Untold::Closed)));
        assert_eq!(said(&mut sent).await.as_deref(), Some("1"));
        assert!(channels.leave("one") && !channels.leave("one"));
        for n in 0..CHANNELS_MAX {
            assert!(channels.open(n.to_string(), &pipe, begin()));
        }
        assert!(!channels.open("one more".to_owned(), &pipe, begin()));
        assert!(channels.open("0".to_owned(), &pipe, begin()), "in place of one that was there");
    }

    #[tokio::test]
    async fn who_asks_for_more_than_can_wait_is_told_so_and_kept_waiting_by_nobody() {
        let (mut channels, pipe, mut sent, may) = ready();
        for name in ["one", "two"] {
            let may = Arc::clone(&may);
            channels.open(name.to_owned(), &pipe, |commands, pipe| echoes(commands, pipe, may));
        }
        // in number, of one
        let told = (0..u32::MAX).take_while(|n| channels.tell("one", *n, 1) == Ok(())).count();
        assert_eq!(told, COMMANDS_MAX);
        assert_eq!(channels.tell("one", 0, 1), Err(Untold::Full));
        assert_eq!(channels.tell("two", 0, 1), Ok(()), "the others are asked as before");
        // in bytes, of all together
        assert!(channels.leave("one") && channels.leave("two"));
        // what they were asked for is gone with their tasks
        while channels.room.available_permits() < COMMANDS_BYTES_MAX {
            tokio::task::yield_now().await;
        }
        for name in ["one", "two"] {
            let may = Arc::clone(&may);
            channels.open(name.to_owned(), &pipe, |commands, pipe| echoes(commands, pipe, may));
        }
        let half = COMMANDS_BYTES_MAX / 2;
        assert_eq!((channels.tell("one", 1, half), channels.tell("two", 2, half)), (Ok(()), Ok(())));
        assert_eq!(channels.tell("one", 3, 1), Err(Untold::Full));
        may.add_permits(1);
        said(&mut sent).await;
        // what is done makes room
        while channels.tell("one", 3, half) == Err(Untold::Full) {
            tokio::task::yield_now().await;
        }
        assert_eq!(channels.tell("two", 4, half), Err(Untold::Full), "once");
    }

    #[tokio::test]
    async fn a_channel_that_breaks_closes_its_socket_and_one_that_ends_says_so() {
        let (mut channels, pipe, mut sent, may) = ready();
        channels.open("one".to_owned(), &pipe, |_, _| async { panic!("a channel of the tests breaks") });
        assert_eq!(said(&mut sent).await, Some(format!("{:?}", Out::Close(BROKEN))));
        channels.open("two".to_owned(), &pipe, |_, _| async { Out::Text("the end".to_owned()) });
        assert_eq!(said(&mut sent).await.as_deref(), Some("the end"));
        // one that is left does neither
        channels.open("three".to_owned(), &pipe, |commands, pipe| echoes(commands, pipe, may));
        tokio::task::yield_now().await;
        channels.leave("three");
        channels.open("four".to_owned(), &pipe, |_, _| async { Out::Text("and then this".to_owned()) });
        assert_eq!(said(&mut sent).await.as_deref(), Some("and then this"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_heard_of_a_channel_after_it_is_left() {
        let (mut channels, pipe, mut sent, _) = ready();
        let (begun, has_begun) = blocking::channel();
        let (go_on, may_go_on) = blocking::channel::<()>();
        // what has been awaited already goes on by another thread while the channel is left
        let begin = |_, pipe: Pipe| async move {
            begun.send(()).expect("the test");
            may_go_on.recv().expect("the test");
            let _ = pipe.put(Out::Text("too late".to_owned())).await;
            Out::Text("too late".to_owned())
        };
        channels.open("one".to_owned(), &pipe, begin);
        has_begun.recv().expect("the channel");
        channels.leave("one");
        go_on.send(()).expect("the channel");
        channels.open("one".to_owned(), &pipe, |_, _| async { Out::Text("after".to_owned()) });
        assert_eq!(said(&mut sent).await.as_deref(), Some("after"));
        drop((channels, pipe));
        assert_eq!(said(&mut sent).await, None, "all of it has ended");
    }
}
