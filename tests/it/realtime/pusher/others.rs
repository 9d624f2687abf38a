//! What clients tell each other, and who is in a presence channel.

use serde_json::{Value, json};

use super::{connected, events, is_refused, subscribes};
use crate::realtime::{listening, public_room};
use crate::support::npm::Node;
use crate::support::{TestServer, eventually};

#[tokio::test]
async fn what_a_client_says_the_others_hear_and_it_does_not() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.group_with(&[&bob]).await;
    let (private, presence) = (format!("private-room-{room}"), format!("presence-room-{room}"));
    let (mut hers, mut his) = (connected(&node, &alice).await, connected(&node, &bob).await);
    for channel in [&private, &presence] {
        subscribes(&mut hers, channel).await;
        subscribes(&mut his, channel).await;
    }
    for (n, data) in [json!({ "x": "é" }), json!("text"), json!([1, null])].into_iter().enumerate() {
        his.does("trigger", json!({ "channel": private, "event": format!("client-{n}"), "data": data })).await;
        let event = format!("client-{n}");
        assert_eq!(hers.event(&private, &event).await["data"], data);
        let of = |channel: &str| {
            let (channel, event) = (json!(channel), json!(event));
            move |said: &Value| said["frame"]["event"] == event && said["frame"]["channel"] == channel
        };
        assert_eq!(hers.hears("its frame", of(&private)).await["frame"].get("user_id"), None);
        his.does("trigger", json!({ "channel": presence, "event": event, "data": data })).await;
        assert_eq!(hers.hears("who said it", of(&presence)).await["frame"]["user_id"], json!(bob.id));
    }
    // what came by another protocol
    let told = json!({ "event": "drawn", "payload": { "by": "hand" } });
    alice.post(&format!("/chats/{room}/broadcasts"), told).await.expect_status(202);
    assert_eq!(his.event(&private, "client-drawn").await["data"], json!({ "by": "hand" }));
    let told = json!({ "event": "drawn", "bytes": "AP8=" });
    alice.post(&format!("/chats/{room}/broadcasts"), told).await.expect_status(202);
    assert_eq!(his.event(&private, "client-drawn").await["data"], json!({ "base64": "AP8=" }));
    // and what goes to one
    let mut hers_there = node.supabase(&alice, json!({})).await;
    let topic = format!("chat:{room}");
    hers_there.joins(&topic, json!({}), &[("broadcast", json!({ "event": "*" }))]).await;
    his.does("trigger", json!({ "channel": private, "event": "client-moved", "data": { "x": 1 } })).await;
    let is_it = |said: &Value| said["heard"] == "broadcast" && said["channel"] == json!(topic);
    let heard = hers_there.hears("what he says", is_it).await["payload"].clone();
    assert_eq!((&heard["event"], &heard["payload"]), (&json!("moved"), &json!({ "x": 1 })));
    hers_there.does("send", json!({ "channel": topic, "event": "moved", "payload": { "x": 2 } })).await;
    assert_eq!(his.event(&private, "client-moved").await["data"], json!({ "x": 2 }));
    let by_the_other = ["client-0", "client-1", "client-2"];
    assert_eq!(events(&mut his, &private), by_the_other, "what was said on this channel itself it did not hear");
}

#[tokio::test]
async fn who_says_too_much_or_may_not_is_told_so() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let square = public_room(&server, &alice).await;
    let channel = format!("private-room-{square}");
    let mut his = connected(&node, &bob).await;
    subscribes(&mut his, &channel).await;
    let is_error = |code: u64| move |said: &Value| said["heard"] == "error" && said["error"]["data"]["code"] == code;
    his.does("trigger", json!({ "channel": channel, "event": "client-x", "data": {} })).await;
    his.hears("that he is not in it", is_error(4009)).await;
    bob.joins(square).await.expect_status(200);
    for _ in 0..25 {
        his.does("trigger", json!({ "channel": channel, "event": "client-x", "data": {} })).await;
    }
    his.hears("that it is too much", is_error(4301)).await;
    alice.says(square, "hello").await;
    his.event(&channel, "room-message").await;
}

#[tokio::test]
async fn people_are_in_a_presence_channel_from_their_first_connection_to_their_last() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob, mallory) = (server.person("alice").await, server.person("bob").await, server.person("mallory").await);
    let carol = server.person("carol").await;
    bob.patch("/users/me", json!({ "username": "bob" })).await.expect_status(200);
    let room = alice.group_with(&[&bob, &carol]).await;
    let channel = format!("presence-room-{room}");
    let mut hers = connected(&node, &alice).await;
    let alone = subscribes(&mut hers, &channel).await;
    let (her_info, his_info) = (json!({ "name": "alice" }), json!({ "name": "bob", "username": "bob" }));
    let me = json!({ "id": alice.id, "info": her_info });
    assert_eq!(alone["members"], json!({ "count": 1, "me": me, "members": { alice.id.to_string(): her_info } }));

    let (mut his, mut elsewhere) = (connected(&node, &bob).await, connected(&node, &bob).await);
    subscribes(&mut his, &channel).await;
    let added = hers.event(&channel, "pusher:member_added").await;
    assert_eq!(added["data"], json!({ "id": bob.id, "info": his_info }));
    let both = subscribes(&mut elsewhere, &channel).await;
    assert_eq!(both["members"]["count"], 2, "{both}");
    assert_eq!(both["members"]["members"], json!({ alice.id.to_string(): her_info, bob.id.to_string(): his_info }));
    his.does("disconnect", json!({})).await;
    let states = format!("/chats/{room}/presence/states");
    eventually("one of his connections is known to be gone", async || {
        alice.get(&states).await.expect_status(200).data().len() == 2
    })
    .await;
    // who comes after it has come through
    let mut carols = connected(&node, &carol).await;
    subscribes(&mut carols, &channel).await;
    assert_eq!(hers.event(&channel, "pusher:member_added").await["data"]["id"], json!(carol.id));
    assert_eq!(events(&mut hers, &channel), [] as [&str; 0], "he is there by another connection");
    elsewhere.does("unsubscribe", json!({ "channel": channel })).await;
    let removed = hers.event(&channel, "pusher:member_removed").await;
    assert_eq!((&removed["data"]["id"], &removed["members"]["count"]), (&json!(bob.id), &json!(2)));

    let mut theirs = connected(&node, &mallory).await;
    is_refused(&mut theirs, &channel, 403).await;
    // who reads a room and is not in it is not told who is
    let square = public_room(&server, &alice).await;
    is_refused(&mut theirs, format!("presence-room-{square}"), 403).await;
    subscribes(&mut theirs, format!("private-room-{square}")).await;
}

