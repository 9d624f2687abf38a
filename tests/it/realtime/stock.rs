//! The stock clients themselves: what of them the tests rely on.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::support::npm::{self, Node};
use crate::support::server::stranger_at;

/// What the parsers are tested on: `node record.mjs frames` in `tests/clients` writes them anew, once `npm ci` has been there.
const RECORDINGS: [&str; 3] = ["supabase-1.jsonl", "supabase-2.jsonl", "pusher.jsonl"];

/// Where nobody listens.
fn nowhere() -> String {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    format!("http://{address}")
}

#[tokio::test]
async fn what_the_clients_send_is_what_was_recorded() {
    let Some(folder) = npm::folder().await else { return };
    let output = Command::new("node").args(["record.mjs", "frames"]).current_dir(folder).output().await.expect("node");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in RECORDINGS {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/frames").join(name);
        let (recorded, sent) = (fs::read_to_string(recorded), fs::read_to_string(folder.join("frames").join(name)));
        assert_eq!(sent.expect(name), recorded.expect(name), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_finds_nobody_says_so() {
    let Some(node) = Node::start().await else { return };
    let alice = stranger_at(&nowhere(), "alice");
    let mut hers = node.supabase(&alice, json!({})).await;
    hers.asks_to_join("chat:one", json!({}), &[("broadcast", json!({ "event": "*" }))]).await;
    let said = hers.status("chat:one", "CHANNEL_ERROR").await;
    assert!(said["error"].as_str().is_some_and(|error| error.contains("transport failure")), "{said}");
    let mut hers = node.pusher(&alice, "key", json!({})).await;
    hers.hears("unavailable", |said| said["heard"] == "state" && said["state"] == "unavailable").await;
    let refused = hers.tries("trigger", json!({ "channel": "nowhere", "event": "client-typing", "data": {} })).await;
    assert!(refused.is_err(), "{refused:?}");
}
