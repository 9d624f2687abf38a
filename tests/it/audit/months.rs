//! The months of the audit: made by several servers at once, beside who writes.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;

use super::lines;
use crate::support::{Database, TestServer};

const MAKE: &str = "select chat_private.make_audit_months()";
/// What nobody who writes may have to wait for.
const SOON: Duration = Duration::from_secs(2);

async fn made(server: &Client) -> i32 {
    server.query_one(MAKE, &[]).await.expect(MAKE).get(0)
}

async fn drop_month(owner: &Client, ahead: i32) {
    let statement = format!(
        "do $$ begin execute format('drop table chat_private.%I', chat_private.month_of_audit(now() + interval '{ahead} months')); end $$"
    );
    owner.batch_execute(&statement).await.expect(&statement);
}

async fn count(owner: &Client, table: &str) -> i64 {
    owner.query_one(&format!("select count(*) from {table}"), &[]).await.expect("a count").get(0)
}

#[tokio::test]
async fn two_servers_make_a_month_once() {
    let database = Database::new().await;
    let owner = database.db_owner().await;
    let servers = [
        database.cluster.db_connect("chat_api", &database.name).await,
        database.cluster.db_connect("chat_api", &database.name).await,
    ];
    for _ in 0..5 {
        drop_month(&owner, 1).await;
        drop_month(&owner, 2).await;
        let (one, other) = tokio::join!(made(&servers[0]), made(&servers[1]));
        assert_eq!(one + other, 2);
    }
}

#[tokio::test]
async fn a_month_that_nobody_made_in_time_loses_nothing_and_holds_nobody_up() {
    let server = TestServer::start().await;
    let owner = server.database.db_owner().await;
    drop_month(&owner, 0).await;
    let alice = server.person("alice").await;
    let before = lines(&owner).await.len();
    assert_eq!(count(&owner, "chat_private.audit_log_rest").await, i64::try_from(before).expect("few"));

    // who is not done with a line among the rest is waited for, a while; meanwhile and afterwards everybody writes
    let writer = server.database.db_owner().await;
    let rename = format!("begin; update chat.users set display_name = 'Alicia' where id = '{}'", alice.id);
    writer.batch_execute(&rename).await.expect(&rename);
    let maker = server.database.cluster.db_connect("chat_api", &server.database.name).await;
    let refused = maker.query(MAKE, &[]).await.expect_err("it gives up");
    assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("55P03"));
    let bob = timeout(SOON, server.person("bob")).await.expect("bob waits for nobody");
    writer.batch_execute("commit").await.expect("a commit");

    assert_eq!(made(&maker).await, 1);
    assert_eq!(count(&owner, "chat_private.audit_log_rest").await, 0);
    assert_eq!(lines(&owner).await.len(), before + 2);
    bob.group_with(&[]).await;
    assert_eq!(count(&owner, "chat_private.audit_log_rest").await, 0);

    // who writes to a month that is there holds up nobody who makes another
    writer.batch_execute(&rename).await.expect(&rename);
    drop_month(&owner, 1).await;
    assert_eq!(timeout(SOON, made(&maker)).await.expect("at once"), 1);
    writer.batch_execute("rollback").await.expect("a rollback");
}
