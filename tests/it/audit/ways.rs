//! By which way: the API, where the request id is the answer's, or plain SQL, where everything but the login can be typed.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tabletalk::auth::{Identity, NEVER, Role};
use tabletalk::db::Db;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Line, forget, lines};
use crate::support::{Answer, Database, TestServer};

const RENAME: &str = "update chat.users u set display_name = 'x' || clock_timestamp() where u.id = chat.uid()";

fn request_id(answer: &Answer) -> Option<Uuid> {
    answer.headers["x-request-id"].to_str().ok()?.parse().ok()
}

async fn only_line(owner: &Client) -> Line {
    let mut lines = lines(owner).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[tokio::test]
async fn a_first_sight_is_of_the_request_that_brought_it_whatever_it_was() {
    let server = TestServer::start().await;
    let owner = server.database.db_owner().await;
    for path in ["/users/me", "/users/me/export", "/sync?wait=1", "/chats"] {
        let new = server.stranger("someone new");
        forget(&owner).await;
        let answer = new.get(path).await.expect_status(200);
        let line = only_line(&owner).await;
        assert_eq!(line.did, format!("insert users {}", new.id), "{path}");
        assert_eq!((line.request, line.sub), (request_id(&answer), Some(new.id)), "{path}");
    }
}

#[tokio::test]
async fn a_session_is_named_by_its_claim() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let phone = server.bearer_of("alice", json!({ "sub": alice.id, "exp": 4_000_000_000_i64, "session_id": "s".repeat(100) }));
    let owner = server.database.db_owner().await;
    forget(&owner).await;
    let answer = phone.patch("/users/me", json!({ "displayName": "Alicia" })).await.expect_status(200);
    let line = only_line(&owner).await;
    assert_eq!((line.session, line.request), (Some("s".repeat(64)), request_id(&answer)));

    let chat = alice.group_with(&[]).await;
    for (person, session) in [(&phone, Some("s".repeat(64))), (&alice, None)] {
        let sent = person.tries(chat, "hello").await.expect_status(201);
        let statement = "select m.session_id, m.request_id, m.via is null from chat.messages m where m.id = $1";
        let row = owner.query_one(statement, &[&sent.id()]).await.expect("the message");
        let (its_session, its_request, plain): (Option<String>, Option<Uuid>, bool) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((its_session, its_request, plain), (session, request_id(&sent), true));
    }
}

#[tokio::test]
async fn what_is_asked_in_several_steps_is_one_request() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    alice.says(chat, "hello").await;
    let owner = server.database.db_owner().await;
    forget(&owner).await;
    let answer = alice.ask(Method::DELETE, "/users/me", None).await.expect_status(204);
    let left = lines(&owner).await;
    assert!(left.len() > 3, "{left:?}");
    assert!(left.iter().all(|line| line.request == request_id(&answer)), "{left:?}");
}

#[tokio::test]
async fn a_connection_remembers_no_request() {
    let database = Database::new().await;
    let owner = database.db_owner().await;
    let db = Db::new(&database.cluster.dsn("chat_api", &database.name), 1).expect("a pool of one");
    let sub = Uuid::new_v4();
    let claims = json!({ "sub": sub, "role": "authenticated" }).to_string();
    let who = |request| Identity {
        role: Role::Authenticated,
        subject: Some(sub),
        claims: Arc::from(claims.as_str()),
        expires_at: NEVER,
        request,
    };
    let requests = [Some(Uuid::now_v7()), None, Some(Uuid::now_v7())];
    db.write(&who(None), "select chat.introduce_me()", Vec::new()).await.expect("an introduction");
    forget(&owner).await;
    for request in requests {
        db.write(&who(request), RENAME, Vec::new()).await.expect("a write");
    }
    let left = lines(&owner).await;
    let said: Vec<(Option<Uuid>, &str)> = left.iter().map(|line| (line.request, line.way.as_str())).collect();
    assert_eq!(said, [(requests[0], "api"), (None, "sql"), (requests[2], "api")]);
    db.close();
}

#[tokio::test]
async fn what_is_typed_in_plain_sql_is_seen_to_be_typed() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let chat = alice.group_with(&[]).await;
    let (database, owner) = (&server.database, server.database.db_owner().await);
    let login = format!("typist_{}", database.name);
    let superuser = database.cluster.db_superuser(&database.name).await;
    // BYPASSRLS passes no trigger by
    let statement = format!("create role {login} login noinherit bypassrls; grant authenticated, service_role to {login}");
    superuser.batch_execute(&statement).await.expect(&statement);
    let claims = json!({ "sub": alice.id, "role": "authenticated", "session_id": "hers" });
    let typed = format!(
        "set role authenticated; select set_config('request.jwt.claims', '{claims}', false),
         set_config('chat.request_id', '{}', false), set_config('application_name', 'tabletalk', false)",
        Uuid::now_v7()
    );
    for (user, way) in [(login.as_str(), "sql"), ("chat_api", "api")] {
        let typist = database.cluster.db_connect(user, &database.name).await;
        typist.batch_execute(&typed).await.expect("everything can be typed");
        forget(&owner).await;
        typist.batch_execute(RENAME).await.expect("as alice");
        let line = only_line(&owner).await;
        assert_eq!((line.way.as_str(), line.login.as_str(), line.sub), (way, user, Some(alice.id)), "but the login");
        let statement = "insert into chat.messages (chat_id, text) values ($1, 'typed') returning id";
        let id: Uuid = typist.query_one(statement, &[&chat]).await.expect(statement).get(0);
        let statement = "select m.via ->> 'login' from chat.messages m where m.id = $1";
        let via: Option<String> = owner.query_one(statement, &[&id]).await.expect(statement).get(0);
        // whoever has the password of the server's login is the server
        assert_eq!(via.as_deref(), (way == "sql").then_some(user));
    }
    let host = database.cluster.db_connect(&login, &database.name).await;
    host.batch_execute("set role service_role").await.expect("it may");
    forget(&owner).await;
    let statement = format!("update chat.users set display_name = 'theirs' where id = '{}'", alice.id);
    host.batch_execute(&statement).await.expect(&statement);
    let line = only_line(&owner).await;
    assert_eq!((line.role.as_str(), line.login, line.sub), ("service_role", login.clone(), None));
    drop(host);
    let psql = database.db_as(alice.id).await;
    forget(&owner).await;
    psql.batch_execute(RENAME).await.expect("as alice");
    let line = only_line(&owner).await;
    assert_eq!((line.way.as_str(), line.login.as_str(), line.request), ("sql", "chat_api", None));
    assert_ne!(line.application.as_deref(), Some("tabletalk"));
}
