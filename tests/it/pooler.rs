//! Behind PgBouncer in transaction mode: nothing of a session lasts there, and nothing of a request stays.
//!
//! With `TABLETALK_TEST_POOLER=1` the other tests' servers go through one, too.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tabletalk::app::App;
use tabletalk::auth::{Identity, NEVER, Role};
use tabletalk::check::{self, Level};
use tabletalk::db::{Db, DbError};
use tabletalk::dsn::Dsn;
use tabletalk::migrate::{self, MigrateError};
use tabletalk::params;
use tokio_postgres::SimpleQueryMessage;

use crate::support::pooler::{Pooler, url};
use crate::support::server::settings;
use crate::support::{Database, TestServer, skip};

const DECLARED: [&str; 2] = ["--database-pooler", "transaction"];
/// Messages that each of several people sends, while others read.
const MESSAGES: usize = 20;

/// A PgBouncer in front of a test's database.
async fn pooler(database: &Database, mode: &str) -> Option<Pooler> {
    let pooler = Pooler::start(database.cluster.socket(), mode).await;
    if pooler.is_none() {
        skip("PgBouncer (Debian: pgbouncer)");
    }
    pooler
}

fn dsn(url: &str) -> Dsn {
    Dsn::parse(url).expect("a connection string")
}

async fn refusal(url: &str, arguments: &[&str]) -> String {
    match App::start(&settings(url, arguments)).await {
        Err(error) => format!("{error:#}"),
        Ok(_) => panic!("it starts"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_behind_one_pooler_give_every_message_its_place() {
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "transaction").await else { return };
    let through = url(pooler.folder(), "chat_api", &database.name);
    // two, whose statements would bear the same names
    let direct = ["--database-listen-url", &database.cluster.url("chat_api", &database.name)];
    let other = App::start(&settings(&format!("{through} pgbouncer=true"), &direct)).await.expect("the server starts");
    let app = App::start(&settings(&through, &[DECLARED, direct].concat())).await.expect("the server starts");
    let server = TestServer { app, database };
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let senders = (0..8).map(|number| {
        let alice = alice.at(if number % 2 == 0 { other.url() } else { server.app.url() });
        tokio::spawn(async move {
            for count in 0..MESSAGES {
                let text = json!({ "text": format!("{number} says {count}") });
                alice.post(&format!("/chats/{chat}/messages"), text).await.expect_status(201);
                alice.get(&format!("/chats/{chat}/messages?limit=5")).await.expect_status(200);
                alice.get("/chats").await.expect_status(200);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("a sender");
    }
    let page = alice.walks(&format!("/chats/{chat}/messages"), 97).await;
    let seqs: BTreeSet<i64> = page.iter().map(|message| message["seq"].as_i64().expect("a seq")).collect();
    assert_eq!((page.len(), seqs.len()), (8 * MESSAGES, 8 * MESSAGES));
    // a stranger is a stranger there, too
    server.person("mallory").await.get(&format!("/chats/{chat}/messages")).await.refused(
        403,
        "chats_are_read_by_participants",
        "chats.1",
    );
    other.stop().await.expect("it stops");
    server.app.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_request_stays_on_a_shared_connection() {
    const WHO: &str = "select current_user::text || ' ' || $1::text, current_setting('request.jwt.claims')";
    const FAILS: &str = "select 1 / (1 - length($1::text))";
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "transaction").await else { return };
    let mut through = dsn(&url(pooler.folder(), "chat_api", &database.name));
    through.set_pooled();
    let db = Db::new(&through, 8).expect("a pool");
    let requests = (0..400).map(|number| {
        let db = db.clone();
        tokio::spawn(async move {
            let role = [Role::Anon, Role::Authenticated, Role::ServiceRole][number % 3];
            let claims = format!(r#"{{"number":{number}}}"#);
            let who = Identity { role, subject: None, claims: Arc::from(claims.as_str()), expires_at: NEVER, request: None };
            if number % 7 == 0 {
                let failed = db.write(&who, FAILS, params!["x".to_owned()]).await;
                assert!(matches!(&failed, Err(DbError::Refused(e)) if e.code().code() == "22012"), "{failed:?}");
            }
            let rows = db.read(&who, WHO, params![number.to_string()]).await.expect("an answer");
            assert_eq!(rows[0].get::<_, &str>(0), format!("{} {number}", role.as_str()));
            assert_eq!(rows[0].get::<_, &str>(1), claims);
        })
    });
    let requests = requests.collect::<Vec<_>>();
    // meanwhile, on the same connections and outside of any envelope; newer PgBouncers keep statements by names of their own
    let raw = dsn(&url(pooler.folder(), "chat_api", &database.name)).connect().await.expect("it answers").0;
    let mut processes = BTreeSet::new();
    for _ in 0..200 {
        let answer = raw
            .simple_query(
                "select pg_backend_pid(), current_user, session_user, coalesce(current_setting('request.jwt.claims', true), ''),
                        (select count(*) from pg_prepared_statements p where p.name not like 'PGBOUNCER%')",
            )
            .await
            .expect("an answer");
        let row = answer.iter().find_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None }).expect("a row");
        let told: Vec<&str> = (1..5).map(|column| row.get(column).expect("a value")).collect();
        assert_eq!(told, ["chat_api", "chat_api", "", "0"]);
        processes.insert(row.get(0).expect("a number").to_owned());
        let refused = raw.batch_execute("select from chat.messages").await.expect_err("it may nothing");
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"));
    }
    for request in requests {
        request.await.expect("a request");
    }
    assert!(processes.len() > 1, "the connections are shared: {processes:?}");
}

#[tokio::test]
async fn a_pooler_that_nobody_told_of_is_noticed() {
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "transaction").await else { return };
    let through = url(pooler.folder(), "chat_api", &database.name);
    let refused = refusal(&through, &DECLARED).await;
    assert!(refused.contains("set DATABASE_LISTEN_URL"), "no NOTIFY arrives through it: {refused}");
    let refused = refusal(&through, &[]).await;
    assert!(refused.contains("is behind a pooler") && refused.contains("DATABASE_POOLER=transaction"), "{refused}");
    let report = check::report(&settings(&through, &[])).await.expect("a report");
    let found = report.only(Level::Bad).to_string();
    assert!(found.contains("is behind a pooler") && found.contains("DATABASE_POOLER=transaction"), "{found}");

    // the login that migrates must not come through one, told of or not
    let installer = dsn(&url(pooler.folder(), "installer", &database.name));
    let refused = migrate::migrate(&installer, None).await.expect_err("it is refused");
    assert!(matches!(refused, MigrateError::Pooled), "{refused}");
    let admin = url(pooler.folder(), "installer", &database.name);
    let refused = refusal(&through, &[&DECLARED[..], &["--database-admin-url", &admin]].concat()).await;
    assert!(refused.contains("Reach Postgres itself with DATABASE_ADMIN_URL"), "{refused}");
}

#[tokio::test]
async fn behind_a_pooler_check_finds_nothing_wrong() {
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "transaction").await else { return };
    let through = url(pooler.folder(), "chat_api", &database.name);
    let report = check::report(&settings(&through, &DECLARED)).await.expect("a report");
    assert!(!report.is_bad(), "{report}");
    assert!(report.findings().len() > 15, "{report}");
    // and what is wrong is found: the pooler's connections are as good as others
    database.db_owner().await.batch_execute("grant select on chat.messages to chat_api").await.expect("a grant");
    let report = check::report(&settings(&through, &DECLARED)).await.expect("a report");
    let bad = report.only(Level::Bad);
    let bad: Vec<&str> = bad.findings().iter().map(|finding| finding.what.as_str()).collect();
    assert!(bad.contains(&"a statement outside a request is refused"), "{bad:?}");
    let refused = refusal(&through, &DECLARED).await;
    assert!(refused.contains("not safe to serve from"), "{refused}");
}

#[tokio::test]
async fn behind_a_pooler_the_login_is_chat_api_itself() {
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "transaction").await else { return };
    let superuser = database.cluster.db_superuser(&database.name).await;
    superuser.batch_execute("create role web login noinherit; grant chat_api to web").await.expect("a login");
    let through = url(pooler.folder(), "web", &database.name);
    let refused = refusal(&through, &DECLARED).await;
    assert!(refused.contains("the login of DATABASE_URL must be chat_api itself"), "{refused}");
    // nor does the pool take it, whoever made it
    let mut through = dsn(&through);
    through.set_pooled();
    let who = Identity { role: Role::Anon, subject: None, claims: Arc::from("{}"), expires_at: NEVER, request: None };
    let refused = Db::new(&through, 1).expect("a pool").read(&who, "select 1", params![]).await;
    assert!(matches!(&refused, Err(DbError::Away(why)) if why.contains("must be chat_api itself")), "{refused:?}");
    superuser.batch_execute("drop role web").await.expect("it goes");
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_is_as_good_as_none() {
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "session").await else { return };
    let through = url(pooler.folder(), "chat_api", &database.name);
    // fewer than there are server connections: one for requests, one for the relay, and one at the start
    let direct = database.cluster.url("chat_api", &database.name);
    let app =
        App::start(&settings(&through, &["--pool", "1", "--database-listen-url", &direct])).await.expect("the server starts");
    let server = TestServer { app, database };
    server.person("alice").await;
    server.app.stop().await.expect("it stops");
    // the login that migrates may come through it
    let installer = dsn(&url(pooler.folder(), "installer", &server.database.name));
    assert!(migrate::migrate(&installer, None).await.expect("it succeeds").applied.is_empty());
}

#[tokio::test]
async fn a_pooler_that_starts_again_is_found_again() {
    let database = Database::new().await;
    let Some(pooler) = pooler(&database, "transaction").await else { return };
    let mut through = dsn(&url(pooler.folder(), "chat_api", &database.name));
    through.set_pooled();
    let db = Db::new(&through, 2).expect("a pool");
    let who = Identity { role: Role::Anon, subject: None, claims: Arc::from("{}"), expires_at: NEVER, request: None };
    db.read(&who, "select 1", params![]).await.expect("an answer");
    // its connections go away under it
    let superuser = database.cluster.db_superuser(&database.name).await;
    let end =
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'chat_api'";
    superuser.batch_execute(end).await.expect(end);
    crate::support::eventually("it answers again", async || db.read(&who, "select 1", params![]).await.is_ok()).await;
}
