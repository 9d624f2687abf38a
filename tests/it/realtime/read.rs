//! How far people have read: told to those in the chat, and only what is so.

use serde_json::json;
use tabletalk::app::App;

use super::{heeding, public_room};
use crate::support::server::settings;
use crate::support::{Person, Socket, TestServer};

/// The next frame says how far somebody has read.
async fn hears(socket: &mut Socket, of: &Person, seq: i64) {
    let mut frame = socket.next().await;
    while ["message.created", "presence", "participant.joined"].contains(&frame["type"].as_str().unwrap_or_default()) {
        frame = socket.next().await;
    }
    assert_eq!(frame["type"], "read", "{frame}");
    assert_eq!(frame["payload"], json!({ "userId": of.id, "lastReadSeq": seq }));
}

#[tokio::test]
async fn who_reads_further_is_told_by_every_process_to_those_in_the_chat_and_to_no_reader_else() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let room = public_room(&server, &alice).await;
    bob.joins(room).await.expect_status(200);
    let seq = alice.says(room, "read this").await["seq"].as_i64().expect("a seq");
    let (mut here, mut there) = (heeding(&alice, room).await, heeding(&alice.at(other.url()), room).await);
    let (mut his, mut strangers) = (heeding(&bob, room).await, heeding(&mallory, room).await);

    bob.put(&format!("/chats/{room}/read"), json!({ "seq": seq })).await.expect_status(200);
    for socket in [&mut here, &mut there, &mut his] {
        hears(socket, &bob, seq).await;
    }
    // by a frame; what changes nothing is not told
    let next = alice.says(room, "and this").await["seq"].as_i64().expect("a seq");
    his.ask(json!({ "type": "read", "chatId": room, "payload": { "seq": seq } })).await;
    let answer = his.ask(json!({ "type": "read", "chatId": room, "payload": { "seq": next } })).await;
    assert_eq!(answer["payload"], json!({ "seq": next }));
    for socket in [&mut here, &mut there, &mut his] {
        hears(socket, &bob, next).await;
    }
    alice.says(room, "a word").await;
    for expected in ["and this", "a word"] {
        assert_eq!(
            strangers.next_is("message.created").await["payload"]["text"],
            expected,
            "a visitor is told what is said alone"
        );
    }
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn plain_sql_is_told_as_well_and_what_is_forged_tells_what_is_so() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let chat = alice.group_with(&[&bob, &carol]).await;
    let seq = alice.says(chat, "read this").await["seq"].as_i64().expect("a seq");
    let mut hers = heeding(&alice, chat).await;
    let psql = server.database.db_as(bob.id).await;
    let forged = [format!("r{chat}.{}", alice.id), format!("r{chat}.{}", bob.id), format!("r{}.{}", bob.id, bob.id)];
    for forged in forged {
        psql.execute("select pg_notify('chat', $1)", &[&forged]).await.expect("anybody may");
    }
    let statement = "insert into chat.read_markers (chat_id, seq) values ($1, $2)";
    psql.execute(statement, &[&chat, &seq]).await.expect(statement);
    hears(&mut hers, &bob, seq).await;
    let again = format!("r{chat}.{}", bob.id);
    psql.execute("select pg_notify('chat', $1)", &[&again]).await.expect("anybody may");
    hears(&mut hers, &bob, seq).await;
    // who is not in it any more has not read anything
    bob.leaves(chat).await.expect_status(204);
    psql.execute("select pg_notify('chat', $1)", &[&again]).await.expect("anybody may");
    hers.next_frame("participant.left").await;
    assert!(hers.so_far().await.iter().all(|frame| frame["type"] != "read"));
}
