//! One at a time, in pieces: whoever dies in the middle, and whatever is busy.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tabletalk::app::upkeep::Done;

use super::{db_count, db_says_much, keeps_up, square};
use crate::cli::program::{run, tabletalk};
use crate::support::server::SECRET;
use crate::support::{Database, TestServer, eventually};

fn command(database: &Database) -> std::process::Command {
    tabletalk(["upkeep", "--database-url", &database.api_url(), "--jwt-secret", SECRET])
}

#[tokio::test]
async fn the_command_says_what_it_did() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let room = square(&server, &[&alice]).await;
    db_says_much(&server.database, &alice, room, 1500).await;
    server.database.db_set("keep_messages = 100").await;
    let ran = run(command(&server.database));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "messages removed: 1400\nerasures ended: 0\n"), "{ran:?}");
    let ran = run(command(&server.database));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "messages removed: 0\nerasures ended: 0\n"), "{ran:?}");
}

#[tokio::test]
async fn killed_between_slices_it_is_gone_on_with() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let rooms = [square(&server, &[&alice]).await, square(&server, &[&alice]).await];
    for room in rooms {
        db_says_much(&server.database, &alice, room, 6000).await;
    }
    server.database.db_set("keep_messages = 10").await;
    let left = async || db_count(&server.database, rooms[0]).await + db_count(&server.database, rooms[1]).await;
    let mut child = command(&server.database).stdout(std::process::Stdio::null()).spawn().expect("the binary runs");
    eventually("it has begun", async || left().await < 12_000).await;
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process number")), Signal::SIGKILL).expect("a signal");
    child.wait().expect("its end");
    let rest = left().await;
    assert!(rest > 20, "it was killed in the middle");
    assert_eq!(rest % 10, 0, "what is left is whole slices");
    // each room has lost its oldest alone
    let statement = "select count(*) from chat.messages m where m.chat_id = $1
                     and m.seq < (select min(g.seq) from chat.messages g where g.chat_id = $1) + $2";
    for room in rooms {
        let n = db_count(&server.database, room).await;
        let row = server.database.db_owner().await.query_one(statement, &[&room, &n]).await.expect(statement);
        assert_eq!(row.get::<_, i64>(0), n, "there is no gap");
    }
    let done = keeps_up(&server.database).await;
    assert!(done.removed > 0 && left().await == 20, "{done:?}");
}

#[tokio::test]
async fn of_two_at_once_each_does_what_the_other_does_not() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let rooms = [square(&server, &[&alice]).await, square(&server, &[&alice]).await];
    for room in rooms {
        db_says_much(&server.database, &alice, room, 3000).await;
    }
    server.database.db_set("keep_messages = 10").await;
    let (one, other) = tokio::join!(keeps_up(&server.database), keeps_up(&server.database));
    assert_eq!(one.removed + other.removed, 2 * 2990, "{one:?}, {other:?}");
    assert_eq!(one.skipped + other.skipped, 0);
    assert_eq!((db_count(&server.database, rooms[0]).await, db_count(&server.database, rooms[1]).await), (10, 10));

    // who comes while somebody is at it waits, or goes on with other things
    db_says_much(&server.database, &alice, rooms[0], 5).await;
    let holder = server.database.db_owner().await;
    holder.batch_execute("begin; select from chat.upkeep()").await.expect("a slice that does not end");
    let owner = server.database.db_owner().await;
    let more = "select u.removed, u.more from chat.upkeep() u";
    let row = owner.query_one(more, &[]).await.expect(more);
    assert_eq!((row.get::<_, i32>(0), row.get::<_, Option<bool>>(1)), (0, None));
    let (done, ()) = tokio::join!(keeps_up(&server.database), async {
        holder.batch_execute("rollback").await.expect("it ends");
    });
    assert_eq!(done.removed, 5);
}

#[tokio::test]
async fn what_is_busy_or_refuses_is_left_for_the_next_time() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mut rooms = [square(&server, &[&alice]).await, square(&server, &[&alice]).await, square(&server, &[&alice]).await];
    rooms.sort_unstable();
    let [busy, refused, free] = rooms;
    for room in rooms {
        db_says_much(&server.database, &alice, room, 20).await;
    }
    let group = bob.group_with(&[&alice]).await;
    let said = bob.says(group, "away with it").await;
    bob.delete(&format!("/chats/{group}/messages/{}", said["id"].as_str().expect("an id"))).await.expect_status(204);
    server.database.db_set("keep_messages = 10, keep_deleted = '0'").await;
    let holder = server.database.db_owner().await;
    holder.batch_execute(&format!("begin; select chat_private.hold_chat('{busy}')")).await.expect("the chat's lock");
    let owner = server.database.db_owner().await;
    let refuse = format!(
        "create function chat_private.refuses() returns trigger language plpgsql as 'begin raise ''no''; end';
         create trigger _000_refuse before delete on chat.messages for each row when (old.chat_id = '{refused}')
         execute function chat_private.refuses()"
    );
    owner.batch_execute(&refuse).await.expect(&refuse);

    assert_eq!(keeps_up(&server.database).await, Done { removed: 11, ended: 0, skipped: 2 });
    let counts = async || {
        let mut counts = Vec::new();
        for room in rooms {
            counts.push(db_count(&server.database, room).await);
        }
        counts
    };
    assert_eq!(counts().await, [20, 20, 10]);
    let ran = run(command(&server.database));
    assert!(ran.code == Some(0) && ran.out.ends_with("because they were busy or refused: 2\n"), "{ran:?}");
    holder.batch_execute("rollback").await.expect("the lock is free");
    owner.batch_execute("drop function chat_private.refuses cascade").await.expect("it refuses no more");
    assert_eq!(keeps_up(&server.database).await, Done { removed: 20, ended: 0, skipped: 0 });
    assert_eq!(counts().await, [10, 10, 10]);
    assert_eq!(db_count(&server.database, free).await, 10);
}

#[tokio::test]
async fn each_chat_is_hinted_at_once() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let rooms = [square(&server, &[&alice]).await, square(&server, &[&alice]).await];
    for room in rooms {
        db_says_much(&server.database, &alice, room, 300).await;
    }
    server.database.db_set("keep_messages = 10").await;
    let owner = server.database.db_owner().await;
    let statement = "
        with hinted as (select set_config('chat.hints_to', 'server', false), set_config('chat.hints', '', false)),
             done as (select u.removed from hinted, chat.upkeep() u)
        select d.removed from done d";
    let hints = "select current_setting('chat.hints')";
    owner.batch_execute("begin").await.expect("a transaction");
    let removed: i32 = owner.query_one(statement, &[]).await.expect(statement).get(0);
    let mut hinted: Vec<String> = {
        let row = owner.query_one(hints, &[]).await.expect(hints);
        row.get::<_, &str>(0).split(',').map(str::to_owned).collect()
    };
    owner.batch_execute("commit").await.expect("the end");
    hinted.sort_unstable();
    let mut expected = rooms.map(|room| room.to_string());
    expected.sort_unstable();
    assert_eq!((removed, hinted), (580, expected.to_vec()));
}
