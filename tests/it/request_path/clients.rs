//! Clients that hang up in the middle of a request.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{db_all_idle, whole_pool};
use crate::support::TestServer;
use crate::support::random::{Random, longer, seed};

/// Requests that are cut.
const CUT: u64 = 1_000;
/// Clients at once.
const CLIENTS: u64 = 16;
/// Rounds of them: a later request would tidy up after an earlier one, so it is looked at in between.
const ROUNDS: u64 = 10;
/// The longest that a client stays after its last byte, in microseconds.
const STAYS: u64 = 4_000;
const POOL: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_hang_up_half_way_leave_the_server_as_it_was() {
    let server = TestServer::with(&["--pool", &POOL.to_string()]).await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let (address, seed) = (server.app.address(), seed());
    let body = json!({ "text": "a text that is there as a whole or not at all" }).to_string();
    let token = alice.request(reqwest::Method::GET, "/").build().expect("a request").headers()["authorization"].clone();
    let token = token.to_str().expect("a token");
    let requests: Vec<String> = vec![
        format!(
            "POST /chats/{chat}/messages HTTP/1.1\r\nHost: it\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!("GET /chats/{chat}/messages HTTP/1.1\r\nHost: it\r\nAuthorization: {token}\r\n\r\n"),
        format!("GET /chats HTTP/1.1\r\nHost: it\r\nAuthorization: {token}\r\n\r\n"),
        format!("DELETE /chats/{chat}/messages/{chat} HTTP/1.1\r\nHost: it\r\nAuthorization: {token}\r\n\r\n"),
    ];
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    assert_eq!(whole_pool(server.app.db(), POOL).await, POOL);
    for round in 0..ROUNDS * longer() {
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (mut random, requests) = (Random::new(seed ^ (round * CLIENTS + client)), requests.clone());
            clients.spawn(async move {
                for _ in 0..CUT / ROUNDS / CLIENTS {
                    let request = random.pick(&requests).as_bytes();
                    // half of them whole, so that the database is at work when their clients go
                    let length = if random.chance(50) { request.len() as u64 } else { random.below(request.len() as u64) };
                    let length = usize::try_from(length).expect("a length");
                    let mut stream = TcpStream::connect(address).await.expect("the server listens");
                    stream.write_all(&request[..length]).await.expect("it reads");
                    let stays = Duration::from_micros(random.below(STAYS));
                    // the runtime's own timers are too coarse: most answers would be there
                    let begin = Instant::now();
                    while begin.elapsed() < stays {
                        tokio::task::yield_now().await;
                    }
                    // part of the answer at most: what is unread when a socket closes makes it a reset
                    let _ = stream.try_read(&mut [0; 64]);
                }
            });
        }
        clients.join_all().await;
        assert!(db_all_idle(&watcher, &server.database).await <= POOL);
    }
    assert_eq!(whole_pool(server.app.db(), POOL).await, POOL);
    alice.get("/readyz").await.expect_status(200);
    alice.says(chat, "still here").await;
    let whole = "select count(*), count(*) filter (where text like '%whole%') from chat.messages where chat_id = $1";
    let row = server.database.db_owner().await.query_one(whole, &[&chat]).await.expect(whole);
    let (all, whole): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(all, whole + 1);
    assert!(whole > 0, "no request that was cut had any effect: they were cut too early to prove anything");
}
