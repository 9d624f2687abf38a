//! What is subscribed to: who may, what a filter lets through, and what is answered to what nobody can do.

use std::time::Duration;

use serde_json::{Value, json};
use tabletalk::realtime::trial::Trial;
use uuid::Uuid;

use super::wire::Wire;
use super::{changes, channel, rows_of};
use crate::realtime::public_room;
use crate::support::TestServer;
use crate::support::npm::Node;

/// How long a relay rests before it reads that is to be slow.
const PACE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn what_is_written_when_a_channel_says_that_it_is_subscribed_is_heard() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    // a relay that takes its time: what is said before it knows a chat would be missed
    server.app.try_under(Trial { pace: PACE, ..Trial::default() });
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    for version in ["1.0.0", "2.0.0"] {
        let mut his = node.supabase(&bob, json!({ "realtime": { "vsn": version } })).await;
        for number in 0..5 {
            let chat = alice.group_with(&[&bob]).await;
            // by its filter, and with all chats
            for (name, on) in [("one", rows_of("messages", chat)), ("all", changes(json!({ "table": "messages" })))] {
                let name = format!("{name} {number}");
                his.joins(&name, json!({}), &[("postgres_changes", on)]).await;
                let text = format!("{version} {name}");
                alice.says(chat, &text).await;
                assert_eq!(his.change(&name).await["new"]["text"], json!(text));
            }
        }
    }
}

#[tokio::test]
async fn who_has_no_token_yet_is_refused_at_once_and_comes_back_with_it() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut his = node.client("bob");
    let often = json!({ "realtime": { "heartbeatIntervalMs": 300 } });
    his.does("supabase", json!({ "url": bob.url(), "key": "anon", "token": null, "options": often })).await;
    his.asks_to_join(&channel(chat), json!({}), &[("postgres_changes", rows_of("messages", chat))]).await;
    let refused = his.status(&channel(chat), "CHANNEL_ERROR").await;
    let text = "Unauthorized: You do not have permissions to read from this Channel topic: chat:";
    assert!(refused["error"].as_str().is_some_and(|error| error.contains(text)), "{refused}");
    // as when the application has signed in: the client library asks for the token by itself
    his.does("setToken", json!({ "token": bob.token() })).await;
    his.status(&channel(chat), "SUBSCRIBED").await;
    alice.says(chat, "with the token").await;
    assert_eq!(his.change(&channel(chat)).await["new"]["text"], "with the token");
}

#[tokio::test]
async fn a_public_room_is_heard_by_name_also_by_who_has_no_account() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    server.database.db_set("anon_reads_public_rooms = true").await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = public_room(&server, &alice).await;
    let private = alice.group_with(&[]).await;
    let mut visitors = node.client("a visitor");
    visitors.does("supabase", json!({ "url": server.app.url(), "key": "sb_publishable_x" })).await;
    let mut his = node.supabase(&bob, json!({})).await;
    for client in [&mut visitors, &mut his] {
        client.joins("the square", json!({}), &[("postgres_changes", rows_of("messages", room))]).await;
    }
    alice.says(room, "to all the world").await;
    for client in [&mut visitors, &mut his] {
        assert_eq!(client.change("the square").await["new"]["text"], "to all the world");
    }
    for (name, on) in [("private", rows_of("messages", private)), ("all", changes(json!({ "table": "messages" })))] {
        visitors.asks_to_join(name, json!({}), &[("postgres_changes", on)]).await;
        visitors.status(name, "CHANNEL_ERROR").await;
    }
}

