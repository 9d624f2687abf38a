//! The contract with clients: what breaks those that were made of an earlier document is declared in `openapi/breaking-changes.md`,
//! or does not happen.

mod compare;

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::document::document;
use compare::breaking;

const DOCUMENT: &str = "openapi/openapi.json";
const DECLARED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/breaking-changes.md"));

#[test]
fn a_change_that_breaks_clients_is_declared() {
    let Some(earlier) = earlier() else {
        // a copy without its history: nothing that could be installed would bring it back
        return println!("the document has no history here to be compared with");
    };
    let declared: BTreeSet<&str> = DECLARED.lines().filter_map(|line| line.strip_prefix("* ")).collect();
    let found = breaking(&earlier, &document());
    let undeclared: Vec<String> =
        found.into_iter().filter(|what| !declared.contains(what.as_str())).map(|what| format!("* {what}")).collect();
    assert!(
        undeclared.is_empty(),
        "this breaks clients; if it has to be, declare it in openapi/breaking-changes.md:\n{}",
        undeclared.join("\n")
    );
}

/// The document before: the last committed one, or where that is today's, the one before the commit that made it so.
fn earlier() -> Option<Value> {
    let read = |revision: &str| Some(serde_json::from_str(&git(&["show", &format!("{revision}:{DOCUMENT}")])?).expect("JSON"));
    let committed: Value = read("HEAD")?;
    if committed != document() {
        return Some(committed);
    }
    let last = git(&["log", "--first-parent", "-1", "--format=%H", "--", DOCUMENT])?;
    read(&format!("{}^1", last.trim()))
}

fn git(arguments: &[&str]) -> Option<String> {
    // whose the folder is does not matter for reading it
    let output = Command::new("git")
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
}

/// What breaks when the document is edited so.
fn after(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    let (old, mut new) = (document(), document());
    edit(&mut new);
    assert_ne!(old, new, "the edit changes nothing");
    breaking(&old, &new).into_iter().collect()
}

/// What breaks when the document is edited the other way round.
fn before(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    let (mut old, new) = (document(), document());
    edit(&mut old);
    assert_ne!(old, new, "the edit changes nothing");
    breaking(&old, &new).into_iter().collect()
}

fn model<'a>(document: &'a mut Value, name: &str) -> &'a mut Value {
    &mut document["components"]["schemas"][name]
}

fn remove(value: &mut Value, key: &str) {
    value.as_object_mut().expect("an object").remove(key).expect(key);
}

#[test]
fn the_same_document_breaks_nothing() {
    assert!(breaking(&document(), &document()).is_empty());
}

