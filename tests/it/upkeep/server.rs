//! The server's own: in time, and to nobody's harm.

use std::time::Duration;

use super::{db_count, db_says_much, square};
use crate::support::{TestServer, eventually};

const WORDS: &str = "zzyzx";

/// A figure of `/metrics`.
async fn figure(server: &TestServer, name: &str) -> f64 {
    let answer = server.nobody().get("/metrics").await.expect_status(200);
    let text = answer.body.as_str().expect("a text").to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("no {name}: {text}"))
}

#[tokio::test]
async fn it_counts_what_it_removed_and_says_when_it_was_done() {
    let server = TestServer::with(&["--upkeep", "1"]).await;
    let alice = server.person("alice").await;
    let room = square(&server, &[&alice]).await;
    db_says_much(&server.database, &alice, room, 30).await;
    server.database.db_set("keep_messages = 10").await;
    eventually("the room is cut", async || db_count(&server.database, room).await == 10).await;
    eventually("it is counted", async || figure(&server, "tabletalk_upkeep_removed_messages_total").await > 19.0).await;
    eventually("it was done", async || figure(&server, "tabletalk_upkeep_last_success_timestamp_seconds").await > 1.0e9).await;
    let begin = std::time::Instant::now();
    server.app.stop().await.expect("it stops");
    assert!(begin.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn switched_off_it_does_nothing() {
    let server = TestServer::start().await;
    assert!((figure(&server, "tabletalk_upkeep_last_success_timestamp_seconds").await).abs() < 0.5);
    let other = TestServer::with(&["--upkeep", "1"]).await;
    let alice = server.person("alice").await;
    let room = square(&server, &[&alice]).await;
    db_says_much(&server.database, &alice, room, 30).await;
    server.database.db_set("keep_messages = 10").await;
    // as long as another one takes for two passes
    for _ in 0..2 {
        let before = figure(&other, "tabletalk_upkeep_last_success_timestamp_seconds").await;
        eventually("another pass", async || figure(&other, "tabletalk_upkeep_last_success_timestamp_seconds").await > before)
            .await;
    }
    assert_eq!(db_count(&server.database, room).await, 30);
}

#[tokio::test]
async fn an_erasure_that_nobody_ends_comes_to_its_end() {
    let server = TestServer::with(&["--upkeep", "1"]).await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chats = [alice.group_with(&[&bob, &carol]).await, alice.group_with(&[&bob, &carol]).await];
    for chat in chats {
        let statement = "insert into chat.messages (chat_id, text) select $1, $2 || n from generate_series(1, 600) n";
        server.database.db_as(bob.id).await.execute(statement, &[&chat, &WORDS]).await.expect(statement);
    }
    // the host's request, that broke off after its first slice
    let host = server.database.cluster.db_connect("chat_api", &server.database.name).await;
    host.batch_execute("set role service_role").await.expect("the host");
    let more = host.query_one("select chat.erase_user($1)", &[&bob.id]).await.expect("a slice");
    assert!(more.get::<_, bool>(0));
    eventually("the words are gone", async || server.database.db_finds(WORDS).await.is_empty()).await;
    eventually("it is ended", async || server.database.db_finds(&format!("chat_private.erasures: ({}", bob.id)).await.is_empty())
        .await;
    assert_eq!(alice.reads(chats[1]).await[0], "[erased]");
}

#[tokio::test]
async fn a_database_that_is_away_stops_nothing_for_good() {
    let server = TestServer::with(&["--upkeep", "1"]).await;
    let alice = server.person("alice").await;
    let room = square(&server, &[&alice]).await;
    let superuser = server.database.cluster.db_superuser("postgres").await;
    let name = &server.database.name;
    let away = format!(
        "alter database {name} allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    );
    superuser.batch_execute(&away).await.expect(&away);
    eventually("the database is away", async || server.nobody().get("/readyz").await.status == 503).await;
    eventually("a pass finds it away", async || figure(&server, "tabletalk_upkeep_failures_total").await > 0.0).await;
    assert_eq!(server.nobody().get("/healthz").await.status, 200);
    superuser.batch_execute(&format!("alter database {name} allow_connections true")).await.expect("it is back");
    db_says_much(&server.database, &alice, room, 30).await;
    server.database.db_set("keep_messages = 10").await;
    eventually("the room is cut", async || db_count(&server.database, room).await == 10).await;
    alice.says(room, "still here").await;
}

#[tokio::test]
async fn its_statements_may_take_the_doors_of_upkeep_and_no_others() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    alice.says(chat, "hello").await;
    let db = server.app.db();
    let who =
        db.write_as_server("select current_user::text, chat_private.lock_chat(gen_random_uuid())::text").await.expect("who");
    assert_eq!(who[0].get::<_, &str>(0), "chat_api");
    db.write_as_server("select from chat.upkeep()").await.expect("upkeep");
    for statement in [
        "select from chat.messages",
        "delete from chat.messages",
        "select chat.uid()",
        "select chat.erase_user(gen_random_uuid())",
        "select chat_private.erase(gen_random_uuid())",
        "update chat.settings set keep_messages = 1",
        "update chat_private.upkeep_place set step = 'rooms'",
    ] {
        let refused = db.write_as_server(statement).await;
        assert!(matches!(&refused, Err(tabletalk::db::DbError::Denied { .. })), "{statement}: {refused:?}");
    }
    assert_eq!(alice.reads(chat).await, ["hello"]);
}
