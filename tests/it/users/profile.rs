//! What people write of themselves.

use serde_json::json;

use crate::support::{TestServer, each, fields};

#[tokio::test]
async fn people_write_their_own_profile() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let chat = alice.group_with(&[&bob]).await;
    let before = alice.get("/users/me").await.expect_status(200).body;
    let profile =
        json!({ "username": "alice_1.x-y", "displayName": "Alice A. 🎲", "avatarUrl": "https://example.com/a.png?size=2#face" });
    let me = alice.patch("/users/me", profile.clone()).await.expect_status(200).body;
    assert_eq!(fields(&me), ["avatarUrl", "createdAt", "displayName", "id", "kind", "lastActiveAt", "username"]);
    for (field, value) in profile.as_object().expect("an object") {
        assert_eq!(&me[field], value);
    }
    for field in ["id", "kind", "createdAt"] {
        assert_eq!(me[field], before[field]);
    }
    assert_eq!(alice.get("/users/me").await.expect_status(200).body, me);
    assert_eq!(bob.get(&format!("/users/{}", alice.id)).await.expect_status(200).body, me, "and others see it");
    let said = alice.says(chat, "it is me").await;
    assert_eq!((&said["senderName"], &said["senderUsername"]), (&json!("Alice A. 🎲"), &json!("alice_1.x-y")));
    let read = bob.get(&format!("/chats/{chat}/messages")).await.expect_status(200);
    assert_eq!(each(read.data(), "senderUsername"), ["alice_1.x-y"]);
    let changed = bob.get(&format!("/chats/{chat}/changes?since=0")).await.expect_status(200).body;
    assert!(changed["data"].as_array().is_some_and(|all| all.iter().any(|c| c["message"]["senderUsername"] == "alice_1.x-y")));
    let read = bob.get(&format!("/chats/{chat}")).await.expect_status(200).body;
    assert_eq!(read["participants"][0]["username"], "alice_1.x-y");
    assert_eq!(read["participants"][1].get("username"), None, "who claimed none has none");
    let mallory = server.person("mallory").await.get("/users/me").await.expect_status(200).body;
    assert_eq!(mallory["displayName"], "mallory", "nobody else's changes");
}

#[tokio::test]
async fn an_absent_field_stays_and_null_clears() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let whole = json!({ "username": "alice", "displayName": "Alice", "avatarUrl": "http://example.com/a" });
    let me = alice.patch("/users/me", whole).await.expect_status(200).body;
    assert_eq!(alice.patch("/users/me", json!({})).await.expect_status(200).body, me);
    assert_eq!(
        alice.patch("/users/me", json!({ "displayName": null })).await.expect_status(200).body,
        me,
        "there is always a name"
    );
    let me = alice.patch("/users/me", json!({ "username": null })).await.expect_status(200).body;
    assert_eq!(
        (me.get("username"), &me["displayName"], &me["avatarUrl"]),
        (None, &json!("Alice"), &json!("http://example.com/a"))
    );
    let me = alice.patch("/users/me", json!({ "avatarUrl": null, "username": "alice.again" })).await.expect_status(200).body;
    assert_eq!((&me["username"], me.get("avatarUrl")), (&json!("alice.again"), None));
    let bob = server.person("bob").await;
    bob.patch("/users/me", json!({ "username": "alice" })).await.expect_status(200);
}

#[tokio::test]
async fn a_profile_keeps_its_rules() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.patch("/users/me", json!({ "username": "alice" })).await.expect_status(200);
    let me = bob.get("/users/me").await.expect_status(200).body;
    let too_long = format!("https://example.com/{}", "a".repeat(2000));
    for (field, value, status, name, number) in [
        ("username", "alice", 409, "users_username_is_taken", "users.4"),
        ("username", "al", 422, "users_username_is_plain", "users.3"),
        ("username", "Alice", 422, "users_username_is_plain", "users.3"),
        ("username", "alice\n", 422, "users_username_is_plain", "users.3"),
        ("username", "", 422, "users_username_is_plain", "users.3"),
        ("displayName", "", 422, "users_display_name_is_a_name", "users.5"),
        ("displayName", " \t", 422, "users_display_name_is_a_name", "users.5"),
        ("displayName", &"ä".repeat(101), 422, "users_display_name_is_a_name", "users.5"),
        ("avatarUrl", "javascript:alert(1)", 422, "users_avatar_url_is_a_link", "users.7"),
        ("avatarUrl", "https://example.com/ onload=1", 422, "users_avatar_url_is_a_link", "users.7"),
        ("avatarUrl", &too_long, 422, "users_avatar_url_is_a_link", "users.7"),
    ] {
        bob.patch("/users/me", json!({ field: value })).await.refused(status, name, number);
    }
    bob.patch("/users/me", json!({ "kind": "assistant" })).await.invalid_at("/kind");
    bob.patch("/users/me", json!({ "username": 7 })).await.invalid_at("/username");
    assert_eq!(bob.get("/users/me").await.expect_status(200).body, me, "nothing of it changed anything");
}

#[tokio::test]
async fn the_host_application_has_no_profile() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    server.service().patch("/users/me", json!({ "displayName": "x" })).await.problem(404, "token_is_nobodys");
    server.anon().patch("/users/me", json!({ "displayName": "x" })).await.problem(403, "not_allowed");
    assert_eq!(alice.get("/users/me").await.expect_status(200).body["displayName"], "alice");
}
