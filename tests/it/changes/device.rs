//! A device as a client developer would write it: it keeps what it was told, and asks for what changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Person};

/// What a device keeps of one chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    pub name: Value,
    pub messages: BTreeMap<String, Value>,
    pub roles: BTreeMap<String, String>,
}

/// Someone's device.
#[derive(Clone)]
pub struct Device {
    pub person: Person,
    pub chats: BTreeMap<String, Kept>,
    pub position: Option<String>,
    /// How many answers it took, and the most chats and changes in one.
    pub answers: usize,
    pub largest: usize,
}

impl Device {
    pub fn of(person: &Person) -> Self {
        Self { person: person.clone(), chats: BTreeMap::new(), position: None, answers: 0, largest: 0 }
    }

    /// A new device, brought up to date.
    pub async fn from_scratch(person: &Person) -> Self {
        let mut device = Self::of(person);
        device.catch_up(200).await;
        device
    }

    /// Asks until there is no more.
    pub async fn catch_up(&mut self, limit: usize) {
        while self.ask(limit).await {}
    }

    /// Asks once, and applies the answer. Whether there is more.
    pub async fn ask(&mut self, limit: usize) -> bool {
        let since = self.position.as_ref().map(|position| format!("&since={position}")).unwrap_or_default();
        let answer = self.person.get(&format!("/sync?limit={limit}{since}")).await.expect_status(200);
        self.answers += 1;
        self.largest =
            self.largest.max(list(&answer, "data").len() + list(&answer, "entered").len() + list(&answer, "left").len());
        if answer.body["reset"] == true {
            self.chats.clear();
        }
        for chat in list(&answer, "left") {
            self.chats.remove(chat.as_str().expect("an id"));
        }
        for chat in list(&answer, "entered") {
            let id = text(chat, "id");
            match self.list(&id).await {
                Some(kept) => self.chats.insert(id, kept),
                // left again meanwhile: the next answer says so
                None => self.chats.remove(&id),
            };
        }
        for change in list(&answer, "data") {
            self.apply(change);
        }
        self.position = Some(answer.body["position"].as_str().expect("a position").to_owned());
        answer.body["more"] == true
    }

    /// All of a chat that one enters.
    pub async fn list(&self, chat: &str) -> Option<Kept> {
        let mut kept = Kept::default();
        let profile = self.person.get(&format!("/chats/{chat}")).await;
        if profile.status != 200 {
            return None;
        }
        kept.name = profile.body["name"].clone();
        for (what, limit) in [("participants", 200), ("messages", 500)] {
            let mut cursor = String::new();
            loop {
                let page = self.person.get(&format!("/chats/{chat}/{what}?limit={limit}{cursor}")).await;
                if page.status != 200 {
                    return None;
                }
                for item in page.data() {
                    if what == "messages" {
                        kept.messages.insert(text(item, "id"), plain(item));
                    } else {
                        kept.roles.insert(text(item, "userId"), text(item, "role"));
                    }
                }
                let Some(next) = page.cursor("nextCursor") else { break };
                cursor = format!("&cursor={next}");
            }
        }
        Some(kept)
    }

    /// Applies a change to a chat that is kept.
    pub fn apply(&mut self, change: &Value) {
        let Some(kept) = self.chats.get_mut(&text(change, "chatId")) else { return };
        match change["kind"].as_str().expect("a kind") {
            "message.created" | "message.updated" => upsert(kept, &change["message"]),
            // who sees deleted messages keeps them
            "message.deleted" if change.get("message").is_some() => upsert(kept, &change["message"]),
            "message.deleted" => drop(kept.messages.remove(&text(change, "messageId"))),
            "participant.joined" | "participant.updated" => {
                let participant = &change["participant"];
                kept.roles.insert(text(participant, "userId"), text(participant, "role"));
            }
            "participant.left" => drop(kept.roles.remove(&text(change, "userId"))),
            "chat.updated" => kept.name = change["chat"]["name"].clone(),
            other => panic!("what is {other}?"),
        }
    }
}

fn upsert(kept: &mut Kept, message: &Value) {
    let known = kept.messages.get(&text(message, "id")).and_then(|known| known["rev"].as_i64());
    if known <= message["rev"].as_i64() {
        kept.messages.insert(text(message, "id"), plain(message));
    }
}

/// A message as the database keeps it: what it quotes and what people are called change without it.
fn plain(message: &Value) -> Value {
    let fields = message.as_object().expect("a message").iter();
    let passing = ["replyTo", "senderName", "senderUsername", "userId", "userName", "content"];
    let kept: BTreeMap<&String, &Value> = fields.filter(|(name, _)| !passing.contains(&name.as_str())).collect();
    let mut kept = json!(kept);
    // what is told to all at once does not say whose they are
    for reaction in kept["reactions"].as_array_mut().into_iter().flatten() {
        reaction.as_object_mut().expect("a reaction").remove("mine");
    }
    kept
}

pub fn list<'a>(answer: &'a Answer, field: &str) -> &'a Vec<Value> {
    answer.body[field].as_array().unwrap_or_else(|| panic!("no {field}: {}", answer.body))
}

pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}")).to_owned()
}

/// What a device has of a chat, by text.
pub fn texts(device: &Device, chat: Uuid) -> Vec<String> {
    let kept = &device.chats[&chat.to_string()];
    let mut messages: Vec<&Value> = kept.messages.values().collect();
    messages.sort_by_key(|message| message["seq"].as_i64());
    messages.iter().map(|message| text(message, "text")).collect()
}
