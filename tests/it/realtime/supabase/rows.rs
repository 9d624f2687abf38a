//! Rows as they are told: the columns are those of the tables, the values what Postgres makes of them.

use serde_json::{Value, json};
use tabletalk::realtime::phoenix::rows::Table;
use tokio_postgres::Client;
use uuid::Uuid;

use super::wire::Wire;
use super::{changes, channel, rows_of};
use crate::support::npm::Node;
use crate::support::{Person, TestServer};

/// Of a table: the columns that people may select, in their order, with their types and whether they are of the key.
const GRANTED: &str = "
select a.attname::text, t.typname::text, coalesce(a.attnum = any (k.conkey), false) as is_key
from pg_attribute a
join pg_type t on t.oid = a.atttypid
left join pg_constraint k on k.conrelid = a.attrelid and k.contype = 'p'
where a.attrelid = ('chat.' || $1)::regclass
  and a.attnum > 0
  and not a.attisdropped
  and has_column_privilege('authenticated', a.attrelid, a.attnum, 'SELECT')
order by a.attnum";

#[tokio::test]
async fn the_columns_are_those_that_people_may_select_but_for_a_short_list() {
    let server = TestServer::start().await;
    let owner = server.database.db_owner().await;
    for table in Table::ALL {
        let granted: Vec<(String, String, bool)> = owner
            .query(GRANTED, &[&table.name()])
            .await
            .expect("columns")
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        let not_told: Vec<&str> =
            granted.iter().map(|(name, ..)| name.as_str()).filter(|name| table.column(name).is_none()).collect();
        assert_eq!(not_told, table.not_told(), "{table:?}");
        let told: Vec<(String, String, bool)> =
            table.columns().iter().map(|column| (column.name.to_owned(), column.kind.name().to_owned(), column.is_key)).collect();
        let granted: Vec<_> = granted.into_iter().filter(|(name, ..)| table.column(name).is_some()).collect();
        assert_eq!(told, granted, "{table:?}");
    }
}

/// The row of a change as Postgres writes it, to who is told of it.
async fn db_row(client: &Client, change: &Value) -> Value {
    let table = Table::named(change["table"].as_str().expect("a table")).expect("a table of ours");
    let names = |is_key: bool| table.columns().iter().filter(move |column| !is_key || column.is_key).map(|column| column.name);
    let columns: Vec<String> = names(false).map(|name| format!("r.{name}")).collect();
    let key: Vec<String> =
        names(true).map(|name| format!("r.{name} = '{}'", change["record"][name].as_str().expect("a key"))).collect();
    let select = format!(
        "select to_jsonb(t) from (select {} from chat.{} r where {}) t",
        columns.join(", "),
        table.name(),
        key.join(" and ")
    );
    client.query_one(&select, &[]).await.expect(&select).get(0)
}

/// The next change, which is this of this table, and of which each value is as Postgres writes it.
async fn told(wire: &mut Wire, client: &Client, table: &str, kind: &str) -> Value {
    let change = wire.change().await;
    assert_eq!(
        (&change["table"], &change["type"], &change["schema"]),
        (&json!(table), &json!(kind), &json!("public")),
        "{change}"
    );
    assert_eq!(change["errors"], Value::Null);
    let named: Vec<Value> = change["columns"].as_array().expect("columns").iter().map(|column| column["name"].clone()).collect();
    let record: Vec<Value> = change["record"].as_object().expect("a record").keys().map(|name| json!(name)).collect();
    assert_eq!(record, named);
    assert_eq!(change["record"], db_row(client, &change).await, "{table} {kind}");
    assert_eq!(change.get("old_record").is_some(), kind == "UPDATE", "{change}");
    change
}

#[tokio::test]
async fn each_row_is_told_as_who_is_told_would_select_it() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let client = server.database.db_as(bob.id).await;
    client.batch_execute("set time zone 'UTC'").await.expect("it is set");
    let mut his = Wire::of(&bob).await;
    let bindings = ["messages", "chats", "participants"].map(|table| changes(json!({ "table": table })));
    his.joins("realtime:everything", json!(bindings)).await;

    let chat = alice.group_with(&[&bob, &carol]).await;
    told(&mut his, &client, "chats", "INSERT").await;
    let first = alice.says(chat, "first").await;
    told(&mut his, &client, "messages", "INSERT").await;
    let body = json!({
        "text": "\"second\" \u{1F600}", "replyToId": first["id"], "attachmentUrl": "https://example.com/a?b=c", "mentions": [bob.id, carol.id],
    });
    let second = alice.post(&format!("/chats/{chat}/messages"), body).await.expect_status(201).id();
    told(&mut his, &client, "messages", "INSERT").await;
    let path = format!("/chats/{chat}/messages/{second}");
    alice.patch(&path, json!({ "text": "edited", "mentions": [] })).await.expect_status(200);
    let edited = told(&mut his, &client, "messages", "UPDATE").await;
    assert_eq!(edited["old_record"], json!({ "chat_id": chat, "id": second }));
    for emoji in ["%F0%9F%91%8D", "heart"] {
        bob.put(&format!("{path}/reactions/{emoji}"), json!({})).await.one_of(&[200, 201, 204]);
        told(&mut his, &client, "messages", "UPDATE").await;
    }
    alice.put(&format!("{path}/pin"), json!({})).await.one_of(&[200, 204]);
    told(&mut his, &client, "messages", "UPDATE").await;
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "renamed", "topic": "a topic" })).await.expect_status(200);
    told(&mut his, &client, "chats", "UPDATE").await;
    alice.put(&format!("/chats/{chat}/participants/{}", carol.id), json!({ "role": "moderator" })).await.expect_status(200);
    told(&mut his, &client, "participants", "UPDATE").await;
    let dave = server.person("dave").await;
    alice.adds(chat, &dave, "member").await.one_of(&[200, 201]);
    told(&mut his, &client, "participants", "INSERT").await;

    alice.removes(chat, &dave).await.expect_status(204);
    let removed = his.change().await;
    assert_eq!((&removed["table"], &removed["type"]), (&json!("participants"), &json!("DELETE")));
    assert_eq!(removed["old_record"], json!({ "chat_id": chat, "user_id": dave.id }));
    alice.delete(&path).await.expect_status(204);
    let deleted = his.change().await;
    assert_eq!((&deleted["type"], &deleted["old_record"]), (&json!("DELETE"), &json!({ "chat_id": chat, "id": second })));
    assert!(deleted.get("record").is_none(), "{deleted}");
    alice.removes(chat, &bob).await.expect_status(204);
    let gone = his.change().await;
    assert_eq!((&gone["table"], &gone["type"], &gone["old_record"]), (&json!("chats"), &json!("DELETE"), &json!({ "id": chat })));
}

