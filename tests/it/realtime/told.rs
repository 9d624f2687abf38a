//! Who is told what, from whichever door it came.

use serde_json::json;
use tabletalk::app::App;

use super::listening;
use crate::support::server::settings;
use crate::support::{Socket, TestServer};

#[tokio::test]
async fn what_the_api_writes_is_told_to_all_who_read_the_chat() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (mut hers, mut his) = (listening(&alice, chat).await, listening(&bob, chat).await);

    let said = alice.says(chat, "hello").await["id"].as_str().expect("an id").to_owned();
    for socket in [&mut hers, &mut his] {
        let frame = socket.next_is("message.created").await;
        assert_eq!(frame["chatId"], json!(chat));
        assert_eq!((&frame["payload"]["id"], &frame["payload"]["text"]), (&json!(said), &json!("hello")));
        assert_eq!((&frame["payload"]["userName"], &frame["payload"]["content"]), (&json!("alice"), &json!("hello")));
        assert_eq!(frame["rev"], frame["payload"]["seq"]);
    }
    alice.patch(&format!("/chats/{chat}/messages/{said}"), json!({ "text": "hello all" })).await.expect_status(200);
    bob.put(&format!("/chats/{chat}/messages/{said}/reactions/👍"), json!({})).await.expect_status(200);
    for socket in [&mut hers, &mut his] {
        let edited = socket.next_is("message.updated").await;
        assert_eq!(edited["payload"]["text"], "hello all");
        let mut frame = edited;
        while frame["payload"]["reactions"] == json!([]) {
            frame = socket.next_is("message.updated").await;
        }
        assert_eq!(frame["payload"]["reactions"], json!([{ "emoji": "👍", "count": 1 }]));
    }
    alice.delete(&format!("/chats/{chat}/messages/{said}")).await.expect_status(204);
    let to_bob = his.next_is("message.deleted").await;
    assert_eq!(to_bob["payload"], json!({ "id": said }), "who may not read what was deleted is told its id");
    let to_alice = hers.next_is("message.deleted").await;
    assert!(to_alice["payload"]["deletedAt"].is_string(), "an owner sees what was deleted: {to_alice}");
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "walkers" })).await.expect_status(200);
    assert_eq!(his.next_is("chat.updated").await["payload"]["name"], "walkers");
}

#[tokio::test]
async fn plain_sql_is_told_as_well() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut socket = listening(&bob, chat).await;
    let psql = server.database.db_as(alice.id).await;
    psql.execute("insert into chat.messages (chat_id, text) values ($1, 'from psql')", &[&chat]).await.expect("a message");
    assert_eq!(socket.next_is("message.created").await["payload"]["text"], "from psql");
    let owner = server.database.db_owner().await;
    owner.execute("update chat.messages set text = 'by the DBA' where chat_id = $1", &[&chat]).await.expect("an update");
    assert_eq!(socket.next_is("message.updated").await["payload"]["text"], "by the DBA");
    owner.execute("delete from chat.messages where chat_id = $1", &[&chat]).await.expect("a delete");
    socket.next_is("message.deleted").await;
    // without a hint: the sweep finds it
    let silent = "begin; select set_config('chat.hints_to', 'nobody', true);
                  update chat.chats set topic = 'silence' where type = 'group'; commit";
    owner.batch_execute(silent).await.expect(silent);
    assert_eq!(socket.next_is("chat.updated").await["payload"]["topic"], "silence");
}

#[tokio::test]
async fn several_processes_are_one() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (mut here, mut there) = (listening(&bob, chat).await, listening(&bob.at(other.url()), chat).await);
    alice.says(chat, "one").await;
    alice.at(other.url()).says(chat, "two").await;
    for socket in [&mut here, &mut there] {
        assert_eq!(socket.next_is("message.created").await["payload"]["text"], "one");
        assert_eq!(socket.next_is("message.created").await["payload"]["text"], "two");
    }
    other.stop().await.expect("it stops");
    assert_eq!(there.closes().await.0, 1012, "come back, to whoever answers");
}

