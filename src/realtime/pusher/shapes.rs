//! Rooms and messages, as this protocol's clients know them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::encode::tail;
use crate::api::shapes::change::{Change, ChangeKind};
use crate::api::shapes::message::Message;
use crate::wire::Timestamp;

/// A chat.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    pub id: Uuid,
    name: String,
    r#type: &'static str,
    /// In milliseconds since 1970.
    created_at: i64,
    user_count: i64,
    /// Who is in it, the first of them; a public room's are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<String>>,
}

/// A chat, as the API answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chat {
    id: Uuid,
    name: String,
    visibility: String,
    created_at: Timestamp,
    participant_count: i64,
    #[serde(default)]
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
struct Participant {
    name: String,
    username: Option<String>,
}

impl Room {
    /// What the API answers about a chat.
    pub fn of(chat: &Value) -> Option<Self> {
        let chat = Chat::deserialize(chat).ok()?;
        let is_public = chat.visibility == "public";
        let called = |person: Participant| person.username.unwrap_or(person.name);
        Some(Self {
            id: chat.id,
            name: chat.name,
            r#type: if is_public { "public" } else { "private" },
            created_at: millis(chat.created_at),
            user_count: chat.participant_count,
            members: (!is_public).then(|| chat.participants.into_iter().map(called).collect()),
        })
    }

    /// Whether everybody may find it.
    pub fn is_public(&self) -> bool {
        self.r#type == "public"
    }
}

/// What is told of a room: `room-created` or `room-updated`.
pub fn room(event: &str, room: &Room) -> String {
    tail(event, &json!({ "room": room }))
}

/// That there is a room no more.
pub fn room_deleted(chat: Uuid) -> String {
    tail("room-deleted", &json!({ "roomId": chat }))
}

/// That rooms are to be looked at anew: these.
pub fn rooms(rooms: &[Room]) -> String {
    tail("rooms-updated", &json!({ "rooms": rooms }))
}

/// Somebody, as others see them.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Profile {
    id: Uuid,
    #[serde(rename(serialize = "name"))]
    display_name: String,
    username: Option<String>,
    #[serde(rename(serialize = "avatarUrl"))]
    avatar_url: Option<String>,
}

impl Profile {
    /// What the API answers about who asks.
    pub fn of(me: &Value) -> Option<Self> {
        Self::deserialize(me).ok()
    }

    /// As a client is told who has signed in.
    pub fn user_data(&self) -> String {
        json!(self).to_string()
    }

    /// As a client is told who it is on a presence channel.
    pub fn channel_data(&self) -> String {
        let mut info = json!(self);
        let id = info.as_object_mut().and_then(|info| info.shift_remove("id"));
        json!({ "user_id": id, "user_info": info }).to_string()
    }
}

/// Whether a change is of a message, and not of the room or of who is in it.
pub fn is_of_message(change: &Change) -> bool {
    change.message.is_some() || change.message_id.is_some()
}

/// What is told of a message, as of a kind of change. One of which nothing is known but its id is gone for who is told.
pub fn message(kind: ChangeKind, change: &Change) -> String {
    let event = match kind {
        ChangeKind::MessageCreated => "room-message",
        ChangeKind::MessageUpdated => "message-updated",
        _ => return message_deleted(change),
    };
    let Some(message) = &change.message else { return message_deleted(change) };
    tail(event, &json!({ "roomId": change.chat_id, "message": of_message(message) }))
}

/// That a message is gone.
pub fn message_deleted(change: &Change) -> String {
    let id = change.message.as_ref().map(|message| message.id).or(change.message_id);
    tail("message-deleted", &json!({ "roomId": change.chat_id, "messageId": id }))
}

fn of_message(message: &Message) -> Value {
    json!({
        "id": message.id,
        "roomId": message.chat_id,
        "username": message.sender_username.as_ref().or(message.sender_name.as_ref()),
        "content": message.text,
        "timestamp": millis(message.created_at),
    })
}

fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.0.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "0190d2a3-7f6e-4c1b-9a34-5d6e7f809102";

    fn read(tail: &str) -> (String, Value) {
        let frame: Value = serde_json::from_str(&format!("{{{tail}")).expect(tail);
        let data = frame["data"].as_str().and_then(|data| serde_json::from_str(data).ok()).expect(tail);
        (frame["event"].as_str().expect(tail).to_owned(), data)
    }

    fn of(kind: &str, more: Value) -> Change {
        let mut change = json!({ "kind": kind, "chatId": CHAT, "rev": 7 });
        change.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(change).expect("a change")
    }

    fn said(more: Value) -> Value {
        let mut message = json!({
            "id": CHAT, "chatId": CHAT, "seq": 7, "rev": 7, "kind": "user", "senderId": CHAT, "senderName": "Alice A.",
            "text": "hello \"all\"", "mentions": [], "reactions": [], "createdAt": "2026-01-01T00:00:00.123456Z",
        });
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "message": message })
    }

    #[test]
    fn a_message_is_told_with_the_username_of_its_sender_or_else_their_name() {
        for (more, username) in [(json!({ "senderUsername": "alice" }), json!("alice")), (json!({}), json!("Alice A."))] {
            let change = of("message.created", said(more));
            let message_told = json!({ "id": CHAT, "roomId": CHAT, "username": username, "content": "hello \"all\"", "timestamp": 1_767_225_600_123_u64 });
            let told = read(&message(change.kind, &change));
            assert_eq!(told, ("room-message".to_owned(), json!({ "roomId": CHAT, "message": message_told })));
            assert_eq!(read(&message(ChangeKind::MessageUpdated, &change)).0, "message-updated");
        }
    }

    #[test]
    fn of_a_message_that_is_gone_its_id_is_told_alone() {
        let gone = ("message-deleted".to_owned(), json!({ "roomId": CHAT, "messageId": CHAT }));
        let known = of("message.deleted", json!({ "messageId": CHAT }));
        assert_eq!(read(&message(known.kind, &known)), gone);
        let seen = of("message.deleted", said(json!({ "deletedAt": "2026-01-01T00:00:01.000000Z" })));
        assert_eq!(read(&message(seen.kind, &seen)), gone, "also to who sees deleted messages");
        assert_eq!(read(&message_deleted(&of("message.updated", said(json!({}))))), gone);
        assert!(is_of_message(&known) && !is_of_message(&of("participant.left", json!({ "userId": CHAT }))));
    }

    #[test]
    fn a_profile_is_shown_by_what_one_is_called() {
        let me = json!({ "id": CHAT, "displayName": "Alice A.", "username": "alice", "kind": "member", "createdAt": "2026-01-01T00:00:00Z" });
        let profile = Profile::of(&me).expect("a profile");
        let told = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        assert_eq!(told(profile.user_data()), json!({ "id": CHAT, "name": "Alice A.", "username": "alice" }));
        let info = json!({ "name": "Alice A.", "username": "alice" });
        assert_eq!(told(profile.channel_data()), json!({ "user_id": CHAT, "user_info": info }));
    }

    #[test]
    fn a_room_lists_its_members_unless_it_is_public() {
        let chat = |visibility: &str| {
            json!({
                "id": CHAT, "uid": "x", "type": "room", "visibility": visibility, "name": "ours", "participantCount": 2,
                "participants": [{ "id": CHAT, "name": "Alice A.", "username": "alice" }, { "id": CHAT, "name": "Bob" }],
                "createdAt": "2026-01-01T00:00:00.123456Z",
            })
        };
        let room = |chat: &Value| serde_json::to_value(Room::of(chat).expect("a room")).expect("JSON");
        let told =
            |kind: &str| json!({ "id": CHAT, "name": "ours", "type": kind, "createdAt": 1_767_225_600_123_u64, "userCount": 2 });
        assert_eq!(room(&chat("public")), told("public"));
        let mut private = told("private");
        private["members"] = json!(["alice", "Bob"]);
        assert_eq!((room(&chat("private")), room(&chat("unlisted"))), (private.clone(), private));
        assert!(Room::of(&json!({ "id": CHAT })).is_none());
    }
}
