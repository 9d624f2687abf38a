//! Supabase Realtime: what its clients see, with supabase-js itself, and on the wire where it does not show what came.

mod doors;
mod expiry;
mod presence;
mod resume;
mod rows;
mod subscriptions;
mod talk;
mod wire;

use serde_json::{Value, json};
use uuid::Uuid;

/// Every change of a table's rows, of one chat.
pub fn rows_of(table: &str, chat: Uuid) -> Value {
    let column = if table == "chats" { "id" } else { "chat_id" };
    changes(json!({ "table": table, "filter": format!("{column}=eq.{chat}") }))
}

/// A binding: of every event and of schema public, where it says nothing else.
pub fn changes(more: Value) -> Value {
    let mut binding = json!({ "event": "*", "schema": "public" });
    binding.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    binding
}

/// The name of a chat's channel.
pub fn channel(chat: Uuid) -> String {
    format!("chat:{chat}")
}
