//! What people do to people, and what does not fit elsewhere.

use serde_json::json;

use super::{Asker, Question, Try, World, assignments};
use crate::support::random::Random;

impl World {
    pub(super) fn of_people(&self, random: &mut Random, asker: &Asker) -> Try {
        let user = if random.chance(30) { asker.id.unwrap_or_default() } else { self.person(random) };
        let row = Some(format!("select 1 from chat.users where id = '{user}'"));
        let about = |command| Question::new(asker.who(), command, "users", user);
        match random.below(5) {
            0 => Try {
                question: about("select"),
                statement: format!("select display_name from chat.users where id = '{user}'"),
                row,
            },
            1 => {
                let mine = asker.id == Some(user);
                let statement =
                    if mine { "select chat.erase_me()".to_owned() } else { format!("select chat.erase_user('{user}')") };
                Try { question: about("delete"), statement, row }
            }
            2 => {
                let values = json!({ "display_name": "somebody" });
                let statement = format!("insert into chat.users (id, display_name) values ('{user}', 'somebody')");
                Try { question: about("insert").with(values), statement, row: None }
            }
            _ => {
                let values = random
                    .pick(&[
                        json!({ "display_name": "other" }),
                        json!({ "username": "NO" }),
                        json!({ "username": "taken" }),
                        json!({ "kind": "guest" }),
                    ])
                    .clone();
                let set = assignments(&values);
                Try {
                    question: about("update").with(values),
                    statement: format!("update chat.users set {set} where id = '{user}'"),
                    row,
                }
            }
        }
    }

    pub(super) fn of_pairs(&self, random: &mut Random, asker: &Asker) -> Try {
        let (one, other) = self.pair(random, &self.pairs);
        let at = format!(
            "least(requester_id, addressee_id) = least('{one}'::uuid, '{other}') and greatest(requester_id, addressee_id) = greatest('{one}'::uuid, '{other}')"
        );
        let row = Some(format!("select 1 from chat.friendships where {at}"));
        let about = |command| Question::new(asker.who(), command, "friendships", format!("{one}/{other}"));
        match random.below(8) {
            0 => Try { question: about("select"), statement: format!("select created_at from chat.friendships where {at}"), row },
            1 => Try {
                question: about("update"),
                statement: format!("update chat.friendships set accepted_at = now() where {at}"),
                row,
            },
            2 => Try { question: about("delete"), statement: format!("delete from chat.friendships where {at}"), row },
            3 => {
                let statement = format!("insert into chat.friendships (requester_id, addressee_id) values ('{one}', '{other}')");
                Try { question: about("insert"), statement, row: None }
            }
            4 => {
                let statement = format!(
                    "insert into chat.friendships as f (addressee_id) values ('{other}')
                     on conflict (least(requester_id, addressee_id), greatest(requester_id, addressee_id)) do update
                     set accepted_at = now() where f.addressee_id = chat.uid() and f.accepted_at is null"
                );
                Try { question: Question::new(asker.who(), "insert", "friendships", other), statement, row: None }
            }
            n => {
                let (one, other) = self.pair(random, &self.blocks);
                let at = format!("blocker_id = '{one}' and blocked_id = '{other}'");
                let row = Some(format!("select 1 from chat.blocks where {at}"));
                let about = |command| Question::new(asker.who(), command, "blocks", format!("{one}/{other}"));
                match n {
                    5 => Try {
                        question: about("select"),
                        statement: format!("select created_at from chat.blocks where {at}"),
                        row,
                    },
                    6 => Try { question: about("delete"), statement: format!("delete from chat.blocks where {at}"), row },
                    _ => {
                        let statement = format!(
                            "insert into chat.blocks (blocked_id) values ('{other}') on conflict (blocker_id, blocked_id) do nothing"
                        );
                        Try { question: Question::new(asker.who(), "insert", "blocks", other), statement, row: None }
                    }
                }
            }
        }
    }

    pub(super) fn of_the_rest(&self, random: &mut Random, asker: &Asker) -> Try {
        let (chat, message) = self.message(random);
        let user = if random.chance(50) { asker.id.unwrap_or_default() } else { self.person(random) };
        let marker = format!("chat_id = '{chat}' and user_id = '{user}'");
        let marked = Some(format!("select 1 from chat.read_markers where {marker}"));
        let about = |command| Question::new(asker.who(), command, "read_markers", format!("{chat}/{user}"));
        match random.below(7) {
            0 => {
                let at = format!("chat_id = '{chat}' and message_id = '{message}'");
                Try {
                    question: Question::new(asker.who(), "select", "message_edits", format!("{chat}/{message}")),
                    statement: format!("select text from chat.message_edits where {at}"),
                    row: Some(format!("select 1 from chat.message_edits where {at}")),
                }
            }
            1 => Try {
                question: about("select"),
                statement: format!("select seq from chat.read_markers where {marker}"),
                row: marked,
            },
            2 => Try {
                question: about("update").with(json!({ "seq": 1 })),
                statement: format!("update chat.read_markers set seq = 1 where {marker}"),
                row: marked,
            },
            3 => {
                Try { question: about("delete"), statement: format!("delete from chat.read_markers where {marker}"), row: marked }
            }
            4 | 5 => {
                let seq = *random.pick(&[1, 1_000_000, -1]);
                let statement = format!(
                    "insert into chat.read_markers (chat_id, seq) values ('{chat}', {seq})
                     on conflict (chat_id, user_id) do update set seq = excluded.seq"
                );
                Try {
                    question: Question::new(asker.who(), "insert", "read_markers", chat).with(json!({ "seq": seq })),
                    statement,
                    row: None,
                }
            }
            _ => Try {
                question: Question::new(asker.who(), "update", "rules", "chats.1").with(json!({ "sentence": "everybody may" })),
                statement: "update chat.rules set sentence = 'everybody may' where number = 'chats.1'".to_owned(),
                row: Some("select 1".to_owned()),
            },
        }
    }
}
