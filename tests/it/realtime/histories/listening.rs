//! A device that listens to all chats of its owner, and applies what it hears as a client would.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::changes::device::{Device, text};
use crate::support::{Person, Socket};

/// Frames that a device heard, whatever connection brought them.
pub type Frames = Arc<Mutex<Vec<Value>>>;

/// A device with a connection.
pub struct Listening {
    pub device: Arc<Mutex<Device>>,
    pub frames: Frames,
    reader: JoinHandle<()>,
}

impl Listening {
    /// Connects, and goes on from where the device stood.
    pub async fn begin(person: Person, device: Device, frames: Frames) -> Self {
        let mut socket = Socket::of(&person).await;
        let device = Arc::new(Mutex::new(device));
        let mut subscribe = json!({ "type": "subscribe", "chatId": "*" });
        {
            let mut device = device.lock().await;
            match device.position.clone() {
                Some(position) => subscribe["since"] = json!(position),
                None => device.position = socket.hello["position"].as_str().map(str::to_owned),
            }
        }
        let is_new = subscribe["since"].is_null();
        let ack = socket.ask(subscribe).await;
        assert_eq!(ack["type"], "ack", "{ack}");
        if is_new {
            // a walk from the start is for the API: the socket tells what happens from now on
            let mut device = device.lock().await;
            let fresh = Device::from_scratch(&person).await;
            device.chats = fresh.chats;
        }
        let reader = tokio::spawn({
            let (device, frames) = (Arc::clone(&device), Arc::clone(&frames));
            async move {
                loop {
                    let frame = socket.next_in_any_time().await;
                    apply(&mut *device.lock().await, &frame).await;
                    frames.lock().await.push(frame);
                }
            }
        });
        Self { device, frames, reader }
    }

    /// Whether it stopped listening by itself.
    pub fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// Hangs up, whatever it was doing.
    pub async fn hang_up(self) -> (Device, Frames) {
        self.reader.abort();
        if let Err(error) = self.reader.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        (self.device.lock().await.clone(), self.frames)
    }
}

/// What a client does with a frame.
async fn apply(device: &mut Device, frame: &Value) {
    let payload = &frame["payload"];
    let mut change = json!({ "kind": frame["type"], "chatId": frame["chatId"] });
    match frame["type"].as_str().expect("a type") {
        "resync" if payload["chatId"] == "*" => return device.chats.clear(),
        "resync" | "chat.created" => {
            let id = text(frame, "chatId");
            match device.list(&id).await {
                Some(kept) => drop(device.chats.insert(id, kept)),
                None => drop(device.chats.remove(&id)),
            }
            return;
        }
        "chat.deleted" => {
            device.chats.remove(&text(frame, "chatId"));
            return;
        }
        "message.deleted" if payload.get("text").is_none() => change["messageId"] = payload["id"].clone(),
        "message.created" | "message.updated" | "message.deleted" => change["message"] = payload.clone(),
        "participant.joined" | "participant.updated" => change["participant"] = payload.clone(),
        "participant.left" => change["userId"] = payload["userId"].clone(),
        "chat.updated" => change["chat"] = payload.clone(),
        other => panic!("what is {other}?"),
    }
    device.apply(&change);
}
