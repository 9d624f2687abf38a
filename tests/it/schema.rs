//! The generated present tense of the migrations.

use std::path::Path;

use tabletalk::config::SchemaPage;
use tabletalk::schema;

use crate::support::Database;
use crate::support::cluster::{TEMPLATE, cluster};

/// What the template database comes to, against what is committed. The whole run is of one major version of Postgres:
/// with TABLETALK_TEST_POSTGRES_BIN, of another.
async fn is_fresh(what: SchemaPage, path: &str) {
    let client = cluster().await.db_connect("chat_api", TEMPLATE).await;
    let page = schema::page(&client, what).await.expect("a page");
    let committed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    let differs = page.lines().zip(committed.lines()).find(|(new, old)| new != old);
    assert!(page == committed, "{path} is stale: make it anew with `tabletalk schema`; first at {differs:#?}");
}

#[tokio::test]
async fn schema_sql_is_what_the_migrations_make() {
    is_fresh(SchemaPage::Schema, "sql/schema.sql").await;
}

#[tokio::test]
async fn policies_md_is_what_the_migrations_make() {
    is_fresh(SchemaPage::Policies, "sql/policies.md").await;
}

#[tokio::test]
async fn every_statement_of_schema_sql_is_told_from_the_others() {
    let ours = schema::statements(schema::COMMITTED);
    let lines = schema::COMMITTED.lines().filter(|line| !line.trim_start().starts_with("--"));
    let ends = lines.filter(|line| line.split_once("  -- ").map_or(*line, |(code, _)| code).trim_end().ends_with(';')).count();
    assert_eq!(ours.len(), ends, "two statements have one name");
}

#[tokio::test]
async fn what_a_dba_adds_shows_up() {
    let database = Database::new().await;
    let owner = database.db_owner().await;
    owner
        .batch_execute(
            "create policy \"of the House\" on chat.messages as restrictive for select to authenticated using (text <> 'It''s OR (');
             alter table chat.messages disable trigger _900_rev;
             revoke select on chat.users from chat_auditor",
        )
        .await
        .expect("the owner may");
    let page = schema::page(&owner, SchemaPage::Schema).await.expect("a page");
    let policy = "create policy \"of the House\" on chat.messages as restrictive for select\nto authenticated\nusing (text <> 'It''s OR (');";
    assert!(page.contains(policy), "{page}");
    assert!(page.contains("alter table chat.messages disable trigger _900_rev;"), "{page}");
    let path: String = owner.query_one("show search_path", &[]).await.expect("a path").get(0);
    assert_eq!(path, "\"$user\", public", "the session is left as it was");
    let page = schema::page(&owner, SchemaPage::Policies).await.expect("a page");
    assert!(page.contains("| select | authenticated | `\"of the House\"` (restrictive) | no rule of ours |"), "{page}");
    assert!(page.contains("| [`chat.users`](#chatusers) | – | select, update | select, insert, update | – | – | – |"), "{page}");
}
