//! Marks: from where on a client goes on, whichever process it comes back to.

use std::time::Duration;

use serde_json::json;
use tabletalk::app::App;
use tabletalk::auth::{Identity, Role};
use tabletalk::realtime::marks::Whose;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::server::settings;
use crate::support::{Person, TestServer, eventually};

/// Who asks with a token of this role.
fn whose(role: Role, subject: Option<Uuid>) -> Whose {
    let claims = json!({ "role": role.as_str(), "sub": subject }).to_string().into();
    let expires_at = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
    (&Identity { role, subject, claims, expires_at, request: None }).into()
}

fn of(person: &Person) -> Whose {
    whose(Role::Authenticated, Some(person.id))
}

#[tokio::test]
async fn a_client_goes_on_where_it_was_whichever_process_it_comes_back_to() {
    let server = TestServer::start().await;
    let other = App::start(&settings(&server.database.api_url(), &[])).await.expect("another server");
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let nobody = whose(Role::Anon, None);
    let (here, there) = (&server.app.live().marks, &other.live().marks);
    let found = async |whose, topic| here.find(whose, "tab", topic).await.expect("an answer");
    assert_eq!(found(of(&alice), "walk").await, None, "nobody knows");

    // what was begun is written down when it is answered: whatever becomes of the process then
    there.begin(of(&alice), "tab", "walk", "7".to_owned()).await.expect("it is kept");
    assert_eq!(found(of(&alice), "walk").await.as_deref(), Some("7"));
    for (whose, topic) in [(of(&bob), "walk"), (of(&alice), "square"), (nobody, "walk")] {
        assert_eq!(found(whose, topic).await, None, "it is of this person and this topic");
    }

    for n in 0..=500 {
        there.keep(of(&alice), "tab", "walk", n.to_string());
        there.keep(nobody, &format!("tab{n}"), "walk", n.to_string());
    }
    assert_eq!(
        there.find(of(&alice), "tab", "walk").await.expect("an answer").as_deref(),
        Some("500"),
        "before it is written down"
    );
    eventually("it is written down", async || found(of(&alice), "walk").await.as_deref() == Some("500")).await;
    eventually("all of it", async || here.find(nobody, "tab500", "walk").await.expect("an answer").as_deref() == Some("500"))
        .await;

    // what Postgres takes for no text keeps nothing else from being written down
    there.keep(of(&bob), "t\0b", "w\0lk", "1".to_owned());
    there.keep(of(&bob), "tab", "walk", "2".to_owned());
    eventually("both are", async || {
        let odd = here.find(of(&bob), "t\0b", "w\0lk").await.expect("an answer");
        odd.as_deref() == Some("1") && found(of(&bob), "walk").await.as_deref() == Some("2")
    })
    .await;

    there.keep(of(&alice), "tab", "walk", "the last".to_owned());
    other.stop().await.expect("it stops");
    assert_eq!(found(of(&alice), "walk").await.as_deref(), Some("the last"), "a process that stops leaves nothing unwritten");
}

#[tokio::test]
async fn marks_go_with_who_is_erased() {
    let server = TestServer::start().await;
    let alice = server.person("alice").await;
    let marks = &server.app.live().marks;
    marks.begin(of(&alice), "tab", "walk", "7".to_owned()).await.expect("it is kept");
    alice.delete("/users/me").await.expect_status(204);
    assert_eq!(marks.find(of(&alice), "tab", "walk").await.expect("an answer"), None);
}

#[tokio::test]
async fn a_stranger_with_the_same_resume_id_does_not_meet_the_host_application() {
    let server = TestServer::start().await;
    let marks = &server.app.live().marks;
    let (host, stranger) = (whose(Role::ServiceRole, None), whose(Role::Anon, None));
    let found = async |whose| marks.find(whose, "tab", "walk").await.expect("an answer");
    // longer than a stranger's may be
    let its = "7".repeat(5_000);
    marks.begin(host, "tab", "walk", its.clone()).await.expect("it is kept");
    assert_eq!((found(host).await, found(stranger).await), (Some(its.clone()), None));
    marks.keep(stranger, "tab", "walk", "8".to_owned());
    assert_eq!(
        (found(host).await, found(stranger).await),
        (Some(its.clone()), Some("8".to_owned())),
        "before it is written down"
    );
    marks.flush().await;
    assert_eq!((found(host).await, found(stranger).await), (Some(its), Some("8".to_owned())));
}

#[tokio::test]
async fn what_is_begun_is_not_undone_by_what_was_kept_before() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let marks = server.app.live().marks.clone();
    // the first in order is the one whom something else keeps waiting
    let (first, second) = if alice.id < bob.id { (&alice, &bob) } else { (&bob, &alice) };
    marks.begin(of(first), "tab", "walk", "1".to_owned()).await.expect("it is kept");
    let holder = server.database.db_owner().await;
    holder.batch_execute("begin; select from chat_private.resumes for update").await.expect("held");
    marks.keep(of(first), "tab", "walk", "2".to_owned());
    // they leave the channel
    marks.keep(of(second), "tab", "walk", String::new());
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    let waiting = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())";
    eventually("it waits", async || superuser.query_one(waiting, &[]).await.expect(waiting).get(0)).await;
    // and join it again
    let begins = marks.begin(of(second), "tab", "walk", "8".to_owned());
    let lets_go = async { holder.batch_execute("commit").await.expect("released") };
    let (begun, ()) = tokio::join!(begins, lets_go);
    begun.expect("it is kept");
    marks.flush().await;
    assert_eq!(marks.find(of(second), "tab", "walk").await.expect("an answer"), Some("8".to_owned()));
}
