//! Somebody who listens to one chat through one protocol, as its clients do: those of Supabase and Pusher are theirs, unmodified, from npm. What
//! is heard is in the words of the WebSocket, whatever the protocol.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::realtime::line::{Heard, Line, Protocol, Since};
use crate::realtime::tongue::PUSHER_KEY;
use crate::realtime::words;
use crate::support::npm::{Client, Node};
use crate::support::{DEADLINE, Person};

/// How long who lost a line rests before they connect again, and how often they ask whether the other side is there.
const REST: Duration = Duration::from_millis(200);
const PING_EVERY: Duration = Duration::from_secs(1);
/// What has not come after this long, once everybody else has it, does not come.
const QUIET: Duration = Duration::from_millis(700);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    WebSocket,
    Stream,
    SupabaseOne,
    SupabaseTwo,
    Pusher,
}

pub const DOORS: [Door; 5] = [Door::WebSocket, Door::Stream, Door::SupabaseOne, Door::SupabaseTwo, Door::Pusher];

impl Door {
    /// Whether stock clients go through it, which come back by themselves.
    pub fn is_stock(self) -> bool {
        matches!(self, Self::SupabaseOne | Self::SupabaseTwo | Self::Pusher)
    }

    fn line(self) -> Protocol {
        if self == Self::Stream { Protocol::StreamOne } else { Protocol::SocketOne }
    }
}

/// How somebody's clients are set.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How often supabase-js says that it is there, in ms: what was sent before the last but one has arrived. Then it asks for a token, too.
    pub heartbeat: u32,
    /// Whether they have a Node of their own, which can be stopped.
    pub is_apart: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { heartbeat: 500, is_apart: false }
    }
}

/// Somebody who listens.
pub struct Ear {
    pub door: Door,
    chat: Uuid,
    person: Person,
    voice: Voice,
    /// The messages that it was told of.
    had: HashSet<String>,
    /// A fresher token of theirs, and when they have it.
    renewal: Option<(Instant, Person)>,
    /// What became of its connections and subscriptions.
    pub log: Vec<String>,
    is_gone: bool,
}

enum Voice {
    Line(Box<Line>, Since),
    /// A client, and its channel.
    Stock(Box<Client>, String, Arc<Node>),
}

impl Ear {
    /// Listens to a chat: what is written after this is heard. Or why not.
    pub async fn begin(
        door: Door,
        node: Option<&Arc<Node>>,
        person: &Person,
        chat: Uuid,
        options: Options,
    ) -> Result<Self, String> {
        let stock = || node.expect("stock clients have a Node");
        let voice = match door {
            Door::WebSocket | Door::Stream => {
                let since = Since::now(&[chat]);
                let line = Line::open(person, door.line(), &since).await.map_err(|refusal| refusal.expect("an answer").1)?;
                Voice::Line(Box::new(line), since)
            }
            Door::SupabaseOne | Door::SupabaseTwo => {
                let vsn = if door == Door::SupabaseOne { "1.0.0" } else { "2.0.0" };
                let params = json!({ "resume_id": Uuid::new_v4() });
                let realtime = json!({ "vsn": vsn, "params": params, "heartbeatIntervalMs": options.heartbeat });
                let mut client = stock().supabase(person, json!({ "realtime": realtime })).await;
                let rows = |table: &str, column: &str| {
                    let filter = format!("{column}=eq.{chat}");
                    ("postgres_changes", json!({ "event": "*", "schema": "public", "table": table, "filter": filter }))
                };
                let channel = format!("chat:{chat}");
                let on =
                    [rows("messages", "chat_id"), rows("participants", "chat_id"), rows("chats", "id"), ("system", json!({}))];
                client.asks_to_join(&channel, json!({}), &on).await;
                Voice::Stock(Box::new(client), channel, Arc::clone(stock()))
            }
            Door::Pusher => {
                let mut client = stock().pusher(person, PUSHER_KEY, json!({ "resume_id": Uuid::new_v4() })).await;
                let channel = format!("private-room-{chat}");
                client.does("subscribe", json!({ "channel": channel })).await;
                Voice::Stock(Box::new(client), channel, Arc::clone(stock()))
            }
        };
        let person = person.clone();
        let mut ear = Self { door, chat, person, voice, had: HashSet::new(), renewal: None, log: Vec::new(), is_gone: false };
        ear.begins().await?;
        Ok(ear)
    }

    /// Waits until its subscription has begun, or is refused.
    async fn begins(&mut self) -> Result<(), String> {
        loop {
            let frame = self.next().await;
            match frame["type"].as_str() {
                Some("ack" | "subscribed") => return Ok(()),
                Some("error") => {
                    let why = frame["payload"]["code"].as_str().or(frame["payload"]["message"].as_str());
                    return Err(why.unwrap_or_default().to_owned());
                }
                _ => {}
            }
        }
    }

    /// After so long it comes with this token: a fresher one of theirs.
    pub fn renews(&mut self, person: &Person, after: Duration) {
        self.renewal = Some((Instant::now() + after, person.clone()));
    }

    async fn looks_for_a_token(&mut self) {
        let Some((_, person)) = self.renewal.take_if(|(at, _)| *at <= Instant::now()) else { return };
        if let Voice::Stock(client, ..) = &mut self.voice {
            client.does("setToken", json!({ "token": person.token() })).await;
        }
        self.person = person;
    }

    /// Its connection breaks.
    pub async fn is_cut(&mut self) {
        match &mut self.voice {
            Voice::Line(line, _) => **line = Line::Cut,
            Voice::Stock(client, ..) => drop(client.does("cut", json!({})).await),
        }
    }

