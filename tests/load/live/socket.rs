//! A WebSocket client (RFC 6455) that costs next to nothing, the same for everybody who is measured: frames are looked at where they lie.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

/// The longest frame that is read, in bytes.
const FRAME_MAX: usize = 1 << 20;
/// How much room frames find at first, in bytes.
const ROOM: usize = 16 << 10;

/// Frames of text.
pub const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open socket.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not looked at yet.
    unread: Range<usize>,
}

impl Socket {
    /// Connects, and asks for a WebSocket at `path`.
    pub async fn open(address: SocketAddr, path: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut socket = Self { stream, buffer: vec![0; ROOM], unread: 0..0 };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write(request.as_bytes()).await?;
        loop {
            let head = &socket.buffer[socket.unread.clone()];
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                if !head.starts_with(b"HTTP/1.1 101") {
                    return Err(wrong(&String::from_utf8_lossy(&head[..end])));
                }
                socket.unread.start += end + 4;
                return Ok(socket);
            }
            socket.fill().await?;
        }
    }

    /// The next text. What belongs to the protocol itself is answered on the way.
    pub async fn next(&mut self) -> io::Result<&[u8]> {
        loop {
            let Some((kind, payload, end)) = self.frame()? else {
                self.fill().await?;
                continue;
            };
            self.unread.start = end;
            match kind {
                TEXT => return Ok(&self.buffer[payload]),
                PING => {
                    let payload = self.buffer[payload].to_vec();
                    self.send(PONG, &payload).await?;
                }
                CLOSE => {
                    let payload = &self.buffer[payload];
                    let code = payload.first_chunk::<2>().map_or(0, |code| u16::from_be_bytes(*code));
                    return Err(wrong(&format!(
                        "closed with {code} {}",
                        String::from_utf8_lossy(payload.get(2..).unwrap_or_default())
                    )));
                }
                _ => {}
            }
        }
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes()).await
    }

    /// What kind the next frame is, where its payload lies and where it ends, if all of it is there.
    fn frame(&self) -> io::Result<Option<(u8, Range<usize>, usize)>> {
        let bytes = &self.buffer[self.unread.clone()];
        let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
        let (head, length) = match second & 0x7f {
            126 => (4, bytes.get(2..4).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])))),
            127 => (10, bytes.get(6..10).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)),
            short => (2, Some(usize::from(short))),
        };
        let Some(length) = length else { return Ok(None) };
        if length > FRAME_MAX || first & 0x80 == 0 || second & 0x80 != 0 {
            return Err(wrong("a frame that no server here sends"));
        }
        let start = self.unread.start + head;
        let end = start + length;
        Ok((end <= self.unread.end).then_some((first & 0x0f, start..end, end)))
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.buffer.len() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            if self.unread.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        // unlike try_read this knows that a short read has emptied the socket, and saves the next one
        let Self { stream, buffer, unread } = self;
        let mut room = ReadBuf::new(&mut buffer[unread.end..]);
        poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut room)).await?;
        let count = room.filled().len();
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.end += count;
        Ok(())
    }

    /// Masked with zeros, as a client's frames are to be masked.
    async fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | kind];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ ..126), _) => frame.push(0x80 | short),
            (_, Ok(length)) => {
                frame.push(0xfe);
                frame.extend(length.to_be_bytes());
            }
            _ => return Err(wrong("too long")),
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.write(&frame).await
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
