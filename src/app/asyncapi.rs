//! The AsyncAPI document: every frame of the WebSocket and of the server-sent events, from the tables of [`crate::realtime::native::frames`].
//!
//! Schemas of the API's own shapes are those of the OpenAPI document, said as JSON Schema.

mod schemas;

use poem_openapi::Object;
use poem_openapi::types::{Any, ToJSON as _, ToYAML as _};
use serde_json::{Map, Value, json};

use self::schemas::Schemas;
use crate::realtime::native::close;
use crate::realtime::native::frames::client::{ALL, BESIDE, CLIENT_FRAMES, REFERENCE_MAX};
use crate::realtime::native::frames::server::{Kind, SERVER_FRAMES};
use crate::realtime::native::frames::spec::{Beside, ClientSpec, Door, ServerSpec};

const HEAD: &str = "# Generated from the types of src/realtime/native/frames by `just generate`. Do not edit.\n";

const DESCRIPTION: &str = "What is committed is told to everybody who may read it, in order and without a gap, over a WebSocket and as \
server-sent events. How to follow a chat, and what revisions, positions and epochs are for, is in `live.md`; the API that frames stand \
for is in `openapi.json`. Answers may get more fields.";

/// An AsyncAPI document (3.0).
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Document {
    asyncapi: String,
    info: Any<Value>,
    default_content_type: String,
    channels: Any<Value>,
    operations: Any<Value>,
    components: Any<Value>,
}

impl Document {
    /// The document, beside the OpenAPI document that it takes the API's shapes from.
    pub fn beside(openapi: &Value) -> Self {
        let mut schemas = Schemas::beside(openapi);
        let mut messages = Map::new();
        for frame in CLIENT_FRAMES {
            messages.insert(client_key(frame), client_message(frame, &mut schemas));
        }
        for frame in SERVER_FRAMES {
            messages.insert(server_key(frame.name), server_message(frame, &mut schemas));
        }
        Self {
            asyncapi: "3.0.0".to_owned(),
            info: Any(json!({
                "title": "Tabletalk, live",
                "version": env!("CARGO_PKG_VERSION"),
                "description": DESCRIPTION,
                "license": { "name": "MIT OR Apache-2.0" },
            })),
            default_content_type: "application/json".to_owned(),
            channels: Any(channels()),
            operations: Any(operations()),
            components: Any(json!({
                "messages": messages,
                "schemas": schemas.used(),
                "correlationIds": { "ref": { "location": "$message.payload#/ref", "description": "The answer to a frame bears its `ref`." } },
                "securitySchemes": {
                    "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                    "token": { "type": "httpApiKey", "in": "query", "name": "token", "description": "For browsers: they set no header." },
                },
            })),
        }
    }

    /// As JSON, with a line break at its end.
    pub fn json(&self) -> String {
        let document = self.to_json().unwrap_or_default();
        format!("{document:#}\n")
    }

    /// As YAML, to be read and committed.
    pub fn yaml(&self) -> String {
        HEAD.to_owned() + &self.to_yaml_string()
    }
}

fn client_key(frame: &ClientSpec) -> String {
    format!("client.{}", frame.key)
}

fn server_key(name: &str) -> String {
    format!("server.{name}")
}

/// The description of a frame, without the line breaks of its comment.
fn words(description: &str) -> String {
    description.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn message(name: &str, description: &str, has_reference: bool, payload: Value) -> Value {
    let mut message = json!({ "name": name, "description": words(description), "payload": payload });
    if has_reference {
        message["correlationId"] = json!({ "$ref": "#/components/correlationIds/ref" });
    }
    message
}

fn server_message(frame: &ServerSpec, schemas: &mut Schemas) -> Value {
    let mut required = vec!["type"];
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({ "type": "string", "const": frame.name }));
    for beside in [Beside::Chat, Beside::Rev, Beside::Reference] {
        if !frame.always.contains(&beside) && !frame.sometimes.contains(&beside) {
            continue;
        }
        let (name, schema) = match beside {
            Beside::Chat => ("chatId", json!({ "type": "string", "format": "uuid", "description": "The chat." })),
            Beside::Rev => {
                let description = "Its place in the chat: the highest one is named as `since` when one comes back.";
                ("rev", json!({ "type": "integer", "format": "int64", "description": description }))
            }
            Beside::Reference => {
                ("ref", json!({ "type": "string", "description": "That of the frame which it answers, if that had one." }))
            }
        };
        properties.insert(name.to_owned(), schema);
        if frame.always.contains(&beside) {
            required.push(name);
        }
    }
    properties.insert("payload".to_owned(), schemas.of_server(frame));
    required.push("payload");
    let has_reference = frame.sometimes.contains(&Beside::Reference);
    let payload = json!({ "type": "object", "required": required, "properties": properties });
    message(frame.name, frame.description, has_reference, payload)
}

