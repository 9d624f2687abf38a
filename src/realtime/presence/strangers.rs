//! Sockets on which nobody is known: whoever opens one of a stock client may show who they are later, or never.
//!
//! Threat: somebody without an account who opens as many sockets as the server takes, and keeps them alive. Those of people are counted by
//! person; these, all together, so that what people open with their own tokens, and the other protocols, have room. A bound for each address is
//! for the proxy in front, which knows addresses.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Registry;

/// Sockets on which nobody is known, through this process, at most.
pub const STRANGERS_MAX: usize = 10_000;

/// How many there are.
#[derive(Default)]
pub(super) struct Strangers(AtomicUsize);

/// A socket on which nobody is known, as long as this is held.
pub struct Stranger(Registry);

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.0.strangers.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Registry {
    /// One more socket, on which nobody is known yet. None: there are as many as may be.
    pub fn admit(&self) -> Option<Stranger> {
        let more = |count| (count < STRANGERS_MAX).then_some(count + 1);
        let is_admitted = self.0.strangers.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok();
        is_admitted.then(|| Stranger(self.clone()))
    }

    /// One on which nobody is known any more: it is open, and so it is counted, and nobody is sent away for it.
    pub fn estrange(&self) -> Stranger {
        self.0.strangers.0.fetch_add(1, Ordering::AcqRel);
        Stranger(self.clone())
    }
}
