//! An HTTP/1.1 client that costs next to nothing: requests are written as they were rendered, answers are looked at where they lie.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 4 << 20;
/// How much room an answer finds at first, in bytes.
const ANSWER_ROOM: usize = 64 << 10;

/// A connection that is kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    joined: Vec<u8>,
}

/// An answer, until the next request.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// How an answer's body ends.
#[derive(Clone, Copy)]
enum Extent {
    Length(usize),
    Chunks,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ANSWER_ROOM], joined: Vec::new() })
    }

    /// Sends a request, rendered by [`render`], and waits for its whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.write(request).await?;
        let mut filled = 0;
        let mut head = None;
        loop {
            filled += self.read(filled).await?;
            if head.is_none() {
                head = read_head(&self.buffer[..filled])?;
            }
            let Some((status, start, extent)) = head else { continue };
            match extent {
                Extent::Length(length) if filled >= start + length => {
                    return Ok(Answer { status, body: &self.buffer[start..start + length] });
                }
                Extent::Chunks if join_chunks(&self.buffer[start..filled], &mut self.joined)? => {
                    return Ok(Answer { status, body: &self.joined });
                }
                _ => {}
            }
        }
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

    async fn read(&mut self, filled: usize) -> io::Result<usize> {
        if filled == self.buffer.len() {
            if filled >= ANSWER_MAX {
                return Err(wrong("an answer is too long"));
            }
            self.buffer.resize(filled * 2, 0);
        }
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut self.buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A request as it goes over the wire.
pub fn render(method: &str, path: &str, token: &str, headers: &str, body: &str) -> Vec<u8> {
    let content = if body.is_empty() {
        String::new()
    } else {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n{headers}{content}\r\n{body}")
        .into_bytes()
}

/// Status, where the body begins and how it ends, once the head is there.
fn read_head(bytes: &[u8]) -> io::Result<Option<(u16, usize, Extent)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong("a head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok()).ok_or_else(|| wrong("no status"))?;
    let mut extent = Extent::Length(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            extent = Extent::Length(value.trim().parse().map_err(|_| wrong("no length"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            extent = Extent::Chunks;
        }
    }
    Ok(Some((status, end + 4, extent)))
}

/// Joins the chunks of a body, if all of them are there.
fn join_chunks(mut bytes: &[u8], joined: &mut Vec<u8>) -> io::Result<bool> {
    joined.clear();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(false) };
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|hex| usize::from_str_radix(hex.trim(), 16).ok());
        let size = size.ok_or_else(|| wrong("a chunk has no size"))?;
        let Some(chunk) = bytes.get(end + 2..end + 2 + size + 2) else { return Ok(false) };
        joined.extend_from_slice(&chunk[..size]);
        bytes = &bytes[end + 2 + size + 2..];
        if size == 0 {
            return Ok(true);
        }
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
