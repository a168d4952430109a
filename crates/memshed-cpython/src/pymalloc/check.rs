//! Whether everything that must hold of pymalloc's state does: for tests of what changes it.
//!
//! What must hold is read off CPython's Objects/obmalloc.c, and is said here without the readers
//! that the account uses. The process has to stand still, with nobody in the allocator: the GIL
//! free.

use super::state::{AllocatorState, CLASSES};
use crate::layouts::{self, Layout};
use crate::python::Python;
use crate::read::Reader;
use memshed_target::{Memory, ReadError, RemoteAddr};
use rustc_hash::{FxHashMap, FxHashSet};

/// So many violations are told; all are counted.
const TOLD: usize = 50;
const MAX_ARENAS: u32 = 1 << 26;
const HEADER: u64 = 48;

/// What a check of an allocator's state came to.
#[derive(Clone, Debug, Default)]
pub struct AllocatorCheck {
    /// Arenas looked at.
    pub arenas: u64,
    /// Pools in use.
    pub used_pools: u64,
    /// Pools on lists of free ones.
    pub free_pools: u64,
    /// Free pools that no longer count, as memshed retires them.
    pub retired_pools: u64,
    /// Pools in use of which a run of blocks in the middle is the uncarved part.
    pub split_pools: u64,
    /// What should not be: the first few.
    pub violations: Vec<String>,
    /// How many of them there are.
    pub count: u64,
}

impl AllocatorCheck {
    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.violations.len() < TOLD {
            self.violations.push(what());
        }
    }
}

impl AllocatorState {
    /// Looks for what should not be in an allocator's state. Lists that were not found are left out.
    ///
    /// # Errors
    /// If the table of arenas, or a pool in it, can't be read.
    pub fn check<M: Memory>(
        &self,
        python: &Python,
        memory: &M,
    ) -> Result<AllocatorCheck, ReadError> {
        let mut checker = Checker {
            reader: Reader(memory),
            layout: &python.layout,
            state: self,
            result: AllocatorCheck::default(),
            in_rings: FxHashMap::default(),
            usable: FxHashMap::default(),
            unused: FxHashSet::default(),
        };
        checker.arenas()?;
        checker.unused()?;
        checker.usable()?;
        checker.rings()?;
        Ok(checker.result)
    }
}

struct Checker<'a, 'm, M: Memory> {
    reader: Reader<'m, M>,
    layout: &'a Layout,
    state: &'a AllocatorState,
    result: AllocatorCheck,
    /// Pools that have to be in a ring, and in which.
    in_rings: FxHashMap<u64, u32>,
    /// Arena objects that have to be among the usable ones, and how many free pools they have.
    usable: FxHashMap<u64, u32>,
    /// Arena objects without an arena.
    unused: FxHashSet<u64>,
}

/// The bounds of an arena.
struct Bounds {
    index: u32,
    first: u64,
    top: u64,
    pool_size: u64,
}

impl Bounds {
    fn holds(&self, pool: u64) -> bool {
        pool >= self.first && pool < self.top && (pool - self.first).is_multiple_of(self.pool_size)
    }
}

impl<M: Memory> Checker<'_, '_, M> {
    fn arenas(&mut self) -> Result<(), ReadError> {
        let l = self.layout.arena;
        let table = self.reader.pointer(self.state.arenas)?;
        let count = match self.state.maxarenas {
            RemoteAddr::NULL => 0,
            at => self.reader.u32(at)?.min(MAX_ARENAS),
        };
        for index in 0..count {
            let object = table.add(u64::from(index) * u64::from(l.size));
            if self.reader.u64(object.add(l.address.into()))? == 0 {
                self.unused.insert(object.0);
            } else {
                self.result.arenas += 1;
                self.arena(index, object)?;
            }
        }
        let arenas = self.result.arenas;
        if !self.state.narenas.is_null() {
            let said = self.reader.u64(self.state.narenas)?;
            if said != arenas {
                self.result.wrong(|| format!("{arenas} arenas, not {said}"));
            }
        }
        Ok(())
    }

