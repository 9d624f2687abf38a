//! What those who are here say of themselves: told as differences.
//!
//! **Invariant**: whoever listens to a chat, and lists its states after that, is told every difference between that list and what is.
//! A reading of a chat tells what came and what ended since the reading before. What came and ended in between it finds as well, since the
//! database keeps what ended for a while: so it is told to have ended to who listed it meanwhile. Of a chat that was not read before, it tells
//! what is younger than the last sweep but one: who listened before that had it read by a sweep, who came later listed what is older. Where any
//! of this does not hold (the database was away for long, too many listened) all are told to list anew. Differences may so be told twice.
//!
//! Those between whom a block comes or goes are told to list anew.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Aside, Asides, Track, What};
use crate::db::{Db, DbError};
use crate::params;

/// How long the database keeps what ended, less what a reading may take.
const KEPT: Duration = Duration::from_secs(25);
/// How much longer than it should a commit may take to be seen.
const MARGIN: Duration = Duration::from_secs(5);
/// How long what ended is remembered: longer than the database keeps it.
const REMEMBERED: Duration = Duration::from_secs(45);

/// What was told.
pub struct Known {
    chats: HashMap<Uuid, Chat>,
    /// Chats of which not all was told: who listens there is to list anew.
    uncertain: HashSet<Uuid>,
    /// When all was looked at, last and before that.
    looked: [Instant; 2],
}

impl Default for Known {
    fn default() -> Self {
        Self { chats: HashMap::new(), uncertain: HashSet::new(), looked: [Instant::now(); 2] }
    }
}

/// A chat's states, as they were told.
#[derive(Default)]
struct Chat {
    people: HashMap<Uuid, Person>,
    /// What was told to have ended, and is kept by the database for a while.
    over: HashMap<Uuid, Instant>,
    /// What the database says of the states as a whole.
    mark: Option<String>,
}

/// What somebody says of themselves.
#[derive(Default)]
struct Person {
    tracks: Vec<(Uuid, Track)>,
    hidden_from: HashSet<Uuid>,
}

/// What was read of a chat.
#[derive(Default)]
struct Reading {
    standing_rev: i64,
    mark: Option<String>,
    states: Vec<State>,
}

struct State {
    id: Uuid,
    user: Uuid,
    key: String,
    /// What they say; absent: it is known.
    says: Option<Value>,
    is_living: bool,
    age: Duration,
    hidden_from: HashSet<Uuid>,
}

/// Whatever was heard: chats whose states are others than were told.
pub async fn look_around(db: &Db, asides: &Asides, known: &mut Known) -> Result<BTreeSet<Uuid>, DbError> {
    let rows = db.read_as_relay(MARKS, params![]).await?;
    let mut marks: HashMap<Uuid, String> = rows.iter().map(|row| (row.get("chat_id"), row.get("mark"))).collect();
    known.chats.retain(|chat, _| asides.hub.is_listened_to(*chat));
    known.uncertain.retain(|chat| asides.hub.is_listened_to(*chat));
    if known.looked[0].elapsed() > KEPT {
        known.uncertain.extend(known.chats.drain().map(|(chat, _)| chat));
        known.uncertain.extend(marks.keys().filter(|chat| asides.hub.is_listened_to(**chat)));
    }
    known.looked = [Instant::now(), known.looked[0]];
    let mut others = known.uncertain.iter().copied().collect::<BTreeSet<Uuid>>();
    for (chat, told) in &known.chats {
        if marks.remove(chat) != told.mark {
            others.insert(*chat);
        }
    }
    others.extend(marks.into_keys().filter(|chat| asides.hub.is_listened_to(*chat)));
    Ok(others)
}

/// Tells what changed in chats; gives those of which it is to be told later.
pub async fn tell(db: &Db, asides: &Asides, known: &mut Known, chats: &BTreeSet<Uuid>) -> Result<Vec<Uuid>, DbError> {
    let mut later = Vec::new();
    let mut to_read = Vec::new();
    for chat in chats {
        if asides.hub.is_crowded(*chat) {
            known.chats.remove(chat);
            known.uncertain.insert(*chat);
        } else if asides.hub.is_listened_to(*chat) {
            to_read.push(*chat);
        }
    }
    if to_read.is_empty() {
        return Ok(later);
    }
    let mut ids: Vec<Uuid> = Vec::new();
    let mut over: Vec<Uuid> = Vec::new();
    for chat in to_read.iter().filter_map(|chat| known.chats.get(chat)) {
        ids.extend(chat.people.values().flat_map(|person| person.tracks.iter().map(|(id, _)| *id)));
        over.extend(chat.over.keys());
    }
    let rows = db.read_as_relay(STATES, params![to_read, ids, over]).await?;
    for (chat, reading) in readings(&rows) {
        let lagging = asides.hub.lagging([(chat, reading.standing_rev)]);
        if !lagging.is_empty() {
            asides.hub.hint(lagging);
            later.push(chat);
            continue;
        }
        let is_uncertain = known.uncertain.remove(&chat);
        // of a chat that was read before, everything that is new is
        let since = if known.chats.contains_key(&chat) { Duration::MAX } else { known.looked[1].elapsed() + MARGIN };
        let told = known.chats.entry(chat).or_default();
        let differences = told.take(reading, if is_uncertain { Duration::ZERO } else { since });
        if is_uncertain {
            asides.hub.tell_in([chat], &Aside::new(Some(chat), What::TrackedAnew), |_| true);
        } else {
            for difference in differences {
                difference.tell(asides, chat);
            }
        }
    }
    Ok(later)
}

