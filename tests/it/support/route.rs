//! A TCP route to a Postgres' socket that can be made to stand still: what a network does that is cut without a word.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that are carried at once.
const AT_ONCE: usize = 64 << 10;

/// A route; it is closed when dropped.
pub struct Route {
    pub port: u16,
    is_cut: Arc<watch::Sender<bool>>,
    task: JoinHandle<()>,
}

impl Route {
    pub async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let is_cut = Arc::new(watch::Sender::new(false));
        let cut = Arc::clone(&is_cut);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (socket, mut there, mut back) = (socket.clone(), cut.subscribe(), cut.subscribe());
                tokio::spawn(async move {
                    let _ = there.wait_for(|is_cut| !is_cut).await;
                    // a server that is down refuses: so does the route, by closing
                    let Ok(server) = UnixStream::connect(&socket).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                    tokio::join!(carry(from_client, to_server, &mut there), carry(from_server, to_client, &mut back));
                });
            }
        });
        Self { port, is_cut, task }
    }

    /// Nothing arrives any more, in either direction, and nobody is told.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// What was held back arrives.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, is_cut: &mut watch::Receiver<bool>) {
    let mut buffer = vec![0; AT_ONCE];
    while let Ok(read) = from.read(&mut buffer).await {
        // also its end: whoever is cut off does not hear of it
        let _ = is_cut.wait_for(|is_cut| !is_cut).await;
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
