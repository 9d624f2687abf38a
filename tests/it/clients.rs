//! Clients that generators make of the document: each recipe of `openapi/clients/README.md` is done as it is written there, against
//! a server, and has to hold the same conversation without a warning.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use crate::support::{TestServer, demanding};

/// What every client says.
const CONVERSATION: &[&str] = &[
    "bob and alice are friends",
    "alice opens the chat with bob",
    "alice sends three messages",
    "bob reads them, two a page",
    "alice edits: It begins at eight.",
    "bob may not: messages.3, only the sender edits a message, and only its text and mentions",
    "bob reacts: 👍",
    "alice deletes one",
    "bob catches up: It begins at eight.",
    "bob had 2 unread messages in alice, and now none",
];

#[tokio::test]
async fn a_client_in_typescript_is_generated_and_holds_the_conversation() {
    let files = ["package.json", "package-lock.json", ".npmrc", "tsconfig.json", "conversation.ts"];
    holds("TypeScript", &files, &["chat.d.ts", "build"]).await;
}

#[tokio::test]
async fn a_client_in_python_is_generated_and_holds_the_conversation() {
    holds("Python", &["requirements.txt", "config.yml", "ruff.toml", "conversation.py"], &["chat"]).await;
}

#[tokio::test]
async fn a_client_in_rust_is_generated_and_holds_the_conversation() {
    holds("Rust", &["Cargo.toml", "Cargo.lock", "build.rs", "src/lib.rs", "src/main.rs"], &[]).await;
}

/// Does what the recipe says, in a copy of its folder that keeps what it installs, but not what it generates.
async fn holds(language: &str, files: &[&str], generated: &[&str]) {
    if !demanding() {
        return;
    }
    let folder = copy(&language.to_lowercase(), files);
    for name in generated {
        let path = folder.join(name);
        match if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) } {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{name}: {error}"),
            _ => {}
        }
    }
    let server = TestServer::start().await;
    let begin = Instant::now();
    let output = Command::new("sh")
        .args(["-e", "-c", &format!("exec 2>&1\n{}", recipe(language))])
        .current_dir(&folder)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("TABLETALK_URL", server.app.url())
        .env("ALICE_TOKEN", server.stranger("alice").token())
        .env("BOB_TOKEN", server.stranger("bob").token())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the recipe for {language} fails:\n{said}");
    // npm's own are about npm
    let warning =
        said.lines().find(|line| !line.starts_with("npm ") && (line.to_lowercase().contains("warn") || line.contains('⚠')));
    assert!(warning.is_none(), "the recipe for {language} is not done without a warning:\n{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.ends_with(CONVERSATION), "the client in {language} says something else:\n{said}");
    println!("{language}: {} s", begin.elapsed().as_secs());
}

/// The commands under a language's heading.
fn recipe(language: &str) -> String {
    let readme = read(&clients().join("README.md"));
    let section = readme.split_once(&format!("\n## {language}\n")).expect("a section of its own").1;
    let commands = section.split_once("\n```sh\n").and_then(|(_, rest)| rest.split_once("```")).expect("commands").0;
    commands.to_owned()
}

/// A copy of a recipe's folder below `target`, with the document beside it. What is as it was is not touched: it would be built anew.
fn copy(name: &str, files: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(name);
    let contents = files.iter().map(|file| (*file, read(&clients().join(name).join(file))));
    let document = ("openapi.json", tabletalk::cli::openapi().expect("a document"));
    for (file, text) in contents.chain([document]) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        fs::write(&path, text).expect("a copy");
    }
    folder
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/clients")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
