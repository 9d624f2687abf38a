//! Those who listen: each on a socket of its own, all on one thread of their own. Frames are counted, and one in 61 is read.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::socket::Socket;

/// One frame of so many is read as a whole.
const READ_ONE_OF: u64 = 61;
/// How many connect at once.
const CONNECTING: usize = 16;
/// How long one may take to be told that it listens.
const CONNECT_WAIT: Duration = Duration::from_secs(20);

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// JSON texts with a type, as in `openapi/live.md`.
    Frames,
    /// socket.io over engine.io, as much of it as is needed.
    SocketIo,
}

impl Dialect {
    /// What the frame of a message begins with.
    const fn event(self) -> &'static [u8] {
        match self {
            Self::Frames => br#"{"type":"message.created""#,
            Self::SocketIo => br#"42["message.created""#,
        }
    }

    /// Whether a frame is that of a message that was sent.
    fn is_right(self, frame: &[u8]) -> bool {
        let text = match self {
            Self::Frames => serde_json::from_slice::<Value>(frame).map(|frame| frame["payload"]["text"].clone()),
            Self::SocketIo => serde_json::from_slice::<Value>(&frame[2..]).map(|frame| frame[1]["text"].clone()),
        };
        // as `scenarios::words` ends
        text.is_ok_and(|text| text.as_str().is_some_and(|text| text.ends_with(')')))
    }
}

/// Who listens to what.
pub struct Member {
    pub token: String,
    pub chats: Vec<String>,
}

/// What the crowd has heard.
pub struct Board {
    begun: Instant,
    thread: AtomicI32,
    heard: AtomicU64,
    bytes: AtomicU64,
    wrong: AtomicU64,
    /// So many hear each message.
    each: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    lost: Mutex<Option<String>>,
    /// Rings when everybody has heard one more.
    all: Notify,
}

impl Board {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            thread: AtomicI32::new(0),
            heard: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            each: AtomicU64::new(1),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            lost: Mutex::new(None),
            all: Notify::new(),
        }
    }

    /// Forgets what was heard: from now on so many hear each message.
    pub fn begin(&self, each: usize) {
        self.each.store(each as u64, Relaxed);
        for number in [&self.heard, &self.bytes, &self.wrong] {
            number.store(0, Relaxed);
        }
    }

    fn hear(&self, dialect: Dialect, frame: &[u8]) {
        let before = self.heard.fetch_add(1, Relaxed);
        let each = self.each.load(Relaxed);
        if before.is_multiple_of(each) {
            self.first.store(self.now(), Relaxed);
        }
        if (before + 1).is_multiple_of(each) {
            self.last.store(self.now(), Relaxed);
            self.all.notify_waiters();
        }
        self.bytes.fetch_add(frame.len() as u64, Relaxed);
        if before.is_multiple_of(READ_ONE_OF) && !dialect.is_right(frame) {
            self.wrong.fetch_add(1, Relaxed);
        }
    }

    /// The thread that they are all on.
    pub fn thread(&self) -> i32 {
        self.thread.load(Relaxed)
    }

    /// Nanoseconds since the board was made.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When the last message was there first, and when everybody had it: if one is sent when all have the one before.
    pub fn times(&self) -> (u64, u64) {
        (self.first.load(Relaxed), self.last.load(Relaxed))
    }

    pub fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// Bytes of a frame, on average.
    pub fn frame_bytes(&self) -> u64 {
        self.bytes.load(Relaxed) / self.heard().max(1)
    }

    /// Frames that were read and wrong.
    pub fn wrong(&self) -> u64 {
        self.wrong.load(Relaxed)
    }

    /// Why the first connection ended that did.
    pub fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many frames were heard; false: they were not in time.
    pub async fn wait_for(&self, count: u64, patience: Duration) -> bool {
        let wait = async {
            loop {
                let rung = self.all.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if self.heard() >= count {
                    return;
                }
                rung.await;
            }
        };
        timeout(patience, wait).await.is_ok() || self.heard() >= count
    }
}

