//! Marks: from where on a client goes on, whichever process it comes back to.

use tabletalk::app::App;

use crate::support::server::settings;
use crate::support::{TestServer, eventually};

#[tokio::test]
async fn a_client_goes_on_where_it_was_whichever_process_it_comes_back_to() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (here, there) = (&server.app.live().marks, &other.live().marks);
    let found = async |user, topic| here.find(user, "tab", topic).await.expect("an answer");
    assert_eq!(found(Some(alice.id), "walk").await, None, "nobody knows");

    // what was begun is written down when it is answered: whatever becomes of the process then
    there.begin(Some(alice.id), "tab", "walk", "7".to_owned()).await.expect("it is kept");
    assert_eq!(found(Some(alice.id), "walk").await.as_deref(), Some("7"));
    for (user, topic) in [(Some(bob.id), "walk"), (Some(alice.id), "square"), (None, "walk")] {
        assert_eq!(found(user, topic).await, None, "it is of this person and this topic");
    }

    for n in 0..=500 {
        there.keep(Some(alice.id), "tab", "walk", n.to_string());
        there.keep(None, &format!("tab{n}"), "walk", n.to_string());
    }
    assert_eq!(
        there.find(Some(alice.id), "tab", "walk").await.expect("an answer").as_deref(),
        Some("500"),
        "before it is written down"
    );
    eventually("it is written down", async || found(Some(alice.id), "walk").await.as_deref() == Some("500")).await;
    eventually("all of it", async || here.find(None, "tab500", "walk").await.expect("an answer").as_deref() == Some("500")).await;

    // what Postgres takes for no text keeps nothing else from being written down
    there.keep(Some(bob.id), "t\0b", "w\0lk", "1".to_owned());
    there.keep(Some(bob.id), "tab", "walk", "2".to_owned());
    eventually("both are", async || {
        let odd = here.find(Some(bob.id), "t\0b", "w\0lk").await.expect("an answer");
        odd.as_deref() == Some("1") && found(Some(bob.id), "walk").await.as_deref() == Some("2")
    })
    .await;

    there.keep(Some(alice.id), "tab", "walk", "the last".to_owned());
    other.stop().await.expect("it stops");
    assert_eq!(found(Some(alice.id), "walk").await.as_deref(), Some("the last"), "a process that stops leaves nothing unwritten");
}

#[tokio::test]
async fn marks_go_with_who_is_erased() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let marks = &server.app.live().marks;
    marks.begin(Some(alice.id), "tab", "walk", "7".to_owned()).await.expect("it is kept");
    alice.delete("/users/me").await.expect_status(204);
    assert_eq!(marks.find(Some(alice.id), "tab", "walk").await.expect("an answer"), None);
}