#[tokio::test]
async fn a_filter_lets_through_what_postgres_would() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (chat, other) = (alice.group_with(&[&bob]).await, alice.group_with(&[&bob]).await);
    let filters = [
        format!("chat_id=eq.{chat}"),
        format!("chat_id=in.({chat},{other}),text=like.%apple%"),
        format!("chat_id=neq.{chat}"),
        format!("sender_id=eq.{}", bob.id),
        format!("sender_id=not.in.({})", bob.id),
        "text=imatch.^(an )?APPLE".to_owned(),
        "attachment_url=is.null".to_owned(),
        "attachment_url=neq.x".to_owned(),
        "attachment_url=isdistinct.x".to_owned(),
        "created_at=gt.2026-01-01,seq=gte.1".to_owned(),
        "pinned_at=lt.2999-01-01".to_owned(),
        r#"text=in.("a, b",c)"#.to_owned(),
    ];
    let mut his = Wire::of(&bob).await;
    let bindings: Vec<Value> = filters.iter().map(|filter| changes(json!({ "table": "messages", "filter": filter }))).collect();
    his.joins("realtime:fruit", json!(bindings)).await;
    let client = server.database.db_as(bob.id).await;
    for (person, chat, text) in
        [(&alice, chat, "an apple"), (&bob, other, "a, b"), (&bob, chat, "Apple pie"), (&alice, other, "c")]
    {
        let id = person.says(chat, text).await["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()).expect("an id");
        let frame = loop {
            let frame = his.hears("postgres_changes").await;
            if frame["data"]["record"]["id"] == json!(id) {
                break frame;
            }
        };
        let mut expected = Vec::new();
        for (number, sql) in [
            format!("chat_id = '{chat}'", chat = filters[0].trim_start_matches("chat_id=eq.")),
            "text like '%apple%'".to_owned(),
            format!("chat_id <> '{}'", filters[0].trim_start_matches("chat_id=eq.")),
            format!("sender_id = '{}'", bob.id),
            format!("not (sender_id in ('{}'))", bob.id),
            "text ~* '^(an )?APPLE'".to_owned(),
            "attachment_url is null".to_owned(),
            "attachment_url <> 'x'".to_owned(),
            "attachment_url is distinct from 'x'".to_owned(),
            "created_at > '2026-01-01' and seq >= 1".to_owned(),
            "pinned_at < '2999-01-01'".to_owned(),
            "text in ('a, b', 'c')".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let select = format!("select exists (select from chat.messages where id = '{id}' and ({sql}))");
            if client.query_one(&select, &[]).await.expect(&select).get(0) {
                expected.push(json!(number + 1));
            }
        }
        assert_eq!(frame["ids"], json!(expected), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_said_in_the_answer() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let chat = alice.group_with(&[&bob]).await;
    let mut hers = Wire::of(&mallory).await;
    let refused = async |wire: &mut Wire, topic: &str, config: Value| {
        let (status, response) = wire.asks(None, topic, "phx_join", json!({ "config": config })).await;
        assert_eq!(status, "error", "{response}");
        response["reason"].as_str().expect("a reason").to_owned()
    };
    let unauthorized = format!("Unauthorized: You do not have permissions to read from this Channel topic: {}", channel(chat));
    assert_eq!(refused(&mut hers, &format!("realtime:{}", channel(chat)), json!({})).await, unauthorized);
    let bound = |binding: Value| json!({ "postgres_changes": [binding] });
    let reason = refused(&mut hers, "realtime:hers", bound(rows_of("messages", chat))).await;
    assert!(reason.starts_with("Unauthorized: ") && reason.contains(&chat.to_string()), "{reason}");
    let nowhere = format!("realtime:{}", channel(Uuid::new_v4()));
    assert!(refused(&mut hers, &nowhere, json!({})).await.starts_with("Unauthorized: "));
    assert!(refused(&mut hers, "realtime:lobby", json!({})).await.starts_with("Unauthorized: "), "no chat and no rows");
    for (binding, why) in [
        (changes(json!({ "table": "users" })), "There is no such table"),
        (json!({ "event": "*", "schema": "auth" }), "There is no such schema"),
        (changes(json!({ "table": "messages", "filter": "nothing=eq.1" })), "invalid column for filter nothing"),
        (changes(json!({ "table": "messages", "filter": "text=foo.1" })), "Error parsing `filter` params"),
        (changes(json!({ "table": "messages", "select": ["nothing"] })), "invalid column for select nothing"),
    ] {
        let reason = refused(&mut hers, "realtime:hers", bound(binding)).await;
        assert!(reason.contains(why), "{reason}");
    }
    let token = json!({ "config": bound(changes(json!({ "table": "messages" }))), "access_token": "no.token.at-all" });
    let (_, response) = hers.asks(None, "realtime:hers", "phx_join", token).await;
    assert_eq!(response["reason"], "MalformedJWT: The token provided is not a valid JWT");
    assert!(refused(&mut hers, "realtime:", json!({})).await.starts_with("TopicNameRequired"));
    let replay = json!({ "broadcast": { "replay": { "since": 1 } } });
    assert!(refused(&mut hers, &nowhere, replay).await.starts_with("UnableToReplayMessages"));
}

#[tokio::test]
async fn of_several_chats_those_that_may_be_read_are_told_and_the_others_are_named() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (his_chat, hers) = (alice.group_with(&[&bob]).await, alice.group_with(&[]).await);
    let mut wire = Wire::of(&bob).await;
    let both = changes(json!({ "table": "messages", "filter": format!("chat_id=in.({his_chat},{hers})") }));
    wire.joins("realtime:both", json!([both])).await;
    assert_eq!(wire.hears("system").await["message"], "Subscribed to PostgreSQL");
    let system = wire.hears("system").await;
    assert!(system["status"] == "error" && system["message"].to_string().contains(&hers.to_string()), "{system}");
    alice.says(hers, "not for him").await;
    alice.says(his_chat, "for him").await;
    assert_eq!(wire.change().await["record"]["text"], "for him");
}

#[tokio::test]
async fn who_comes_to_a_chat_hears_of_it_and_in_it() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mut his = node.supabase(&bob, json!({})).await;
    let on = ["chats", "messages"].map(|table| ("postgres_changes", changes(json!({ "table": table }))));
    his.joins("mine", json!({}), &on).await;
    let chat = alice.group_with(&[&bob]).await;
    let came = his.change("mine").await;
    assert_eq!((&came["table"], &came["eventType"], &came["new"]["id"]), (&json!("chats"), &json!("INSERT"), &json!(chat)));
    alice.says(chat, "welcome").await;
    assert_eq!(his.change("mine").await["new"]["text"], "welcome");
    alice.removes(chat, &bob).await.expect_status(204);
    let gone = his.change("mine").await;
    assert_eq!((&gone["table"], &gone["eventType"], &gone["old"]), (&json!("chats"), &json!("DELETE"), &json!({ "id": chat })));
}

#[tokio::test]
async fn rows_that_no_filter_chooses_are_of_all_chats_also_on_the_channel_of_one() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (one, other) = (alice.group_with(&[&bob]).await, alice.group_with(&[&bob]).await);
    let mut his = Wire::of(&bob).await;
    his.joins(&format!("realtime:{}", channel(one)), json!([changes(json!({ "table": "messages" }))])).await;
    for chat in [other, one] {
        alice.says(chat, "hello").await;
        assert_eq!(his.change().await["record"]["chat_id"], json!(chat));
    }
}
