//! Where the issuer of the tests publishes its keys: a real server on loopback that counts who asks, and a file.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use uuid::Uuid;

use super::issuer::jwks;

/// A file that goes away with the test.
pub struct KeyFile(PathBuf);

impl KeyFile {
    pub fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tabletalk-jwks-{}.json", Uuid::new_v4()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The page of keys: a real server on loopback that counts who asks. Dropped, it is down.
pub struct KeyServer {
    pub address: SocketAddr,
    answer: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
    held: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl KeyServer {
    pub async fn start(keys: &[Value]) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), keys).await
    }

    pub async fn start_at(address: SocketAddr, keys: &[Value]) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(Mutex::new(String::new()));
        let requests = Arc::new(AtomicUsize::new(0));
        let held = watch::Sender::new(false);
        let task = tokio::spawn(serve(listener, answer.clone(), requests.clone(), held.subscribe()));
        let server = Self { address, answer, requests, held, task };
        server.publish(keys);
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub fn publish(&self, keys: &[Value]) {
        self.answer_with("200 OK", "", &jwks(keys));
    }

    /// Any answer; `headers` each with its line end.
    pub fn answer_with(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().expect("no panic while held") =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    }

    /// Whether answers wait.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub async fn stop(self) -> SocketAddr {
        self.task.abort();
        let address = self.address;
        // The listener is closed once the task has ended.
        let ended = tokio::time::timeout(Duration::from_secs(5), async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        ended.await.expect("the server goes down");
        address
    }
}

async fn serve(listener: TcpListener, answer: Arc<Mutex<String>>, requests: Arc<AtomicUsize>, held: watch::Receiver<bool>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (answer, requests, mut held) = (answer.clone(), requests.clone(), held.clone());
        tokio::spawn(async move {
            if asked(&socket).await {
                requests.fetch_add(1, Ordering::SeqCst);
                let released = held.wait_for(|held| !held).await.is_ok();
                let answer = answer.lock().expect("no panic while held").clone();
                if released {
                    write(&socket, answer.as_bytes()).await;
                }
            }
        });
    }
}

/// Reads up to the end of the request's head.
async fn asked(socket: &TcpStream) -> bool {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        if socket.readable().await.is_err() {
            return false;
        }
        match socket.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

async fn write(socket: &TcpStream, mut rest: &[u8]) {
    while !rest.is_empty() && socket.writable().await.is_ok() {
        match socket.try_write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
