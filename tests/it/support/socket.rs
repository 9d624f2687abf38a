//! A WebSocket of somebody's, at `/ws`.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use super::{DEADLINE, Person};

/// An open socket, past its `hello`.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    name: String,
    /// What it was greeted with: the payload, and the whole frame.
    pub hello: Value,
    pub greeting: Value,
    /// What came while something else was waited for.
    kept: Vec<Value>,
    count: u32,
    /// Whether it heeds what stands in no log: who is here, how far people have read, who types.
    heeds_asides: bool,
}

impl Socket {
    /// One of somebody's, with their token in the header.
    pub async fn of(person: &Person) -> Self {
        let mut request = Self::url(person).into_client_request().expect("a request");
        let token = format!("Bearer {}", person.token()).parse().expect("a header");
        request.headers_mut().insert("authorization", token);
        let (stream, _) = connect_async(request).await.unwrap_or_else(|error| panic!("{}: {error}", person.name));
        Self::greeted(stream, &person.name).await
    }

    /// One whose address says it all.
    pub async fn at(url: &str) -> Self {
        let (stream, _) = connect_async(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        Self::greeted(stream, "somebody").await
    }

    /// Where sockets are, as `ws://`.
    pub fn url(person: &Person) -> String {
        format!("{}/ws", person.url().replacen("http", "ws", 1))
    }

    /// The status with which a request for a socket is refused, and its problem's code.
    pub async fn refused(url: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        match connect_async(request).await {
            Err(Error::Http(answer)) => {
                let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
                (answer.status().as_u16(), problem["code"].as_str().unwrap_or_default().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn greeted(stream: WebSocketStream<MaybeTlsStream<TcpStream>>, name: &str) -> Self {
        let mut socket = Self {
            stream,
            name: name.to_owned(),
            hello: Value::Null,
            greeting: Value::Null,
            kept: Vec::new(),
            count: 0,
            heeds_asides: false,
        };
        let hello = socket.next().await;
        assert_eq!(hello["type"], "hello", "{hello}");
        socket.hello = hello["payload"].clone();
        socket.greeting = hello;
        socket
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        if !self.kept.is_empty() {
            return self.kept.remove(0);
        }
        self.read().await
    }

    /// The same, which is not passed over any more: presence, reading and typing.
    pub fn heeding(mut self) -> Self {
        self.heeds_asides = true;
        self
    }

    /// A frame, if it is not one to pass over.
    fn frame(&self, text: &str) -> Option<Value> {
        let frame: Value = serde_json::from_str(text).expect("frames are JSON");
        let is_aside = frame["type"].as_str().is_some_and(|kind| ["presence", "read", "typing"].contains(&kind));
        (self.heeds_asides || !is_aside).then_some(frame)
    }

    async fn read(&mut self) -> Value {
        loop {
            match timeout(DEADLINE, self.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    if let Some(frame) = self.frame(&text) {
                        return frame;
                    }
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                other => panic!("{} waited for a frame: {other:?}", self.name),
            }
        }
    }

    /// The next frame, however long it takes.
    pub async fn next_in_any_time(&mut self) -> Value {
        if !self.kept.is_empty() {
            return self.kept.remove(0);
        }
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    if let Some(frame) = self.frame(&text) {
                        return frame;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{} waited for a frame: {other:?}", self.name),
            }
        }
    }

    /// The next frame of this type; none of another comes before it but what is passed over by name.
    pub async fn next_is(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["type"], kind, "{}: {frame}", self.name);
        frame
    }

    /// The next frame of this type, whatever comes before it.
    pub async fn next_frame(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Asks, and waits for the answer; what comes before it is kept.
    pub async fn ask(&mut self, mut frame: Value) -> Value {
        self.count += 1;
        let reference = format!("r{}", self.count);
        frame["ref"] = json!(reference);
        self.say(&frame).await;
        loop {
            let answer = self.read().await;
            if answer["ref"] == json!(reference) {
                return answer;
            }
            self.kept.push(answer);
        }
    }

    /// Says something without a ref.
    pub async fn say(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("it is sent");
    }

    /// Sends a text as it is.
    pub async fn say_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("it is sent");
    }

    /// Listens to a chat.
    pub async fn subscribe(&mut self, chat: Uuid) -> Value {
        let answer = self.ask(json!({ "type": "subscribe", "chatId": chat })).await;
        assert_eq!(answer["type"], "ack", "{}: {answer}", self.name);
        answer
    }

    /// What came until now: a ping's answer is the last.
    pub async fn so_far(&mut self) -> Vec<Value> {
        let pong = self.ask(json!({ "type": "ping" })).await;
        assert_eq!(pong["type"], "pong");
        std::mem::take(&mut self.kept)
    }

    /// With which code and reason the other side closes.
    pub async fn closes(&mut self) -> (u16, String) {
        loop {
            match timeout(DEADLINE, self.stream.next()).await {
                Ok(Some(Ok(Message::Close(Some(frame))))) => return (frame.code.into(), frame.reason.to_string()),
                Ok(Some(Ok(_))) => {}
                other => panic!("{} waited for a close: {other:?}", self.name),
            }
        }
    }
}
