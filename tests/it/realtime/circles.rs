//! Whoever writes down what is kept for a moment waits for nobody who waits for them.
//!
//! Two transactions take the same rows, each in the order that is the worse for the other: one holds what the other comes to, and then goes on to
//! what the other holds. Postgres would end one of them.

use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Database, Person, TestServer, eventually};

/// A server process that is none.
const PROCESS: Uuid = Uuid::from_u128(7);

/// A connection as the owner of everything, who does what the relay does and what people do, and is called so.
async fn connection(database: &Database, name: &str) -> Client {
    let client = database.db_owner().await;
    client.batch_execute(&format!("set application_name = '{name}'")).await.expect("a name");
    client
}

/// One does the first thing, another the second, whether or not that waits, and the one the third.
async fn both_come_to_an_end(database: &Database, [first, second, third]: [&str; 3]) {
    let (one, other) = (connection(database, "one").await, connection(database, "other").await);
    one.batch_execute("begin").await.expect("a transaction");
    one.batch_execute(first).await.expect(first);
    let statement = second.to_owned();
    let doing = tokio::spawn(async move { other.batch_execute(&statement).await });
    let superuser = database.cluster.db_superuser(&database.name).await;
    let waits = "select exists (select from pg_stat_activity
                                where datname = current_database() and application_name = 'other' and wait_event_type = 'Lock')";
    eventually("the other is done, or waits", async || {
        doing.is_finished() || superuser.query_one(waits, &[]).await.expect(waits).get(0)
    })
    .await;
    one.batch_execute(third).await.unwrap_or_else(|error| panic!("{first}; meanwhile {second}; {third}: {error:?}"));
    one.batch_execute("commit").await.expect("a commit");
    doing.await.expect("it does not panic").unwrap_or_else(|error| panic!("{second}, while {first}; {third}: {error:?}"));
}

/// Ids that sort as they are named.
fn ids() -> [Uuid; 2] {
    [Uuid::from_u128(1), Uuid::from_u128(2)]
}

fn ends(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'::uuid")).collect();
    format!("select chat.keep_states('{PROCESS}', array[{}], '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')", ids.join(", "))
}

fn leaves(chat: Uuid, person: &Person) -> String {
    format!(
        "update chat.participants set left_at = clock_timestamp() where chat_id = '{chat}' and user_id = '{}' and left_at is null",
        person.id
    )
}

/// What somebody says in chats, through the process that is none.
async fn db_said(database: &Database, person: &Person, chats: &[Uuid]) {
    let owner = database.db_owner().await;
    owner.batch_execute(&format!("select chat.keep_presence('{PROCESS}', '{{}}', '{{}}', true)")).await.expect("a lease");
    for (id, chat) in ids().iter().zip(chats) {
        let state = format!(
            "insert into chat.presence_states (process_id, id, chat_id, user_id, key, state)
             values ('{PROCESS}', '{id}', '{chat}', '{}', 'laptop', '{{}}')",
            person.id
        );
        owner.batch_execute(&state).await.expect(&state);
    }
}

async fn db_living(database: &Database) -> i64 {
    let living = "select count(*) from chat.presence_states where ended_at is null";
    database.db_owner().await.query_one(living, &[]).await.expect(living).get(0)
}

#[tokio::test]
async fn who_leaves_several_chats_and_the_process_that_ends_their_states_do_not_wait_for_each_other() {
    for order in [[0, 1], [1, 0]] {
        let server = TestServer::start().await;
        let (alice, bob) = (server.person("alice").await, server.person("bob").await);
        let chats = [bob.group_with(&[&alice]).await, bob.group_with(&[&alice]).await];
        db_said(&server.database, &alice, &chats).await;
        let [first, last] = order.map(|n| leaves(chats[n], &alice));
        both_come_to_an_end(&server.database, [&first, &ends(&ids()), &last]).await;
        assert_eq!(db_living(&server.database).await, 0, "whoever of them came first");
    }
}

#[tokio::test]
async fn states_that_end_and_states_that_are_swept_do_not_wait_for_each_other() {
    for order in [[0, 1], [1, 0]] {
        let server = TestServer::start().await;
        let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
        // written down in the moment in which they left
        let chat = alice.group_with(&[]).await;
        db_said(&server.database, &mallory, &[chat, chat]).await;
        let [first, last] = order.map(|n| ends(&[ids()[n]]));
        both_come_to_an_end(&server.database, [&first, "select chat.forget_states()", &last]).await;
        assert_eq!(db_living(&server.database).await, 0, "whoever of them came first");
    }
}

/// Keeps the marks of one person's clients, or of nobody's.
fn keeps(person: Option<&Person>, resumes: &[&str], bytes: usize) -> String {
    let whose = person.map_or(Uuid::nil(), |person| person.id);
    let names = resumes.join("', '");
    format!(
        "select chat.keep_resumes(array_agg('{whose}'::uuid), array_agg(r), array_agg('walk'::text), array_agg(repeat('x', {bytes})))
         from unnest(array['{names}']) r"
    )
}

#[tokio::test]
async fn marks_that_are_renewed_and_marks_that_are_too_many_do_not_wait_for_each_other() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    // as much as one person may have: the next is one too many
    for n in 0..64 {
        server.database.db_does(&keeps(Some(&alice), &[&format!("tab{n}")], 65_536)).await;
    }
    let [oldest, new] = ["tab0", "new"].map(|name| keeps(Some(&alice), &[name], 65_536));
    both_come_to_an_end(&server.database, [&oldest, &new, &new]).await;
    let owner = server.database.db_owner().await;
    let kept = "select count(*), count(*) filter (where resume_id in ('tab0', 'new')) from chat_private.resumes";
    let row = owner.query_one(kept, &[]).await.expect(kept);
    assert_eq!((row.get::<_, i64>(0) <= 65, row.get::<_, i64>(1)), (true, 2), "what was renewed meanwhile is there");
}

#[tokio::test]
async fn marks_that_are_renewed_and_marks_of_nobody_that_are_cut_do_not_wait_for_each_other() {
    for order in [["one", "two"], ["two", "one"]] {
        let server = TestServer::start().await;
        server
            .database
            .db_does(&format!(
                "insert into chat_private.resumes (user_id, resume_id, topic, mark, kept_at)
                 select '{}'::uuid, n, 'walk', '1', clock_timestamp() - interval '1 minute'
                 from unnest(array['one', 'two']) n
                 union all
                 select '{0}'::uuid, n::text, 'walk', '1', clock_timestamp() from generate_series(1, 20000) n",
                Uuid::nil()
            ))
            .await;
        let [first, last] = order.map(|name| keeps(None, &[name], 1));
        both_come_to_an_end(&server.database, [&first, "select chat.forget_resumes()", &last]).await;
    }
}
