//! Erasure and export in slices: bounded, whole whatever happens in between, and the host's to do as well.

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Person, TestServer};

const WORDS: &str = "zzyzx";
/// What a slice may touch.
const CHATS_MAX: i64 = 100;
const ROWS_MAX: i64 = 500;

/// As the host application in psql.
async fn db_service(server: &TestServer) -> Client {
    let client = server.database.cluster.db_connect("chat_api", &server.database.name).await;
    client.batch_execute("set role service_role").await.expect("chat_api may become service_role");
    client
}

/// Chats with somebody else in each, and messages of bob's in the first.
async fn db_much(server: &TestServer, bob: &Person, chats: u32, messages: u32) -> Vec<Uuid> {
    let owner = server.database.db_owner().await;
    let statement = "insert into chat.chats (type, name, created_by) select 'room', 'room ' || n, null from generate_series(1, $1) n returning id";
    let rows = owner.query(statement, &[&i32::try_from(chats).expect("few")]).await.expect(statement);
    let mut ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort();
    let (alice, bob) = (server.person("alice").await.id, bob.id);
    for person in [alice, bob] {
        let statement = "insert into chat.participants (chat_id, user_id) select i, $2 from unnest($1::uuid[]) i";
        owner.execute(statement, &[&ids, &person]).await.expect(statement);
    }
    let statement = "insert into chat.messages (chat_id, sender_id, kind, text)
                     select $1, case when n % 3 > 0 then $2::uuid else $3 end, 'user', case when n % 3 > 0 then $4 else '' end || n
                     from generate_series(1, $5) n";
    let n = i32::try_from(messages).expect("few");
    owner.execute(statement, &[&ids[0], &bob, &alice, &WORDS, &n]).await.expect(statement);
    ids
}

#[tokio::test]
async fn an_erasure_touches_few_chats_and_messages_at_a_time() {
    let server = TestServer::start().await;
    let bob = server.person("bob").await;
    let chats = db_much(&server, &bob, 230, 1800).await;
    let (service, owner) = (db_service(&server).await, server.database.db_owner().await);
    let statement = "select chat.erase_user($1) as more, pg_current_xact_id()::text as xid";
    let mut slices = 0;
    loop {
        let row = service.query_one(statement, &[&bob.id]).await.expect(statement);
        slices += 1;
        let touched = "select (select count(*) from chat.messages m where m.xid = $1::text::xid8),
                              (select count(*) from chat.participants p where p.xid = $1::text::xid8)";
        let touched = owner.query_one(touched, &[&row.get::<_, &str>("xid")]).await.expect(touched);
        let (messages, chats): (i64, i64) = (touched.get(0), touched.get(1));
        assert!(messages <= ROWS_MAX && chats <= CHATS_MAX, "slice {slices}: {messages} messages, {chats} chats");
        if !row.get::<_, bool>("more") {
            break;
        }
    }
    // the person; 1,200 messages by 500; 230 chats by 100; the end
    assert!((6..=8).contains(&slices), "{slices} slices");
    assert_eq!(server.database.db_finds(WORDS).await, [""; 0]);
    let left = "select count(*) from chat.participants p where p.user_id = $1 and p.left_at is not null and p.chat_id = any ($2)";
    assert_eq!(owner.query_one(left, &[&bob.id, &chats]).await.expect(left).get::<_, i64>(0), 230);
    let kept = "select count(*) from chat.messages m where m.erased_at is null";
    assert_eq!(owner.query_one(kept, &[]).await.expect(kept).get::<_, i64>(0), 600, "alice's are alice's");
}

#[tokio::test]
async fn an_erasure_that_broke_off_is_ended_by_asking_again() {
    let server = TestServer::start().await;
    let bob = server.person("bob").await;
    db_much(&server, &bob, 3, 900).await;
    let service = db_service(&server).await;
    for _ in 0..2 {
        let more = service.query_one("select chat.erase_user($1)", &[&bob.id]).await.expect("a slice");
        assert!(more.get::<_, bool>(0));
    }
    assert!(!server.database.db_finds(WORDS).await.is_empty(), "it is not done");
    bob.delete("/users/me").await.expect_status(204);
    assert_eq!(server.database.db_finds(WORDS).await, [""; 0]);
    assert_eq!(server.database.db_finds(&format!("chat_private.erasures: ({}", bob.id)).await, [""; 0]);
}

