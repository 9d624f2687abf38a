//! Which transactions may change a chat, and how durably.

use uuid::Uuid;

use crate::support::{Database, TestServer};

/// A group of alice's and bob's with one message in it: the database, the chat, alice.
async fn conversation() -> (TestServer, Uuid, Uuid) {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    alice.says(chat, "hello").await;
    (server, chat, alice.id)
}

fn changes(chat: Uuid) -> [String; 5] {
    [
        format!("insert into chat.messages (chat_id, text) values ('{chat}', 'x')"),
        format!("update chat.messages set text = 'y' where chat_id = '{chat}'"),
        format!("update chat.participants set role = 'moderator' where chat_id = '{chat}' and role = 'member'"),
        format!("update chat.chats set name = 'another' where id = '{chat}'"),
        format!("select chat.delete_message(chat_id, id) from chat.messages where chat_id = '{chat}'"),
    ]
}

#[tokio::test]
async fn a_chat_is_changed_under_read_committed_alone() {
    let (server, chat, alice) = conversation().await;
    let client = server.database.db_as(alice).await;
    let owner = server.database.db_owner().await;
    let removals = [
        format!("delete from chat.messages where chat_id = '{chat}'"),
        format!("delete from chat.participants where chat_id = '{chat}' and role = 'member'"),
        format!("delete from chat.chats where id = '{chat}'"),
    ];
    for level in ["repeatable read", "serializable", "read committed"] {
        let moves =
            changes(chat).into_iter().map(|sql| (&client, sql)).chain(removals.clone().into_iter().map(|sql| (&owner, sql)));
        for (session, sql) in moves {
            session.batch_execute(&format!("begin isolation level {level}")).await.expect("a transaction");
            let result = session.batch_execute(&sql).await;
            session.batch_execute("rollback").await.expect("a rollback");
            if level == "read committed" {
                result.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            } else {
                let error = result.expect_err(&sql);
                let refusal = error.as_db_error().expect("a refusal");
                assert_eq!(
                    (refusal.code().code(), refusal.constraint()),
                    ("PT409", Some("revs_need_read_committed")),
                    "{level}: {sql}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_database_that_defaults_to_another_isolation_is_served_all_the_same() {
    let database = Database::new().await;
    let superuser = database.cluster.db_superuser(&database.name).await;
    let statement = format!("alter database {} set default_transaction_isolation = 'serializable'", database.name);
    superuser.batch_execute(&statement).await.expect(&statement);
    let server = TestServer::over(database, &[]).await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    alice.says(chat, "hello").await;
}

#[tokio::test]
async fn whoever_changes_a_chat_waits_for_the_disk() {
    let (server, chat, alice) = conversation().await;
    let client = server.database.db_as(alice).await;
    for change in changes(chat) {
        client.batch_execute("begin; set local synchronous_commit = off").await.expect("a setting");
        client.batch_execute(&change).await.expect(&change);
        let row = client.query_one("select current_setting('synchronous_commit')", &[]).await.expect("a setting");
        assert_eq!(row.get::<_, &str>(0), "on", "{change}");
        client.batch_execute("rollback").await.expect("a rollback");
    }
    // what waits for a standby goes on to do so
    client.batch_execute("begin; set local synchronous_commit = remote_apply").await.expect("a setting");
    client.batch_execute(&changes(chat)[0]).await.expect("a message");
    let row = client.query_one("select current_setting('synchronous_commit')", &[]).await.expect("a setting");
    assert_eq!(row.get::<_, &str>(0), "remote_apply");
    client.batch_execute("rollback").await.expect("a rollback");
}

#[tokio::test]
async fn a_rev_that_was_the_head_is_not_given_again_when_its_row_is_deleted_for_good() {
    let database = Database::new().await;
    let log = super::log::db_start(&database).await;
    let owner = database.db_owner().await;
    let (chat, head, reply) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    for statement in [
        format!("insert into chat.chats (id, type, name) values ('{chat}', 'room', 'a room')"),
        format!("insert into chat.messages (chat_id, id, text) values ('{chat}', '{head}', 'a question')"),
        format!("insert into chat.messages (chat_id, id, text, reply_to_id) values ('{chat}', '{reply}', 'an answer', '{head}')"),
        format!("update chat.messages set text = 'a better question' where chat_id = '{chat}' and id = '{head}'"),
        format!("delete from chat.messages where chat_id = '{chat}' and id = '{head}'"),
    ] {
        owner.batch_execute(&statement).await.expect(&statement);
    }
    super::log::db_holds(&log).await;
}
