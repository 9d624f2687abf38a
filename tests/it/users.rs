//! People through the API: the directory, one user, oneself.

mod erasure;
mod export;
mod profile;
mod slices;

use serde_json::json;
use tabletalk::app::App;
use uuid::Uuid;

use crate::support::server::settings;
use crate::support::{Person, TestServer, each, fields};

/// When tokens of these tests end: far away.
const EXPIRES: i64 = 4_000_000_000;

#[tokio::test]
async fn the_first_sight_of_a_token_makes_its_user() {
    let server = TestServer::start().await;
    let alice = server.stranger("alice");
    let me = alice.get("/users/me").await.expect_status(200);
    assert_eq!(fields(&me.body), ["createdAt", "displayName", "id", "kind", "lastActiveAt"]);
    assert_eq!((me.id(), &me.body["displayName"], &me.body["kind"]), (alice.id, &json!("alice"), &json!("member")));
    for time in ["createdAt", "lastActiveAt"] {
        let time = me.body[time].as_str().expect("a time");
        assert!(time.len() == "2026-01-02T03:04:05.678901Z".len() && time.ends_with('Z'), "{time}");
    }
    assert_eq!(alice.get(&format!("/users/{}", alice.id)).await.expect_status(200).body, me.body);
    assert_eq!(alice.get("/users").await.expect_status(200).data(), &[me.body]);
}

#[tokio::test]
async fn a_second_token_does_not_rename_its_user() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let renamed = server.bearer_of("alice", json!({ "sub": alice.id, "exp": EXPIRES, "name": "alice the second" }));
    assert_eq!(renamed.get("/users/me").await.expect_status(200).body["displayName"], "alice");
    // nor where the server has forgotten that it saw them
    let again = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let renamed = renamed.at(again.url());
    assert_eq!(renamed.get("/users/me").await.expect_status(200).body["displayName"], "alice");
    again.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_token_gives_a_name_and_a_picture_or_a_stand_in() {
    let server = TestServer::start().await;
    let someone = async |claims: serde_json::Value| {
        let mut all = json!({ "sub": Uuid::new_v4(), "exp": EXPIRES });
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        server.bearer_of("someone", all).get("/users/me").await.expect_status(200).body
    };
    let supabase =
        json!({ "user_metadata": { "full_name": " Alice A. ", "avatar_url": "https://example.com/a.png" }, "name": "no" });
    let alice = someone(supabase).await;
    assert_eq!((&alice["displayName"], &alice["avatarUrl"]), (&json!("Alice A."), &json!("https://example.com/a.png")));
    let openid = json!({ "preferred_username": "bob", "picture": "javascript:alert(1)" });
    let bob = someone(openid).await;
    assert_eq!((&bob["displayName"], bob.get("avatarUrl")), (&json!("bob"), None));
    for nameless in [json!({}), json!({ "name": " \t\n" }), json!({ "email": "carol@example.com" })] {
        let carol = someone(nameless).await;
        let id = carol["id"].as_str().expect("an id");
        assert_eq!(carol["displayName"], format!("user {}", &id[..8]));
    }
    let long = someone(json!({ "name": "ä".repeat(300) })).await;
    assert_eq!(long["displayName"], "ä".repeat(100));
}

#[tokio::test]
async fn people_see_themselves_their_friends_who_asks_them_and_who_shares_a_chat() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (carol, mallory) = (server.person("carol").await, server.person("mallory").await);
    let names = async |person: &Person| {
        let mut names: Vec<String> =
            each(person.get("/users").await.expect_status(200).data(), "displayName").iter().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&alice).await, ["alice"]);

    mallory.put(&format!("/friends/{}", alice.id), json!({})).await.expect_status(201);
    assert_eq!(names(&alice).await, ["alice", "mallory"], "one sees who asks");
    assert_eq!(names(&mallory).await, ["mallory"], "asking opens nobody's profile");
    mallory.get(&format!("/users/{}", alice.id)).await.refused(404, "users_are_seen_by_who_knows_them", "users.1");
    alice.delete(&format!("/friends/{}", mallory.id)).await.expect_status(204);
    alice.get(&format!("/users/{}", mallory.id)).await.refused(404, "users_are_seen_by_who_knows_them", "users.1");

    alice.befriend(&bob).await;
    assert_eq!(names(&alice).await, ["alice", "bob"]);
    let chat = alice.group_with(&[&carol, &bob]).await;
    assert_eq!(names(&carol).await, ["alice", "bob", "carol"]);
    carol.get(&format!("/users/{}", alice.id)).await.expect_status(200);
    carol.leaves(chat).await.expect_status(204);
    assert_eq!(names(&carol).await, ["carol"]);
    carol.get(&format!("/users/{}", Uuid::new_v4())).await.refused(404, "users_are_seen_by_who_knows_them", "users.1");
}

#[tokio::test]
async fn everyone_is_found_while_the_directory_is_open() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    mallory.get(&format!("/users/{}", alice.id)).await.refused(404, "users_are_seen_by_who_knows_them", "users.1");
    server.database.db_set("directory = 'everyone'").await;
    mallory.get(&format!("/users/{}", alice.id)).await.expect_status(200);
    assert_eq!(each(mallory.get("/users").await.data(), "displayName"), ["mallory", "alice"]);
    server.anon().get("/users").await.problem(403, "not_allowed");
}

