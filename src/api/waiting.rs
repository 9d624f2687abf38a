//! Long polls: a request that waits until there is something to answer with.
//!
//! Holds no connection of the database while it waits; asks it again from time to time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long a request may wait, in seconds.
pub const WAIT_MAX_SECONDS: u32 = 30;
/// How long until the database is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// How many requests of this process may wait at once: whoever comes after them is answered without waiting.
const WAITING_MAX: usize = 2_000;

/// Where requests wait. Cheap to clone.
#[derive(Clone)]
pub struct WaitingRoom {
    stop: CancellationToken,
    seats: Arc<Semaphore>,
}

impl WaitingRoom {
    /// A room that is left when `stop` says so.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, seats: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    /// A request that may wait for `seconds`.
    pub fn enter(&self, seconds: Option<u32>) -> Wait {
        let seconds = seconds.unwrap_or(0).min(WAIT_MAX_SECONDS);
        let seat = (seconds > 0).then(|| Arc::clone(&self.seats).try_acquire_owned().ok()).flatten();
        Wait { until: Instant::now() + Duration::from_secs(seconds.into()), stop: self.stop.clone(), seat }
    }
}

/// A request's patience.
pub struct Wait {
    until: Instant,
    stop: CancellationToken,
    seat: Option<OwnedSemaphorePermit>,
}

impl Wait {
    /// Waits a little. False when it is time to answer with what there is.
    pub async fn goes_on(&self) -> bool {
        let now = Instant::now();
        if self.seat.is_none() || now >= self.until {
            return false;
        }
        tokio::select! {
            () = sleep_until(self.until.min(now + PAUSE)) => true,
            () = self.stop.cancelled() => false,
        }
    }
}
