//! How far people have read.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Aside, Asides, What};
use crate::db::{Db, DbError};
use crate::params;

/// Tells how far people have read; gives those of whom it is to be told later.
pub async fn tell(db: &Db, asides: &Asides, markers: &BTreeSet<(Uuid, Uuid)>) -> Result<Vec<(Uuid, Uuid)>, DbError> {
    let mut later = Vec::new();
    if markers.is_empty() {
        return Ok(later);
    }
    let (chats, users): (Vec<Uuid>, Vec<Uuid>) = markers.iter().copied().unzip();
    for row in db.read_as_relay(MARKERS, params![chats, users]).await? {
        let (chat, user): (Uuid, Uuid) = (row.get("chat_id"), row.get("user_id"));
        let lagging = asides.hub.lagging([(chat, row.get("standing_rev"))]);
        if !lagging.is_empty() {
            asides.hub.hint(lagging);
            later.push((chat, user));
            continue;
        }
        let aside = Aside::new(Some(chat), What::Read { user, seq: row.get("seq") });
        asides.hub.tell_in([chat], &aside, |_| true);
    }
    Ok(later)
}

const MARKERS: &str = "
select r.chat_id, r.user_id, r.seq, (select max(o.rev) from chat.participants o where o.chat_id = a.chat_id) as standing_rev
from unnest($1::uuid[], $2::uuid[]) a (chat_id, user_id)
join chat.read_markers r on r.chat_id = a.chat_id and r.user_id = a.user_id
join chat.participants p on p.chat_id = a.chat_id and p.user_id = a.user_id and p.left_at is null";
