//! How far a client has certainly heard: up to what was said before a ping that it answered. So a client that comes back under the same
//! `resume_id` goes on from there; some of what it heard may come again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::realtime::marks::{RENEW_EVERY, Whose};
use crate::realtime::session::Since;

/// How often a client is pinged that may come back.
const EVERY: Duration = Duration::from_secs(20);
/// And how soon after something was said.
const SOON: Duration = Duration::from_secs(1);

/// From where on a channel goes on: the place in its chat; nothing, where all is listed anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which chat: a name may lead to another by the time somebody comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chat: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rev: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

impl Mark {
    /// A place in a chat.
    pub fn at(chat: Uuid, rev: i64, epoch: &str) -> Self {
        Self { chat: Some(chat), rev: Some(rev), epoch: Some(epoch.to_owned()) }
    }

    /// That the channel was there.
    pub fn there() -> Self {
        Self { chat: None, rev: None, epoch: None }
    }

    /// What was kept, if it is of this chat, or of lists.
    pub fn read(text: &str, chat: Option<Uuid>) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|mark: &Self| mark.chat == chat)
    }

    /// As it is kept.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where a session goes on.
    pub fn since(&self) -> Option<Since> {
        Some(Since { rev: self.rev?, epoch: self.epoch.as_deref().map(Into::into) })
    }
}

/// How far one channel has told, and whose it is: shared by the channel and its socket.
#[derive(Debug)]
pub struct Progress {
    pub whose: Whose,
    pub resume_id: String,
    pub channel: String,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    mark: Mark,
    /// What it will be when its client knows that it is to begin anew.
    anew: Option<Mark>,
}

/// A channel's place, as it was when a ping was sent.
pub type Place = (Arc<Progress>, Mark);

impl Progress {
    /// A channel that goes on from a mark.
    pub fn new(whose: Whose, resume_id: String, channel: String, mark: Mark) -> Self {
        Self { whose, resume_id, channel, told: Mutex::new(Told { mark, anew: None }) }
    }

    /// What may be read has changed, or the revs of before mean nothing. Once its client is told so, it goes on from where it was, but from no higher
    /// rev.
    pub fn begin_anew(&self, head: i64, epoch: &str) {
        let mut told = self.lock();
        let rev = told.mark.rev.map_or(head, |rev| rev.min(head));
        told.anew = Some(Mark { rev: Some(rev), epoch: Some(epoch.to_owned()), ..told.mark.clone() });
    }

    /// Its client is told to begin anew, if it is to.
    pub fn anew_is_told(&self) {
        let mut told = self.lock();
        if let Some(anew) = told.anew.take() {
            told.mark = anew;
        }
    }

    /// All up to this rev was.
    pub fn tell_rev(&self, rev: i64) {
        let mut told = self.lock();
        let Told { mark, anew } = &mut *told;
        anew.as_mut().unwrap_or(mark).rev = Some(rev);
    }

