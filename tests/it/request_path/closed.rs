//! It fails closed: a statement outside its envelope may do nothing, and nothing of an envelope stays on a connection.

use std::time::{Duration, Instant};

use tabletalk::auth::Role;
use tabletalk::db::{Db, DbError};
use tabletalk::params;
use uuid::Uuid;

use super::{db_all_idle, identity, user, whole_pool};
use crate::support::random::{Random, seed};
use crate::support::{Database, TestServer};

const POOL: usize = 6;
/// Requests that are dropped half-way, if they are not done before.
const REQUESTS: u64 = 1_000;
/// Those of them that are under way at once.
const AT_ONCE: u64 = 8;
/// The latest moment at which one is dropped, in microseconds.
const WITHIN: u64 = 3_000;

const WHO: &str = "select current_user::text, chat.uid(), current_setting('request.jwt.claims')";
const SEND: &str = "insert into chat.messages (chat_id, text) values ($1, 'hello')";
const READ: &str = "select m.id from chat.messages m where m.chat_id = $1";

/// `set_config`, where the login that serves finds it before Postgres' own: it sees a connection as the last request left it.
const SPY: &str = "
create schema spy;
grant usage on schema spy to public;
create function spy.set_config(text, text, boolean) returns text language plpgsql as $$
begin
  if $1 = 'role' and not (current_user = 'chat_api'
                          and coalesce(current_setting('request.jwt.claims', true), '') = ''
                          and coalesce(current_setting('chat.hints_to', true), '') = ''
                          and current_setting('lock_timeout') = '0'
                          and pg_current_xact_id_if_assigned() is null) then
    raise 'left over: % % %', current_user, current_setting('request.jwt.claims', true), pg_current_xact_id_if_assigned();
  end if;
  return pg_catalog.set_config($1, $2, $3);
end
$$;";

/// A pool under the eyes of [`SPY`].
async fn db_spied(database: &Database, size: usize) -> Db {
    let superuser = database.cluster.db_superuser(&database.name).await;
    superuser.batch_execute(SPY).await.expect("a spy");
    let setting = format!("alter role chat_api in database {} set search_path = spy, pg_catalog", database.name);
    superuser.batch_execute(&setting).await.expect(&setting);
    Db::new(&database.cluster.dsn("chat_api", &database.name), size).expect("a pool")
}

