//! The doors: who may open a socket and how, what is answered to what nobody understands, and broadcasts over HTTP.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::wire::{Came, Wire};
use super::{changes, channel};
use crate::support::server::SERVICE_KEY;
use crate::support::{DEADLINE, Person, TestServer};

const PATHS: [&str; 2] = ["/realtime/v1/websocket", "/socket/websocket"];

#[tokio::test]
async fn a_socket_is_opened_with_a_key_and_in_a_version_that_is_known() {
    let server = TestServer::start().await;
    let url = server.app.url();
    for path in PATHS {
        for query in ["apikey=sb_publishable_x&vsn=2.0.0", "apikey=whatever&log_level=info", "apikey=x&vsn=1.0.0&resume_id=one"] {
            assert!(Wire::open(url, path, query).await.is_ok(), "{path} {query}");
        }
    }
    let refused = async |query: &str| Wire::open(url, PATHS[0], query).await.expect_err("it is refused");
    assert_eq!(refused("vsn=2.0.0").await, (401, json!({ "error": "API key is missing" })));
    assert_eq!(refused("apikey=x&vsn=3.0.0").await.0, 400);
    assert_eq!(refused(&format!("apikey=x&resume_id={}", "x".repeat(129))).await.0, 400);
}

#[tokio::test]
async fn where_a_key_is_configured_another_is_refused() {
    let server = TestServer::with(&["--supabase-anon-key", "the key"]).await;
    let url = server.app.url();
    let alice = server.person("alice").await;
    let open = async |key: &str| Wire::open(url, PATHS[0], &format!("apikey={key}")).await.err();
    assert_eq!(open("the%20key").await, None);
    assert_eq!(open("sb_publishable_x").await, None);
    assert_eq!(open(alice.token()).await, None);
    assert_eq!(open("another").await, Some((401, json!({ "error": "The token provided is not a valid JWT" }))));
    let expired = server.bearer_of("bob", json!({ "sub": alice.id, "role": "authenticated", "exp": 1 }));
    assert_eq!(open(expired.token()).await, Some((401, json!({ "error": "Token has expired" }))));
}

#[tokio::test]
async fn a_secret_key_is_never_taken_for_one_of_web_pages() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let url = server.app.url();
    let refused = Wire::open(url, PATHS[0], "apikey=sb_secret_of_somebody_else").await.expect_err("it is refused");
    assert_eq!(refused, (401, json!({ "error": "The token provided is not a valid JWT" })));
    // the host application's own is the host application
    let query = format!("apikey={}&vsn=2.0.0", SERVICE_KEY.replace(' ', "%20"));
    let mut hosts = Wire::open(url, PATHS[0], &query).await.expect("it opens");
    let topic = format!("realtime:{}", channel(chat));
    hosts.joins(&topic, json!([changes(json!({ "table": "messages", "filter": format!("chat_id=eq.{chat}") }))])).await;
    alice.says(chat, "hello").await;
    assert_eq!(hosts.change().await["record"]["text"], "hello");
}

impl PartialEq for Wire {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_passed_over_or_said_and_ends_nothing() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let topic = format!("realtime:{}", channel(chat));
    let mut his = Wire::of(&bob).await;
    for message in [Message::text("nothing"), Message::text("[]"), Message::binary(vec![9, 9]), Message::binary(vec![3])] {
        his.sends(message).await;
    }
    let ok = (json!("ok"), json!({}));
    assert_eq!(his.asks(None, "phoenix", "heartbeat", json!({})).await, ok);
    let unmatched = (json!("error"), json!({ "reason": "unmatched topic" }));
    assert_eq!(his.asks(None, &topic, "presence", json!({ "event": "track", "payload": {} })).await, unmatched);
    assert_eq!(his.asks(None, "another:topic", "phx_join", json!({})).await, unmatched);
    assert_eq!(his.asks(None, &topic, "phx_leave", json!({})).await, ok, "who is not there leaves");