#[tokio::test]
async fn the_host_application_sees_everyone_and_is_nobody() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let service = server.service();
    assert_eq!(each(service.get("/users").await.expect_status(200).data(), "displayName"), ["bob", "alice"]);
    assert_eq!(service.get(&format!("/users/{}", alice.id)).await.expect_status(200).id(), alice.id);
    service.get("/users/me").await.problem(404, "token_is_nobodys");
    let _ = bob;
}

#[tokio::test]
async fn the_list_is_narrowed_by_ids_and_by_name() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("Bob 100%").await, server.person("Àlice_B").await);
    server.database.db_set("directory = 'everyone'").await;
    let username = format!("update chat.users set username = 'the.carol' where id = '{}'", carol.id);
    server.database.db_owner().await.batch_execute(&username).await.expect("a username");
    let names = async |query: &str| {
        let page = alice.get(&format!("/users?{query}")).await.expect_status(200);
        each(page.data(), "displayName").iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&format!("ids={},{}", carol.id, alice.id)).await, ["Àlice_B", "alice"]);
    assert_eq!(names(&format!("ids={}&ids={}", carol.id, alice.id)).await, ["Àlice_B", "alice"], "as generated clients say it");
    assert_eq!(names(&format!("ids={},{}", bob.id, Uuid::new_v4())).await, ["Bob 100%"]);
    assert_eq!(names(&format!("ids={}&query=bob", alice.id)).await, [""; 0]);
    assert_eq!(names("query=LICE").await, ["Àlice_B", "alice"]);
    assert_eq!(names("query=THE.C").await, ["Àlice_B"], "by username as well");
    assert_eq!(names("query=%25").await, ["Bob 100%"], "a percent sign is a percent sign");
    assert_eq!(names("query=_").await, ["Àlice_B"], "an underscore is an underscore");
    assert_eq!(names("query=%C3%A0").await, ["Àlice_B"]);
    let mut ids: Vec<String> = (0..200).map(|_| Uuid::new_v4().to_string()).collect();
    alice.get(&format!("/users?ids={}", ids.join(","))).await.expect_status(200);
    ids.push(alice.id.to_string());
    alice.get(&format!("/users?ids={}", ids.join(","))).await.invalid_at("ids");
    alice.get("/users?ids=alice").await.invalid_at("ids");
    alice.get("/users?query=").await.invalid_at("query");
    alice.get(&format!("/users?query={}", "x".repeat(101))).await.invalid_at("query");
}

#[tokio::test]
async fn the_list_walks_both_ways() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    server.database.db_set("directory = 'everyone'").await;
    // seven of one moment: the id tells them apart
    let seven = "insert into chat.users (id, display_name, created_at)
                 select gen_random_uuid(), 'user ' || n, '2026-01-01' from generate_series(1, 7) n";
    server.database.db_owner().await.batch_execute(seven).await.expect("seven users");
    let all = alice.walks("/users", 200).await;
    assert_eq!(all.len(), 8);
    for limit in [1, 2, 3, 7, 8] {
        assert_eq!(alice.walks("/users", limit).await, all, "{limit} at a time");
        assert_eq!(alice.walks_back("/users", limit).await, all, "{limit} at a time, back");
    }
    let newest = alice.page("/users", 1, None).await.cursor("prevCursor").expect("a cursor towards newer ones");
    assert_eq!(alice.page("/users", 1, Some(&newest)).await.data().len(), 0);
    let bob = server.person("bob").await;
    let page = alice.page("/users", 1, Some(&newest)).await;
    assert_eq!(each(page.data(), "id"), [bob.id.to_string()], "the cursor was kept, and now there is someone newer");
}

#[tokio::test]
async fn whom_the_host_names_gets_a_name_at_first_sight() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.stranger("bob"));
    let body = json!({ "name": "the event", "participantIds": [alice.id, bob.id] });
    let chat = server.service().put("/events/e1/chats/approved_group", body).await.expect_status(201).id();
    let seen = alice.get(&format!("/users/{}", bob.id)).await.expect_status(200);
    assert_eq!(seen.body["displayName"], format!("user {}", &bob.id.to_string()[..8]));
    assert_eq!(seen.body.get("lastActiveAt"), None, "they never came");
    bob.says(chat, "here I am").await;
    let seen = alice.get(&format!("/users/{}", bob.id)).await.expect_status(200);
    assert_eq!((&seen.body["displayName"], seen.body["lastActiveAt"].is_string()), (&json!("bob"), true));
}

#[tokio::test]
async fn who_asks_for_something_is_active() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let long_ago = "update chat.users set last_active_at = '2026-01-01', created_at = '2026-01-01'";
    server.database.db_owner().await.batch_execute(long_ago).await.expect("a long absence");
    // another server, since this one remembers for minutes whom it has noted
    let again = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let me = alice.at(again.url()).get("/users/me").await.expect_status(200);
    assert_eq!(me.body["createdAt"], "2026-01-01T00:00:00.000000Z");
    assert!(me.body["lastActiveAt"].as_str() > Some("2026-01-01T00:00:00.000000Z"), "{}", me.body);
    again.stop().await.expect("it stops");
}
