//! A connection to the live part over any protocol, as a client sees it: frames, signs of life, an end. Whatever the protocol, frames are in the
//! words of the WebSocket at `/ws`.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};
use uuid::Uuid;

use super::tongue::{self, Tongue};
use crate::support::Person;
use crate::support::stream::{Events, Said};

/// How long a client waits until it is connected.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The receive buffer of who reads slowly, in bytes.
const NARROW: u32 = 8 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A WebSocket that listens to chats by name.
    SocketOne,
    /// A WebSocket that listens to all chats.
    SocketAll,
    /// Server-sent events of one chat.
    StreamOne,
    /// Server-sent events of all chats.
    StreamAll,
    /// Supabase Realtime 1.0.0, with a channel for each of some chats.
    SupabaseOne,
    /// Supabase Realtime 2.0.0, with a channel of all chats.
    SupabaseAll,
    /// Pusher Channels, with a channel for each of some chats.
    PusherOne,
}

pub const PROTOCOLS: [Protocol; 7] = [
    Protocol::SocketOne,
    Protocol::SocketAll,
    Protocol::StreamOne,
    Protocol::StreamAll,
    Protocol::SupabaseOne,
    Protocol::SupabaseAll,
    Protocol::PusherOne,
];

impl Protocol {
    pub fn is_socket(self) -> bool {
        self.tongue().is_some()
    }

    pub fn is_of_all(self) -> bool {
        matches!(self, Self::SocketAll | Self::StreamAll | Self::SupabaseAll)
    }

    /// The same, which listens to a chat by its name.
    pub fn by_name(self) -> Self {
        match self {
            Self::SocketOne | Self::SocketAll => Self::SocketOne,
            Self::StreamOne | Self::StreamAll => Self::StreamOne,
            Self::SupabaseOne | Self::SupabaseAll => Self::SupabaseOne,
            Self::PusherOne => Self::PusherOne,
        }
    }

    /// The code with which a server that stops closes it.
    pub fn restart(self) -> Option<u16> {
        match self {
            Self::SocketOne | Self::SocketAll | Self::SupabaseOne | Self::SupabaseAll => Some(1012),
            Self::PusherOne => Some(4200),
            Self::StreamOne | Self::StreamAll => None,
        }
    }

    /// The code with which who does not read is closed; 0: with none.
    pub fn too_slow(self) -> u16 {
        match self {
            Self::SocketOne | Self::SocketAll | Self::SupabaseOne | Self::SupabaseAll => 1013,
            Self::PusherOne => 4100,
            Self::StreamOne | Self::StreamAll => 0,
        }
    }

    /// How it begins to say this code of a problem.
    pub fn refusal(self, code: &'static str) -> &'static str {
        match (self, code) {
            (Self::SocketOne | Self::SocketAll | Self::StreamOne | Self::StreamAll | Self::PusherOne, _) => code,
            (Self::SupabaseOne | Self::SupabaseAll, "token_expired") => "InvalidJWTToken: Token has expired",
            (Self::SupabaseOne | Self::SupabaseAll, _) => {
                "Unauthorized: You do not have permissions to read from this Channel topic"
            }
        }
    }

    /// Whether who may read deleted messages is told what they said.
    pub fn shows_deleted(self) -> bool {
        match self {
            Self::SocketOne | Self::SocketAll | Self::StreamOne | Self::StreamAll => true,
            Self::SupabaseOne | Self::SupabaseAll | Self::PusherOne => false,
        }
    }

    fn tongue(self) -> Option<Tongue> {
        match self {
            Self::SocketOne | Self::SocketAll => Some(Tongue::Native),
            Self::SupabaseOne => Some(Tongue::Supabase { two: false }),
            Self::SupabaseAll => Some(Tongue::Supabase { two: true }),
            Self::PusherOne => Some(Tongue::Pusher),
            Self::StreamOne | Self::StreamAll => None,
        }
    }
}

/// From where on somebody wants to hear.
#[derive(Debug, Clone, Default)]
pub struct Since {
    pub chats: Vec<Place>,
    /// The position, for all chats.
    pub position: Option<String>,
    /// By what the server knows a client again that names no place.
    pub resume: String,
    /// How many subscriptions began.
    begun: usize,
}

/// Where somebody stands in a chat.
#[derive(Debug, Clone)]
pub struct Place {
    pub chat: Uuid,
    /// The rev that they have, and its epoch.
    pub rev: Option<i64>,
    pub epoch: Option<String>,
}

impl Since {
    /// The beginning of what is to come in these chats.
    pub fn now(chats: &[Uuid]) -> Self {
        let chats = chats.iter().map(|chat| Place { chat: *chat, rev: None, epoch: None }).collect();
        Self { chats, resume: Uuid::new_v4().to_string(), ..Self::default() }
    }

