//! What could be given back to the system as things stand, without moving an object: by which
//! rules pymalloc (Objects/obmalloc.c) would go on with the pages gone.
//!
//! - A free pool on its arena's list keeps the page of its header, which links the list.
//! - Free pools at the top of an arena can become uncarved memory again, header and all.
//! - In a pool in use, one run of dead blocks can become the part that was never carved, whose
//!   contents nobody reads. At least one dead block stays on the chain of free blocks, since a
//!   pool in use has one as long as it is not full.

use super::pool::{Live, Pool};
use super::{Arena, PAGE};
use crate::layouts::Layout;
use crate::read::Reader;
use memshed_heap::Releasable;
use memshed_target::{Memory, Range, RemoteAddr};

/// Resident bytes of the whole pages within a range.
pub(crate) type Resident<'a> = &'a (dyn Fn(Range) -> u64 + Sync);

/// Free pools on the list of `arena`, by number.
pub(crate) fn free_list<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    arena: &Arena,
    pool_size: u64,
) -> Vec<bool> {
    let count = (arena.pools_end - arena.pools_start) / pool_size;
    let mut listed = vec![false; count as usize];
    let mut at = arena.free_list;
    while let Some(offset) = at.0.checked_sub(arena.pools_start) {
        let slot = listed.get_mut((offset / pool_size) as usize);
        match slot {
            Some(slot) if offset % pool_size == 0 && !*slot => *slot = true,
            // The end of the list, a torn one, or a loop.
            _ => break,
        }
        let next = at.add(layout.pool.nextpool.into());
        at = reader.pointer(next).unwrap_or(RemoteAddr::NULL);
    }
    listed
}

/// What the free pools of an arena would give; `listed` as [`free_list`] has it.
pub(crate) fn of_free_pools(
    arena: &Arena,
    pool_size: u64,
    listed: &[bool],
    resident: Resident<'_>,
) -> Releasable {
    let mut sum = Releasable::default();
    let mut at_top = true;
    for (k, &free) in listed.iter().enumerate().rev() {
        let start = arena.pools_start + k as u64 * pool_size;
        let end = start + pool_size;
        at_top &= free;
        match (free, at_top) {
            (true, true) => sum.arena_tops += resident(Range { start, end }),
            (true, false) => {
                let start = start + PAGE;
                sum.free_pools += resident(Range { start, end });
            }
            (false, _) => {}
        }
    }
    sum
}

/// What a pool in use would give: the resident whole pages of the run of dead blocks that has
/// most of them, less those that would come back for links to be written. 0 where the pool's
/// counts do not agree, which says that it is being changed.
pub(crate) fn of_used_pool(pool: &Pool, live: &Live, resident: Resident<'_>) -> u64 {
    if pool.first_free.is_null() || live.count != pool.used {
        return 0;
    }
    let dead = (pool.capacity - pool.used) as usize;
    let best = dead_runs(pool, live).map(|run| {
        // The block that stays on the chain, if no other one would, keeps its first word.
        let alone = run.len() == dead;
        let kept = if alone { 8 } else { 0 };
        let start = (pool.block(run.start) + kept).next_multiple_of(PAGE);
        let end = match run.end == pool.capacity {
            true => pool.end,
            false => pool.block(run.end) / PAGE * PAGE,
        };
        if start >= end || (alone && run.len() == 1) {
            return 0;
        }
        let gain = resident(Range { start, end });
        if gain == 0 {
            return 0;
        }
        // What was never carved and is not in the run has to be chained.
        let elsewhere = pool.uncarved().filter(|k| !run.contains(k));
        let linked = elsewhere.chain(alone.then_some(run.start));
        let (mut page, mut cost) = (0, 0);
        for k in linked {
            let start = pool.block(k) / PAGE * PAGE;
            let end = start + PAGE;
            if start != page && resident(Range { start, end }) == 0 {
                cost += PAGE;
            }
            page = start;
        }
        gain.saturating_sub(cost)
    });
    best.max().unwrap_or(0)
}

/// The runs of blocks that are not in use.
fn dead_runs<'a>(
    pool: &'a Pool,
    live: &'a Live,
) -> impl Iterator<Item = std::ops::Range<u32>> + 'a {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = (next..pool.capacity).find(|&k| !live.contains(k))?;
        let end = (start..pool.capacity).find(|&k| live.contains(k));
        next = end.unwrap_or(pool.capacity);
        Some(start..next)
    })
}
