//! Everything about oneself, to take along.

use serde_json::{Value, json};

use crate::support::{Answer, Person, TestServer};

fn path(message: &Value) -> String {
    let part = |field: &str| message[field].as_str().expect("an id").to_owned();
    format!("/chats/{}/messages/{}", part("chatId"), part("id"))
}

/// The lines of an export.
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let text = match &answer.body {
        Value::String(text) => text.clone(),
        one => one.to_string(),
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

async fn exports(person: &Person) -> Vec<Value> {
    lines(&person.get("/users/me/export").await.expect_status(200))
}

#[tokio::test]
async fn an_export_holds_everything_about_oneself() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    bob.patch("/users/me", json!({ "username": "bob" })).await.expect_status(200);
    bob.befriend(&alice).await;
    carol.put(&format!("/friends/{}", bob.id), json!({})).await.expect_status(201);
    bob.put(&format!("/blocks/{}", carol.id), json!({})).await.expect_status(201);
    let (here, left) = (alice.group_with(&[&bob, &carol]).await, alice.group_with(&[&bob, &carol]).await);
    let hers = alice.says(here, "what alice said").await;
    let body = json!({ "text": "first \"words\"\nof bob", "mentions": [alice.id], "replyToId": hers["id"], "attachmentUrl": "https://example.com/x" });
    let first = bob.post(&format!("/chats/{here}/messages"), body).await.expect_status(201).body;
    let edited = bob.patch(&path(&first), json!({ "text": "edited" })).await.expect_status(200).body;
    let deleted = bob.says(here, "deleted").await;
    bob.delete(&path(&deleted)).await.expect_status(204);
    let gone = bob.says(left, "where bob is no longer").await;
    bob.put(&format!("{}/reactions/👍", path(&hers)), json!({})).await.expect_status(200);
    bob.put(&format!("/chats/{here}/read"), json!({ "seq": hers["seq"] })).await.expect_status(200);
    bob.leaves(left).await.expect_status(204);

    let export = exports(&bob).await;
    let of = |kind: &str| export.iter().filter(|line| line["type"] == kind).cloned().collect::<Vec<Value>>();
    let mut kinds: Vec<&str> = export.iter().map(|line| line["type"].as_str().expect("a type")).collect();
    kinds.dedup();
    assert_eq!(kinds, ["profile", "friendship", "block", "participation", "message", "edit", "reaction", "end"]);

    let mut profile = bob.get("/users/me").await.expect_status(200).body;
    profile["type"] = json!("profile");
    assert_eq!(of("profile"), [profile]);
    let [friendship] = &of("friendship")[..] else { panic!("one friendship: the block ended carol's request") };
    assert_eq!((&friendship["requesterId"], &friendship["addresseeId"]), (&json!(bob.id), &json!(alice.id)));
    assert!(friendship["acceptedAt"].is_string() && friendship["createdAt"].is_string());
    assert_eq!(of("block")[0]["userId"], json!(carol.id));

    let mut participations = of("participation");
    participations.sort_by_key(|line| line["chatId"] == json!(left));
    let [there, past] = &participations[..] else { panic!("two participations: {participations:?}") };
    assert_eq!((&there["chatId"], &there["chatName"], &there["lastReadSeq"]), (&json!(here), &json!("a group"), &hers["seq"]));
    assert_eq!((&past["chatId"], past.get("chatName"), past["leftAt"].is_string()), (&json!(left), None, true));
    assert_eq!((&there["role"], &there["chatType"], there.get("leftAt")), (&json!("member"), &json!("group"), None));

    let mut messages = of("message");
    messages.sort_by_key(|line| line["createdAt"].as_str().expect("a time").to_owned());
    let [one, two, three] = &messages[..] else { panic!("three messages: {messages:?}") };
    for field in ["id", "chatId", "seq", "rev", "kind", "text", "mentions", "replyToId", "attachmentUrl", "createdAt", "editedAt"]
    {
        assert_eq!(one[field], edited[field], "{field}");
    }
    assert!(two["text"] == "deleted" && two["deletedAt"].is_string(), "{two}");
    assert_eq!((&three["id"], &three["text"]), (&gone["id"], &json!("where bob is no longer")));
    let [edit] = &of("edit")[..] else { panic!("one earlier text") };
    assert_eq!((&edit["text"], &edit["messageId"], &edit["rev"]), (&first["text"], &first["id"], &first["rev"]));
    assert_eq!(edit["mentions"], json!([alice.id]));
    let [reaction] = &of("reaction")[..] else { panic!("one reaction") };
    assert_eq!((&reaction["emoji"], &reaction["messageId"]), (&json!("👍"), &hers["id"]));
    assert_eq!(export.last(), Some(&json!({ "type": "end" })));

    let told = Value::Array(export).to_string();
    for hidden in ["what alice said", "\"displayName\":\"alice\"", "carol\""] {
        assert!(!told.contains(hidden), "nothing of others: {hidden}");
    }
    assert_eq!(exports(&alice).await.iter().filter(|line| line["type"] == "message").count(), 1, "alice's is her own");
}

#[tokio::test]
async fn who_has_said_nothing_exports_a_profile() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let export = exports(&alice).await;
    assert_eq!((export.len(), &export[0]["id"], &export[1]), (2, &json!(alice.id), &json!({ "type": "end" })));
    server.service().get("/users/me/export").await.problem(404, "token_is_nobodys");
    server.anon().get("/users/me/export").await.problem(403, "not_allowed");
    server.nobody().get("/users/me/export").await.problem(401, "token_missing");
}
