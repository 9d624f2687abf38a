//! Migrations: at once, where they must not, and by installers of every kind.

pub mod cluster;
mod installers;
mod upgrade;

use tabletalk::app::App;
use tabletalk::dsn::Dsn;
use tabletalk::migrate::{self, MigrateError};

use crate::cli::program::{run, tabletalk};
use crate::support::Database;
use crate::support::cluster::INSTALLER;
use crate::support::server::settings;
use cluster::{OwnCluster, db_snapshot};

fn dsn(url: &str) -> Dsn {
    Dsn::parse(url).expect("a connection string")
}

/// Why a server does not start.
async fn refusal(url: &str, arguments: &[&str]) -> String {
    match App::start(&settings(url, arguments)).await {
        Err(error) => format!("{error:#}"),
        Ok(app) => {
            app.stop().await.expect("it stops");
            panic!("it starts");
        }
    }
}

#[tokio::test]
async fn ten_migrations_at_once_are_one() {
    let own = OwnCluster::start().await;
    let _guard = own.guard();
    own.db_run("postgres", "create role installer login createrole").await;
    // two databases: their migrations hold different locks and want the same roles
    for database in ["one", "two"] {
        own.db_run("postgres", &format!("create database {database} owner installer")).await;
    }
    let processes: Vec<_> = (0..10)
        .map(|number| {
            let database = ["one", "two"][number % 2];
            let (api, admin) = (own.url("chat_api", database), own.url("installer", database));
            let command = tabletalk(["migrate", "--database-url", &api, "--database-admin-url", &admin]);
            std::thread::spawn(move || run(command))
        })
        .collect();
    let mut ran = 0;
    for process in processes {
        let run = process.join().expect("no panic");
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.out, "the database is up to date\n");
        ran += run.err.matches(" migrated ").count();
    }
    let migrations: i64 = own
        .db("postgres", "one")
        .await
        .query_one("select count(*) from chat_private.migrations", &[])
        .await
        .expect("a count")
        .get(0);
    assert!(migrations > 0);
    assert_eq!(i64::try_from(ran), Ok(2 * migrations), "each migration ran once in each database");
    own.stop().await;
}

#[tokio::test]
async fn a_schema_of_somebody_elses_is_refused_and_nothing_changes() {
    let own = OwnCluster::start().await;
    let _guard = own.guard();
    own.db_run("postgres", "create role installer login createrole; create role somebody").await;
    for (database, sql, schema, owner) in [
        ("a", "create schema chat authorization somebody; create table chat.messages (id integer)", "chat", "somebody"),
        ("b", "create schema chat_private authorization installer", "chat_private", "installer"),
        // a table of the right name is no sign of ours
        ("c", "create schema chat_private; create table chat_private.migrations (version integer)", "chat_private", "postgres"),
    ] {
        own.db_run("postgres", &format!("create database {database} owner installer")).await;
        own.db_run(database, sql).await;
        let superuser = own.db("postgres", database).await;
        let before = db_snapshot(&superuser).await;
        let run = run(tabletalk([
            "migrate",
            "--database-url",
            &own.url("chat_api", database),
            "--database-admin-url",
            &own.url("installer", database),
        ]));
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.err.contains(&format!("a schema `{schema}` in this database already, owned by {owner}")), "{run:?}");
        assert!(run.err.contains("nothing was changed"), "{run:?}");
        assert_eq!(db_snapshot(&superuser).await, before, "{database}");
    }
    own.stop().await;
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let own = OwnCluster::start().await;
    let _guard = own.guard();
    // no CREATE on the database: the roles can be made, the schemas can't
    own.db_run("postgres", "create role installer login createrole").await;
    own.db_run("postgres", "create database host").await;
    let superuser = own.db("postgres", "host").await;
    let before = db_snapshot(&superuser).await;
    let error = migrate::migrate(&dsn(&own.url("installer", "host")), None).await.expect_err("it fails");
    assert!(matches!(error, MigrateError::Refused(_)), "{error}");
    assert!(error.to_string().contains("permission denied for database host"), "{error}");
    assert_eq!(db_snapshot(&superuser).await, before);
    own.stop().await;
}

#[tokio::test]
async fn a_database_that_a_newer_version_migrated_is_refused() {
    let database = Database::new().await;
    let owner = database.db_owner().await;
    owner
        .batch_execute("insert into chat_private.migrations select 9999, 'the_future', applied_on, checksum from chat_private.migrations limit 1")
        .await
        .expect("a row");
    let refused = refusal(&database.api_url(), &[]).await;
    assert!(refused.contains("migrated by a newer Tabletalk"), "{refused}");
    let refused = refusal(&database.api_url(), &["--database-admin-url", &database.admin_url()]).await;
    assert!(refused.contains("migrated by a newer Tabletalk"), "{refused}");
}

#[tokio::test]
async fn a_database_that_lacks_migrations_says_how_to_get_them() {
    let database = Database::new().await;
    let empty = format!("{}_empty", database.name);
    let superuser = database.cluster.db_superuser("postgres").await;
    superuser.batch_execute(&format!("create database {empty} owner {INSTALLER}")).await.expect("a database");
    let owner = database.db_owner().await;
    owner.batch_execute("delete from chat_private.migrations where version > 3").await.expect("fewer");
    for name in [&empty, &database.name] {
        let refused = refusal(&database.cluster.url("chat_api", name), &[]).await;
        assert!(refused.contains(&format!("chat_api@{}", database.cluster.socket().display())), "{refused}");
        assert!(refused.contains("run `tabletalk migrate` with DATABASE_ADMIN_URL set"), "{refused}");
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = Database::new().await;
    let superuser = database.cluster.db_superuser(&database.name).await;
    let contents = "select md5(string_agg(r::text, ';' order by r.number)) from chat.rules r";
    let before: String = superuser.query_one(contents, &[]).await.expect("a digest").get(0);
    let migrated = migrate::migrate(&dsn(&database.admin_url()), Some("another password")).await.expect("it succeeds");
    assert!(migrated.applied.is_empty());
    let after: String = superuser.query_one(contents, &[]).await.expect("a digest").get(0);
    assert_eq!(before, after);
    let password: Option<String> =
        superuser.query_one("select rolpassword from pg_authid where rolname = 'chat_api'", &[]).await.expect("a role").get(0);
    assert_eq!(password, None, "a role that was there keeps what it had");
}
