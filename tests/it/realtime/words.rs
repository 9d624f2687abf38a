//! What other protocols say, in the words of the WebSocket at `/ws`, so that the same judge hears all of them: messages, participants, chats
//! that are gone, subscriptions that begin or are refused. What has no such words is nothing.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// A change of a row, as `postgres_changes` says it on the wire (`type`, `record`, `old_record`) and to who listens to supabase-js
/// (`eventType`, `new`, `old`).
pub fn of_row(change: &Value) -> Option<Value> {
    let either = |one: &str, other: &str| change.get(one).or(change.get(other)).filter(|row| row.is_object());
    let action = change.get("type").or(change.get("eventType"))?.as_str()?;
    let row = if action == "DELETE" { either("old_record", "old")? } else { either("record", "new")? };
    let table = change["table"].as_str()?;
    let kind = match (table, action) {
        ("messages", "INSERT") => "message.created",
        ("messages", "UPDATE") => "message.updated",
        ("messages", "DELETE") => "message.deleted",
        ("participants" | "chat_participants", "INSERT") => "participant.joined",
        ("participants" | "chat_participants", "UPDATE") => "participant.updated",
        ("participants" | "chat_participants", "DELETE") => "participant.left",
        ("chats", "INSERT") => "chat.created",
        ("chats", "UPDATE") => "chat.updated",
        ("chats", "DELETE") => "chat.deleted",
        _ => return None,
    };
    let chat = if table == "chats" { &row["id"] } else { &row["chat_id"] };
    let payload: Map<String, Value> = row.as_object()?.iter().map(|(name, value)| (camel(name), value.clone())).collect();
    Some(json!({ "type": kind, "chatId": chat, "rev": row["rev"], "payload": payload }))
}

/// An event of a channel of Pusher's.
pub fn of_event(event: &str, data: &Value) -> Option<Value> {
    let (kind, chat, payload) = match event {
        "room-message" | "message-updated" => {
            let message = &data["message"];
            let at = i128::from(message["timestamp"].as_i64()?) * 1_000_000;
            let at = OffsetDateTime::from_unix_timestamp_nanos(at).ok()?.format(&Rfc3339).ok()?;
            let kind = if event == "room-message" { "message.created" } else { "message.updated" };
            let payload = json!({ "id": message["id"], "text": message["content"], "createdAt": at });
            (kind, &data["roomId"], payload)
        }
        "message-deleted" => ("message.deleted", &data["roomId"], json!({ "id": data["messageId"] })),
        "room-created" => ("chat.created", &data["room"]["id"], data["room"].clone()),
        "room-updated" => ("chat.updated", &data["room"]["id"], data["room"].clone()),
        "room-deleted" => ("chat.deleted", &data["roomId"], json!({ "id": data["roomId"] })),
        // in a room's channel, of that room
        "rooms-updated" => ("resync", &data["rooms"][0]["id"], json!({ "chatId": data["rooms"][0]["id"] })),
        _ => return None,
    };
    Some(json!({ "type": kind, "chatId": chat, "payload": payload }))
}

/// What Supabase's server says of itself: the only news is that a chat, or all, is to be listed anew.
pub fn of_system(payload: &Value) -> Option<Value> {
    let chat = Some(&payload["chat_id"]).filter(|chat| **chat != "*");
    (payload["extension"] == "resync")
        .then(|| json!({ "type": "resync", "chatId": chat, "payload": { "chatId": payload["chat_id"] } }))
}

/// That a subscription began.
pub fn begun(chat: Option<Uuid>) -> Value {
    json!({ "type": "ack", "chatId": chat, "payload": {} })
}

/// That a subscription is refused, or ends for now: why.
pub fn refused(chat: Option<Uuid>, code: &Value, message: &Value) -> Value {
    json!({ "type": "error", "chatId": chat, "payload": { "code": code, "message": message } })
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, rest) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + rest
    })
}
