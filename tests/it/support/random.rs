//! Chance that can be repeated: a seed, printed by each test that uses it.

use std::env::var;

/// Set to the seed that a failed test printed, to have the same choices again.
const SEED: &str = "TABLETALK_TEST_SEED";
/// How many times longer than usual the races run: 1 unless set.
const RACE: &str = "TABLETALK_TEST_RACE";

/// A source of choices (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).expect("an index")]
    }

    /// The one whose weight a throw hits.
    pub fn weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let mut throw = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in of {
            if throw < *weight {
                return *what;
            }
            throw -= weight;
        }
        unreachable!("a throw is below the sum of the weights")
    }
}

/// The seed of this run, said so that it can be had again.
#[expect(clippy::disallowed_methods, reason = "tests have no settings but the environment")]
pub fn seed() -> u64 {
    let seed = match var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{SEED}: {error}")),
        Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
    };
    println!("{SEED}={seed} makes the same choices again");
    seed
}

/// How many times longer than usual to race.
#[expect(clippy::disallowed_methods, reason = "tests have no settings but the environment")]
pub fn longer() -> u64 {
    var(RACE).map_or(1, |text| text.parse().unwrap_or_else(|error| panic!("{RACE}: {error}")))
}
