//! Every operation of the API: whatever it writes leaves its lines, and what is not for people is told to nobody.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::{forget, lines};
use crate::guards::outcome::Rows;
use crate::guards::place::Room;
use crate::support::TestServer;
use crate::support::database::StoredRow;
use crate::support::document::operations;

/// Tables whose rows leave no line: an edit's line has the earlier text, what is read is not audited, a tombstone follows from a deletion.
const WITHOUT: [&str; 3] = ["message_edits", "read_markers", "tombstones"];
/// Operations that change something and leave no line. Before one is added here: is it really not worth one?
const SILENT: [&str; 4] = [
    "sendMessage", // a message is its own record
    "markRead",
    "setTyping",     // it is stored nowhere
    "sendBroadcast", // nor is this, but for a moment
];
/// Operations that change nothing here, whoever asks: everybody who may join the room is in it.
const IDLE: [&str; 1] = ["joinChat"];

fn value(row: &StoredRow) -> Value {
    serde_json::from_str(&row.all).expect("a row")
}

/// The lines that these changes have to leave; and the messages that are their own record.
fn due(before: &Rows, after: &Rows) -> (Vec<String>, Vec<Value>) {
    let (mut due, mut sent, mut imported) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut note = |operation: &str, table: &str, row: &StoredRow| {
        let of: Vec<String> = row.of.iter().flatten().map(Uuid::to_string).collect();
        due.push(format!("{operation} {table} {}", of.join(" ")));
    };
    for ((table, key), row) in after.iter().filter(|((table, _), _)| !WITHOUT.contains(table)) {
        match before.get(&(*table, key.clone())) {
            None if *table == "messages" => match value(row) {
                message if message["imported_at"].is_null() => sent.push(message),
                message => drop(imported.insert(format!("import messages {}", message["chat_id"]).replace('"', ""))),
            },
            None => note("insert", table, row),
            Some(old) => {
                let (mut was, mut is) = (value(old), value(row));
                if *table == "messages" {
                    // a reaction has a line of its own
                    for row in [&mut was, &mut is] {
                        let row = row.as_object_mut().expect("a row");
                        for field in ["reactions", "rev", "xid"] {
                            row.remove(field);
                        }
                    }
                }
                if was != is {
                    let erased = was["erased_at"].is_null() && !is["erased_at"].is_null();
                    note(if erased { "erase" } else { "update" }, table, row);
                }
            }
        }
    }
    for ((table, key), row) in before.iter().filter(|((table, _), _)| !WITHOUT.contains(table)) {
        if !after.contains_key(&(*table, key.clone())) {
            note("delete", table, row);
        }
    }
    due.extend(imported);
    due.sort_unstable();
    (due, sent)
}

#[tokio::test]
async fn whatever_an_operation_writes_leaves_who_wrote_it_and_by_which_request() {
    let server = TestServer::start().await;
    let owner = server.database.db_owner().await;
    let mut wrote: BTreeMap<String, bool> = BTreeMap::new();
    let mut unused = None;
    for operation in operations() {
        for name in ["stranger", "member", "moderator", "owner", "service", "erin"] {
            if (operation.id.as_str(), name) == ("deleteMe", "erin") {
                continue; // whoever said something is erased in slices, and what they said is one line: sql/tests/96_audit.sql
            }
            let (room, before) = match unused.take() {
                Some(unused) => unused,
                None => (Room::new(&server).await, server.database.db_rows_by_key().await),
            };
            forget(&owner).await;
            let (caller, path) = match name {
                "erin" => (room.erin(), room.path_of_erin(&operation)),
                name => (room.caller(name), room.path(&operation)),
            };
            let answer = caller.ask(operation.method.clone(), &path, room.body(&operation)).await;
            let after = server.database.db_rows_by_key().await;
            let what = format!("{} by {name}", operation.id);
            let request: Uuid = answer.headers["x-request-id"].to_str().expect("text").parse().expect("a UUID");

            let (due, sent) = due(&before, &after);
            let left = lines(&owner).await;
            let mut did: Vec<&str> = left.iter().map(|line| line.did.as_str()).collect();
            did.sort_unstable();
            assert_eq!(did, due, "{what}");
            for line in &left {
                let subject = (name != "service").then_some(caller.id);
                let role = if name == "service" { "service_role" } else { "authenticated" };
                let who = (line.way.as_str(), line.sub, line.role.as_str(), line.request, line.login.as_str());
                assert_eq!(who, ("api", subject, role, Some(request), "chat_api"), "{what}: {line:?}");
                assert_eq!((line.application.as_deref(), &line.session), (Some("tabletalk"), &None), "{what}: {line:?}");
            }
            for message in &sent {
                assert_eq!(message["request_id"], request.to_string(), "{what}");
                assert_eq!(message["via"]["role"], if name == "service" { "service_role".into() } else { Value::Null }, "{what}");
            }
            *wrote.entry(operation.id.clone()).or_default() |= !left.is_empty();
            if after == before {
                unused = Some((room, before));
            }
        }
    }
    for operation in operations() {
        let expected =
            operation.method != Method::GET && !SILENT.contains(&operation.id.as_str()) && !IDLE.contains(&operation.id.as_str());
        assert_eq!(
            wrote[&operation.id], expected,
            "{} leaves a line: does the audit miss something, or this test?",
            operation.id
        );
    }
}

#[tokio::test]
async fn nobody_is_told_from_which_request_or_session_a_message_came() {
    let server = TestServer::start().await;
    let room = Room::new(&server).await;
    let owner = server.database.db_owner().await;
    owner
        .batch_execute("update chat.messages set session_id = 'erins-phone' where deleted_at is null")
        .await
        .expect("the owner may");
    let statement = "select m.request_id::text from chat.messages m where m.request_id is not null";
    let mut hidden: Vec<String> = owner.query(statement, &[]).await.expect(statement).iter().map(|row| row.get(0)).collect();
    assert!(hidden.len() >= 3, "the messages came by requests");
    hidden.push("erins-phone".to_owned());
    for operation in operations().iter().filter(|operation| operation.method == Method::GET) {
        for name in ["anon", "stranger", "member", "moderator", "owner", "service"] {
            let told = room.caller(name).get(&room.path(operation)).await.body.to_string();
            for hidden in &hidden {
                assert!(!told.contains(hidden.as_str()), "{} tells {name} {hidden}: {told}", operation.id);
            }
        }
    }
}
