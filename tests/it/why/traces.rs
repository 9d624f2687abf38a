//! A question leaves nothing behind, holds nobody up, and says so where it cannot be answered.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use tabletalk::dsn::Dsn;
use tabletalk::migrate::migrate;
use tokio_postgres::{AsyncMessage, IsolationLevel};
use uuid::Uuid;

use super::{Question, Why, db_dba};
use crate::migrate::cluster::OwnCluster;
use crate::support::{TestServer, eventually};

/// What went wrong with a question: its state and message.
#[track_caller]
fn failed(result: Result<Why, tokio_postgres::Error>) -> (String, String) {
    let error = result.expect_err("there is no answer");
    let error = error.as_db_error().expect("the database says so");
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn a_question_in_a_transaction_holds_nothing_and_tells_nobody() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let message: Uuid = alice.says(chat, "hello").await["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");

    // hears every hint of the database
    let (listener, mut connection) = server
        .database
        .cluster
        .dsn("postgres", &server.database.name)
        .config()
        .connect(tokio_postgres::NoTls)
        .await
        .expect("a listener");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(Ok(said)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(said) = said {
                hears.lock().expect("what was heard").push(said.payload().to_owned());
            }
        }
    });
    listener.batch_execute("listen chat").await.expect("it listens");

    let mut dba = db_dba(&server.database).await;
    let before = server.database.db_rows_by_key().await;
    let transaction =
        dba.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await.expect("a transaction");
    let questions = [
        Question::new(alice.id, "insert", "messages", chat),
        Question::new(alice.id, "update", "messages", message),
        Question::new(alice.id, "delete", "messages", message),
        Question::new(alice.id, "delete", "chats", chat),
        Question::new(alice.id, "delete", "users", alice.id),
        Question::new("service_role", "update", "chats", chat),
    ];
    for question in &questions {
        let why = question.ask(transaction.client()).await.expect("an answer");
        assert_eq!(why.allowed, Some(true), "{question:?}: {why:?}");
    }
    let held =
        "select coalesce(string_agg(l.locktype || ' ' || l.mode || ' ' || coalesce(l.relation::regclass::text, ''), ', '), '')
                from pg_locks l
                where l.pid = pg_backend_pid()
                  and (l.locktype = 'advisory' or l.mode not in ('AccessShareLock', 'ExclusiveLock'))";
    let held: String = transaction.query_one(held, &[]).await.expect("locks").get(0);
    assert_eq!(held, "", "this is held still");
    // nobody waits for it
    alice.says(chat, "while the transaction is open").await;
    transaction.commit().await.expect("it ends");

    let other = alice.group_with(&[]).await;
    server
        .database
        .db_as(alice.id)
        .await
        .execute("update chat.chats set name = 'the end' where id = $1", &[&other])
        .await
        .expect("in SQL");
    eventually("the listener hears of what was done at last", || {
        let is_heard = heard.lock().expect("what was heard").contains(&other.to_string());
        async move { is_heard }
    })
    .await;
    let heard = heard.lock().expect("what was heard").clone();
    assert!(!heard.contains(&chat.to_string()), "a question was heard of: {heard:?}");
    let after = server.database.db_rows_by_key().await;
    let changed: Vec<_> = before.iter().filter(|(key, row)| after.get(*key) != Some(*row)).map(|(key, _)| key).collect();
    assert!(changed.is_empty(), "a question changed {changed:?}");
}

#[tokio::test]
async fn a_question_waits_for_nobody_long() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let mut writer = server.database.db_as(alice.id).await;
    let writing = writer.transaction().await.expect("a transaction");
    writing.execute("insert into chat.messages (chat_id, text) values ($1, 'x')", &[&chat]).await.expect("it is hers");
    let dba = db_dba(&server.database).await;
    let question = Question::new(alice.id, "insert", "messages", chat);
    assert_eq!(failed(question.ask(&dba).await), ("55P03".to_owned(), "somebody else is writing there: ask again".to_owned()));
    writing.rollback().await.expect("it ends");
    assert_eq!(question.ask(&dba).await.expect("an answer").allowed, Some(true));
}

#[tokio::test]
async fn where_nothing_is_written_only_who_reads_is_asked_about() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let reads = Question::new(alice.id, "select", "chats", chat);
    let writes = Question::new(alice.id, "update", "chats", chat);
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    superuser.batch_execute("set default_transaction_read_only = on").await.expect("as on a standby");
    assert_eq!(reads.ask(&superuser).await.expect("an answer").allowed, Some(true));
    let (state, said) = failed(writes.ask(&superuser).await);
    assert!(state == "25006" && said.contains("read-only transaction or a standby"), "{state} {said}");
    superuser
        .batch_execute("set default_transaction_read_only = off; set default_transaction_isolation = 'serializable'")
        .await
        .expect("it is set");
    assert_eq!(reads.ask(&superuser).await.expect("an answer").allowed, Some(true));
    let (state, said) = failed(writes.ask(&superuser).await);
    assert!(state == "25001" && said.contains("read committed"), "{state} {said}");
}

#[tokio::test]
async fn who_may_not_become_somebody_is_told_so() {
    let own = OwnCluster::start().await;
    let _guard = own.guard();
    own.db_run("postgres", "create role installer login createrole").await;
    own.db_run("postgres", "create database host owner installer").await;
    let installer = Dsn::parse(&own.url("installer", "host")).expect("a connection string");
    migrate(&installer, None).await.expect("it is migrated");
    own.db_run("host", "create role clerk login; grant chat_owner to clerk").await;

    let clerk = own.db("clerk", "host").await;
    let question = Question::new("anon", "select", "settings", "");
    let error = question.ask(&clerk).await.expect_err("a clerk may not");
    let error = error.as_db_error().expect("the database says so");
    assert_eq!((error.code().code(), error.message()), ("42501", "this login may not become anon, so it can't tell why"));
    assert_eq!(error.hint(), Some("grant anon to clerk"));
    own.db_run("host", "grant anon to clerk").await;
    assert_eq!(question.ask(&clerk).await.expect("an answer").allowed, Some(true));
    // the login that serves may become everybody, and asks nothing
    let api = own.db("chat_api", "host").await;
    assert_eq!(failed(question.ask(&api).await).0, "42501");
    drop((clerk, api));
    own.stop().await;
}
