//! The limit: a message comes in, and tokio-tungstenite passes it on to who listens. Nobody is asked who they are, and nothing is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use uuid::Uuid;

use crate::keeper;

/// The first argument of a process that is this.
pub const BARE: &str = "bare";
/// Messages that one may be behind.
const BEHIND_MAX: usize = 1 << 12;
/// The longest request, in bytes.
const REQUEST_MAX: usize = 16 << 10;

/// Who listens to which chat.
type Chats = Arc<Mutex<HashMap<String, Vec<mpsc::Sender<Utf8Bytes>>>>>;

/// Serves until standard input closes.
pub fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.spawn(async {
        if let Err(error) = accept().await {
            eprintln!("{error:#}");
        }
    });
    keeper::wait_for_the_end();
    runtime.shutdown_background();
    Ok(())
}

async fn accept() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("pid: {}\nserves on http://{}", std::process::id(), listener.local_addr()?);
    let chats = Chats::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let chats = Arc::clone(&chats);
        tokio::spawn(async move {
            let mut first = [0; 4];
            match stream.peek(&mut first).await {
                Ok(4) if &first == b"POST" => take(stream, &chats).await,
                Ok(_) => tell(tokio_tungstenite::accept_async(stream).await?, &chats).await,
                Err(error) => Err(error.into()),
            }
        });
    }
}

fn tell_all(chats: &Chats, id: &str, frame: &Utf8Bytes) {
    let mut chats = chats.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(listening) = chats.get_mut(id) {
        listening.retain(|one| one.try_send(frame.clone()).is_ok());
    }
}

/// Takes messages: `POST /chats/{id}/messages`, one after the other.
async fn take(stream: TcpStream, chats: &Chats) -> anyhow::Result<()> {
    let mut buffer = vec![0; REQUEST_MAX];
    let mut filled = 0;
    loop {
        let request = &buffer[..filled];
        if let Some((head, body, end)) = read(request) {
            let id = head.split('/').nth(2).context("no chat")?;
            let text = serde_json::from_slice::<Value>(body)?["text"].clone();
            let message = message(id, &text);
            let frame = json!({ "type": "message.created", "chatId": id, "payload": message }).to_string();
            tell_all(chats, id, &frame.into());
            let body = message.to_string();
            let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.writable().await?;
            stream.try_write(answer.as_bytes())?;
            buffer.copy_within(end..filled, 0);
            filled -= end;
            continue;
        }
        stream.readable().await?;
        match stream.try_read(&mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A request's head and body, and where it ends.
fn read(request: &[u8]) -> Option<(&str, &[u8], usize)> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&request[..end]).ok()?;
    let (_, length) = head.split_once("content-length: ")?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    let body = request.get(end + 4..end + 4 + length)?;
    Some((head, body, end + 4 + length))
}

/// As long as a real one.
fn message(chat: &str, text: &Value) -> Value {
    json!({
        "id": Uuid::now_v7(), "chatId": chat, "seq": 1_234_567, "rev": 1_234_567, "kind": "user", "senderId": Uuid::from_u128(1),
        "senderName": "Somebody 123", "text": text, "mentions": [], "reactions": [], "createdAt": "2026-01-01T00:00:00.000000Z",
    })
}

/// Tells who listens, of all chats that they named.
async fn tell(mut socket: WebSocketStream<TcpStream>, chats: &Chats) -> anyhow::Result<()> {
    let (heard, mut frames) = mpsc::channel(BEHIND_MAX);
    loop {
        tokio::select! {
            frame = frames.recv() => {
                socket.feed(Message::Text(frame.context("invariant: a sender is kept here")?)).await?;
                while let Ok(frame) = frames.try_recv() {
                    socket.feed(Message::Text(frame)).await?;
                }
                socket.flush().await?;
            }
            said = socket.next() => {
                let Some(Ok(Message::Text(said))) = said else { return Ok(()) };
                let said: Value = serde_json::from_str(&said)?;
                let id = said["chatId"].as_str().unwrap_or_default().to_owned();
                chats.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().push(heard.clone());
                socket.send(Message::text(r#"{"type":"ack"}"#)).await?;
            }
        }
    }
}
