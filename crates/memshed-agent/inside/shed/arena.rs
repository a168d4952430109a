//! An arena, verified: its counts agree with its list of free pools.

use super::PAGE;
use super::raw::{bit, clear, put_u32, put_u64, set, u32_at, u64_at};
use crate::abi::{ArenaPlan, POOLS, Shed, arena_object, pool_header};

/// An arena whose state makes sense.
pub struct Arena {
    /// Where its `arena_object` is.
    pub object: u64,
    /// The number of that.
    pub index: u32,
    /// Its first pool.
    pub first: u64,
    /// Bytes of a pool.
    pub pool_size: u64,
    /// Whole pools that fit.
    pub whole: u64,
    /// One past its last carved pool (`pool_address`).
    pub top: u64,
    /// Free pools, uncarved ones included (`nfreepools`).
    pub free: u32,
    /// Pools that are not retired (`ntotalpools`).
    pub total: u32,
    /// Its first page, as the plan counts them.
    first_page: u64,
    /// Which pools are on the list of free ones, a bit each.
    listed: [u64; POOLS / 64],
}

impl Arena {
    /// The arena of a plan, if it is there and its counts agree.
    pub fn open(shed: &Shed, plan: &ArenaPlan) -> Option<Arena> {
        let index = u32::try_from(plan.index).ok()?;
        if shed.maxarenas != 0 && index >= u32_at(shed.maxarenas) {
            return None;
        }
        let table = u64_at(shed.arenas);
        if table == 0 || table != shed.table || !table.is_multiple_of(8) || plan.address == 0 {
            return None;
        }
        let object = table + u64::from(index) * arena_object::SIZE;
        if u64_at(object + arena_object::ADDRESS) != plan.address {
            return None;
        }
        let (pool_size, arena_size) = (u64::from(shed.pool_size), u64::from(shed.arena_size));
        let end = plan.address.checked_add(arena_size)?;
        let first = plan.address.checked_next_multiple_of(pool_size)?;
        let whole = end.checked_sub(first)? >> pool_size.trailing_zeros();
        let top = u64_at(object + arena_object::POOL_ADDRESS);
        let mut arena = Arena {
            object,
            index,
            first,
            pool_size,
            whole,
            top,
            free: u32_at(object + arena_object::NFREEPOOLS),
            total: u32_at(object + arena_object::NTOTALPOOLS),
            first_page: plan.address.checked_next_multiple_of(PAGE)?,
            listed: [0; POOLS / 64],
        };
        let carved = top.checked_sub(first)?;
        let sane = carved & (pool_size - 1) == 0
            && arena.carved() <= whole
            && arena.free <= arena.total
            && u64::from(arena.total) <= whole;
        (sane && arena.read_list()).then_some(arena)
    }

    /// Follows the list of free pools; whether it makes sense.
    fn read_list(&mut self) -> bool {
        let uncarved = self.whole - self.carved();
        let Some(expected) = u64::from(self.free).checked_sub(uncarved) else {
            return false;
        };
        let mut at = u64_at(self.object + arena_object::FREEPOOLS);
        for _ in 0..expected {
            let Some(k) = self.number_of(at) else {
                return false;
            };
            if self.is_listed(k) || u32_at(at + pool_header::COUNT) != 0 {
                return false;
            }
            set(&mut self.listed, k);
            at = u64_at(at + pool_header::NEXTPOOL);
        }
        at == 0
    }

    /// The number of the carved pool at `at`.
    fn number_of(&self, at: u64) -> Option<u64> {
        let offset = at.checked_sub(self.first)?;
        (at < self.top && offset & (self.pool_size - 1) == 0)
            .then(|| offset >> self.pool_size.trailing_zeros())
    }

    /// How many pools have been carved from it: all those below have a header.
    pub fn carved(&self) -> u64 {
        (self.top - self.first) >> self.pool_size.trailing_zeros()
    }

    /// Where pool `k` is.
    pub fn pool(&self, k: u64) -> u64 {
        self.first + k * self.pool_size
    }

    /// Whether pool `k` is on the list of free pools.
    pub fn is_listed(&self, k: u64) -> bool {
        bit(&self.listed, k)
    }

    /// How many pools are on the list of free ones.
    pub fn listed(&self) -> u32 {
        self.listed.iter().map(|word| word.count_ones()).sum()
    }

    /// The pages of `start..end`, by the plan: a bit each of the first 64 of a set.
    pub fn pages(&self, set: &[u64; crate::abi::PAGES / 64], start: u64, end: u64) -> u64 {
        let from = start.wrapping_sub(self.first_page) / PAGE;
        let count = end.saturating_sub(start) / PAGE;
        let mut pages = 0;
        for i in 0..count.min(64) {
            pages |= u64::from(bit(set, from + i)) << i;
        }
        pages
    }

    /// Whether the page of `at` is shared.
    pub fn is_shared(&self, plan: &ArenaPlan, at: u64) -> bool {
        bit(&plan.shared, at.wrapping_sub(self.first_page) / PAGE)
    }

    /// Says in the plan that the pages of `start..end` have gone.
    pub fn gone(&self, plan: &mut ArenaPlan, start: u64, end: u64) {
        let from = start.wrapping_sub(self.first_page) / PAGE;
        for i in 0..end.saturating_sub(start) / PAGE {
            clear(&mut plan.resident, from + i);
        }
    }

    /// Takes the pools for which `leaves` holds off the list of free ones, whose order stays.
    /// Whether that was done: nothing is if a page would be written to that is shared.
    pub fn unlist(&mut self, plan: &ArenaPlan, leaves: &[u64; POOLS / 64]) -> bool {
        for writing in [false, true] {
            let mut link = self.object + arena_object::FREEPOOLS;
            let mut at = u64_at(link);
            let mut said = at;
            while let Some(k) = self.number_of(at) {
                let next = u64_at(at + pool_header::NEXTPOOL);
                if !bit(leaves, k) {
                    if !self.relink(plan, link, said, at, writing) {
                        return false;
                    }
                    (link, said) = (at + pool_header::NEXTPOOL, next);
                }
                at = next;
            }
            if !self.relink(plan, link, said, 0, writing) {
                return false;
            }
        }
        for (listed, leaves) in self.listed.iter_mut().zip(leaves) {
            *listed &= !leaves;
        }
        true
    }

    /// Has `link`, which says `said`, say `to`; not if it is on a page that is shared.
    fn relink(&self, plan: &ArenaPlan, link: u64, said: u64, to: u64, writing: bool) -> bool {
        if said == to {
            return true;
        }
        let in_pool = link >= self.first && link < self.top;
        if in_pool && self.is_shared(plan, link) {
            return false;
        }
        if writing {
            put_u64(link, to);
        }
        true
    }

    /// Puts pool `k` at the front of the list of free ones.
    pub fn list(&mut self, k: u64) {
        let (pool, head) = (self.pool(k), self.object + arena_object::FREEPOOLS);
        put_u64(pool + pool_header::NEXTPOOL, u64_at(head));
        put_u64(head, pool);
        set(&mut self.listed, k);
    }

    /// Lets it end after its first `carved` pools; what is above has not been carved then.
    pub fn lower(&mut self, carved: u64) {
        self.top = self.pool(carved);
        put_u64(self.object + arena_object::POOL_ADDRESS, self.top);
    }

    /// Changes how many of its pools are free, and how many there are.
    pub fn recount(&mut self, free: u32, total: u32) {
        (self.free, self.total) = (free, total);
        put_u32(self.object + arena_object::NFREEPOOLS, free);
        put_u32(self.object + arena_object::NTOTALPOOLS, total);
    }
}
