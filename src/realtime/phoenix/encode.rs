//! What a client is told, written. Pure.

use serde_json::{Value, json};
use uuid::Uuid;

use super::frames::{PREFIX, Version};
use super::presence;
use crate::realtime::asides::{Aside, Content, What};
use crate::realtime::batch::Encoding;
use crate::realtime::channels::Out;

/// The first byte of a broadcast that the server sends.
const BROADCAST: u8 = 4;
/// What stands before a broadcast's payload.
const BYTES: u8 = 0;

/// Who asked, and is answered.
#[derive(Clone, Default)]
pub struct Asker {
    pub topic: String,
    pub join_ref: Option<String>,
    pub reference: Option<String>,
}

/// The answer to what somebody asked.
pub fn reply(version: Version, asker: &Asker, answer: Result<Value, String>) -> String {
    let (status, response) = match answer {
        Ok(response) => ("ok", response),
        Err(reason) => ("error", json!({ "reason": reason })),
    };
    let payload = json!({ "status": status, "response": response });
    frame(version, asker, "phx_reply", &payload.to_string())
}

/// What ends a channel: `phx_close` for good, `phx_error` until the client joins anew, which it does by itself.
pub fn end(version: Version, topic: &str, join_ref: Option<&str>, event: &str) -> String {
    let join_ref = join_ref.map(str::to_owned);
    let asker = Asker { topic: topic.to_owned(), reference: join_ref.clone(), join_ref };
    frame(version, &asker, event, "{}")
}

/// Something that nobody asked for.
pub fn push(version: Version, topic: &str, event: &str, payload: &str) -> String {
    frame(version, &Asker { topic: topic.to_owned(), ..Asker::default() }, event, payload)
}

/// What `system` says of a channel.
pub fn system(version: Version, topic: &str, extension: &str, is_ok: bool, message: &str) -> String {
    let status = if is_ok { "ok" } else { "error" };
    let channel = topic.strip_prefix(PREFIX).unwrap_or(topic);
    let payload = json!({ "message": message, "status": status, "extension": extension, "channel": channel });
    push(version, topic, "system", &payload.to_string())
}

/// What a client may see of a chat has changed, or of all: it is to list anew.
pub fn resync(version: Version, topic: &str, chat: Option<Uuid>) -> String {
    let payload = json!({
        "message": "Resync: what may be seen here has changed, list it anew",
        "status": "ok",
        "extension": "resync",
        "channel": topic.strip_prefix(PREFIX).unwrap_or(topic),
        "chat_id": chat.map_or_else(|| "*".to_owned(), |chat| chat.to_string()),
    });
    push(version, topic, "system", &payload.to_string())
}

/// A row that changed: which of the client's bindings it is for, under which names, and the rest, which all share who know it by them.
pub fn change(version: Version, topic: &str, ids: &[u64], schema: &str, table: &str, data: &str) -> String {
    let mut payload = json!({ "ids": ids }).to_string();
    payload.pop();
    payload.push_str(",\"data\":");
    let mut names = json!({ "schema": schema, "table": table }).to_string();
    names.pop();
    payload.push_str(&names);
    payload.push(',');
    payload.push_str(data.strip_prefix('{').unwrap_or(data));
    payload.push('}');
    push(version, topic, "postgres_changes", &payload)
}

/// Something that stands in no log, as those hear it who hear what people say of themselves. None: there are no words for it, or not in this
/// version. What is the same for all who hear it is made once.
pub fn aside(version: Version, topic: &str, aside: &Aside, hears_presence: bool) -> Option<Out> {
    let (event, payload) = match &aside.what {
        What::Broadcast { event, content: Content::Bytes(bytes), .. } => {
            return broadcast_bytes(version, topic, event, bytes).map(Out::Binary);
        }
        What::Broadcast { event, content: Content::Json(payload), .. } => {
            let say = |_: &Aside| json!({ "type": "broadcast", "event": event, "payload": payload }).to_string();
            ("broadcast", aside.encoding(Encoding::Supabase, say))
        }
        What::Tracked { joins, leaves, .. } if hears_presence => {
            ("presence_diff", aside.encoding(Encoding::Supabase, |_| presence::diff(joins, leaves)))
        }
        _ => return None,
    };
    Some(Out::Text(push(version, topic, event, payload)))
}

/// A broadcast of bytes, which the first version cannot carry: `4`, the lengths of topic, event and metadata, 0 for bytes, those, the payload.
fn broadcast_bytes(version: Version, topic: &str, event: &str, payload: &[u8]) -> Option<Vec<u8>> {
    if version == Version::One {
        return None;
    }
    let mut frame = vec![BROADCAST, u8::try_from(topic.len()).ok()?, u8::try_from(event.len()).ok()?, 0, BYTES];
    for part in [topic.as_bytes(), event.as_bytes(), payload] {
        frame.extend_from_slice(part);
    }
    Some(frame)
}

fn frame(version: Version, asker: &Asker, event: &str, payload: &str) -> String {
    let Asker { topic, join_ref, reference } = asker;
    let text = |value: &str| Value::from(value).to_string();
    let some = |value: &Option<String>| value.as_deref().map_or_else(|| "null".to_owned(), text);
    let (topic, event, reference) = (text(topic), text(event), some(reference));
    match version {
        Version::One => format!("{{\"topic\":{topic},\"event\":{event},\"payload\":{payload},\"ref\":{reference}}}"),
        Version::Two => format!("[{},{reference},{topic},{event},{payload}]", some(join_ref)),
    }
}

#[cfg(test)]
mod tests;
