//! The private server, seen from outside: started, shared, killed, taken over.
//!
//! TABLETALK_TEST_POSTGRES_BIN names another folder of server programs to test with.

mod support;

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill, killpg};
use tabletalk::postgres::{Error, Server, default_data_folder};

use support::{Data, Owner, db_ask, eventually, in_time, is_running};

#[tokio::test]
async fn what_was_written_is_there_after_a_stop_and_a_start() {
    let data = Data::new();
    let mut options = data.options();
    options.settings.clear();
    let server = Server::start(&options).await.expect("the first start");
    assert_eq!(db_ask(&server, "show fsync").await, "on", "durable unless told otherwise");
    assert_eq!(db_ask(&server, "show data_checksums").await, "on");
    assert_eq!(db_ask(&server, "show server_encoding").await, "UTF8");
    assert_eq!(db_ask(&server, "select 'a' < 'B'").await, "f", "sorted by code point");
    assert!(server.version().major >= 15);
    db_ask(&server, "create table words (word text); insert into words values ('hello')").await;
    server.stop().await.expect("a stop");
    assert_eq!(data.postmaster(), None);

    let server = Server::start(&options).await.expect("a later start");
    assert_eq!(db_ask(&server, "select word from words").await, "hello");
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn nobody_else_on_the_machine_can_reach_the_server() {
    let data = Data::new();
    let server = data.start().await;
    assert_eq!(db_ask(&server, "show listen_addresses").await, "");
    assert_eq!(
        db_ask(&server, "select count(*) from pg_hba_file_rules where type <> 'local' and auth_method <> 'reject'").await,
        "0"
    );
    for folder in [server.socket_dir(), &data.cluster()] {
        assert_eq!(folder.metadata().expect("a folder").mode() & 0o077, 0, "{}", folder.display());
    }
    assert_eq!(data.home().metadata().expect("a folder").mode() & 0o027, 0);
    let socket = server.socket_dir().join(format!(".s.PGSQL.{}", server.port()));
    assert_eq!(socket.metadata().expect("the socket").mode() & 0o077, 0);
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn ten_starts_at_once_share_one_server() {
    let data = Data::new();
    let starts: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn({
                let options = data.options();
                async move { Server::start(&options).await }
            })
        })
        .collect();
    let mut servers = Vec::new();
    for start in starts {
        servers.push(in_time(start).await.expect("no panic").expect("each start succeeds"));
    }
    let first = db_ask(&servers[0], "select pg_postmaster_start_time()").await;
    for server in &servers {
        assert_eq!(db_ask(server, "select pg_postmaster_start_time()").await, first);
    }
    for server in servers {
        server.stop().await.expect("a stop");
    }
    assert_eq!(data.postmaster(), None);
}

#[tokio::test]
async fn the_last_one_to_leave_stops_the_server() {
    let data = Data::new();
    let alice = data.start().await;
    let bob = data.start().await;
    let carol = Owner::spawn(&data).ready();
    alice.stop().await.expect("alice leaves");
    assert_eq!(db_ask(&bob, "select 'still here'").await, "still here");
    bob.stop().await.expect("bob leaves");
    assert!(data.postmaster().is_some(), "carol, another process, still uses it");
    carol.kill_9();
    let dave = data.start().await;
    let postmaster = data.postmaster().expect("the server runs");
    dave.stop().await.expect("dave leaves");
    assert_eq!(data.postmaster(), None);
    eventually("the process is gone", || !is_running(postmaster)).await;
}

#[tokio::test]
async fn who_arrives_while_others_leave_always_has_a_server() {
    let data = Data::new();
    let visitors: Vec<_> = (0..6)
        .map(|_| {
            let options = data.options();
            tokio::spawn(async move {
                for _ in 0..5 {
                    let server = Server::start(&options).await.expect("a start");
                    assert_eq!(db_ask(&server, "select 'here'").await, "here");
                    server.stop().await.expect("a stop");
                }
            })
        })
        .collect();
    for visitor in visitors {
        in_time(visitor).await.expect("each visit finds a server");
    }
    assert_eq!(data.postmaster(), None, "the last one stopped it");
}

