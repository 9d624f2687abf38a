//! The native protocol: tokens, frames, problems, limits.

use serde_json::json;
use tabletalk::auth::{NewToken, mint};

use super::listening;
use crate::support::server::SECRET;
use crate::support::{Socket, TestServer, eventually};

/// As sql/README.md says it.
pub const OPEN_LOBBY: &str = "
with room as (insert into chat.chats (type, visibility, name) values ('room', 'public', 'Lobby') returning id)
update chat.settings set lobby = (select r.id from room r)";

#[tokio::test]
async fn a_token_comes_in_the_header_the_subprotocol_or_the_address() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let url = Socket::url(&alice);
    let socket = Socket::at(&format!("{url}?token={}", alice.token())).await;
    assert_eq!(socket.hello["authenticatedUser"]["id"], json!(alice.id));
    assert!(socket.hello["position"].as_str().is_some_and(|position| !position.is_empty()), "{}", socket.hello);
    assert_eq!(Socket::refused(&url, &[]).await, (401, "token_missing".to_owned()));
    assert_eq!(Socket::refused(&format!("{url}?token=nonsense"), &[]).await.0, 401);
    let bearer = format!("Bearer {}", alice.token());
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://elsewhere.example.com")];
    assert_eq!(Socket::refused(&url, &foreign).await, (403, "origin_not_allowed".to_owned()));
}

#[tokio::test]
async fn what_a_frame_asks_for_is_done_as_a_request_would_do_it() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let chat = alice.group_with(&[]).await;
    let mut socket = listening(&alice, chat).await;
    let ack = socket.ask(json!({ "type": "message.create", "chatId": chat, "payload": { "content": "hello" } })).await;
    assert_eq!((&ack["type"], &ack["payload"]["text"]), (&json!("ack"), &json!("hello")));
    let id = ack["payload"]["id"].clone();
    let edited = json!({ "type": "message.update", "chatId": chat, "payload": { "id": id, "text": "hello all" } });
    assert_eq!(socket.ask(edited).await["payload"]["text"], "hello all");
    assert_eq!(
        socket.ask(json!({ "type": "read", "chatId": chat, "payload": { "seq": ack["payload"]["seq"] } })).await["type"],
        "ack"
    );
    let gone = socket.ask(json!({ "type": "message.delete", "chatId": chat, "payload": { "id": id } })).await;
    assert_eq!(gone["type"], "ack", "{gone}");
    let blank = socket.ask(json!({ "type": "message.create", "chatId": chat, "payload": { "text": " " } })).await;
    assert_eq!((&blank["type"], &blank["payload"]["code"]), (&json!("error"), &json!("messages_text_is_not_blank")));
    assert!(blank["payload"]["rule"].is_string(), "{blank}");

    let mut hers = Socket::of(&mallory).await;
    let refused = hers.ask(json!({ "type": "message.create", "chatId": chat, "payload": { "text": "let me in" } })).await;
    assert_eq!(refused["payload"]["status"], 403, "{refused}");
}

#[tokio::test]
async fn the_simplest_client_talks_in_the_lobby() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let hers = Socket::of(&alice).await;
    assert!(hers.hello.get("lobby").is_none(), "there is none yet: {}", hers.hello);
    let owner = server.database.db_owner().await;
    owner.batch_execute(OPEN_LOBBY).await.expect(OPEN_LOBBY);
    eventually("there is a lobby", async || Socket::of(&alice).await.hello["lobby"].is_string()).await;

    let mut hers = Socket::at(&format!("{}?token={}", Socket::url(&alice), alice.token())).await;
    assert_eq!(hers.hello["users"], json!([{ "id": alice.id, "name": "alice" }]));
    hers.say(&json!({ "type": "message.create", "payload": { "content": "is anybody here?" } })).await;
    let heard = hers.next_frame("message.created").await;
    assert_eq!((&heard["payload"]["content"], &heard["payload"]["userName"]), (&json!("is anybody here?"), &json!("alice")));

    let mut his = Socket::of(&bob).await;
    assert_eq!(his.hello["messages"][0]["content"], "is anybody here?");
    assert_eq!(his.hello["users"].as_array().map(Vec::len), Some(2));
    his.say(&json!({ "type": "message.create", "payload": { "content": "I am" } })).await;
    assert_eq!(hers.next_frame("message.created").await["payload"]["content"], "I am");
    // who has no account has no lobby
    assert!(Socket::of(&server.anon()).await.hello.get("lobby").is_none());
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_said_to_be() {
    let server = TestServer::start().await;
    let mut socket = Socket::of(&server.person("alice").await).await;
    socket.say_text(&"x".repeat((1 << 20) + 1)).await;
    assert_eq!(socket.closes().await.0, 1009);
}

#[tokio::test]
async fn what_is_no_frame_is_said_to_be_none_and_ends_nothing() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let mut socket = Socket::of(&alice).await;
    for text in ["", "nonsense", "[]", r#"{"type":"subscribe"}"#, r#"{"type":"subscribe","chatId":"x"}"#] {
        socket.say_text(text).await;
        let error = socket.next_is("error").await;
        assert_eq!(error["payload"]["code"], "frame_is_malformed", "{text}");
    }
    assert!(socket.so_far().await.is_empty());
}

#[tokio::test]
async fn who_sends_too_much_is_closed() {
    let server = TestServer::start().await;
    let mut socket = Socket::of(&server.person("alice").await).await;
    for _ in 0..150 {
        socket.say(&json!({ "type": "ping" })).await;
    }
    assert_eq!(socket.closes().await.0, 4429);
}

#[tokio::test]
async fn a_token_that_ends_is_announced_renewed_or_closes_the_socket() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    // 30 s of other people's clocks are granted beyond it
    let short =
        |seconds: i64| server.bearer_of("alice", json!({ "sub": alice.id, "role": "authenticated", "exp": now - 30 + seconds }));
    let mut left = Socket::of(&short(3)).await;
    let mut renewed = Socket::of(&short(4)).await;
    left.next_is("token.expiring").await;
    renewed.next_is("token.expiring").await;
    let anothers = mint(SECRET, &NewToken::of_user(uuid::Uuid::new_v4())).expect("a token");
    assert_eq!(
        renewed.ask(json!({ "type": "token", "payload": { "token": anothers } })).await["payload"]["code"],
        "token_is_anothers"
    );
    assert_eq!(renewed.ask(json!({ "type": "token", "payload": { "token": alice.token() } })).await["type"], "ack");
    assert_eq!(left.closes().await.0, 4401);
    let mut frames = renewed.so_far().await;
    frames.retain(|frame| frame["type"] != "token.expiring");
    assert!(frames.is_empty(), "{frames:?}");
}
