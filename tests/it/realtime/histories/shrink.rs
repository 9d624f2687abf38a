//! A history that fails, made small: what can be left out of it is left out.

use super::{Failure, History, run};

/// How many histories are tried on the way.
const TRIES: u32 = 60;

/// The smallest history found that still fails, and how.
pub async fn shrink(history: History, failure: Failure) -> (History, Failure) {
    let (mut smallest, mut failure) = (history, failure);
    let mut tries = TRIES;
    let mut part = smallest.steps.len().div_ceil(2);
    while part > 0 && tries > 0 {
        let mut from = 0;
        while from < smallest.steps.len() && tries > 0 {
            let mut candidate = smallest.clone();
            candidate.steps.drain(from..(from + part).min(smallest.steps.len()));
            tries -= 1;
            match run(&candidate).await {
                Err(other) => (smallest, failure) = (candidate, other),
                Ok(()) => from += part,
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    (smallest, failure)
}
