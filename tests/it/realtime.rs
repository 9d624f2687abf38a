//! Live: what is committed reaches everybody who may read it, whoever wrote it and through whatever process.

mod access;
mod faults;
mod fleet;
mod follower;
mod histories;
mod idle;
mod line;
mod native;
mod shutdown;
mod silence;
mod slow;
mod sse;
mod storm;
mod talk;
mod told;

use serde_json::Value;
use uuid::Uuid;

use crate::support::{Person, Socket};

/// A socket of somebody who listens to a chat.
pub async fn listening(person: &Person, chat: Uuid) -> Socket {
    let mut socket = Socket::of(person).await;
    socket.subscribe(chat).await;
    socket
}

/// What the texts of frames about messages are.
pub fn texts(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["payload"]["text"].as_str()).collect()
}
