//! Texts are stored and returned as written.

use serde_json::json;

use super::path;
use crate::support::TestServer;

#[tokio::test]
async fn every_text_comes_back_byte_for_byte() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let texts = [
        "שלום עולם \u{202e}abc\u{202c} مرحبا",
        "Z\u{0351}\u{036b}\u{0343}a\u{0300}\u{0301}\u{0302}lgo e\u{0301} ≠ é",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 e\u{20e3}",
        "one\ntwo\r\nthree\rfour\ttab\n",
        "  spaces around  ",
        "\u{feff}\u{200b}zero width\u{200d}",
        "𝒳 𐍈 \u{10ffff} \u{fffd} \u{fffe}",
        "<script>alert('x')</script> & \"quotes\" \\ back\\u0041slash %s %00 '; drop table chat.messages; --",
        "\u{1}\u{7f}\u{85}\u{2028}\u{2029} control",
        "${HOME} {{x}} $1",
    ];
    for text in texts {
        let sent = alice.says(chat, text).await;
        assert_eq!(sent["text"].as_str().map(str::as_bytes), Some(text.as_bytes()));
        assert_eq!(bob.get(&path(&sent)).await.body["text"].as_str().map(str::as_bytes), Some(text.as_bytes()));
        let edited = alice.patch(&path(&sent), json!({ "text": format!("{text}!") })).await.expect_status(200);
        assert_eq!(edited.body["text"], format!("{text}!"));
    }
    assert_eq!(bob.sees(chat).await["lastMessage"]["text"], "${HOME} {{x}} $1!");
}

#[tokio::test]
async fn a_text_of_the_greatest_length_fits_and_one_more_does_not() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (rule, number) = ("messages_text_is_short_enough", "messages.8");
    // characters are counted, not bytes
    for character in ["x", "ä", "𝒳"] {
        let sent = alice.says(chat, &character.repeat(10_000)).await;
        let before = server.database.db_rows().await;
        let long = alice.tries(chat, &character.repeat(10_001)).await.refused(422, rule, number);
        assert_eq!(long.body["detail"], "this one has 10001");
        alice.patch(&path(&sent), json!({ "text": character.repeat(10_001) })).await.refused(422, rule, number);
        assert_eq!(server.database.db_rows().await, before);
    }
    server.database.db_set("text_max = 65536").await;
    alice.says(chat, &"𝒳".repeat(65_536)).await;
    alice.tries(chat, &"x".repeat(65_537)).await.refused(422, rule, number);
    server.database.db_set("text_max = 3").await;
    alice.says(chat, "abc").await;
    alice.tries(chat, "abcd").await.refused(422, rule, number);
}

#[tokio::test]
async fn what_postgres_cannot_store_is_the_senders_mistake() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let sent = alice.says(chat, "hello").await;
    let before = server.database.db_rows().await;
    let nul = "a\0b";
    let answers = [
        alice.tries(chat, nul).await,
        alice.patch(&path(&sent), json!({ "text": nul })).await,
        alice.post(&format!("/chats/{chat}/messages"), json!({ "text": "x", "attachmentUrl": "https://x/\0" })).await,
        alice.post("/chats", json!({ "type": "group", "name": nul })).await,
        alice.post("/chats", json!({ "type": "room", "name": "x", "topic": nul })).await,
        alice.patch(&format!("/chats/{chat}"), json!({ "name": nul })).await,
        alice.get("/chats?query=a%00b").await,
        alice.get("/users?query=a%00b").await,
        alice.joins("a%00b").await,
        server.service().put("/events/a%00b/chats/event_authors", json!({})).await,
        server.service().put("/events/e1/chats/event_authors", json!({ "name": nul })).await,
    ];
    for answer in answers {
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    }
    assert_eq!(server.database.db_rows().await, before);
    alice.says(chat, "and the connection works on").await;
}
