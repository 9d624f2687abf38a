//! What is asked of the server, and which variables pgbench needs to ask the same of the database.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::capture::Capture;
use crate::cell::{Questions, Request};
use crate::cluster::Cluster;
use crate::data::{EACH, Size, chat_id, token, user_id};
use crate::http::{Connection, render};
use crate::pgbench::{Script, Varying};
use crate::sent::Sent;
use crate::server::Running;

/// What all users' ids begin with.
const USERS: &str = "00000000-0000-4000-8000-";
/// What all chats' ids begin with.
const CHATS: &str = "00000000-0000-4000-9000-";
/// What the ids of pgbench's messages begin with.
const MESSAGES: &str = "01990000-0000-7000-8000-";
/// Rows on a page.
pub const PAGE: usize = 50;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Scenario {
    /// Send a message
    Send,
    /// The newest 50 messages of a chat
    Page,
    /// The first 50 chats of a user with 1,000
    List,
    /// Catch up with 200 chats in which nothing happened
    Sync,
}

impl Scenario {
    pub const ALL: [Self; 4] = [Self::Send, Self::Page, Self::List, Self::Sync];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Page => "page",
            Self::List => "list",
            Self::Sync => "sync",
        }
    }
}

/// Who asks where.
#[derive(Clone, Copy)]
pub struct Place {
    pub user: u64,
    pub chat: u64,
}

/// The data, and everybody's tokens.
pub struct World {
    pub size: Size,
    tokens: HashMap<u64, String>,
}

impl World {
    /// The people who will ask something; introduces them to the server, so that no measurement contains it.
    pub async fn of(size: Size, server: &Running) -> anyhow::Result<Self> {
        let mut users: Vec<u64> = (0..size.requests).map(|i| place(&size, i).user).collect();
        users.extend(size.people + 1..=size.people + 2 * EACH);
        users.extend((0..10).map(|k| size.participant(size.long_chat(), k)));
        users.sort_unstable();
        users.dedup();
        let mut world = Self { size, tokens: HashMap::new() };
        for user in users {
            world.tokens.insert(user, token(user)?);
        }
        world.introduce(server).await?;
        Ok(world)
    }

    /// Has everybody seen by the server, which remembers it for some minutes.
    pub async fn introduce(&self, server: &Running) -> anyhow::Result<()> {
        let mut connection = Connection::open(server.address).await?;
        for token in self.tokens.values() {
            let answer = connection.ask(&render("GET", "/users/me", token, "", "")).await?;
            ensure!(answer.status == 200, "/users/me: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        Ok(())
    }

    pub fn token(&self, user: u64) -> anyhow::Result<&str> {
        Ok(self.tokens.get(&user).with_context(|| format!("user {user} has no token"))?)
    }

    /// Where requests for pages and new messages go: the same places as [`set_place`] says to pgbench.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        (0..self.size.requests).map(|i| place(&self.size, i))
    }
}

/// Place `i` of those that [`set_place`] chooses from.
fn place(size: &Size, i: u64) -> Place {
    let chat = 1 + i * 61 % size.lively;
    Place { chat, user: size.participant(chat, i / 7 % 10) }
}

/// The same in pgbench's words; `chat` and `user` are the last groups of the ids.
fn set_place(size: &Size) -> String {
    format!(
        "\\set i random(0, {} - 1)
\\set c 1 + mod(:i * 61, {})
\\set k mod(:i / 7, 10)
\\set chat 100000000000 + :c
\\set user 100000000001 + mod(:c * 7 + :k * 13, {})",
        size.requests, size.lively, size.people
    )
}

impl Scenario {
    /// The requests, and what their right answers are.
    pub async fn questions(self, world: &World, server: &Running) -> anyhow::Result<Arc<Questions>> {
        let size = &world.size;
        let mut requests = Vec::new();
        Ok(Arc::new(match self {
            Self::Send | Self::Page => self.of_messages(world)?,
            Self::List => {
                for user in size.people + EACH + 1..=size.people + 2 * EACH {
                    requests.push(get("/chats", world.token(user)?, String::new()));
                }
                Questions { requests, status: 200, least: PAGE * 200, is_right: is_list }
            }
            Self::Sync => {
                for user in size.people + 1..=size.people + EACH {
                    let path = format!("/sync?since={}", position(server, world.token(user)?).await?);
                    requests.push(get(&path, world.token(user)?, String::new()));
                }
                Questions { requests, status: 200, least: 50, is_right: is_no_news }
            }
        }))
    }

    /// Those of messages, at all the world's places.
    pub fn of_messages(self, world: &World) -> anyhow::Result<Questions> {
        let requests = world.places().enumerate().map(|(number, place)| self.request_at(world, place, number));
        let requests = requests.collect::<anyhow::Result<_>>()?;
        Ok(match self {
            Self::Send => Questions { requests, status: 201, least: 200, is_right: is_sent },
            _ => Questions { requests, status: 200, least: PAGE * 200, is_right: is_page },
        })
    }

