//! Broadcasts: told once to those who are in a chat, by every process, in order; stored nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tabletalk::app::App;
use uuid::Uuid;

use super::{heeding, public_room};
use crate::support::server::settings;
use crate::support::{Person, Socket, TestServer, eventually};

async fn broadcasts(person: &Person, chat: Uuid, body: Value) -> Value {
    person.post(&format!("/chats/{chat}/broadcasts"), body).await.expect_status(202).body["id"].clone()
}

/// The next frame that is not about who is here.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let frame = socket.next().await;
        if frame["type"] != "presence" {
            return frame;
        }
    }
}

/// The next frame is a broadcast of the chat: what it says.
async fn hears(socket: &mut Socket, chat: Uuid) -> Value {
    let frame = next(socket).await;
    assert_eq!((&frame["type"], &frame["chatId"]), (&json!("broadcast"), &json!(chat)), "{frame}");
    frame["payload"].clone()
}

#[tokio::test]
async fn what_is_broadcast_is_told_by_every_process_to_who_is_in_the_chat_and_kept_by_nobody() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let (mut here, mut there) = (heeding(&alice, room).await, heeding(&alice.at(other.url()), room).await);
    let (mut his, mut strangers) = (heeding(&bob, room).await, heeding(&mallory, room).await);

    let payload = json!({ "z": [1, { "y": null }], "a": "x\u{0}y" });
    let id = broadcasts(&bob, room, json!({ "event": "cursor", "payload": payload })).await;
    for socket in [&mut here, &mut there, &mut his] {
        let told = hears(socket, room).await;
        assert_eq!(told, json!({ "id": id, "userId": bob.id, "event": "cursor", "payload": payload }));
        assert_eq!(told["payload"].to_string(), payload.to_string(), "in the order in which it was said");
    }
    let bytes = STANDARD.encode([0, 255, 7]);
    let frame = json!({ "type": "broadcast", "chatId": room, "payload": { "event": "ink", "bytes": bytes } });
    let answer = his.ask(frame).await;
    assert_eq!(answer["type"], "ack", "{answer}");
    for socket in [&mut here, &mut there, &mut his] {
        let told = hears(socket, room).await;
        assert_eq!(told, json!({ "id": answer["payload"]["id"], "userId": bob.id, "event": "ink", "bytes": bytes }));
    }
    alice.says(room, "a word").await;
    assert_eq!(next(&mut strangers).await["type"], "message.created", "who only reads the room hears nothing of it");
    other.stop().await.expect("it stops");
}
