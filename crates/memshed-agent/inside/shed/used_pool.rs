//! A pool in use: one run of its dead blocks becomes the part that was never carved.
//!
//! The allocator takes free blocks off the chain, and when that ends it carves the block at
//! `nextoffset` as long as that is not beyond `maxnextoffset`, whose contents it never reads. So any
//! run of dead blocks can be what it carves from, and its pages can go. The other dead blocks have to
//! be on the chain, and one has to be in any case: a pool in use has a `freeblock` unless it is full.

use super::PAGE;
use super::arena::Arena;
use super::batch::Batch;
use super::free_pools::{count, discard};
use super::raw::{put_u32, put_u64, set, u32_at, u64_at};
use crate::abi::{ALIGNMENT, ArenaPlan, Shed, pool_header, steps};

/// A pool has at most so many blocks, of 16 bytes: 16 KiB without the header.
const BLOCKS: usize = 1024;
/// Size classes that there may be, at most.
const CLASSES: u32 = 64;

type Blocks = [u64; BLOCKS / 64];

/// A pool in use that is not full and whose counts agree.
struct Pool {
    at: u64,
    pool_size: u32,
    /// Bytes of a block.
    size: u32,
    /// 65536 divided by the size in units of 16, rounded up.
    reciprocal: u32,
    /// Blocks that fit.
    capacity: u32,
    /// Blocks that are not in use.
    dead: u32,
    /// Which they are.
    dead_set: Blocks,
    /// Those among them that have never been carved, in a row.
    uncarved: (u32, u32),
}

/// What is to become the uncarved part.
#[derive(Clone, Copy)]
struct Run {
    /// Its first block.
    first: u32,
    /// One past its last.
    end: u32,
    /// A block that stays on the chain alone.
    kept: Option<u32>,
    /// Where its pages begin, as an offset.
    start: u32,
    /// Its resident pages, counted from there.
    pages: u64,
}

/// Discards the pages of the run of dead blocks that has most of them.
pub fn shed_run(arena: &Arena, at: u64, shed: &mut Shed, plan: &mut ArenaPlan, batch: &mut Batch) {
    let end = at + arena.pool_size;
    // The page of the header stays in any case.
    if arena.pages(&plan.resident, at + PAGE, end) == 0 {
        return;
    }
    let pool = match Pool::open(arena, at) {
        Ok(Some(pool)) => pool,
        Ok(None) => return,
        Err(()) => {
            shed.torn_pools += 1;
            return;
        }
    };
    let resident = arena.pages(&plan.resident, at, end);
    let shared = arena.pages(&plan.shared, at, end);
    let Some(run) = pool.best(resident & !shared, !resident) else {
        return;
    };
    if shared != 0 && pool.touches(&run, shared) {
        shed.shared_pools += 1;
        return;
    }
    pool.rechain(&run, |at, link| {
        put_u64(at, link);
        true
    });
    pool.uncarve(&run);
    discard_pages(arena, plan, batch, at + u64::from(run.start), run.pages);
    count(shed, steps::USED_POOLS, run.pages.count_ones());
    shed.pools += 1;
}

/// Discards the pages that are set in `pages`: between them may be shared ones.
fn discard_pages(arena: &Arena, plan: &mut ArenaPlan, batch: &mut Batch, start: u64, pages: u64) {
    let mut left = pages;
    while left != 0 {
        let from = left.trailing_zeros();
        let ones = (left >> from).trailing_ones();
        let these = (u64::MAX >> (64 - ones)) << from;
        discard(arena, plan, batch, start, these);
        left &= !these;
    }
}

