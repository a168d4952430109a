//! Whose each block in use is: two bits for every sixteen bytes of memory that allocators manage.

use memshed_target::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks begin at multiples of this many bytes.
const GRAIN: u64 = 16;
/// Claims in a word.
const PER_WORD: u64 = 32;

/// What a block in use is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// An object.
    Object = 1,
    /// A part of an object, by the object's layout.
    Part = 2,
    /// An entry of a free list, or something that only seems to belong to something.
    Other = 3,
}

/// A run of memory that an allocator manages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    range: Range,
    /// The first of its words.
    word: usize,
}

/// What the blocks of all arenas and heaps are. Blocks may be claimed from several threads.
#[derive(Default)]
pub(crate) struct Claims {
    runs: Vec<Run>,
    words: Vec<AtomicU64>,
}

impl Claims {
    /// No block in `ranges` is claimed.
    pub(crate) fn new(mut ranges: Vec<Range>) -> Claims {
        ranges.sort_unstable();
        let mut claims = Claims::default();
        let (mut words, mut end) = (0, 0);
        for range in ranges {
            let start = range.start.max(end) & !(GRAIN - 1);
            if start < range.end {
                let range = Range { start, ..range };
                claims.runs.push(Run { range, word: words });
                words += range.len().div_ceil(GRAIN * PER_WORD) as usize;
                end = range.end;
            }
        }
        claims.words.resize_with(words, || AtomicU64::new(0));
        claims
    }

    /// Says what the block that begins at `start` is, unless that is known; returns whether it
    /// was not.
    #[inline]
    pub(crate) fn claim(&self, start: u64, claim: Claim) -> bool {
        self.run(start)
            .is_some_and(|run| self.claim_in(run, start, claim))
    }

    /// What the block that begins at `start` is, if anybody has said so.
    #[inline]
    pub(crate) fn get(&self, start: u64) -> Option<Claim> {
        self.get_in(self.run(start)?, start)
    }

    /// The run of memory that holds `at`: for many questions about what is near.
    #[inline]
    pub(crate) fn run(&self, at: u64) -> Option<Run> {
        let after = self.runs.partition_point(|run| run.range.start <= at);
        let run = *self.runs.get(after.checked_sub(1)?)?;
        (at < run.range.end).then_some(run)
    }

    /// As [`Claims::claim`], for a block in `run`.
    #[inline]
    pub(crate) fn claim_in(&self, run: Run, start: u64, claim: Claim) -> bool {
        let Some((word, shift)) = run.place(start) else {
            return false;
        };
        // A block that two threads claim at once as different things, which sound memory does not
        // have, becomes the union of the two.
        let before = self.words[word].fetch_or((claim as u64) << shift, Ordering::Relaxed);
        let before = before >> shift & 3;
        if before != 0 && before != claim as u64 {
            self.words[word].fetch_and(!(3 << shift), Ordering::Relaxed);
            self.words[word].fetch_or(before << shift, Ordering::Relaxed);
        }
        before == 0
    }

    /// As [`Claims::get`], for a block in `run`.
    #[inline]
    pub(crate) fn get_in(&self, run: Run, start: u64) -> Option<Claim> {
        let (word, shift) = run.place(start)?;
        match self.words[word].load(Ordering::Relaxed) >> shift & 3 {
            1 => Some(Claim::Object),
            2 => Some(Claim::Part),
            3 => Some(Claim::Other),
            _ => None,
        }
    }
}

impl Run {
    /// The word of the block that begins at `at`, and where in it.
    #[inline]
    fn place(&self, at: u64) -> Option<(usize, u32)> {
        let offset = at.wrapping_sub(self.range.start);
        if offset >= self.range.len() || !offset.is_multiple_of(GRAIN) {
            return None;
        }
        let grain = offset / GRAIN;
        let word = self.word + (grain / PER_WORD) as usize;
        Some((word, 2 * (grain % PER_WORD) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_claim_stands() {
        let range = |start, end| Range { start, end };
        let claims = Claims::new(vec![range(0x9000, 0xa010), range(0x1000, 0x1400)]);
        for at in (0x1000..0x1400).step_by(48).chain([0x9000, 0xa000]) {
            assert_eq!(claims.get(at), None);
            assert!(claims.claim(at, Claim::Part), "{at:#x}");
            assert!(!claims.claim(at, Claim::Part));
            assert!(!claims.claim(at, Claim::Object));
            assert_eq!(claims.get(at), Some(Claim::Part));
        }
        assert_eq!(claims.get(0x1010), None);
        for outside in [0, 0xff0, 0x1400, 0x1008, 0xa010] {
            assert!(!claims.claim(outside, Claim::Object), "{outside:#x}");
            assert_eq!(claims.get(outside), None);
        }
    }
}
