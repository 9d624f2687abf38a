//! Long polls: a request that waits until there is something to answer with.
//!
//! Holds no connection of the database while it waits; asks it again from time to time, the more seldom the dearer the question is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a request may wait, in seconds.
pub const WAIT_MAX_SECONDS: u32 = 30;
/// How long until the database is asked again, at least.
const PAUSE: Duration = Duration::from_millis(500);
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
}

#[derive(Default)]
struct Seats {
    taken: usize,
    of: HashMap<Option<Uuid>, usize>,
}

impl WaitingRoom {
    /// A room that is left when `stop` says so.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, seats: Arc::default() }
    }

    /// A request of `who` that may wait for `seconds`.
    pub fn enter(&self, who: Option<Uuid>, seconds: Option<u32>) -> Wait {
        let seconds = seconds.unwrap_or(0).min(WAIT_MAX_SECONDS);
        let seat = if seconds > 0 { Seat::take(&self.seats, who) } else { None };
        let now = Instant::now();
        Wait { until: now + Duration::from_secs(seconds.into()), asked: now, stop: self.stop.clone(), seat }
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
    seat: Option<Seat>,
}

impl Wait {
    /// Waits a little. False when it is time to answer with what there is.
    pub async fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        if self.seat.is_none() || now >= self.until {
            return false;
        }
        let pause = PAUSE.max((now - self.asked) * PAUSE_TIMES);
        let goes_on = tokio::select! {
            () = sleep_until(self.until.min(now + pause)) => true,
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
        let hers: Vec<Wait> = (0..=WAITING_OF_ONE_MAX).map(|_| room.enter(alice, Some(1))).collect();
        assert_eq!(hers.iter().filter(|wait| wait.seat.is_some()).count(), WAITING_OF_ONE_MAX);
        assert!(room.enter(bob, Some(1)).seat.is_some());
        assert!(room.enter(bob, None).seat.is_none(), "who does not wait needs none");
        drop(hers);
        assert!(room.enter(alice, Some(1)).seat.is_some());
        assert_eq!(room.seats.lock().unwrap().taken, 0);
    }
}
