//! The way from the hub to one connection: what it has to take, bounded in number and in bytes.
//!
//! **Invariant**: nothing is dropped in silence. What does not fit makes the connection fall behind, which it is told before anything else.
//!
//! Asides wait apart: of each the last, until there is nothing else to take. So they make nobody fall behind, and survive it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::super::asides::{Aside, Key, What};
use super::super::batch::{Batch, Standing};

/// Signals that wait for one connection at most.
const WAITING_MAX: usize = 256;
/// And what they hold, in bytes: a batch is counted for each who waits for it, though they share it.
const WEIGHT_MAX: usize = 1 << 20;

/// Chats that wait to be looked at by who lists rooms, at most: beyond, all of them are.
const LISTED_MAX: usize = 1_000;
/// Asides that wait for one connection at most, and what they hold, in bytes, though they share it: one that reads so little is not told of
/// the rest, and told so where it counts.
const ASIDES_MAX: usize = 5_000;
const ASIDES_WEIGHT_MAX: usize = 2 << 20;

/// What a listener is told, in this order.
#[derive(Debug)]
pub enum Signal {
    /// Of a chat that they listen to, by the ear that [`super::Listener::listen`] gave.
    Heard { chat: Uuid, ear: u32, what: Heard },
    /// They came to a chat, or something about their part in it changed.
    Arrived { chat: Uuid },
    /// Something changed about this chat, or about any: they list rooms, and are to look whether it is one.
    Listed { chat: Option<Uuid> },
    /// Something that stands in no log.
    Aside(Arc<Aside>, Uuid),
    /// They fell behind: what they were told is not all, and [`super::Listener::begin_anew`] is due.
    Behind,
}

/// What is heard of a chat.
#[derive(Debug)]
pub enum Heard {
    /// From here on they are told of the chat; absent: they do not read it.
    Ready(Option<Ready>),
    /// What changed in it, of which they see what their standing lets them.
    Batch(Arc<Batch>, Standing),
    /// Something changed in it, for who has to look for themselves.
    Look,
    /// They do not read it any more.
    Gone,
    /// They see other rows of it than before, also old ones, or removals are forgotten: it is to be listed anew, as of this rev or later.
    Anew { head: i64, is_in: bool },
}

/// Where a chat stands when they begin to be told of it.
#[derive(Debug, Clone)]
pub struct Ready {
    pub head: i64,
    /// Which life of the database it is.
    pub epoch: Arc<str>,
    /// They are in the chat, and not only reading it.
    pub is_in: bool,
    /// They look for themselves: whether they read it is not known here.
    pub is_strict: bool,
}

/// A connection's line; cheap to share, and empty while nothing waits.
pub(super) struct Line {
    pub id: u64,
    inbox: Mutex<Inbox>,
    news: Notify,
}

#[derive(Default)]
struct Inbox {
    signals: VecDeque<Signal>,
    weight: usize,
    is_behind: bool,
    /// Chats that they came to while they were behind.
    arrivals: BTreeSet<Uuid>,
    /// Chats that changed, for who lists rooms; none, and all of them did.
    listed: BTreeSet<Uuid>,
    is_any_listed: bool,
    /// Each with the chat by which they are to hear it.
    asides: BTreeMap<Key, (Arc<Aside>, Uuid)>,
    asides_weight: usize,
}

impl Signal {
    fn weight(&self) -> usize {
        match self {
            Self::Heard { what: Heard::Batch(batch, _), .. } => batch.weight,
            _ => 0,
        }
    }
}

impl Line {
    pub fn new(id: u64) -> Self {
        Self { id, inbox: Mutex::default(), news: Notify::new() }
    }

    /// Tells them.
    pub fn send(&self, signal: Signal) {
        let mut inbox = self.inbox();
        let weight = inbox.weight + signal.weight();
        // one that is too heavy by itself is let through: else nobody would ever be told of it
        let is_full = inbox.signals.len() >= WAITING_MAX || weight > WEIGHT_MAX && inbox.weight > 0;
        if inbox.is_behind || is_full {
            inbox.fall_behind();
            inbox.note(&signal);
        } else {
            inbox.weight = weight;
            inbox.signals.push_back(signal);
        }
        drop(inbox);
        self.news.notify_one();
    }

    /// Tells them what stands in no log; what they were not told yet of the same is in it, or forgotten.
    pub fn tell_aside(&self, aside: &Arc<Aside>, by: Uuid) {
        self.inbox().put_aside(aside, by);
        self.news.notify_one();
    }

    /// Tells them, who list rooms, that a chat changed: once, however often it did.
    pub fn list(&self, chat: Uuid) {
        let mut inbox = self.inbox();
        if inbox.listed.len() >= LISTED_MAX {
            inbox.listed.clear();
            inbox.is_any_listed = true;
        }
        if !inbox.is_any_listed {
            inbox.listed.insert(chat);
        }
        drop(inbox);
        self.news.notify_one();
    }

