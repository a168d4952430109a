//! The ledger: which blocks, chunks and mappings have been found to belong to an object.

use super::claims::{Claim, Claims, Run};
use super::surroundings::Surroundings;
use crate::layouts::Layout;
use crate::pymalloc::{Arenas, Pool};
use crate::read::Reader;
use memshed_malloc::MappedChunk;
use memshed_target::{Memory, Range, RemoteAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a block lies, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In one of pymalloc's pools.
    Pool {
        /// Where it begins.
        start: u64,
        /// Its bytes.
        size: u32,
    },
    /// A chunk of the system's allocator, header included.
    Chunk(Range),
    /// Such a chunk with a mapping of its own, by its number.
    Mapped(usize, MappedChunk),
    /// In the program's own data.
    Static,
    /// Elsewhere: a mapping of its own, or an allocator that is not known.
    Elsewhere,
}

/// Blocks and whose they are.
pub(crate) struct Ledger<'a> {
    arenas: &'a Arenas,
    statics: &'a [Range],
    around: &'a Surroundings,
    /// Of blocks in pools, by their beginning, and of chunks, by the address the program knows.
    pub(crate) claims: Claims,
    /// For each chunk with a mapping of its own, the type of its owner plus one.
    mapped: Vec<AtomicU32>,
    /// Resident bytes outside the pools, by type of the owner.
    outside: Vec<AtomicU64>,
    /// Memory of objects that is in no allocator's hands that are known.
    elsewhere: Mutex<Vec<(Range, u32)>>,
    /// Parts in sparse pools and arenas: address, owner, bytes.
    sparse: Mutex<Vec<(u64, u64, u32)>>,
}

/// The pool of the block that was last entered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Near {
    pool: Option<Here>,
}

#[derive(Clone, Copy)]
struct Here {
    pool: Pool,
    run: Run,
    /// Whether most of the pool, or of its arena, is free.
    sparse: bool,
}

/// What owns a block, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    /// The object.
    pub(crate) at: RemoteAddr,
    /// Its type.
    pub(crate) type_id: u32,
    /// Whether the block is the object's own, or a part.
    pub(crate) claim: Claim,
}

