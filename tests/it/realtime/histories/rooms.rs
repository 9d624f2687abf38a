//! A device of a client of Pusher's: it listens to the list of its owner's chats, and to the channel of each chat that is in it. What it hears
//! names no revs; what it missed the server knows, by its resume id.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use super::listening::Frames;
use crate::changes::device::Device;
use crate::realtime::line::Since;
use crate::realtime::tongue::{self, Tongue};
use crate::realtime::words;
use crate::support::{DEADLINE, Person};

/// A connection, and the chats whose channels it carries.
pub struct Rooms {
    person: Person,
    resume: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    id: String,
    open: HashSet<Uuid>,
}

/// The connection is none any more.
struct Away;

/// What is said on a channel.
struct Said {
    channel: String,
    event: String,
    data: Value,
}

impl Rooms {
    /// Connects, and listens to the list; it is known from here on what comes to it.
    pub async fn join(person: &Person, since: &Since) -> Self {
        let joins = async {
            loop {
                if let Ok(rooms) = Self::connect(person, since).await {
                    return rooms;
                }
            }
        };
        timeout(DEADLINE, joins).await.expect("a channel in time")
    }

    async fn connect(person: &Person, since: &Since) -> Result<Self, Away> {
        let url = format!("{}{}", person.url().replacen("http", "ws", 1), Tongue::Pusher.path(since));
        let (socket, _) = connect_async(url).await.map_err(|_| Away)?;
        let (person, resume) = (person.clone(), since.resume.clone());
        let mut rooms = Self { person, resume, socket, id: String::new(), open: HashSet::new() };
        let greeting = rooms.next().await?;
        rooms.id = greeting.data["socket_id"].as_str().expect("an id").to_owned();
        let list = rooms.list();
        assert!(rooms.asks(&list).await?, "one's own chats are there");
        let first = rooms.next().await?;
        assert_eq!(first.event, "pusher_internal:subscription_succeeded", "{}", first.data);
        Ok(rooms)
    }

    /// The channel of the list.
    fn list(&self) -> String {
        format!("private-chats-{}", self.person.id)
    }

    async fn says(&mut self, event: &str, data: Value) -> Result<(), Away> {
        let frame = json!({ "event": event, "data": data });
        self.socket.send(Message::text(frame.to_string())).await.map_err(|_| Away)
    }

    async fn next(&mut self) -> Result<Said, Away> {
        loop {
            let text = match self.socket.next().await.ok_or(Away)?.map_err(|_| Away)? {
                Message::Text(text) => text,
                Message::Close(_) => return Err(Away),
                _ => continue,
            };
            let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
            if let Some(answer) = Tongue::Pusher.answer(&frame) {
                self.socket.send(answer).await.map_err(|_| Away)?;
                continue;
            }
            let data = match &frame["data"] {
                Value::String(data) => serde_json::from_str(data).expect("data is JSON"),
                data => data.clone(),
            };
            let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
            return Ok(Said { channel: text("channel"), event: text("event"), data });
        }
    }

    /// Asks for a channel. False: it is not theirs.
    async fn asks(&mut self, channel: &str) -> Result<bool, Away> {
        let form = format!("socket_id={}&channel_name={channel}&resume_id={}", self.id, self.resume);
        let request = self.person.request(Method::POST, "/pusher/auth");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await.map_err(|_| Away)?;
        match answer.status().as_u16() {
            200 => {
                let answer: Value = answer.json().await.map_err(|_| Away)?;
                self.says("pusher:subscribe", json!({ "channel": channel, "auth": answer["auth"] })).await?;
                Ok(true)
            }
            403 | 404 => Ok(false),
            _ => Err(Away),
        }
    }

    /// Listens to a chat, if it does not yet.
    async fn enters(&mut self, chat: Uuid) -> Result<(), Away> {
        if !self.open.contains(&chat) && self.asks(&tongue::room(chat)).await? {
            self.open.insert(chat);
        }
        Ok(())
    }

    async fn leaves(&mut self, chat: Uuid) -> Result<(), Away> {
        self.open.remove(&chat);
        self.says("pusher:unsubscribe", json!({ "channel": tongue::room(chat) })).await
    }