    /// Tells them that any may have changed.
    pub fn list_any(&self) {
        let mut inbox = self.inbox();
        inbox.listed.clear();
        inbox.is_any_listed = true;
        drop(inbox);
        self.news.notify_one();
    }

    /// Makes them begin anew.
    pub fn fall_behind(&self) {
        self.inbox().fall_behind();
        self.news.notify_one();
    }

    /// What waits for them, if anything does.
    pub fn waits(&self) -> Option<Signal> {
        self.inbox().take()
    }

    /// The next that they are told.
    pub async fn next(&self) -> Signal {
        loop {
            if let Some(signal) = self.waits() {
                return signal;
            }
            self.news.notified().await;
        }
    }

    /// They are not behind any more; these are the chats that they came to meanwhile.
    pub fn begin_anew(&self) -> BTreeSet<Uuid> {
        let mut inbox = self.inbox();
        inbox.is_behind = false;
        std::mem::take(&mut inbox.arrivals)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn fall_behind(&mut self) {
        self.is_behind = true;
        self.weight = 0;
        for signal in std::mem::take(&mut self.signals) {
            self.note(&signal);
        }
    }

    fn note(&mut self, signal: &Signal) {
        if let Signal::Arrived { chat } = signal {
            self.arrivals.insert(*chat);
        }
    }

    fn put_aside(&mut self, aside: &Arc<Aside>, by: Uuid) {
        let anew = Aside::new(aside.chat, What::TrackedAnew);
        let is_difference = matches!(aside.what, What::Tracked { .. });
        if is_difference && self.asides.contains_key(&anew.key()) {
            return; // they are going to list it
        }
        let earlier = self.asides.remove(&aside.key());
        self.asides_weight -= earlier.as_ref().map_or(0, |(earlier, _)| earlier.weight);
        let aside = earlier.as_ref().map_or_else(|| Arc::clone(aside), |(earlier, _)| aside.after(earlier));
        let weight = self.asides_weight + aside.weight;
        let has_room = self.asides.len() < ASIDES_MAX && (weight <= ASIDES_WEIGHT_MAX || self.asides.is_empty());
        if has_room || matches!(aside.what, What::TrackedAnew) {
            self.asides_weight = weight;
            self.asides.insert(aside.key(), (aside, by));
        } else if is_difference {
            // differences are no use without those before: one for each chat that is listened to instead
            self.asides_weight += anew.weight;
            self.asides.insert(anew.key(), (anew, by));
        }
    }

    fn take_aside(&mut self) -> Option<Signal> {
        let (_, (aside, by)) = self.asides.pop_first()?;
        self.asides_weight -= aside.weight;
        Some(Signal::Aside(aside, by))
    }

    fn take(&mut self) -> Option<Signal> {
        if self.is_behind {
            return Some(Signal::Behind);
        }
        let Some(signal) = self.signals.pop_front() else {
            self.signals = VecDeque::new(); // an idle connection keeps nothing
            if std::mem::take(&mut self.is_any_listed) {
                return Some(Signal::Listed { chat: None });
            }
            let listed = self.listed.pop_first().map(|chat| Signal::Listed { chat: Some(chat) });
            return listed.or_else(|| self.take_aside());
        };
        self.weight -= signal.weight();
        Some(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::asides::{Content, Track};

    fn arrived(n: u128) -> Signal {
        Signal::Arrived { chat: Uuid::from_u128(n) }
    }

    fn heavy(weight: usize) -> Signal {
        let batch = Batch { chat: Uuid::nil(), since: 0, upto: 1, events: Vec::new(), weight };
        let standing = Standing { reads_after: 0, reads_deleted_after: None, since_rev: 1 };
        Signal::Heard { chat: Uuid::nil(), ear: 1, what: Heard::Batch(Arc::new(batch), standing) }
    }

    #[tokio::test]
    async fn who_falls_behind_is_told_so_first_and_keeps_where_they_came_to() {
        let line = Line::new(1);
        for n in 0..=WAITING_MAX {
            line.send(arrived(n as u128));
        }
        line.send(arrived(1_000));
        assert!(matches!(line.next().await, Signal::Behind));
        assert_eq!(line.begin_anew().len(), WAITING_MAX + 2);
        line.send(arrived(7));
        assert!(matches!(line.next().await, Signal::Arrived { .. }));
    }

    #[tokio::test]
    async fn of_what_stands_in_no_log_the_last_is_told_when_nothing_else_is_and_makes_nobody_fall_behind() {
        let line = Line::new(1);
        for n in 0..3_000 {
            line.tell_aside(
                &Aside::new(None, What::Read { user: Uuid::from_u128(n % 2), seq: n.try_into().expect("small") }),
                Uuid::nil(),
            );
        }
        line.send(arrived(7));
        assert!(matches!(line.next().await, Signal::Arrived { .. }));
        line.fall_behind();
        assert!(matches!(line.next().await, Signal::Behind));
        line.begin_anew();
        for expected in [2_998, 2_999] {
            let Signal::Aside(aside, _) = line.next().await else { panic!("there is one more") };
            assert!(matches!(aside.what, What::Read { seq, .. } if seq == expected), "{aside:?}");
        }
        for n in 0..=ASIDES_MAX as u128 {
            line.tell_aside(&Aside::new(None, What::Read { user: Uuid::from_u128(n), seq: 1 }), Uuid::nil());
        }
        assert_eq!(line.inbox().asides.len(), ASIDES_MAX);
    }

    #[tokio::test]
    async fn who_lists_rooms_is_told_of_each_once_and_of_too_many_that_it_is_any() {
        let line = Line::new(1);
        for n in [1, 2, 1] {
            line.list(Uuid::from_u128(n));
        }
        line.send(arrived(7));
        assert!(matches!(line.next().await, Signal::Arrived { .. }));
        for n in [1, 2] {
            assert!(matches!(line.next().await, Signal::Listed { chat: Some(chat) } if chat == Uuid::from_u128(n)));
        }
        for n in 0..=LISTED_MAX as u128 {
            line.list(Uuid::from_u128(n));
        }
        assert!(matches!(line.next().await, Signal::Listed { chat: None }));
        assert!(line.waits().is_none());
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_but_one_goes_through() {
        let line = Line::new(1);
        line.send(heavy(WEIGHT_MAX * 2));
        assert!(matches!(line.next().await, Signal::Heard { .. }));
        line.send(heavy(WEIGHT_MAX));
        line.send(heavy(1));
        assert!(matches!(line.next().await, Signal::Behind));
    }

    fn tracked(user: u128, joins: &[&str], leaves: &[&str], weight: usize) -> Arc<Aside> {
        let tracks = |ids: &[&str]| {
            let track = |id: &&str| Track { id: (*id).to_owned(), key: "k".to_owned(), state: "x".repeat(weight).into() };
            ids.iter().map(track).collect()
        };
        let what = What::Tracked { user: Uuid::from_u128(user), joins: tracks(joins), leaves: tracks(leaves) };
        Aside::new(Some(Uuid::nil()), what)
    }

    fn ids(tracks: &[Track]) -> Vec<&str> {
        tracks.iter().map(|track| track.id.as_str()).collect()
    }

    #[tokio::test]
    async fn differences_that_wait_become_one() {
        let line = Line::new(1);
        for (joins, leaves) in [(&["a", "b"][..], &["o"][..]), (&["c"], &["a"]), (&[], &["p"])] {
            line.tell_aside(&tracked(1, joins, leaves, 1), Uuid::nil());
        }
        let Signal::Aside(aside, _) = line.next().await else { panic!("there is one") };
        let What::Tracked { joins, leaves, .. } = &aside.what else { panic!("{aside:?}") };
        assert_eq!((ids(joins), ids(leaves)), (vec!["b", "c"], vec!["o", "a", "p"]), "what came and ended is told to have ended");
        assert!(line.waits().is_none());
    }

    #[tokio::test]
    async fn who_cannot_be_told_all_differences_is_told_to_list_anew() {
        let line = Line::new(1);
        for n in 0..10 {
            line.tell_aside(&tracked(n, &["a"], &[], ASIDES_WEIGHT_MAX / 4), Uuid::nil());
        }
        let mut told = Vec::new();
        while let Some(Signal::Aside(aside, _)) = line.waits() {
            told.push(aside.key().0);
        }
        assert_eq!(told, ["tracked", "tracked", "tracked", "tracked anew"]);
        assert_eq!(line.inbox().asides_weight, 0);
        line.tell_aside(&tracked(1, &["b"], &[], 1), Uuid::nil());
        assert!(matches!(line.next().await, Signal::Aside(aside, _) if matches!(aside.what, What::Tracked { .. })));
    }

    #[tokio::test]
    async fn broadcasts_wait_in_their_order_and_are_bounded_in_bytes() {
        let line = Line::new(1);
        for id in [3, 1, 2, 400] {
            let content = Content::Bytes(vec![0; if id < 400 { 100 } else { ASIDES_WEIGHT_MAX }]);
            let what = What::Broadcast { id, user: None, event: String::new(), content };
            line.tell_aside(&Aside::new(Some(Uuid::nil()), what), Uuid::nil());
        }
        for expected in [1, 2, 3] {
            let Some(Signal::Aside(aside, _)) = line.waits() else { panic!("there is one more") };
            assert!(matches!(aside.what, What::Broadcast { id, .. } if id == expected), "{aside:?}");
        }
        assert!(line.waits().is_none() && line.inbox().asides_weight == 0);
    }
}
