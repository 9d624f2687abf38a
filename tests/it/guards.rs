//! Every operation, asked by everyone: who may, who may not, and what is refused changes nothing.
//!
//! The table below holds a row for each operation of the document; a new operation without one fails.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::document::{Operation, operations};
use crate::support::{Person, TestServer};

/// Who asks, in the order of the table's columns.
const CALLERS: [&str; 7] = ["nobody", "anon", "stranger", "member", "moderator", "owner", "service"];

/// What each of them is told, on a private room of somebody else's and what is in it.
const EXPECTED: &[(&str, [u16; 7])] = &[
    //                      nobody anon stranger member moderator owner service
    ("listUsers", [401, 403, 200, 200, 200, 200, 200]),
    ("getMe", [401, 403, 200, 200, 200, 200, 404]),
    ("updateMe", [401, 403, 200, 200, 200, 200, 404]),
    ("deleteMe", [401, 403, 204, 204, 204, 204, 404]),
    ("exportMe", [401, 403, 200, 200, 200, 200, 404]),
    ("getUser", [401, 403, 404, 200, 200, 200, 200]),
    ("listFriends", [401, 403, 200, 200, 200, 200, 200]),
    ("addFriend", [401, 403, 201, 201, 201, 201, 403]),
    ("removeFriend", [401, 403, 204, 204, 204, 204, 204]),
    ("listBlocks", [401, 403, 200, 200, 200, 200, 200]),
    ("blockUser", [401, 403, 201, 201, 201, 201, 403]),
    ("unblockUser", [401, 403, 204, 204, 204, 204, 204]),
    ("listChats", [401, 200, 200, 200, 200, 200, 200]),
    ("createChat", [401, 403, 201, 201, 201, 201, 403]),
    ("getChat", [401, 403, 403, 200, 200, 200, 200]),
    ("updateChat", [401, 403, 403, 403, 200, 200, 200]),
    ("deleteChat", [401, 403, 403, 403, 403, 204, 204]),
    ("joinChat", [401, 403, 403, 200, 200, 200, 403]),
    ("putEventChat", [401, 403, 403, 403, 403, 403, 201]),
    ("deleteEventChat", [401, 403, 403, 403, 403, 403, 204]),
    ("listParticipants", [401, 403, 403, 200, 200, 200, 200]),
    ("setParticipant", [401, 403, 403, 403, 200, 200, 200]),
    ("removeParticipant", [401, 403, 403, 403, 204, 204, 204]),
    ("markRead", [401, 403, 403, 200, 200, 200, 403]),
    ("listMessages", [401, 403, 403, 200, 200, 200, 200]),
    ("sendMessage", [401, 403, 403, 201, 201, 201, 201]),
    ("getMessage", [401, 403, 403, 200, 200, 200, 200]),
    ("listEdits", [401, 403, 403, 403, 200, 200, 200]),
    ("editMessage", [401, 403, 403, 403, 403, 403, 200]),
    ("deleteMessage", [401, 403, 403, 403, 204, 204, 204]),
    ("listChanges", [401, 403, 403, 200, 200, 200, 200]),
    ("syncChats", [401, 403, 200, 200, 200, 200, 200]),
    ("listLatestMessages", [401, 200, 200, 200, 200, 200, 200]),
    ("addReaction", [401, 403, 403, 200, 200, 200, 403]),
    ("removeReaction", [401, 403, 403, 204, 204, 204, 204]),
    ("listPins", [401, 403, 403, 200, 200, 200, 200]),
    ("pinMessage", [401, 403, 403, 403, 200, 200, 200]),
    ("unpinMessage", [401, 403, 403, 403, 204, 204, 204]),
    ("searchMessages", [401, 403, 403, 200, 200, 200, 200]),
    ("importMessages", [401, 403, 403, 403, 403, 403, 200]),
];

/// A private room with people of every role, in which erin said something.
struct Room {
    id: Uuid,
    message: Uuid,
    /// Another of hers, which the owner pinned.
    pinned: Uuid,
    erin: Person,
    /// Known to the server, and not in the room.
    outsider: Person,
}