struct Order {
    members: Vec<Member>,
    done: oneshot::Sender<anyhow::Result<()>>,
}

/// Everybody who listens to one server; they hang up when this is dropped.
pub struct Crowd {
    pub board: Arc<Board>,
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(address: SocketAddr, dialect: Dialect) -> anyhow::Result<Self> {
        let board = Arc::new(Board::new());
        let (orders, mut given) = mpsc::unbounded_channel::<Order>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let heard = Arc::clone(&board);
        let thread = std::thread::Builder::new().name("crowd".to_owned()).spawn(move || {
            heard.thread.store(nix::unistd::gettid().as_raw(), Relaxed);
            runtime.block_on(async {
                let mut listening = JoinSet::new();
                while let Some(order) = given.recv().await {
                    let gathered = gather(address, dialect, order.members, &heard, &mut listening).await;
                    let _ = order.done.send(gathered);
                }
            });
        })?;
        Ok(Self { board, orders: Some(orders), thread: Some(thread) })
    }

    /// Has more of them listen; returns when all do.
    pub async fn grow(&self, members: Vec<Member>) -> anyhow::Result<()> {
        let (done, gathered) = oneshot::channel();
        let orders = self.orders.as_ref().context("the crowd has gone")?;
        orders.send(Order { members, done }).map_err(|_| anyhow!("the crowd has gone"))?;
        gathered.await?
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn gather(
    address: SocketAddr,
    dialect: Dialect,
    members: Vec<Member>,
    board: &Arc<Board>,
    listening: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let mut connecting = JoinSet::new();
    let mut members = members.into_iter();
    loop {
        while connecting.len() < CONNECTING
            && let Some(member) = members.next()
        {
            connecting.spawn(async move { timeout(CONNECT_WAIT, connect(address, dialect, &member)).await });
        }
        let Some(connected) = connecting.join_next().await else { return Ok(()) };
        let socket = connected?.context("it does not say that one listens")?.context("a subscriber")?;
        listening.spawn(listen(socket, dialect, Arc::clone(board)));
    }
}

async fn connect(address: SocketAddr, dialect: Dialect, member: &Member) -> io::Result<Socket> {
    match dialect {
        Dialect::Frames => {
            let mut socket = Socket::open(address, &format!("/ws?token={}", member.token)).await?;
            for chat in &member.chats {
                socket.say(&json!({ "type": "subscribe", "chatId": chat, "ref": "s" }).to_string()).await?;
            }
            for _ in &member.chats {
                until(&mut socket, |frame| frame.starts_with(br#"{"type":"ack""#)).await?;
            }
            Ok(socket)
        }
        Dialect::SocketIo => {
            let mut socket = Socket::open(address, "/socket.io/?EIO=4&transport=websocket").await?;
            until(&mut socket, |frame| frame.starts_with(b"0{")).await?;
            socket.say(&format!("40{}", json!({ "token": member.token }))).await?;
            until(&mut socket, |frame| frame.starts_with(b"40{")).await?;
            socket.say(&format!("420{}", json!(["subscribe", member.chats]))).await?;
            until(&mut socket, |frame| frame.starts_with(b"430[true")).await?;
            Ok(socket)
        }
    }
}

async fn until(socket: &mut Socket, is_it: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    loop {
        let frame = socket.next().await?;
        if is_it(frame) {
            return Ok(());
        }
        if frame.starts_with(br#"{"type":"error""#) || frame.starts_with(b"44") || frame.starts_with(b"430[false") {
            return Err(io::Error::other(String::from_utf8_lossy(frame).into_owned()));
        }
    }
}

async fn listen(mut socket: Socket, dialect: Dialect, board: Arc<Board>) {
    let end = loop {
        match socket.next().await {
            Ok(frame) if frame.starts_with(dialect.event()) => board.hear(dialect, frame),
            Ok(b"2") if dialect == Dialect::SocketIo => {
                if let Err(error) = socket.say("3").await {
                    break error;
                }
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    board.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end.to_string());
}
