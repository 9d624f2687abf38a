//! Blocks through the API.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Person, TestServer, each, eventually, fields};

async fn block(blocker: &Person, other: &Person) -> Answer {
    blocker.ask(reqwest::Method::PUT, &format!("/blocks/{}", other.id), None).await
}

#[tokio::test]
async fn a_block_is_made_once_and_taken_back() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let made = block(&alice, &mallory).await.expect_status(201);
    assert_eq!(fields(&made.body), ["createdAt", "userId"]);
    assert_eq!(made.body["userId"], json!(mallory.id));
    assert_eq!(block(&alice, &mallory).await.expect_status(200).body, made.body);
    assert_eq!(alice.get("/blocks").await.expect_status(200).data(), &[made.body]);
    for _ in 0..2 {
        alice.delete(&format!("/blocks/{}", mallory.id)).await.expect_status(204);
    }
    assert_eq!(alice.get("/blocks").await.expect_status(200).body, json!({ "data": [], "nextCursor": null, "prevCursor": null }));
}

#[tokio::test]
async fn nobody_learns_who_blocks_them_nor_unblocks_themselves() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    block(&alice, &mallory).await.expect_status(201);
    assert_eq!(mallory.get("/blocks").await.expect_status(200).data(), &[Value::Null; 0]);
    mallory.delete(&format!("/blocks/{}", alice.id)).await.expect_status(204);
    assert_eq!(alice.get("/blocks").await.data().len(), 1);
    // both may block, each for themselves
    block(&mallory, &alice).await.expect_status(201);
    mallory.delete(&format!("/blocks/{}", alice.id)).await.expect_status(204);
    assert_eq!(alice.get("/blocks").await.data().len(), 1);
}

#[tokio::test]
async fn a_block_ends_the_friendship_for_good() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.befriend(&bob).await;
    block(&alice, &bob).await.expect_status(201);
    assert_eq!(bob.get("/friends").await.data().len(), 0);
    alice.delete(&format!("/blocks/{}", bob.id)).await.expect_status(204);
    assert_eq!(alice.get("/friends").await.data().len(), 0, "unblocking makes no friends");
    alice.befriend(&bob).await;
}

#[tokio::test]
async fn a_block_that_breaks_a_rule_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let before = server.database.db_rows().await;
    block(&alice, &alice).await.refused(422, "blocks_are_between_two", "blocks.3");
    alice.put(&format!("/blocks/{}", Uuid::new_v4()), json!({})).await.refused(404, "users_exist", "users.8");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn the_list_walks_both_ways() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let mallory = server.person(&format!("mallory {n}")).await;
        block(&alice, &mallory).await.expect_status(201);
        ids.insert(0, mallory.id.to_string());
    }
    for limit in [1, 2, 5, 200] {
        assert_eq!(each(&alice.walks("/blocks", limit).await, "userId"), ids);
        assert_eq!(each(&alice.walks_back("/blocks", limit).await, "userId"), ids);
    }
}

#[tokio::test]
async fn who_accepts_and_who_blocks_in_the_same_moment_wait_for_each_other_in_one_order() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.put(&format!("/friends/{}", bob.id), json!({})).await.expect_status(201);
    let accepting = server.database.db_as(bob.id).await;
    accepting.batch_execute("begin; select from chat.friendships for update").await.expect("his request");
    let blocking = server.database.db_as(alice.id).await;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    let block = "insert into chat.blocks (blocked_id) values ($1)";
    let blocked = tokio::spawn(async move { blocking.execute(block, &[&bob.id]).await });
    let waits =
        "select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())
                 union all select from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'";
    eventually("the block waits for the request", async || !watcher.query(waits, &[]).await.expect(waits).is_empty()).await;
    let accepted = accepting.batch_execute("update chat.friendships set accepted_at = now(); commit").await;
    accepted.expect("nobody is the victim of a deadlock");
    assert_eq!(blocked.await.expect("a task").expect("nor here"), 1);
    assert!(alice.get("/friends").await.expect_status(200).data().is_empty(), "blocks.4: whoever comes last");
}