    let first = his.joins(&topic, json!([])).await;
    let second = his.says(None, &topic, "phx_join", json!({})).await;
    assert_eq!(his.frame().await, json!([first, first, topic, "phx_close", {}]), "the old one ends before the new one begins");
    his.hears("phx_reply").await;
    his.says(Some(&first), &topic, "phx_leave", json!({})).await;
    his.says(Some(&second), &topic, "nobody knows this", json!({})).await;
    assert_eq!(his.asks(None, "phoenix", "heartbeat", json!({})).await, ok, "neither is answered");
    let leaving = his.says(Some(&second), &topic, "phx_leave", json!({})).await;
    assert_eq!(his.frame().await, json!([second, leaving, topic, "phx_reply", { "status": "ok", "response": {} }]));
    assert_eq!(his.frame().await, json!([second, second, topic, "phx_close", {}]));
}

#[tokio::test]
async fn a_socket_carries_so_many_channels() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut his = Wire::of(&bob).await;
    let bindings = json!([changes(json!({ "table": "messages", "filter": format!("chat_id=eq.{chat}") }))]);
    for number in 0..100 {
        his.joins(&format!("realtime:{number}"), bindings.clone()).await;
    }
    let payload = json!({ "config": { "postgres_changes": bindings } });
    let (status, response) = his.asks(None, "realtime:one more", "phx_join", payload).await;
    assert_eq!((status, &response["reason"]), (json!("error"), &json!("ChannelRateLimitReached: Too many channels")));
    alice.says(chat, "to each").await;
    for _ in 0..100 {
        assert_eq!(his.change().await["record"]["text"], "to each");
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let server = TestServer::start().await;
    let bob = server.person("bob").await;
    let mut his = Wire::of(&bob).await;
    assert_eq!(his.asks(None, "phoenix", "heartbeat", json!({})).await.0, "ok");
    let stopped = tokio::spawn(server.app.stop());
    assert!(matches!(his.next().await, Came::Closed(1012)));
    stopped.await.expect("a task").expect("it stops");
}

/// A request as supabase-js sends it: status and body.
async fn posts(server: &TestServer, path: &str, person: Option<&Person>, kind: &str, body: Vec<u8>) -> (u16, Value) {
    let request = Client::new().request(Method::POST, format!("{}{path}", server.app.url()));
    let mut request = request.header("apikey", "anon").header("content-type", kind).body(body);
    if let Some(person) = person {
        request = request.bearer_auth(person.token());
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default())
}

