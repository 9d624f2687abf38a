//! A database that goes away under load and comes back.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tabletalk::app::App;
use tabletalk::auth::{NewToken, mint};
use tabletalk::postgres::Server;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::assert_away;
use crate::support::cluster::options;
use crate::support::server::{SECRET, settings};
use crate::support::{Person, eventually};

const CLIENTS: usize = 8;

/// A folder for a Postgres of the test's own, and the end of whatever the test leaves running in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tabletalk-it-outage-{}", Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o711).create(&path).expect("a folder");
        std::fs::set_permissions(&path, Permissions::from_mode(0o711)).expect("open to the server's account");
        Self(path)
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.0.join("postgres/cluster/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) {
        kill(self.postmaster().expect("a server that runs"), signal).expect("a signal");
    }

    async fn start(&self) -> Server {
        Server::start(&options(&self.0)).await.expect("the server starts")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            let _ = kill(pid, Signal::SIGQUIT);
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn person(app: &App, name: &str) -> Person {
    let id = Uuid::new_v4();
    let token = NewToken { name: Some(name.to_owned()), ..NewToken::of_user(id) };
    Person::new(name, id, app.url(), &mint(SECRET, &token).expect("a token"))
}

/// Waits until a counter has gone up by some.
async fn more(what: &str, counter: &AtomicUsize) {
    let before = counter.load(Ordering::Relaxed);
    eventually(what, async || counter.load(Ordering::Relaxed) > before + 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_goes_away_under_load_is_waited_for_and_loses_nothing() {
    let folder = Folder::new();
    let mut server = folder.start().await;
    let socket = server.socket_dir().to_owned();
    let url = |user: &str| format!("host={} user={user} dbname=postgres", socket.display());
    let app = App::start(&settings(&url("chat_api"), &["--database-admin-url", &url("postgres")])).await.expect("a server");
    let alice = person(&app, "alice");
    let chat = alice.group_with(&[]).await;
    let path = format!("/chats/{chat}/messages");

    // whoever has never been seen needs the database for their first request, alice only for what she asks
    let bob = person(&app, "bob");
    for ending in [Signal::SIGINT, Signal::SIGQUIT] {
        let (stop, sent, refused) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (alice, path) = (alice.clone(), path.clone());
            let (stop, sent, refused) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&refused));
            clients.spawn(async move {
                let mut kept = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = alice.post(&path, json!({ "text": "kept" })).await;
                    if answer.status == 201 {
                        kept.push(answer.id());
                        sent.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert_away(answer);
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                kept
            });
        }
        more("messages are sent", &sent).await;
        folder.signal(ending);
        eventually("the database is gone", async || folder.postmaster().is_none()).await;
        more("requests are refused", &refused).await;
        alice.get("/healthz").await.expect_status(200);
        assert_away(alice.get("/readyz").await);
        assert_away(alice.get(&path).await);
        assert_away(bob.get("/users/me").await);

        // in the same place as before, as far as the pool knows
        server = folder.start().await;
        assert_eq!(server.socket_dir(), socket);
        eventually("the server is ready again", async || alice.get("/readyz").await.status == 200).await;
        more("messages are sent again", &sent).await;
        stop.store(true, Ordering::Relaxed);
        let kept: Vec<Uuid> = clients.join_all().await.into_iter().flatten().collect();
        println!("{ending}: {} sent, {} refused", kept.len(), refused.load(Ordering::Relaxed));

        let mut maintenance = server.admin();
        let (client, connection) = maintenance.dbname("postgres").connect(tokio_postgres::NoTls).await.expect("it answers");
        let connection = tokio::spawn(connection);
        let lost = "select count(*) from unnest($1::uuid[]) k (id)
                    where not exists (select from chat.messages m where m.chat_id = $2 and m.id = k.id)";
        let lost: i64 = client.query_one(lost, &[&kept, &chat]).await.expect(lost).get(0);
        drop(client);
        connection.await.expect("a task").expect("a connection that ends in order");
        assert_eq!(lost, 0, "{ending}: of {} messages that were sent", kept.len());
    }
    bob.get("/users/me").await.expect_status(200);
    app.stop().await.expect("a stop");
    server.stop().await.expect("a stop");
}