fn readings(rows: &[Row]) -> HashMap<Uuid, Reading> {
    let mut readings: HashMap<Uuid, Reading> = HashMap::new();
    for row in rows {
        let reading = readings.entry(row.get("chat_id")).or_default();
        let Some(id) = row.get("id") else {
            (reading.standing_rev, reading.mark) = (row.get("standing_rev"), row.get("mark"));
            continue;
        };
        reading.states.push(State {
            id,
            user: row.get("user_id"),
            key: row.get("key"),
            says: row.get("state"),
            is_living: row.get("is_living"),
            age: Duration::from_millis(row.get::<_, i64>("age_ms").unsigned_abs()),
            hidden_from: row.get::<_, Vec<Uuid>>("hidden_from").into_iter().collect(),
        });
    }
    readings
}

/// What is other than it was told, of one person.
#[derive(Default)]
struct Difference {
    user: Uuid,
    joins: Vec<Track>,
    leaves: Vec<Track>,
    hidden_before: HashSet<Uuid>,
    hidden_now: HashSet<Uuid>,
}

impl Chat {
    /// Takes over what was read. Of what is new to it what is older than `since` is no difference.
    fn take(&mut self, reading: Reading, since: Duration) -> Vec<Difference> {
        self.mark = reading.mark;
        let now = Instant::now();
        self.over.retain(|_, at| *at + REMEMBERED > now);
        let mut states: HashMap<Uuid, Vec<State>> = HashMap::new();
        for state in reading.states {
            states.entry(state.user).or_default().push(state);
        }
        let people: BTreeSet<Uuid> = self.people.keys().chain(states.keys()).copied().collect();
        let mut differences = Vec::new();
        for user in people {
            let before = self.people.remove(&user).unwrap_or_default();
            let mut known: HashMap<Uuid, Track> = before.tracks.iter().cloned().collect();
            let mut after = Person { tracks: Vec::new(), hidden_from: before.hidden_from.clone() };
            let mut difference = Difference { user, ..Difference::default() };
            for State { id, key, says, is_living, age, hidden_from, .. } in states.remove(&user).unwrap_or_default() {
                after.hidden_from = hidden_from;
                let old = if is_living { known.remove(&id) } else { None };
                let is_old = old.is_some() || known.contains_key(&id);
                let track = old.unwrap_or_else(|| Track { id: id.to_string(), key, state: says.unwrap_or_default() });
                if is_living {
                    if !is_old && age <= since {
                        difference.joins.push(track.clone());
                    }
                    after.tracks.push((id, track));
                } else {
                    self.over.insert(id, now);
                    if !is_old && age <= since {
                        difference.leaves.push(track);
                    }
                }
            }
            let gone = before.tracks.iter().filter(|(id, _)| known.contains_key(id));
            difference.leaves.extend(gone.map(|(_, track)| track.clone()));
            difference.hidden_now.clone_from(&after.hidden_from);
            difference.hidden_before = before.hidden_from;
            if !after.tracks.is_empty() {
                self.people.insert(user, after);
            }
            differences.push(difference);
        }
        differences
    }
}

impl Difference {
    fn tell(self, asides: &Asides, chat: Uuid) {
        let Self { user, joins, leaves, hidden_before, hidden_now } = self;
        let is_hidden = |other: &Uuid| (hidden_before.contains(other), hidden_now.contains(other));
        if !joins.is_empty() || !leaves.is_empty() {
            let aside = Aside::new(Some(chat), What::Tracked { user, joins, leaves });
            asides.hub.tell_in([chat], &aside, |other| is_hidden(&other) == (false, false));
        }
        // what they may have listed since, of what came and ended besides, nobody knows
        if hidden_before != hidden_now {
            let has_changed = |other| matches!(is_hidden(&other), (true, false) | (false, true));
            asides.hub.tell_in([chat], &Aside::new(Some(chat), What::TrackedAnew), has_changed);
        }
    }
}

const MARKS: &str = "select m.chat_id, m.mark from chat.states_marks() m";

const STATES: &str = "
select t.chat_id, t.standing_rev, t.mark, t.id, t.user_id, t.key, t.state, t.is_living, t.age_ms, t.hidden_from
from chat.states_told($1, $2, $3) t";
