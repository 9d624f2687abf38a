//! The questions of `sql/audit`: each is asked as it says, of a small history, and answers what it says.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Database, skip};

/// psql on a database, as the superuser; `role` is what it becomes.
fn psql(database: &Database, role: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--pset", "footer=off", "--set", "ON_ERROR_STOP=1"])
        .args(["--dbname", &database.cluster.url("postgres", &database.name)])
        .env("PGOPTIONS", format!("-c timezone=UTC -c role={role}"));
    psql
}

/// What it prints.
fn output(mut psql: Command) -> String {
    let output = psql.output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Without the times, and how wide they make a column.
fn timeless(table: &str) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(|word| {
            let digits = |part: &str, shape: &str| {
                part.len() >= shape.len()
                    && part.bytes().zip(shape.bytes()).all(|(is, due)| if due == b'0' { is.is_ascii_digit() } else { is == due })
            };
            let bare = word.trim_start_matches(['[', '"']);
            if digits(bare, "0000-00-00") || digits(bare, "00:00:00") {
                "…".to_owned()
            } else if word.starts_with("--") {
                word.chars().filter(|c| *c == '+').collect()
            } else {
                word.to_owned()
            }
        });
        let _ = writeln!(text, "{}", words.collect::<Vec<_>>().join(" "));
    }
    text
}

#[tokio::test]
async fn every_question_answers_what_it_says() {
    if !Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skip("psql");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let database = Database::new().await;
    let mut history = psql(&database, "none");
    history.arg("--file").arg(root.join("tests/it/audit/history.sql"));
    output(history);

    let mut asked = 0;
    for question in fs::read_dir(root.join("sql/audit")).expect("sql/audit").map(|entry| entry.expect("a question").path()) {
        let name = question.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&question).expect("a question");
        let comment: Vec<&str> =
            text.lines().map_while(|line| line.strip_prefix("--")).map(|line| line.get(3..).unwrap_or("")).collect();
        let call =
            comment.iter().position(|line| line.starts_with("psql ")).unwrap_or_else(|| panic!("{name} says how to ask it"));
        let arguments =
            comment[call].strip_suffix(&format!(" -f sql/audit/{name}")).unwrap_or_else(|| panic!("{name} names itself"));
        let mut ask = psql(&database, "chat_auditor");
        ask.args(arguments.split(' ').skip(1)).arg("--file").arg(&question);
        let (answer, sample) = (output(ask), comment[call + 2..].join("\n"));
        assert!(sample.lines().count() > 2, "{name} has a sample");
        assert_eq!(timeless(answer.trim_end()), timeless(&sample), "{name} answers:\n{answer}");
        asked += 1;
    }
    assert!(asked >= 6, "there are questions");
}
