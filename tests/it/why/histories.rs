//! Random histories: `chat.why` says what then really happens, and leaves no trace.

use serde_json::Value;
use tokio_postgres::{Client, IsolationLevel, Transaction};
use uuid::Uuid;

use super::tries::{Asker, Try, World};
use super::{Why, db_dba};
use crate::support::Database;
use crate::support::random::{Random, longer, seed};

const HISTORIES: u64 = 8;
const MOMENTS: usize = 160;
const QUESTIONS: usize = 260;

/// Everybody, of every kind: eve is erased, nobody has ever seen the ghost.
fn everybody() -> Vec<Asker> {
    let names = ["alice", "bob", "carol", "dave", "mallory", "eve", "ghost", "adam"];
    let people =
        names.into_iter().map(|name| Asker { name, role: "authenticated", id: Some(Uuid::new_v4()), admin: name == "adam" });
    let roles = ["anon", "service_role"].map(|role| Asker { name: role, role, id: None, admin: false });
    people.chain(roles).collect()
}

async fn become_them<'a>(client: &'a mut Client, asker: &Asker) -> Transaction<'a> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await.expect("a transaction");
    let claims = asker.claims().to_string();
    let enter = "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)";
    transaction.execute(enter, &[&asker.role, &claims]).await.expect("chat_api may become them");
    transaction
}

/// What came of really doing it: so many rows, or an error's state and constraint.
type Outcome = Result<u64, (String, String, String)>;

async fn db_does(client: &mut Client, asker: &Asker, statement: &str, keep: bool) -> Outcome {
    let transaction = become_them(client, asker).await;
    match transaction.execute(statement, &[]).await {
        Ok(rows) => {
            if keep { transaction.commit().await } else { transaction.rollback().await }.expect("it ends");
            Ok(rows)
        }
        Err(error) => {
            let error = error.as_db_error().unwrap_or_else(|| panic!("{error}: {statement}"));
            Err((error.code().code().to_owned(), error.constraint().unwrap_or_default().to_owned(), error.message().to_owned()))
        }
    }
}

/// A database with people who have done this and that.
async fn db_history(random: &mut Random, database: &Database, client: &mut Client, everybody: &[Asker]) {
    let setting = |name: &str, values: &[&str], random: &mut Random| format!("{name} = '{}'", random.pick(values));
    let settings = [
        setting("edit_window", &["15 minutes", "15 minutes", "0"], random),
        setting("history", &["all", "since_join"], random),
        setting("direct", &["friends", "anyone"], random),
        setting("directory", &["known", "everyone"], random),
        setting("public_rooms", &["admins", "everyone"], random),
        setting("anon_reads_public_rooms", &["true", "false"], random),
    ];
    database.db_set(&settings.join(", ")).await;
    for asker in everybody.iter().filter(|asker| asker.id.is_some() && asker.name != "ghost") {
        db_does(client, asker, "select chat.introduce_me()", true).await.expect("they are let in");
    }
    let people: Vec<Uuid> = everybody.iter().filter_map(|asker| asker.id).collect();
    let [alice, bob, carol, _, mallory, eve, ..] = everybody else { unreachable!("there are more") };
    let id = |asker: &Asker| asker.id.expect("a person");
    let beginnings = [
        (alice, format!("select chat.create_group('walk', '{{{},{},{}}}')", id(bob), id(carol), id(eve))),
        (bob, "select chat.create_room('corner', 'unlisted')".to_owned()),
        (&everybody[7], "select chat.create_room('square', 'public')".to_owned()),
        (carol, format!("insert into chat.blocks (blocked_id) values ('{}')", id(mallory))),
        (alice, format!("insert into chat.friendships (addressee_id) values ('{}')", id(bob))),
        (bob, "update chat.friendships set accepted_at = now()".to_owned()),
        (alice, format!("select chat.open_direct('{}')", id(bob))),
        (alice, "update chat.users set username = 'taken' where id = chat.uid()".to_owned()),
    ];
    for (asker, statement) in &beginnings {
        db_does(client, asker, statement, true).await.unwrap_or_else(|error| panic!("{error:?}: {statement}"));
    }
    let owner = database.db_owner().await;
    for moment in 0..MOMENTS {
        if moment == MOMENTS / 2 {
            db_does(client, eve, "select chat.erase_me()", true).await.expect("eve goes");
        }
        let world = World::db_read(&owner, &people).await;
        let asker = random.pick(everybody);
        let done = world.something(random, asker);
        // who is erased is erased by themselves
        if !done.statement.contains("erase_") && !done.statement.starts_with("select chat.delete_chat") {
            let _ = db_does(client, asker, &done.statement, true).await;
        }
        if random.chance(40) {
            let asker = random.pick(everybody);
            let said =
                "insert into chat.messages (chat_id, text) select m.id, 'something' from chat.chats m order by random() limit 1";
            let _ = db_does(client, asker, said, true).await;
        }
    }
}

