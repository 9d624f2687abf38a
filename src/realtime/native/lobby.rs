//! The lobby: the public room of clients that name no chat. Who connects joins it, and is told who and what is there.

use poem::http::Method;
use serde::Deserialize as _;
use uuid::Uuid;

use super::super::session::Session;
use super::frames::server::SomeoneThere;
use super::frames::told::{For, ToldMessage};
use crate::api::shapes::message::Message;
use crate::api::shapes::participant::Participant;

/// People whom `hello` names.
const USERS_MAX: usize = 500;
/// How many are listed at once.
const USERS_AT_ONCE: usize = 200;
/// Messages that `hello` brings: the latest.
const MESSAGES: u32 = 50;

/// What is in the lobby.
pub struct Lobby {
    pub chat: Uuid,
    pub head: i64,
    pub users: Vec<SomeoneThere>,
    /// The oldest of them first.
    pub messages: Vec<ToldMessage>,
}

/// Joins it; nothing for who may not, as who has no account.
pub async fn enter(session: &Session) -> Option<Lobby> {
    let room = session.ask(Method::POST, "/chats/lobby/join", None).await.ok()?;
    let chat: Uuid = room["id"].as_str()?.parse().ok()?;
    let mut users = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/chats/{chat}/participants?limit={USERS_AT_ONCE}{cursor}");
        let page = session.ask(Method::GET, &path, None).await.ok()?;
        let people = page["data"].as_array()?.iter();
        let people = people.filter_map(|person| Participant::deserialize(person).ok());
        users.extend(people.map(|person| SomeoneThere { id: person.user_id, name: person.name }));
        match page["nextCursor"].as_str() {
            Some(next) if users.len() < USERS_MAX => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    users.truncate(USERS_MAX);
    let page = session.ask(Method::GET, &format!("/chats/{chat}/messages?limit={MESSAGES}"), None).await.ok()?;
    let messages = page["data"].as_array()?.iter().filter_map(|message| Message::deserialize(message).ok());
    let mut messages: Vec<ToldMessage> = messages.map(|message| ToldMessage::new(message, For::One)).collect();
    messages.sort_by_key(|message| message.seq);
    Some(Lobby { chat, head: room["headRev"].as_i64()?, users, messages })
}
