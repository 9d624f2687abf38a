//! A socket that speaks version 2.0.0, frame by frame.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{DEADLINE, Person};

/// An open socket.
pub struct Wire {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    count: u64,
}

/// What came.
#[derive(Debug)]
pub enum Came {
    Frame(Value),
    Bytes(Vec<u8>),
    Closed(u16),
}

impl Wire {
    /// Opens one: the status and the body of the answer, if it is refused.
    pub async fn open(url: &str, path: &str, query: &str) -> Result<Self, (u16, Value)> {
        let url = format!("{}{path}?{query}", url.replacen("http", "ws", 1));
        match connect_async(url).await {
            Ok((stream, _)) => Ok(Self { stream, count: 0 }),
            Err(Error::Http(answer)) => {
                let body = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
                Err((answer.status().as_u16(), body))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Somebody's, whose token is the key.
    pub async fn of(person: &Person) -> Self {
        let query = format!("apikey={}&vsn=2.0.0", person.token());
        Self::open(person.url(), "/realtime/v1/websocket", &query).await.expect("it opens")
    }

    /// Says something on a channel, as of a joining; gives its ref.
    pub async fn says(&mut self, join_ref: Option<&str>, topic: &str, event: &str, payload: Value) -> String {
        self.count += 1;
        let reference = self.count.to_string();
        let join_ref = if event == "phx_join" { Some(reference.as_str()) } else { join_ref };
        self.sends(Message::text(json!([join_ref, reference, topic, event, payload]).to_string())).await;
        reference
    }

    /// Sends a message as it is.
    pub async fn sends(&mut self, message: Message) {
        self.stream.send(message).await.expect("it is sent");
    }

    /// The same as [`Wire::says`], and the answer: status and response.
    pub async fn asks(&mut self, join_ref: Option<&str>, topic: &str, event: &str, payload: Value) -> (Value, Value) {
        let reference = self.says(join_ref, topic, event, payload).await;
        loop {
            let frame = self.frame().await;
            if frame[3] == "phx_reply" && frame[1] == json!(reference) {
                return (frame[4]["status"].clone(), frame[4]["response"].clone());
            }
        }
    }

    /// Joins a channel, bound to rows.
    pub async fn joins(&mut self, topic: &str, bindings: Value) -> String {
        let payload = json!({ "config": { "postgres_changes": bindings } });
        let (status, response) = self.asks(None, topic, "phx_join", payload).await;
        assert_eq!(status, "ok", "{response}");
        self.count.to_string()
    }

    /// What comes next.
    pub async fn next(&mut self) -> Came {
        loop {
            match timeout(DEADLINE, self.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return Came::Frame(serde_json::from_str(&text).expect("frames are JSON")),
                Ok(Some(Ok(Message::Binary(bytes)))) => return Came::Bytes(bytes.to_vec()),
                Ok(Some(Ok(Message::Close(Some(frame))))) => return Came::Closed(frame.code.into()),
                Ok(Some(Ok(_))) => {}
                other => panic!("a frame was waited for: {other:?}"),
            }
        }
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        match self.next().await {
            Came::Frame(frame) => frame,
            other => panic!("{other:?}"),
        }
    }

    /// The payload of the next frame of this event, whatever comes before it.
    pub async fn hears(&mut self, event: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame[3] == event {
                return frame[4].clone();
            }
        }
    }

    /// What `postgres_changes` says next.
    pub async fn change(&mut self) -> Value {
        self.hears("postgres_changes").await["data"].clone()
    }
}