    /// Whether it is known from where to go on.
    pub fn is_known(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::SocketAll | Protocol::StreamAll => self.position.is_some(),
            Protocol::SocketOne | Protocol::StreamOne => self.chats.iter().all(|place| place.rev.is_some()),
            Protocol::SupabaseAll => self.begun > 0,
            Protocol::SupabaseOne | Protocol::PusherOne => self.begun >= self.chats.len(),
        }
    }

    /// Follows what a frame says of where to go on from; its id is what a browser would name.
    pub fn moves(&mut self, protocol: Protocol, frame: &Value, id: Option<String>) {
        let chat = frame["chatId"].as_str().and_then(|id| id.parse().ok());
        let place = self.chats.iter_mut().find(|place| Some(place.chat) == chat);
        let payload = &frame["payload"];
        match (frame["type"].as_str().unwrap_or_default(), protocol) {
            ("ack" | "position" | "subscribed", _) => {
                self.begun += 1;
                if let Some(position) = payload["position"].as_str().or(frame["position"].as_str()) {
                    self.position = Some(position.to_owned());
                }
                if let (Some(place), Some(head)) = (place, payload["headRev"].as_i64()) {
                    // who named a rev is told what was missed after this, and goes on from there
                    place.rev = place.rev.or(Some(head));
                    place.epoch = payload["epoch"].as_str().map(str::to_owned);
                }
            }
            ("resync", _) => {
                if let (Some(place), Some(head)) = (place, payload["headRev"].as_i64()) {
                    (place.rev, place.epoch) = (Some(head), payload["epoch"].as_str().map(str::to_owned));
                }
            }
            (_, Protocol::StreamOne) => {
                if let Some((rev, epoch)) = id.as_ref().and_then(|id| id.split_once('-')) {
                    let place = &mut self.chats[0];
                    (place.rev, place.epoch) = (Some(rev.parse().expect("a rev")), Some(epoch.to_owned()));
                }
            }
            (_, Protocol::StreamAll) => self.position = id.or(self.position.take()),
            // the server keeps these clients' place
            (_, Protocol::SupabaseOne | Protocol::SupabaseAll | Protocol::PusherOne) => {}
            (_, Protocol::SocketAll | Protocol::SocketOne) => {
                if let (Some(place), Some(rev)) = (place, frame["rev"].as_i64()) {
                    place.rev = place.rev.max(Some(rev));
                }
            }
        }
    }
}

impl Place {
    /// As the id of an event says it.
    fn id(&self) -> Option<String> {
        let epoch = self.epoch.as_ref().map(|epoch| format!("-{epoch}")).unwrap_or_default();
        Some(format!("{}{epoch}", self.rev?))
    }
}

/// What is heard.
#[derive(Debug)]
pub enum Heard {
    Frame(Value, Option<String>),
    /// Nothing but that the other side is there.
    Sign,
    /// It is over: with this code, if there is one.
    End(Option<u16>),
}

/// Why there is no line: the status and the code of the problem, if the server said.
pub type Refusal = Option<(u16, String)>;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn address(person: &Person) -> SocketAddr {
    person.url().strip_prefix("http://").expect("http").parse().expect("an address")
}

