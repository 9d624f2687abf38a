//! Server-sent events of somebody's.

use std::future::ready;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Person;

/// Bytes that are read at once.
const AT_ONCE: usize = 16 << 10;

/// What a stream says.
#[derive(Debug)]
pub enum Said {
    /// An event: its name, its id, its data.
    Event(String, Option<String>, Value),
    /// A comment: it is still there.
    Comment,
}

/// An open stream.
pub struct Events {
    bytes: BoxStream<'static, Vec<u8>>,
    unread: Vec<u8>,
}

impl Events {
    /// Asks for one; `last` is the id that a browser would name.
    pub async fn ask(person: &Person, path: &str, last: Option<&str>) -> reqwest::Result<Response> {
        let mut request = person.request(Method::GET, path).header("accept-encoding", "gzip");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send().await
    }

    /// What an answer goes on to say.
    pub fn of(answer: Response) -> Self {
        let bytes = answer
            .bytes_stream()
            .take_while(|bytes| ready(bytes.is_ok()))
            .filter_map(|bytes| ready(bytes.ok().map(|bytes| bytes.to_vec())));
        Self { bytes: bytes.boxed(), unread: Vec::new() }
    }

    /// One over a connection of one's own, whose bytes nobody reads ahead: HTTP/1.0, so that the answer is nothing but the stream.
    pub async fn over(mut connection: TcpStream, person: &Person, path: &str) -> Self {
        let request = format!("GET {path} HTTP/1.0\r\nhost: tabletalk\r\nauthorization: Bearer {}\r\n\r\n", person.token());
        connection.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&head));
        let bytes = stream::unfold(connection, |mut connection| async {
            let mut bytes = vec![0; AT_ONCE];
            let read = connection.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
            bytes.truncate(read);
            Some((bytes, connection))
        });
        Self { bytes: bytes.boxed(), unread: Vec::new() }
    }

    /// What it says next; none when it has ended. Nothing is lost if nobody waits for it to the end.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("UTF-8");
                let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned());
                return Some(match line("data:") {
                    Some(data) => {
                        let data = serde_json::from_str(&data).expect("JSON");
                        Said::Event(line("event:").unwrap_or_default(), line("id:"), data)
                    }
                    None => Said::Comment,
                });
            }
            let more = self.bytes.next().await?;
            self.unread.extend(more);
        }
    }
}
