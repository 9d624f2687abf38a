//! `tabletalk psql`, with the real psql.

use std::process::{Command, Stdio};

use serde_json::json;
use uuid::Uuid;

use super::Folder;
use super::program::{Ran, run, tabletalk};
use crate::migrate::cluster::OwnCluster;
use crate::support::{Database, TestServer, skip};

/// Whether there is a psql to test with.
fn is_there() -> bool {
    let there = Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        skip("psql");
    }
    there
}

/// psql on a database, without headers and alignment.
fn psql(database: &Database, arguments: &[&str]) -> Ran {
    run(command(database, arguments))
}

fn command(database: &Database, arguments: &[&str]) -> Command {
    let urls = ["psql", "--database-url", &database.api_url(), "--database-admin-url", &database.admin_url()].map(str::to_owned);
    tabletalk(urls.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned())))
}

#[tokio::test]
async fn one_is_whom_one_says() {
    if !is_there() {
        return;
    }
    let database = Database::new().await;
    let id = Uuid::new_v4();
    let who = "select current_user, chat.uid()";
    for (name, expected) in [
        ("alice".to_owned(), format!("authenticated|{}", tabletalk::cli::user_id("alice"))),
        (id.to_string(), format!("authenticated|{id}")),
        ("o'brien \\ \"; :x".to_owned(), format!("authenticated|{}", tabletalk::cli::user_id("o'brien \\ \"; :x"))),
        ("anon".to_owned(), "anon|".to_owned()),
        ("service_role".to_owned(), "service_role|".to_owned()),
        ("owner".to_owned(), "chat_owner|".to_owned()),
    ] {
        let ran = psql(&database, &["--as", &name, "--", "-Atc", who]);
        assert_eq!((ran.code, ran.out.trim()), (Some(0), expected.as_str()), "{name}: {ran:?}");
        assert!(ran.err.contains("In a transaction as "), "{name}: {ran:?}");
    }
    let ran = psql(&database, &["--", "-Atc", "select session_user"]);
    assert_eq!(ran.out.trim(), crate::support::cluster::INSTALLER);
}

