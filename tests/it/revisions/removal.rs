//! Who was removed at rev n changes nothing above n: the removal is under way, they are already waiting for the chat's lock.

use reqwest::Method;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::db_somebody_waits;
use crate::support::{Answer, Person, TestServer};

/// Alice's group with bob, a moderator, and carol; a message of bob's and one of carol's.
struct Group {
    server: TestServer,
    bob: Person,
    carol: Person,
    chat: Uuid,
    of_bob: String,
    of_carol: String,
}

impl Group {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
        let chat = alice.group_with(&[&bob, &carol]).await;
        let bob_in_it = format!("/chats/{chat}/participants/{}", bob.id);
        alice.put(&bob_in_it, json!({ "role": "moderator" })).await.expect_status(200);
        let of_bob = bob.says(chat, "from bob").await["id"].as_str().expect("an id").to_owned();
        let of_carol = carol.says(chat, "from carol").await["id"].as_str().expect("an id").to_owned();
        bob.put(&format!("/chats/{chat}/messages/{of_carol}/reactions/old"), json!({})).await.expect_status(200);
        Self { server, bob, carol, chat, of_bob, of_carol }
    }

    /// A transaction that removes bob, not yet committed.
    async fn db_removing_bob(&self) -> Client {
        let remover = self.server.database.db_owner().await;
        let statement = format!(
            "begin; update chat.participants set left_at = now() where chat_id = '{}' and user_id = '{}'",
            self.chat, self.bob.id
        );
        remover.batch_execute(&statement).await.expect(&statement);
        remover
    }

    /// Everything that bob could have changed.
    async fn db_state(&self) -> String {
        let statement = "
            select jsonb_build_object(
                     'chat', to_jsonb(c),
                     'people', (select jsonb_agg(to_jsonb(p) order by p.user_id) from chat.participants p where p.chat_id = c.id),
                     'messages', (select jsonb_agg(to_jsonb(m) order by m.seq) from chat.messages m where m.chat_id = c.id))::text
            from chat.chats c where c.id = $1";
        self.server.database.db_owner().await.query_one(statement, &[&self.chat]).await.expect(statement).get(0)
    }
}

#[tokio::test]
async fn who_was_removed_while_they_waited_changes_nothing_in_plain_sql() {
    let group = Group::new().await;
    let Group { server, bob, carol, chat, of_bob, of_carol } = &group;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    let (bob, carol) = (bob.id, carol.id);
    for sql in [
        format!("insert into chat.messages (chat_id, text) values ('{chat}', 'x')"),
        format!("insert into chat.messages (chat_id, text) select '{chat}', 'x' from generate_series(1, 3)"),
        format!("update chat.messages set text = 'x' where chat_id = '{chat}' and id = '{of_bob}'"),
        format!("update chat.messages set pinned_at = now() where chat_id = '{chat}' and id = '{of_carol}'"),
        format!("update chat.chats set name = 'x' where id = '{chat}'"),
        format!("update chat.participants set left_at = now() where chat_id = '{chat}' and user_id = '{carol}'"),
        format!("select chat.delete_message('{chat}', '{of_carol}')"),
        format!("delete from chat.messages where chat_id = '{chat}' and id = '{of_bob}'"),
        format!("insert into chat.reactions (chat_id, message_id, emoji) values ('{chat}', '{of_carol}', 'new')"),
        format!("delete from chat.reactions where chat_id = '{chat}' and user_id = '{bob}'"),
    ] {
        let remover = group.db_removing_bob().await;
        let session = server.database.db_as(bob).await;
        let waiting = tokio::spawn({
            let sql = sql.clone();
            async move { session.batch_execute(&sql).await }
        });
        db_somebody_waits(&watcher, &server.database).await;
        remover.batch_execute("commit").await.expect("bob is removed");
        let after_removal = group.db_state().await;
        let error = waiting.await.expect("a session").expect_err(&sql);
        let code = error.code().expect("a refusal").code();
        assert_eq!(code, "PT403", "{sql}: {error:?}");
        assert_eq!(group.db_state().await, after_removal, "{sql}");
        let back = format!(
            "update chat.participants set left_at = null, role = 'moderator' where chat_id = '{chat}' and user_id = '{bob}'"
        );
        remover.batch_execute(&back).await.expect("bob is back");
    }
}

