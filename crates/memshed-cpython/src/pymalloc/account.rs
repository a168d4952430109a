//! The sums over all pools: what their blocks are, what of them is resident, and what could be
//! given back.

use super::release::{self, Resident};
use super::{Arena, Arenas, Live, Pool, Sample};
use crate::account::{Claim, Claims, Run, resident_within};
use crate::layouts::Layout;
use crate::problems::Problems;
use crate::read::Reader;
use memshed_heap::{BlockKind, BlockUse, PoolTable, Pools};
use memshed_target::{Memory, Range};
use rayon::prelude::*;
use std::collections::BTreeMap;

const KINDS: usize = BlockKind::ALL.len();
/// Size classes, of which there is one for every 16 bytes up to 1 KiB.
const CLASSES: usize = 64;

/// Resident bytes of the arenas by what they hold. Sums to the arenas' resident bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArenaUse {
    /// Blocks in use, by [`BlockKind`].
    pub(crate) blocks: [u64; KINDS],
    /// Free blocks of pools in use.
    pub(crate) free_blocks: u64,
    /// Free pools, and what was never carved.
    pub(crate) free_pools: u64,
    /// Headers of pools, and what no block fits into.
    pub(crate) overhead: u64,
    /// Pools that made no sense.
    pub(crate) torn: u64,
}

/// What the pools were found to hold.
#[derive(Clone, Debug)]
pub(crate) struct PoolAccount {
    pub(crate) sum: Pools,
    pub(crate) table: PoolTable,
    pub(crate) resident: ArenaUse,
    /// Blocks in use by kind and size class.
    counts: Box<[[u64; CLASSES]; KINDS]>,
    /// Some of the blocks in use that are nobody's, by their size.
    unknown: BTreeMap<u32, Sample>,
}

impl Default for PoolAccount {
    fn default() -> PoolAccount {
        PoolAccount {
            sum: Pools::default(),
            table: PoolTable::default(),
            resident: ArenaUse::default(),
            counts: Box::new([[0; CLASSES]; KINDS]),
            unknown: BTreeMap::new(),
        }
    }
}

/// Whose the blocks are.
#[derive(Clone, Copy)]
pub(crate) struct BlockOwners<'a> {
    /// All that is known.
    pub(crate) claims: &'a Claims,
    /// Those that are entries of free lists, in order of address.
    pub(crate) cached: &'a [u64],
}

impl BlockOwners<'_> {
    fn kind(&self, run: Option<Run>, start: u64) -> BlockKind {
        match run.and_then(|run| self.claims.get_in(run, start)) {
            Some(Claim::Object) => BlockKind::Object,
            Some(Claim::Part) => BlockKind::Part,
            Some(Claim::Other) if self.cached.binary_search(&start).is_ok() => BlockKind::FreeList,
            Some(Claim::Other) => BlockKind::Possible,
            None => BlockKind::Unknown,
        }
    }
}

/// What the account of one pool needs.
struct Accountant<'a, 'm, M: Memory> {
    reader: Reader<'m, M>,
    layout: &'a Layout,
    owners: BlockOwners<'a>,
    resident: Resident<'a>,
    problems: &'a Problems,
    pool_size: u64,
}

impl Arenas {
    /// The sums over all arenas, and a row for each pool ever carved.
    pub(crate) fn account<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        owners: BlockOwners<'_>,
        resident: Resident<'_>,
        problems: &Problems,
    ) -> PoolAccount {
        let accountant = Accountant {
            reader,
            layout,
            owners,
            resident,
            problems,
            pool_size: self.pool_size(),
        };
        let arenas = self.list().par_iter();
        let mut parts: Vec<PoolAccount> = arenas.map(|arena| accountant.arena(arena)).collect();
        let mut whole = PoolAccount::default();
        for part in &mut parts {
            whole.add(part);
        }
        // A thread may have been stopped while it moved a pool from one list to another.
        let in_use = whole.table.used.iter().filter(|&&used| used > 0).count() as u64;
        let (free, all) = (whole.sum.free_pools, whole.sum.pools);
        if (in_use + free).abs_diff(all) > 2 {
            problems.add("torn-arena", || {
                format!("{in_use} pools in use and {free} free ones are not {all}")
            });
        }
        whole.sum.arena_bytes = layout.obmalloc.arena_size.into();
        whole.sum.pool_bytes = self.pool_size();
        whole.sum.releasable_bytes = whole.sum.releasable.total();
        whole.sum.free_bytes += whole.sum.free_pools * self.pool_size();
        whole
    }
}

impl<M: Memory> Accountant<'_, '_, M> {
    fn arena(&self, arena: &Arena) -> PoolAccount {
        let mut account = PoolAccount::default();
        account.sum.arenas = 1;
        account.sum.pools = arena.total_pools.into();
        account.sum.free_pools = arena.free_pools.into();
        let listed = release::free_list(self.reader, self.layout, arena, self.pool_size);
        account.sum.releasable =
            release::of_free_pools(arena, self.pool_size, &listed, self.resident);
        let (start, end) = (arena.range.start, arena.pools_start);
        account.resident.overhead = resident_within(self.resident, Range { start, end });
        let (start, end) = (arena.pools_end, arena.range.end);
        account.resident.free_pools = resident_within(self.resident, Range { start, end });
        for pool in arena.pools(self.reader, self.layout, self.pool_size, self.problems) {
            self.pool(arena, &pool, &mut account);
        }
        account
    }

