//! Pools without a block in use.

use super::PAGE;
use super::arena::Arena;
use super::batch::Batch;
use super::raw::{put_u32, set, u32_at};
use crate::abi::{ArenaPlan, POOLS, Shed, pool_header, steps};

/// Makes the free pools at the top of an arena memory that was never carved: all of it can go.
/// The count of free pools includes those, so that it stays.
///
/// A pool without a block in use is not enough: one that is being carved has none either, but only
/// listed ones are anybody's to take.
pub fn shed_top(arena: &mut Arena, shed: &mut Shed, plan: &mut ArenaPlan, batch: &mut Batch) {
    let (carved, size) = (arena.carved(), arena.pool_size);
    let (mut low, mut gain) = (carved, 0);
    let mut leaves = [0; POOLS / 64];
    while low > 0 && arena.is_listed(low - 1) {
        let pool = arena.pool(low - 1);
        if arena.pages(&plan.shared, pool, pool + size) != 0 {
            shed.shared_pools += 1;
            break;
        }
        gain += arena.pages(&plan.resident, pool, pool + size).count_ones();
        low -= 1;
        set(&mut leaves, low);
    }
    if gain == 0 {
        return;
    }
    if !arena.unlist(plan, &leaves) {
        shed.shared_pools += carved - low;
        return;
    }
    arena.lower(low);
    let (start, end) = (arena.pool(low), arena.pool(carved));
    batch.add(start, end);
    arena.gone(plan, start, end);
    count(shed, steps::ARENA_TOPS, gain);
    shed.pools += carved - low;
}

/// Discards all of the listed free pools but the page of the header, which links the list. They
/// have to be set up anew whatever they are used for next.
pub fn shed_listed(arena: &Arena, shed: &mut Shed, plan: &mut ArenaPlan, batch: &mut Batch) {
    for k in (0..arena.carved()).filter(|&k| arena.is_listed(k)) {
        let pool = arena.pool(k);
        let (start, end) = (pool + PAGE, pool + arena.pool_size);
        let resident = arena.pages(&plan.resident, start, end);
        if resident == 0 {
            continue;
        }
        if arena.pages(&plan.shared, pool, end) != 0 {
            shed.shared_pools += 1;
            continue;
        }
        let szidx = pool + pool_header::SZIDX;
        if u32_at(szidx) != pool_header::DUMMY_SIZE_IDX {
            put_u32(szidx, pool_header::DUMMY_SIZE_IDX);
        }
        discard(arena, plan, batch, start, resident);
        count(shed, steps::FREE_POOLS, resident.count_ones());
        shed.pools += 1;
    }
}

/// Discards pages from the first to the last of those that are set in `pages`, counted from
/// `start`.
pub fn discard(arena: &Arena, plan: &mut ArenaPlan, batch: &mut Batch, start: u64, pages: u64) {
    let from = start + u64::from(pages.trailing_zeros()) * PAGE;
    let to = start + u64::from(u64::BITS - pages.leading_zeros()) * PAGE;
    batch.add(from, to);
    arena.gone(plan, from, to);
}

/// Counts pages that were given back by `step`.
pub fn count(shed: &mut Shed, step: u64, pages: u32) {
    if let Some(released) = shed.released.get_mut(step.trailing_zeros() as usize) {
        *released += u64::from(pages) * PAGE;
    }
}
