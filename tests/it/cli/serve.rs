//! `tabletalk serve` with a server of its own: what it says, how it ends, and how it begins again.

use std::process::Command;

use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Folder;
use super::program::{Serving, tabletalk};
use crate::support::eventually;

fn serve(folder: &Folder) -> Command {
    tabletalk(["serve", "--listen", "127.0.0.1:0", "--data", folder.path()])
}

/// The token in the curl line that the server printed.
fn printed_token(serving: &Serving) -> String {
    let out = serving.out();
    let token = out.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next());
    token.unwrap_or_else(|| panic!("no token: {out}")).to_owned()
}

async fn me(serving: &Serving, token: &str) -> Value {
    let request = Client::new().get(format!("{}/users/me", serving.url())).bearer_auth(token);
    request.send().await.expect("an answer").error_for_status().expect("200").json().await.expect("JSON")
}

#[tokio::test]
async fn it_says_where_it_serves_where_its_data_is_and_how_to_make_a_first_call() {
    let folder = Folder::new();
    let serving = Serving::start(serve(&folder)).await;
    let out = serving.out();
    assert!(out.contains(&format!("Its data is in {}\n", folder.path())), "{out}");
    // the line itself, as a person copies it
    let line = out.lines().find(|line| line.trim_start().starts_with("curl ")).unwrap_or_else(|| panic!("no curl: {out}"));
    let words: Vec<&str> = line.trim().split('\'').collect();
    let [call, header, ""] = words[..] else { panic!("another form of line: {line}") };
    let url = call.split_whitespace().nth(1).expect("an address");
    let (name, value) = header.split_once(": ").expect("a header");
    let answer = Client::new().get(url).header(name, value).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let alice: Value = answer.json().await.expect("JSON");
    assert_eq!(alice["displayName"], "alice");

    // a token from the command line is of the same making
    let ran = super::run(tabletalk(["token", "alice", "--data", folder.path()]));
    assert_eq!(me(&serving, ran.out.trim()).await["id"], alice["id"]);
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.ended().await.0, Some(0));
}

#[tokio::test]
async fn sigterm_and_sigint_end_it_with_requests_under_way_answered() {
    let folder = Folder::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let serving = Serving::start(serve(&folder)).await;
        let (token, url) = (printed_token(&serving), serving.url());
        let address = url.strip_prefix("http://").expect("http").to_owned();
        // an idle connection that is kept alive does not hold it up
        let idle = Client::new();
        idle.get(format!("{url}/healthz")).send().await.expect("an answer");

        let body = r#"{"type":"group","name":"late","participantIds":[]}"#;
        let head = format!(
            "POST /chats HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut connection = TcpStream::connect(&address).await.expect("it listens");
        connection.write_all(head.as_bytes()).await.expect("sent");
        let mut buffer = [0; 1024];
        let read = connection.read(&mut buffer).await.expect("an answer");
        assert!(buffer[..read].starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&buffer[..read]));

        // it waits for the body now
        serving.signal(signal);
        eventually("it takes no new connections", || async { TcpStream::connect(&address).await.is_err() }).await;
        connection.write_all(body.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let (code, log) = serving.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(signal.as_str()), "{log}");
        assert!(!folder.0.join("postgres/cluster/postmaster.pid").exists(), "its Postgres has stopped");
    }
}

#[tokio::test]
async fn killed_at_once_it_starts_again_with_what_it_had() {
    let folder = Folder::new();
    let serving = Serving::start(serve(&folder)).await;
    let token = printed_token(&serving);
    let alice = me(&serving, &token).await;
    serving.signal(Signal::SIGKILL);
    assert_eq!(serving.ended().await.0, None);
    let serving = Serving::start(serve(&folder)).await;
    let again = me(&serving, &token).await;
    assert_eq!((&again["id"], &again["createdAt"]), (&alice["id"], &alice["createdAt"]));
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_second_one_on_the_same_folder_joins_the_first() {
    let folder = Folder::new();
    let first = Serving::start(serve(&folder)).await;
    let second = Serving::start(serve(&folder)).await;
    assert_ne!(first.url(), second.url());
    let token = printed_token(&first);
    let alice = me(&first, &token).await;
    assert_eq!(me(&second, &token).await["id"], alice["id"]);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.ended().await.0, Some(0));
    assert_eq!(me(&second, &token).await["createdAt"], alice["createdAt"], "the second goes on");
    second.signal(Signal::SIGTERM);
    assert_eq!(second.ended().await.0, Some(0));
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_by_name() {
    let folder = Folder::new();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("its number").to_string();
    let ran = super::run(tabletalk(["serve", "--listen", &address, "--data", folder.path()]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains(&format!("cannot listen on {address}")), "{ran:?}");
    assert!(!folder.0.join("postgres/cluster/postmaster.pid").exists(), "its Postgres has stopped");
}
