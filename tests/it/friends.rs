//! Friends through the API.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Person, TestServer, each, fields};

async fn put(asker: &Person, other: &Person) -> Answer {
    asker.ask(reqwest::Method::PUT, &format!("/friends/{}", other.id), None).await
}

async fn end(asker: &Person, other: &Person) -> Answer {
    asker.delete(&format!("/friends/{}", other.id)).await
}

async fn only(person: &Person, query: &str) -> Value {
    let page = person.get(&format!("/friends{query}")).await.expect_status(200);
    assert_eq!(page.data().len(), 1, "{}", page.body);
    page.data()[0].clone()
}

#[tokio::test]
async fn a_request_is_made_and_accepted() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);

    let asked = put(&alice, &bob).await.expect_status(201);
    assert_eq!(fields(&asked.body), ["createdAt", "status", "userId"], "one does not know yet what they are called");
    assert_eq!((&asked.body["userId"], &asked.body["status"]), (&json!(bob.id), &json!("outgoing")));
    assert_eq!(put(&alice, &bob).await.expect_status(200).body, asked.body, "asking again is asking once");

    let incoming = only(&bob, "?status=incoming").await;
    assert_eq!(fields(&incoming), ["createdAt", "name", "status", "userId"]);
    assert_eq!((&incoming["userId"], &incoming["name"]), (&json!(alice.id), &json!("alice")));
    assert_eq!(only(&alice, "?status=outgoing").await, asked.body);

    let accepted = put(&bob, &alice).await.expect_status(200);
    assert_eq!(fields(&accepted.body), ["acceptedAt", "createdAt", "name", "status", "userId"]);
    assert_eq!((&accepted.body["status"], &accepted.body["createdAt"]), (&json!("friends"), &asked.body["createdAt"]));
    assert_eq!(put(&bob, &alice).await.expect_status(200).body, accepted.body, "accepting again is accepting once");
    let seen = only(&alice, "?status=friends").await;
    assert_eq!((&seen["name"], &seen["acceptedAt"]), (&json!("bob"), &accepted.body["acceptedAt"]));
    for status in ["incoming", "outgoing"] {
        assert_eq!(alice.get(&format!("/friends?status={status}")).await.expect_status(200).data(), &[Value::Null; 0]);
    }
    alice.get("/friends?status=enemies").await.invalid_at("status");
}

#[tokio::test]
async fn either_ends_a_friendship_and_takes_back_or_declines_a_request() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    alice.befriend(&bob).await;
    put(&carol, &alice).await.expect_status(201);
    end(&bob, &alice).await.expect_status(204);
    end(&bob, &alice).await.expect_status(204);
    end(&alice, &carol).await.expect_status(204);
    assert_eq!(alice.get("/friends").await.data().len(), 0);
    put(&carol, &alice).await.expect_status(201);
    end(&carol, &alice).await.expect_status(204);
    assert_eq!(alice.get("/friends").await.data().len(), 0);
    end(&carol, &server.stranger("nobody")).await.expect_status(204);
    // and it can begin anew, asked for by the other
    put(&bob, &alice).await.expect_status(201);
    assert_eq!(only(&alice, "").await["status"], "incoming");
}

#[tokio::test]
async fn two_who_ask_each_other_are_friends() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (one, other) = tokio::join!(put(&alice, &bob), put(&bob, &alice));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201], "{} {}", one.body, other.body);
    assert_eq!(only(&alice, "").await["status"], "friends");
    assert_eq!(only(&bob, "").await["status"], "friends");
}

#[tokio::test]
async fn a_friendship_that_breaks_a_rule_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    bob.put(&format!("/blocks/{}", mallory.id), json!({})).await.expect_status(201);
    let before = server.database.db_rows().await;
    put(&alice, &alice).await.refused(422, "friendships_are_between_two", "friends.5");
    put(&mallory, &bob).await.refused(403, "friendships_pass_no_block", "friends.6");
    put(&bob, &mallory).await.refused(403, "friendships_pass_no_block", "friends.6");
    alice.put(&format!("/friends/{}", Uuid::new_v4()), json!({})).await.refused(404, "users_exist", "users.8");
    alice.put(&format!("/friends/{}", server.stranger("unseen").id), json!({})).await.refused(404, "users_exist", "users.8");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn friends_are_seen_by_the_two_alone() {
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    alice.befriend(&bob).await;
    assert_eq!(mallory.get("/friends").await.expect_status(200).data().len(), 0);
    end(&mallory, &alice).await.expect_status(204);
    assert_eq!(only(&alice, "").await["status"], "friends");
}

#[tokio::test]
async fn the_list_walks_both_ways() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    for n in 0..5 {
        let friend = server.person(&format!("friend {n}")).await;
        put(&friend, &alice).await.expect_status(201);
    }
    let all = alice.walks("/friends", 200).await;
    assert_eq!(each(&all, "name"), ["friend 4", "friend 3", "friend 2", "friend 1", "friend 0"]);
    for limit in [1, 2, 5] {
        assert_eq!(alice.walks("/friends", limit).await, all);
        assert_eq!(alice.walks_back("/friends", limit).await, all);
        assert_eq!(alice.walks("/friends?status=incoming", limit).await, all);
    }
    alice.get("/friends?limit=0").await.invalid_at("limit");
    alice.get("/friends?limit=201").await.invalid_at("limit");
}