#[test]
fn what_clients_call_stays_what_it_is_called() {
    let path = "/chats/{chatId}/messages";
    assert_eq!(
        after(|d| remove(&mut d["paths"], path)),
        ["`GET /chats/{}/messages` is gone", "`POST /chats/{}/messages` is gone"]
    );
    let renamed = after(|d| d["paths"][path]["post"]["operationId"] = json!("say"));
    assert_eq!(renamed, [r#"`POST /chats/{}/messages` is called "say" instead of "sendMessage""#]);
    let moved = after(|d| d["paths"][path]["post"]["tags"] = json!(["chats"]));
    assert_eq!(moved, [r#"`POST /chats/{}/messages` is tagged ["chats"] instead of ["messages"]"#]);
    let model = |d: &mut Value| {
        let schema = d["components"]["schemas"]["NewMessage"].take();
        d["components"]["schemas"]["Words"] = schema;
        d["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"] =
            json!({ "$ref": "#/components/schemas/Words" });
    };
    assert_eq!(after(model), ["`NewMessage` is called `Words`"]);
}

#[test]
fn what_clients_send_is_taken_as_before() {
    let messages = "/chats/{chatId}/messages";
    let limit = |d: &mut Value, edit: &dyn Fn(&mut Value)| {
        let parameters = d["paths"][messages]["get"]["parameters"].as_array_mut().expect("parameters");
        edit(parameters.iter_mut().find(|parameter| parameter["name"] == "limit").expect("limit"));
    };
    assert_eq!(after(|d| limit(d, &|p| p["required"] = json!(true))), ["`GET /chats/{}/messages` requires `limit`"]);
    assert_eq!(
        after(|d| limit(d, &|p| p["name"] = json!("count"))),
        ["`GET /chats/{}/messages` has no `limit` in its query any more"]
    );
    assert_eq!(
        after(|d| limit(d, &|p| p["schema"]["maximum"] = json!(10))),
        ["`GET /chats/{}/messages limit` has a maximum of 10"]
    );
    assert_eq!(before(|d| limit(d, &|p| p["schema"]["maximum"] = json!(10))), [""; 0], "more is not less");
    assert_eq!(after(|d| model(d, "NewMessage")["required"] = json!(["text", "id"])), ["`NewMessage.id` is required"]);
    assert_eq!(before(|d| model(d, "NewMessage")["required"] = json!(["text", "id"])), [""; 0]);
    assert_eq!(after(|d| remove(&mut model(d, "NewMessage")["properties"], "mentions")), ["`NewMessage.mentions` is gone"]);
    assert_eq!(before(|d| remove(&mut model(d, "NewMessage")["properties"], "mentions")), [""; 0]);
    let mistyped = after(|d| model(d, "NewMessage")["properties"]["text"]["type"] = json!("integer"));
    assert_eq!(mistyped, ["`NewMessage.text` is of type integer instead of string"]);
    assert_eq!(
        after(|d| model(d, "NewChatType")["enum"] = json!(["direct", "group"])),
        ["`NewChatType` may not be room any more"]
    );
    assert_eq!(before(|d| model(d, "NewChatType")["enum"] = json!(["direct", "group"])), [""; 0]);
    let name = |d: &mut Value| remove(&mut model(d, "ChatUpdate")["properties"]["name"], "nullable");
    assert_eq!(after(name), ["`ChatUpdate.name` may not be null any more"]);
    assert_eq!(before(name), [""; 0]);
    assert_eq!(
        before(|d| remove(model(d, "ChatUpdate"), "additionalProperties")),
        ["`ChatUpdate` takes no other fields any more"]
    );
    let body = |d: &mut Value| remove(&mut d["paths"][messages]["post"], "requestBody");
    assert_eq!(before(body), ["`POST /chats/{}/messages` requires a body"]);
}

#[test]
fn what_clients_are_sent_is_understood_as_before() {
    let messages = "/chats/{chatId}/messages";
    assert_eq!(after(|d| remove(&mut model(d, "Message")["properties"], "rev")), ["`Message.rev` is gone"]);
    assert_eq!(before(|d| remove(&mut model(d, "Message")["properties"], "rev")), [""; 0], "a field more is no harm");
    let optional = |d: &mut Value| {
        model(d, "Message")["required"].as_array_mut().expect("fields").retain(|field| field != "text");
    };
    assert_eq!(after(optional), ["`Message.text` may be missing"]);
    assert_eq!(before(optional), [""; 0]);
    let null = |d: &mut Value| model(d, "Message")["properties"]["text"]["nullable"] = json!(true);
    assert_eq!(after(null), ["`Message.text` may be null"]);
    assert_eq!(before(null), [""; 0]);
    assert_eq!(before(|d| model(d, "MessageKind")["enum"] = json!(["user", "system"])), ["`MessageKind` may be assistant"]);
    let items = |d: &mut Value| model(d, "MessagePage")["properties"]["data"]["items"] = json!({ "type": "string" });
    assert_eq!(after(items), ["`Message` is of type string instead of object"]);
    let fewer = |d: &mut Value| remove(&mut d["paths"][messages]["post"]["responses"], "200");
    assert_eq!(after(fewer), ["`POST /chats/{}/messages` does not answer with 200 any more"]);
    assert_eq!(before(fewer), ["`POST /chats/{}/messages` answers with 200 as well"]);
    let header = |d: &mut Value| remove(&mut d["paths"][messages]["post"]["responses"]["201"]["headers"], "Location");
    assert_eq!(after(header), ["`POST /chats/{}/messages 201` has no Location any more"]);
    let refusal = |d: &mut Value| remove(&mut d["paths"][messages]["post"]["responses"], "409");
    assert_eq!(before(refusal), [""; 0], "one more way to fail is no harm");
}