#[tokio::test]
async fn who_listens_by_another_protocol_is_no_member_and_hears_client_events_as_broadcasts() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.group_with(&[&bob]).await;
    let mut native = listening(&bob, room).await;
    let channel = format!("presence-room-{room}");
    let mut hers = connected(&node, &alice).await;
    assert_eq!(subscribes(&mut hers, &channel).await["members"]["count"], 1);
    hers.does("trigger", json!({ "channel": channel, "event": "client-x", "data": {} })).await;
    assert_eq!(native.next_is("broadcast").await["payload"]["event"], "x");
    // a channel named as anybody's hears what is said in the room, and not what clients say to each other
    let mut his = super::signed_in(&node, &bob).await;
    subscribes(&mut his, format!("room-{room}")).await;
    hers.does("trigger", json!({ "channel": channel, "event": "client-y", "data": {} })).await;
    alice.says(room, "hello again").await;
    his.event(&format!("room-{room}"), "room-message").await;
    assert_eq!(events(&mut his, &format!("room-{room}")), [] as [&str; 0]);
}

#[tokio::test]
async fn who_leaves_a_public_room_is_in_its_presence_channel_no_more() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let square = public_room(&server, &alice).await;
    bob.joins(square).await.expect_status(200);
    let (presence, private) = (format!("presence-room-{square}"), format!("private-room-{square}"));
    let (mut hers, mut his) = (connected(&node, &alice).await, connected(&node, &bob).await);
    subscribes(&mut hers, &presence).await;
    subscribes(&mut his, &presence).await;
    subscribes(&mut his, &private).await;
    assert_eq!(hers.event(&presence, "pusher:member_added").await["data"]["id"], json!(bob.id));
    bob.leaves(square).await.expect_status(204);
    assert_eq!(hers.event(&presence, "pusher:member_removed").await["data"]["id"], json!(bob.id));
    let over = his.event(&presence, "pusher:subscription_error").await;
    assert_eq!(over["data"]["status"], 403, "he reads it still, and is not in it: {over}");
    alice.says(square, "for whoever reads it").await;
    his.event(&private, "room-message").await;
    bob.joins(square).await.expect_status(200);
    his.does("unsubscribe", json!({ "channel": presence })).await;
    assert_eq!(subscribes(&mut his, &presence).await["members"]["count"], 2);
    assert_eq!(hers.event(&presence, "pusher:member_added").await["data"]["id"], json!(bob.id));
}

#[tokio::test]
async fn who_was_out_of_the_room_for_a_moment_is_a_member_again() {
    let Some(node) = Node::start().await else { return };
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let room = alice.group_with(&[&bob, &carol]).await;
    let channel = format!("presence-room-{room}");
    let (mut hers, mut his) = (connected(&node, &alice).await, connected(&node, &bob).await);
    subscribes(&mut hers, &channel).await;
    subscribes(&mut his, &channel).await;
    hers.event(&channel, "pusher:member_added").await;
    let states = async || alice.get(&format!("/chats/{room}/presence/states")).await.expect_status(200).data().clone();
    let his_state = async || states().await.into_iter().find(|state| state["userId"] == json!(bob.id));
    let before = his_state().await.expect("he is there")["id"].clone();
    // as a host application does that writes its members anew
    let set = format!("where chat_id = '{room}' and user_id = '{}'", bob.id);
    let statement = format!(
        "begin; update chat.participants set left_at = clock_timestamp() {set}; update chat.participants set left_at = null {set}; commit"
    );
    server.database.db_does(&statement).await;
    eventually("he is there again", async || his_state().await.is_some_and(|state| state["id"] != before)).await;
    his.does("trigger", json!({ "channel": channel, "event": "client-back", "data": {} })).await;
    hers.event(&channel, "client-back").await;
    // who comes after it has come through
    let mut carols = connected(&node, &carol).await;
    assert_eq!(subscribes(&mut carols, &channel).await["members"]["count"], 3);
    let is_carol = |said: &Value| said["event"] == "pusher:member_added" && said["data"]["id"] == json!(carol.id);
    assert_eq!(hers.hears("that carol is there", is_carol).await["members"]["count"], 3, "with him");
    assert_eq!(his.hears("that carol is there", is_carol).await["members"]["count"], 3, "as he knows too");
}