impl Pool {
    /// The pool at `at`. Nothing if it is full or free; an error if its counts do not agree.
    fn open(arena: &Arena, at: u64) -> Result<Option<Pool>, ()> {
        let used = u32_at(at + pool_header::COUNT);
        let class = u32_at(at + pool_header::SZIDX);
        // Free ones are on a list, and retired ones on none.
        if used == 0 {
            return Ok(None);
        }
        if class >= CLASSES || u32_at(at + pool_header::ARENAINDEX) != arena.index {
            return Err(());
        }
        let pool_size = arena.pool_size as u32;
        let size = (class + 1) * ALIGNMENT;
        let mut pool = Pool {
            at,
            pool_size,
            size,
            reciprocal: 65536u32.checked_div(class + 1).unwrap_or(0) + 1,
            capacity: (pool_size - HEADER).checked_div(size).unwrap_or(0),
            dead: 0,
            dead_set: [0; BLOCKS / 64],
            uncarved: (0, 0),
        };
        pool.dead = pool.capacity.checked_sub(used).ok_or(())?;
        if u64_at(at + pool_header::FREEBLOCK) == 0 {
            return if pool.dead == 0 { Ok(None) } else { Err(()) };
        }
        pool.read_uncarved().ok_or(())?;
        pool.read_chain().ok_or(())?;
        Ok(Some(pool))
    }

    /// Finds the blocks that were never carved.
    fn read_uncarved(&mut self) -> Option<()> {
        let next = u32_at(self.at + pool_header::NEXTOFFSET);
        let most = u32_at(self.at + pool_header::MAXNEXTOFFSET);
        let last = self.pool_size - self.size;
        if most > last || next > self.pool_size {
            return None;
        }
        let first = self.number_at(next)?;
        let end = match next <= most {
            // The last that fits need not end where the pool does.
            true if most == last => self.capacity,
            true => self.number_at(most)? + 1,
            false => first,
        };
        if end > self.capacity || first > self.capacity {
            return None;
        }
        self.uncarved = (first, end);
        for k in first..end {
            set(&mut self.dead_set, k.into());
        }
        Some(())
    }

    /// Follows the chain of free blocks: every dead block is on it once, or has not been carved.
    fn read_chain(&mut self) -> Option<()> {
        let (first, end) = self.uncarved;
        let expected = self.dead.checked_sub(end - first)?;
        let mut at = u64_at(self.at + pool_header::FREEBLOCK);
        for _ in 0..expected {
            let k = self.number_of(at)?;
            let word = self.dead_set.get_mut((k / 64) as usize)?;
            let bit = 1 << (k % 64);
            if *word & bit != 0 {
                return None;
            }
            *word |= bit;
            at = u64_at(at);
        }
        (at == 0).then_some(())
    }

    /// The number of the block at `at`.
    #[inline]
    fn number_of(&self, at: u64) -> Option<u32> {
        let offset = at.wrapping_sub(self.at);
        if offset >= u64::from(self.pool_size) {
            return None;
        }
        self.number_at(offset as u32).filter(|&k| k < self.capacity)
    }

    /// The number of the block at an offset, which is less than 16 KiB; it may be one past the last.
    #[inline]
    fn number_at(&self, offset: u32) -> Option<u32> {
        let units = offset.checked_sub(HEADER)? / ALIGNMENT;
        // Right for units below 1,024 and sizes of at most 64 of them.
        let k = units.wrapping_mul(self.reciprocal) >> 16;
        (self.offset(k) == offset).then_some(k)
    }

    /// Where block `k` is.
    #[inline]
    fn offset(&self, k: u32) -> u32 {
        HEADER + k * self.size
    }

    /// The next dead block from `k` on if `dead`, else the next one in use; at most the capacity.
    fn next(&self, k: u32, dead: bool) -> u32 {
        let mut k = k;
        while k < self.capacity {
            let Some(&word) = self.dead_set.get((k / 64) as usize) else {
                break;
            };
            let wanted = if dead { word } else { !word } >> (k % 64);
            if wanted != 0 {
                return (k + wanted.trailing_zeros()).min(self.capacity);
            }
            k = (k / 64 + 1) * 64;
        }
        self.capacity
    }