#[tokio::test]
async fn what_one_does_obeys_the_rules_and_is_undone_unless_one_commits() {
    if !is_there() {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let said = |text: &str| format!("insert into chat.messages (chat_id, text) values ('{chat}', '{text}')");
    let (id, bob) = (alice.id.to_string(), Uuid::new_v4().to_string());

    let ran = psql(&server.database, &["--as", &bob, "--", "-c", &said("let me in")]);
    assert!(ran.code == Some(1) && ran.err.contains("participants send messages"), "{ran:?}");
    assert!(ran.err.contains("No user"), "a mistyped name is noticed: {ran:?}");
    let ran = psql(&server.database, &["--as", &id, "--", "-c", &said("undone")]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "INSERT 0 1\n"), "{ran:?}");
    assert!(!ran.err.contains("No user"), "{ran:?}");
    let ran = psql(&server.database, &["--as", &id, "--", "-1", "-c", &said("kept by -1")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = psql(&server.database, &["--as", &id, "--", "-c", &said("kept by commit"), "-c", "commit"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(alice.reads(chat).await, ["kept by commit", "kept by -1"]);
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "renamed" })).await.expect_status(200);
}

#[tokio::test]
async fn one_stays_whom_one_says_after_a_commit_or_a_rollback() {
    if !is_there() {
        return;
    }
    let database = Database::new().await;
    let who = "select current_user, chat.uid()";
    let alice = format!("authenticated|{}", tabletalk::cli::user_id("alice"));
    for end in ["commit", "rollback"] {
        let ran = psql(&database, &["--as", "alice", "--", "-Atq", "-c", end, "-c", who]);
        assert_eq!((ran.code, ran.out.trim()), (Some(0), alice.as_str()), "{end}: {ran:?}");
    }
    // from standard input, too
    let script = Folder::new();
    let path = script.0.join("script.sql");
    std::fs::write(&path, format!("commit;\n{who};\n")).expect("a file");
    let mut command = command(&database, &["--as", "alice", "--", "-Atq"]);
    command.stdin(std::fs::File::open(&path).expect("the file"));
    assert_eq!(run(command).out.trim(), alice);
    let ran = psql(&database, &["--as", "alice", "--", "-Atqf", path.to_str().expect("UTF-8")]);
    assert_eq!(ran.out.trim(), alice);
}

#[tokio::test]
async fn who_cannot_become_somebody_does_nothing_as_themselves() {
    if !is_there() {
        return;
    }
    let database = Database::new().await;
    // only the login that serves is named, and that one never becomes the owner
    let url = database.api_url();
    let ran = run(tabletalk(["psql", "--database-url", &url, "--as", "owner", "--", "-Atc", "select current_user"]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains("This login cannot be owner."), "{ran:?}");
    for skips in ["-X", "-AtX", "--no-psqlrc"] {
        let ran = psql(&database, &["--as", "alice", "--", skips, "-c", "select 1"]);
        assert!(ran.code == Some(1) && ran.out.is_empty() && ran.err.contains("--as works by"), "{ran:?}");
    }
}

#[tokio::test]
async fn what_psql_runs_first_is_ours_alone_and_does_not_stay() {
    if !is_there() {
        return;
    }
    let database = Database::new().await;
    let folder = Folder::new();
    let with = |arguments: &[&str]| {
        let mut command = command(&database, arguments);
        command.env("TMPDIR", folder.path());
        command
    };
    let files = || std::fs::read_dir(&folder.0).expect("the folder").count();
    let ran = run(with(&["--as", "alice", "--", "-c", "\\! ls -lR $TMPDIR"]));
    assert!(
        ran.out.contains("drwx------ ") && ran.out.contains("tabletalk-psql-"),
        "nobody else plants a file beside it: {ran:?}"
    );
    assert!(ran.out.contains("-rw------- "), "{ran:?}");
    assert_eq!(files(), 0);
    let ran = run(with(&["--as", "alice", "--", "-c", "select 1/0"]));
    assert_eq!((ran.code, files()), (Some(1), 0), "{ran:?}");
    let mut without = with(&["--as", "alice"]);
    without.env("PATH", folder.path());
    let ran = run(without);
    assert!(ran.code == Some(1) && ran.err.contains("there is no psql here"), "{ran:?}");
    assert_eq!(files(), 0);
}

// the TCP port leads through this process, which must not stand still while psql runs
#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_on_no_command_line_and_what_else_the_url_says_is_kept() {
    if !is_there() {
        return;
    }
    let own = OwnCluster::listening().await;
    let _guard = own.guard();
    own.db_run("postgres", "create role alice login password 's3cr3t'").await;
    let url = |parameters: &str| format!("postgres://alice:s3cr3t@{}/postgres{parameters}", own.address);
    let pairs = {
        let (host, port) = own.address.split_once(':').expect("a port");
        format!("host={host} port={port} user=alice password='s3cr3t' dbname=postgres application_name=house")
    };
    for url in [url(""), url("?application_name=house"), pairs] {
        let show = "\\! tr '\\0' ' ' < /proc/$PPID/cmdline";
        let mut command = tabletalk(["psql"]);
        // in the environment, as a person has it; what libpq reads there must not lead elsewhere
        command.env("DATABASE_URL", &url).env("PGHOST", "nowhere.invalid").env("PGSERVICE", "none").env("PGPASSWORD", "wrong");
        command.args(["--", "-At", "-c", "select session_user, current_setting('application_name')", "-c", show]);
        let ran = run(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let name = if url.contains("house") { "house" } else { "psql" };
        assert!(ran.out.starts_with(&format!("alice|{name}\n")) && ran.out.contains("psql --dbname "), "{ran:?}");
        assert!(!ran.out.contains("s3cr3t"), "{ran:?}");
    }
    // this server has no TLS: who asks for it does not get in without
    let mut command = tabletalk(["psql", "--", "-c", "select 1"]);
    command.env("DATABASE_URL", url("?sslmode=require"));
    let ran = run(command);
    assert!(ran.code == Some(2) && ran.err.contains("does not support SSL"), "{ran:?}");
    own.stop().await;
}
