//! `tabletalk check`, and what keeps the server from starting: one thing broken at a time, in a database of its own.

use clap::Parser as _;
use tabletalk::app::App;
use tabletalk::check::{self, Finding, Level};
use tabletalk::config::{Cli, Settings};

use crate::support::cluster::cluster;
use crate::support::server::settings;
use crate::support::{Database, TestServer};

/// What a superuser does to the database, the finding it leads to, what the finding names, and whether the server refuses.
struct Broken(&'static str, &'static str, &'static str, Then);

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Refuses,
    IsBad,
    Warns,
}

const BROKEN: &[Broken] = &[
    Broken(
        "alter table chat.read_markers disable row level security",
        "row-level security is on for every table",
        "chat.read_markers",
        Then::Refuses,
    ),
    Broken("alter table chat.blocks owner to postgres", "everything belongs to chat_owner", "chat.blocks belongs to postgres", Then::Refuses),
    Broken(
        "alter function chat_private.delete_message(uuid, uuid) owner to postgres",
        "everything belongs to chat_owner",
        "chat_private.delete_message(uuid,uuid) belongs to postgres",
        Then::Refuses,
    ),
    Broken("alter table chat.messages disable trigger _900_rev", "every trigger fires", "_900_rev on chat.messages", Then::Refuses),
    Broken("alter table chat.messages enable replica trigger _900_rev", "every trigger fires", "_900_rev on chat.messages", Then::Refuses),
    Broken("alter table chat.users disable trigger _050_audit", "every trigger fires", "_050_audit on chat.users", Then::Refuses),
    Broken("alter table chat.blocks disable trigger all", "every trigger fires", "a foreign key on chat.blocks", Then::Refuses),
    Broken(
        "alter database DATABASE set session_replication_role = replica",
        "every trigger fires",
        "session_replication_role = replica",
        Then::Refuses,
    ),
    Broken("grant select on chat.messages to chat_api", "chat_api may nothing by itself", "chat.messages", Then::Refuses),
    Broken("grant select on chat.messages to chat_api", "a statement outside a request is refused", "chat.messages", Then::Refuses),
    Broken("grant update (text_max) on chat.settings to public", "chat_api may nothing by itself", "chat.settings", Then::Refuses),
    Broken("alter table chat.chats force row level security", "row-level security is not forced", "chat.chats", Then::IsBad),
    Broken("drop policy select_party on chat.friendships", "nothing of the schema is missing", "policy select_party on chat.friendships", Then::IsBad),
    Broken("drop policy update_self on chat.users; drop policy select_acquaintance on chat.users;
            drop policy select_staff on chat.users; drop policy insert_service on chat.users; drop policy update_service on chat.users",
        "every table of chat has a policy", "chat.users", Then::IsBad),
    Broken("drop trigger _900_bury on chat.chats", "nothing of the schema is missing", "trigger _900_bury before delete on chat.chats", Then::IsBad),
    Broken("alter policy select_party on chat.friendships using (true)", "nothing of the schema was changed", "policy select_party on chat.friendships", Then::IsBad),
    Broken(
        "create or replace function chat_private.check_direct(_other uuid) returns void language plpgsql stable security definer
         set search_path = pg_catalog, pg_temp as 'begin end'",
        "nothing of the schema was changed",
        "function chat_private.check_direct(_other uuid)",
        Then::IsBad,
    ),
    Broken(
        "create or replace view chat_private.my_open_rooms as select c.id as chat_id from chat.chats c",
        "nothing of the schema was changed",
        "view chat_private.my_open_rooms",
        Then::IsBad,
    ),
    Broken(
        "alter function chat_private.check_direct(uuid) reset search_path",
        "what runs with the owner's rights has a fixed search_path",
        "chat_private.check_direct(uuid)",
        Then::IsBad,
    ),
    Broken("grant execute on function chat_private.lock_chat(uuid) to public", "public may nothing", "chat_private.lock_chat(uuid)", Then::IsBad),
    Broken(
        "grant usage on schema chat_private to authenticated",
        "nobody but chat_api looks into the schema chat_private",
        "authenticated",
        Then::IsBad,
    ),
    Broken(
        "grant select on chat_private.migrations to anon",
        "nobody reads the tables of chat_private",
        "chat_private.migrations by anon",
        Then::IsBad,
    ),
    Broken("grant create on schema chat to authenticated", "nobody makes things in chat or chat_private", "authenticated in chat", Then::IsBad),
    Broken("delete from chat_private.migrations where version = (select max(version) from chat_private.migrations)", "every migration has run", "some are missing", Then::IsBad),
    Broken("update chat_private.migrations set version = 9999 where version = (select max(version) from chat_private.migrations)", "every migration has run", "a newer Tabletalk", Then::IsBad),
    Broken("update chat_private.migrations set checksum = '1' where version = 2", "every migration has run", "an earlier draft of the migrations", Then::IsBad),
    Broken("drop function chat_private.migrated()", "every migration has run", "an earlier draft of the migrations", Then::IsBad),
    Broken(
        "create policy of_the_house on chat.messages for select to anon using (true)",
        "nothing lets in more than Tabletalk's own policies do",
        "policy of_the_house on chat.messages",
        Then::Warns,
    ),
    Broken("create index of_the_house on chat.messages (created_at)", "nothing was added to the schema", "index of_the_house", Then::Warns),
    Broken("grant select on chat.blocks to anon", "nothing was added to the schema", "grant select on chat.blocks to anon", Then::Warns),
    Broken(
        "alter database DATABASE set default_transaction_isolation = 'serializable'",
        "transactions are READ COMMITTED by default",
        "serializable",
        Then::Warns,
    ),
    Broken(
        "insert into chat.audit_log (at, operation, table_name, changed, way, role, login, has_words)
         values ('2001-01-01Z', 'update', 'settings', '{}', 'sql', 'x', 'x', false)",
        "the audit has a table for each month",
        "lines for whose month there is no table",
        Then::Warns,
    ),
    Broken(
        "do $$ begin execute format('drop table chat_private.%I', chat_private.month_of_audit(now() + interval '1 month')); end $$",
        "the audit has a table for each month",
        "no table audit_log_",
        Then::Warns,
    ),
    Broken("alter database DATABASE set synchronous_commit = off", "what is committed is kept", "synchronous_commit is off", Then::Warns),
];

