//! The doors: which address, whose pass, what is closed with which code.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use super::{KEY, connected, subscribes};
use crate::realtime::public_room;
use crate::support::npm::Node;
use crate::support::{DEADLINE, Person, TestServer, eventually};

/// A socket that says what the stock client would not.
struct Raw(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Raw {
    async fn at(server: &TestServer, path: &str) -> Self {
        let url = server.app.url().replacen("http", "ws", 1);
        Self(connect_async(format!("{url}{path}")).await.expect("it is upgraded").0)
    }

    /// One that is open, and its id.
    async fn open(server: &TestServer) -> (Self, String) {
        let mut raw = Self::at(server, &format!("/app/{KEY}?protocol=7&client=js&version=8.6.0&flash=false")).await;
        let first = raw.next().await;
        assert_eq!(first["event"], "pusher:connection_established");
        let data: Value = serde_json::from_str(first["data"].as_str().expect("a text")).expect("JSON");
        assert!(data["activity_timeout"].as_u64().is_some_and(|seconds| seconds > 0), "{data}");
        (raw, data["socket_id"].as_str().expect("an id").to_owned())
    }

    async fn says(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("it is sent");
    }

    async fn next(&mut self) -> Value {
        loop {
            match timeout(DEADLINE, self.0.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return serde_json::from_str(&text).expect("JSON"),
                Ok(Some(Ok(Message::Ping(_)))) => {}
                other => panic!("a frame was waited for: {other:?}"),
            }
        }
    }

    /// The code of the error that it is told, and that with which it is closed.
    async fn is_closed(&mut self) -> (u64, u16) {
        let error = self.next().await;
        assert_eq!(error["event"], "pusher:error");
        match timeout(DEADLINE, self.0.next()).await {
            Ok(Some(Ok(Message::Close(Some(close))))) => (error["data"]["code"].as_u64().expect("a code"), close.code.into()),
            other => panic!("a close was waited for: {other:?}"),
        }
    }

    /// Shows a pass for a channel, and gives the status with which it is refused; 200: it is not.
    async fn shows(&mut self, channel: &str, auth: &str) -> u64 {
        self.says(json!({ "event": "pusher:subscribe", "data": { "channel": channel, "auth": auth } })).await;
        let answer = self.next().await;
        assert_eq!(answer["channel"], channel, "{answer}");
        if answer["event"] == "pusher_internal:subscription_succeeded" {
            200
        } else {
            answer["data"]["status"].as_u64().unwrap_or(0)
        }
    }
}

/// What `/pusher/auth` or `/pusher/user-auth` answers to a form.
async fn asks(person: &Person, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut request = reqwest::Client::new()
        .post(format!("{}{path}", person.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "http://localhost:5173")
        .body(body.join("&"));
    if person.name != "nobody" {
        request = request.bearer_auth(person.token());
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["access-control-allow-origin"], "http://localhost:5173", "{path}");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn who_names_another_application_or_protocol_is_told_so_and_closed_for_good() {
    let server = TestServer::start().await;
    for (path, code) in [
        ("/app/other?protocol=7", 4001),
        ("/app/tabletalk", 4008),
        ("/app/tabletalk?client=js", 4008),
        ("/app/tabletalk?protocol=6", 4007),
    ] {
        assert_eq!(Raw::at(&server, path).await.is_closed().await, (u64::from(code), code), "{path}");
    }
    let renamed = TestServer::with(&["--pusher-key", "ours"]).await;
    assert_eq!(Raw::at(&renamed, "/app/tabletalk?protocol=7").await.is_closed().await.1, 4001);
    let Some(node) = Node::start().await else { return };
    let alice = renamed.person("alice").await;
    let mut hers = node.pusher(&alice, "ours", json!({})).await;
    hers.hears("that it is connected", |said| said["state"] == "connected").await;
    let mut wrong = node.pusher(&alice, KEY, json!({})).await;
    wrong.hears("that it gives up", |said| said["state"] == "disconnected").await;
}

#[tokio::test]
async fn a_pass_is_for_one_socket_and_one_channel_of_who_bears_the_token() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let room = alice.room("ours", "private").await;
    let (channel, other) = (format!("private-room-{room}"), format!("presence-room-{room}"));
    let ((mut hers, her_id), (mut theirs, their_id)) = (Raw::open(&server).await, Raw::open(&server).await);
    let auth = async |person: &Person, id: &str| {
        let (status, answer) = asks(person, "/pusher/auth", &[("socket_id", id), ("channel_name", &channel)]).await;
        assert_eq!(status, 200, "{answer}");
        assert!(!answer.to_string().contains(person.token()), "it is sealed");
        answer["auth"].as_str().expect("a pass").to_owned()
    };
    let pass = auth(&alice, &her_id).await;
    assert!(pass.starts_with("tabletalk:"), "{pass}");
    assert_eq!(theirs.shows(&channel, &pass).await, 401, "it is for another socket");
    assert_eq!(hers.shows(&other, &pass).await, 401, "and another channel");
    assert_eq!(theirs.shows(&channel, "").await, 401);
    assert_eq!(theirs.shows(&format!("#server-to-user-{}", alice.id), "").await, 401);
    alice.adds(room, &mallory, "member").await.expect_status(200);
    let theirs_once = auth(&mallory, &their_id).await;
    alice.removes(room, &mallory).await.expect_status(204);
    assert_eq!(theirs.shows(&channel, &theirs_once).await, 403, "whoever has a pass is asked about");
    assert_eq!(hers.shows(&channel, &pass).await, 200);
    hers.says(json!({ "event": "pusher:signin", "data": { "auth": pass, "user_data": "{}" } })).await;
    assert_eq!(hers.next().await["data"]["code"], 4009, "it lets nobody sign in");

    let form = [("socket_id", their_id.as_str()), ("channel_name", channel.as_str())];
    assert_eq!(asks(&server.nobody(), "/pusher/auth", &form).await.0, 401);
    assert_eq!(asks(&server.nobody(), "/pusher/user-auth", &form[..1]).await.0, 401);
    assert_eq!(asks(&server.anon(), "/pusher/user-auth", &form[..1]).await.0, 403, "who has no account signs in nowhere");
    for form in [&form[..1], &form[1..], &[]] {
        assert_eq!(asks(&alice, "/pusher/auth", form).await.0, 400);
    }
    let long = "x".repeat(129);
    assert_eq!(asks(&alice, "/pusher/auth", &[form[0], form[1], ("resume_id", &long)]).await.0, 400);
}

#[tokio::test]
async fn no_pass_is_given_to_who_may_not_hear_the_channel_and_the_problem_says_why() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let (ours, square) = (alice.room("ours", "private").await, public_room(&server, &alice).await);
    let nothing = Uuid::new_v4();
    for guard in ["private", "presence"] {
        let visits = if guard == "private" { (200, None) } else { (403, Some("presence_is_seen_by_participants")) };
        for (channel, (status, code)) in [
            (format!("{guard}-room-{ours}"), (403, Some("chats_are_read_by_participants"))),
            (format!("{guard}-room-{nothing}"), (404, Some("chats_exist"))),
            (format!("{guard}-room-{square}"), visits),
            (format!("{guard}-chats-{}", alice.id), (403, Some("channel_is_somebody_elses"))),
            (format!("{guard}-chats-{}", mallory.id), (200, None)),
            (format!("{guard}-chats-public"), (200, None)),
            (format!("{guard}-lobby"), (404, Some("channel_is_unknown"))),
        ] {
            let form = [("socket_id", "1.2"), ("channel_name", channel.as_str())];
            let (answered, answer) = asks(&mallory, "/pusher/auth", &form).await;
            assert_eq!((answered, answer["code"].as_str()), (status, code), "{channel}: {answer}");
            let (told, kind) = (answer["status"].as_u64(), code.map(|code| format!("urn:tabletalk:problem:{code}")));
            assert_eq!((told, answer["type"].as_str()), (code.map(|_| u64::from(status)), kind.as_deref()), "{channel}");
        }
    }
}

#[tokio::test]
async fn a_socket_answers_pings_and_survives_what_is_no_frame() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::open(&server).await;
    raw.says(json!({ "event": "pusher:ping", "data": {} })).await;
    assert_eq!(raw.next().await["event"], "pusher:pong");
    for nonsense in [json!([]), json!({ "event": "pusher:subscribe" }), json!({ "event": "client-x", "data": 1 })] {
        raw.says(nonsense.clone()).await;
        assert_eq!(raw.next().await["event"], "pusher:error", "{nonsense}");
    }
    raw.says(json!({ "event": "pusher:of-later", "data": {} })).await;
    raw.says(json!({ "event": "client-x", "channel": "private-room-x", "data": 1 })).await;
    assert_eq!(raw.next().await["data"]["code"], 4009, "it has not subscribed");
}

