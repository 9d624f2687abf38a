//! A device that listens to all chats of its owner, and applies what it hears as a client would.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use uuid::Uuid;

use super::rooms::Rooms;
use crate::changes::device::{Device, text};
use crate::realtime::line::{Heard, Line, Protocol, Since};
use crate::support::{DEADLINE, Person, Socket};

/// Frames that a device heard, whatever connection brought them.
pub type Frames = Arc<Mutex<Vec<Value>>>;

/// How often a client of rows says that it is there: what came before the last but one has arrived.
const PING_EVERY: Duration = Duration::from_millis(200);

/// What a device hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// The WebSocket's frames.
    Frames,
    /// Of rows, as Supabase's clients do.
    Rows,
    /// Of rooms, as Pusher's do.
    Rooms,
}

impl Hears {
    /// Leaves out of what a device has what nobody can know who hears this.
    pub fn leave_out(self, device: &mut Device) {
        if self == Self::Frames {
            return;
        }
        for kept in device.chats.values_mut() {
            kept.messages.retain(|_, message| message["deletedAt"].is_null());
            for message in kept.messages.values_mut() {
                *message = json!({ "id": message["id"], "rev": message["rev"], "text": message["text"] });
            }
            if self == Self::Rooms {
                // which version it is, and who has which role, is not told
                kept.messages.values_mut().for_each(|message| message["rev"] = Value::Null);
                kept.roles.clear();
            }
        }
    }
}

/// A device with a connection.
pub struct Listening {
    pub hears: Hears,
    /// By what the server knows where it stands, where it does not name that itself.
    since: Since,
    pub device: Arc<Mutex<Device>>,
    pub frames: Frames,
    reader: JoinHandle<()>,
}

impl Listening {
    /// Connects, and goes on from where the device stood: by what the server knows of it, if it hears no frames.
    pub async fn begin(device: Device, frames: Frames, hears: Hears, since: Since) -> Self {
        let person = device.person.clone();
        let device = Arc::new(Mutex::new(device));
        let reader = match hears {
            Hears::Frames => Self::begin_by_frames(person, &device, &frames).await,
            Hears::Rows => Self::begin_by_rows(person, &device, &frames, since.clone()).await,
            Hears::Rooms => Self::begin_by_rooms(person, &device, &frames, since.clone()).await,
        };
        Self { hears, since, device, frames, reader }
    }

    /// Hangs up, and connects anew.
    pub async fn begin_again(self) -> Self {
        let (hears, since) = (self.hears, self.since.clone());
        let (device, frames) = self.hang_up().await;
        Self::begin(device, frames, hears, since).await
    }

    async fn begin_by_frames(person: Person, device: &Arc<Mutex<Device>>, frames: &Frames) -> JoinHandle<()> {
        let mut socket = Socket::of(&person).await;
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
        let (device, frames) = (Arc::clone(device), Arc::clone(frames));
        tokio::spawn(async move {
            loop {
                let frame = socket.next_in_any_time().await;
                apply(&mut *device.lock().await, &frame).await;
                frames.lock().await.push(frame);
            }
        })
    }

    async fn begin_by_rows(person: Person, device: &Arc<Mutex<Device>>, frames: &Frames, since: Since) -> JoinHandle<()> {
        let (device, frames) = (Arc::clone(device), Arc::clone(frames));
        let mut line = joined(&person, &since).await;
        if device.lock().await.position.is_none() {
            let mut device = device.lock().await;
            *device = Device::from_scratch(&person).await;
        }
        tokio::spawn(async move {
            let mut ping = interval(PING_EVERY);
            loop {
                let heard = tokio::select! {
                    heard = line.next() => heard,
                    _ = ping.tick() => {
                        line.ping().await;
                        continue;
                    }
                };
                match heard {
                    Heard::Sign => {}
                    Heard::Frame(frame, _) if frame["type"] != "error" => {
                        apply(&mut *device.lock().await, &frame).await;
                        frames.lock().await.push(frame);
                    }
                    Heard::Frame(..) | Heard::End(_) => line = joined(&person, &since).await,
                }
            }
        })
    }

    async fn begin_by_rooms(person: Person, device: &Arc<Mutex<Device>>, frames: &Frames, since: Since) -> JoinHandle<()> {
        let (shared, frames) = (Arc::clone(device), Arc::clone(frames));
        let rooms = Rooms::join(&person, &since).await;
        let mut device = device.lock().await;
        let mut new = Vec::new();
        if device.position.is_none() {
            // each is listed when its channel has begun
            let fresh = Device::from_scratch(&person).await;
            device.position = fresh.position;
            new.extend(fresh.chats.keys().map(|chat| chat.parse::<Uuid>().expect("an id")));
        }
        tokio::spawn(rooms.follow(since, shared, frames, new))
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

/// A line that has joined a channel of all chats.
async fn joined(person: &Person, since: &Since) -> Line {
    let joins = async {
        loop {
            let mut line = Line::open(person, Protocol::SupabaseAll, since).await.expect("they may");
            if matches!(line.next().await, Heard::Frame(frame, _) if frame["type"] == "ack") {
                return line;
            }
        }
    };
    timeout(DEADLINE, joins).await.expect("a channel in time")
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