#[tokio::test]
async fn an_erasure_asked_for_twice_at_once_is_one() {
    let server = TestServer::start().await;
    let bob = server.person("bob").await;
    db_much(&server, &bob, 120, 1200).await;
    let (here, there, host) = (bob.delete("/users/me"), bob.delete("/users/me"), async {
        let service = db_service(&server).await;
        while service.query_one("select chat.erase_user($1)", &[&bob.id]).await.expect("a slice").get::<_, bool>(0) {}
    });
    let (here, there, ()) = tokio::join!(here, there, host);
    here.expect_status(204);
    there.expect_status(204);
    assert_eq!(server.database.db_finds(WORDS).await, [""; 0]);
}

#[tokio::test]
async fn who_hangs_up_is_erased_all_the_same() {
    let server = TestServer::start().await;
    let bob = server.person("bob").await;
    db_much(&server, &bob, 30, 3000).await;
    let asked = tokio::time::timeout(std::time::Duration::from_millis(30), bob.delete("/users/me")).await;
    assert!(asked.is_err(), "it takes longer than anybody waited");
    crate::support::eventually("the words are gone", async || server.database.db_finds(WORDS).await.is_empty()).await;
}

#[tokio::test]
async fn an_export_of_much_is_whole_and_in_order() {
    let server = TestServer::start().await;
    let bob = server.person("bob").await;
    let chats = db_much(&server, &bob, 620, 1300).await;
    let owner = server.database.db_owner().await;
    // an earlier text of each, and long ones of somebody else's before them
    let edit = "update chat.messages m set text = text || ', edited' where m.chat_id = $1";
    owner.execute(edit, &[&chats[0]]).await.expect(edit);
    let export = bob.get("/users/me/export").await.expect_status(200);
    let lines: Vec<Value> =
        export.body.as_str().expect("text").lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("participation").len(), 620);
    let expected: Vec<i32> = (1..=1300).filter(|n| n % 3 > 0).collect();
    let texts: Vec<&str> = of("message").iter().map(|line| line["text"].as_str().expect("a text")).collect();
    assert_eq!(texts, expected.iter().map(|n| format!("{WORDS}{n}, edited")).collect::<Vec<_>>());
    let mut edits: Vec<&str> = of("edit").iter().map(|line| line["text"].as_str().expect("a text")).collect();
    edits.sort_by_key(|text| text[WORDS.len()..].parse::<i32>().expect("a number"));
    assert_eq!(edits, expected.iter().map(|n| format!("{WORDS}{n}")).collect::<Vec<_>>());
    assert_eq!(lines.last(), Some(&json!({ "type": "end" })));
}

#[tokio::test]
async fn what_is_imported_of_the_erased_comes_erased() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.room("a room", "private").await;
    bob.delete("/users/me").await.expect_status(204);
    let of = |sender: Uuid, text: &str| {
        json!({
            "senderId": sender, "text": text, "mentions": [alice.id], "attachmentUrl": "https://example.com/x.png",
            "createdAt": "2020-02-02T02:02:02Z",
        })
    };
    let body = json!({ "messages": [of(bob.id, WORDS), of(alice.id, "what alice said")] });
    server.service().post(&format!("/chats/{chat}/import"), body).await.expect_status(200);
    assert_eq!(alice.reads(chat).await, ["what alice said", "[erased]"]);
    let page = alice.get(&format!("/chats/{chat}/messages")).await.expect_status(200);
    let imported = &page.data()[1];
    assert_eq!((&imported["senderName"], &imported["mentions"]), (&json!("deleted user"), &json!([])));
    assert!(imported["erasedAt"].is_string() && imported.get("attachmentUrl").is_none(), "{imported}");
    assert_eq!(server.database.db_finds(WORDS).await, [""; 0]);
    let people = alice.get(&format!("/chats/{chat}/participants")).await.expect_status(200);
    assert_eq!(people.data().len(), 1, "and they are not in the chat");
}