fn client_message(frame: &ClientSpec, schemas: &mut Schemas) -> Value {
    let (reference, whole) = schemas.of_client(frame);
    let is_required =
        |name: &str| whole["required"].as_array().is_some_and(|required| required.iter().any(|field| field == name));
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({ "type": "string", "const": frame.name }));
    let description = "Comes back, as a text, with what answers the frame.";
    properties.insert(
        "ref".to_owned(),
        json!({ "type": ["string", "number"], "maxLength": REFERENCE_MAX, "description": description }),
    );
    let beside = BESIDE.iter().filter_map(|name| Some((*name, whole["properties"].get(*name)?.clone())));
    let beside: Vec<(&str, Value)> = beside.collect();
    properties.extend(beside.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
    properties.insert("payload".to_owned(), reference);
    let mut payload = json!({ "type": "object", "required": ["type"], "properties": properties });
    let is_needed = whole["required"].as_array().into_iter().flatten().any(|name| !BESIDE.iter().any(|beside| name == beside));
    if is_needed || whole.get("anyOf").is_some() {
        payload["required"] = json!(["type", "payload"]);
    }
    // beside the payload or in it
    let required: Vec<&str> = beside.iter().map(|(name, _)| *name).filter(|name| is_required(name)).collect();
    if !required.is_empty() {
        let inside = json!({ "required": ["payload"], "properties": { "payload": { "required": required } } });
        payload["anyOf"] = json!([{ "required": required }, inside]);
    }
    message(frame.name, frame.description, true, payload)
}

fn names_of(frames: impl Iterator<Item = String>) -> Map<String, Value> {
    frames.map(|key| (key.clone(), json!({ "$ref": format!("#/components/messages/{key}") }))).collect()
}

/// The server's frames that go through a door.
fn told_at(door: Door) -> impl Iterator<Item = &'static ServerSpec> {
    SERVER_FRAMES.iter().filter(move |frame| frame.doors.contains(&door))
}

fn channels() -> Value {
    let told = |door| names_of(told_at(door).map(|frame| server_key(frame.name)));
    let mut socket = names_of(CLIENT_FRAMES.iter().map(client_key));
    socket.extend(told(Door::Socket));
    let closes: Vec<Value> =
        close::ALL.iter().map(|(code, why, back)| json!({ "code": code, "because": why, "comeBack": back })).collect();
    json!({
        "socket": {
            "address": "/ws",
            "title": "WebSocket",
            "description": format!(
                "Frames are JSON texts of at most 1 MiB, both ways. What stands beside a client's payload may stand in it as well. A client may \
                 listen to 5,000 chats and send 50 frames a second, 100 at once. It is pinged every 25 s. `{ALL}` stands for all chats. \
                 `x-close-codes` says why the server closes a socket, and how to come back."
            ),
            "messages": socket,
            "bindings": { "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": { "token": { "type": "string", "description": "The token, where it is in no header." } },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": { "type": "string", "description": "`Bearer`, and the token." },
                        "Sec-WebSocket-Protocol": { "type": "string", "description": "For browsers: `bearer`, and the token as the next protocol." },
                    },
                },
                "bindingVersion": "0.1.0",
            } },
            "x-close-codes": closes,
        },
        "stream": {
            "address": "/stream",
            "title": "Server-sent events of all chats",
            "description": "An event is called after the frame's type, and its data is the frame. Its id is the position at which the stream began: \
                            with it as `Last-Event-ID` what was told since comes again. A comment every 15 s says that the server is there.",
            "messages": told(Door::Stream),
        },
        "chatStream": {
            "address": "/chats/{chatId}/stream",
            "title": "Server-sent events of one chat",
            "description": "An event is called after the frame's type, and its data is the frame. Its id is the `rev` with the epoch, where there is \
                            one: with it as `Last-Event-ID` the stream goes on behind it. After `chat.deleted` it ends.",
            "parameters": { "chatId": { "description": "The chat." } },
            "messages": told(Door::ChatStream),
        },
    })
}

fn operations() -> Value {
    let channel = |name: &str| json!({ "$ref": format!("#/channels/{name}") });
    let message = |channel: &str, key: &str| json!({ "$ref": format!("#/channels/{channel}/messages/{key}") });
    let security = json!([
        { "$ref": "#/components/securitySchemes/bearer" },
        { "$ref": "#/components/securitySchemes/token" },
    ]);
    let mut operations = Map::new();
    for frame in CLIENT_FRAMES {
        let answers = [frame.answer, Kind::Error.as_str()].map(|name| message("socket", &server_key(name)));
        let operation = json!({
            "action": "receive",
            "channel": channel("socket"),
            "summary": words(frame.description),
            "messages": [message("socket", &client_key(frame))],
            "reply": { "channel": channel("socket"), "messages": answers },
            "security": security,
        });
        operations.insert(client_key(frame), operation);
    }
    for (name, of, door, summary) in [
        ("socket.tell", "socket", Door::Socket, "Tell what happens in the chats that are listened to"),
        ("stream.tell", "stream", Door::Stream, "Tell what happens in all of one's chats"),
        ("chatStream.tell", "chatStream", Door::ChatStream, "Tell what happens in one chat"),
    ] {
        let unasked = told_at(door).filter(|frame| !frame.sometimes.contains(&Beside::Reference));
        let messages: Vec<Value> = unasked.map(|frame| message(of, &server_key(frame.name))).collect();
        let mut operation =
            json!({ "action": "send", "channel": channel(of), "summary": summary, "messages": messages, "security": security });
        if door != Door::Socket {
            let since = "Where to go on from: the id of an event. The header `Last-Event-ID`, which browsers set by themselves, says the same.";
            let query = json!({ "type": "object", "properties": { "since": { "type": "string", "description": since } } });
            operation["bindings"] = json!({ "http": { "method": "GET", "query": query, "bindingVersion": "0.3.0" } });
        }
        operations.insert(name.to_owned(), operation);
    }
    Value::Object(operations)
}