    fn arena(&mut self, index: u32, object: RemoteAddr) -> Result<(), ReadError> {
        let l = self.layout.arena;
        let pool_size = u64::from(self.state.pool_size);
        let start = self.reader.u64(object.add(l.address.into()))?;
        let first = start.next_multiple_of(pool_size);
        let whole = (start + u64::from(self.state.arena_size) - first) / pool_size;
        let top = self.reader.u64(object.add(l.pool_address.into()))?;
        let free = self.reader.u32(object.add(l.nfreepools.into()))?;
        let total = self.reader.u32(object.add(l.ntotalpools.into()))?;
        let end = first + whole * pool_size;
        let sane = (first..=end).contains(&top) && (top - first).is_multiple_of(pool_size);
        if !sane || free > total || u64::from(total) > whole {
            self.result.wrong(|| {
                format!("arena {index} at {start:#x}: top {top:#x}, {free} of {total} free")
            });
            return Ok(());
        }
        if free > 0 {
            self.usable.insert(object.0, free);
        }
        let bounds = Bounds {
            index,
            first,
            top,
            pool_size,
        };
        let listed = self.free_list(
            &bounds,
            self.reader.pointer(object.add(l.freepools.into()))?,
        )?;
        let uncarved = (end - top) / pool_size;
        if listed.len() as u64 + uncarved != u64::from(free) {
            let listed = listed.len();
            self.result.wrong(|| {
                format!("arena {index}: {listed} listed and {uncarved} uncarved, {free} free")
            });
        }
        let retired = self.result.retired_pools;
        for pool in (first..top).step_by(pool_size as usize) {
            self.pool(&bounds, pool, listed.contains(&pool))?;
        }
        let retired = self.result.retired_pools - retired;
        if retired != whole - u64::from(total) {
            self.result
                .wrong(|| format!("arena {index}: {retired} retired, {total} of {whole} left"));
        }
        Ok(())
    }

    fn free_list(&mut self, arena: &Bounds, head: RemoteAddr) -> Result<FxHashSet<u64>, ReadError> {
        let l = self.layout.pool;
        let (mut listed, mut at, index) = (FxHashSet::default(), head, arena.index);
        while !at.is_null() {
            if !arena.holds(at.0) || !listed.insert(at.0) {
                self.result
                    .wrong(|| format!("arena {index}: {at} on its list of free pools"));
                break;
            }
            at = self.reader.pointer(at.add(l.nextpool.into()))?;
        }
        Ok(listed)
    }

    fn pool(&mut self, arena: &Bounds, at: u64, listed: bool) -> Result<(), ReadError> {
        let l = self.layout.pool;
        let field = |offset: u32| RemoteAddr(at).add(offset.into());
        let used = self.reader.u32(field(l.count))?;
        let szidx = self.reader.u32(field(l.szidx))?;
        if used == 0 && !listed {
            let header = self.reader.bytes(RemoteAddr(at), HEADER as usize)?;
            match header.iter().all(|&byte| byte == 0) {
                true => self.result.retired_pools += 1,
                false => self
                    .result
                    .wrong(|| format!("pool {at:#x}: neither in use nor listed nor retired")),
            }
            return Ok(());
        }
        if self.reader.u32(field(l.arenaindex))? != arena.index {
            self.result
                .wrong(|| format!("pool {at:#x}: of another arena"));
        }
        if used == 0 {
            self.result.free_pools += 1;
            return match szidx {
                0xffff => Ok(()),
                // Whoever takes it for blocks of the same size goes on with its chain.
                _ => self.blocks(at, 0, szidx),
            };
        }
        self.result.used_pools += 1;
        if listed {
            self.result
                .wrong(|| format!("pool {at:#x}: in use, and listed as free"));
        }
        self.blocks(at, used, szidx)
    }

    /// Checks that each block is in use, on the chain, or uncarved.
    fn blocks(&mut self, at: u64, used: u32, szidx: u32) -> Result<(), ReadError> {
        let l: layouts::Pool = self.layout.pool;
        let field = |offset: u32| RemoteAddr(at).add(offset.into());
        let pool_size = u64::from(self.state.pool_size);
        let size = (u64::from(szidx) + 1) * u64::from(self.layout.obmalloc.alignment);
        let capacity = (pool_size - HEADER) / size;
        if szidx >= CLASSES || u64::from(used) > capacity {
            self.result
                .wrong(|| format!("pool {at:#x}: {used} blocks in use of class {szidx}"));
            return Ok(());
        }
        let next = u64::from(self.reader.u32(field(l.nextoffset))?);
        let most = u64::from(self.reader.u32(field(l.maxnextoffset))?);
        let uncarved: Vec<u64> = (0..)
            .map(|k| next + k * size)
            .take_while(|&offset| offset <= most)
            .collect();
        let aligned = |offset: u64| {
            offset >= HEADER && (offset - HEADER).is_multiple_of(size) && offset + size <= pool_size
        };
        if !uncarved.iter().all(|&offset| aligned(offset)) || most > pool_size - size {
            self.result
                .wrong(|| format!("pool {at:#x}: carves from {next} to {most}"));
            return Ok(());
        }
        if !uncarved.is_empty() && most + size <= pool_size - size {
            self.result.split_pools += 1;
        }
        let mut dead: FxHashSet<u64> = uncarved.into_iter().collect();
        let mut block = self.reader.pointer(field(l.freeblock))?;
        let (full, empty_chain) = (u64::from(used) == capacity, block.is_null());
        while !block.is_null() {
            let offset = block.0.wrapping_sub(at);
            if offset >= pool_size || !aligned(offset) || !dead.insert(offset) {
                self.result
                    .wrong(|| format!("pool {at:#x}: {block} on its chain of free blocks"));
                return Ok(());
            }
            block = self.reader.pointer(block)?;
        }
        let free = dead.len() as u64;
        if u64::from(used) + free != capacity || full != empty_chain {
            self.result.wrong(|| {
                format!(
                    "pool {at:#x}: {used} used and {free} free of {capacity}, chain: {}",
                    !empty_chain
                )
            });
        }
        if used > 0 && !full {
            self.in_rings.insert(at, szidx);
        }
        Ok(())
    }

