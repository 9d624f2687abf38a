//! What the database held at each moment: a log that the test's own triggers write beside the tables.
//!
//! A chat's revs are in the order of its commits, so its states are those at the highest rev of each transaction. A row in a frame is one
//! that the reader may see in one of the states that hold this version of the row: else it was told out of a snapshot that did not show it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use crate::support::TestServer;

const LOG: &str = "
create schema shadow;
create table shadow.log (chat_id uuid, rev bigint, xid xid8, what text, row_id uuid, entry jsonb);
create function shadow.note() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into shadow.log
  select (n ->> tg_argv[0])::uuid, (n ->> 'rev')::bigint, pg_current_xact_id(),
         case when tg_table_name = 'tombstones' then 'removed ' || (n ->> 'kind') else tg_table_name end, (n ->> tg_argv[1])::uuid, n
  from to_jsonb(new) n;
  return null;
end
$$;
create trigger _990_shadow after insert or update on chat.messages for each row execute function shadow.note('chat_id', 'id');
create trigger _990_shadow after insert or update on chat.participants for each row execute function shadow.note('chat_id', 'user_id');
create trigger _990_shadow after insert or update on chat.chats for each row execute function shadow.note('id', 'id');
create trigger _990_shadow after insert on chat.tombstones for each row execute function shadow.note('chat_id', 'row_id');";

/// Versions of a row by their revs; absent: it was removed.
type Versions = BTreeMap<i64, Option<Value>>;

/// What one chat was.
#[derive(Default)]
struct Past {
    messages: BTreeMap<Uuid, Versions>,
    participants: BTreeMap<Uuid, Versions>,
    chat: Versions,
    /// The highest rev of each transaction, and so each state that anybody could see.
    heads: BTreeSet<i64>,
}

/// What all chats were.
pub struct Shadow(BTreeMap<Uuid, Past>);

/// Begins the log of a server's database.
pub async fn begin(server: &TestServer) {
    let database = &server.database;
    database.cluster.db_superuser(&database.name).await.batch_execute(LOG).await.expect(LOG);
}

impl Shadow {
    /// Reads the log.
    pub async fn read(server: &TestServer) -> Self {
        let database = &server.database;
        let superuser = database.cluster.db_superuser(&database.name).await;
        let statement = "select l.chat_id, l.rev, l.what, l.row_id, l.entry, l.rev = max(l.rev) over (partition by l.chat_id, l.xid) as is_head
                         from shadow.log l";
        let mut all: BTreeMap<Uuid, Past> = BTreeMap::new();
        for row in superuser.query(statement, &[]).await.expect(statement) {
            let past = all.entry(row.get("chat_id")).or_default();
            let (rev, id, what): (i64, Option<Uuid>, &str) = (row.get("rev"), row.get("row_id"), row.get("what"));
            let entry = (!what.starts_with("removed")).then(|| row.get::<_, Value>("entry"));
            if row.get("is_head") {
                past.heads.insert(rev);
            }
            let id = id.unwrap_or_default();
            match what {
                "messages" | "removed message" => drop(past.messages.entry(id).or_default().insert(rev, entry)),
                "participants" | "removed participant" => drop(past.participants.entry(id).or_default().insert(rev, entry)),
                "chats" | "removed chat" => drop(past.chat.insert(rev, entry)),
                // a removal that is not told: nothing of the chat is known after it
                _ => {}
            }
        }
        Self(all)
    }

    /// What is wrong with a frame that somebody heard, if anything is.
    pub fn leak(&self, who: Uuid, frame: &Value) -> Option<String> {
        let payload = &frame["payload"];
        // a key alone says nothing
        let text = payload["text"].as_str()?;
        let chat: Uuid = frame["chatId"].as_str()?.parse().ok()?;
        let id: Uuid = payload["id"].as_str()?.parse().ok()?;
        let past = self.0.get(&chat)?;
        let versions = past.messages.get(&id)?;
        // where no version is named, those that say it
        let told = payload["rev"].as_i64();
        let is_it = |(rev, row): &(&i64, &Option<Value>)| match told {
            Some(told) => **rev == told,
            None => row.as_ref().is_some_and(|row| row["text"] == text),
        };
        let mut told: Vec<(i64, &Value)> =
            versions.iter().filter(is_it).filter_map(|(rev, row)| Some((*rev, row.as_ref()?))).collect();
        let is_seen = |(version, row): &(i64, &Value)| {
            let until = versions.range(version + 1..).next().map_or(i64::MAX, |(rev, _)| *rev);
            past.heads.range(*version..until).any(|head| past.shows(*head, who, row))
        };
        let last = told.last().copied()?.0;
        told.retain(is_seen);
        told.is_empty().then(|| format!("{who} heard of version {last} of {id} in {chat}, which no state showed them: {payload}"))
    }
}

impl Past {
    /// Whether somebody could read this version of a message in the state of this head.
    fn shows(&self, head: i64, who: Uuid, message: &Value) -> bool {
        let at = |versions: &Versions| versions.range(..=head).next_back().and_then(|(_, entry)| entry.clone());
        let Some(chat) = at(&self.chat).filter(|chat| chat["deleted_at"].is_null()) else { return false };
        let participant = self.participants.get(&who).and_then(at).filter(|row| row["left_at"].is_null());
        let is_after = |row: &Value| message["seq"].as_i64() > row["sees_after"].as_i64();
        if message["deleted_at"].is_null() {
            return chat["visibility"] == "public" || participant.as_ref().is_some_and(is_after);
        }
        participant.is_some_and(|row| row["role"] != "member" && is_after(&row))
    }
}
