//! Clients that come back, to whichever process, and are told what they missed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tabletalk::app::App;
use uuid::Uuid;

use super::wire::Wire;
use super::{changes, rows_of};
use crate::support::server::settings;
use crate::support::{Person, TestServer, eventually};

/// A client that is known again by an id.
struct Known {
    wire: Wire,
    joined: String,
}

async fn known(person: &Person, resume: Uuid, topic: &str, bindings: Value) -> Known {
    let query = format!("apikey={}&resume_id={resume}&vsn=2.0.0", person.token());
    let mut wire = Wire::open(person.url(), "/realtime/v1/websocket", &query).await.expect("it opens");
    let joined = wire.joins(topic, bindings).await;
    Known { wire, joined }
}

impl Known {
    /// Says so often that it is there.
    async fn beats(&mut self, times: u32) {
        for _ in 0..times {
            assert_eq!(self.wire.asks(None, "phoenix", "heartbeat", json!({})).await.0, "ok");
        }
    }

    /// Waits until it is written down that they have this: any process would go on from there.
    async fn is_known_at(&self, server: &TestServer, chat: Uuid, rev: i64) {
        let owner = server.database.db_owner().await;
        let is_known = "select exists (select from chat_private.resumes r where (r.mark::json -> 'chats' ->> $1)::bigint >= $2)";
        let chat = chat.to_string();
        eventually("it is written down", async || owner.query_one(is_known, &[&chat, &rev]).await.expect(is_known).get(0)).await;
    }

    /// The words of the rows up to these, each with what happened.
    async fn hears_until(&mut self, last: &str) -> Vec<(String, String)> {
        let mut heard: Vec<(String, String)> = Vec::new();
        while heard.last().is_none_or(|(_, text)| text != last) {
            let change = self.wire.change().await;
            let text = change["record"]["text"].as_str().unwrap_or_default().to_owned();
            heard.push((change["type"].as_str().expect("a type").to_owned(), text));
        }
        heard
    }
}

fn words(heard: &[(String, String)]) -> Vec<(&str, &str)> {
    heard.iter().map(|(kind, text)| (kind.as_str(), text.as_str())).collect()
}

