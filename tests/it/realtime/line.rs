//! A connection to the live part over either protocol, as a client sees it: frames, signs of life, an end.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};
use uuid::Uuid;

use crate::support::stream::{Events, Said};
use crate::support::{Person, Socket};

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
}

pub const PROTOCOLS: [Protocol; 4] = [Protocol::SocketOne, Protocol::SocketAll, Protocol::StreamOne, Protocol::StreamAll];

impl Protocol {
    pub fn is_socket(self) -> bool {
        matches!(self, Self::SocketOne | Self::SocketAll)
    }

    pub fn is_of_all(self) -> bool {
        matches!(self, Self::SocketAll | Self::StreamAll)
    }
}

/// From where on somebody wants to hear.
#[derive(Debug, Clone, Default)]
pub struct Since {
    pub chats: Vec<Place>,
    /// The position, for all chats.
    pub position: Option<String>,
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
        Self { chats: chats.iter().map(|chat| Place { chat: *chat, rev: None, epoch: None }).collect(), position: None }
    }

    /// Follows what a frame says of where to go on from; its id is what a browser would name.
    pub fn moves(&mut self, protocol: Protocol, frame: &Value, id: Option<String>) {
        let chat = frame["chatId"].as_str().and_then(|id| id.parse().ok());
        let place = self.chats.iter_mut().find(|place| Some(place.chat) == chat);
        let payload = &frame["payload"];
        match (frame["type"].as_str().unwrap_or_default(), protocol) {
            ("ack" | "position" | "subscribed", _) => {
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

fn request_of(person: &Person) -> Request<()> {
    let mut request = Socket::url(person).into_client_request().expect("a request");
    request.headers_mut().insert("authorization", format!("Bearer {}", person.token()).parse().expect("a header"));
    request
}

/// A connection.
pub enum Line {
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
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
            return Ok(Self::Stream(Box::new(Events::of(answer))));
        }
        let mut socket = match connect_async(request_of(person)).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => {
                let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
                return Err(Some((answer.status().as_u16(), problem["code"].as_str().unwrap_or_default().to_owned())));
            }
            Err(_) => return Err(None),
        };
        let by_name = |place: &Place| {
            let Place { chat, rev, epoch } = place;
            json!({ "type": "subscribe", "chatId": chat, "since": rev, "epoch": epoch.as_ref().filter(|_| rev.is_some()), "ref": chat })
        };
        let asked = if protocol.is_of_all() {
            vec![json!({ "type": "subscribe", "chatId": "*", "since": since.position, "ref": "all" })]
        } else {
            since.chats.iter().map(by_name).collect()
        };
        for mut frame in asked {
            frame.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
            socket.feed(Message::text(frame.to_string())).await.map_err(|_| None)?;
        }
        socket.flush().await.map_err(|_| None)?;
        Ok(Self::Socket(Box::new(socket)))
    }

    /// A connection whose receive buffer is small, so that who does not read it soon holds up the other side: to one chat.
    pub async fn narrow(person: &Person, protocol: Protocol, chat: Uuid) -> Self {
        let address = person.url().strip_prefix("http://").expect("http").parse().expect("an address");
        let connection = TcpSocket::new_v4().expect("a socket");
        connection.set_recv_buffer_size(NARROW).expect("a size");
        let connection = connection.connect(address).await.expect("it listens");
        if !protocol.is_socket() {
            return Self::Stream(Box::new(Events::over(connection, person, &format!("/chats/{chat}/stream")).await));
        }
        let connection = MaybeTlsStream::Plain(connection);
        let (mut socket, _) = client_async(request_of(person), connection).await.expect("it answers");
        let frame = json!({ "type": "subscribe", "chatId": chat, "ref": chat });
        socket.send(Message::text(frame.to_string())).await.expect("sent");
        Self::Socket(Box::new(socket))
    }

    /// Asks whether the other side is there, where a client can ask.
    pub async fn ping(&mut self) {
        if let Self::Socket(socket) = self {
            // who does not take it does not answer either
            let _ = timeout(CONNECT_WAIT, socket.send(Message::Ping(Vec::new().into()))).await;
        }
    }

    /// What comes next. Nothing is lost if nobody waits for it to the end.
    pub async fn next(&mut self) -> Heard {
        match self {
            Self::Socket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => Heard::Frame(serde_json::from_str(&text).expect("frames are JSON"), None),
                Some(Ok(Message::Close(frame))) => Heard::End(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => Heard::Sign,
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
