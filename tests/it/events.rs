//! Events' chats: made, updated and ended by the host application, over HTTP and by triggers of its own.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Person, TestServer, each};

const PATH: &str = "/events/summer%20school%2F1/chats/event_authors";

async fn people(person: &Person, chat: Uuid) -> Vec<String> {
    let page = person.get(&format!("/chats/{chat}/participants")).await.expect_status(200);
    let mut names: Vec<String> = each(page.data(), "name").iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_host_makes_updates_and_ends_an_events_chat() {
    let server = TestServer::start().await;
    let (service, alice, bob) = (server.service(), server.person("alice").await, server.person("bob").await);
    let body = json!({ "name": "summer school", "participantIds": [alice.id, bob.id] });
    let made = service.put(PATH, body.clone()).await.expect_status(201);
    assert_eq!(made.headers["location"], format!("/chats/{}", made.id()));
    assert_eq!((&made.body["type"], &made.body["eventId"]), (&json!("event_authors"), &json!("summer school/1")));
    assert_eq!((&made.body["name"], &made.body["participantCount"]), (&json!("summer school"), &json!(2)));
    assert_eq!((made.body.get("myRole"), &made.body["unreadCount"]), (None, &json!(0)));
    let again = service.put(PATH, body).await.expect_status(200);
    assert_eq!(again.body, made.body, "the same again changes nothing, not even the head");
    assert!(!again.headers.contains_key("location"));
    let other = service.put("/events/summer%20school%2F1/chats/approved_group", json!({})).await.expect_status(201);
    assert_ne!(other.id(), made.id(), "one of each type");

    alice.says(made.id(), "hello").await;
    let seen = alice.sees(made.id()).await;
    assert_eq!((&seen["myRole"], &seen["eventId"]), (&json!("member"), &json!("summer school/1")));
    for _ in 0..2 {
        service.delete(PATH).await.expect_status(204);
    }
    alice.get(&format!("/chats/{}", made.id())).await.refused(404, "chats_exist", "chats.2");
    let anew = service.put(PATH, json!({ "participantIds": [alice.id] })).await.expect_status(201);
    assert_ne!(anew.id(), made.id(), "what ended stays ended");
    assert_eq!(alice.reads(anew.id()).await, [""; 0]);
}

#[tokio::test]
async fn exactly_the_named_people_are_in_an_events_chat() {
    let server = TestServer::start().await;
    let (service, alice, bob) = (server.service(), server.person("alice").await, server.person("bob").await);
    let unseen = server.stranger("carol");
    let put = async |ids: &[Uuid]| service.put(PATH, json!({ "participantIds": ids })).await.one_of(&[200, 201]).id();
    let chat = put(&[alice.id, bob.id]).await;
    assert_eq!(people(&alice, chat).await, ["alice", "bob"]);
    bob.says(chat, "I was here").await;
    put(&[alice.id, unseen.id, alice.id]).await;
    assert_eq!(people(&alice, chat).await, ["alice".to_owned(), format!("user {}", &unseen.id.to_string()[..8])]);
    bob.get(&format!("/chats/{chat}")).await.refused(403, "chats_are_read_by_participants", "chats.1");
    assert_eq!(unseen.reads(chat).await, ["I was here"]);
    let named = service.put(PATH, json!({ "name": "with a name" })).await.expect_status(200);
    assert_eq!((&named.body["name"], &named.body["participantCount"]), (&json!("with a name"), &json!(2)), "absent: as it is");
    put(&[bob.id]).await;
    assert_eq!(bob.reads(chat).await, ["I was here"]);
    put(&[]).await;
    assert_eq!(service.sees(chat).await["participantCount"], 0, "it never ends by itself");
    put(&[alice.id]).await;
    assert_eq!(alice.reads(chat).await, ["I was here"]);
}

#[tokio::test]
async fn nobody_but_the_host_has_a_say_in_an_events_chat() {
    let server = TestServer::start().await;
    let (service, alice, bob) = (server.service(), server.person("alice").await, server.person("bob").await);
    let (admin, body) = (server.admin("admin").await, json!({ "participantIds": [alice.id, bob.id] }));
    let chat = service.put(PATH, body.clone()).await.expect_status(201).id();
    let before = server.database.db_rows().await;
    for person in [&alice, &admin, &server.anon()] {
        person.put(PATH, body.clone()).await.problem(403, "not_allowed");
        person.delete(PATH).await.problem(403, "not_allowed");
    }
    alice.patch(&format!("/chats/{chat}"), json!({ "name": "mine" })).await.problem(403, "chats_are_changed_by_moderators");
    alice.adds(chat, &server.person("carol").await, "member").await.problem(403, "participants_are_added_by_moderators");
    alice.removes(chat, &bob).await.problem(403, "participants_are_removed_by_moderators");
    alice.delete(&format!("/chats/{chat}?scope=everyone")).await.problem(403, "chats_are_deleted_by_owners");
    assert_eq!(server.database.db_rows().await, before);
    alice.leaves(chat).await.expect_status(204);
    bob.leaves(chat).await.expect_status(204);
    assert_eq!(service.sees(chat).await["participantCount"], 0);
}

#[tokio::test]
async fn an_event_chat_that_makes_no_sense_is_refused() {
    let server = TestServer::start().await;
    let service = server.service();
    let before = server.database.db_rows().await;
    service.put("/events/e1/chats/direct", json!({})).await.invalid_at("type");
    service.put(&format!("/events/{}/chats/event_authors", "x".repeat(201)), json!({})).await.problem(400, "request_is_invalid");
    service.put(PATH, json!({ "name": " " })).await.refused(422, "chats_name_is_a_name", "chats.10");
    service.put(PATH, json!({ "participantIds": ["alice"] })).await.invalid_at("/participantIds/0");
    service.put(PATH, json!({ "participantIds": vec![Uuid::new_v4(); 10_001] })).await.invalid_at("/participantIds");
    assert_eq!(server.database.db_rows().await, before);
}

#[tokio::test]
async fn the_service_key_is_the_host_too() {
    let server = TestServer::start().await;
    let host = Person::new("host", Uuid::nil(), server.app.url(), crate::support::server::SERVICE_KEY);
    host.put(PATH, json!({})).await.expect_status(201);
    let other = Person::new("other", Uuid::nil(), server.app.url(), "another opaque key, of the same length as it");
    other.put(PATH, json!({})).await.problem(401, "token_malformed");
}

#[tokio::test]
async fn a_trigger_of_the_host_makes_the_chat_with_the_event() {
    const HOST: &str = "
        create role event_host nologin;
        grant service_role, event_host to installer;
        grant service_role to event_host;
        grant create on schema public to event_host;
        set role event_host;
        create table public.events (id text primary key, name text not null, authors uuid[] not null);
        create function public.keep_chat() returns trigger language plpgsql security definer
        set search_path = pg_catalog, pg_temp as $$
        begin
          if tg_op = 'DELETE' then
            perform chat.end_event_chat(old.id, 'event_authors');
          else
            perform chat.put_event_chat(new.id, 'event_authors', new.name, new.authors);
          end if;
          return null;
        end $$;
        create trigger keep_chat after insert or update or delete on public.events
        for each row execute function public.keep_chat();
        grant insert, update, delete, select on public.events to authenticated;
        grant usage on schema public to authenticated";
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let superuser = server.database.cluster.db_superuser(&server.database.name).await;
    superuser.batch_execute(&HOST.replace("event_host", &format!("host_of_{}", server.database.name))).await.expect("a host");

    // written by somebody who may write the host's table, and has nothing to do with the chats
    let writer = server.database.db_as(Uuid::new_v4()).await;
    let insert = "insert into public.events values ('e1', 'the event', array[$1::uuid])";
    writer.execute(insert, &[&alice.id]).await.expect("an event");
    let chats = alice.get("/chats?type=event_authors").await.expect_status(200);
    assert_eq!(each(chats.data(), "name"), ["the event"]);
    let chat: Uuid = chats.data()[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    alice.says(chat, "hello").await;
    let update = "update public.events set name = 'renamed', authors = array[$1::uuid, $2::uuid] where id = 'e1'";
    writer.execute(update, &[&alice.id, &bob.id]).await.expect("an update");
    assert_eq!(bob.sees(chat).await["name"], "renamed");
    assert_eq!(bob.reads(chat).await, ["hello"]);
    writer.execute("delete from public.events", &[]).await.expect("a deletion");
    bob.get(&format!("/chats/{chat}")).await.refused(404, "chats_exist", "chats.2");
}
