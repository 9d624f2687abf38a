//! A connection to the live part over either protocol, as a client sees it: frames, signs of life, an end.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use crate::support::stream::{Events, Said};
use crate::support::{Person, Socket};

/// How long a client waits until it is connected.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

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
    /// The chats, and the rev of each that they have.
    pub chats: Vec<(Uuid, Option<i64>)>,
    /// The position, for all chats.
    pub position: Option<String>,
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

/// A connection.
pub enum Line {
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Stream(Box<Events>),
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
                    let (chat, rev) = since.chats[0];
                    (format!("/chats/{chat}/stream"), rev.map(|rev| rev.to_string()))
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
        let mut request = Socket::url(person).into_client_request().expect("a request");
        request.headers_mut().insert("authorization", format!("Bearer {}", person.token()).parse().expect("a header"));
        let mut socket = match connect_async(request).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => {
                let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
                return Err(Some((answer.status().as_u16(), problem["code"].as_str().unwrap_or_default().to_owned())));
            }
            Err(_) => return Err(None),
        };
        let asked = match protocol {
            Protocol::SocketAll => vec![json!({ "type": "subscribe", "chatId": "*", "since": since.position, "ref": "all" })],
            _ => since
                .chats
                .iter()
                .map(|(chat, rev)| json!({ "type": "subscribe", "chatId": chat, "since": rev, "ref": chat }))
                .collect(),
        };
        for mut frame in asked {
            frame.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
            socket.feed(Message::text(frame.to_string())).await.map_err(|_| None)?;
        }
        socket.flush().await.map_err(|_| None)?;
        Ok(Self::Socket(Box::new(socket)))
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
        }
    }
}
