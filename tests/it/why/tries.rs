//! Questions, each with the statement that really does it: written here a second time, so that they are compared.

mod people;

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::Question;
use crate::support::random::Random;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    pub name: &'static str,
    pub role: &'static str,
    pub id: Option<Uuid>,
    pub admin: bool,
}

impl Asker {
    pub fn claims(&self) -> Value {
        let mut claims = json!({ "role": self.role });
        if let Some(id) = self.id {
            claims["sub"] = json!(id);
            claims["name"] = json!(self.name);
        }
        if self.admin {
            claims["app_metadata"] = json!({ "role": "admin" });
        }
        claims
    }

    pub fn who(&self) -> String {
        self.id.map_or_else(|| self.role.to_owned(), |id| id.to_string())
    }
}

/// Something to do, and to ask about.
#[derive(Debug)]
pub struct Try {
    pub question: Question,
    pub statement: String,
    /// Finds the row that it is about, for who sees all; none for what makes one.
    pub row: Option<String>,
}

/// What there is, to choose from.
pub struct World {
    pub people: Vec<Uuid>,
    chats: Vec<(Uuid, String)>,
    messages: Vec<(Uuid, Uuid)>,
    reactions: Vec<(Uuid, Uuid, Uuid, String)>,
    pairs: Vec<(Uuid, Uuid)>,
    blocks: Vec<(Uuid, Uuid)>,
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl World {
    pub async fn db_read(owner: &Client, people: &[Uuid]) -> Self {
        let rows = async |sql: &str| owner.query(sql, &[]).await.expect(sql);
        Self {
            people: people.to_vec(),
            chats: rows("select id, uid from chat.chats").await.iter().map(|r| (r.get(0), r.get(1))).collect(),
            messages: rows("select chat_id, id from chat.messages").await.iter().map(|r| (r.get(0), r.get(1))).collect(),
            reactions: rows("select chat_id, message_id, user_id, emoji from chat.reactions")
                .await
                .iter()
                .map(|r| (r.get(0), r.get(1), r.get(2), r.get(3)))
                .collect(),
            pairs: rows("select requester_id, addressee_id from chat.friendships")
                .await
                .iter()
                .map(|r| (r.get(0), r.get(1)))
                .collect(),
            blocks: rows("select blocker_id, blocked_id from chat.blocks").await.iter().map(|r| (r.get(0), r.get(1))).collect(),
        }
    }

    fn person(&self, random: &mut Random) -> Uuid {
        if random.chance(5) { Uuid::new_v4() } else { *random.pick(&self.people) }
    }

    fn chat(&self, random: &mut Random) -> Uuid {
        if random.chance(5) { Uuid::new_v4() } else { random.pick(&self.chats).0 }
    }

    fn message(&self, random: &mut Random) -> (Uuid, Uuid) {
        if self.messages.is_empty() || random.chance(5) {
            (self.chat(random), Uuid::new_v4())
        } else {
            *random.pick(&self.messages)
        }
    }

    /// Two people, often such as there is something between.
    fn pair(&self, random: &mut Random, of: &[(Uuid, Uuid)]) -> (Uuid, Uuid) {
        if of.is_empty() || random.chance(30) { (self.person(random), self.person(random)) } else { *random.pick(of) }
    }

    /// Something that this one might do.
    pub fn something(&self, random: &mut Random, asker: &Asker) -> Try {
        match random.below(9) {
            0 | 1 => self.of_messages(random, asker),
            2 => self.of_chats(random, asker),
            3 | 4 => self.of_participants(random, asker),
            5 => self.of_reactions(random, asker),
            6 => self.of_people(random, asker),
            7 => self.of_pairs(random, asker),
            _ => self.of_the_rest(random, asker),
        }
    }

    fn of_messages(&self, random: &mut Random, asker: &Asker) -> Try {
        let (chat, id) = self.message(random);
        let at = format!("chat_id = '{chat}' and id = '{id}'");
        let row = Some(format!("select 1 from chat.messages where {at}"));
        // one that is nowhere is in no chat to be found by
        let named =
            if random.chance(50) || !self.messages.contains(&(chat, id)) { format!("{chat}/{id}") } else { id.to_string() };
        let about = |command| Question::new(asker.who(), command, "messages", &named);
        match random.below(10) {
            0 => Try { question: about("select"), statement: format!("select text from chat.messages where {at}"), row },
            1 => Try { question: about("delete"), statement: format!("select chat.delete_message('{chat}', '{id}')"), row },
            2..6 => {
                let values = random
                    .pick(&[
                        json!({ "text": "edited" }),
                        json!({ "text": "edited" }),
                        json!({ "text": "edited" }),
                        json!({ "text": " " }),
                        json!({ "text": "x".repeat(10_001) }),
                        json!({ "pinned_at": "2026-01-01T00:00:00Z" }),
                        json!({ "pinned_at": null }),
                        json!({ "mentions": [null] }),
                        json!({ "sender_id": chat }),
                        json!({ "attachment_url": "ftp://x" }),
                    ])
                    .clone();
                let set = assignments(&values);
                Try {
                    question: about("update").with(values),
                    statement: format!("update chat.messages set {set} where {at}"),
                    row,
                }
            }
            n => {
                let chat = if n < 9 { self.chat(random) } else { chat };
                // again, or by somebody else
                let again = n == 9;
                let id = if again { id } else { Uuid::new_v4() };
                let (reply, other) = (self.message(random).1, self.person(random));
                let values = random
                    .pick(&[
                        json!({ "text": "hello" }),
                        json!({ "text": "hello" }),
                        json!({ "text": "" }),
                        json!({ "text": "x".repeat(10_001) }),
                        json!({ "text": "an answer", "reply_to_id": reply }),
                        json!({ "text": "as another", "sender_id": other, "kind": "user" }),
                        json!({ "text": "of the system", "kind": "system", "sender_id": null }),
                        json!({ "text": "a link", "attachment_url": "javascript:1" }),
                    ])
                    .clone();
                let (columns, literals) = columns(&values);
                let statement = format!(
                    "insert into chat.messages (chat_id, id, {columns}) values ('{chat}', '{id}', {literals}) on conflict (chat_id, id) do nothing"
                );
                let question = Question::new(asker.who(), "insert", "messages", format!("{chat}/{id}")).with(values);
                Try { question, statement, row: None }
            }
        }
    }

    fn of_chats(&self, random: &mut Random, asker: &Asker) -> Try {
        let chat = self.chat(random);
        let row = Some(format!("select 1 from chat.chats where id = '{chat}'"));
        let about = |command| Question::new(asker.who(), command, "chats", chat);
        let new = |values: Value, statement: String| Try {
            question: Question { id: None, ..Question::new(asker.who(), "insert", "chats", "") }.with(values),
            statement,
            row: None,
        };
        match random.below(8) {
            0 => Try { question: about("select"), statement: format!("select name from chat.chats where id = '{chat}'"), row },
            1 => Try { question: about("delete"), statement: format!("select chat.delete_chat('{chat}')"), row },
            2 => {
                let (one, other) = (self.person(random), self.person(random));
                new(
                    json!({ "type": "group", "name": "some", "user_ids": [one, other] }),
                    format!("select chat.create_group('some', '{{{one},{other}}}')"),
                )
            }
            3 => {
                let visibility = random.pick(&["private", "unlisted", "public", "secret"]);
                new(
                    json!({ "type": "room", "name": "a room", "visibility": visibility }),
                    format!("select chat.create_room('a room', '{visibility}')"),
                )
            }
            4 => {
                let other = self.person(random);
                new(json!({ "type": "direct", "user_ids": [other] }), format!("select chat.open_direct('{other}')"))
            }
            5 => new(
                json!({ "type": "approved_group", "event_id": "e", "name": "an event" }),
                "select chat.put_event_chat('e', 'approved_group', 'an event', '{}')".to_owned(),
            ),
            _ => {
                let values = random
                    .pick(&[
                        json!({ "name": "renamed" }),
                        json!({ "name": "renamed" }),
                        json!({ "name": " " }),
                        json!({ "name": null }),
                        json!({ "visibility": "public" }),
                        json!({ "visibility": "private", "read_only": true }),
                        json!({ "type": "room" }),
                    ])
                    .clone();
                let set = assignments(&values);
                Try {
                    question: about("update").with(values),
                    statement: format!("update chat.chats set {set} where id = '{chat}'"),
                    row,
                }
            }
        }
    }

    fn of_participants(&self, random: &mut Random, asker: &Asker) -> Try {
        let chat = self.chat(random);
        let user = if random.chance(30) { asker.id.unwrap_or_default() } else { self.person(random) };
        let at = format!("chat_id = '{chat}' and user_id = '{user}'");
        let row = Some(format!("select 1 from chat.participants where {at}"));
        let about = |command| Question::new(asker.who(), command, "participants", format!("{chat}/{user}"));
        match random.below(8) {
            0 => Try { question: about("select"), statement: format!("select role from chat.participants where {at}"), row },
            1 | 2 => Try {
                question: about("delete"),
                statement: format!("update chat.participants set left_at = now() where {at} and left_at is null"),
                row: Some(format!("select 1 from chat.participants where {at} and left_at is null")),
            },
            3 => {
                let values =
                    random.pick(&[json!({ "role": "moderator" }), json!({ "role": "owner" }), json!({ "role": "king" })]).clone();
                let set = assignments(&values);
                Try {
                    question: about("update").with(values),
                    statement: format!("update chat.participants set {set} where {at}"),
                    row,
                }
            }
            4 | 5 => {
                let role = *random.pick(&["member", "member", "moderator", "owner"]);
                let statement = format!(
                    "insert into chat.participants (chat_id, user_id, role) values ('{chat}', '{user}', '{role}')
                     on conflict (chat_id, user_id) do update set left_at = null, role = '{role}'"
                );
                Try { question: about("insert").with(json!({ "role": role })), statement, row: None }
            }
            _ => {
                let (id, uid) = random.pick(&self.chats).clone();
                let room = if random.chance(50) { id.to_string() } else { uid };
                Try {
                    question: Question::new(asker.who(), "insert", "participants", &room),
                    statement: format!("select chat.join_room('{room}')"),
                    row: None,
                }
            }
        }
    }

    fn of_reactions(&self, random: &mut Random, asker: &Asker) -> Try {
        let (chat, message) = self.message(random);
        if self.reactions.is_empty() || random.chance(50) {
            let emoji = *random.pick(&["a", "b", "no emoji"]);
            let statement = format!(
                "insert into chat.reactions (chat_id, message_id, emoji) values ('{chat}', '{message}', '{emoji}')
                 on conflict (chat_id, message_id, user_id, emoji) do nothing"
            );
            let question = Question::new(asker.who(), "insert", "reactions", format!("{chat}/{message}/{emoji}"));
            return Try { question, statement, row: None };
        }
        let (chat, message, user, emoji) = random.pick(&self.reactions).clone();
        let at = format!("chat_id = '{chat}' and message_id = '{message}' and user_id = '{user}' and emoji = '{emoji}'");
        let command = *random.pick(&["select", "delete"]);
        let question = Question::new(asker.who(), command, "reactions", format!("{chat}/{message}/{user}/{emoji}"));
        let row = Some(format!("select 1 from chat.reactions where {at}"));
        let done = if command == "select" { "select emoji" } else { "delete" };
        Try { question, statement: format!("{done} from chat.reactions where {at}"), row }
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_null) => "array[null]::uuid[]".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn assignments(values: &Value) -> String {
    let set = values.as_object().expect("an object").iter().map(|(column, value)| format!("{column} = {}", literal(value)));
    set.collect::<Vec<_>>().join(", ")
}

fn columns(values: &Value) -> (String, String) {
    let values = values.as_object().expect("an object");
    let names: Vec<&str> = values.keys().map(String::as_str).collect();
    (names.join(", "), values.values().map(literal).collect::<Vec<_>>().join(", "))
}
