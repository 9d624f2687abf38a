//! Conditions under which tests run the relay: they make rare things frequent, and show that the tests would notice a fault.
//!
//! In a release build there are none: nothing sets them, and the defaults are constants.

use std::time::Duration;

/// What the relay and the hub do otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trial {
    /// Changes of a chat that one statement reads at most: batches are cut short.
    pub changes_at_once: Option<usize>,
    /// How long the relay rests before it reads: what happens meanwhile is read together.
    pub pace: Duration,
    /// What is broken.
    pub fault: Option<Fault>,
}

/// A fault that the tests must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What changed about who reads a chat is applied after the rows of the same snapshot.
    RowsBeforeAccess,
    /// Who is removed hears of one more batch.
    LateRemoval,
    /// Hints are not heard, and nothing is looked for without one.
    Deaf,
    /// What was told while the relay did not listen is not looked for.
    NoCatchUp,
}

impl Trial {
    /// Whether this is broken.
    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether nothing is looked for without a hint.
    pub fn has_no_sweep(&self) -> bool {
        self.has(Fault::Deaf) || self.has(Fault::NoCatchUp)
    }
}
