//! The real binary, as a person runs it.

pub mod program;
mod psql;
mod serve;
mod why;

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::CommandFactory as _;
use serde_json::Value;
use tabletalk::config::Cli;

use crate::migrate::cluster::Guard;
use crate::support::server::SECRET;
use crate::support::{Database, Person, TestServer};
use program::{run, tabletalk};

/// A folder of a test's own, and the end of whatever the test leaves running in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tabletalk-it-cli-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o711).create(&path).expect("a folder for the test");
        std::fs::set_permissions(&path, Permissions::from_mode(0o711)).expect("open to the server's account");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(Guard(self.0.join("postgres/cluster")));
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn help_lists_every_setting_with_its_variable_and_default() {
    let help = run(tabletalk(["--help"]));
    assert_eq!(help.code, Some(0));
    let words: String = help.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let command = Cli::command();
    for argument in command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
        let long = argument.get_long().expect("a long name");
        let variable = argument.get_env().expect("a variable").to_str().expect("UTF-8");
        assert!(help.out.contains(&format!("--{long}")), "{long}");
        assert!(words.contains(&format!("[env: {variable}")), "{variable}");
        assert!(argument.get_help().is_some(), "{long} says nothing");
        for default in argument.get_default_values() {
            let default = format!("[default: {}]", default.to_str().expect("UTF-8"));
            assert!(long == "install" || words.contains(&default), "{long}: {default}");
        }
    }
    for subcommand in command.get_subcommands() {
        let (name, about) = (subcommand.get_name(), subcommand.get_about().expect("it says what it does").to_string());
        let ran = run(tabletalk([name, "--help"]));
        assert_eq!(ran.code, Some(0), "{name}");
        assert!(help.out.contains(name) && ran.out.contains(&about), "{name}: {}", ran.out);
    }
    assert_eq!(run(tabletalk(["--version"])).out, format!("tabletalk {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_shows_no_secret_of_the_environment() {
    let mut command = tabletalk(["--help"]);
    for variable in ["DATABASE_URL", "DATABASE_ADMIN_URL", "JWT_SECRET", "SERVICE_KEY"] {
        command.env(variable, "s3cr3t");
    }
    let help = run(command);
    assert!(help.out.contains("JWT_SECRET") && !help.out.contains("s3cr3t"), "{}", help.out);
}

#[tokio::test]
async fn token_prints_one_that_the_server_believes() {
    let server = TestServer::start().await;
    let token = |arguments: &[&str]| {
        let ran = run(tabletalk([&["token", "--jwt-secret", SECRET], arguments].concat()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.trim().to_owned()
    };
    let (first, second) = (token(&["alice"]), token(&["alice"]));
    let alice = |token: &str| Person::new("alice", uuid::Uuid::nil(), server.app.url(), token);
    let (first, second) = (alice(&first).get("/users/me").await, alice(&second).get("/users/me").await);
    assert_eq!(first.body["displayName"], "alice");
    assert_eq!(first.expect_status(200).id(), second.expect_status(200).id(), "a name is always the same user");
    let id = uuid::Uuid::new_v4();
    assert_eq!(alice(&token(&[&id.to_string()])).get("/users/me").await.expect_status(200).id(), id);
    let room = serde_json::json!({ "type": "room", "name": "square", "visibility": "public" });
    alice(&token(&["carol"])).post("/chats", room.clone()).await.expect_status(403);
    alice(&token(&["carol", "--admin"])).post("/chats", room).await.expect_status(201);
    alice(&token(&["--role", "service_role"])).get("/users").await.expect_status(200);
}

#[test]
fn token_needs_a_secret_where_another_database_is_named() {
    let ran = run(tabletalk(["token", "--database-url", "postgres://db/chat"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("JWT_SECRET"), "{ran:?}");
}

#[test]
fn openapi_prints_the_document_and_asks_no_database() {
    let ran = run(tabletalk(["openapi", "--database-url", "postgres://127.0.0.1:1/nowhere"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    assert!(document["paths"]["/chats/{chatId}/messages"]["post"].is_object(), "{}", document["paths"]);
}

#[test]
fn asyncapi_prints_the_document_of_the_frames_and_asks_no_database() {
    let ran = run(tabletalk(["asyncapi", "--database-url", "postgres://127.0.0.1:1/nowhere"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("\nasyncapi: 3.0.0\n") && ran.out.contains("address: /ws"), "{}", ran.out);
}

#[tokio::test]
async fn migrate_says_that_the_database_is_up_to_date() {
    let database = Database::new().await;
    for admin in [None, Some(database.admin_url())] {
        let mut command = tabletalk(["migrate", "--database-url", &database.api_url()]);
        admin.map(|url| command.env("DATABASE_ADMIN_URL", url));
        let ran = run(command);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "the database is up to date\n"), "{ran:?}");
    }
}

#[tokio::test]
async fn check_prints_a_table_and_fails_where_something_is_bad() {
    let database = Database::new().await;
    let check = || run(tabletalk(["check", "--database-url", &database.api_url(), "--jwt-secret", SECRET]));
    let ran = check();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("ok       row-level security is on for every table\n"), "{}", ran.out);
    assert!(ran.out.contains("warning  what is committed is kept: fsync is off\n         → "), "{}", ran.out);
    database.db_owner().await.batch_execute("alter table chat.messages disable row level security").await.expect("done");
    let ran = check();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("bad      row-level security is on for every table: chat.messages\n"), "{}", ran.out);
}

#[tokio::test]
async fn schema_prints_what_is_committed() {
    let database = Database::new().await;
    for (what, committed) in
        [("schema", include_str!("../../sql/schema.sql")), ("policies", include_str!("../../sql/policies.md"))]
    {
        let ran = run(tabletalk(["schema", what, "--database-url", &database.api_url()]));
        assert!(ran.code == Some(0) && ran.out == committed, "{what}: {}", ran.err);
    }
}

#[test]
fn a_database_to_migrate_without_one_to_serve_from_is_refused() {
    for command in ["serve", "migrate", "check", "psql"] {
        let ran = run(tabletalk([command, "--database-admin-url", "postgres://admin:s3cr3t@db/chat"]));
        assert_eq!(ran.code, Some(1), "{command}");
        assert!(ran.err.contains("DATABASE_ADMIN_URL is set and DATABASE_URL is not"), "{command}: {ran:?}");
        assert!(!ran.err.contains("s3cr3t"), "{command}: {ran:?}");
    }
}

#[test]
fn a_url_that_is_none_is_refused_without_its_password() {
    for url in [
        "mysql://alice:s3cr3t@db/chat",
        "postgres://alice:s3cr3t@db@db/chat",
        "host=db password='s3cr3t",
        "host=db pasword=s3cr3t",
        "postgres://alice:s3cr3t@db/chat?sslmode=s3cr3t",
    ] {
        for variable in ["DATABASE_URL", "DATABASE_ADMIN_URL"] {
            let mut command = tabletalk(["serve"]);
            command.env("DATABASE_URL", "host=db").env(variable, url);
            let ran = run(command);
            assert_eq!(ran.code, Some(1), "{url}: {ran:?}");
            assert!(ran.err.contains(&format!("tabletalk: {variable}: ")), "{url}: {ran:?}");
            assert!(!ran.err.contains("s3cr3t"), "{url}: {ran:?}");
        }
    }
}
