//! How the schema differs from the one that this version was made with.

use tokio_postgres::Client;

use super::report::Report;
use crate::config::SchemaPage;
use crate::schema;

/// Compares the database with sql/schema.sql, statement by statement.
pub async fn find(client: &Client, report: &mut Report) -> anyhow::Result<()> {
    let theirs = schema::statements(&schema::page(client, SchemaPage::Schema).await?);
    let ours = schema::statements(schema::COMMITTED);
    let mut found = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let [missing, changed, policies, added] = &mut found;
    for (what, statement) in &ours {
        match theirs.get(what) {
            None => missing.push(name(what)),
            Some(other) if other != statement => changed.push(name(what)),
            Some(_) => {}
        }
    }
    for (what, statement) in theirs.iter().filter(|(what, _)| !ours.contains_key(*what)) {
        // a restrictive one only takes away
        if what.starts_with("create policy") && !statement.lines().next().is_some_and(|first| first.contains(" as restrictive "))
        {
            policies.push(name(what));
        } else {
            added.push(name(what));
        }
    }
    let compare = "compare `tabletalk schema schema` with sql/schema.sql of this version";
    for (what, names) in [("nothing of the schema is missing", &found[0]), ("nothing of the schema was changed", &found[1])] {
        if names.is_empty() { report.ok(what, String::new()) } else { report.bad(what, names.join(", "), compare) }
    }
    let what = "nothing lets in more than Tabletalk's own policies do";
    if found[2].is_empty() {
        report.ok(what, String::new());
    } else {
        report.warning(
            what,
            found[2].join(", "),
            "a permissive policy opens rows to others; if it is not meant to: drop policy …",
        );
    }
    let what = "nothing was added to the schema";
    if found[3].is_empty() {
        report.ok(what, String::new());
    } else {
        report.warning(what, found[3].join(", "), "not part of Tabletalk: it is for you to know whether it belongs there");
    }
    Ok(())
}

fn name(statement: &str) -> String {
    statement.strip_prefix("create ").unwrap_or(statement).trim_end_matches(';').to_owned()
}
