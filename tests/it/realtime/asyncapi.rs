//! The AsyncAPI document: whole, the one that is committed, and true of the frames that go over the wire.

mod contract;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem_openapi::types::{ParseFromYAML as _, ToJSON as _};
use serde_json::{Value, json};
use tabletalk::app::asyncapi::Document;
use tokio::process::Command;
use uuid::Uuid;

use self::contract::{Contract, document};
use super::native::OPEN_LOBBY;
use super::sse::open;
use crate::support::stream::Events;
use crate::support::{Person, Socket, TestServer, demanding, eventually};

/// The committed document, and the page for people.
const COMMITTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/asyncapi.yaml"));
const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/live.md"));

#[test]
fn the_committed_document_is_the_one_that_the_code_generates() {
    let generated = tabletalk::cli::asyncapi().expect("a document");
    assert!(COMMITTED == generated, "run: cargo run -- asyncapi > openapi/asyncapi.yaml");
}

#[tokio::test]
async fn the_served_document_is_the_committed_one() {
    let server = TestServer::start().await;
    let served = server.nobody().get("/asyncapi.json").await.expect_status(200);
    assert_eq!(served.headers["content-type"], "application/json");
    let committed = Document::parse_from_yaml_string(COMMITTED).unwrap_or_else(|error| panic!("{}", error.into_message()));
    assert_eq!(served.body, committed.to_json().expect("a document"));
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut used = HashSet::new();
    walk(&document, "#", &mut |_, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
            used.insert(reference.to_owned());
        }
    });
    for (kind, components) in document["components"].as_object().expect("components") {
        for name in components.as_object().expect("components").keys() {
            assert!(used.contains(&format!("#/components/{kind}/{name}")), "{kind}: {name}");
        }
    }
}

#[test]
fn operations_say_and_hear_what_goes_through_their_channel_and_leave_nothing_out() {
    let document = document();
    let mut done = HashSet::new();
    for (name, operation) in document["operations"].as_object().expect("operations") {
        for says in [operation, &operation["reply"]].into_iter().filter(|says| !says.is_null()) {
            let channel = says["channel"]["$ref"].as_str().expect("a channel");
            for message in says["messages"].as_array().expect("messages") {
                let message = message["$ref"].as_str().expect("a reference").to_owned();
                assert!(message.starts_with(&format!("{channel}/messages/")), "{name}: {message}");
                done.insert(message);
            }
        }
    }
    for (channel, its) in document["channels"].as_object().expect("channels") {
        for message in its["messages"].as_object().expect("messages").keys() {
            assert!(done.contains(&format!("#/channels/{channel}/messages/{message}")), "{channel}: {message}");
        }
    }
}