/// What somebody hears by supabase-js: of which table, what happened, and the row's words or key.
async fn heard(client: &mut crate::support::npm::Client, chat: Uuid) -> (String, String, Value) {
    let change = client.change(&channel(chat)).await;
    let text = |name: &str| change[name].as_str().expect(name).to_owned();
    let row = if change["eventType"] == "DELETE" { &change["old"] } else { &change["new"]["text"] };
    (text("table"), text("eventType"), row.clone())
}

#[tokio::test]
async fn a_message_that_is_deleted_is_gone_for_who_saw_it_and_nobody_else_hears_of_it() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    server.database.db_set("history = 'since_join'").await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob]).await;
    let old = alice.says(chat, "before carol came").await;
    alice.adds(chat, &carol, "member").await.one_of(&[200, 201]);
    let mut clients = Vec::new();
    for person in [&alice, &bob, &carol] {
        let mut client = node.supabase(person, json!({})).await;
        client.joins(&channel(chat), json!({}), &[("postgres_changes", rows_of("messages", chat))]).await;
        clients.push(client);
    }
    let new = alice.says(chat, "after").await;
    for message in [&old, &new] {
        let path = format!("/chats/{chat}/messages/{}", message["id"].as_str().expect("an id"));
        alice.delete(&path).await.expect_status(204);
    }
    let gone = |message: &Value| json!({ "chat_id": chat, "id": message["id"] });
    let deleted = |message: &Value| ("messages".to_owned(), "DELETE".to_owned(), gone(message));
    let inserted = ("messages".to_owned(), "INSERT".to_owned(), json!("after"));
    for client in &mut clients[..2] {
        assert_eq!(heard(client, chat).await, inserted);
        assert_eq!(heard(client, chat).await, deleted(&old));
        assert_eq!(heard(client, chat).await, deleted(&new));
    }
    let hers = &mut clients[2];
    assert_eq!(heard(hers, chat).await, inserted);
    assert_eq!(heard(hers, chat).await, deleted(&new), "she never saw the old one");
}

#[tokio::test]
async fn rows_are_told_under_the_names_by_which_they_are_asked_for_and_no_more_of_them_than_is() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut his = node.supabase(&bob, json!({})).await;
    let filter = format!("chat_id=eq.{chat}");
    let select = json!({ "table": "messages", "schema": "chat", "select": ["text"], "filter": filter });
    let on = [
        ("postgres_changes", changes(json!({ "table": "chat_participants" }))),
        ("postgres_changes", json!({ "event": "INSERT", "schema": "*", "table": "messages" })),
        ("postgres_changes", changes(select)),
    ];
    his.joins(&channel(chat), json!({}), &on).await;
    let said = alice.says(chat, "words").await;
    let mut told = [his.change(&channel(chat)).await, his.change(&channel(chat)).await];
    told.sort_by_key(|change| change["new"].as_object().map(serde_json::Map::len));
    assert_eq!(told[0]["new"], json!({ "chat_id": chat, "id": said["id"], "text": "words" }));
    assert_eq!(told[1]["new"]["seq"], said["seq"]);
    assert_eq!(told.each_ref().map(|change| change["schema"].clone()), [json!("chat"), json!("chat")]);
    let role: &Person = &bob;
    alice.put(&format!("/chats/{chat}/participants/{}", role.id), json!({ "role": "moderator" })).await.expect_status(200);
    let promoted = his.change(&channel(chat)).await;
    assert_eq!((&promoted["table"], &promoted["schema"]), (&json!("chat_participants"), &json!("public")));
    assert_eq!((&promoted["new"]["role"], &promoted["new"]["user_id"]), (&json!("moderator"), &json!(bob.id)));
}