#[tokio::test]
async fn who_was_removed_while_they_waited_changes_nothing_through_the_api() {
    let group = Group::new().await;
    let Group { server, bob, carol, chat, of_bob, of_carol } = &group;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    for (method, path, body) in [
        (Method::POST, format!("/chats/{chat}/messages"), json!({ "text": "x" })),
        (Method::PATCH, format!("/chats/{chat}/messages/{of_bob}"), json!({ "text": "x" })),
        (Method::DELETE, format!("/chats/{chat}/messages/{of_bob}"), json!(null)),
        (Method::DELETE, format!("/chats/{chat}/messages/{of_carol}"), json!(null)),
        (Method::PUT, format!("/chats/{chat}/messages/{of_carol}/reactions/new"), json!(null)),
        (Method::DELETE, format!("/chats/{chat}/messages/{of_carol}/reactions/old"), json!(null)),
        (Method::PATCH, format!("/chats/{chat}"), json!({ "name": "x" })),
        (Method::DELETE, format!("/chats/{chat}/participants/{}", carol.id), json!(null)),
        (Method::PUT, format!("/chats/{chat}/participants/{}", carol.id), json!({ "role": "member" })),
    ] {
        let remover = group.db_removing_bob().await;
        let what = format!("bob: {method} {path}");
        let request = bob.request(method, &path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let waiting = tokio::spawn({
            let what = what.clone();
            async move { Answer::of(&what, request).await }
        });
        db_somebody_waits(&watcher, &server.database).await;
        remover.batch_execute("commit").await.expect("bob is removed");
        let after_removal = group.db_state().await;
        waiting.await.expect("an answer").expect_status(403);
        assert_eq!(group.db_state().await, after_removal, "{what}");
        let back = format!(
            "update chat.participants set left_at = null, role = 'moderator' where chat_id = '{chat}' and user_id = '{}'",
            bob.id
        );
        remover.batch_execute(&back).await.expect("bob is back");
    }
}

#[tokio::test]
async fn a_request_holds_no_row_while_it_waits_for_the_chat() {
    let group = Group::new().await;
    let Group { server, bob, chat, of_bob, .. } = &group;
    let watcher = server.database.cluster.db_superuser(&server.database.name).await;
    let owner = server.database.db_owner().await;
    let rows = [
        (Method::PATCH, format!("/chats/{chat}/messages/{of_bob}"), json!({ "text": "x" })),
        (Method::DELETE, format!("/chats/{chat}/messages/{of_bob}"), json!(null)),
        (Method::PATCH, format!("/chats/{chat}"), json!({ "topic": "x" })),
        (Method::DELETE, format!("/chats/{chat}"), json!(null)),
    ];
    for (method, path, body) in rows {
        let locked = format!("begin; insert into chat.messages (chat_id, text) values ('{chat}', 'the lock is had')");
        owner.batch_execute(&locked).await.expect(&locked);
        let what = format!("bob: {method} {path}");
        let request = bob.request(method, &path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let waiting = tokio::spawn({
            let what = what.clone();
            async move { Answer::of(&what, request).await }
        });
        db_somebody_waits(&watcher, &server.database).await;
        // who holds the lock gets every row at once, so the two can never wait for each other
        for table in ["messages where chat_id", "participants where chat_id", "chats where id"] {
            let statement = format!("select from chat.{table} = '{chat}' for no key update nowait");
            owner.batch_execute(&statement).await.unwrap_or_else(|error| panic!("{what}: {table}: {error:?}"));
        }
        owner.batch_execute("rollback").await.expect("a rollback");
        waiting.await.expect("an answer").one_of(&[200, 204]);
    }
}