#[tokio::test]
async fn who_comes_back_is_told_what_they_missed_from_what_they_are_known_to_have() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let (resume, topic, bindings) = (Uuid::new_v4(), format!("realtime:chat:{chat}"), json!([rows_of("messages", chat)]));
    let mut his = known(&bob, resume, &topic, bindings.clone()).await;
    let said = alice.says(chat, "acknowledged").await;
    his.hears_until("acknowledged").await;
    his.beats(2).await;
    his.is_known_at(&server, chat, said["seq"].as_i64().expect("a seq")).await;
    let edited = alice.says(chat, "heard, and not acknowledged").await;
    his.hears_until("heard, and not acknowledged").await;
    his.beats(1).await;
    drop(his.wire);
    let gone = alice.says(chat, "gone").await["id"].as_str().expect("an id").to_owned();
    let path = |id: &str| format!("/chats/{chat}/messages/{id}");
    alice.patch(&path(edited["id"].as_str().expect("an id")), json!({ "text": "edited" })).await.expect_status(200);
    alice.delete(&path(&gone)).await.expect_status(204);
    alice.says(chat, "missed").await;
    // at another process, which has never seen them
    let mut his = known(&bob.at(other.url()), resume, &topic, bindings.clone()).await;
    let heard = his.hears_until("missed").await;
    assert_eq!(words(&heard), [("INSERT", "edited"), ("DELETE", ""), ("INSERT", "missed")]);
    alice.says(chat, "live").await;
    assert_eq!(words(&his.hears_until("live").await), [("INSERT", "live")]);

    // who leaves begins anew, and so does who is somebody else or names another id
    his.beats(2).await;
    let left = his.wire.asks(Some(&his.joined), &topic, "phx_leave", json!({})).await;
    assert_eq!(left.0, "ok");
    alice.says(chat, "not for who had left").await;
    his.joined = his.wire.joins(&topic, bindings.clone()).await;
    let mut hers = known(&alice, resume, &topic, bindings.clone()).await;
    let mut another = known(&bob, Uuid::new_v4(), &topic, bindings).await;
    alice.says(chat, "from here on").await;
    for client in [&mut his, &mut hers, &mut another] {
        assert_eq!(words(&client.hears_until("from here on").await), [("INSERT", "from here on")]);
    }
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn who_listens_to_all_chats_is_told_what_they_missed_in_each_and_to_which_they_came() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (one, two, three) = (alice.group_with(&[&bob]).await, alice.group_with(&[&bob]).await, alice.group_with(&[&bob]).await);
    let bindings = json!(["messages", "chats"].map(|table| changes(json!({ "table": table }))));
    let resume = Uuid::new_v4();
    let mut his = known(&bob, resume, "realtime:mine", bindings.clone()).await;
    let first = alice.says(one, "first").await;
    let second = alice.says(two, "second").await;
    let heard = [his.wire.change().await, his.wire.change().await].map(|change| change["record"]["text"].clone());
    assert!(heard.contains(&json!("first")) && heard.contains(&json!("second")), "{heard:?}");
    his.beats(2).await;
    his.is_known_at(&server, two, second["seq"].as_i64().expect("a seq")).await;
    drop(his.wire);
    alice
        .patch(&format!("/chats/{one}/messages/{}", first["id"].as_str().expect("an id")), json!({ "text": "first, edited" }))
        .await
        .expect_status(200);
    alice.says(two, "third").await;
    alice.removes(three, &bob).await.expect_status(204);
    let four = alice.group_with(&[&bob]).await;
    alice.says(four, "before he knew").await;
    let mut his = known(&bob.at(other.url()), resume, "realtime:mine", bindings).await;
    alice.says(one, "live").await;
    let expected = BTreeSet::from([
        "UPDATE first, edited".to_owned(),
        "INSERT third".to_owned(),
        format!("DELETE {three}"),
        format!("INSERT {four}"),
        "INSERT live".to_owned(),
    ]);
    // each once, and nothing else: what was heard is not told again
    let mut told = BTreeSet::new();
    while told != expected {
        let change = his.wire.change().await;
        let row = if change["type"] == "DELETE" { &change["old_record"] } else { &change["record"] };
        let name = row["text"].as_str().or(row["id"].as_str()).unwrap_or_default();
        let what = format!("{} {name}", change["type"].as_str().expect("a type"));
        assert!(expected.contains(&what) && told.insert(what), "{told:?}, then {change}");
    }
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn who_is_cut_as_soon_as_they_heard_of_a_chat_is_told_that_they_lost_it() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let bindings = json!([changes(json!({ "table": "chats" }))]);
    let resume = Uuid::new_v4();
    let told = |change: &Value| {
        let row = if change["type"] == "DELETE" { &change["old_record"] } else { &change["record"] };
        (change["type"].as_str().expect("a type").to_owned(), row["id"].as_str().expect("an id").to_owned())
    };
    let mut his = known(&bob, resume, "realtime:mine", bindings.clone()).await;
    his.beats(2).await;
    let live = alice.group_with(&[&bob]).await;
    assert_eq!(told(&his.wire.change().await), ("INSERT".to_owned(), live.to_string()));
    drop(his.wire);
    // the other one they hear of when they come back
    let missed = alice.group_with(&[&bob]).await;
    let mut his = known(&bob, resume, "realtime:mine", bindings.clone()).await;
    let again = BTreeSet::from([told(&his.wire.change().await), told(&his.wire.change().await)]);
    assert_eq!(again, BTreeSet::from([live, missed].map(|chat| ("INSERT".to_owned(), chat.to_string()))));
    drop(his.wire);
    for chat in [live, missed] {
        alice.removes(chat, &bob).await.expect_status(204);
    }
    // at one that begins after it, and so is not told by the way
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let mut his = known(&bob.at(other.url()), resume, "realtime:mine", bindings).await;
    let lost = BTreeSet::from([told(&his.wire.change().await), told(&his.wire.change().await)]);
    assert_eq!(lost, BTreeSet::from([live, missed].map(|chat| ("DELETE".to_owned(), chat.to_string()))));
    other.stop().await.expect("it stops");
}

#[tokio::test]
async fn what_is_said_while_who_comes_back_waits_for_the_answer_is_told() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    // listing them takes a while, in which the chat of the channel is listened to
    for _ in 0..100 {
        alice.group_with(&[&bob]).await;
    }
    let (topic, bindings) = (format!("realtime:chat:{chat}"), json!([changes(json!({ "table": "messages" }))]));
    for requests in 0..16 {
        let resume = Uuid::new_v4();
        drop(known(&bob, resume, &topic, bindings.clone()).await);
        let (said, last) = (format!("meanwhile, after {requests}"), format!("live, after {requests}"));
        let says = async {
            for _ in 0..requests {
                alice.get("/users/me").await.expect_status(200);
            }
            alice.says(chat, &said).await;
        };
        let (mut his, ()) = tokio::join!(known(&bob, resume, &topic, bindings.clone()), says);
        alice.says(chat, &last).await;
        let heard = his.hears_until(&last).await;
        assert!(words(&heard).contains(&("INSERT", said.as_str())), "{heard:?}");
    }
}