#[test]
fn whatever_is_said_of_a_frame_is_described_and_has_a_value() {
    let document = document();
    walk(&document, "#", &mut |place, value| {
        assert!(!value.is_null() && value.get("nullable").is_none(), "{place}");
        let is_described = |value: &Value| value["description"].as_str().is_some_and(|text| !text.trim().is_empty());
        if place.starts_with("#/components/schemas/") && place.matches('/').count() == 3 {
            assert!(is_described(value), "{place}");
        }
        let is_model = place.starts_with("#/components") && value["type"] == "object";
        for (name, property) in value["properties"].as_object().into_iter().flatten().filter(|_| is_model) {
            let says_itself = property.get("const").is_some() || property.get("$ref").is_some();
            assert!(says_itself || is_described(property), "{place}: {name}");
        }
    });
    for (name, message) in document["components"]["messages"].as_object().expect("messages") {
        assert!(message["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

#[test]
fn the_page_for_people_names_every_frame_and_every_code() {
    let document = document();
    for (_, message) in document["components"]["messages"].as_object().expect("messages") {
        let name = message["name"].as_str().expect("a name");
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
    for close in document["channels"]["socket"]["x-close-codes"].as_array().expect("codes") {
        assert!(PAGE.contains(&format!("| {} | {} |", close["code"], close["because"].as_str().expect("why"))), "{close}");
    }
}

#[tokio::test]
async fn the_tools_of_asyncapi_read_the_document_and_find_nothing_wrong() {
    if !demanding() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/asyncapi");
    fs::create_dir_all(&folder).expect("a folder");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/realtime/asyncapi");
    for file in ["package.json", "package-lock.json", ".npmrc", "parse.js"] {
        fs::copy(ours.join(file), folder.join(file)).expect(file);
    }
    fs::write(folder.join("asyncapi.yaml"), COMMITTED).expect("a document");
    let commands = "npm ci --silent --ignore-scripts && node parse.js";
    let output = Command::new("sh").args(["-e", "-c", commands]).current_dir(&folder).output().await.expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    let operations = document()["operations"].as_object().expect("operations").len();
    assert_eq!(said, format!("{operations} operations\n"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_frame_is_what_the_document_says_and_none_is_only_in_one_of_them() {
    let server = TestServer::start().await;
    let mut contract = Contract::new();
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let mut hers = contract.socket(&alice).await;
    let begun = contract.asks(&mut hers, json!({ "type": "subscribe", "chatId": chat })).await["payload"]["headRev"].clone();

    let mut doors = Doors::open(&mut contract, &bob, chat).await;
    things_happen(&mut contract, &mut hers, &mut doors, chat, &[&alice, &bob, &carol]).await;

    // what was missed is told in the same words
    let mut later = contract.socket(&alice).await;
    contract.asks(&mut later, json!({ "type": "subscribe", "chatId": chat, "since": begun })).await;
    contract.hears(&mut later, "participant.left", chat).await;
    let elsewhere = URL_SAFE_NO_PAD.encode("0123456789abcdef;5:9:");
    contract.asks(&mut later, json!({ "type": "subscribe", "chatId": "*", "since": elsewhere })).await;
    assert_eq!(contract.hears(&mut later, "resync", chat).await["payload"], json!({ "chatId": "*" }));
    assert!(contract.hears(&mut later, "resync", chat).await["payload"]["headRev"].is_i64());
    let mut of_all = open(&alice, "/stream", Some(&elsewhere)).await;
    contract.streams("stream", &mut of_all, "position", chat).await;

    let owner = server.database.db_owner().await;
    owner.batch_execute(OPEN_LOBBY).await.expect(OPEN_LOBBY);
    eventually("there is a lobby", async || Socket::of(&bob).await.hello["lobby"].is_string()).await;
    let mut lobby = contract.socket(&bob).await;
    contract.asks(&mut lobby, json!({ "type": "message.create", "payload": { "content": "hello?" } })).await;
    assert_eq!(contract.socket(&alice).await.hello["messages"][0]["content"], "hello?");

    a_token_ends(&mut contract, &server, &alice).await;
    contract.is_whole();
}

/// Whatever can happen in a chat that somebody listens to, one after the other: what is not told yet is told as it is then.
async fn things_happen(
    contract: &mut Contract,
    hers: &mut Socket,
    doors: &mut Doors,
    chat: Uuid,
    [alice, bob, carol]: &[&Person; 3],
) {
    let said = json!({ "type": "message.create", "chatId": chat, "ref": 7, "payload": { "content": "hello" } });
    let said = contract.asks(hers, said).await["payload"]["id"].as_str().expect("an id").to_owned();
    doors.hear(contract, "message.created", chat).await;
    bob.put(&format!("/chats/{chat}/messages/{said}/reactions/👍"), json!({})).await.expect_status(200);
    doors.hear(contract, "message.updated", chat).await;
    let answer = json!({ "text": "yes?", "replyToId": said, "id": Uuid::now_v7(), "mentions": [bob.id] });
    contract.asks(hers, json!({ "type": "message.create", "payload": answer, "chatId": chat })).await;
    doors.hear(contract, "message.created", chat).await;
    let edit = json!({ "type": "message.update", "payload": { "chatId": chat, "id": said, "text": "hello all" } });
    contract.asks(hers, edit).await;
    contract.asks(hers, json!({ "type": "read", "chatId": chat, "payload": { "seq": 3 } })).await;
    let blank = json!({ "type": "message.create", "chatId": chat, "payload": { "text": " " } });
    assert_eq!(contract.asks(hers, blank).await["type"], "error");
    hers.say_text(r#"{"type":"nonsense"}"#).await;
    contract.hears(hers, "error", chat).await;
    contract.asks(hers, json!({ "type": "ping" })).await;
    doors.hear(contract, "read", chat).await;
    contract.asks(hers, json!({ "type": "typing", "chatId": chat })).await;
    contract.asks(hers, json!({ "type": "typing", "payload": { "chatId": chat, "isTyping": false } })).await;
    doors.hear(contract, "typing", chat).await;
    contract.asks(hers, json!({ "type": "presence", "payload": { "status": "away" } })).await;
    doors.hear(contract, "presence", chat).await;
    for said in [json!({ "event": "cursor", "payload": { "x": 1 } }), json!({ "event": "ink", "bytes": "AP8=" })] {
        contract.asks(hers, json!({ "type": "broadcast", "chatId": chat, "payload": said })).await;
        doors.hear(contract, "broadcast", chat).await;
    }
    contract.asks(hers, json!({ "type": "message.delete", "chatId": chat, "payload": { "id": said } })).await;
    // who sees deleted messages is told which, everybody else that one is gone
    assert!(contract.hears(hers, "message.deleted", chat).await["payload"]["deletedAt"].is_string());
    doors.hear(contract, "message.deleted", chat).await;
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "walkers", "topic": "walks" })).await.expect_status(200);
    doors.hear(contract, "chat.updated", chat).await;
    alice.adds(chat, carol, "moderator").await.expect_status(200);
    doors.hear(contract, "participant.updated", chat).await;
    alice.removes(chat, carol).await.expect_status(204);
    doors.hear(contract, "participant.left", chat).await;
    alice.adds(chat, carol, "member").await.one_of(&[200, 201]);
    doors.hear(contract, "participant.joined", chat).await;
    alice.adds(chat, bob, "moderator").await.expect_status(200);
    doors.hear(contract, "resync", chat).await;
    alice.removes(chat, bob).await.expect_status(204);
    doors.hear(contract, "chat.deleted", chat).await;
    let another = alice.group_with(&[bob]).await;
    contract.hears(&mut doors.all, "chat.created", another).await;
    contract.streams("stream", &mut doors.of_all, "chat.created", another).await;
    contract.asks(hers, json!({ "type": "unsubscribe", "chatId": chat })).await;
}

/// All doors through which somebody may be told of a chat.
struct Doors {
    one: Socket,
    all: Socket,
    of_chat: Events,
    of_all: Events,
}

impl Doors {
    async fn open(contract: &mut Contract, person: &Person, chat: Uuid) -> Self {
        let mut one = contract.socket(person).await;
        contract.asks(&mut one, json!({ "type": "subscribe", "payload": { "chatId": chat, "since": 1 } })).await;
        let mut all = contract.socket(person).await;
        contract.asks(&mut all, json!({ "type": "subscribe", "chatId": "*" })).await;
        let mut of_chat = open(person, &format!("/chats/{chat}/stream"), None).await;
        contract.streams("chatStream", &mut of_chat, "subscribed", chat).await;
        let mut of_all = open(person, "/stream", None).await;
        contract.streams("stream", &mut of_all, "position", chat).await;
        Self { one, all, of_chat, of_all }
    }

    /// Hears this at each of them.
    async fn hear(&mut self, contract: &mut Contract, kind: &str, chat: Uuid) {
        contract.hears(&mut self.one, kind, chat).await;
        contract.hears(&mut self.all, kind, chat).await;
        contract.streams("chatStream", &mut self.of_chat, kind, chat).await;
        contract.streams("stream", &mut self.of_all, kind, chat).await;
    }
}

async fn a_token_ends(contract: &mut Contract, server: &TestServer, alice: &Person) {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    // 30 s of other people's clocks are granted beyond it
    let short = server.bearer_of("alice", json!({ "sub": alice.id, "role": "authenticated", "exp": now - 30 + 20 }));
    let mut socket = contract.socket(&short).await;
    contract.hears(&mut socket, "token.expiring", Uuid::nil()).await;
    contract.asks(&mut socket, json!({ "type": "token", "payload": { "token": alice.token() } })).await;
}

impl Contract {
    /// A socket, past its greeting.
    async fn socket(&mut self, person: &Person) -> Socket {
        let socket = Socket::of(person).await.heeding();
        self.hear("socket", &socket.greeting);
        socket
    }

    /// Asks, with a frame that is in the document.
    async fn asks(&mut self, socket: &mut Socket, frame: Value) -> Value {
        self.say(&frame);
        let answer = socket.ask(frame).await;
        self.hear("socket", &answer);
        answer
    }

    /// Hears what comes until a frame of this type, of this chat if it is of one.
    async fn hears(&mut self, socket: &mut Socket, last: &str, chat: Uuid) -> Value {
        loop {
            let frame = socket.next().await;
            self.hear("socket", &frame);
            if is_last(&frame, last, chat) {
                return frame;
            }
        }
    }

    /// The same of a stream.
    async fn streams(&mut self, door: &str, events: &mut Events, last: &str, chat: Uuid) {
        loop {
            let (name, _, frame) = events.happened().await.expect("an event");
            assert_eq!(frame["type"], name, "an event is called after its frame");
            self.hear(door, &frame);
            if is_last(&frame, last, chat) {
                return;
            }
        }
    }
}

fn is_last(frame: &Value, kind: &str, chat: Uuid) -> bool {
    frame["type"] == kind && (frame.get("chatId").is_none() || frame["chatId"] == json!(chat))
}

/// Every value in a document with its place in it.
fn walk<'a>(value: &'a Value, place: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(place, value);
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| walk(value, &format!("{place}/{key}"), visit)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| walk(value, &format!("{place}/{n}"), visit)),
        _ => {}
    }
}
