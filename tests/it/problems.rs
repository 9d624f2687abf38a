//! What does not fit is told as a problem (RFC 9457), whatever it is; nothing of it is a fault of the server's.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::document::operations;
use crate::support::server::{SECRET, SERVICE_KEY};
use crate::support::{Answer, Person, TestServer};

async fn raw(person: &Person, path: &str, content_type: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
    let request = person.request(Method::POST, path).body(body);
    let request = match content_type {
        Some(content_type) => request.header(CONTENT_TYPE, content_type),
        None => request,
    };
    Answer::of(&format!("POST {path} as {content_type:?}"), request).await
}

/// Alice, and where she sends messages.
async fn alice_and_her_chat(server: &TestServer) -> (Person, String) {
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    (alice, format!("/chats/{chat}/messages"))
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let server = TestServer::start().await;
    let (alice, path) = alice_and_her_chat(&server).await;
    let before = server.database.db_rows().await;
    for body in [
        "",
        " ",
        "{",
        "{\"text\":",
        "{\"text\":\"x\"",
        "{'text':'x'}",
        "text=x",
        "{\"text\":\"x\"}{}",
        "{\"text\":\"x\",}",
        "\u{feff}{}",
    ] {
        raw(&alice, &path, Some("application/json"), body).await.problem(400, "request_is_invalid");
    }
    for body in ["null", "[]", "\"text\"", "1", "[{\"text\":\"x\"}]", " [null,\"x\",null,null,null]"] {
        raw(&alice, &path, Some("application/json"), body).await.problem(400, "request_is_invalid");
    }
    let no_utf8 = b"{\"text\":\"\xff\xfe\"}".to_vec();
    raw(&alice, &path, Some("application/json"), no_utf8).await.problem(400, "request_is_invalid");
    raw(&alice, &path, Some("application/json"), r#"{"text":"\ud800"}"#).await.problem(400, "request_is_invalid");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_field_that_does_not_fit_is_pointed_at() {
    let server = TestServer::start().await;
    let (alice, path) = alice_and_her_chat(&server).await;
    let before = server.database.db_rows().await;
    let send = async |body: &'static str| raw(&alice, &path, Some("application/json"), body).await;
    for wrong in [r#"{"text":1}"#, r#"{"text":null}"#, r#"{"text":[]}"#, r#"{"text":{}}"#, r#"{"text":true}"#] {
        send(wrong).await.invalid_at("/text");
    }
    send(r#"{"text":"x","colour":"red"}"#).await.invalid_at("/colour");
    send(r#"{"text":"x","a/b~c":1}"#).await.invalid_at("/a~1b~0c");
    send(r#"{"text":"x","mentions":["x"]}"#).await.invalid_at("/mentions/0");
    send(r#"{"text":"x","replyToId":"x"}"#).await.invalid_at("/replyToId");
    let missing = send("{}").await.problem(400, "request_is_invalid");
    assert!(missing.body["detail"].as_str().expect("a detail").contains("`text`"), "{}", missing.body);
    let twice = send(r#"{"text":"x","text":"y"}"#).await.problem(400, "request_is_invalid");
    assert!(twice.body["detail"].as_str().expect("a detail").contains("`text`"), "{}", twice.body);
    let problem = send(r#"{"text":1}"#).await;
    assert_eq!(problem.body["errors"][0]["message"], problem.body["detail"]);
    assert_eq!(problem.body["type"], "urn:tabletalk:problem:request_is_invalid");
    assert_eq!(problem.body["title"], "Bad Request");
    assert_eq!(problem.body.get("rule"), None);
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let server = TestServer::start().await;
    let (alice, path) = alice_and_her_chat(&server).await;
    let before = server.database.db_rows().await;
    let body = r#"{"text":"x"}"#;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json", "", "json"] {
        raw(&alice, &path, Some(content_type), body).await.problem(415, "body_is_not_json");
    }
    raw(&alice, &path, None, body).await.problem(415, "body_is_not_json");
    raw(&alice, &path, None, "").await.problem(415, "body_is_not_json");
    assert_eq!(server.database.db_rows().await, before);
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/json ;charset=\"utf-8\""] {
        raw(&alice, &path, Some(content_type), body).await.expect_status(201);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_whether_it_says_so_or_not() {
    let server = TestServer::start().await;
    let (alice, path) = alice_and_her_chat(&server).await;
    let before = server.database.db_rows().await;
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));
    raw(&alice, &path, Some("application/json"), long.clone()).await.problem(413, "body_is_too_long");
    let address = server.app.address();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the head is sent");
        // the server may answer and hang up before it has read all
        let _ = stream.write_all(format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()).as_bytes());
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    });
    let answer = answer.await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("application/problem+json"), "{answer}");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn deep_nesting_overflows_nothing() {
    let server = TestServer::start().await;
    let (alice, path) = alice_and_her_chat(&server).await;
    for depth in [100, 200_000] {
        let body = format!(r#"{{"text":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        raw(&alice, &path, Some("application/json"), body).await.problem(400, "request_is_invalid");
        let body = format!(r#"{{"text":"x","other":{}1{}}}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
        raw(&alice, &path, Some("application/json"), body).await.one_of(&[400, 413]);
    }
    alice.get("/users/me").await.expect_status(200);
}

#[tokio::test]
async fn what_is_nowhere_is_not_found_and_a_wrong_method_is_not_allowed() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    for path in [
        "/nowhere",
        "/chats/",
        "/chats/x/y/z",
        "/Chats",
        "//",
        "/users/me/password",
        "/healthz/x",
        "/%00",
        "/..%2f..%2fetc/passwd",
    ] {
        for person in [&alice, &server.nobody()] {
            let answer = person.get(path).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.body);
            answer.problem(404, "path_not_found");
        }
    }
    let id = Uuid::new_v4();
    for (method, path) in [
        (Method::POST, "/users/me".to_owned()),
        (Method::PATCH, "/chats".to_owned()),
        (Method::PUT, format!("/chats/{id}")),
        (Method::POST, format!("/chats/{id}/messages/{id}")),
        (Method::DELETE, "/healthz".to_owned()),
        (Method::POST, "/openapi.json".to_owned()),
        (Method::OPTIONS, "/chats".to_owned()),
    ] {
        alice.ask(method, &path, Some(json!({}))).await.problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn a_header_that_is_too_large_is_no_fault() {
    let server = TestServer::start().await;
    for length in [10_000, 100_000, 1_000_000] {
        let request = server.nobody().request(Method::GET, "/healthz").header("x-long", "x".repeat(length));
        // the connection may be cut while the head is still under way
        if let Ok(answer) = request.send().await {
            assert!([200, 400, 431].contains(&answer.status().as_u16()), "{length}: {}", answer.status());
        }
    }
    let alice = server.person("alice").await;
    alice.get(&format!("/users?query={}", "x".repeat(5_000))).await.invalid_at("query");
}

/// A request that would be fine but for what the test does to it.
async fn call(person: &Person, operation: &crate::support::document::Operation, path: &str) -> Answer {
    person.ask(operation.method.clone(), path, operation.has_body().then(|| json!({}))).await
}

fn some_value(name: &str) -> String {
    if name == "type" { "event_authors".to_owned() } else { Uuid::new_v4().to_string() }
}

#[tokio::test]
async fn every_operation_wants_a_token() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let before = server.database.db_rows().await;
    for operation in operations() {
        let path = operation.path_with(some_value);
        let answer = call(&nobody, &operation, &path).await.problem(401, "token_missing");
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{}", operation.id);
        for (token, code) in [
            ("garbage", "token_malformed"),
            ("a.b.c", "token_malformed"),
            ("", "token_missing"),
            (&"x".repeat(100_000), "token_too_long"),
        ] {
            let mallory = Person::new("mallory", Uuid::nil(), server.app.url(), token);
            let answer = call(&mallory, &operation, &path).await;
            if answer.status != 431 {
                assert_eq!(answer.status, 401, "{}: {}", operation.id, answer.body);
                let told = answer.body["code"].as_str().unwrap_or_default().to_owned();
                assert!(told == code || token.is_empty() || token == "a.b.c", "{}: {told}", operation.id);
                answer.problem(401, &told);
            }
        }
    }
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn every_operation_refuses_ids_that_are_none() {
    let server = TestServer::start().await;
    let (alice, service) = (server.person("alice").await, server.service());
    for operation in operations().iter().filter(|operation| !operation.path_parameters().is_empty()) {
        for name in operation.path_parameters() {
            // a room is joined by its uid as well, an event's id is what the host makes it, and an emoji is judged by the database
            let bad: &[&str] = match (operation.id.as_str(), name) {
                ("joinChat" | "getRoom", _) | (_, "eventId" | "emoji") => continue,
                (_, "type") => &["direct", "x", "event_authors%20"],
                _ => &[
                    "x",
                    "1",
                    "00000000-0000-0000-0000-00000000000",
                    "00000000-0000-0000-0000-00000000000g",
                    "%20",
                    "%F0%9F%98%80",
                ],
            };
            for bad in bad {
                let path = operation.path_with(|other| if other == name { (*bad).to_owned() } else { some_value(other) });
                let answer = call(if name == "type" { &service } else { &alice }, operation, &path).await;
                assert_eq!(answer.status, 400, "{} with {name} = {bad}: {}", operation.id, answer.body);
                answer.problem(400, "request_is_invalid");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_parameter_is_named_by_its_name() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let id = Uuid::new_v4();
    alice.get("/chats/x").await.invalid_at("chatId");
    alice.get(&format!("/chats/{id}/messages/x")).await.invalid_at("messageId");
    alice.get("/users/x").await.invalid_at("userId");
    alice.get("/chats?limit=x").await.invalid_at("limit");
    alice.get("/users?ids=x").await.invalid_at("ids");
}

#[tokio::test]
async fn problems_echo_no_secrets() {
    let server = TestServer::start().await;
    let (alice, path) = alice_and_her_chat(&server).await;
    let password = "hunter2-hunter2-hunter2";
    let forged = format!("{password}.{password}.{password}");
    let mallory = Person::new("mallory", Uuid::nil(), server.app.url(), &forged);
    let answers = [
        mallory.get("/chats").await.expect_status(401),
        alice.get(&format!("/nowhere?token={password}")).await.expect_status(404),
        alice.post(&path, json!({ "text": "x", "attachmentUrl": password })).await.expect_status(422),
        alice.post("/chats", json!({ "type": "group", "name": password.repeat(20) })).await.expect_status(422),
        alice.put(&format!("/chats/{}/read", Uuid::new_v4()), json!({ "seq": i64::MIN })).await,
    ];
    for answer in answers {
        let told = format!("{} {:?}", answer.body, answer.headers);
        for secret in [password, SECRET, SERVICE_KEY, "postgres", "chat_private", "select ", "insert "] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
        assert!(matches!(&answer.body, Value::Object(_)), "{told}");
    }
}
