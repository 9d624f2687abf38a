//! pg_dump and pg_restore, as `sql/operations.md` says.

use std::path::PathBuf;

use tokio_postgres::Client;

use super::{People, Told, db_everything, db_pages, life_goes_on, serves};
use crate::changes::device::Device;
use crate::migrate::cluster::OwnCluster;
use crate::support::cluster::INSTALLER;
use crate::support::tools::Tools;
use crate::support::{TestServer, skip};

const OPERATIONS: &str = include_str!("../../../sql/operations.md");

/// The commands of `sql/operations.md` that begin so and go on so: the first dumps, the others restore.
fn commands(begin: &str, middle: &str) -> (String, String) {
    let mut blocks = OPERATIONS.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let block = blocks.find(|block| block.starts_with(begin) && block.contains(middle)).expect("commands");
    let (dump, restore) = block.split_once('\n').expect("two and more");
    (dump.to_owned(), restore.to_owned())
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

/// The commands with a file of this test's own.
fn in_its_file(commands: &str, name: &str) -> String {
    commands.replace("chat.dump", &file(name).display().to_string())
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tabletalk-it-dump-{}-{name}", std::process::id()))
}

/// How it is dumped and restored: the commands, and by whom.
const WAYS: [(&str, &str, &str, &str); 3] = [
    ("custom", "pg_dump --format=custom", "pg_restore", "postgres"),
    ("plain", "pg_dump --format=plain", "psql", "postgres"),
    ("installer", "pg_dump --role=chat_owner", "sql/roles.sql", INSTALLER),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dumped_and_restored_elsewhere_is_the_same_and_goes_on() {
    let server = TestServer::start().await;
    let Some(tools) = tools(&server).await else { return };
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    db_grows_older(&superuser).await;
    let people = People::of(&server.app).await;
    let (before, pages) = (db_everything(&superuser).await, db_pages(&superuser).await);
    for (name, begin, middle, user) in WAYS {
        let here = server.database.cluster.url(user, &server.database.name);
        tools.shell(&in_its_file(&commands(begin, middle).0, name), &[("OLD", &here)]);
    }
    // said after the dump, and told: gone with the restore
    people.bob.says(people.group, "who reads this?").await;
    people.alice.says(people.room, "or this?").await;
    for (name, begin, middle, user) in WAYS {
        let told = Told::by(&people.bob, people.group).await;
        let own = OwnCluster::start().await;
        let _guard = own.guard();
        own.db_run("postgres", "create role installer login createrole").await;
        own.db_run("postgres", "create database host owner installer").await;
        tools.shell(&in_its_file(&commands(begin, middle).1, name), &[("NEW", &own.url(user, "host"))]);

        let restored = own.db("postgres", "host").await;
        assert_eq!(db_everything(&restored).await, before, "{name}");
        for (page, expected) in db_pages(&restored).await.iter().zip(&pages) {
            let differs = page.iter().zip(expected).find(|(there, here)| there != here);
            assert!(page == expected, "{name}: {differs:?}");
        }
        let app = serves(&own.url("chat_api", "host"), &own.url("installer", "host")).await;
        let people = people.at(&app);
        told.must_be_told_anew(&people.bob, people.group).await;
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
        std::fs::remove_file(file(name)).expect("the dump");
    }
    server.app.stop().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_restored_into_the_same_database_is_another_life_of_it() {
    let server = TestServer::start().await;
    let Some(tools) = tools(&server).await else { return };
    let people = People::of(&server.app).await;
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    let here = server.database.admin_url();
    let (dump, restore) = commands("pg_dump --role=chat_owner", "drop schema");
    tools.shell(&in_its_file(&dump, "same"), &[("OLD", &here)]);
    let before = db_everything(&superuser).await;
    people.bob.says(people.group, "who reads this?").await;
    let told = Told::by(&people.bob, people.group).await;
    server.app.stop().await.expect("it stops");
    tools.shell(&in_its_file(&restore, "same"), &[("OLD", &here)]);
    assert_eq!(db_everything(&superuser).await, before);
    let app = serves(&server.database.api_url(), &server.database.admin_url()).await;
    let people = people.at(&app);
    // as far as before: what comes next has the number of what they know
    people.bob.says(people.group, "something else").await;
    told.must_be_told_anew(&people.bob, people.group).await;
    life_goes_on(&people, &superuser).await;
    app.stop().await.expect("it stops");
    std::fs::remove_file(file("same")).expect("the dump");
}
