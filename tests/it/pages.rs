//! What stands beside the API: the root, the documents, health, figures; and CORS and compression in front of all.

use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, ORIGIN};

use crate::support::{Answer, TestServer};

async fn preflight(server: &TestServer, origin: &str, method: &str) -> Answer {
    let request = server
        .nobody()
        .request(Method::OPTIONS, "/chats")
        .header(ORIGIN, origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type,apikey");
    Answer::of("a preflight", request).await
}

#[tokio::test]
async fn the_root_says_what_this_is_to_people_and_to_programs() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let text = nobody.get("/").await.expect_status(200);
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
    let text = text.body.as_str().expect("a text").to_owned();
    assert!(text.contains(server.app.url()) && text.contains("/openapi.json") && text.contains("/docs"), "{text}");
    assert!(!text.contains("{url}") && !text.contains("{version}"), "no placeholder is left: {text}");
    let browser = nobody.request(Method::GET, "/").header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = Answer::of("a browser", browser).await.expect_status(200);
    assert!(page.headers["content-type"].to_str().expect("a type").starts_with("text/html"));
    assert!(page.body.as_str().expect("a page").contains("<html"));
}

#[tokio::test]
async fn the_documents_are_a_page() {
    let server = TestServer::start().await;
    for path in ["/docs", "/docs/"] {
        let page = server.nobody().get(path).await.expect_status(200);
        assert!(page.headers["content-type"].to_str().expect("a type").starts_with("text/html"), "{path}");
        assert!(page.body.as_str().expect("a page").contains("listMessages"), "{path}");
    }
}

#[tokio::test]
async fn health_and_figures_need_no_token() {
    let server = TestServer::start().await;
    let (nobody, alice) = (server.nobody(), server.person("alice").await);
    assert_eq!(nobody.get("/healthz").await.expect_status(200).body, "ok\n");
    assert_eq!(nobody.get("/readyz").await.expect_status(200).body, "ready\n");
    alice.get("/chats?query=a-secret-word").await.expect_status(200);
    alice.get(&format!("/chats/{}", alice.id)).await.expect_status(404);
    let figures = nobody.get("/metrics").await.expect_status(200);
    assert_eq!(figures.headers["cache-control"], "no-store");
    let text = figures.body.as_str().expect("a text");
    assert!(text.contains(r#"tabletalk_requests_total{operation="listChats",status="200"} 1"#), "{text}");
    assert!(text.contains(r#"tabletalk_requests_total{operation="getChat",status="404"} 1"#), "{text}");
    assert!(text.contains("tabletalk_request_duration_seconds_bucket"), "{text}");
    assert!(!text.contains("a-secret-word") && !text.contains(&alice.id.to_string()), "{text}");
}

#[tokio::test]
async fn a_server_whose_database_is_gone_is_alive_and_not_ready() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let superuser = server.database.cluster.db_superuser("postgres").await;
    let name = &server.database.name;
    superuser.batch_execute(&format!("drop database {name} with (force)")).await.expect("the database goes");
    server.nobody().get("/healthz").await.expect_status(200);
    let unready = server.nobody().get("/readyz").await.problem(503, "database_is_away");
    assert_eq!(unready.headers["retry-after"], "2");
    let answer = alice.get("/chats").await.problem(503, "database_is_away");
    assert_eq!(answer.headers["retry-after"], "2");
    let told = answer.body.to_string();
    assert!(!told.contains(name) && !told.contains("socket"), "what is inside stays inside: {told}");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let mut ids = std::collections::HashSet::new();
    for path in ["/chats", "/nowhere", "/healthz", "/users/x"] {
        let answer = alice.get(path).await;
        assert!(ids.insert(answer.headers["x-request-id"].to_str().expect("an id").to_owned()), "{path}");
    }
}

#[tokio::test]
async fn pages_of_this_machine_may_call_and_others_may_not() {
    let server = TestServer::start().await;
    let origin = "http://localhost:5173";
    let answer = preflight(&server, origin, "PATCH").await.one_of(&[200, 204]);
    assert_eq!(answer.headers["access-control-allow-origin"], origin);
    let methods = answer.headers["access-control-allow-methods"].to_str().expect("methods");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    let headers = answer.headers["access-control-allow-headers"].to_str().expect("headers").to_lowercase();
    for header in ["authorization", "content-type", "apikey"] {
        assert!(headers.contains(header), "{headers}");
    }
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));

    let alice = server.person("alice").await;
    // refusals as well, or a page could not read why
    for (path, status) in [("/chats", 200), ("/nowhere", 404), ("/users/x", 400)] {
        let answer = Answer::of(path, alice.request(Method::GET, path).header(ORIGIN, origin)).await.expect_status(status);
        assert_eq!(answer.headers["access-control-allow-origin"], origin, "{path}");
        let exposed = answer.headers["access-control-expose-headers"].to_str().expect("headers").to_lowercase();
        assert!(exposed.contains("location") && exposed.contains("x-request-id"), "{exposed}");
        assert!(answer.headers["vary"].to_str().expect("vary").to_lowercase().contains("origin"), "{path}");
    }
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        let refused = preflight(&server, origin, "GET").await;
        assert!(!refused.headers.contains_key("access-control-allow-origin"), "{origin}");
        let answer = Answer::of(origin, alice.request(Method::GET, "/chats").header(ORIGIN, origin)).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
    }
}

#[tokio::test]
async fn a_foreign_page_is_told_so_in_a_problem() {
    let server = TestServer::start().await;
    let request = server.nobody().request(Method::GET, "/chats").header(ORIGIN, "https://evil.example");
    Answer::of("a foreign page", request).await.problem(403, "origin_not_allowed");
    preflight(&server, "https://evil.example", "GET").await.problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn the_listed_origins_may_call_and_no_others() {
    let server = TestServer::with(&["--origins", "https://app.example,https://admin.example"]).await;
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://admin.example", true),
        ("http://localhost:5173", false),
        ("https://app.example.evil.example", false),
    ] {
        let answer = preflight(&server, origin, "GET").await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
    let everyone = TestServer::with(&["--origins", "*"]).await;
    let answer = preflight(&everyone, "https://anybody.example", "GET").await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://anybody.example");
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_asks() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let plain = nobody.request(Method::GET, "/openapi.json").send().await.expect("an answer");
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.expect("a body");
    let request = nobody.request(Method::GET, "/openapi.json").header(ACCEPT_ENCODING, "gzip");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let vary =
        answer.headers().get_all("vary").iter().any(|v| v.to_str().is_ok_and(|v| v.to_lowercase().contains("accept-encoding")));
    assert!(vary, "caches have to know: {:?}", answer.headers());
    let packed = answer.bytes().await.expect("a body");
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() * 4 < plain.len(), "{} of {}", packed.len(), plain.len());
}
