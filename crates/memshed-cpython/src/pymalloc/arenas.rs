//! The table of arenas, and how an address is found in it.

use super::pool::{Block, Pool};
use crate::layouts::Layout;
use crate::problems::Problems;
use crate::read::Reader;
use memshed_target::{Memory, Range, ReadError, RemoteAddr};
use rayon::prelude::*;

/// More arenas than this (64 TiB of them) is a torn or misread table.
const MAX_ARENAS: u32 = 1 << 26;

/// An arena in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena {
    /// All of it.
    pub(crate) range: Range,
    /// Its first pool.
    pub(crate) pools_start: u64,
    /// One past the last pool ever carved.
    pub(crate) pools_end: u64,
    /// Free pools, those never carved included.
    pub(crate) free_pools: u32,
    /// Whole pools that fit.
    pub(crate) total_pools: u32,
    /// The first pool of its list of free ones.
    pub(crate) free_list: RemoteAddr,
    /// Its number in the interpreter's table.
    pub(crate) index: u32,
    /// Whether no more than a third of it is in use, by [`Arenas::find_sparse`].
    pub(crate) sparse: bool,
}

/// The arenas of an interpreter, sorted by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arenas {
    list: Vec<Arena>,
    pool_size: u64,
    /// Where the table of arenas of one interpreter is.
    table: RemoteAddr,
    /// How long the table of arenas of one interpreter is.
    table_len: u32,
    /// Bytes that debug hooks put before what a block's owner sees: 0 or
    /// [`DEBUG_PREFIX`](super::DEBUG_PREFIX).
    pub(crate) prefix: u64,
}

impl Arenas {
    /// Reads the table of arenas: `table` points to `count` `arena_object`s.
    pub(crate) fn read<M: Memory>(
        reader: Reader<'_, M>,
        layout: &Layout,
        table: RemoteAddr,
        count: u32,
        problems: &Problems,
    ) -> Result<Arenas, ReadError> {
        let l = &layout.arena;
        let (pool_size, arena_size) = (layout.obmalloc.pool_size, layout.obmalloc.arena_size);
        let (pool_size, arena_size) = (u64::from(pool_size), u64::from(arena_size));
        let mut list = Vec::new();
        for index in 0..count.min(MAX_ARENAS) {
            let at = table.add(u64::from(index) * u64::from(l.size));
            let address = reader.u64(at.add(l.address.into()))?;
            if address == 0 {
                continue;
            }
            if address >> 47 != 0 {
                problems.add("torn-arena", || format!("arena {index} at {address:#x}"));
                continue;
            }
            let pool_address = reader.u64(at.add(l.pool_address.into()))?;
            let total_pools = reader.u32(at.add(l.ntotalpools.into()))?;
            let free_pools = reader.u32(at.add(l.nfreepools.into()))?;
            let pools_start = address.next_multiple_of(pool_size);
            let range = Range {
                start: address,
                end: address.saturating_add(arena_size),
            };
            let sane = (pools_start..=range.end).contains(&pool_address)
                && (pool_address - pools_start) % pool_size == 0
                && u64::from(total_pools) <= arena_size / pool_size
                && free_pools <= total_pools;
            if sane {
                list.push(Arena {
                    range,
                    pools_start,
                    pools_end: pool_address,
                    free_pools,
                    total_pools,
                    free_list: reader.pointer(at.add(l.freepools.into()))?,
                    index,
                    sparse: false,
                });
            } else {
                problems.add("torn-arena", || format!("arena {index} at {address:#x}"));
            }
        }
        list.sort_unstable_by_key(|a| a.range.start);
        Ok(Arenas {
            list,
            pool_size,
            table,
            table_len: count,
            prefix: 0,
        })
    }

    /// Adds the arenas of another interpreter (interpreters that share a GIL share them).
    pub(crate) fn join(&mut self, other: Arenas) {
        if self.list.is_empty() {
            *self = other;
            return;
        }
        self.list.extend(other.list);
        self.list.sort_unstable_by_key(|a| a.range.start);
        self.list.dedup_by_key(|a| a.range.start);
    }

    /// The address ranges to read in bulk: the carved part of each arena.
    pub(crate) fn ranges(&self) -> Vec<Range> {
        self.list
            .iter()
            .map(|a| Range {
                start: a.range.start,
                end: a.pools_end,
            })
            .collect()
    }

    /// All of each arena, in order of address.
    pub(crate) fn whole_ranges(&self) -> Vec<Range> {
        self.list.iter().map(|arena| arena.range).collect()
    }

    /// The arena that holds `at`.
    #[inline]
    pub(crate) fn find(&self, at: RemoteAddr) -> Option<&Arena> {
        let after = self.list.partition_point(|a| a.range.start <= at.0);
        let arena = &self.list[after.checked_sub(1)?];
        (arena.range.contains(at)).then_some(arena)
    }

    /// The pool that holds `at`, if it has ever been carved.
    #[inline]
    pub(crate) fn pool_of<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Option<(&Arena, Pool)> {
        let arena = self.find(at)?;
        let start = at.0 & !(self.pool_size - 1);
        if start < arena.pools_start || start >= arena.pools_end {
            return None;
        }
        let pool = Pool::read(reader, layout, start).ok()?;
        Some((arena, pool))
    }

    /// The block that holds `at`.
    #[inline]
    pub(crate) fn block_of<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Option<Block> {
        self.pool_of(reader, layout, at)?.1.block_of(at)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.list.len() as u64
    }

    /// All arenas, in order of address.
    pub(crate) fn list(&self) -> &[Arena] {
        &self.list
    }

    /// Where that table was when it was read.
    pub(crate) fn table(&self) -> RemoteAddr {
        self.table
    }

    /// How many entries that table has, used or not.
    pub(crate) fn table_len(&self) -> u32 {
        self.table_len
    }

    /// Bytes of a pool.
    pub(crate) fn pool_size(&self) -> u64 {
        self.pool_size
    }

    /// Finds out which arenas are mostly free.
    pub(crate) fn find_sparse<M: Memory>(&mut self, reader: Reader<'_, M>, layout: &Layout) {
        let (pool_size, untold) = (self.pool_size, Problems::default());
        self.list.par_iter_mut().for_each(|arena| {
            let pools = arena.pools(reader, layout, pool_size, &untold);
            let used: u64 = pools
                .map(|pool| u64::from(pool.used) * u64::from(pool.block_size))
                .sum();
            arena.sparse = used * 3 <= arena.range.len();
        });
    }
}

impl Arena {
    /// The pools ever carved from it, in order of address; torn ones are counted and left out.
    pub(crate) fn pools<'a, M: Memory>(
        &'a self,
        reader: Reader<'a, M>,
        layout: &'a Layout,
        pool_size: u64,
        problems: &'a Problems,
    ) -> impl Iterator<Item = Pool> + 'a {
        (self.pools_start..self.pools_end)
            .step_by(pool_size as usize)
            .filter_map(move |start| match Pool::read(reader, layout, start) {
                Ok(pool) if pool.used <= pool.capacity => Some(pool),
                _ => {
                    problems.add("torn-pool", || format!("pool at {start:#x}"));
                    None
                }
            })
    }
}
