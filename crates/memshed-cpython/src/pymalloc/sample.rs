//! A sample of many places: spread over all of them, and denser among those that came last.

use std::collections::VecDeque;

/// How many that came last are kept, and as many that are spread over all.
const HALF: usize = 32;

/// A sample of places, which come in order of address: allocators mostly take what is new from
/// ever higher addresses, so that those that came last are likely the latest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Every place whose number is a multiple of the stride.
    spread: Vec<u64>,
    /// Logarithm of the stride.
    log_stride: u32,
    seen: u64,
    last: VecDeque<u64>,
}

impl Sample {
    /// Takes one more into account.
    pub(crate) fn add(&mut self, at: u64) {
        if self.seen & ((1 << self.log_stride) - 1) == 0 {
            if self.spread.len() >= 2 * HALF {
                halve(&mut self.spread);
                self.log_stride += 1;
            }
            // After halving, it is not its turn if its number is odd.
            if self.seen & ((1 << self.log_stride) - 1) == 0 {
                self.spread.push(at);
            }
        }
        self.seen += 1;
        if self.last.len() >= HALF {
            self.last.pop_front();
        }
        self.last.push_back(at);
    }

    /// Takes those of another sample into account, which come after these.
    pub(crate) fn join(&mut self, other: &Sample) {
        other.clone().places().iter().for_each(|&at| self.add(at));
    }

    /// Those kept, in order.
    pub(crate) fn places(mut self) -> Vec<u64> {
        let first = self.last.front().copied().unwrap_or_default();
        self.spread.retain(|&at| at < first);
        while self.spread.len() > HALF {
            halve(&mut self.spread);
        }
        self.spread.extend(self.last);
        self.spread
    }
}

/// Drops every second place.
fn halve(places: &mut Vec<u64>) {
    let mut keep = false;
    places.retain(|_| {
        keep = !keep;
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_and_denser_at_the_end() {
        for count in [0u64, 1, 31, 32, 33, 64, 65, 127, 128, 1000, 100_000] {
            let mut sample = Sample::default();
            (0..count).for_each(|at| sample.add(at));
            let places = sample.places();
            assert!(places.len() as u64 <= count.min(64), "{count}");
            assert!(places.len() as u64 >= count.min(48), "{count}");
            assert!(places.is_sorted_by(|a, b| a < b));
            assert!(places.last().copied() == count.checked_sub(1), "{count}");
            let early = places.iter().filter(|&&at| at < count / 2).count();
            assert!(count < 64 || (8..=32).contains(&early), "{count}: {early}");
        }
    }

    #[test]
    fn joined_samples_keep_some_of_each() {
        let mut whole = Sample::default();
        for part in 0..10u64 {
            let mut sample = Sample::default();
            (0..1000).for_each(|at| sample.add(part * 1000 + at));
            whole.join(&sample);
        }
        let places = whole.places();
        for part in 0..10 {
            assert!(places.iter().any(|at| at / 1000 == part), "{part}");
        }
    }
}
