//! `tabletalk why`: may somebody do something, and by which rule.
//!
//! The answer is the database's (`chat.why`), which really does it and takes it back; this file asks and prints. It ends with 0 where it is
//! allowed, 1 where it is refused and 2 where there is no answer.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use tokio_postgres::IsolationLevel;

use crate::app::Database;
use crate::config::{Settings, WhyArgs};

const REFUSED: u8 = 1;
const NO_ANSWER: u8 = 2;

const WHY: &str = "select to_jsonb(w) from chat.why($1, $2, $3, $4, $5, $6) w";

/// Asks, as the login that migrates, and prints the answer. What keeps it from answering is printed as well.
pub async fn run(settings: &Settings, arguments: &WhyArgs) -> ExitCode {
    match answer(settings, arguments).await {
        Ok(answer) => {
            if arguments.json {
                println!("{answer}");
            } else {
                print!("{}", in_words(&answer));
            }
            ExitCode::from(match answer["allowed"].as_bool() {
                Some(true) => 0,
                Some(false) => REFUSED,
                None => NO_ANSWER,
            })
        }
        Err(error) => {
            eprintln!("tabletalk: {error:#}");
            ExitCode::from(NO_ANSWER)
        }
    }
}

async fn answer(settings: &Settings, arguments: &WhyArgs) -> anyhow::Result<Value> {
    let values = values(arguments)?;
    let claims = json("--claims", arguments.claims.as_deref())?.unwrap_or_else(|| Value::Object(Map::new()));
    let database = Database::open(settings).await?;
    let answer = ask(&database, arguments, values.as_ref(), &claims).await;
    database.close().await?;
    answer
}

async fn ask(database: &Database, arguments: &WhyArgs, values: Option<&Value>, claims: &Value) -> anyhow::Result<Value> {
    let Some(admin) = database.admin() else {
        bail!("this is asked with the login that migrates, which may become everybody: set DATABASE_ADMIN_URL");
    };
    let (mut client, _connection) = admin.connect().await.context("the database cannot be reached")?;
    let WhyArgs { who, command, table, id, .. } = arguments;
    // spelt out: a database may default to another level, under which nothing is written
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    let row = transaction.query_one(WHY, &[who, command, table, id, &values, claims]).await.map_err(|error| {
        match error.as_db_error() {
            Some(refusal) => anyhow::anyhow!(
                "{}",
                [Some(refusal.message()), refusal.hint()].into_iter().flatten().collect::<Vec<_>>().join("; ")
            ),
            None => error.into(),
        }
    })?;
    transaction.rollback().await?;
    Ok(row.get(0))
}

/// The values to write: one object of `--values` and all of `--set`.
fn values(arguments: &WhyArgs) -> anyhow::Result<Option<Value>> {
    let mut values = json("--values", arguments.values.as_deref())?;
    for given in &arguments.set {
        let (column, value) = given.split_once('=').with_context(|| format!("--set takes column=value, not {given}"))?;
        values.get_or_insert_with(|| Value::Object(Map::new()))[column] = value.into();
    }
    Ok(values)
}

fn json(option: &str, text: Option<&str>) -> anyhow::Result<Option<Value>> {
    let value: Option<Value> = text.map(serde_json::from_str).transpose().with_context(|| format!("{option} is not JSON"))?;
    if value.as_ref().is_some_and(|value| !value.is_object()) {
        bail!("{option} is a JSON object");
    }
    Ok(value)
}

fn in_words(answer: &Value) -> String {
    let part = |name: &str| answer[name].as_str().unwrap_or_default();
    let head = match answer["allowed"].as_bool() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "nothing to be allowed",
    };
    let rule = if part("rule").is_empty() { String::new() } else { format!(": {} ({})", part("sentence"), part("rule")) };
    let lines = [("because", "fact"), ("held by", "held_by"), ("tried", "tried")]
        .into_iter()
        .filter(|(_, name)| !part(name).is_empty())
        .map(|(label, name)| format!("  {label:<8} {}\n", part(name)));
    format!("{head}{rule}\n{}", lines.collect::<String>())
}