fn request_of(person: &Person, path: &str) -> Request<()> {
    let url = format!("{}{path}", person.url().replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("a request");
    if path == "/ws" {
        request.headers_mut().insert("authorization", format!("Bearer {}", person.token()).parse().expect("a header"));
    }
    request
}

/// A connection.
pub enum Line {
    /// One that may have asked whether the other side is there, and not been answered yet.
    Socket(Box<Socket>, Tongue, bool),
    Stream(Box<Events>),
    /// One that broke.
    Cut,
}

impl Line {
    /// Connects to where the person is, and asks for what they want to hear: the answers come as frames.
    pub async fn open(person: &Person, protocol: Protocol, since: &Since) -> Result<Self, Refusal> {
        timeout(CONNECT_WAIT, Self::connect(person, protocol, since)).await.unwrap_or(Err(None))
    }

    async fn connect(person: &Person, protocol: Protocol, since: &Since) -> Result<Self, Refusal> {
        if !protocol.is_socket() {
            return Self::stream(person, protocol, since).await;
        }
        let connection = TcpStream::connect(address(person)).await.map_err(|_| None)?;
        connection.set_nodelay(true).expect("an option");
        Self::socket(connection, person, protocol, since).await
    }

    async fn socket(connection: TcpStream, person: &Person, protocol: Protocol, since: &Since) -> Result<Self, Refusal> {
        let tongue = protocol.tongue().expect("a socket");
        let request = request_of(person, &tongue.path(since));
        let mut socket = match client_async(request, MaybeTlsStream::Plain(connection)).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => {
                let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
                let why = problem["code"].as_str().or(problem["error"].as_str()).unwrap_or_default();
                return Err(Some((answer.status().as_u16(), why.to_owned())));
            }
            Err(_) => return Err(None),
        };
        let passes = if tongue == Tongue::Pusher { passes(person, &mut socket, since).await? } else { Vec::new() };
        for message in tongue.asks(protocol, person.token(), since, &passes) {
            socket.feed(message).await.map_err(|_| None)?;
        }
        socket.flush().await.map_err(|_| None)?;
        Ok(Self::Socket(Box::new(socket), tongue, false))
    }

    async fn stream(person: &Person, protocol: Protocol, since: &Since) -> Result<Self, Refusal> {
        let (path, last) = match protocol {
            Protocol::StreamOne => {
                let place = &since.chats[0];
                (format!("/chats/{}/stream", place.chat), place.id())
            }
            _ => ("/stream".to_owned(), since.position.clone()),
        };
        let answer = Events::ask(person, &path, last.as_deref()).await.map_err(|_| None)?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            let problem: Value = answer.json().await.unwrap_or_default();
            return Err(Some((status, problem["code"].as_str().unwrap_or_default().to_owned())));
        }
        Ok(Self::Stream(Box::new(Events::of(answer))))
    }

    /// A connection whose receive buffer is small, so that who does not read it soon holds up the other side: to one chat.
    pub async fn narrow(person: &Person, protocol: Protocol, chat: Uuid) -> Self {
        let connection = TcpSocket::new_v4().expect("a socket");
        connection.set_recv_buffer_size(NARROW).expect("a size");
        let connection = connection.connect(address(person)).await.expect("it listens");
        if !protocol.is_socket() {
            return Self::Stream(Box::new(Events::over(connection, person, &format!("/chats/{chat}/stream")).await));
        }
        Self::socket(connection, person, protocol, &Since::now(&[chat])).await.expect("it answers")
    }

    /// Asks whether the other side is there, where a client can ask and has been answered: who asks anew says so that what came before the
    /// answer is theirs.
    pub async fn ping(&mut self) {
        if let Self::Socket(socket, tongue, is_asked @ false) = self {
            *is_asked = true;
            // who does not take it does not answer either
            let _ = timeout(CONNECT_WAIT, socket.send(tongue.ping())).await;
        }
    }

    /// What comes next. Nothing is lost if nobody waits for it to the end.
    pub async fn next(&mut self) -> Heard {
        match self {
            Self::Socket(socket, tongue, is_asked) => match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    if tongue.is_pong(&frame) {
                        *is_asked = false;
                    }
                    if let Some(answer) = tongue.answer(&frame) {
                        let _ = socket.send(answer).await;
                    }
                    tongue.words(frame).map_or(Heard::Sign, |frame| Heard::Frame(frame, None))
                }
                Some(Ok(Message::Close(frame))) => Heard::End(frame.map(|frame| frame.code.into())),
                Some(Ok(message)) => {
                    *is_asked &= !message.is_pong();
                    Heard::Sign
                }
                Some(Err(_)) | None => Heard::End(None),
            },
            Self::Stream(events) => match events.next().await {
                Some(Said::Event(name, id, mut frame)) => {
                    frame["type"] = json!(name);
                    Heard::Frame(frame, id)
                }
                Some(Said::Comment) => Heard::Sign,
                None => Heard::End(None),
            },
            Self::Cut => Heard::End(None),
        }
    }
}

/// What Pusher's clients show for each chat: given by the server for a socket, by the name that it has said first.
async fn passes(person: &Person, socket: &mut Socket, since: &Since) -> Result<Vec<String>, Refusal> {
    let Some(Ok(Message::Text(text))) = socket.next().await else { return Err(None) };
    let greeting: Value = serde_json::from_str(&text).map_err(|_| None)?;
    let data: Value = greeting["data"].as_str().and_then(|data| serde_json::from_str(data).ok()).ok_or(None)?;
    let socket_id = data["socket_id"].as_str().ok_or(None)?;
    let mut passes = Vec::new();
    for place in &since.chats {
        let form = format!("socket_id={socket_id}&channel_name={}&resume_id={}", tongue::room(place.chat), since.resume);
        let request = person.request(Method::POST, "/pusher/auth").header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().await.map_err(|_| None)?;
        let status = answer.status();
        let answer: Value = answer.json().await.map_err(|_| None)?;
        if !status.is_success() {
            return Err(Some((status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned())));
        }
        passes.push(answer["auth"].as_str().ok_or(None)?.to_owned());
    }
    Ok(passes)
}