#[tokio::test]
async fn who_names_a_rev_is_told_what_they_missed_first() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut socket = listening(&bob, chat).await;
    alice.says(chat, "heard").await;
    let rev = socket.next_is("message.created").await["rev"].clone();
    drop(socket);
    for n in 0..5 {
        alice.says(chat, &format!("missed {n}")).await;
    }
    let mut socket = Socket::of(&bob).await;
    let ack = socket.ask(json!({ "type": "subscribe", "chatId": chat, "since": rev })).await;
    assert_eq!(ack["type"], "ack");
    alice.says(chat, "live").await;
    for expected in ["missed 0", "missed 1", "missed 2", "missed 3", "missed 4", "live"] {
        assert_eq!(socket.next_is("message.created").await["payload"]["text"], expected);
    }
    assert!(socket.so_far().await.is_empty());
}

#[tokio::test]
async fn who_listens_to_all_their_chats_hears_of_those_they_come_to() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let old = alice.group_with(&[&bob]).await;
    let mut socket = Socket::of(&bob).await;
    assert_eq!(socket.hello["chats"][0]["id"], json!(old));
    let position = socket.hello["position"].clone();
    alice.says(old, "before").await;
    let ack = socket.ask(json!({ "type": "subscribe", "chatId": "*", "since": position })).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    // the position may be of a moment before he came to the chat: then he is to list it
    let heard = socket.next().await;
    assert!(heard["type"] == "resync" || heard["payload"]["text"] == "before", "{heard}");
    let new = alice.group_with(&[&bob]).await;
    let mut frame = socket.next().await;
    while frame["type"] != "chat.created" {
        frame = socket.next().await; // what was told before is told again
    }
    assert_eq!(frame["payload"]["id"], json!(new));
    alice.says(new, "in the new one").await;
    assert_eq!(socket.next_is("message.created").await["payload"]["text"], "in the new one");
    alice.delete(&format!("/chats/{new}/participants/{}", bob.id)).await.expect_status(204);
    assert_eq!(socket.next_is("chat.deleted").await["payload"]["id"], json!(new));
}

#[tokio::test]
async fn in_another_life_of_the_database_all_chats_are_looked_for() {
    let server = TestServer::start().await;
    let (alice, carol) = (server.person("alice").await, server.person("carol").await);
    let old = alice.group_with(&[&carol]).await;
    let new = alice.group_with(&[]).await;
    let mut hers = Socket::of(&carol).await;
    let ack = hers.ask(json!({ "type": "subscribe", "chatId": "*" })).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    alice.says(old, "before").await;
    assert_eq!(hers.next_frame("message.created").await["payload"]["text"], "before");
    // as after a restore: nothing that happened before it is a change
    let owner = server.database.db_owner().await;
    let restored = format!(
        "begin; insert into chat.participants (chat_id, user_id) values ('{new}', '{}');
         update chat.settings set life = life + 1; commit",
        carol.id
    );
    owner.batch_execute(&restored).await.expect(&restored);
    let (mut is_listed_anew, mut is_entered) = (false, false);
    while !(is_listed_anew && is_entered) {
        let frame = hers.next().await;
        is_listed_anew |= frame["type"] == "resync" && frame["chatId"] == json!(old);
        is_entered |= frame["type"] == "chat.created" && frame["chatId"] == json!(new);
    }
    alice.says(new, "in the new one").await;
    assert_eq!(hers.next_frame("message.created").await["payload"]["text"], "in the new one");
}

#[tokio::test]
async fn however_long_the_look_for_arrivals_takes_messages_are_told_in_between() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut his = listening(&bob, chat).await;
    let slow = "create or replace function chat_private.arrivals(_since pg_snapshot)
                returns table (what text, chat_id uuid, user_id uuid, may_be_listed boolean, next_position text)
                language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
                begin
                  perform pg_sleep(0.4);
                  return query select 'end', null::uuid, null::uuid, null::boolean, pg_current_snapshot()::text;
                end $$";
    server.database.db_owner().await.batch_execute(slow).await.expect(slow);
    for text in ["one", "two", "three"] {
        alice.says(chat, text).await;
        assert_eq!(his.next_is("message.created").await["payload"]["text"], text);
    }
}
