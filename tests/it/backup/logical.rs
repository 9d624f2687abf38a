//! pg_dump and pg_restore, as `sql/operations.md` says.

use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use super::{People, Told, db_everything, db_pages, life_goes_on, serves};
use crate::changes::device::Device;
use crate::migrate::cluster::OwnCluster;
use crate::support::cluster::INSTALLER;
use crate::support::tools::Tools;
use crate::support::{TestServer, skip};

const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/roles.sql");

/// How a test's Postgres is reached by the client programs.
struct At<'a>(&'a Path, &'a str);

impl At<'_> {
    fn arguments(&self, user: &str) -> [String; 3] {
        [format!("--host={}", self.0.display()), format!("--username={user}"), format!("--dbname={}", self.1)]
    }
}

/// A program with the arguments that say which database.
fn run(tools: &Tools, program: &str, at: &At<'_>, user: &str, arguments: &[&str]) -> String {
    let place = at.arguments(user);
    let all: Vec<&str> = place.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    tools.run(program, &all)
}

/// Client programs for the server under test.
async fn tools(server: &TestServer) -> Option<Tools> {
    let superuser = server.database.cluster.db_superuser("postgres").await;
    let version: i32 =
        superuser.query_one("select current_setting('server_version_num')::integer", &[]).await.expect("a number").get(0);
    let tools = Tools::for_major(u32::try_from(version / 10_000).expect("a version"));
    if tools.is_none() {
        skip("client programs of Postgres as new as the server (see .ci/wanted)");
    }
    tools
}

/// Some thousand transactions go by.
async fn db_grows_older(superuser: &Client) {
    let turn = "do $$ begin for n in 1..5000 loop perform pg_current_xact_id(); commit; end loop; end $$";
    superuser.batch_execute(turn).await.expect(turn);
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tabletalk-it-dump-{}-{name}", std::process::id()))
}

/// How it is dumped and restored: by whom, in which form.
struct Way {
    name: &'static str,
    /// What the login at the other place may.
    installer: &'static str,
    dumps_as: &'static str,
    dump: &'static [&'static str],
    restores_as: &'static str,
    restore: (&'static str, &'static [&'static str]),
}

const OURS: &[&str] = &["--format=custom", "--role=chat_owner", "--schema=chat", "--schema=chat_private"];

const WAYS: [Way; 3] = [
    Way {
        name: "superuser-custom",
        installer: "login createrole",
        dumps_as: "postgres",
        dump: &["--format=custom"],
        restores_as: "postgres",
        restore: ("pg_restore", &["--exit-on-error", "--single-transaction"]),
    },
    Way {
        name: "superuser-plain",
        installer: "login createrole",
        dumps_as: "postgres",
        dump: &["--format=plain"],
        restores_as: "postgres",
        restore: ("psql", &["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null"]),
    },
    Way {
        name: "installer",
        installer: "login createrole",
        dumps_as: INSTALLER,
        dump: OURS,
        restores_as: INSTALLER,
        restore: ("pg_restore", &["--exit-on-error", "--single-transaction"]),
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dumped_and_restored_elsewhere_is_the_same_and_goes_on() {
    let server = TestServer::start().await;
    let Some(tools) = tools(&server).await else { return };
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    db_grows_older(&superuser).await;
    let people = People::of(&server.app).await;
    let here = At(server.database.cluster.socket(), &server.database.name);
    let (before, pages) = (db_everything(&superuser).await, db_pages(&superuser).await);
    for way in &WAYS {
        let output = format!("--file={}", file(way.name).display());
        run(&tools, "pg_dump", &here, way.dumps_as, &[way.dump, &[output.as_str()]].concat());
    }
    // said after the dump, and told: gone with the restore
    people.bob.says(people.group, "who reads this?").await;
    people.alice.says(people.room, "or this?").await;
    for way in &WAYS {
        let told = Told::by(&people.bob, people.group).await;
        let own = OwnCluster::start().await;
        let _guard = own.guard();
        own.db_run("postgres", &format!("create role installer {}", way.installer)).await;
        own.db_run("postgres", "create database host owner installer").await;
        let there = At(own.socket(), "host");
        run(
            &tools,
            "psql",
            &there,
            way.restores_as,
            &["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file", ROLES],
        );
        let dump = file(way.name).display().to_string();
        let (program, arguments) = way.restore;
        let dumped = if program == "psql" { format!("--file={dump}") } else { dump };
        run(&tools, program, &there, way.restores_as, &[arguments, &[dumped.as_str()]].concat());
        if way.restores_as == "postgres" {
            own.db_run("postgres", "grant chat_owner to installer").await;
        }

        let restored = own.db("postgres", "host").await;
        assert_eq!(db_everything(&restored).await, before, "{}", way.name);
        for (page, expected) in db_pages(&restored).await.iter().zip(&pages) {
            let differs = page.iter().zip(expected).find(|(there, here)| there != here);
            assert!(page == expected, "{}: {differs:?}", way.name);
        }
        let app = serves(&own.url("chat_api", "host"), &own.url("installer", "host")).await;
        let people = people.at(&app);
        told.is_told_anew(&people.bob, people.group).await;
        // here their transactions lie in the future
        let future = "select count(*) from chat.messages m where m.xid > pg_snapshot_xmax(pg_current_snapshot())";
        let ahead = async || restored.query_one(future, &[]).await.expect(future).get::<_, i64>(0) > 0;
        assert!(ahead().await);
        life_goes_on(&people, &restored).await;
        // which comes: then some of it is told again, and nothing is missing
        let mut device = Device::from_scratch(&people.bob).await;
        while ahead().await {
            db_grows_older(&restored).await;
        }
        people.alice.says(people.group, "and on").await;
        device.catch_up(200).await;
        assert_eq!(device.chats, Device::from_scratch(&people.bob).await.chats);
        app.stop().await.expect("it stops");
        own.stop().await;
        std::fs::remove_file(file(way.name)).expect("the dump");
    }
    server.app.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_restored_into_the_same_database_is_another_life_of_it() {
    let server = TestServer::start().await;
    let Some(tools) = tools(&server).await else { return };
    let people = People::of(&server.app).await;
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    let here = At(server.database.cluster.socket(), &server.database.name);
    let dump = file("same").display().to_string();
    run(&tools, "pg_dump", &here, INSTALLER, &[OURS, &[&format!("--file={dump}")]].concat());
    let before = db_everything(&superuser).await;
    people.bob.says(people.group, "who reads this?").await;
    let told = Told::by(&people.bob, people.group).await;
    server.app.stop().await.expect("it stops");
    superuser.batch_execute("drop schema chat, chat_private cascade").await.expect("they go");
    run(&tools, "pg_restore", &here, INSTALLER, &["--exit-on-error", "--single-transaction", &dump]);
    assert_eq!(db_everything(&superuser).await, before);
    let app = serves(&server.database.api_url(), &server.database.admin_url()).await;
    let people = people.at(&app);
    // as far as before: what comes next has the number of what they know
    people.bob.says(people.group, "something else").await;
    told.is_told_anew(&people.bob, people.group).await;
    life_goes_on(&people, &superuser).await;
    app.stop().await.expect("it stops");
    std::fs::remove_file(&dump).expect("the dump");
}