    fn pool(&self, arena: &Arena, pool: &Pool, account: &mut PoolAccount) {
        let whole = Range {
            start: pool.start,
            end: pool.end,
        };
        let resident = (self.resident)(whole);
        let table = &mut account.table;
        let in_use = pool.used > 0;
        table.address.push(pool.start);
        table.arena.push(arena.index);
        table.resident.push(resident as u32);
        table
            .block_size
            .push(if in_use { pool.block_size } else { 0 });
        table.used.push(pool.used);
        table.capacity.push(if in_use { pool.capacity } else { 0 });
        if !in_use {
            account.resident.free_pools += resident;
            return;
        }
        let Some(live) = pool.live(self.reader) else {
            let start = pool.start;
            let what = || format!("free blocks of the pool at {start:#x}");
            self.problems.add("torn-pool", what);
            account.resident.torn += resident;
            return;
        };
        // A block may be on its way into or out of use, no more.
        if live.count.abs_diff(pool.used) > 1 {
            let (start, used, found) = (pool.start, pool.used, live.count);
            self.problems.add("torn-pool", || {
                format!("the pool at {start:#x} has {found} blocks in use, and says {used}")
            });
        }
        account.sum.blocks += u64::from(pool.used);
        account.sum.used_bytes += u64::from(pool.used) * u64::from(pool.block_size);
        let free = u64::from(pool.capacity - pool.used);
        account.sum.free_bytes += free * u64::from(pool.block_size);
        account.sum.releasable.used_pools += release::of_used_pool(pool, &live, self.resident);
        self.blocks(pool, &live, resident, account);
    }

    /// Divides the resident bytes of a pool in use.
    fn blocks(&self, pool: &Pool, live: &Live, resident: u64, account: &mut PoolAccount) {
        let partly = resident < self.pool_size;
        let size = u64::from(pool.block_size);
        let bytes_of = |k: u32| {
            let (start, end) = (pool.block(k), pool.block(k) + size);
            match partly {
                true => resident_within(self.resident, Range { start, end }),
                false => size,
            }
        };
        let run = self.owners.claims.run(pool.start);
        let mut held = 0;
        let class = (pool.block_size as usize / 16).clamp(1, CLASSES) - 1;
        for k in live.iter() {
            let kind = self.owners.kind(run, pool.block(k)) as usize;
            account.counts[kind][class] += 1;
            if kind == BlockKind::Unknown as usize {
                let sample = account.unknown.entry(pool.block_size).or_default();
                sample.add(pool.block(k));
            }
            let bytes = bytes_of(k);
            account.resident.blocks[kind] += bytes;
            held += bytes;
        }
        let dead = (0..pool.capacity).filter(|&k| !live.contains(k));
        let free: u64 = match partly {
            true => dead.map(bytes_of).sum(),
            false => u64::from(pool.capacity.saturating_sub(live.count)) * size,
        };
        let sums = &mut account.resident;
        sums.free_blocks += free;
        sums.overhead += resident.saturating_sub(held + free);
    }
}

impl PoolAccount {
    fn add(&mut self, part: &mut PoolAccount) {
        let (sum, other) = (&mut self.sum, &part.sum);
        sum.arenas += other.arenas;
        sum.pools += other.pools;
        sum.free_pools += other.free_pools;
        sum.blocks += other.blocks;
        sum.used_bytes += other.used_bytes;
        sum.free_bytes += other.free_bytes;
        sum.releasable.add(&other.releasable);
        for (counts, other) in self.counts.iter_mut().zip(part.counts.iter()) {
            add_all(counts, other);
        }
        for (&size, sample) in &part.unknown {
            self.unknown.entry(size).or_default().join(sample);
        }
        self.table.append(&mut part.table);
        self.resident.add(&part.resident);
    }

    /// Some of the blocks in use of `block_size` bytes that are nobody's.
    pub(crate) fn unknown(&self, block_size: u32) -> Sample {
        self.unknown.get(&block_size).cloned().unwrap_or_default()
    }

    /// Blocks in use by what they are and their size.
    pub(crate) fn block_uses(&self) -> Vec<BlockUse> {
        let mut uses = Vec::new();
        for (kind, counts) in BlockKind::ALL.into_iter().zip(self.counts.iter()) {
            for (block_size, &blocks) in (16..).step_by(16).zip(counts) {
                if blocks > 0 {
                    uses.push(BlockUse {
                        kind,
                        block_size,
                        blocks,
                    });
                }
            }
        }
        uses
    }
}

impl ArenaUse {
    fn add(&mut self, other: &ArenaUse) {
        add_all(&mut self.blocks, &other.blocks);
        self.free_blocks += other.free_blocks;
        self.free_pools += other.free_pools;
        self.overhead += other.overhead;
        self.torn += other.torn;
    }
}

fn add_all(sums: &mut [u64], others: &[u64]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}
