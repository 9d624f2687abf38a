//! What a session in a race may do, as SQL.

use uuid::Uuid;

use crate::support::random::Random;

/// Where and among whom it happens.
pub struct Place {
    pub chats: Vec<Uuid>,
    pub people: Vec<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Move {
    Send,
    Reply,
    SendSeveral,
    Edit,
    EditMany,
    Pin,
    Leave,
    Join,
    ChangeRole,
    Remove,
    Add,
    Delete,
    Rename,
    DeleteChat,
    DeleteForGood,
    DeleteRepliedForGood,
    DeleteParticipantForGood,
    Refound,
}

use Move::*;

/// What people do, whom RLS binds, and how often.
const PEOPLES: &[(u64, Move)] = &[
    (28, Send),
    (6, Reply),
    (8, SendSeveral),
    (14, Edit),
    (5, EditMany),
    (5, Pin),
    (7, Leave),
    (9, Join),
    (5, ChangeRole),
    (5, Remove),
    (4, Add),
    (6, Delete),
    (4, Rename),
    (1, DeleteChat),
];

/// What the owner of the tables does.
const OWNERS: &[(u64, Move)] = &[
    (24, Send),
    (8, Reply),
    (8, SendSeveral),
    (14, Edit),
    (6, EditMany),
    (5, Pin),
    (6, Leave),
    (6, Join),
    (5, ChangeRole),
    (5, Rename),
    (8, DeleteForGood),
    (4, DeleteRepliedForGood),
    (3, DeleteParticipantForGood),
    (4, Refound),
];

/// A chat with everybody in it: two owners, a moderator, members.
pub fn found(chat: Uuid, place: &Place) -> String {
    // a group among rooms that one may join
    let (kind, visibility) = if chat == place.chats[0] { ("group", "private") } else { ("room", "public") };
    let people: Vec<String> = place
        .people
        .iter()
        .enumerate()
        .map(|(n, person)| {
            let role = ["owner", "owner", "moderator"].get(n).unwrap_or(&"member");
            format!("('{chat}', '{person}', '{role}')")
        })
        .collect();
    format!(
        "insert into chat.chats (id, type, visibility, name) values ('{chat}', '{kind}', '{visibility}', 'a race');
         insert into chat.participants (chat_id, user_id, role) values {}",
        people.join(", ")
    )
}

/// A person's move.
pub fn of_person(random: &mut Random, place: &Place, me: Uuid) -> (Move, String) {
    let (chat, other) = (random.pick(&place.chats), random.pick(&place.people));
    let action = random.weighted(PEOPLES);
    let mine = format!("chat_id = '{chat}' and sender_id = '{me}' and deleted_at is null");
    let sql = match action {
        Send => format!("insert into chat.messages (chat_id, text) values ('{chat}', 'x')"),
        Reply => format!(
            "insert into chat.messages (chat_id, text, reply_to_id)
             select chat_id, 'x', id from chat.messages where chat_id = '{chat}' order by random() limit 1"
        ),
        SendSeveral => format!("insert into chat.messages (chat_id, text) select '{chat}', 'x' from generate_series(1, 5)"),
        Edit => edit(&mine, "random()", 1),
        EditMany => edit(&mine, "random()", 5),
        Pin => pin(chat),
        Leave => format!("update chat.participants set left_at = now() where chat_id = '{chat}' and user_id = '{me}'"),
        Join => format!("select chat.join_room('{chat}')"),
        Remove => format!("update chat.participants set left_at = now() where chat_id = '{chat}' and user_id = '{other}'"),
        Add => format!(
            "insert into chat.participants (chat_id, user_id) values ('{chat}', '{other}')
             on conflict (chat_id, user_id) do update set left_at = null"
        ),
        Delete => format!(
            "select chat.delete_message(m.chat_id, m.id)
             from (select chat_id, id from chat.messages where chat_id = '{chat}' order by random() limit 1) m"
        ),
        DeleteChat => format!("select chat.delete_chat('{chat}')"),
        ChangeRole => change_role(random, *chat, *other),
        _ => rename(random, *chat),
    };
    (action, sql)
}

/// A move of the owner of the tables, whom nothing binds but the triggers for all.
pub fn of_owner(random: &mut Random, place: &Place) -> (Move, String) {
    let (chat, person) = (random.pick(&place.chats), random.pick(&place.people));
    let action = random.weighted(OWNERS);
    let there = format!("chat_id = '{chat}' and deleted_at is null");
    let values = format!("chat_id, sender_id, kind, text) select '{chat}', '{person}', 'user', 'x'");
    let sql = match action {
        Send => format!("insert into chat.messages ({values}"),
        Reply => format!(
            "insert into chat.messages (chat_id, sender_id, kind, text, reply_to_id)
             select chat_id, '{person}', 'user', 'x', id from chat.messages where chat_id = '{chat}' order by random() limit 1"
        ),
        SendSeveral => format!("insert into chat.messages ({values} from generate_series(1, 5)"),
        Edit => edit(&there, "random()", 1),
        EditMany => edit(&there, "seq", 7),
        Pin => pin(chat),
        Leave => format!("update chat.participants set left_at = now() where chat_id = '{chat}' and user_id = '{person}'"),
        Join => format!("update chat.participants set left_at = null where chat_id = '{chat}' and user_id = '{person}'"),
        // two of the newest, so that the head itself goes
        DeleteForGood => format!(
            "delete from chat.messages where (chat_id, id) in
               (select chat_id, id from chat.messages where chat_id = '{chat}' order by rev desc limit 2)"
        ),
        // edited first, so that the head itself goes, and a reply to it stays
        DeleteRepliedForGood => {
            let which = format!(
                "(chat_id, id) = (select r.chat_id, r.reply_to_id from chat.messages r
                                  where r.chat_id = '{chat}' and r.reply_to_id is not null and r.deleted_at is null
                                  order by r.seq desc limit 1)"
            );
            format!(
                "update chat.messages set text = text || 'e' where {which} and deleted_at is null;
                 delete from chat.messages where {which}"
            )
        }
        DeleteParticipantForGood => format!(
            "delete from chat.participants where chat_id = '{chat}' and user_id = '{person}';
             insert into chat.participants (chat_id, user_id) values ('{chat}', '{person}') on conflict do nothing"
        ),
        Refound => format!("delete from chat.chats where id = '{chat}'; {}", found(*chat, place)),
        ChangeRole => change_role(random, *chat, *person),
        _ => rename(random, *chat),
    };
    (action, sql)
}

fn edit(which: &str, order: &str, at_most: u32) -> String {
    format!(
        "update chat.messages set text = text || 'e' where (chat_id, id) in
           (select chat_id, id from chat.messages where {which} order by {order} limit {at_most})"
    )
}

fn pin(chat: &Uuid) -> String {
    format!(
        "update chat.messages set pinned_at = case when pinned_at is null then now() end where (chat_id, id) in
           (select chat_id, id from chat.messages where chat_id = '{chat}' and deleted_at is null order by random() limit 2)"
    )
}

fn change_role(random: &mut Random, chat: Uuid, person: Uuid) -> String {
    let role = random.pick(&["owner", "moderator", "member"]);
    format!("update chat.participants set role = '{role}' where chat_id = '{chat}' and user_id = '{person}' and left_at is null")
}

fn rename(random: &mut Random, chat: Uuid) -> String {
    format!("update chat.chats set name = 'race {}' where id = '{chat}'", random.next())
}