    /// A message to a chat, or its newest page.
    pub fn request_at(self, world: &World, place: Place, number: usize) -> anyhow::Result<Request> {
        if self == Self::Page {
            return Self::page_at(world, place, "");
        }
        let chat = chat_id(place.chat).to_string();
        let path = format!("/chats/{chat}/messages");
        let token = world.token(place.user)?;
        let text = words(number);
        let body = json!({ "text": text }).to_string();
        Ok(Request { bytes: render("POST", &path, token, "", &body), chat, text })
    }

    /// A page of a chat.
    pub fn page_at(world: &World, place: Place, query: &str) -> anyhow::Result<Request> {
        let chat = chat_id(place.chat).to_string();
        Ok(get(&format!("/chats/{chat}/messages{query}"), world.token(place.user)?, chat))
    }

    /// The same for pgbench: what the server sends for one request, with what varies in it made variable.
    pub async fn script(
        self,
        world: &World,
        server: &Running,
        cluster: &Cluster,
        capture: &mut Capture,
    ) -> anyhow::Result<Script> {
        let (transactions, set, varying) = self.sent(world, server, capture).await?;
        Script::of(cluster, world.size.database, self.name(), &transactions, &set, &varying).await
    }

    /// What the server sends for one request; what sets the variables, and what in it is variable.
    pub async fn sent(
        self,
        world: &World,
        server: &Running,
        capture: &mut Capture,
    ) -> anyhow::Result<(Vec<Vec<Sent>>, String, Vec<Varying>)> {
        let questions = self.questions(world, server).await?;
        capture.skip()?; // what was asked to make the questions
        let size = &world.size;
        let sample = questions.requests.first().context("no request")?;
        let mut connection = Connection::open(server.address).await?;
        let answer = connection.ask(&sample.bytes).await?;
        ensure!(answer.status == questions.status, "{}: {}", self.name(), String::from_utf8_lossy(answer.body));
        let answer: Value = serde_json::from_slice(answer.body)?;
        let transactions = capture.transactions().await?;
        let of = |sample: String, prefix, variable| Varying { sample, prefix, variable };
        let (user, set) = match self {
            Self::Send | Self::Page => (place(size, 0).user, set_place(size)),
            Self::List => {
                (size.people + EACH + 1, format!("\\set user {} + random(1, {EACH})", 100_000_000_000 + size.people + EACH))
            }
            Self::Sync => (size.people + 1, format!("\\set user {} + random(1, {EACH})", 100_000_000_000 + size.people)),
        };
        let mut varying = vec![of(user_id(user).to_string(), USERS, "user")];
        let mut set = set;
        if matches!(self, Self::Send | Self::Page) {
            varying.push(of(sample.chat.clone(), CHATS, "chat"));
        }
        if self == Self::Send {
            set += "\n\\set message random(100000000000, 999999999999)";
            varying.push(of(answer["id"].as_str().context("no id")?.to_owned(), MESSAGES, "message"));
        }
        Ok((transactions, set, varying))
    }
}

fn is_sent(answer: &Value, request: &Request) -> bool {
    answer["chatId"] == request.chat && answer["text"] == request.text && answer["seq"].as_i64() > Some(1)
}

fn is_list(answer: &Value, _: &Request) -> bool {
    let chats = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    chats.len() == PAGE && chats.is_sorted_by(|a, b| a["lastMessageAt"].as_str() >= b["lastMessageAt"].as_str())
}

fn is_no_news(answer: &Value, _: &Request) -> bool {
    let none = |field: &str| answer[field].as_array().is_some_and(Vec::is_empty);
    none("data") && none("entered") && none("left") && answer["more"] == false && answer["position"].is_string()
}

/// Whether it is the newest page of its chat.
fn is_page(answer: &Value, request: &Request) -> bool {
    let messages = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    messages.len() == PAGE
        && messages.iter().all(|m| m["chatId"] == request.chat && m["text"].is_string() && m["senderName"].is_string())
        && messages.is_sorted_by(|a, b| a["seq"].as_i64() > b["seq"].as_i64())
}

fn get(path: &str, token: &str, chat: String) -> Request {
    Request { bytes: render("GET", path, token, "", ""), chat, text: String::new() }
}

/// A text like people's.
pub fn words(number: usize) -> String {
    const SAID: [&str; 8] = [
        "thanks, see you at eight then",
        "I have put the numbers into the document, have a look when you find the time",
        "no",
        "the train is late again, begin without me and save me a seat near the door please",
        "who brings the cake?",
        "sounds good to me, but ask the others as well before you book anything",
        "look at this photo of the garden after the rain",
        "ok",
    ];
    format!("{} ({number})", SAID[number % SAID.len()])
}

/// Where a user stands who has seen everything.
async fn position(server: &Running, token: &str) -> anyhow::Result<String> {
    let mut path = "/sync?limit=500".to_owned();
    loop {
        let (status, body) = server.get(&path, token).await?;
        ensure!(status == 200, "/sync: {status} {body}");
        let answer: Value = serde_json::from_str(&body)?;
        let position = answer["position"].as_str().context("no position")?;
        if answer["more"] == false && answer["entered"].as_array().is_some_and(Vec::is_empty) {
            return Ok(position.to_owned());
        }
        path = format!("/sync?limit=500&since={position}");
    }
}