/// What is wrong with an answer.
fn wrong(why: &Why, outcome: &Outcome, is_there: Option<bool>, tried: &Try) -> Option<&'static str> {
    let refused = why.allowed == Some(false);
    let makes = tried.row.is_none();
    if why.fact.as_deref().is_none_or(str::is_empty) {
        return Some("it tells no fact");
    }
    match outcome {
        Ok(0) if makes && refused => {
            (!why.code.as_deref().is_some_and(|code| code.starts_with("message_id_"))).then_some("nothing refused it")
        }
        Ok(0) if makes => (why.allowed != Some(true)).then_some("there is nothing to refuse"),
        Ok(0) if is_there == Some(true) => {
            (!refused || why.rule.is_none() || why.code.is_none()).then_some("the row was not reached")
        }
        Ok(0) => (why.allowed == Some(true) && tried.question.command != "delete").then_some("there is no such row"),
        Ok(_) => (why.allowed != Some(true) || why.code.is_some()).then_some("it was done"),
        Err((state, _, message)) if state == "42501" => {
            let by_grant = message.contains("permission denied");
            let held_by = why.held_by.as_deref().unwrap_or_default();
            (!refused || why.code.as_deref() != Some("not_allowed") || held_by.starts_with("the grants") != by_grant)
                .then_some("a grant or a policy refused it")
        }
        Err((_, constraint, _)) => {
            (!refused || why.code.as_deref().unwrap_or_default() != constraint).then_some("it was refused by this rule")
        }
    }
}

#[tokio::test]
async fn why_says_what_then_happens_and_leaves_no_trace() {
    let first = seed();
    let (mut met, mut refused_by) = ([0_usize; 3], std::collections::BTreeMap::<String, usize>::new());
    for history in 0..HISTORIES * longer() {
        let mut random = Random::new(first.wrapping_add(history));
        let database = Database::new().await;
        let mut client = database.cluster.db_connect("chat_api", &database.name).await;
        let everybody = everybody();
        db_history(&mut random, &database, &mut client, &everybody).await;
        let people: Vec<Uuid> = everybody.iter().filter_map(|asker| asker.id).collect();
        let (owner, dba) = (database.db_owner().await, db_dba(&database).await);
        let world = World::db_read(&owner, &people).await;
        let before = (database.db_rows_by_key().await, db_session(&dba).await);
        for _ in 0..QUESTIONS {
            let asker = random.pick(&everybody);
            let mut tried = world.something(&mut random, asker);
            tried.question.claims = asker.claims();
            let is_there = match &tried.row {
                Some(row) => Some(!owner.query(row, &[]).await.expect("a row").is_empty()),
                None => None,
            };
            let why = tried.question.ask(&dba).await.unwrap_or_else(|error| panic!("{error:?}: {tried:?}"));
            let outcome = db_does(&mut client, asker, &tried.statement, false).await;
            let wrong = wrong(&why, &outcome, is_there, &tried);
            assert!(wrong.is_none(), "history {history}, {}: {wrong:?}, {outcome:?}\n{why:?}\n{tried:?}", asker.name);
            met[why.allowed.map_or(2, usize::from)] += 1;
            if let Some(code) = why.code {
                *refused_by.entry(code).or_default() += 1;
            }
        }
        assert_eq!(database.db_rows_by_key().await, before.0, "rows stayed");
        assert_eq!(db_session(&dba).await, before.1, "the session is not as it was");
    }
    println!("refused {}, allowed {}, nothing there {}; by {refused_by:#?}", met[0], met[1], met[2]);
    assert!(refused_by.len() > 25, "too little was asked: {refused_by:#?}");
}

/// Who the session is, what it has set, what it may become and holds.
async fn db_session(dba: &Client) -> Value {
    let session = "select jsonb_build_object(
        'role', current_setting('role'), 'claims', coalesce(current_setting('request.jwt.claims', true), ''), 'hints', coalesce(current_setting('chat.hints_to', true), ''),
        'lock_timeout', current_setting('lock_timeout'), 'commit', current_setting('synchronous_commit'),
        'roles', (select jsonb_agg(m.roleid::regrole::text order by m.roleid) from pg_auth_members m where m.member = session_user::regrole),
        'locks', (select count(*) from pg_locks l where l.pid = pg_backend_pid() and l.locktype = 'advisory'))";
    dba.query_one(session, &[]).await.expect(session).get(0)
}
