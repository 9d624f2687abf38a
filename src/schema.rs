//! The present tense of the migrations, read from the catalogue of a migrated database.
//!
//! `sql/schema.sql` says what there is, `sql/policies.md` who may do what and by which rule. Both are committed, a test proves
//! them fresh, and [`crate::check`] compares a database with the first. The text is the same on every major version of Postgres:
//! no oids, a fixed order, and one spelling of what the majors print differently ([`expression`]).

mod catalogue;
mod ddl;
mod expression;
mod policies;

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::config::SchemaPage;
use catalogue::Catalogue;

/// sql/schema.sql as of this version.
pub const COMMITTED: &str = include_str!("../sql/schema.sql");

/// A page, made from the database behind `client`. Any login will do that may become `chat_api`.
///
/// # Errors
/// When the catalogue cannot be read, as in a database that was never migrated.
pub async fn page(client: &Client, what: SchemaPage) -> anyhow::Result<String> {
    let catalogue = Catalogue::read(client).await?;
    Ok(match what {
        SchemaPage::Schema => ddl::page(&catalogue),
        SchemaPage::Policies => policies::page(&catalogue),
    })
}

/// The statements of sql/schema.sql by what they make, without comments: two databases are compared by them.
pub fn statements(page: &str) -> BTreeMap<String, String> {
    let mut statements = BTreeMap::new();
    let mut statement = String::new();
    for line in page.lines().filter(|line| !line.trim_start().starts_with("--")) {
        let code = line.split_once("  -- ").map_or(line, |(code, _)| code).trim_end();
        statement.push_str(code);
        statement.push('\n');
        if code.ends_with(';') {
            let text = statement.trim().to_owned();
            statements.insert(subject(&text), text);
            statement.clear();
        }
    }
    statements
}

/// What a statement makes: `create policy select_reader on chat.chats`. Grants are told apart by all of their text.
fn subject(statement: &str) -> String {
    let first = statement.lines().next().unwrap_or_default().trim_end_matches([';', '(']).trim_end();
    if first.starts_with("create policy") || first.starts_with("create trigger") {
        return first.to_owned();
    }
    match first.strip_prefix("create ") {
        // a function's name goes with its arguments, not with what it returns
        Some(rest) if rest.starts_with("function") => first.split(" returns ").next().unwrap_or(first).to_owned(),
        Some(rest) if rest.contains("index ") => first.split(" on ").next().unwrap_or(first).to_owned(),
        _ => first.to_owned(),
    }
}