#[tokio::test]
async fn a_cluster_survives_kill_9_of_its_owner() {
    let data = Data::new();
    Owner::spawn(&data).ready().kill_9();
    let orphan = data.postmaster().expect("the server outlives its owner");
    let server = data.start().await;
    assert_eq!(data.postmaster(), Some(orphan), "it is taken over, not started again");
    assert_eq!(db_ask(&server, "select 'adopted'").await, "adopted");
    server.stop().await.expect("a stop");
    eventually("the adopted server has stopped", || !is_running(orphan)).await;
}

#[tokio::test]
async fn a_cluster_survives_kill_9_of_everything() {
    let data = Data::new();
    let server = data.start().await;
    db_ask(&server, "create table words (word text); insert into words values ('kept')").await;
    let owner = Owner::spawn(&data).ready();
    let postmaster = data.postmaster().expect("the server runs");
    kill(postmaster, Signal::SIGKILL).expect("the server is killed");
    owner.kill_9();
    drop(server);
    let server = in_time(data.start()).await;
    assert_ne!(data.postmaster(), Some(postmaster));
    assert_eq!(db_ask(&server, "select word from words").await, "kept");
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_server_killed_under_its_user_can_be_had_again() {
    let data = Data::new();
    let server = data.start().await;
    let first = data.postmaster().expect("the server runs");
    server.ensure_running().await.expect("it runs anyway");
    assert_eq!(data.postmaster(), Some(first));
    kill(first, Signal::SIGKILL).expect("the server is killed");
    in_time(server.ensure_running()).await.expect("it runs again");
    assert_ne!(data.postmaster(), Some(first));
    assert_eq!(db_ask(&server, "select 'again'").await, "again");
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_process_number_that_was_used_again_does_not_prevent_a_start() {
    let data = Data::new();
    let server = data.start().await;
    let lock = server.socket_dir().join(format!(".s.PGSQL.{}.lock", server.port()));
    kill(data.postmaster().expect("the server runs"), Signal::SIGKILL).expect("the server is killed");
    drop(server);
    let mut bystander = Command::new("sleep");
    bystander.arg("60").uid(data.cluster().metadata().expect("the cluster").uid());
    let mut bystander = bystander.spawn().expect("a process of the same account");
    for path in [data.cluster().join("postmaster.pid"), lock] {
        let text = std::fs::read_to_string(&path).expect("the killed server's file");
        let (_, rest) = text.split_once('\n').expect("lines");
        std::fs::write(&path, format!("{}\n{rest}", bystander.id())).expect("written");
    }
    let server = in_time(data.start()).await;
    server.stop().await.expect("a stop");
    assert!(bystander.try_wait().expect("its state").is_none(), "the bystander was not touched");
    bystander.kill().expect("ended");
    bystander.wait().expect("gone");
}

#[tokio::test]
async fn a_first_start_that_was_killed_half_way_is_done_again() {
    let data = Data::new();
    let owner = Owner::spawn(&data);
    eventually("initdb has begun", || data.leftovers() > 0).await;
    owner.kill_9();
    assert!(!data.cluster().exists(), "a cluster is there as a whole or not at all");
    let server = in_time(data.start()).await;
    assert_eq!(db_ask(&server, "select 'whole'").await, "whole");
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn ctrl_c_reaches_us_and_not_the_server() {
    let data = Data::new();
    let owner = Owner::spawn(&data).ready();
    let postmaster = data.postmaster().expect("the server runs");
    killpg(owner.pid(), Signal::SIGINT).expect("Ctrl-C at its terminal");
    let mut owner = owner.child;
    owner.wait().expect("it ends");
    let server = data.start().await;
    assert_eq!(data.postmaster(), Some(postmaster));
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_long_data_path_still_gets_a_socket() {
    let data = Data::below(&["long"; 30].join("/"));
    let alice = data.start().await;
    let folder = alice.socket_dir().to_owned();
    assert!(!folder.starts_with(&data.root));
    assert_eq!(folder.metadata().expect("a folder").mode() & 0o777, 0o700);
    let bob = data.start().await;
    assert_eq!(bob.socket_dir(), folder, "a second one finds it");
    alice.stop().await.expect("alice leaves");
    assert_eq!(db_ask(&bob, "select 'here'").await, "here");
    bob.stop().await.expect("bob leaves");
    assert!(!folder.exists(), "nothing is left outside the data folder");
}

#[tokio::test]
async fn a_path_with_odd_characters_works() {
    let data = Data::below("it's a, \"path\"");
    let server = data.start().await;
    assert_eq!(db_ask(&server, "select 'here'").await, "here");
    server.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_link_in_place_of_the_socket_folder_is_refused() {
    let data = Data::new();
    data.start().await.stop().await.expect("a stop");
    let run = data.home().join("run");
    std::fs::remove_dir(&run).expect("removed");
    symlink(&data.root, &run).expect("a trap");
    let error = Server::start(&data.options()).await.expect_err("refused");
    assert!(matches!(error, Error::UnsafeSocketFolder { .. }), "{error}");
}

#[tokio::test]
async fn a_failed_start_quotes_the_servers_last_words() {
    let data = Data::new();
    data.start().await.stop().await.expect("a stop");
    let mut options = data.options();
    options.settings.push(("shared_buffers".to_owned(), "plenty".to_owned()));
    let error = in_time(Server::start(&options)).await.expect_err("refused").to_string();
    assert!(error.contains("\"shared_buffers\"") && error.contains("plenty"), "{error}");
    data.start().await.stop().await.expect("and the next start is as good as ever");
}

#[tokio::test]
async fn a_cluster_of_a_version_that_is_not_installed_is_refused() {
    let data = Data::new();
    data.start().await.stop().await.expect("a stop");
    std::fs::write(data.cluster().join("PG_VERSION"), "99\n").expect("another version");
    let mut options = data.options();
    options.bin = None;
    let error = Server::start(&options).await.expect_err("refused");
    assert!(matches!(error, Error::MajorMissing { needed: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_folder_without_server_programs_is_refused() {
    let data = Data::new();
    let mut options = data.options();
    options.bin = Some(data.root.clone());
    let error = Server::start(&options).await.expect_err("refused");
    assert!(matches!(error, Error::BadBinaries { .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_holds_something_else_is_not_touched() {
    let data = Data::new();
    DirBuilder::new().recursive(true).mode(0o711).create(data.cluster()).expect("a folder");
    std::fs::write(data.cluster().join("diary"), "mine").expect("a file");
    let error = Server::start(&data.options()).await.expect_err("refused");
    assert!(matches!(error, Error::NotACluster { .. } | Error::OwnedByRoot { .. }), "{error}");
    assert!(data.cluster().join("diary").exists());
}

#[test]
fn data_lies_where_the_platform_keeps_it() {
    let folder = |xdg: Option<&str>, home: Option<&str>| default_data_folder(xdg.map(PathBuf::from), home.map(PathBuf::from));
    if nix::unistd::Uid::effective().is_root() {
        assert_eq!(folder(None, Some("/root")), Path::new("/var/lib/tabletalk"));
    } else {
        assert_eq!(folder(Some("/x"), Some("/home/alice")), Path::new("/x/tabletalk"));
        assert_eq!(folder(Some("relative"), Some("/home/alice")), Path::new("/home/alice/.local/share/tabletalk"));
        assert_eq!(folder(None, Some("/home/alice")), Path::new("/home/alice/.local/share/tabletalk"));
    }
}
