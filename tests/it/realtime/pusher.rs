//! The Pusher protocol, spoken by the stock client: pusher-js, unmodified.

mod access;
mod doors;
mod others;
mod resume;
mod rooms;

use std::fmt::Display;

use serde_json::{Value, json};

use crate::support::Person;
use crate::support::npm::{Client, Node};

/// The application's key, where nobody says another.
const KEY: &str = "tabletalk";

/// A client of somebody's that has signed in.
async fn signed_in(node: &Node, person: &Person) -> Client {
    let mut client = connected(node, person).await;
    client.does("signin", json!({})).await;
    client.hears("that they have signed in", |said| said["frame"]["event"] == "pusher:signin_success").await;
    client
}

/// A client of somebody's that nobody has signed in with.
async fn connected(node: &Node, person: &Person) -> Client {
    let mut client = node.pusher(person, KEY, json!({})).await;
    client.hears("that it is connected", |said| said["state"] == "connected").await;
    client
}

/// Subscribes.
async fn subscribes(client: &mut Client, channel: impl Display) -> Value {
    client.does("subscribe", json!({ "channel": channel.to_string() })).await;
    client.event(&channel.to_string(), "pusher:subscription_succeeded").await
}

/// Subscribes, and is refused with this status.
async fn is_refused(client: &mut Client, channel: impl Display, status: u16) {
    client.does("subscribe", json!({ "channel": channel.to_string() })).await;
    let error = client.event(&channel.to_string(), "pusher:subscription_error").await;
    assert_eq!((&error["data"]["type"], &error["data"]["status"]), (&json!("AuthError"), &json!(status)), "{channel}: {error}");
}

/// The names of the events that a client heard on a channel and was not asked for.
fn events(client: &mut Client, channel: &str) -> Vec<String> {
    let heard = client.so_far(|said| said["heard"] == "event" && said["channel"] == channel);
    heard.iter().filter_map(|said| said["event"].as_str().map(str::to_owned)).collect()
}
