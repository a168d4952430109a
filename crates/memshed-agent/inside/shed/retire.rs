//! Free pools that no longer count: the last resort, since an arena has fewer pools then.
//!
//! A retired pool is below `pool_address`, has no block in use, is on no list and has a header of
//! zeros; `ntotalpools` is less than what fits into the arena by as many as there are. The allocator
//! minds in one place only: `sys._debugmallocstats()` of a debug build asserts that each pool without
//! a block in use is listed.

use super::PAGE;
use super::arena::Arena;
use super::batch::Batch;
use super::free_pools::count;
use super::raw::{put_u32, put_u64, set, u32_at, u64_at};
use crate::abi::{ArenaPlan, POOLS, Shed, arena_object, pool_header, steps};

/// Retires the listed free pools of an arena. One free pool stays, so that the arena stays among
/// the usable ones; and an arena without a block in use is left to the allocator.
pub fn retire(arena: &mut Arena, shed: &mut Shed, plan: &mut ArenaPlan, batch: &mut Batch) {
    let (free, total, size) = (arena.free, arena.total, arena.pool_size);
    if shed.usable_arenas == 0 || shed.nfp2lasta == 0 || shed.maxarenas == 0 || free >= total {
        return;
    }
    // Those never carved stay free, and cost nothing.
    let mut most = arena.listed().min(free.saturating_sub(1));
    let (mut leaves, mut retired, mut gain) = ([0; POOLS / 64], 0, 0);
    for k in (0..arena.carved()).filter(|&k| arena.is_listed(k)) {
        let pool = arena.pool(k);
        let resident = arena.pages(&plan.resident, pool, pool + size);
        if most == 0 || resident == 0 {
            continue;
        }
        if arena.pages(&plan.shared, pool, pool + size) != 0 {
            shed.shared_pools += 1;
            continue;
        }
        set(&mut leaves, k);
        (most, retired, gain) = (most - 1, retired + 1, gain + resident.count_ones());
    }
    if retired == 0 {
        return;
    }
    let Some(place) = Place::find(shed, arena) else {
        shed.torn_arenas += 1;
        return;
    };
    let carved = arena.carved();
    if !arena.unlist(plan, &leaves) {
        shed.shared_pools += u64::from(retired);
        return;
    }
    place.leave();
    arena.recount(free - retired, total - retired);
    place.enter(arena.free);
    for k in (0..carved).filter(|&k| super::raw::bit(&leaves, k)) {
        let pool = arena.pool(k);
        // In case that the kernel refuses to discard it.
        for word in (0..pool_header::SIZE).step_by(8) {
            put_u64(pool + word, 0);
        }
        batch.add(pool, pool + size);
        arena.gone(plan, pool, pool + size);
    }
    count(shed, steps::RETIRE, gain);
    shed.pools += u64::from(retired);
}

/// Makes the retired pools of an arena free ones again: those at its top such that were never
/// carved, the others listed.
pub fn undo(arena: &mut Arena, shed: &mut Shed) {
    let (free, total) = (arena.free, arena.total);
    let missing = arena.whole - u64::from(total);
    if missing == 0 || shed.usable_arenas == 0 || shed.nfp2lasta == 0 || shed.maxarenas == 0 {
        return;
    }
    let mut retired = [0; POOLS / 64];
    let mut found = 0;
    for k in (0..arena.carved()).filter(|&k| !arena.is_listed(k)) {
        let words = (0..pool_header::SIZE).step_by(8);
        let pool = arena.pool(k);
        if words.into_iter().all(|word| u64_at(pool + word) == 0) {
            set(&mut retired, k);
            found += 1;
        }
    }
    let place = Place::find(shed, arena);
    let Some(place) = place.filter(|_| found == missing) else {
        shed.torn_arenas += 1;
        return;
    };
    let mut carved = arena.carved();
    while carved > 0 && super::raw::bit(&retired, carved - 1) {
        carved -= 1;
    }
    place.leave();
    arena.lower(carved);
    for k in (0..carved).rev().filter(|&k| super::raw::bit(&retired, k)) {
        let pool = arena.pool(k);
        put_u32(pool + pool_header::ARENAINDEX, arena.index);
        put_u32(pool + pool_header::SZIDX, pool_header::DUMMY_SIZE_IDX);
        arena.list(k);
    }
    arena.recount(free + missing as u32, total + missing as u32);
    place.enter(arena.free);
    shed.pools += missing;
}

