//! `tabletalk why`, as a person and as a program runs it.

use serde_json::{Value, json};

use super::program::{Ran, run, tabletalk};
use crate::support::{Database, TestServer};

fn why(database: &Database, arguments: &[&str]) -> Ran {
    let urls = ["why", "--database-url", &database.api_url(), "--database-admin-url", &database.admin_url()].map(str::to_owned);
    run(tabletalk(urls.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned()))))
}

#[tokio::test]
async fn why_answers_in_words_and_by_its_exit_code() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let sent = alice.says(chat, "hello").await;
    let message = sent["id"].as_str().expect("an id");
    let database = &server.database;

    let ran = why(database, &["bob", "update", "messages", message, "--set", "text=hi"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "no: only the sender edits a message, and only its text and mentions (messages.3)");
    assert!(lines[1].starts_with("  because  alice sent it at "), "{ran:?}");
    assert_eq!(lines[2], "  held by  trigger _950_update_rules on chat.messages");
    assert!(lines[3].starts_with("  tried    update chat.messages t set text = 'hi' where "), "{ran:?}");

    let ran = why(database, &["alice", "update", "messages", message]);
    assert!(ran.code == Some(0) && ran.out.starts_with("yes: "), "{ran:?}");
    let ran = why(database, &["alice", "select", "friendships", "bob"]);
    assert!(ran.code == Some(2) && ran.out.starts_with("nothing to be allowed: "), "{ran:?}");
    for (arguments, says) in [
        (vec!["zoe", "select", "chats", "x"], "tabletalk: nobody is called zoe; who was never here is asked about by their id\n"),
        (vec!["bob", "update", "messages", message, "--set", "text"], "tabletalk: --set takes column=value, not text\n"),
        (vec!["bob", "update", "messages", message, "--values", "[]"], "tabletalk: --values is a JSON object\n"),
    ] {
        let ran = why(database, &arguments);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(2), "", says));
    }
    alice.patch(&format!("/chats/{chat}/messages/{message}"), json!({ "text": "it is as it was" })).await.expect_status(200);
}

#[tokio::test]
async fn why_answers_programs_in_json() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let room = ["insert", "chats", "--json", "--values", r#"{"type": "room", "name": "square"}"#, "--set", "visibility=public"];
    let id = alice.id.to_string();
    let admin = ["--claims", r#"{"app_metadata": {"role": "admin"}}"#];
    for (claims, code, allowed, rule) in [(&[][..], 1, false, "chats.4"), (&admin, 0, true, "chats.3")] {
        let ran = why(&server.database, &[&[id.as_str()], &room[..], claims].concat());
        let answer: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!((&answer["allowed"], &answer["rule"]), (&json!(allowed), &json!(rule)), "{answer}");
        let mut fields: Vec<&str> = answer.as_object().expect("an object").keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["allowed", "code", "fact", "held_by", "rule", "sentence", "tried"]);
    }
    assert!(alice.get("/chats").await.data().is_empty(), "it was asked about, and not done");
}

#[tokio::test]
async fn why_is_asked_with_the_login_that_migrates() {
    let database = Database::new().await;
    let ran = run(tabletalk(["why", "--database-url", &database.api_url(), "anon", "select", "settings"]));
    assert!(ran.code == Some(2) && ran.out.is_empty() && ran.err.contains("set DATABASE_ADMIN_URL"), "{ran:?}");
}
