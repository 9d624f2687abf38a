//! What an operation asks of the rules: the matrix of the guards compares what `chat.why` says with what the API then answers.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Question, Why};
use crate::guards::place::Room;
use crate::support::Answer;

/// What is no question about a row: lists that are empty for who may see nothing, what somebody takes along, and what is stored nowhere.
const UNASKED: [&str; 7] =
    ["exportMe", "listChats", "listLatestMessages", "listRooms", "sendBroadcast", "setTyping", "syncChats"];

/// An operation as a question; the host has no profile to ask about.
fn question(operation: &str, caller: &str, room: &Room) -> Option<Question> {
    let me = room.caller(caller).id;
    let who = match caller {
        "anon" => "anon".to_owned(),
        "service" => "service_role".to_owned(),
        _ => me.to_string(),
    };
    let (id, erin, outsider) = (room.id, room.erin.id, room.outsider.id);
    let message = format!("{id}/{}", room.message);
    let about = |command, table, row: &dyn ToString| Some(Question::new(&who, command, table, row.to_string()));
    let written = |question: Option<Question>, values: Value| question.map(|question| question.with(values));
    match operation {
        "listUsers" | "getUser" => about("select", "users", if operation == "getUser" || me.is_nil() { &erin } else { &me }),
        "getMe" | "updateMe" | "deleteMe" if caller == "service" => None,
        "getMe" => about("select", "users", &me),
        "updateMe" => written(about("update", "users", &me), json!({ "avatar_url": "https://example.com/me.png" })),
        "deleteMe" => about("delete", "users", &me),
        "listFriends" => about("select", "friendships", &erin),
        "addFriend" => about("insert", "friendships", &outsider),
        "removeFriend" => about("delete", "friendships", &erin),
        "listBlocks" => about("select", "blocks", &format!("{me}/{erin}")),
        "blockUser" => about("insert", "blocks", &outsider),
        "unblockUser" => about("delete", "blocks", &format!("{me}/{erin}")),
        "createChat" => {
            Some(Question { id: None, ..Question::new(&who, "insert", "chats", "").with(json!({ "type": "group" })) })
        }
        "getChat" | "getRoom" | "listMessages" | "listPins" | "listChanges" | "searchMessages" => about("select", "chats", &id),
        "updateChat" => written(about("update", "chats", &id), json!({ "name": "my room" })),
        "deleteChat" => about("delete", "chats", &id),
        "joinChat" => about("insert", "participants", &id),
        "putEventChat" | "deleteEventChat" => {
            let command = if operation == "putEventChat" { "insert" } else { "delete" };
            let values = json!({ "type": "event_authors", "event_id": id });
            Some(Question { id: None, ..Question::new(&who, command, "chats", "").with(values) })
        }
        "listParticipants" => about("select", "participants", &format!("{id}/{erin}")),
        "listPresence" | "listPresenceStates" => about("select", "presence", &format!("{id}/{erin}")),
        "setParticipant" => about("insert", "participants", &format!("{id}/{outsider}")),
        "removeParticipant" => about("delete", "participants", &format!("{id}/{erin}")),
        "markRead" => written(about("insert", "read_markers", &id), json!({ "seq": 1_000_000 })),
        "sendMessage" => written(about("insert", "messages", &id), json!({ "text": "what I say" })),
        "importMessages" => {
            written(about("insert", "messages", &id), json!({ "text": "what was said", "created_at": "2020-02-02T02:02:02Z" }))
        }
        "getMessage" => about("select", "messages", &message),
        "editMessage" => written(about("update", "messages", &message), json!({ "text": "what I say" })),
        "deleteMessage" => about("delete", "messages", &message),
        "listEdits" => about("select", "message_edits", &message),
        "addReaction" => about("insert", "reactions", &format!("{message}/👍")),
        "removeReaction" => about("delete", "reactions", &format!("{message}/👍")),
        "pinMessage" => written(about("update", "messages", &message), json!({ "pinned_at": "2026-01-01T00:00:00Z" })),
        "unpinMessage" => written(about("update", "messages", &format!("{id}/{}", room.pinned)), json!({ "pinned_at": null })),
        _ => None,
    }
}

/// What is answered, just before it is done.
pub async fn asked(dba: &Client, operation: &str, caller: &str, room: &Room) -> Option<Why> {
    let question = question(operation, caller, room)?;
    Some(question.ask(dba).await.unwrap_or_else(|error| panic!("{error:?}: {question:?}")))
}

/// How what was answered differs from what then happened.
pub fn differs(operation: &str, caller: &str, why: Option<&Why>, answer: &Answer) -> Option<String> {
    let text = |name: &str| answer.body[name].as_str();
    let refused = answer.status >= 400;
    let difference = match why {
        _ if ["nobody", "expired"].contains(&caller) => return None,
        // a rule is about rows, and this about a token
        _ if text("code") == Some("token_is_nobodys") => return None,
        _ if refused && text("rule").is_none() => "is refused without a rule",
        None if UNASKED.contains(&operation) => return None,
        None => "is no question",
        Some(why) if (why.allowed == Some(false)) != refused => "is answered otherwise",
        Some(why) if refused && (text("rule"), text("code")) != (why.rule.as_deref(), why.code.as_deref()) => {
            "is by another rule"
        }
        Some(why) if why.fact.as_deref().is_none_or(str::is_empty) => "has no fact",
        Some(_) => return None,
    };
    Some(format!("{operation} by {caller} {difference}: {} {}; {why:?}", answer.status, answer.body))
}
