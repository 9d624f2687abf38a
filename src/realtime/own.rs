//! What a client broadcast itself: it comes back with what the others say, and its client, which knows it, is not told.

use std::collections::VecDeque;

/// Broadcasts of one's own that are on their way, at most: of those beyond one hears.
const OWN_MAX: usize = 1_000;

/// Those that are on their way, by their ids.
#[derive(Default)]
pub struct Own(VecDeque<i64>);

impl Own {
    /// One more.
    pub fn note(&mut self, id: i64) {
        if self.0.len() >= OWN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    /// Whether one that came is one of them: it is on its way no more.
    pub fn take(&mut self, id: i64) -> bool {
        let place = self.0.iter().position(|own| *own == id);
        place.and_then(|place| self.0.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_said_is_known_by_its_id_once() {
        let mut own = Own::default();
        for id in 0..=1_000 {
            own.note(id);
        }
        assert!(!own.take(0), "they are waited for up to a number");
        assert!(own.take(1) && !own.take(1) && own.take(1_000));
    }
}
