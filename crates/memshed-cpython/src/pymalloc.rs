//! pymalloc's arenas, pools and blocks (CPython's Objects/obmalloc.c).
//!
//! A pool is 16 KiB: a header of 48 bytes, then blocks of one size. Blocks up to `nextoffset`
//! have been carved; the free ones among them form a chain through their first words. A
//! releasing tool may have made a run in the middle the uncarved one, so blocks beyond
//! `maxnextoffset` count as carved as well.

use crate::layouts::Layout;
use crate::problems::Problems;
use crate::read::Reader;
use memshed_target::{Memory, Range, ReadError, RemoteAddr};

const PAGE: u64 = 4096;
/// More arenas than this (64 TiB of them) is a torn or misread table.
const MAX_ARENAS: u32 = 1 << 26;

/// What the hooks of `PYTHONMALLOC=debug` and `-X dev` put before each block, whichever allocator
/// it is from: its size, the letter of the interface it came by, and seven marked bytes.
pub(crate) const DEBUG_PREFIX: u64 = 16;
/// What they put around it.
pub(crate) const DEBUG_BYTES: u64 = 24;
/// The second half of what is before an object: `o` and the marked bytes (`PYMEM_FORBIDDENBYTE`).
pub(crate) const DEBUG_MARK: u64 = 0xfdfd_fdfd_fdfd_fd6f;
/// The same before what came by `PyMem_RawMalloc`, with `r`.
pub(crate) const DEBUG_MARK_RAW: u64 = 0xfdfd_fdfd_fdfd_fd72;

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
    /// Its number in the interpreter's table.
    pub(crate) index: u32,
}

/// A pool's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) start: u64,
    pub(crate) used: u32,
    pub(crate) block_size: u32,
    pub(crate) capacity: u32,
    first_free: RemoteAddr,
    next_offset: u32,
    max_next_offset: u32,
}

