//! What README shows works as it stands there.

use std::process::{Command, Stdio};

use tabletalk::auth::{NewToken, mint};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::server::SECRET;
use crate::support::{DEADLINE, TestServer, npm, skip};

const README: &str = include_str!("../../README.md");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conversation_is_held_as_it_is_written() {
    let block = README.split("```sh\n").find(|block| block.starts_with("ALICE=")).expect("a conversation");
    let (tokens, conversation) = block.split("```").next().expect("its end").split_once('\n').expect("its first line");
    assert_eq!(tokens, "ALICE=$(cargo run -q -- token alice) BOB=$(cargo run -q -- token bob)");
    if !["bash", "curl", "sed"].iter().all(|program| Command::new(program).arg("--version").output().is_ok()) {
        return skip("bash, curl and sed");
    }
    let server = TestServer::start().await;
    let token = |name: &str| {
        let token = NewToken { name: Some(name.to_owned()), ..NewToken::of_user(Uuid::new_v4()) };
        mint(SECRET, &token).expect("a token")
    };
    let script = conversation.replace("http://127.0.0.1:8080", server.app.url());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("ALICE", token("alice")).env("BOB", token("bob"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a task").expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains("\"status\":4"), "{said}");
    let page = said.trim_end().lines().last().expect("a page");
    assert!(page.starts_with("{\"data\":[") && page.contains("\"text\":\"hello bob\""), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_client_listens_as_it_is_written() {
    let Some(folder) = npm::folder().await else { return };
    let program = README.split("```js\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    // what Node has of itself in the versions that README names
    let around = "import WebSocketOfNpm from 'ws'\nglobalThis.WebSocket ??= WebSocketOfNpm\n";
    let program = around.to_owned() + &program.replace("http://127.0.0.1:8080", server.app.url());
    let mut node = tokio::process::Command::new("node")
        .args(["--input-type=module", "--eval", &program])
        .envs([("TOKEN", bob.token()), ("CHAT", &chat.to_string())])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let mut lines = BufReader::new(node.stdout.take().expect("its output")).lines();
    let mut line = async || timeout(DEADLINE, lines.next_line()).await.expect("something in time").expect("a line");
    assert!(line().await.is_some_and(|line| line.starts_with("SUBSCRIBED")));
    alice.says(chat, "hello bob").await;
    assert_eq!(line().await.as_deref(), Some("hello bob"));
}