#[tokio::test]
async fn a_token_that_ends_has_the_client_come_back_with_another() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let room = alice.room("ours", "private").await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    // 30 s of other people's clocks are granted beyond it
    let short = server.bearer_of("alice", json!({ "sub": alice.id, "role": "authenticated", "exp": now - 30 + 4 }));
    let mut hers = connected(&node, &short).await;
    let channel = format!("private-room-{room}");
    subscribes(&mut hers, &channel).await;
    let error = hers.hears("that it is closed", |said| said["heard"] == "error").await;
    assert_eq!(error["error"]["data"]["code"], 4200, "{error}");
    hers.hears("that it is back", |said| said["state"] == "connected").await;
    let refused = hers.event(&channel, "pusher:subscription_error").await;
    assert_eq!(refused["data"]["status"], 401, "it has no other: {refused}");
}

#[tokio::test]
async fn who_is_signed_in_no_more_and_has_no_channel_is_not_here() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let (mut raw, id) = Raw::open(&server).await;
    let channel = format!("private-room-{chat}");
    for person in [&alice, &bob] {
        let (status, answer) = asks(person, "/pusher/user-auth", &[("socket_id", &id)]).await;
        assert_eq!(status, 200, "{answer}");
        raw.says(json!({ "event": "pusher:signin", "data": answer })).await;
        assert_eq!(raw.next().await["event"], "pusher:signin_success");
    }
    let (_, answer) = asks(&carol, "/pusher/auth", &[("socket_id", &id), ("channel_name", &channel)]).await;
    assert_eq!(raw.shows(&channel, answer["auth"].as_str().expect("a pass")).await, 200);
    let are = async |statuses: [(&Person, &str); 3]| {
        let page = carol.get(&format!("/chats/{chat}/presence")).await.expect_status(200);
        let is = |(person, status): &(&Person, &str)| {
            page.data().iter().any(|one| one["userId"] == json!(person.id) && one["status"] == *status)
        };
        statuses.iter().all(is)
    };
    let bob_signed_in = [(&alice, "offline"), (&bob, "online"), (&carol, "online")];
    eventually("bob is signed in in her place", async || are(bob_signed_in).await).await;
    raw.says(json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } })).await;
    let bob_alone = [(&alice, "offline"), (&bob, "online"), (&carol, "offline")];
    eventually("she who left the channel is gone", async || are(bob_alone).await).await;
}