    /// Follows what is said, and comes back when it is cut.
    pub async fn follow(mut self, since: Since, device: Arc<Mutex<Device>>, frames: Frames, new: Vec<Uuid>) {
        let mut new = new.into_iter();
        loop {
            let step = match new.next() {
                Some(chat) => self.enters(chat).await,
                None => self.step(&device, &frames).await,
            };
            if step.is_err() {
                self = Self::join(&self.person, &since).await;
            }
        }
    }

    async fn step(&mut self, device: &Mutex<Device>, frames: &Frames) -> Result<(), Away> {
        let said = self.next().await?;
        if said.channel.is_empty() {
            return Ok(());
        }
        let mut device = device.lock().await;
        if said.channel == self.list() {
            self.hears_of_list(&mut device, &said).await?;
        } else {
            let chat = said.channel.rsplit_once("room-").and_then(|(_, chat)| chat.parse().ok()).expect("a chat's channel");
            self.hears_of_room(&mut device, chat, &said).await?;
        }
        frames.lock().await.extend(words::of_event(&said.event, &said.data));
        Ok(())
    }

    async fn hears_of_list(&mut self, device: &mut Device, Said { event, data, .. }: &Said) -> Result<(), Away> {
        match event.as_str() {
            "room-created" => self.enters(id_of(&data["room"]["id"])).await,
            "room-updated" => {
                is_called(device, &data["room"]);
                Ok(())
            }
            "room-deleted" => {
                let chat = id_of(&data["roomId"]);
                device.chats.remove(&chat.to_string());
                self.leaves(chat).await
            }
            "rooms-updated" => {
                let rooms = data["rooms"].as_array().expect("rooms");
                let there: BTreeSet<Uuid> = rooms.iter().map(|room| id_of(&room["id"])).collect();
                let kept: Vec<Uuid> = device.chats.keys().map(|chat| chat.parse().expect("an id")).collect();
                for chat in kept.into_iter().chain(self.open.clone()).filter(|chat| !there.contains(chat)) {
                    device.chats.remove(&chat.to_string());
                    self.leaves(chat).await?;
                }
                for room in rooms {
                    is_called(device, room);
                }
                for chat in there {
                    self.enters(chat).await?;
                }
                Ok(())
            }
            other => panic!("what is {other}? {data}"),
        }
    }

    async fn hears_of_room(&mut self, device: &mut Device, chat: Uuid, Said { event, data, .. }: &Said) -> Result<(), Away> {
        let id = chat.to_string();
        let is_kept = device.chats.contains_key(&id);
        let is_anew = event == "rooms-updated" || event == "pusher_internal:subscription_succeeded" && !is_kept;
        if is_anew && self.open.contains(&chat) {
            if let Some(kept) = device.list(&id).await {
                device.chats.insert(id, kept);
            } else {
                // lost again
                device.chats.remove(&id);
                self.leaves(chat).await?;
            }
            return Ok(());
        }
        if event == "pusher:subscription_error" {
            self.open.remove(&chat);
        }
        if matches!(event.as_str(), "pusher:subscription_error" | "room-deleted") {
            device.chats.remove(&id);
            return Ok(());
        }
        let Some(kept) = device.chats.get_mut(&id) else { return Ok(()) };
        match event.as_str() {
            "room-message" | "message-updated" => {
                let message = &data["message"];
                let id = message["id"].as_str().expect("an id").to_owned();
                kept.messages.insert(id.clone(), json!({ "id": id, "text": message["content"] }));
            }
            "message-deleted" => drop(kept.messages.remove(data["messageId"].as_str().expect("an id"))),
            "room-updated" => is_called(device, &data["room"]),
            _ => {}
        }
        Ok(())
    }
}

fn id_of(id: &Value) -> Uuid {
    id.as_str().and_then(|id| id.parse().ok()).expect("an id")
}

/// What a chat that is kept is called now.
fn is_called(device: &mut Device, room: &Value) {
    if let Some(kept) = device.chats.get_mut(&id_of(&room["id"]).to_string()) {
        kept.name = room["name"].clone();
    }
}