    /// Its machine stands still, or goes on.
    pub fn is_stopped(&self, stopped: bool) {
        if let Voice::Stock(_, _, node) = &self.voice {
            let signal = if stopped { Signal::SIGSTOP } else { Signal::SIGCONT };
            let pid = Pid::from_raw(i32::try_from(node.pid()).expect("a process number"));
            kill(pid, signal).expect("a signal");
        }
    }

    /// What comes next of its chat. Who loses the line connects again, and goes on from what they have.
    pub async fn next(&mut self) -> Value {
        loop {
            self.looks_for_a_token().await;
            let frame = match &mut self.voice {
                Voice::Line(..) => self.next_of_line().await,
                Voice::Stock(..) => self.next_of_client().await,
            };
            let Some(frame) = frame else { continue };
            assert!(frame["chatId"].is_null() || frame["chatId"] == json!(self.chat), "of another chat: {frame}");
            self.is_gone |= frame["type"] == "chat.deleted";
            return frame;
        }
    }

    async fn next_of_line(&mut self) -> Option<Value> {
        let Voice::Line(line, since) = &mut self.voice else { return None };
        let Ok(heard) = timeout(PING_EVERY, line.next()).await else {
            line.ping().await;
            return None;
        };
        match heard {
            Heard::Sign => None,
            Heard::Frame(frame, id) => {
                since.moves(self.door.line(), &frame, id);
                if frame["type"] == "hello" || frame["type"] == "presence" { None } else { Some(frame) }
            }
            Heard::End(code) => {
                let how = code.map_or_else(|| "ends".to_owned(), |code| format!("closed {code}"));
                self.log.push(how.clone());
                if self.is_gone {
                    // it is over, and nothing comes
                    std::future::pending::<()>().await;
                }
                sleep(REST).await;
                match Line::open(&self.person, self.door.line(), since).await {
                    Ok(new) => **line = new,
                    Err(None) => **line = Line::Cut,
                    Err(Some((_, code))) => return Some(words::refused(None, &json!(code), &json!(how))),
                }
                None
            }
        }
    }

    async fn next_of_client(&mut self) -> Option<Value> {
        let Voice::Stock(client, channel, _) = &mut self.voice else { return None };
        let said = timeout(PING_EVERY, client.next()).await.ok()?;
        if said.get("channel").is_some_and(|of| of != channel.as_str()) {
            return None;
        }
        match said["heard"].as_str()? {
            "postgres_changes" => words::of_row(&said["payload"]),
            "status" => {
                self.log.push(said["status"].as_str()?.to_owned());
                match said["status"].as_str()? {
                    "SUBSCRIBED" => Some(words::begun(Some(self.chat))),
                    status => Some(words::refused(Some(self.chat), &said["error"], &json!(status))),
                }
            }
            "system" => {
                let (status, message) = (&said["payload"]["status"], said["payload"]["message"].as_str()?);
                if status != "ok" {
                    let words: Vec<&str> = message.split(':').next()?.split(' ').take(4).collect();
                    self.log.push(words.join(" "));
                }
                words::of_system(&said["payload"])
            }
            "closed" => {
                self.log.push(format!("closed {}", said["code"]));
                None
            }
            "state" => {
                self.log.push(said["state"].as_str()?.to_owned());
                None
            }
            "event" => match said["event"].as_str()? {
                "pusher:subscription_succeeded" => Some(words::begun(Some(self.chat))),
                "pusher:subscription_error" => {
                    self.log.push(format!("subscription_error {}", said["data"]["status"]));
                    Some(words::refused(Some(self.chat), &json!(said["data"]["status"].to_string()), &said["data"]["error"]))
                }
                event => words::of_event(event, &said["data"]),
            },
            _ => None,
        }
    }

    /// The next frame of this type, whatever comes before it.
    pub async fn hears(&mut self, kind: &str) -> Value {
        let mut before = Vec::new();
        let heard = timeout(DEADLINE, async {
            loop {
                let frame = self.next().await;
                if frame["type"] == kind {
                    return frame;
                }
                before.push(frame);
            }
        });
        let Ok(frame) = heard.await else { panic!("{kind} is never heard, but {before:?}; {:?}", self.log) };
        frame
    }

    /// The texts of new messages up to this one, which come once each: what comes again is passed over.
    pub async fn texts_until(&mut self, last: &str) -> Vec<String> {
        self.texts_until_within(last, DEADLINE).await
    }

    /// The same, in a time of one's own.
    pub async fn texts_until_within(&mut self, last: &str, patience: Duration) -> Vec<String> {
        let ends_at = Instant::now() + patience;
        let mut texts: Vec<String> = Vec::new();
        while texts.last().is_none_or(|text| text != last) {
            let Ok(frame) = tokio::time::timeout_at(ends_at, self.next()).await else {
                panic!("{last:?} is never heard; the last of {} was {:?}; {:?}", texts.len(), texts.last(), self.log)
            };
            if frame["type"] == "message.created" && self.had.insert(frame["payload"]["id"].to_string()) {
                texts.push(frame["payload"]["text"].as_str().expect("a text").to_owned());
            }
        }
        texts
    }

    /// What of the chat's messages still comes, now that everybody else has it.
    pub async fn still_hears(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Ok(frame) = timeout(QUIET, self.next()).await {
            if frame["type"].as_str().is_some_and(|kind| kind.starts_with("message.")) {
                frames.push(frame);
            }
        }
        frames
    }
}
