//! What clients tell each other: each broadcast once, in the order of their ids within a chat.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Aside, Asides, Content, What};
use crate::db::{Db, DbError};
use crate::params;

/// How long it is remembered what was told: longer than the database keeps it.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Broadcasts that are remembered at most; the oldest go first.
const REMEMBERED_MAX: usize = 200_000;

/// An id, and when it was said: after a crash of the database ids begin anew.
type Name = (i64, OffsetDateTime);

/// What was told a moment ago: whoever hints at it again, it is not told twice.
#[derive(Default)]
pub struct Recent {
    told: HashSet<Name>,
    in_order: VecDeque<(Instant, Name)>,
}

impl Recent {
    fn remember(&mut self, name: Name) {
        let now = Instant::now();
        let is_old = |(at, _): &(Instant, Name), count: usize| *at + REMEMBERED < now || count >= REMEMBERED_MAX;
        while let Some((_, old)) = self.in_order.front().copied().filter(|front| is_old(front, self.told.len())) {
            self.in_order.pop_front();
            self.told.remove(&old);
        }
        self.told.insert(name);
        self.in_order.push_back((now, name));
    }
}

/// Chats of which something is told later, and so all that follows.
pub type Held = HashSet<Uuid>;

/// Tells broadcasts; gives those that are to be told later.
pub async fn tell(
    db: &Db,
    asides: &Asides,
    recent: &mut Recent,
    held: &mut Held,
    ids: &BTreeSet<i64>,
) -> Result<Vec<i64>, DbError> {
    let mut later = Vec::new();
    if ids.is_empty() {
        return Ok(later);
    }
    for row in db.read_as_relay(BROADCASTS, params![ids.iter().copied().collect::<Vec<_>>()]).await? {
        let (id, chat): (i64, Uuid) = (row.get("id"), row.get("chat_id"));
        let name = (id, row.get("told_at"));
        if recent.told.contains(&name) {
            continue;
        }
        let lagging = asides.hub.lagging([(chat, row.get("standing_rev"))]);
        if row.get("is_left") || !lagging.is_empty() || held.contains(&chat) {
            asides.hub.hint(lagging);
            held.insert(chat);
            later.push(id);
            continue;
        }
        recent.remember(name);
        let content = match (row.get::<_, Option<&str>>("payload"), row.get("bytes")) {
            (_, Some(bytes)) => Content::Bytes(bytes),
            // what was said in plain SQL may be more than is read here: so deep, or so great a number
            (payload, None) => match serde_json::from_str(payload.unwrap_or("null")) {
                Ok(payload) => Content::Json(payload),
                Err(_) => continue,
            },
        };
        let what = What::Broadcast { id, user: row.get("user_id"), event: row.get("event"), content };
        asides.hub.tell_in([chat], &Aside::new(Some(chat), what), |_| true);
    }
    Ok(later)
}

const BROADCASTS: &str = "
select t.id, t.chat_id, t.user_id, t.event, t.payload, t.bytes, t.told_at, t.standing_rev, t.is_left
from chat.broadcasts_told($1) t";
