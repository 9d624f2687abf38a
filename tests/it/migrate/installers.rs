//! Who may install: no superuser, and whoever the host already has.

use tabletalk::app::App;
use tabletalk::auth::{NewToken, mint};
use tabletalk::check::{self, Finding, Level};
use tabletalk::migrate;
use uuid::Uuid;

use super::cluster::{OwnCluster, db_snapshot};
use super::dsn;
use crate::support::Person;
use crate::support::server::{SECRET, settings};

const PASSWORD: &str = "s3cr3t of ch@t_api: /?#";

/// A database on Supabase: its roles, schemas and default privileges. The superuser there is supabase_admin, and `postgres` none.
const SUPABASE: &str = "
create role supabase_admin login superuser;
create role installer login createrole createdb bypassrls;
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role, authenticator to installer with admin option;
create database host owner installer";
const SUPABASE_SCHEMAS: &str = "
set role supabase_admin;
create schema auth;
create schema storage;
create schema realtime;
create schema extensions;
grant usage on schema auth, storage, realtime, extensions to installer, anon, authenticated, service_role;
create table auth.users (id uuid primary key, email text);
create function auth.uid() returns uuid language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true)::jsonb ->> 'sub', '')::uuid
$$;
alter default privileges in schema public grant all on tables to installer, anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to installer, anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to installer, anon, authenticated, service_role;
set role installer;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
create table public.messages (id bigint generated always as identity primary key, text text);
create table public.users (id uuid primary key)";

/// Two people talk, a third does not hear them.
async fn converse(app: &App) {
    let person = |name: &str| {
        let id = Uuid::new_v4();
        let token = mint(SECRET, &NewToken { name: Some(name.to_owned()), ..NewToken::of_user(id) }).expect("a token");
        Person::new(name, id, app.url(), &token)
    };
    let (alice, bob, carol) = (person("alice"), person("bob"), person("carol"));
    for person in [&alice, &bob, &carol] {
        person.get("/users/me").await.expect_status(200);
    }
    let chat = alice.group_with(&[&bob]).await;
    alice.says(chat, "hello bob").await;
    bob.says(chat, "hello alice").await;
    assert_eq!(bob.reads(chat).await, ["hello alice", "hello bob"]);
    carol.get(&format!("/chats/{chat}/messages")).await.expect_status(403);
}

/// Migrates, serves, talks, and has `check` look at it.
async fn serves(api: &str, admin: &str) {
    let settings = settings(api, &["--database-admin-url", admin]);
    let app = App::start(&settings).await.unwrap_or_else(|error| panic!("{error:#}"));
    converse(&app).await;
    app.stop().await.expect("it stops");
    let report = check::report(&settings).await.expect("a report");
    let not_ok: Vec<&Finding> = report.findings().iter().filter(|finding| finding.level != Level::Ok).collect();
    assert!(not_ok.iter().all(|finding| finding.what == "what is committed is kept"), "{not_ok:#?}");
    // without the login that migrates, too
    let app = App::start(&crate::support::server::settings(api, &[])).await.unwrap_or_else(|error| panic!("{error:#}"));
    app.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_login_with_createrole_and_its_database_is_enough() {
    for options in ["createrole", "createrole bypassrls", "superuser"] {
        let own = OwnCluster::start().await;
        let _guard = own.guard();
        own.db_run("postgres", &format!("create role installer login {options}")).await;
        own.db_run("postgres", "create database host owner installer").await;
        serves(&own.url("chat_api", "host"), &own.url("installer", "host")).await;
        own.stop().await;
    }
}

#[tokio::test]
async fn it_lives_beside_supabase_and_touches_nothing_of_it() {
    let own = OwnCluster::start().await;
    let _guard = own.guard();
    own_run_each(&own, SUPABASE).await;
    own.db_run("host", SUPABASE_SCHEMAS).await;
    let superuser = own.db("postgres", "host").await;
    let theirs =
        |snapshot: String| -> Vec<String> { snapshot.lines().filter(|line| !line.contains("chat")).map(str::to_owned).collect() };
    let before = theirs(db_snapshot(&superuser).await);
    serves(&own.url("chat_api", "host"), &own.url("installer", "host")).await;
    assert_eq!(theirs(db_snapshot(&superuser).await), before);

    // PostgREST's way in: the same rules, by the same claims
    let authenticator = own.db("authenticator", "host").await;
    let seen: i64 = {
        authenticator.batch_execute("begin; set local role authenticated").await.expect("a role");
        let claims = format!(r#"{{"sub":"{}","role":"authenticated"}}"#, Uuid::new_v4());
        authenticator.execute("select set_config('request.jwt.claims', $1, true)", &[&claims]).await.expect("claims");
        let row = authenticator.query_one("select count(*) from chat.messages where auth.uid() = chat.uid()", &[]).await;
        row.expect("a count").get(0)
    };
    assert_eq!(seen, 0, "a stranger sees no message there either");
    drop(authenticator);
    own.stop().await;
}

#[tokio::test]
async fn an_installer_who_may_not_make_or_grant_roles_is_told_the_statements() {
    let own = OwnCluster::start().await;
    let _guard = own.guard();
    own.db_run("postgres", "create role anon nologin noinherit; create role installer login").await;
    own.db_run("postgres", "create database host owner installer").await;
    let installer = dsn(&own.url("installer", "host"));
    let refused = migrate::migrate(&installer, None).await.expect_err("it may not").to_string();
    assert!(refused.contains("may not make or grant"), "{refused}");
    let (_, statements) = refused.split_once("on what is granted: ").unwrap_or_else(|| panic!("no statements: {refused}"));
    let statements = statements.trim_end_matches(')');
    assert!(statements.contains("grant anon to chat_api"), "{statements}");
    assert!(!statements.contains("create role anon "), "it is there: {statements}");
    // all of them at once, as a DBA copies them
    own.db_run("postgres", statements).await;
    serves(&own.url("chat_api", "host"), &own.url("installer", "host")).await;
    own.stop().await;
}

#[tokio::test]
async fn the_password_of_the_login_is_set_from_its_url_and_is_in_no_log() {
    let own = OwnCluster::listening().await;
    let _guard = own.guard();
    own.db_run("postgres", "create role installer login createrole password 'installing'").await;
    own.db_run("postgres", "create database host owner installer").await;
    let quoted = PASSWORD.bytes().fold(String::new(), |quoted, byte| quoted + &format!("%{byte:02X}"));
    let api = format!("postgres://chat_api:{quoted}@{}/host", own.address);
    let admin = format!("postgres://installer:installing@{}/host", own.address);
    serves(&api, &admin).await;
    let wrong = dsn(&api.replace(&quoted, "wrong")).connect().await.map(|_| ()).expect_err("refused");
    assert_eq!(wrong.code().map(tokio_postgres::error::SqlState::code), Some("28P01"), "{wrong}");
    let log = own.log();
    assert!(log.contains("alter role chat_api password 'SCRAM-SHA-256$"), "the log has the statements");
    assert!(!log.contains("s3cr3t"), "and not the password");
    own.stop().await;
}

/// Statements one by one: CREATE DATABASE goes alone.
async fn own_run_each(own: &OwnCluster, sql: &str) {
    for statement in sql.split(';') {
        own.db_run("postgres", statement).await;
    }
}