    fn told(&self) -> Mark {
        self.lock().mark.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The channels of a socket whose clients may come back.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Each with the mark that is kept, and since when.
    channels: Mutex<Vec<(Place, Instant)>>,
    has_news: AtomicBool,
}

impl Ledger {
    /// One more, whose mark is kept.
    pub fn enter(&self, progress: &Arc<Progress>) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|((other, _), _)| other.channel != progress.channel && Arc::strong_count(other) > 1);
        channels.push(((Arc::clone(progress), progress.told()), Instant::now()));
    }

    /// Something was said by one of them.
    pub fn note(&self) {
        self.has_news.store(true, Ordering::Release);
    }

    /// Whose marks are not what is kept, or were kept long ago, as they are now.
    fn news(&self) -> Vec<Place> {
        self.has_news.store(false, Ordering::Release);
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let now = channels.iter().map(|((progress, kept), at)| ((Arc::clone(progress), progress.told()), kept, at));
        now.filter(|((_, now), kept, at)| now != *kept || at.elapsed() >= RENEW_EVERY).map(|(place, _, _)| place).collect()
    }

    /// These are kept.
    fn keep(&self, places: &[Place]) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for ((progress, kept), at) in channels.iter_mut() {
            if let Some((_, mark)) = places.iter().find(|(other, _)| Arc::ptr_eq(other, progress)) {
                kept.clone_from(mark);
                *at = Instant::now();
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// When a client is pinged, and what its answer says.
#[derive(Debug)]
pub struct Pings {
    last: Instant,
    /// What was said before the one that is not answered yet.
    waiting: Option<Vec<Place>>,
}

impl Default for Pings {
    fn default() -> Self {
        Self { last: Instant::now(), waiting: None }
    }
}

impl Pings {
    /// When the next is due: never, where nobody may come back, or while one is not answered.
    pub fn next_at(&self, ledger: &Ledger) -> Option<Instant> {
        if self.waiting.is_some() || ledger.is_empty() {
            return None;
        }
        Some(self.last + if ledger.has_news.load(Ordering::Acquire) { SOON } else { EVERY })
    }

    /// One is to be put into the pipe now: what stands before it there is noted.
    pub fn send(&mut self, ledger: &Ledger, now: Instant) {
        self.last = now;
        self.waiting = Some(ledger.news());
    }

    /// One was answered: these marks are to be kept.
    pub fn answered(&mut self, ledger: &Ledger) -> Vec<Place> {
        let places = self.waiting.take().unwrap_or_default();
        ledger.keep(&places);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Uuid = Uuid::from_u128(7);

    fn channel(name: &str) -> Arc<Progress> {
        Arc::new(Progress::new(Whose::default(), "r1".into(), name.into(), Mark::at(CHAT, 7, "e1")))
    }

    #[test]
    fn a_mark_is_read_as_it_was_kept() {
        let mark = Mark::at(CHAT, 7, "e1");
        assert_eq!(Mark::read(&mark.text(), Some(CHAT)), Some(mark.clone()));
        assert_eq!(Mark::read(&mark.text(), Some(Uuid::from_u128(8))), None, "it is of another chat");
        assert_eq!((Mark::read(&mark.text(), None), Mark::read(&Mark::there().text(), Some(CHAT))), (None, None));
        assert_eq!(mark.since(), Some(Since { rev: 7, epoch: Some("e1".into()) }));
        assert_eq!((Mark::there().text(), Mark::there().since()), ("{}".to_owned(), None));
        assert_eq!(Mark::read("nonsense", None), None);
    }

    #[test]
    fn what_was_said_before_a_ping_is_kept_when_it_is_answered_and_nothing_else() {
        let (ledger, mut pings) = (Ledger::default(), Pings::default());
        assert_eq!(pings.next_at(&ledger), None, "nobody comes back");
        let (one, other) = (channel("one"), channel("other"));
        ledger.enter(&one);
        ledger.enter(&other);
        assert_eq!(pings.next_at(&ledger), Some(pings.last + EVERY));
        one.tell_rev(8);
        ledger.note();
        assert_eq!(pings.next_at(&ledger), Some(pings.last + SOON));
        pings.send(&ledger, Instant::now());
        one.tell_rev(9);
        ledger.note();
        assert_eq!(pings.next_at(&ledger), None, "one is on its way");
        let kept: Vec<(String, Mark)> =
            pings.answered(&ledger).into_iter().map(|(progress, mark)| (progress.channel.clone(), mark)).collect();
        assert_eq!(kept, [("one".to_owned(), Mark::at(CHAT, 8, "e1"))]);
        assert!(pings.answered(&ledger).is_empty(), "nobody asked");
        pings.send(&ledger, Instant::now());
        assert_eq!(pings.answered(&ledger).iter().map(|(_, mark)| mark.clone()).collect::<Vec<_>>(), [Mark::at(CHAT, 9, "e1")]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_who_is_told_nothing_for_long_it_is_kept_nevertheless() {
        let (ledger, mut pings, one) = (Ledger::default(), Pings::default(), channel("one"));
        ledger.enter(&one);
        pings.send(&ledger, Instant::now());
        assert!(pings.answered(&ledger).is_empty());
        tokio::time::advance(RENEW_EVERY).await;
        pings.send(&ledger, Instant::now());
        assert_eq!(pings.answered(&ledger).len(), 1);
        pings.send(&ledger, Instant::now());
        assert!(pings.answered(&ledger).is_empty());
    }

    #[test]
    fn who_is_told_to_begin_anew_goes_on_from_no_higher_rev_and_who_is_not_yet_from_where_they_were() {
        let one = channel("one");
        one.begin_anew(9, "e1");
        one.anew_is_told();
        assert_eq!(one.told(), Mark::at(CHAT, 7, "e1"));
        one.begin_anew(3, "e2");
        assert_eq!(one.told(), Mark::at(CHAT, 7, "e1"));
        one.anew_is_told();
        assert_eq!(one.told(), Mark::at(CHAT, 3, "e2"));
        one.begin_anew(3, "e2");
        one.tell_rev(9);
        assert_eq!(one.told(), Mark::at(CHAT, 3, "e2"), "they would never know");
        one.anew_is_told();
        assert_eq!(one.told(), Mark::at(CHAT, 9, "e2"));
    }

    #[test]
    fn a_channel_that_was_left_is_forgotten_with_the_next() {
        let ledger = Ledger::default();
        ledger.enter(&channel("one"));
        let again = channel("two");
        ledger.enter(&again);
        again.tell_rev(9);
        assert_eq!(ledger.news().len(), 1);
        assert_eq!(ledger.channels.lock().expect("it").len(), 1);
    }
}