    fn unused(&mut self) -> Result<(), ReadError> {
        if self.state.unused_arena_objects.is_null() {
            return Ok(());
        }
        let mut at = self.reader.pointer(self.state.unused_arena_objects)?;
        while !at.is_null() {
            if !self.unused.remove(&at.0) {
                self.result
                    .wrong(|| format!("{at} on the list of unused arena objects"));
                return Ok(());
            }
            let next = at.add(self.layout.arena.nextarena.into());
            at = self.reader.pointer(next)?;
        }
        for at in self.unused.drain() {
            self.result
                .wrong(|| format!("{at:#x} is unused, and not listed so"));
        }
        Ok(())
    }

    fn usable(&mut self) -> Result<(), ReadError> {
        if self.state.usable_arenas.is_null() || self.state.nfp2lasta.is_null() {
            return Ok(());
        }
        let l = self.layout.arena;
        let mut lasts = vec![0; (self.state.arena_size / self.state.pool_size) as usize + 1];
        let (mut before, mut most) = (RemoteAddr::NULL, 0);
        let mut at = self.reader.pointer(self.state.usable_arenas)?;
        while !at.is_null() {
            let Some(free) = self.usable.remove(&at.0) else {
                self.result
                    .wrong(|| format!("{at} on the list of usable arenas"));
                return Ok(());
            };
            if free < most {
                self.result
                    .wrong(|| format!("{at} with {free} free pools comes after {most}"));
            }
            if self.reader.pointer(at.add(l.prevarena.into()))? != before {
                self.result
                    .wrong(|| format!("{at} does not link back to {before}"));
            }
            if let Some(last) = lasts.get_mut(free as usize) {
                *last = at.0;
            }
            (before, most) = (at, free);
            at = self.reader.pointer(at.add(l.nextarena.into()))?;
        }
        for (at, free) in self.usable.drain() {
            self.result
                .wrong(|| format!("{at:#x} has {free} free pools, and is not usable"));
        }
        let said = self.reader.pointers(self.state.nfp2lasta, lasts.len())?;
        for (n, (said, last)) in said.zip(lasts).enumerate() {
            if said.0 != last {
                self.result.wrong(|| {
                    format!("the last arena with {n} free pools is {last:#x}, not {said}")
                });
            }
        }
        Ok(())
    }

    fn rings(&mut self) -> Result<(), ReadError> {
        if self.state.usedpools.is_null() {
            return Ok(());
        }
        let l = self.layout.pool;
        for class in 0..CLASSES {
            // Its two pointers are where a pool has `nextpool` and `prevpool`.
            let head = self.state.usedpools.add(u64::from(class) * 16);
            let head = head.sub(l.nextpool.into());
            let (mut before, mut at) = (head, self.reader.pointer(head.add(l.nextpool.into()))?);
            while at != head {
                if self.in_rings.remove(&at.0) != Some(class) {
                    self.result
                        .wrong(|| format!("pool {at} in the ring of class {class}"));
                    return Ok(());
                }
                if self.reader.pointer(at.add(l.prevpool.into()))? != before {
                    self.result
                        .wrong(|| format!("pool {at} does not link back to {before}"));
                }
                (before, at) = (at, self.reader.pointer(at.add(l.nextpool.into()))?);
            }
            if self.reader.pointer(head.add(l.prevpool.into()))? != before {
                self.result
                    .wrong(|| format!("the ring of class {class} does not end at {before}"));
            }
        }
        for (at, class) in self.in_rings.drain() {
            self.result
                .wrong(|| format!("pool {at:#x} is not in the ring of class {class}"));
        }
        Ok(())
    }
}
