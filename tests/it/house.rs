//! A policy of the house, as `sql/README.md` shows it, and what it says of such policies.

use serde_json::json;
use tabletalk::check::{self, Level};

use crate::support::TestServer;
use crate::support::cluster::INSTALLER;
use crate::support::server::settings;

const README: &str = include_str!("../../sql/README.md");

/// The example.
fn policy() -> &'static str {
    README
        .split("```sql\n")
        .find(|block| block.starts_with("create schema house"))
        .and_then(|block| block.split("```").next())
        .expect("it")
}

#[tokio::test]
async fn who_is_suspended_by_the_house_sends_nothing_through_any_door() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let group = alice.group_with(&[&bob]).await;
    bob.says(group, "still here").await;
    let installer = server.database.cluster.db_connect(INSTALLER, &server.database.name).await;
    installer.batch_execute(policy()).await.expect("a policy");
    bob.says(group, "and nobody is suspended").await;
    installer.execute("insert into house.suspended values ($1)", &[&bob.id]).await.expect("a row");
    bob.tries(group, "any more").await.problem(403, "not_allowed");
    let psql = server.database.db_as(bob.id).await;
    let refused =
        psql.execute("insert into chat.messages (chat_id, text) values ($1, 'any more')", &[&group]).await.expect_err("no");
    let message = "new row violates row-level security policy \"house_suspended\"";
    assert!(refused.as_db_error().expect("Postgres says so").message().starts_with(message), "{refused:?}");
    assert!(README.contains(message));
    // alice is not, and bob reads on
    alice.says(group, "where is bob?").await;
    assert_eq!(bob.reads(group).await[0], "where is bob?");

    let settings = settings(&server.database.api_url(), &["--database-admin-url", &server.database.admin_url()]);
    let report = check::report(&settings).await.expect("a report");
    assert!(!report.is_bad(), "{report}");
    let shown = README.split("```\n").find(|block| block.starts_with("warning  nothing was added")).expect("what check says");
    let told = report.only(Level::Warning).to_string();
    for line in shown.lines().filter(|line| line.starts_with("warning") || line.starts_with("         →")) {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}

#[tokio::test]
async fn a_narrower_policy_for_reading_narrows_search_and_changes() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let group = alice.group_with(&[&bob]).await;
    alice.says(group, "a secret of the house").await;
    alice.says(group, "nothing much").await;
    let installer = server.database.cluster.db_connect(INSTALLER, &server.database.name).await;
    let policy = "create policy house_secrets on chat.messages as restrictive for select to authenticated
                  using (sender_id = chat.uid() or text not like '%secret%')";
    installer.batch_execute(policy).await.expect(policy);
    assert_eq!(bob.reads(group).await, ["nothing much"]);
    assert!(bob.get("/search?q=house").await.expect_status(200).data().is_empty());
    assert_eq!(bob.get("/search?q=much").await.data().len(), 1);
    let changes = bob.get(&format!("/chats/{group}/changes?since=0")).await.expect_status(200);
    assert!(!changes.body.to_string().contains("secret"), "{changes:?}");
    assert_eq!(alice.get("/search?q=house").await.data().len(), 1, "who said it finds it");
}

#[tokio::test]
async fn a_view_with_its_owners_rights_shows_everything_and_one_with_the_callers_does_not() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let group = alice.group_with(&[]).await;
    alice.post(&format!("/chats/{group}/messages"), json!({ "text": "between us" })).await.expect_status(201);
    let installer = server.database.cluster.db_connect(INSTALLER, &server.database.name).await;
    let views = "create schema house; grant usage on schema house to authenticated;
                 create view house.leaks as select m.text from chat.messages m;
                 create view house.obeys with (security_invoker = on) as select m.text from chat.messages m;
                 grant select on house.leaks, house.obeys to authenticated";
    installer.batch_execute(views).await.expect(views);
    let psql = server.database.db_as(mallory.id).await;
    assert_eq!(psql.query("select text from house.leaks", &[]).await.expect("rows").len(), 1);
    assert_eq!(psql.query("select text from house.obeys", &[]).await.expect("rows").len(), 0);
}

#[tokio::test]
async fn a_wider_policy_widens_reads_and_neither_search_nor_changes() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let group = alice.group_with(&[]).await;
    alice.says(group, "between us").await;
    let installer = server.database.cluster.db_connect(INSTALLER, &server.database.name).await;
    let policy = "create policy house_sees on chat.messages for select to authenticated using (true)";
    installer.batch_execute(policy).await.expect(policy);
    let psql = server.database.db_as(mallory.id).await;
    assert_eq!(psql.query("select text from chat.messages", &[]).await.expect("rows").len(), 1);
    assert!(mallory.get("/search?q=between").await.expect_status(200).data().is_empty());
    mallory.get(&format!("/chats/{group}/changes?since=0")).await.expect_status(403);
    let settings = settings(&server.database.api_url(), &["--database-admin-url", &server.database.admin_url()]);
    let report = check::report(&settings).await.expect("a report");
    let warned = report.only(Level::Warning);
    let about = warned.findings().iter().find(|found| found.detail.contains("house_sees")).expect("a warning");
    assert_eq!(about.what, "nothing lets in more than Tabletalk's own policies do");
}