/// The findings about a database.
async fn findings(settings: &Settings) -> Vec<Finding> {
    check::report(settings).await.expect("a report").findings().to_vec()
}

fn about<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.what == what).unwrap_or_else(|| panic!("nothing about: {what}\n{findings:#?}"))
}

/// Why a server does not start.
async fn refusal(settings: &Settings) -> String {
    match App::start(settings).await {
        Err(error) => format!("{error:#}"),
        Ok(app) => {
            app.stop().await.expect("it stops");
            String::new()
        }
    }
}

/// A database in which one thing is broken, after making sure that it is found and named.
async fn broken(Broken(sql, what, names, then): &Broken) -> (Database, String) {
    let database = Database::new().await;
    let sql = sql.replace("DATABASE", &database.name);
    database.cluster.db_superuser(&database.name).await.batch_execute(&sql).await.expect(&sql);
    let findings = findings(&settings(&database.api_url(), &[])).await;
    let finding = about(&findings, what);
    let level = if *then == Then::Warns { Level::Warning } else { Level::Bad };
    assert_eq!(finding.level, level, "{sql}: {finding:?}");
    assert!(finding.detail.contains(names), "{sql}: {finding:?}");
    assert!(!finding.remedy.is_empty(), "{sql}: {finding:?}");
    (database, sql)
}

#[tokio::test]
async fn whatever_is_broken_is_found_and_named() {
    for one in BROKEN.iter().filter(|one| one.3 != Then::Refuses) {
        broken(one).await;
    }
}

#[tokio::test]
async fn a_database_whose_row_level_security_does_not_hold_is_not_served_from() {
    for one in BROKEN.iter().filter(|one| one.3 == Then::Refuses) {
        let (database, sql) = broken(one).await;
        let refusal = refusal(&settings(&database.api_url(), &[])).await;
        assert!(refusal.contains("not safe to serve from"), "{sql}: {refusal:?}");
        assert!(refusal.contains(one.1) && refusal.contains(one.2), "{sql}: {refusal:?}");
    }
}

