//! What the benchmark (`tests/load`, `cargo bench`) stands on and only a run of it would show: its loader, and its reading of a log.

#[path = "../load/sent.rs"]
mod sent;

use serde_json::json;
use uuid::Uuid;

use crate::support::{Database, TestServer, each};
use sent::{Sent, read_log, split};

const LOADER: &str = include_str!("../load/loader.sql");

#[tokio::test]
async fn what_the_loader_makes_is_what_the_triggers_would_have_left() {
    let server = TestServer::over(Database::new().await, &[]).await;
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    // some of each: of 7 chats that are written to, 200 that are watched, 1,000 that are listed; and one of 300 messages
    for statement in [
        "set load.people = 30",
        "set load.lively = 7",
        LOADER,
        "call load.people()",
        "call load.chats(1, 9)",
        "call load.chats(206, 210)",
        "call load.chats(1207, 1208)",
        "call load.messages(1, 9, 1, 70)",
        "call load.messages(206, 210, 1, 70)",
        "call load.messages(1207, 1207, 1, 70)",
        "call load.messages(1208, 1208, 1, 300)",
        "call load.pages(1, 1208)",
    ] {
        superuser.batch_execute(statement).await.expect(statement);
    }
    let wrong = superuser.query_one("select load.check(1, 1208, 1)", &[]).await.expect("an answer");
    assert_eq!(wrong.get::<_, Option<&str>>(0), None);
    let pages = superuser.query_one("select count(*) from chat_private.search_pages", &[]).await.expect("an answer");
    assert_eq!(pages.get::<_, i64>(0), 9 + 5 + 1 + 4);

    // the database goes on from there
    let row = superuser.query_one("select load.user_id(load.participant(3, 4)), load.chat_id(3)", &[]).await.expect("a row");
    let (user, chat): (Uuid, Uuid) = (row.get(0), row.get(1));
    let person = server.bearer_of("alice", json!({ "sub": user, "role": "authenticated", "exp": 4_000_000_000_u64 }));
    let sent = person.says(chat, "and now?").await;
    assert_eq!(sent["seq"], 11 + 70 + 1);
    let page = person.get(&format!("/chats/{chat}/messages")).await.expect_status(200);
    assert_eq!(each(page.data(), "senderName").len(), 50);
    let found = person.get(&format!("/chats/{chat}/messages?limit=200")).await.expect_status(200);
    assert_eq!(found.data().len(), 71);
}

#[test]
fn a_log_gives_back_what_was_sent() {
    let log = "\
2026-01-01 10:00:00.000 UTC [7] (tabletalk) LOG:  statement: set role chat_api
2026-01-01 10:00:00.001 UTC [7] (tabletalk) LOG:  statement: begin read only
2026-01-01 10:00:00.002 UTC [7] (tabletalk) LOG:  execute s1: /* authenticated */ select
\t$1, $2::uuid,
\t':' || $3
2026-01-01 10:00:00.002 UTC [7] (tabletalk) DETAIL:  parameters: $1 = 'it''s, $2 = ''that''', $2 = NULL, $3 = ''
2026-01-01 10:00:00.003 UTC [9] (tabletalk relay) LOG:  statement: select 'what others ask meanwhile'
2026-01-01 10:00:00.003 UTC [7] (tabletalk) LOG:  statement: commit
2026-01-01 10:00:00.004 UTC [8] () LOG:  checkpoint starting: time
";
    let plain = |sql: &str| Sent { sql: sql.to_owned(), parameters: Vec::new() };
    let asked = Sent {
        sql: "/* authenticated */ select\n$1, $2::uuid,\n':' || $3".to_owned(),
        parameters: vec![Some("it's, $2 = 'that'".to_owned()), None, Some(String::new())],
    };
    assert_eq!(split(read_log(log)), [[plain("begin read only"), asked, plain("commit")]]);
}