#[tokio::test]
async fn broadcasts_over_http_are_decided_by_the_rules() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob]).await;
    let topic = format!("realtime:{}", channel(chat));
    let mut his = Wire::of(&bob).await;
    his.joins(&topic, json!([])).await;
    let batch = |topic: &str| {
        let message = |n: u32| json!({ "topic": topic, "event": "typing", "payload": { "n": n }, "private": false });
        json!({ "messages": [message(1), message(2)] }).to_string().into_bytes()
    };
    for base in ["/realtime/v1/api", "/api"] {
        let path = format!("{base}/broadcast");
        assert_eq!(posts(&server, &path, Some(&alice), "application/json", batch(&channel(chat))).await.0, 202);
        for n in [1, 2] {
            assert_eq!(his.hears("broadcast").await, json!({ "type": "broadcast", "event": "typing", "payload": { "n": n } }));
        }
        let path = format!("{base}/broadcast/chat%3A{chat}/events/a%2Fb?apikey=anon&vsn=2.0.0&private=true");
        assert_eq!(posts(&server, &path, Some(&alice), "application/json", b"[1]".to_vec()).await.0, 202);
        assert_eq!(his.hears("broadcast").await, json!({ "type": "broadcast", "event": "a/b", "payload": [1] }));
        assert_eq!(posts(&server, &path, Some(&alice), "application/octet-stream", vec![0, 255]).await.0, 202);
        let Came::Bytes(bytes) = his.next().await else { panic!("bytes are told as bytes") };
        assert_eq!(bytes[..5], [4, u8::try_from(topic.len()).expect("short"), 3, 0, 0]);
        assert!(bytes.ends_with(&[b'a', b'/', b'b', 0, 255]));
        let persisted = format!("{path}&persist=true");
        assert_eq!(posts(&server, &persisted, Some(&alice), "application/json", b"{}".to_vec()).await.0, 422);
        assert_eq!(posts(&server, &path, Some(&alice), "text/plain", b"{}".to_vec()).await.0, 415);
        assert_eq!(posts(&server, &path, Some(&alice), "application/json", b"{".to_vec()).await.0, 422);
    }
    let path = "/realtime/v1/api/broadcast";
    for (person, status) in [(Some(&mallory), 403), (None, 403)] {
        let (answered, body) = posts(&server, path, person, "application/json", batch(&channel(chat))).await;
        assert_eq!(answered, status, "{body}");
        assert!(body["message"].is_string(), "{body}");
    }
    let expired = server.bearer_of("bob", json!({ "sub": bob.id, "role": "authenticated", "exp": 1 }));
    let (status, body) = posts(&server, path, Some(&expired), "application/json", batch(&channel(chat))).await;
    assert_eq!((status, body), (401, json!({ "message": "Unauthorized" })));
    assert_eq!(posts(&server, path, Some(&alice), "application/json", batch("elsewhere")).await.0, 422);
    assert_eq!(posts(&server, path, Some(&alice), "application/json", b"{}".to_vec()).await.0, 422);
}

#[tokio::test]
async fn pages_may_send_the_headers_that_the_client_sends() {
    let server = TestServer::start().await;
    let answer = Client::new()
        .request(Method::OPTIONS, format!("{}/realtime/v1/api/broadcast", server.app.url()))
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "apikey, authorization, content-type, x-client-info")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    let allowed = answer.headers()["access-control-allow-headers"].to_str().expect("a text").to_ascii_lowercase();
    assert!(["apikey", "authorization", "content-type", "x-client-info"].iter().all(|name| allowed.contains(name)), "{allowed}");
}

#[tokio::test]
async fn the_documents_first_lines_work_as_they_stand() {
    let Some(folder) = crate::support::npm::folder().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let document = include_str!("../../../../openapi/supabase.md");
    let lines = document.split("```js\n").nth(1).and_then(|rest| rest.split("```").next()).expect("lines");
    let program = format!(
        "import {{ createClient }} from '@supabase/supabase-js'
        import ws from 'ws'
        globalThis.WebSocket ??= ws
        const [URL, KEY, token, CHAT, NAME] = ['{}', 'anon', () => '{}', '{chat}', 'bob']
        const show = (line) => console.log(line)
        {lines}",
        server.app.url(),
        bob.token()
    );
    let mut node = tokio::process::Command::new("node")
        .args(["--input-type=module", "--eval", &program])
        .current_dir(folder)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let mut shown = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(node.stdout.take().expect("its output")));
    let mut next = async || timeout(DEADLINE, shown.next_line()).await.expect("in time").expect("a line").expect("one more");
    assert_eq!(next().await, "SUBSCRIBED");
    assert_eq!(next().await, "here: ");
    let said = alice.says(chat, "hello").await["id"].as_str().expect("an id").to_owned();
    assert_eq!(next().await, "new: hello");
    let path = format!("/chats/{chat}/messages/{said}");
    alice.patch(&path, json!({ "text": "hello all" })).await.expect_status(200);
    assert_eq!(next().await, format!("{said} says now: hello all"));
    let typing = json!({ "event": "typing", "payload": { "name": "alice" } });
    alice.post(&format!("/chats/{chat}/broadcasts"), typing).await.expect_status(202);
    assert_eq!(next().await, "alice types");
    alice.delete(&path).await.expect_status(204);
    assert_eq!(next().await, format!("{said} is gone"));
}
