//! What was added to the oldest generation, and which full collections the program asked for, by the
//! collector's own counts at many moments.
//!
//! The collector comes by itself to the oldest generation only when what was added since the last
//! full collection, `long_lived_pending`, is a quarter of what survived that one, `long_lived_total`
//! (`gc_collect_generations` in Modules/gcmodule.c; Python/gc.c from 3.13 on).

use super::CollectorSample;
use memshed_heap::LongLived;

/// A full collection waits until the old objects have become more by one part in so many
/// (`gc_collect_generations` in Modules/gcmodule.c; later `gc_should_collect` in Python/gc.c).
pub(super) const WAITS: i64 = 4;

/// The oldest generation in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oldest {
    /// Objects that were added to it.
    pub added: u64,
    /// Full collections that were seen at work and to their end.
    pub seen: u64,
    /// How many of them came before the collector comes by itself, so that the program asked for them.
    pub asked: u64,
}

impl Oldest {
    /// The sum over moments in order of time; `None` where the interpreter doesn't keep these counts.
    pub fn of(samples: &[CollectorSample]) -> Option<Oldest> {
        let mut oldest = Oldest::default();
        // The counts when the collection that is at work had just begun.
        let mut at_start = None;
        for pair in samples.windows(2) {
            let (before, now) = (&pair[0], &pair[1]);
            let (was, is) = (before.long_lived?, now.long_lived?);
            let ended: [i64; 3] =
                std::array::from_fn(|i| (now.collections[i] - before.collections[i]).max(0));
            let full = ended[2] > 0;
            let added = if full {
                is.pending
            } else {
                is.pending - was.pending
            };
            oldest.added += added.max(0) as u64;
            // If more than one has ended, the last of them had begun after the counts were seen.
            if full
                && ended.iter().sum::<i64>() == 1
                && let Some(LongLived { total, pending }) = at_start
            {
                oldest.seen += 1;
                oldest.asked += u64::from(pending < total / WAITS);
            }
            // A full collection changes the counts half-way, so that those seen before it began are
            // taken, or those that have not been changed since.
            if !now.collecting {
                at_start = None;
            } else if ended != [0; 3] {
                let unchanged = is.pending >= was.pending && is.total == was.total;
                at_start = unchanged.then_some(is);
            } else if !before.collecting {
                at_start = Some(was);
            }
        }
        Some(oldest)
    }

    /// The part of the full collections that the program asked for, from 0 to 1, if enough of `all`
    /// were seen to tell.
    pub(super) fn asked_share(&self, all: f64) -> Option<f64> {
        let enough = self.seen > 0 && self.seen as f64 * 2.0 >= all;
        enough.then(|| self.asked as f64 / self.seen as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment: whether it is at work, collections of the two older generations, the counts.
    fn moment(collecting: bool, older: [i64; 2], total: i64, pending: i64) -> CollectorSample {
        CollectorSample {
            collecting,
            collections: [0, older[0], older[1]],
            long_lived: Some(LongLived { total, pending }),
            ..CollectorSample::default()
        }
    }

    #[test]
    fn what_is_added_is_summed_over_full_collections() {
        let samples = [
            moment(false, [0, 0], 100, 10),
            moment(false, [1, 0], 100, 40),
            moment(true, [1, 0], 100, 40),
            moment(false, [1, 1], 140, 0),
            moment(false, [2, 1], 140, 7),
        ];
        let oldest = Oldest::of(&samples).expect("counts");
        assert_eq!(
            oldest,
            Oldest {
                added: 37,
                seen: 1,
                asked: 0
            }
        );
        assert_eq!(oldest.asked_share(2.0), Some(0.0));
        assert_eq!(oldest.asked_share(3.0), None);
    }

    #[test]
    fn a_full_collection_that_comes_too_early_was_asked_for() {
        let samples = [
            moment(false, [0, 0], 100, 24),
            moment(true, [0, 0], 100, 24),
            moment(true, [0, 0], 100, 24),
            moment(false, [0, 1], 124, 0),
        ];
        let oldest = Oldest::of(&samples).expect("counts");
        assert_eq!((oldest.seen, oldest.asked), (1, 1));
    }

    #[test]
    fn nothing_is_said_of_collections_that_nobody_saw_begin() {
        // One of the middle generation was seen; a full one began and ended behind it.
        let samples = [
            moment(true, [0, 0], 100, 20),
            moment(true, [0, 0], 100, 20),
            moment(false, [1, 1], 130, 0),
            moment(false, [1, 2], 130, 0),
        ];
        let oldest = Oldest::of(&samples).expect("counts");
        assert_eq!((oldest.seen, oldest.asked), (0, 0));
        // One that ended while the next began: the counts are taken anew.
        let samples = [
            moment(false, [0, 0], 100, 20),
            moment(true, [0, 0], 100, 20),
            moment(true, [1, 0], 100, 30),
            moment(false, [1, 1], 130, 0),
        ];
        let oldest = Oldest::of(&samples).expect("counts");
        assert_eq!((oldest.seen, oldest.asked), (1, 0));
    }

    #[test]
    fn without_counts_nothing_is_said() {
        assert_eq!(Oldest::of(&[CollectorSample::default(); 3]), None);
    }
}