impl Room {
    async fn new(server: &TestServer, people: &[Person]) -> Self {
        let [_, _, _, member, moderator, owner, _] = people else { panic!("seven callers") };
        let (erin, outsider) = (server.person("erin").await, server.person("frank").await);
        let id = owner.room("ours", "private").await;
        owner.adds(id, member, "member").await.expect_status(200);
        owner.adds(id, moderator, "moderator").await.expect_status(200);
        owner.adds(id, &erin, "member").await.expect_status(200);
        let mut said = Vec::new();
        for text in ["what erin said", "what erin said, and is pinned"] {
            let message = erin.says(id, text).await;
            said.push(message["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
        }
        let (message, pinned) = (said[0], said[1]);
        owner.put(&format!("/chats/{id}/messages/{pinned}/pin"), json!({})).await.expect_status(200);
        Self { id, message, pinned, erin, outsider }
    }

    fn path(&self, operation: &Operation) -> String {
        let path = operation.path_with(|name| match name {
            // any event will do, and one that no other test names is best
            "chatId" | "idOrUid" | "eventId" => self.id.to_string(),
            "messageId" if operation.id == "unpinMessage" => self.pinned.to_string(),
            "messageId" => self.message.to_string(),
            // whom one befriends or blocks is nobody's business; the others are about someone in the room
            "userId" if ["addFriend", "blockUser", "setParticipant"].contains(&operation.id.as_str()) => {
                self.outsider.id.to_string()
            }
            "userId" => self.erin.id.to_string(),
            "type" => "event_authors".to_owned(),
            "emoji" => "👍".to_owned(),
            other => panic!("what is {other}?"),
        });
        match operation.id.as_str() {
            "deleteChat" => path + "?scope=everyone",
            "listLatestMessages" => format!("{path}?chatIds={}", self.id),
            "searchMessages" => format!("{path}?q=erin&chatId={}", self.id),
            _ => path,
        }
    }

    fn body(operation: &Operation) -> Option<Value> {
        operation.has_body().then(|| match operation.id.as_str() {
            "createChat" => json!({ "type": "group" }),
            "sendMessage" | "editMessage" => json!({ "text": "what I say" }),
            "updateMe" => json!({ "avatarUrl": "https://example.com/me.png" }),
            "updateChat" => json!({ "name": "my room" }),
            "markRead" => json!({ "seq": 1 }),
            "importMessages" => json!({ "messages": [{ "text": "what was said", "createdAt": "2020-02-02T02:02:02Z" }] }),
            "setParticipant" | "putEventChat" => json!({}),
            other => panic!("{other} has a body and none here"),
        })
    }
}

/// Mallory, who is nobody in the room, and the others.
async fn callers(server: &TestServer) -> Vec<Person> {
    vec![
        server.nobody(),
        server.anon(),
        server.person("mallory").await,
        server.person("bob").await,
        server.person("carol").await,
        server.person("alice").await,
        server.service(),
    ]
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
    let people = callers(&server).await;
    let (mut wrong, mut unused) = (Vec::new(), None);
    for operation in operations() {
        let Some((_, expected)) = EXPECTED.iter().find(|(id, _)| *id == operation.id) else {
            panic!("{} has no row in the table", operation.id)
        };
        for ((caller, person), expected) in CALLERS.iter().zip(&people).zip(expected) {
            // a room that nobody changed serves again
            let (room, before) = match unused.take() {
                Some(unused) => unused,
                None => (Room::new(&server, &people).await, server.database.db_rows().await),
            };
            let answer = person.ask(operation.method.clone(), &room.path(&operation), Room::body(&operation)).await;
            if answer.status != *expected {
                wrong.push(format!("{} by {caller}: {} instead of {expected}: {}", operation.id, answer.status, answer.body));
            }
            if operation.method == Method::GET || answer.status >= 400 {
                assert_eq!(server.database.db_rows().await, before, "{} by {caller} changed something", operation.id);
                unused = Some((room, before));
            }
            if answer.status >= 400 {
                assert_eq!(answer.headers["content-type"], "application/problem+json", "{} by {caller}", operation.id);
                let told = answer.body.to_string();
                assert!(!told.contains("ours") && !told.contains("what erin said"), "{} tells {caller}: {told}", operation.id);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_one_may_not_read_is_in_no_list() {
    let server = TestServer::start().await;
    let people = callers(&server).await;
    let room = Room::new(&server, &people).await;
    for (caller, person) in CALLERS.iter().zip(&people) {
        if !["anon", "stranger"].contains(caller) {
            continue;
        }
        for operation in operations().iter().filter(|o| o.method == Method::GET && o.path_parameters().is_empty()) {
            let query = if operation.id == "searchMessages" { "?q=erin" } else { "" };
            let told = person.get(&format!("{}{query}", operation.path)).await.body.to_string();
            for hidden in [room.id, room.message, room.erin.id] {
                assert!(!told.contains(&hidden.to_string()), "{} tells {caller}: {told}", operation.id);
            }
        }
    }
}
