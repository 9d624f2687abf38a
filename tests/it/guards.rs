//! Every operation, asked by everyone: who may, who may not, what they are told, and which rows it changes; and that `chat.why` knows it before.
//!
//! [`table::EXPECTED`] holds a row for each operation of the document; a new operation without one fails.

pub mod outcome;
pub mod place;
mod table;

use std::collections::BTreeMap;

use reqwest::Method;

use crate::support::TestServer;
use crate::support::document::operations;
use crate::why::db_dba;
use crate::why::operations::{asked, differs};
use outcome::outcome;
use place::{CALLERS, Room};
use table::EXPECTED;

/// What is expected of each caller of an operation: the table's groups taken apart.
fn expected(operation: &str) -> BTreeMap<&'static str, &'static str> {
    let Some((_, groups)) = EXPECTED.iter().find(|(id, _)| *id == operation) else {
        panic!("{operation} has no row in the table")
    };
    let mut of_each = BTreeMap::new();
    for (callers, outcome) in *groups {
        for caller in callers.split(' ') {
            assert!(of_each.insert(caller, *outcome).is_none(), "{operation}: {caller} is there twice");
        }
    }
    let mut callers = CALLERS;
    callers.sort_unstable();
    assert_eq!(of_each.keys().copied().collect::<Vec<_>>(), callers, "{operation}: everybody asks");
    of_each
}

#[test]
fn every_operation_of_the_document_has_its_row() {
    let mut documented: Vec<String> = operations().into_iter().map(|operation| operation.id).collect();
    let mut listed: Vec<&str> = EXPECTED.iter().map(|(id, _)| *id).collect();
    documented.sort_unstable();
    listed.sort_unstable();
    assert_eq!(documented, listed, "left: the document, right: the table");
}

#[tokio::test]
async fn every_operation_is_guarded_against_everyone() {
    let server = TestServer::start().await;
    let dba = db_dba(&server.database).await;
    // people of elsewhere, for lists to hold or not to hold
    Room::new(&server).await;
    let (mut wrong, mut unused) = (Vec::new(), None);
    for operation in operations() {
        let expected = expected(&operation.id);
        for caller in CALLERS {
            // a room that nobody changed serves again
            let (room, before) = match unused.take() {
                Some(unused) => unused,
                None => (Room::new(&server).await, server.database.db_rows_by_key().await),
            };
            let why = asked(&dba, &operation.id, caller, &room).await;
            let path = room.path(&operation);
            let answer = room.caller(caller).ask(operation.method.clone(), &path, room.body(&operation)).await;
            let after = server.database.db_rows_by_key().await;
            let outcome = outcome(&answer, &room.names(caller), &before, &after);
            if outcome != expected[caller] {
                wrong.push(format!(
                    "{} by {caller}: {outcome:?} instead of {:?}: {}",
                    operation.id, expected[caller], answer.body
                ));
            }
            wrong.extend(differs(&operation.id, caller, why.as_ref(), &answer));
            if operation.method == Method::GET || answer.status >= 400 {
                assert_eq!(after, before, "{} by {caller} changed something", operation.id);
            }
            if answer.status >= 400 {
                assert_eq!(answer.headers["content-type"], "application/problem+json", "{} by {caller}", operation.id);
                let told = answer.body.to_string();
                assert!(!told.contains("ours") && !told.contains("what erin said"), "{} tells {caller}: {told}", operation.id);
            }
            if after == before {
                unused = Some((room, before));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_one_may_not_read_is_in_no_list() {
    let server = TestServer::start().await;
    let room = Room::new(&server).await;
    for caller in ["nobody", "expired", "anon", "stranger"] {
        for operation in operations().iter().filter(|o| o.method == Method::GET && o.path_parameters().is_empty()) {
            let query = if operation.id == "searchMessages" { "?q=erin" } else { "" };
            let told = room.caller(caller).get(&format!("{}{query}", operation.path)).await.body.to_string();
            for hidden in room.hidden() {
                assert!(!told.contains(&hidden.to_string()), "{} tells {caller}: {told}", operation.id);
            }
        }
    }
}
