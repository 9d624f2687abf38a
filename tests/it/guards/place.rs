//! What the callers of the matrix ask for: a private room of somebody else's, and everybody who is in it.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::document::Operation;
use crate::support::{Person, TestServer};

/// Who asks.
pub const CALLERS: [&str; 8] = ["nobody", "expired", "anon", "stranger", "member", "moderator", "owner", "service"];

/// A private room with people of every role, in which erin said something.
pub struct Room {
    pub id: Uuid,
    pub message: Uuid,
    /// Another of hers, which the owner pinned.
    pub pinned: Uuid,
    /// A third, which she deleted.
    deleted: Uuid,
    /// The chat of an event that bears the room's id, with erin in it.
    event: Uuid,
    pub erin: Person,
    /// Known to the server, and not in the room.
    pub outsider: Person,
    /// In the order of [`CALLERS`].
    callers: Vec<Person>,
}

impl Room {
    pub async fn new(server: &TestServer) -> Self {
        let (member, moderator) = (server.person("bob").await, server.person("carol").await);
        let (owner, stranger) = (server.person("alice").await, server.person("mallory").await);
        let (erin, outsider) = (server.person("erin").await, server.person("frank").await);
        let id = owner.room("ours", "private").await;
        owner.adds(id, &member, "member").await.expect_status(200);
        owner.adds(id, &moderator, "moderator").await.expect_status(200);
        owner.adds(id, &erin, "member").await.expect_status(200);
        let message = id_of(&erin.says(id, "what erin said first").await);
        let edit = json!({ "text": "what erin said" });
        erin.patch(&format!("/chats/{id}/messages/{message}"), edit).await.expect_status(200);
        let pinned = id_of(&erin.says(id, "what erin said, and is pinned").await);
        owner.put(&format!("/chats/{id}/messages/{pinned}/pin"), json!({})).await.expect_status(200);
        let deleted = id_of(&erin.says(id, "what erin said, and is deleted").await);
        erin.delete(&format!("/chats/{id}/messages/{deleted}")).await.expect_status(204);
        // hers alone: what nobody else lists or ends
        erin.put(&format!("/chats/{id}/messages/{message}/reactions/👍"), json!({})).await.expect_status(200);
        erin.put(&format!("/chats/{id}/read"), json!({ "seq": 1_000_000 })).await.expect_status(200);
        // what she says of herself, as a connection of hers would have it written down; for as long as the server lives; called as she is
        let state = "insert into chat.presence_states (process_id, id, chat_id, user_id, key, state)
                     select l.process_id, $2, $1, $2, 'what is ours', '1' from chat_private.leases l";
        let rows = server.database.db_owner().await.execute(state, &[&id, &erin.id]).await.expect(state);
        assert_eq!(rows, 1, "{state}");
        erin.befriend(&outsider).await;
        erin.put(&format!("/blocks/{}", stranger.id), json!({})).await.expect_status(201);
        let event = json!({ "name": "what is ours as well", "participantIds": [erin.id] });
        let event = server.service().put(&format!("/events/{id}/chats/event_authors"), event).await.expect_status(201).id();
        // what was the owner's token until it ended
        let expired = server.bearer_of("expired", json!({ "sub": owner.id, "exp": 1_000_000_000 }));
        let callers = vec![server.nobody(), expired, server.anon(), stranger, member, moderator, owner, server.service()];
        Self { id, message, pinned, deleted, event, erin, outsider, callers }
    }

    /// Who asks, by their place in [`CALLERS`].
    pub fn caller(&self, name: &str) -> &Person {
        let place = CALLERS.iter().position(|caller| *caller == name).expect("one of the callers");
        &self.callers[place]
    }

    /// Who said everything in the room.
    pub fn erin(&self) -> &Person {
        &self.erin
    }

    /// What erin may end: the path of `operation`, about her friend or about whom she blocks.
    pub fn path_of_erin(&self, operation: &Operation) -> String {
        let other = if operation.id == "unblockUser" { self.caller("stranger") } else { &self.outsider };
        self.path(operation).replace(&self.erin.id.to_string(), &other.id.to_string())
    }

    /// What everything is called, seen by a caller.
    pub fn names(&self, caller: &str) -> HashMap<Uuid, &'static str> {
        let mut names = HashMap::from([
            (self.id, "room"),
            (self.message, "message"),
            (self.pinned, "pinned"),
            (self.deleted, "deleted"),
            (self.event, "event"),
            (self.erin.id, "erin"),
            (self.outsider.id, "outsider"),
        ]);
        for name in ["stranger", "member", "moderator", "owner"] {
            names.insert(self.caller(name).id, if name == caller { "me" } else { name });
        }
        names
    }

    /// What must not be told to who may not read it.
    pub fn hidden(&self) -> [Uuid; 6] {
        [self.id, self.message, self.pinned, self.deleted, self.event, self.erin.id]
    }

    pub fn path(&self, operation: &Operation) -> String {
        let path = operation.path_with(|name| match name {
            "chatId" | "idOrUid" | "eventId" => self.id.to_string(),
            "messageId" if operation.id == "unpinMessage" => self.pinned.to_string(),
            "messageId" => self.message.to_string(),
            // whom one befriends or blocks is nobody's business; the others are about someone in the room
            "userId" if ["addFriend", "blockUser", "setParticipant"].contains(&operation.id.as_str()) => {
                self.outsider.id.to_string()
            }
            "userId" => self.erin.id.to_string(),
            "type" => "event_authors".to_owned(),
            "emoji" => "👍".to_owned(),
            other => panic!("what is {other}?"),
        });
        match operation.id.as_str() {
            "deleteChat" => path + "?scope=everyone",
            "searchMessages" => format!("{path}?q=erin&chatId={}", self.id),
            "listLatestMessages" => format!("{path}?chatIds={}", self.id),
            _ => path,
        }
    }

    pub fn body(&self, operation: &Operation) -> Option<Value> {
        operation.has_body().then(|| match operation.id.as_str() {
            "createChat" => json!({ "type": "group" }),
            "sendMessage" | "editMessage" => json!({ "text": "what I say" }),
            "updateMe" => json!({ "avatarUrl": "https://example.com/me.png" }),
            "updateChat" => json!({ "name": "my room" }),
            "markRead" => json!({ "seq": 1_000_000 }),
            "putEventChat" => json!({ "name": "my event", "participantIds": [self.outsider.id] }),
            "importMessages" => json!({ "messages": [{ "text": "what was said", "createdAt": "2020-02-02T02:02:02Z" }] }),
            "setParticipant" | "setTyping" => json!({}),
            "sendBroadcast" => json!({ "event": "what I say" }),
            other => panic!("{other} has a body and none here"),
        })
    }
}

fn id_of(message: &Value) -> Uuid {
    message["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}
