//! Who is here.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{Aside, Asides, What};
use crate::db::{Db, DbError};
use crate::params;

/// Who is here, as it was last told.
#[derive(Default)]
pub struct Known {
    people: HashMap<Uuid, String>,
    has_looked: bool,
}

/// Whoever is otherwise here than was told.
pub async fn look_around(db: &Db, known: &mut Known) -> Result<BTreeSet<Uuid>, DbError> {
    let rows = db.read_as_relay(PRESENT, params![]).await?;
    let mut present: HashMap<Uuid, String> = rows.iter().map(|row| (row.get("user_id"), row.get("status"))).collect();
    if !known.has_looked {
        // nobody has listened for longer than this runs
        *known = Known { people: present, has_looked: true };
        return Ok(BTreeSet::new());
    }
    let mut others = BTreeSet::new();
    for (user, status) in &known.people {
        if present.remove(user).as_ref() != Some(status) {
            others.insert(*user);
        }
    }
    others.extend(present.into_keys());
    Ok(others)
}

/// Tells how it is with people; gives those of whom it is to be told later.
pub async fn tell(db: &Db, asides: &Asides, known: &mut Known, people: &BTreeSet<Uuid>) -> Result<Vec<Uuid>, DbError> {
    let mut later = Vec::new();
    if people.is_empty() {
        return Ok(later);
    }
    let known = &mut known.people;
    for row in db.read_as_relay(PRESENCE, params![people.iter().copied().collect::<Vec<_>>()]).await? {
        let (user, status): (Uuid, String) = (row.get("user_id"), row.get("status"));
        // what was told is not told again, whoever hints at it
        if known.get(&user).map_or("offline", String::as_str) == status {
            continue;
        }
        let (chats, revs): (Vec<Uuid>, Vec<i64>) = (row.get("chat_ids"), row.get("standing_revs"));
        let lagging = asides.hub.lagging(chats.iter().copied().zip(revs));
        if !lagging.is_empty() {
            asides.hub.hint(lagging);
            later.push(user);
            continue;
        }
        if status == "offline" {
            known.remove(&user);
        } else {
            known.insert(user, status.clone());
        }
        // they know how it is with themselves
        let hidden: HashSet<Uuid> = row.get::<_, Vec<Uuid>>("hidden_from").into_iter().chain([user]).collect();
        let aside = Aside::new(None, What::Presence { user, status, last_active_at: row.get("last_active_at") });
        asides.hub.tell_in(chats, &aside, |user| !hidden.contains(&user));
    }
    Ok(later)
}

const PRESENT: &str = "select p.user_id, p.status from chat.present() p";

const PRESENCE: &str =
    "select t.user_id, t.status, t.last_active_at, t.chat_ids, t.standing_revs, t.hidden_from from chat.presence_told($1) t";