impl<'a> Ledger<'a> {
    /// An empty ledger, for objects of `types` types.
    pub(crate) fn new(
        arenas: &'a Arenas,
        statics: &'a [Range],
        around: &'a Surroundings,
        types: usize,
    ) -> Ledger<'a> {
        let arena_ranges = arenas.list().iter().map(|arena| arena.range);
        let mapped = around.glibc.as_ref().map_or(0, |glibc| glibc.mapped.len());
        Ledger {
            arenas,
            statics,
            around,
            claims: Claims::new(arena_ranges.chain(around.heap_ranges()).collect()),
            mapped: (0..mapped).map(|_| AtomicU32::new(0)).collect(),
            outside: (0..types).map(|_| AtomicU64::new(0)).collect(),
            elsewhere: Mutex::default(),
            sparse: Mutex::default(),
        }
    }

    /// Enters that the block that holds `at` belongs to `owner`, which needs `needed` bytes from
    /// there on. Returns the bytes that the allocator gave for it. `near` is where the last one
    /// was: neighbours are mostly of one pool.
    #[inline]
    pub(crate) fn enter<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        near: &mut Near,
        at: RemoteAddr,
        needed: u64,
        owner: Owner,
    ) -> u64 {
        if !near.pool.is_some_and(|here| here.pool.holds(at)) {
            let Some(here) = self.pool_near(reader, layout, at) else {
                return self.enter_elsewhere(at, needed, owner);
            };
            near.pool = Some(here);
        }
        let here = near
            .pool
            .and_then(|here| Some((here, here.pool.block_of(at)?)));
        let Some((here, block)) = here else {
            // No block of a sound pool.
            return needed;
        };
        let new = self.claims.claim_in(here.run, block.start, owner.claim);
        if new && here.sparse && owner.claim == Claim::Part {
            lock(&self.sparse).push((block.start, owner.at.0, block.size));
        }
        block.size.into()
    }

    #[inline]
    fn pool_near<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Option<Here> {
        let (arena, pool) = self.arenas.pool_of(reader, layout, at)?;
        Some(Here {
            pool,
            run: self.claims.run(pool.start)?,
            sparse: arena.sparse || pool.is_sparse(),
        })
    }

    /// The block that holds `at`.
    pub(crate) fn place<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Place {
        if let Some(block) = self.arenas.block_of(reader, layout, at) {
            return Place::Pool {
                start: block.start,
                size: block.size,
            };
        }
        self.place_elsewhere(at)
    }

    /// Where `at`, which is in no pool, lies.
    fn place_elsewhere(&self, at: RemoteAddr) -> Place {
        let after = self.statics.partition_point(|r| r.start <= at.0);
        if after > 0 && self.statics[after - 1].contains(at) {
            return Place::Static;
        }
        let Some(glibc) = &self.around.glibc else {
            return Place::Elsewhere;
        };
        if let Some(chunk) = glibc.chunks.find(at) {
            return Place::Chunk(chunk.range);
        }
        let after = glibc.mapped.partition_point(|c| c.range.start <= at.0);
        match after.checked_sub(1).map(|i| (i, glibc.mapped[i])) {
            Some((i, chunk)) if chunk.range.contains(at) => Place::Mapped(i, chunk),
            _ => Place::Elsewhere,
        }
    }

    /// Enters a block that is in no pool.
    fn enter_elsewhere(&self, at: RemoteAddr, needed: u64, owner: Owner) -> u64 {
        let Owner { type_id, claim, .. } = owner;
        match self.place_elsewhere(at) {
            Place::Static => 0,
            Place::Chunk(range) => {
                if self.claims.claim(range.start + CHUNK_HEADER, claim) {
                    self.add_outside(type_id, self.around.resident_within(range));
                }
                range.len()
            }
            Place::Mapped(number, chunk) => {
                let before = self.mapped[number].swap(type_id + 1, Ordering::Relaxed);
                if before == 0 {
                    let resident = self.around.residency.resident_bytes(chunk.range);
                    self.add_outside(type_id, resident);
                }
                chunk.range.len()
            }
            Place::Pool { .. } | Place::Elsewhere => {
                let (start, end) = (at.0, at.0.saturating_add(needed));
                // Whole pages only: less than that says nothing about whose they are.
                if needed >= crate::pymalloc::PAGE {
                    lock(&self.elsewhere).push((Range { start, end }, type_id));
                }
                needed
            }
        }
    }

    fn add_outside(&self, type_id: u32, bytes: u64) {
        if let Some(sum) = self.outside.get(type_id as usize) {
            sum.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Resident bytes outside the pools by type of the owner, in the allocator's chunks.
    pub(crate) fn outside(&self) -> Vec<u64> {
        let sums = self.outside.iter();
        sums.map(|sum| sum.load(Ordering::Relaxed)).collect()
    }

    /// Whether the chunk with a mapping of its own is an object's.
    pub(crate) fn is_mapped_taken(&self, number: usize) -> bool {
        self.mapped
            .get(number)
            .is_some_and(|taken| taken.load(Ordering::Relaxed) != 0)
    }

    /// Parts of objects in pools and arenas that are mostly free, in order of address: address,
    /// owner's address, bytes.
    pub(crate) fn sparse_parts(&self) -> Vec<(u64, u64, u32)> {
        let mut parts = std::mem::take(&mut *lock(&self.sparse));
        parts.sort_unstable();
        parts
    }

    /// Memory of objects that is in no known allocator's hands, with the type of its owner, in
    /// order of address and without overlaps.
    pub(crate) fn elsewhere(&self) -> Vec<(Range, u32)> {
        let mut list = lock(&self.elsewhere).clone();
        list.sort_unstable();
        let mut end = 0;
        for (range, _) in &mut list {
            range.start = range.start.max(end);
            end = end.max(range.end);
        }
        list.retain(|(range, _)| !range.is_empty());
        list
    }
}

/// What a lock holds; whoever panicked with it has only ever added to a list.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a chunk's header before what the program uses (malloc/malloc.c).
pub(crate) const CHUNK_HEADER: u64 = 16;