/// The arenas of an interpreter, sorted by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arenas {
    list: Vec<Arena>,
    pool_size: u64,
    header: u64,
    /// Bytes that debug hooks put before what a block's owner sees: 0 or [`DEBUG_PREFIX`].
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
                    index,
                });
            } else {
                problems.add("torn-arena", || format!("arena {index} at {address:#x}"));
            }
        }
        list.sort_unstable_by_key(|a| a.range.start);
        Ok(Arenas {
            list,
            pool_size,
            header: u64::from(layout.pool.size),
            prefix: 0,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.list.len() as u64
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

    /// The sums over all arenas, and a row for each pool ever carved.
    pub(crate) fn account<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        problems: &Problems,
    ) -> (memshed_heap::Pools, memshed_heap::PoolTable) {
        let (mut sum, mut table) = (
            memshed_heap::Pools::default(),
            memshed_heap::PoolTable::default(),
        );
        sum.arena_bytes = layout.obmalloc.arena_size.into();
        sum.pool_bytes = self.pool_size;
        for arena in &self.list {
            sum.arenas += 1;
            sum.pools += u64::from(arena.total_pools);
            sum.free_pools += u64::from(arena.free_pools);
        }
        sum.free_bytes = sum.free_pools * self.pool_size;
        let mut in_use = 0;
        for (arena, pool) in self.pools(reader, layout, problems) {
            in_use += u64::from(pool.used > 0);
            let (used, size) = (u64::from(pool.used), u64::from(pool.block_size));
            table.address.push(pool.start);
            table.arena.push(arena.index);
            table
                .block_size
                .push(if pool.used > 0 { pool.block_size } else { 0 });
            table.used.push(pool.used);
            table
                .capacity
                .push(if pool.used > 0 { pool.capacity } else { 0 });
            if pool.used == 0 {
                // All but the page of its header, which links it to its arena's list.
                sum.releasable_bytes += self.pool_size.saturating_sub(PAGE);
                continue;
            }
            sum.blocks += used;
            sum.used_bytes += used * size;
            sum.free_bytes += (u64::from(pool.capacity) - used) * size;
        }
        // A thread may have been stopped while it moved a pool from one list to another.
        if (in_use + sum.free_pools).abs_diff(sum.pools) > 2 {
            let (free, all) = (sum.free_pools, sum.pools);
            problems.add("torn-arena", || {
                format!("{in_use} pools in use and {free} free ones are not {all}")
            });
        }
        (sum, table)
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
    ) -> Option<Pool> {
        let arena = self.find(at)?;
        let start = at.0 & !(self.pool_size - 1);
        if start < arena.pools_start || start >= arena.pools_end {
            return None;
        }
        read_pool(reader, layout, start).ok()
    }

    /// Start of the block that holds `at`, as its owner sees it, and its whole size in bytes.
    #[inline]
    pub(crate) fn block_of<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Option<(u64, u32)> {
        let pool = self.pool_of(reader, layout, at)?;
        let offset = at.0.checked_sub(pool.start + self.header)?;
        if pool.block_size == 0 {
            return None;
        }
        let k = offset / u64::from(pool.block_size);
        (k < u64::from(pool.capacity) && pool.used > 0).then(|| {
            (
                pool.start + self.header + k * u64::from(pool.block_size) + self.prefix,
                pool.block_size,
            )
        })
    }

    /// All pools ever carved, in order of address; torn ones are counted and left out.
    pub(crate) fn pools<'a, M: Memory>(
        &'a self,
        reader: Reader<'a, M>,
        layout: &'a Layout,
        problems: &'a Problems,
    ) -> impl Iterator<Item = (&'a Arena, Pool)> + 'a {
        let size = self.pool_size;
        self.list.iter().flat_map(move |arena| {
            (arena.pools_start..arena.pools_end)
                .step_by(size as usize)
                .filter_map(move |start| match read_pool(reader, layout, start) {
                    Ok(pool) if pool.used <= pool.capacity => Some((arena, pool)),
                    _ => {
                        problems.add("torn-pool", || format!("pool at {start:#x}"));
                        None
                    }
                })
        })
    }

    /// The blocks in use of `pool`, as their owners see them, in order of address; `None` if its chain of free blocks is torn.
    pub(crate) fn live_blocks<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        pool: &Pool,
    ) -> Option<Vec<u64>> {
        if pool.used == 0 {
            return Some(Vec::new());
        }
        let size = u64::from(pool.block_size);
        let first = pool.start + self.header;
        let mut free = vec![false; pool.capacity as usize];
        let mut at = pool.first_free;
        let mut steps = 0;
        while !at.is_null() {
            let offset = at.0.checked_sub(first)?;
            let slot = free.get_mut((offset / size) as usize)?;
            if offset % size != 0 || *slot || steps > pool.capacity {
                return None;
            }
            *slot = true;
            steps += 1;
            at = reader.pointer(at).ok()?;
        }
        let carved = |k: u64| {
            let offset = self.header + k * size;
            offset < u64::from(pool.next_offset) || offset > u64::from(pool.max_next_offset)
        };
        let live = (0..u64::from(pool.capacity)).filter(|&k| carved(k) && !free[k as usize]);
        Some(live.map(|k| first + k * size + self.prefix).collect())
    }
}

fn read_pool<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    start: u64,
) -> Result<Pool, ReadError> {
    let l = &layout.pool;
    let at = RemoteAddr(start);
    let used = reader.u32(at.add(l.count.into()))?;
    let index = reader.u32(at.add(l.szidx.into()))?;
    // A pool that never held a block has DUMMY_SIZE_IDX (0xffff).
    let block_size = if index < 64 {
        (index + 1) * layout.obmalloc.alignment
    } else {
        0
    };
    let capacity = (layout.obmalloc.pool_size - l.size)
        .checked_div(block_size)
        .unwrap_or(0);
    Ok(Pool {
        start,
        used,
        block_size,
        capacity,
        first_free: reader.pointer(at.add(l.freeblock.into()))?,
        next_offset: reader.u32(at.add(l.nextoffset.into()))?,
        max_next_offset: reader.u32(at.add(l.maxnextoffset.into()))?,
    })
}