#[tokio::test]
async fn a_database_as_it_was_migrated_has_no_bad_finding() {
    let database = Database::new().await;
    let findings = findings(&settings(&database.api_url(), &["--database-admin-url", &database.admin_url()])).await;
    let not_ok: Vec<&Finding> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
    // the tests' Postgres keeps nothing, and another test's login may be a member of chat_owner at this moment
    let expected = ["what is committed is kept", "chat_owner has no member but the installer"];
    assert!(not_ok.iter().all(|finding| expected.contains(&finding.what.as_str())), "{not_ok:#?}");
    assert!(about(&findings, "what is committed is kept").detail.contains("fsync is off"));
    TestServer::over(database, &[]).await.app.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_login_that_could_bypass_the_rules_does_not_serve() {
    let superuser = cluster().await.db_superuser("postgres").await;
    for (options, why) in [
        ("superuser", "is a superuser"),
        ("bypassrls in role chat_api", "has BYPASSRLS"),
        ("in role chat_api, chat_owner", "is a member of chat_owner"),
    ] {
        let database = Database::new().await;
        let login = format!("{}_login", database.name);
        superuser.batch_execute(&format!("create role {login} login {options}")).await.expect("a role");
        let settings = settings(&database.cluster.url(&login, &database.name), &[]);
        let refusal = refusal(&settings).await;
        let findings = findings(&settings).await;
        superuser.batch_execute(&format!("drop role {login}")).await.expect("gone");
        assert!(refusal.contains(&format!("{login} {why}")), "{options}: {refusal}");
        let finding = about(&findings, "row-level security binds the login and the roles of a request");
        assert!(finding.level == Level::Bad && finding.detail.contains(&format!("{login} {why}")), "{options}: {finding:?}");
    }
}

#[tokio::test]
async fn a_login_of_the_hosts_own_serves_if_it_may_become_chat_api() {
    let database = Database::new().await;
    let login = format!("{}_host", database.name);
    let superuser = cluster().await.db_superuser("postgres").await;
    superuser.batch_execute(&format!("create role {login} login")).await.expect("a role");
    let settings = settings(&database.cluster.url(&login, &database.name), &[]);
    let refused = refusal(&settings).await;
    assert!(refused.contains("grant chat_api to it"), "{refused}");
    let findings_before = findings(&settings).await;
    assert_eq!(about(&findings_before, "the login reaches the database and may become chat_api").level, Level::Bad);
    superuser.batch_execute(&format!("grant chat_api to {login}")).await.expect("granted");
    let served = refusal(&settings).await;
    superuser.batch_execute(&format!("drop role {login}")).await.expect("gone");
    assert_eq!(served, "");
}

#[tokio::test]
async fn logins_that_are_members_of_chat_owner_are_named() {
    let database = Database::new().await;
    let login = format!("{}_dba", database.name);
    let superuser = cluster().await.db_superuser("postgres").await;
    superuser.batch_execute(&format!("create role {login} login in role chat_owner")).await.expect("a role");
    let findings = findings(&settings(&database.api_url(), &["--database-admin-url", &database.admin_url()])).await;
    superuser.batch_execute(&format!("drop role {login}")).await.expect("gone");
    let finding = about(&findings, "chat_owner has no member but the installer");
    assert!(finding.level == Level::Warning && finding.detail.contains(&login), "{finding:?}");
    assert!(!finding.detail.contains("installer"), "{finding:?}");
}

#[tokio::test]
async fn token_settings_that_do_not_work_are_bad() {
    let database = Database::new().await;
    let what = "the settings say which tokens to believe";
    let base = ["tabletalk", "--database-url", &database.api_url()];
    for (arguments, level, says) in [
        (vec![], Level::Bad, "nothing does"),
        (vec!["--jwt-secret", "short"], Level::Bad, "JWT_SECRET is shorter than 32 bytes"),
        // port 1 of this machine: nobody listens there
        (vec!["--jwt-jwks", "http://127.0.0.1:1/keys"], Level::Bad, "http://127.0.0.1:1/keys"),
        (vec!["--jwt-secret", crate::support::server::SECRET], Level::Ok, "JWT_SECRET"),
    ] {
        let settings = Cli::try_parse_from(base.iter().chain(&arguments)).expect("arguments").settings;
        let findings = findings(&settings).await;
        let finding = about(&findings, what);
        assert!(finding.level == level && finding.detail.contains(says), "{arguments:?}: {finding:?}");
    }
}