    /// The run that would give most, if any gives something; `there` are pages that may go,
    /// `away` those that would come back if they were written to.
    fn best(&self, there: u64, away: u64) -> Option<Run> {
        let (mut best, mut most) = (None, 0);
        let mut end = 0;
        loop {
            let first = self.next(end, true);
            if first >= self.capacity {
                return best;
            }
            end = self.next(first, false);
            let Some(run) = self.run(first, end, there) else {
                continue;
            };
            let gain = i64::from(run.pages.count_ones()) - i64::from(self.cost(&run, away));
            if gain > most {
                (best, most) = (Some(run), gain);
            }
        }
    }

    /// The dead blocks `first..end` as a run, if they have a whole page that may go.
    fn run(&self, first: u32, end: u32, there: u64) -> Option<Run> {
        let alone = end - first == self.dead;
        let (kept, from, skipped) = match alone {
            true => (Some(first), first + 1, LINK),
            false => (None, first, 0),
        };
        let start = (self.offset(first) + skipped).next_multiple_of(PAGE as u32);
        let stop = match end == self.capacity {
            true => self.pool_size,
            false => self.offset(end) / PAGE as u32 * PAGE as u32,
        };
        if stop <= start || from >= end {
            return None;
        }
        let count = (stop - start) / PAGE as u32;
        let pages = there >> (start / PAGE as u32) & !(u64::MAX << count);
        (pages != 0).then_some(Run {
            first: from,
            end,
            kept,
            start,
            pages,
        })
    }

    /// How many pages would come back by being written to.
    fn cost(&self, run: &Run, away: u64) -> u32 {
        let mut written = 0u64;
        let (first, end) = self.uncarved;
        if first < end && (end <= run.first || run.end <= first) {
            for k in first..end {
                written |= 1 << (self.offset(k) / PAGE as u32);
            }
        }
        if let Some(kept) = run.kept {
            written |= 1 << (self.offset(kept) / PAGE as u32);
        }
        (written & away).count_ones()
    }

    /// Whether one of the pages in `shared` would be written to.
    fn touches(&self, run: &Run, shared: u64) -> bool {
        let writes = |at: u64, _| {
            let page = at.wrapping_sub(self.at) / PAGE;
            shared >> (page % 64) & 1 == 0
        };
        shared & 1 != 0 || !self.rechain(run, writes)
    }

    /// Chains all dead blocks but those of the run, those on the chain in the order that they have
    /// there. `put` is given where to write and what, and says whether to go on.
    fn rechain(&self, run: &Run, mut put: impl FnMut(u64, u64) -> bool) -> bool {
        let head = self.at + pool_header::FREEBLOCK;
        let (mut link, mut at) = (head, u64_at(head));
        let (mut said, mut new_head) = (at, 0);
        let carved = self.dead - (self.uncarved.1 - self.uncarved.0);
        for _ in 0..carved {
            let next = u64_at(at);
            let inside = self
                .number_of(at)
                .is_some_and(|k| run.first <= k && k < run.end);
            if !inside {
                if link == head {
                    new_head = at;
                } else if said != at && !put(link, at) {
                    return false;
                }
                (link, said) = (at, next);
            }
            at = next;
        }
        if link != head && said != 0 && !put(link, 0) {
            return false;
        }
        // What was never carved and is not in the run comes first, the lowest first of all.
        let (first, end) = self.uncarved;
        for k in (first..end).rev() {
            if run.first <= k && k < run.end {
                continue;
            }
            let block = self.at + u64::from(self.offset(k));
            if !put(block, new_head) {
                return false;
            }
            new_head = block;
        }
        u64_at(head) == new_head || put(head, new_head)
    }

    /// Makes the run the part that was never carved.
    fn uncarve(&self, run: &Run) {
        let most = match run.end == self.capacity {
            // What the allocator itself would say.
            true => self.pool_size - self.size,
            false => self.offset(run.end - 1),
        };
        put_u32(self.at + pool_header::NEXTOFFSET, self.offset(run.first));
        put_u32(self.at + pool_header::MAXNEXTOFFSET, most);
    }
}

/// Bytes of a header.
const HEADER: u32 = pool_header::SIZE as u32;
/// Bytes of a link, at the start of a free block.
const LINK: u32 = 8;
