//! What the documents show to developers of clients runs as it stands there, and hears what happens, also while the server was away.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use uuid::Uuid;

use super::fleet::{free_address, serving_at};
use crate::support::{DEADLINE, Person, TestServer, npm};

/// The documents of `openapi` with examples: how many each has, what they show when they listen, and before a message of alice's.
const DOCUMENTS: [(&str, usize, &str, &str); 3] =
    [("live.md", 2, "listening", "alice"), ("pusher.md", 1, "listening", "alice"), ("supabase.md", 1, "SUBSCRIBED", "new")];
/// What is shown of connections and people, at any time.
const PASSING: [&str; 6] = ["listening", "SUBSCRIBED", "CHANNEL_ERROR", "TIMED_OUT", "CLOSED", "here: "];
/// What surrounds an example: what a browser has, and what is the developer's own.
const AROUND: &str = "
import { EventSource as EventSourceOfNpm } from 'eventsource'
import { createClient } from '@supabase/supabase-js'
import Pusher from 'pusher-js'
import WebSocketOfNpm from 'ws'
globalThis.WebSocket ??= WebSocketOfNpm
globalThis.EventSource ??= EventSourceOfNpm
const { hostname: HOST, port: PORT } = new globalThis.URL(process.env.SERVER)
const { SERVER: URL, TOKEN, CHAT } = process.env
const [ROOM, KEY, NAME] = [CHAT, 'anon', 'bob']
const token = () => TOKEN
const show = (line) => console.log(line)
";

/// An example that runs, and what it shows.
struct Example {
    name: String,
    says: &'static str,
    shown: Lines<BufReader<ChildStdout>>,
    _node: Child,
}

impl Example {
    fn start(name: String, says: &'static str, lines: &str, folder: &Path, person: &Person, chat: Uuid) -> Self {
        let mut node = Command::new("node")
            .args(["--input-type=module", "--eval", &format!("{AROUND}{lines}")])
            .envs([("SERVER", person.url()), ("TOKEN", person.token()), ("CHAT", &chat.to_string())])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let shown = BufReader::new(node.stdout.take().expect("its output")).lines();
        Self { name, says, shown, _node: node }
    }

    async fn line(&mut self) -> String {
        let line = timeout(DEADLINE, self.shown.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{}: nothing is shown", self.name)).expect("a line");
        line.unwrap_or_else(|| panic!("{}: it ended", self.name))
    }

    /// What it shows next of messages.
    async fn next(&mut self) -> String {
        loop {
            let line = self.line().await;
            if !PASSING.iter().any(|passing| line.starts_with(passing)) {
                return line;
            }
        }
    }

    /// Waits until it shows a message with this text: whoever comes back may be told again what they know.
    async fn shows(&mut self, text: &str) {
        let line = format!("{}: {text}", self.says);
        while self.next().await != line {}
    }
}

/// The examples of a document.
fn examples(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(document);
    let text = fs::read_to_string(path).expect(document);
    text.split("```js\n").skip(1).map(|rest| rest.split("```").next().expect("its end").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_examples_run_as_they_stand_and_miss_nothing() {
    let Some(folder) = npm::folder().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let address = free_address();
    let serving = serving_at(&address, &server.database).await;
    let mut running = Vec::new();
    for (document, count, listening, says) in DOCUMENTS {
        let examples = examples(document);
        assert_eq!(examples.len(), count, "{document}");
        for (number, lines) in examples.iter().enumerate() {
            let name = format!("{document}, {number}");
            let mut example = Example::start(name, says, lines, folder, &bob.at(&serving.url()), chat);
            while example.line().await != listening {}
            running.push(example);
        }
    }
    let said = alice.says(chat, "hello").await["id"].as_str().expect("an id").to_owned();
    for example in &mut running {
        assert_eq!(example.next().await, format!("{}: hello", example.says), "{}", example.name);
    }
    let path = format!("/chats/{chat}/messages/{said}");
    alice.patch(&path, json!({ "text": "hello all" })).await.expect_status(200);
    for example in &mut running {
        assert_eq!(example.next().await, format!("{said} says now: hello all"), "{}", example.name);
    }
    alice.delete(&path).await.expect_status(204);
    for example in &mut running {
        assert_eq!(example.next().await, format!("{said} is gone"), "{}", example.name);
    }
    drop(serving);
    alice.says(chat, "is anybody there?").await;
    let _serving = serving_at(&address, &server.database).await;
    for example in &mut running {
        example.shows("is anybody there?").await;
    }
    alice.says(chat, "there you are").await;
    for example in &mut running {
        example.shows("there you are").await;
    }
}
