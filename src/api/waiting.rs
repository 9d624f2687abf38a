//! Long polls: a request that waits until there is something to answer with.
//!
//! Holds no connection of the database while it waits. It asks again when somebody says that there may be something ([`WaitingRoom::wake`]),
//! the more seldom the dearer the question is, and after a while whatever is said: a hint may be lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a request may wait, in seconds.
pub const WAIT_MAX_SECONDS: u32 = 30;
/// How long until the database is asked again though nobody said anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long until it is asked again about all of somebody's chats, at least: whatever happens anywhere may be theirs.
const PAUSE: Duration = Duration::from_millis(250);
/// And how many times longer than its last answer took.
const PAUSE_TIMES: u32 = 10;
/// How many requests of this process may wait at once: whoever comes after them is answered without waiting.
const WAITING_MAX: usize = 2_000;
/// How many of them may be one person's.
const WAITING_OF_ONE_MAX: usize = 20;

/// Where requests wait. Cheap to clone.
#[derive(Clone)]
pub struct WaitingRoom {
    stop: CancellationToken,
    seats: Arc<Mutex<Seats>>,
    bells: Arc<Bells>,
}

/// What is rung when something may have happened: in a chat, or anywhere.
struct Bells {
    of: Mutex<HashMap<Uuid, watch::Sender<()>>>,
    any: watch::Sender<()>,
}

#[derive(Default)]
struct Seats {
    taken: usize,
    of: HashMap<Option<Uuid>, usize>,
}

impl WaitingRoom {
    /// A room that is left when `stop` says so.
    pub fn new(stop: CancellationToken) -> Self {
        let bells = Bells { of: Mutex::default(), any: watch::Sender::new(()) };
        Self { stop, seats: Arc::default(), bells: Arc::new(bells) }
    }

    /// A request of `who` that may wait for `seconds` until something happens in `chat`; absent: in any of theirs.
    pub fn enter(&self, who: Option<Uuid>, seconds: Option<u32>, chat: Option<Uuid>) -> Wait {
        let seconds = seconds.unwrap_or(0).min(WAIT_MAX_SECONDS);
        let seat = if seconds > 0 { Seat::take(&self.seats, who) } else { None };
        let now = Instant::now();
        let until = now + Duration::from_secs(seconds.into());
        Wait { until, asked: now, stop: self.stop.clone(), bell: Bell::new(&self.bells, chat), seat }
    }

    /// Something may have happened in these chats.
    pub fn wake(&self, chats: &[Uuid]) {
        let bells = self.bells.of.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in chats.iter().filter_map(|chat| bells.get(chat)) {
            bell.send_replace(());
        }
        drop(bells);
        self.bells.any.send_replace(());
    }
}

/// A bell that is listened for; a chat's goes with the last who does.
struct Bell {
    bells: Arc<Bells>,
    chat: Option<Uuid>,
    rung: watch::Receiver<()>,
}

impl Bell {
    fn new(bells: &Arc<Bells>, chat: Option<Uuid>) -> Self {
        let rung = match chat {
            None => bells.any.subscribe(),
            Some(chat) => bells
                .of
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(chat)
                .or_insert_with(|| watch::Sender::new(()))
                .subscribe(),
        };
        Self { bells: Arc::clone(bells), chat, rung }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let Some(chat) = self.chat else { return };
        let mut bells = self.bells.of.lock().unwrap_or_else(PoisonError::into_inner);
        if bells.get(&chat).is_some_and(|bell| bell.receiver_count() <= 1) {
            bells.remove(&chat);
        }
    }
}

/// A seat, free again when it is dropped.
struct Seat {
    seats: Arc<Mutex<Seats>>,
    who: Option<Uuid>,
}

impl Seat {
    fn take(seats: &Arc<Mutex<Seats>>, who: Option<Uuid>) -> Option<Self> {
        let mut all = seats.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = all.of.get(&who).copied().unwrap_or(0);
        if all.taken >= WAITING_MAX || theirs >= WAITING_OF_ONE_MAX {
            return None;
        }
        all.taken += 1;
        all.of.insert(who, theirs + 1);
        Some(Self { seats: Arc::clone(seats), who })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        all.taken -= 1;
        let left = all.of.get(&self.who).map_or(0, |theirs| theirs - 1);
        if left == 0 {
            all.of.remove(&self.who);
        } else {
            all.of.insert(self.who, left);
        }
    }
}

/// A request's patience.
pub struct Wait {
    until: Instant,
    asked: Instant,
    stop: CancellationToken,
    bell: Bell,
    seat: Option<Seat>,
}

impl Wait {
    /// Waits until there may be something. False when it is time to answer with what there is.
    pub async fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        if self.seat.is_none() || now >= self.until {
            return false;
        }
        let cost = now - self.asked;
        let rest = if self.bell.chat.is_some() { Duration::ZERO } else { PAUSE.max(cost * PAUSE_TIMES) };
        let until = self.until;
        let rung = async {
            let (waited, ()) = tokio::join!(self.bell.rung.changed(), sleep_until(until.min(now + rest)));
            waited
        };
        let goes_on = tokio::select! {
            _ = rung => true,
            () = sleep_until(until.min(now + PATIENCE.max(cost * PAUSE_TIMES))) => true,
            () = self.stop.cancelled() => false,
        };
        self.asked = Instant::now();
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_the_seats() {
        let room = WaitingRoom::new(CancellationToken::new());
        let (alice, bob) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let hers: Vec<Wait> = (0..=WAITING_OF_ONE_MAX).map(|_| room.enter(alice, Some(1), None)).collect();
        assert_eq!(hers.iter().filter(|wait| wait.seat.is_some()).count(), WAITING_OF_ONE_MAX);
        assert!(room.enter(bob, Some(1), None).seat.is_some());
        assert!(room.enter(bob, None, None).seat.is_none(), "who does not wait needs none");
        drop(hers);
        assert!(room.enter(alice, Some(1), None).seat.is_some());
        assert_eq!(room.seats.lock().unwrap().taken, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_chat_is_woken_by_it_alone_and_by_what_happened_before_they_wait() {
        let room = WaitingRoom::new(CancellationToken::new());
        let (here, there) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut wait = room.enter(None, Some(30), Some(here));
        room.wake(&[here]);
        let begin = Instant::now();
        assert!(wait.goes_on().await);
        assert_eq!(begin.elapsed(), Duration::ZERO, "it happened while they asked");
        room.wake(&[there]);
        assert!(wait.goes_on().await);
        assert_eq!(begin.elapsed(), PATIENCE, "nothing happened here");
        drop(wait);
        assert!(room.bells.of.lock().unwrap().is_empty());
    }
}
