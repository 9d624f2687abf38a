//! Real conversations in many languages, sent by people and imported by the host: they come back byte for byte and in order, whichever way
//! they are read.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Person, TestServer, each, skip};

/// A conversation, as somebody else wrote it down.
#[derive(Deserialize)]
struct Conversation {
    about: String,
    lines: Vec<String>,
}

/// What `.ci/wanted` installs below `target/dialogue`, made into JSON by `dialogue.py`.
fn conversations() -> Option<Vec<Conversation>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/dialogue");
    if !folder.join("chatterbot_corpus").is_dir() || !folder.join("emoji").is_dir() {
        skip("real conversations in target/dialogue (see .ci/wanted)");
        return None;
    }
    let output = Command::new("python3").arg(root.join("tests/it/dialogue.py")).arg(folder).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("conversations"))
}

/// Reads a chat in every way there is.
async fn read_back(person: &Person, chat: Uuid, expected: &[String], about: &str) {
    let page = person.walks(&format!("/chats/{chat}/messages"), 97).await;
    assert!(each(&page, "text").into_iter().rev().eq(expected), "{about}: by pages");
    let back = person.walks_back(&format!("/chats/{chat}/messages"), 97).await;
    assert!(each(&back, "text").into_iter().rev().eq(expected), "{about}: by pages, back");
    let (mut since, mut changed) = (0, Vec::new());
    loop {
        let answer = person.get(&format!("/chats/{chat}/changes?since={since}&limit=200")).await.expect_status(200).body;
        for change in answer["data"].as_array().expect("changes") {
            changed.extend(change["message"]["text"].as_str().map(str::to_owned));
        }
        since = answer["nextSince"].as_i64().expect("where to go on");
        if answer["more"] != true {
            break;
        }
    }
    assert!(changed.iter().eq(expected), "{about}: by changes");
}

/// A line is found by itself, and its highlights are a piece of it.
async fn find(person: &Person, chat: Uuid, line: &str) {
    let quoted = format!("\"{}\"", line.replace('"', " "));
    let quoted = quoted.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let answer = person.get(&format!("/search?q={quoted}&chatId={chat}&limit=200")).await;
    if answer.status == 422 {
        return; // signs alone
    }
    let answer = answer.expect_status(200);
    let hit = answer.data().iter().find(|hit| hit["message"]["text"] == line).unwrap_or_else(|| panic!("{line} is not found"));
    let parts = hit["highlights"].as_array().expect("highlights");
    let shown: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    assert!(line.contains(&shown), "{shown} is no piece of {line}");
    assert!(parts.iter().any(|part| part["hit"] == true), "{line}: no part of {parts:?} is a hit");
}

#[tokio::test]
async fn real_conversations_come_back_as_they_were_imported() {
    let Some(conversations) = conversations() else { return };
    let server = TestServer::start().await;
    let (alice, service) = (server.person("alice").await, server.service());
    let speakers = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    for Conversation { about, lines } in &conversations {
        let chat = alice.group_with(&[]).await;
        let messages: Vec<Value> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| {
                let at = format!("2021-03-04T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60);
                json!({ "id": Uuid::new_v4(), "senderId": speakers[n % 3], "text": line, "createdAt": at })
            })
            .collect();
        let body = json!({ "messages": messages });
        let done = service.post(&format!("/chats/{chat}/import"), body).await.expect_status(200).body;
        assert_eq!(done["imported"], lines.len(), "{about}");
        read_back(&alice, chat, lines, about).await;
        for line in lines.iter().step_by(37).filter(|line| line.chars().count() < 200) {
            find(&alice, chat, line).await;
        }
    }
}

#[tokio::test]
async fn real_conversations_come_back_as_they_were_said() {
    let Some(conversations) = conversations() else { return };
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let speakers = [&alice, &bob, &carol];
    // one of each language, and the emoji
    let mut languages = Vec::new();
    for Conversation { about, lines } in &conversations {
        let language = (about.split('/').next().unwrap_or_default(), about.contains("decomposed"));
        if languages.contains(&language) {
            continue;
        }
        languages.push(language);
        let lines: Vec<String> = lines.iter().take(60).cloned().collect();
        let chat = alice.group_with(&[&bob, &carol]).await;
        for (n, line) in lines.iter().enumerate() {
            let said = speakers[n % 3].says(chat, line).await;
            assert_eq!(said["text"], json!(line), "{about}");
        }
        read_back(&bob, chat, &lines, about).await;
        for line in lines.iter().step_by(17).filter(|line| line.chars().count() < 200) {
            find(&carol, chat, line).await;
        }
    }
    assert!(languages.len() > 25, "{languages:?}");
}