/// The place of an arena in the list of the usable ones, which is in order of free pools;
/// `nfp2lasta` says which is the last one with so many (Objects/obmalloc.c, from 3.8 on).
struct Place {
    object: u64,
    free: u32,
    head: u64,
    last: u64,
}

impl Place {
    /// Where the arena is; `None` if that makes no sense.
    fn find(shed: &Shed, arena: &Arena) -> Option<Place> {
        let table = u64_at(shed.arenas);
        let end = table + u64::from(u32_at(shed.maxarenas)) * arena_object::SIZE;
        let valid = |at: u64| at >= table && at < end && at % 8 == table % 8;
        let place = Place {
            object: arena.object,
            free: arena.free,
            head: shed.usable_arenas,
            last: shed.nfp2lasta,
        };
        let slots = arena.whole.max(u64::from(arena.total));
        // An entry for each number of free pools, each an arena with so many.
        for n in 1..=slots as u32 {
            let last = u64_at(place.slot(n));
            if last != 0 && !(valid(last) && free_of(last) == n) {
                return None;
            }
        }
        if arena.free == 0 {
            return Some(place);
        }
        let (before, after) = place.neighbours();
        let from_before = match before {
            0 => u64_at(place.head),
            at if valid(at) && free_of(at) <= arena.free => u64_at(at + arena_object::NEXTARENA),
            _ => 0,
        };
        let from_after = match after {
            0 => arena.object,
            at if valid(at) && free_of(at) >= arena.free => u64_at(at + arena_object::PREVARENA),
            _ => 0,
        };
        let linked = from_before == arena.object && from_after == arena.object;
        (linked && u64_at(place.slot(arena.free)) != 0).then_some(place)
    }

    fn slot(&self, n: u32) -> u64 {
        self.last + u64::from(n) * 8
    }

    fn neighbours(&self) -> (u64, u64) {
        let before = u64_at(self.object + arena_object::PREVARENA);
        let after = u64_at(self.object + arena_object::NEXTARENA);
        (before, after)
    }

    /// Takes the arena off the list, if it has free pools.
    fn leave(&self) {
        if self.free == 0 {
            return;
        }
        let (before, after) = self.neighbours();
        if u64_at(self.slot(self.free)) == self.object {
            let same = before != 0 && free_of(before) == self.free;
            put_u64(self.slot(self.free), if same { before } else { 0 });
        }
        match before {
            0 => put_u64(self.head, after),
            at => put_u64(at + arena_object::NEXTARENA, after),
        }
        if after != 0 {
            put_u64(after + arena_object::PREVARENA, before);
        }
    }

    /// Puts it on the list with `free` free pools, of which it has at least one: after those that
    /// have no more.
    fn enter(&self, free: u32) {
        let lower = (1..=free).rev().map(|n| u64_at(self.slot(n)));
        let before = lower.into_iter().find(|&last| last != 0).unwrap_or(0);
        let link = match before {
            0 => self.head,
            at => at + arena_object::NEXTARENA,
        };
        let after = u64_at(link);
        put_u64(self.object + arena_object::PREVARENA, before);
        put_u64(self.object + arena_object::NEXTARENA, after);
        put_u64(link, self.object);
        if after != 0 {
            put_u64(after + arena_object::PREVARENA, self.object);
        }
        put_u64(self.slot(free), self.object);
    }
}

fn free_of(object: u64) -> u32 {
    u32_at(object + arena_object::NFREEPOOLS)
}

const _: () = assert!(PAGE == 4096 && pool_header::SIZE.is_multiple_of(8));