#[tokio::test]
async fn a_statement_runs_as_the_role_of_the_token_with_its_claims() {
    let database = Database::new().await;
    let db = Db::new(&database.cluster.dsn("chat_api", &database.name), 1).expect("a pool");
    let alice = user(Uuid::new_v4());
    for who in
        [&alice, &identity(Role::Anon, None, "{}"), &alice, &identity(Role::ServiceRole, None, r#"{"role":"service_role"}"#)]
    {
        for rows in [db.read(who, WHO, params![]).await, db.write(who, WHO, params![]).await] {
            let rows = rows.expect("an answer");
            assert_eq!(rows[0].get::<_, &str>(0), who.role.as_str());
            assert_eq!(rows[0].get::<_, Option<Uuid>>(1), who.subject);
            assert_eq!(rows[0].get::<_, &str>(2), &*who.claims);
        }
    }
    let refused = db.read(&alice, "create temporary table t ()", params![]).await;
    assert!(matches!(&refused, Err(DbError::Refused(e)) if e.code().code() == "25006"), "a read is read only: {refused:?}");
}

#[tokio::test]
async fn outside_of_an_envelope_nothing_is_allowed() {
    let database = Database::new().await;
    let superuser = database.cluster.db_superuser(&database.name).await;
    let relations = superuser
        .query(
            "select n.nspname || '.' || c.relname, c.relkind = 'r'
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('chat', 'chat_private') and c.relkind in ('r', 'p', 'v', 'm')",
            &[],
        )
        .await
        .expect("the relations");
    let raw = database.cluster.db_connect("chat_api", &database.name).await;
    raw.batch_execute("set role chat_api").await.expect("as the pool does");
    let mut seen = 0;
    for row in &relations {
        let (name, is_table): (&str, bool) = (row.get(0), row.get(1));
        let mut statements = vec![format!("select from {name}")];
        if is_table {
            statements.push(format!("insert into {name} default values"));
            statements.push(format!("delete from {name}"));
            statements.push(format!("truncate {name}"));
        }
        for statement in statements {
            let result = raw.batch_execute(&statement).await;
            if statement == "select from chat.rules" {
                result.expect("the rules are read at start-up");
                continue;
            }
            let error = result.expect_err(&statement);
            assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{statement}: {error:?}");
            seen += 1;
        }
    }
    assert!(seen > 30, "the schemas hold more than {seen} things to try");
}

#[tokio::test]
async fn no_role_can_be_entered_but_those_of_tokens_and_the_relay() {
    let database = Database::new().await;
    let superuser = database.cluster.db_superuser(&database.name).await;
    let raw = database.cluster.db_connect("chat_api", &database.name).await;
    let mut entered = Vec::new();
    for row in superuser.query("select rolname::text from pg_roles order by 1", &[]).await.expect("the roles") {
        let role: &str = row.get(0);
        match raw.execute("select set_config('role', $1, false)", &[&role]).await {
            Ok(_) => entered.push(role.to_owned()),
            Err(error) => assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{role}: {error:?}"),
        }
        raw.batch_execute("reset role").await.expect("itself again");
    }
    assert_eq!(entered, ["anon", "authenticated", "chat_api", "chat_relay", "service_role"]);
    // nor from within an envelope, whatever its statement says
    let db = Db::new(&database.cluster.dsn("chat_api", &database.name), 1).expect("a pool");
    for statement in ["set role chat_owner", "set session authorization postgres"] {
        let refused = db.write(&user(Uuid::new_v4()), statement, params![]).await;
        assert!(
            matches!(&refused, Err(DbError::Denied { refusal, .. }) if refusal.code().code() == "42501"),
            "{statement}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn what_fails_leaves_nothing_on_the_connection() {
    let database = Database::new().await;
    let watcher = database.cluster.db_superuser(&database.name).await;
    let db = db_spied(&database, 1).await;
    let (alice, chat) = (user(Uuid::new_v4()), Uuid::new_v4());
    let locker = database.cluster.db_connect("chat_api", &database.name).await;
    let locked = format!("begin; select pg_advisory_xact_lock(uuid_hash_extended('{chat}', 4279))");
    locker.batch_execute(&locked).await.expect(&locked);
    let service = identity(Role::ServiceRole, None, "{}");
    for (what, who, statement, to, code) in [
        ("a statement that fails", &alice, "select 1 / 0", None, "22012"),
        ("a rule that refuses", &alice, SEND, Some(Uuid::new_v4()), "PT404"),
        ("claims that are no JSON, in the statement", &identity(Role::Authenticated, None, "no JSON"), WHO, None, "22P02"),
        ("claims that are no JSON, in the lock", &identity(Role::Authenticated, None, "no JSON"), SEND, Some(chat), "22P02"),
        ("claims that are no text", &identity(Role::Authenticated, None, "\0"), WHO, None, "22021"),
        ("a statement that is no SQL", &alice, "no SQL", None, "42601"),
        ("a statement that ends its envelope and goes on", &alice, "commit and chain", None, ""),
        ("a lock not had in time", &service, SEND, Some(chat), "55P03"),
    ] {
        let parameters = || if statement == SEND { params![to] } else { params![] };
        let result = match to {
            Some(chat) => db.write_to(chat, who, statement, parameters()).await,
            None => db.write(who, statement, parameters()).await,
        };
        match result {
            Err(DbError::Refused(error)) => assert_eq!(error.code().code(), code, "{what}: {error:?}"),
            Ok(_) if code.is_empty() => {}
            other => panic!("{what}: {other:?}"),
        }
        db_all_idle_but(&watcher, &database, 1).await;
        assert_eq!(whole_pool(&db, 1).await, 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_dropped_at_any_moment_leave_nothing_on_the_connections() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chats = [alice.group_with(&[]).await, alice.group_with(&[]).await];
    let TestServer { app, database } = server;
    app.stop().await.expect("a stop");
    let watcher = database.cluster.db_superuser(&database.name).await;
    let db = db_spied(&database, POOL).await;

    // made beforehand: none would live long enough to be made on the way
    assert_eq!(whole_pool(&db, POOL).await, POOL);
    let mut random = Random::new(seed());
    let (mut under_way, mut dropped) = (Vec::new(), 0);
    for number in 0..REQUESTS {
        let (db, chat, alice) = (db.clone(), *random.pick(&chats), user(alice.id));
        let kind = random.below(4);
        let request = tokio::spawn(async move {
            match kind {
                0 => db.read(&alice, READ, params![chat]).await,
                1 => db.write(&alice, "select 1 / 0", params![]).await,
                _ => db.write_to(chat, &alice, SEND, params![chat]).await,
            }
        });
        let moment = Duration::from_micros(random.below(WITHIN));
        under_way.push(tokio::spawn(async move {
            // the runtime's own timers are too coarse: most requests would be over
            let begin = Instant::now();
            while begin.elapsed() < moment {
                tokio::task::yield_now().await;
            }
            request.abort();
            match request.await {
                Err(dropped) => usize::from(dropped.is_cancelled()),
                // one that was quicker may fail, but not for what another left to it
                Ok(Err(DbError::Refused(error))) if error.code().code() != "22012" => panic!("{error:?}"),
                Ok(Err(error @ DbError::Denied { .. })) => panic!("{error:?}"),
                Ok(_) => 0,
            }
        }));
        // a few at once: more would be dropped while they wait for a connection, and a later one would tidy up after an earlier
        if number % AT_ONCE == AT_ONCE - 1 {
            for drop in under_way.drain(..) {
                dropped += drop.await.expect("a drop");
            }
            db_all_idle(&watcher, &database).await;
        }
    }
    println!("{dropped} of {REQUESTS} were dropped before they were done");
    assert!(dropped > 100, "{dropped} are too few to prove anything");
    let connections = db_all_idle(&watcher, &database).await;
    assert!(connections <= POOL, "{connections} connections of {POOL}");
    assert_eq!(whole_pool(&db, POOL).await, POOL);
    assert_eq!(db_all_idle(&watcher, &database).await, POOL);
    let (size, idle, waiting) = db.connections();
    assert_eq!((size, idle, waiting), (POOL, POOL, 0));
    for chat in chats {
        db.write_to(chat, &user(alice.id), SEND, params![chat]).await.expect("the queue lets the next one in");
    }
}

/// Like [`db_all_idle`], with so many other sessions of the same login inside transactions of the test's own.
async fn db_all_idle_but(watcher: &tokio_postgres::Client, database: &Database, others: usize) {
    let busy = "select from pg_stat_activity where datname = $1 and usename = 'chat_api'
                and application_name not like 'tabletalk %' and state <> 'idle'";
    crate::support::eventually("every connection is idle", async || {
        watcher.query(busy, &[&database.name]).await.expect(busy).len() == others
    })
    .await;
}
