//! The pgTAP suites of `sql/tests/`, each against a database of its own.
//!
//! pgTAP is loaded from its script rather than by CREATE EXTENSION: the server under test may be of another major, or unpacked
//! somewhere, than the one it was installed for.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::cluster::{INSTALLER, cluster};
use crate::support::{Database, skip};

/// Where Debian and others put the extensions of a server.
const SHARED: &str = "/usr/share/postgresql";

#[tokio::test]
async fn every_pgtap_suite_passes() {
    let Some(script) = pgtap() else {
        return skip("pgTAP (Debian: postgresql-15-pgtap)");
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/tests");
    let mut suites: Vec<PathBuf> = fs::read_dir(folder).expect("sql/tests").map(|entry| entry.expect("a suite").path()).collect();
    suites.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    suites.sort();
    assert!(!suites.is_empty(), "there are suites");
    let superuser = cluster().await.db_superuser("postgres").await;
    let version: String = superuser.query_one("show server_version", &[]).await.expect("a version").get(0);
    let mut assertions = 0;
    let mut failures = Vec::new();
    for suite in suites {
        let database = Database::new().await;
        let superuser = database.cluster.db_superuser(&database.name).await;
        load_pgtap(&superuser, &script, &database.name).await;
        let installer = database.cluster.db_connect(INSTALLER, &database.name).await;
        let name = suite.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match run(&installer, &text(&suite)).await {
            Ok(passed) => assertions += passed,
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    println!("{assertions} pgTAP assertions passed on Postgres {version}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A suite as psql reads it: `\ir` reads in another file of its folder.
fn text(suite: &Path) -> String {
    let text = fs::read_to_string(suite).unwrap_or_else(|error| panic!("{}: {error}", suite.display()));
    let lines = text.lines().map(|line| match line.strip_prefix("\\ir ") {
        Some(file) => self::text(&suite.with_file_name(file)),
        None => line.to_owned() + "\n",
    });
    lines.collect()
}

/// The newest script of pgTAP on this machine.
fn pgtap() -> Option<String> {
    let mut scripts: Vec<PathBuf> = fs::read_dir(SHARED)
        .ok()?
        .flatten()
        .filter_map(|major| fs::read_dir(major.path().join("extension")).ok())
        .flat_map(Iterator::flatten)
        .map(|file| file.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // pgtap--1.2.0.sql; those with two versions in their name are updates
            name.strip_prefix("pgtap--").and_then(|rest| rest.strip_suffix(".sql")).is_some_and(|rest| !rest.contains("--"))
        })
        .collect();
    scripts.sort();
    let script = fs::read_to_string(scripts.pop()?).ok()?;
    Some(script.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n"))
}

async fn load_pgtap(superuser: &Client, script: &str, database: &str) {
    superuser
        .batch_execute(&format!(
            "create schema tap; grant usage on schema tap to public; set search_path = tap, public;
             alter database {database} set search_path = tap, public"
        ))
        .await
        .expect("a schema for pgTAP");
    superuser.batch_execute(script).await.expect("pgTAP loads");
}

/// Runs a suite; gives how many assertions passed, or what failed.
async fn run(client: &Client, suite: &str) -> Result<usize, String> {
    let messages = client.simple_query(suite).await.map_err(|error| match error.as_db_error() {
        Some(db) => format!("{}: {} {}", db.code().code(), db.message(), db.where_().unwrap_or_default()),
        None => error.to_string(),
    })?;
    let lines: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) if row.len() == 1 => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    let lines: Vec<&str> = lines.iter().flat_map(|text| text.lines()).collect();
    let plan = lines.iter().find_map(|line| line.strip_prefix("1..")).ok_or("it has no plan")?;
    let passed = lines.iter().filter(|line| line.starts_with("ok ")).count();
    let wrong: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("not ok ") || line.starts_with('#')).collect();
    if plan.trim().parse() == Ok(passed) && wrong.is_empty() {
        return Ok(passed);
    }
    Err(format!("{passed} of {plan} passed\n  {}", wrong.join("\n  ")))
}
