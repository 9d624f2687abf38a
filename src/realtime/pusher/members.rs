//! Who is in a presence channel: people, each for as long as one of their connections is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// People in a channel.
#[derive(Debug, Default)]
pub struct Members(BTreeMap<Uuid, Member>);

#[derive(Debug, Default)]
struct Member {
    info: Value,
    connections: BTreeSet<String>,
}

impl Members {
    /// One more connection of somebody's. True: it is their first.
    pub fn join(&mut self, user: Uuid, connection: &str, info: Value) -> bool {
        let is_new = !self.0.contains_key(&user);
        let member = self.0.entry(user).or_default();
        member.connections.insert(connection.to_owned());
        if is_new || member.connections.len() == 1 {
            member.info = info;
        }
        is_new
    }

    /// One of theirs less. True: it was their last.
    pub fn leave(&mut self, user: Uuid, connection: &str) -> bool {
        let Some(member) = self.0.get_mut(&user) else { return false };
        member.connections.remove(connection);
        let is_gone = member.connections.is_empty();
        if is_gone {
            self.0.remove(&user);
        }
        is_gone
    }

    /// What is shown of somebody.
    pub fn info(&self, user: Uuid) -> Option<&Value> {
        self.0.get(&user).map(|member| &member.info)
    }

    /// All of them, as a subscription lists them.
    pub fn listed(&self) -> Value {
        let ids: Vec<Uuid> = self.0.keys().copied().collect();
        let hash: Map<String, Value> = self.0.iter().map(|(id, member)| (id.to_string(), member.info.clone())).collect();
        json!({ "count": ids.len(), "ids": ids, "hash": hash })
    }

    /// Who is here of whom the others are not, and who of the others is not here.
    pub fn replace(&mut self, others: Self) -> (Vec<Uuid>, Vec<Uuid>) {
        let old = std::mem::replace(&mut self.0, others.0);
        let added = self.0.keys().filter(|user| !old.contains_key(user)).copied().collect();
        let removed = old.keys().filter(|user| !self.0.contains_key(user)).copied().collect();
        (added, removed)
    }
}

/// What is shown of who tracked a state: as this protocol's clients track it, or all of what others did.
pub fn info_of(state: &Value) -> Value {
    state.get("user_info").unwrap_or(state).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_comes_with_their_first_connection_and_goes_with_their_last() {
        let (alice, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut members = Members::default();
        assert!(members.join(alice, "a", json!({ "name": "Alice" })));
        assert!(!members.join(alice, "b", json!({ "name": "Alice, elsewhere" })));
        assert!(!members.join(alice, "b", json!({})), "told twice");
        assert!(members.join(bob, "c", Value::Null));
        let hash = json!({ alice.to_string(): { "name": "Alice" }, bob.to_string(): null });
        assert_eq!(members.listed(), json!({ "count": 2, "ids": [alice, bob], "hash": hash }));
        assert!(!members.leave(alice, "a"));
        assert!(!members.leave(alice, "z") && members.leave(alice, "b") && !members.leave(alice, "b"));
        assert_eq!(members.listed()["ids"], json!([bob]));
    }

    #[test]
    fn what_changed_meanwhile_is_who_came_and_who_went() {
        let [alice, bob, carol] = [1, 2, 3].map(Uuid::from_u128);
        let (mut members, mut now) = (Members::default(), Members::default());
        members.join(alice, "a", Value::Null);
        members.join(bob, "b", Value::Null);
        now.join(bob, "b2", Value::Null);
        now.join(carol, "c", Value::Null);
        assert_eq!(members.replace(now), (vec![carol], vec![alice]));
    }

    #[test]
    fn of_what_others_track_all_is_shown() {
        assert_eq!(info_of(&json!({ "user_info": { "name": "Alice" } })), json!({ "name": "Alice" }));
        assert_eq!(info_of(&json!({ "mood": "fine" })), json!({ "mood": "fine" }));
    }
}
