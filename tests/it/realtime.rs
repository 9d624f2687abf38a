//! Live: what is committed reaches everybody who may read it, whoever wrote it and through whatever process.

mod access;
mod asyncapi;
mod broadcasts;
mod circles;
mod conformance;
mod examples;
mod faults;
mod fleet;
mod follower;
mod histories;
mod idle;
mod line;
mod marks;
mod native;
mod presence;
mod pusher;
mod read;
mod shutdown;
mod silence;
mod slow;
mod sse;
mod states;
mod stock;
mod storm;
mod supabase;
mod talk;
mod told;
mod tongue;
mod typing;
mod words;

use serde_json::Value;
use uuid::Uuid;

use crate::support::{Person, Socket, TestServer};

/// A socket of somebody who listens to a chat.
pub async fn listening(person: &Person, chat: Uuid) -> Socket {
    let mut socket = Socket::of(person).await;
    socket.subscribe(chat).await;
    socket
}

/// The same, who heeds as well what stands in no log.
pub async fn heeding(person: &Person, chat: Uuid) -> Socket {
    listening(person, chat).await.heeding()
}

/// A public room of somebody's, whom the settings let make one.
pub async fn public_room(server: &TestServer, owner: &Person) -> Uuid {
    server.database.db_set("public_rooms = 'everyone'").await;
    owner.room("square", "public").await
}

/// What the texts of frames about messages are.
pub fn texts(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["payload"]["text"].as_str()).collect()
}
