//! Copies of a whole server: a standby that takes over, and a copy that nobody can tell from the original.

use tabletalk::app::App;

use super::{People, Told, db_everything, life_goes_on, serves};
use crate::changes::device::Device;
use crate::migrate::cluster::OwnCluster;
use crate::support::server::settings;
use crate::support::tools::Tools;
use crate::support::{eventually, skip};

/// A server with people on a Postgres of its own.
async fn primary() -> Option<(OwnCluster, App, People, Tools)> {
    let own = OwnCluster::start().await;
    let Some(tools) = Tools::for_major(own.major()) else {
        skip("client programs of Postgres as new as the server (see .ci/wanted)");
        own.stop().await;
        return None;
    };
    own.db_run("postgres", "create role installer login createrole").await;
    own.db_run("postgres", "create database host owner installer").await;
    let arguments = ["--database-admin-url", &own.url("installer", "host")];
    let app = App::start(&settings(&own.url("chat_api", "host"), &arguments)).await.expect("the server starts");
    let people = People::of(&app).await;
    Some((own, app, people, tools))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_is_another_life_of_the_database() {
    let Some((own, app, people, tools)) = primary().await else { return };
    let _guard = own.guard();
    let standby = own.copy(&tools, true).await;
    let _guard_of_the_standby = standby.guard();
    people.bob.says(people.group, "the last that the standby hears of").await;
    let (primary, copy) = (own.db("postgres", "host").await, standby.db("postgres", "host").await);
    let place = "select pg_current_wal_lsn()::text";
    let place: String = primary.query_one(place, &[]).await.expect(place).get(0);
    let there = format!("select coalesce(pg_last_wal_replay_lsn() >= '{place}', false)");
    eventually("the standby has it", async || copy.query_one(&there, &[]).await.expect("an answer").get(0)).await;
    let before = db_everything(&primary).await;
    assert_eq!(db_everything(&copy).await, before);

    // a standby reads, as far as nobody writes; it is the same life
    let device = Device::from_scratch(&people.bob).await;
    let epoch = "select chat_private.epoch()";
    let epoch_of = async |client: &tokio_postgres::Client| client.query_one(epoch, &[]).await.expect(epoch).get::<_, String>(0);
    assert_eq!(epoch_of(&primary).await, epoch_of(&copy).await);
    let refused = App::start(&settings(&standby.url("chat_api", "host"), &[])).await.err().expect("it serves nobody").to_string();
    assert!(refused.contains("standby"), "{refused}");

    // cut off; what is said now is lost with the primary
    copy.batch_execute("alter system set primary_conninfo = ''").await.expect("a setting");
    copy.batch_execute("select pg_reload_conf()").await.expect("in force");
    let streams = "select from pg_stat_wal_receiver where pid is not null";
    eventually("it hears no more", async || copy.query(streams, &[]).await.expect(streams).is_empty()).await;
    people.bob.says(people.group, "who reads this?").await;
    let told = Told::by(&people.bob, people.group).await;
    app.stop().await.expect("it stops");
    own.stop().await;

    copy.query_one("select pg_promote()", &[]).await.expect("it takes over");
    assert_eq!(db_everything(&copy).await, before, "nothing but that");
    let app = serves(&standby.url("chat_api", "host"), &standby.url("installer", "host")).await;
    let people = people.at(&app);
    let mut device = Device { person: people.bob.clone(), ..device };
    people.bob.says(people.group, "something else, by the number of what was lost").await;
    told.must_be_told_anew(&people.bob, people.group).await;
    device.catch_up(200).await;
    assert_eq!(device.chats, Device::from_scratch(&people.bob).await.chats);
    life_goes_on(&people, &copy).await;
    app.stop().await.expect("it stops");
    standby.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_looks_the_same_gets_another_life_from_the_dba() {
    let Some((own, app, people, tools)) = primary().await else { return };
    let _guard = own.guard();
    // as the snapshot of a disk: neither a standby nor a recovery that ends in a timeline of its own
    let copy = own.copy(&tools, false).await;
    let _guard_of_the_copy = copy.guard();
    people.bob.says(people.group, "who reads this?").await;
    let told = Told::by(&people.bob, people.group).await;
    let epoch = "select chat_private.epoch()";
    let restored = copy.db("postgres", "host").await;
    let epoch_of = async |client: &tokio_postgres::Client| client.query_one(epoch, &[]).await.expect(epoch).get::<_, String>(0);
    assert_eq!(epoch_of(&own.db("postgres", "host").await).await, epoch_of(&restored).await);
    app.stop().await.expect("it stops");
    own.stop().await;

    let installer = copy.db("installer", "host").await;
    installer.batch_execute("set role chat_owner; update chat.settings set life = life + 1").await.expect("a new life");
    let app = serves(&copy.url("chat_api", "host"), &copy.url("installer", "host")).await;
    let people = people.at(&app);
    people.bob.says(people.group, "something else").await;
    told.must_be_told_anew(&people.bob, people.group).await;
    life_goes_on(&people, &restored).await;
    app.stop().await.expect("it stops");
    copy.stop().await;
}
