//! Where the allocator keeps its state: its table of arenas, and the lists of those with room.

use crate::interpreters::Interpreter;
use crate::problems::Problems;
use crate::python::Python;
use crate::read::Reader;
use memshed_target::{Memory, ReadError, RemoteAddr};

/// Size classes: one for every 16 bytes up to 512.
pub(super) const CLASSES: u32 = 32;
/// More pools than this are no ring.
const MAX_POOLS: u64 = 1 << 32;

/// Where an interpreter's pymalloc (CPython's Objects/obmalloc.c) keeps its state. Addresses of
/// variables; null where one was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocatorState {
    /// `arenas`: a pointer to the table of `arena_object`s.
    pub arenas: RemoteAddr,
    /// `maxarenas`: how many there are in it, 32 bits.
    pub maxarenas: RemoteAddr,
    /// `unused_arena_objects`: a pointer to the first of those without an arena.
    pub unused_arena_objects: RemoteAddr,
    /// `usable_arenas`: a pointer to the first of those with a free pool.
    pub usable_arenas: RemoteAddr,
    /// `nfp2lasta`: an array of pointers, to the last usable one with so many free pools.
    pub nfp2lasta: RemoteAddr,
    /// `usedpools`: an array with two pointers for each size class.
    pub usedpools: RemoteAddr,
    /// `narenas_currently_allocated`, 64 bits.
    pub narenas: RemoteAddr,
    /// Bytes of a pool.
    pub pool_size: u32,
    /// Bytes of an arena.
    pub arena_size: u32,
}

impl Python {
    /// Where the allocators of all interpreters keep their state: those that share a GIL may share
    /// one. None where another allocator is in use. Also for a process that runs.
    ///
    /// # Errors
    /// If the interpreters can't be read.
    pub fn allocators<M: Memory>(&self, memory: &M) -> Result<Vec<AllocatorState>, ReadError> {
        let reader = Reader(memory);
        let mut found = Vec::new();
        for interpreter in self.interpreters(memory, &Problems::default())? {
            let state = match self.layout.interp.obmalloc {
                Some(offset) => self.state_within(reader, &interpreter, offset)?,
                None => self.static_state(reader, &interpreter),
            };
            found.extend(state);
        }
        found.sort_unstable_by_key(|state| state.arenas);
        found.dedup();
        Ok(found)
    }

    /// From 3.12 on: in the interpreter's state, or where that points to.
    fn state_within<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
        offset: u32,
    ) -> Result<Option<AllocatorState>, ReadError> {
        let l = &self.layout.obmalloc;
        let mut base = interpreter.at.add(offset.into());
        if self.minor > 12 {
            base = reader.pointer(base)?;
        }
        let at = |offset: Option<u32>| offset.map_or(RemoteAddr::NULL, |o| base.add(o.into()));
        let state = AllocatorState {
            arenas: at(l.arenas),
            maxarenas: at(l.maxarenas),
            unused_arena_objects: at(l.unused_arena_objects),
            usable_arenas: at(l.usable_arenas),
            // struct _obmalloc_mgmt has it right after (pycore_obmalloc.h).
            nfp2lasta: at(l.usable_arenas.map(|offset| offset + 8)),
            usedpools: at(l.usedpools),
            narenas: at(l.narenas_currently_allocated),
            pool_size: l.pool_size,
            arena_size: l.arena_size,
        };
        if base.is_null() || state.arenas.is_null() || reader.pointer(state.arenas)?.is_null() {
            return Ok(None);
        }
        Ok(Some(state))
    }

    /// Up to 3.11: static variables, in one of the two orders in which compilers lay them out.
    fn static_state<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> Option<AllocatorState> {
        let (candidates, count) = self.arenas_variables(reader, interpreter);
        let l = &self.layout.obmalloc;
        let fingers = u64::from(l.arena_size / l.pool_size + 1) * 8;
        let mut state = AllocatorState {
            arenas: *candidates.first()?,
            maxarenas: RemoteAddr::NULL,
            unused_arena_objects: RemoteAddr::NULL,
            usable_arenas: RemoteAddr::NULL,
            nfp2lasta: RemoteAddr::NULL,
            usedpools: RemoteAddr::NULL,
            narenas: RemoteAddr::NULL,
            pool_size: l.pool_size,
            arena_size: l.arena_size,
        };
        for arenas in candidates {
            // GCC lays out static variables last to first, others first to last.
            let backward = [8, 16, 24, 24 + fingers].map(|before| arenas.sub(before));
            let forward = [8, 16, 24, 32].map(|after| arenas.add(after));
            for [maxarenas, unused, usable, nfp2lasta] in [backward, forward] {
                let tried = AllocatorState {
                    arenas,
                    maxarenas,
                    unused_arena_objects: unused,
                    usable_arenas: usable,
                    nfp2lasta,
                    ..state
                };
                if self.is_state(reader, &tried, count) {
                    state = tried;
                }
            }
        }
        state.usedpools = self.ring_heads(reader, &state).unwrap_or_default();
        Some(state)
    }

    /// Whether the variables hold what their names say; the table has room for `count` arenas.
    fn is_state<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        state: &AllocatorState,
        count: u32,
    ) -> bool {
        let l = &self.layout.arena;
        let table = reader.pointer(state.arenas).unwrap_or_default();
        let said = reader.u32(state.maxarenas).unwrap_or(0);
        // 16 at first, then twice as many each time; malloc rounds up.
        if said < 16 || !said.is_power_of_two() || !(said..said + 2).contains(&count) {
            return false;
        }
        let address_of = |at: RemoteAddr| {
            let index = at.0.checked_sub(table.0)?;
            let valid = index % u64::from(l.size) == 0 && index / u64::from(l.size) < said.into();
            valid.then(|| reader.u64(at.add(l.address.into())).ok())?
        };
        let head = |at: RemoteAddr, used: bool| match reader.pointer(at) {
            Ok(RemoteAddr::NULL) => true,
            Ok(first) => address_of(first).is_some_and(|address| (address != 0) == used),
            Err(_) => false,
        };
        let slots = (state.arena_size / state.pool_size) as usize + 1;
        let Ok(lasts) = reader.pointers(state.nfp2lasta, slots) else {
            return false;
        };
        let mut fingers = lasts.enumerate().filter(|(_, last)| !last.is_null());
        head(state.unused_arena_objects, false)
            && head(state.usable_arenas, true)
            && fingers.all(|(n, last)| {
                let free = reader.u32(last.add(l.nfreepools.into()));
                address_of(last).is_some_and(|address| address != 0) && free == Ok(n as u32)
            })
    }

    /// `usedpools`, where the ring of each pool in use that is not full leads.
    fn ring_heads<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        state: &AllocatorState,
    ) -> Option<RemoteAddr> {
        let (arenas, problems) = (reader.pointer(state.arenas).ok()?, Problems::default());
        let count = reader.u32(state.maxarenas).ok()?;
        let arenas = super::Arenas::read(reader, &self.layout, arenas, count, &problems).ok()?;
        let pool_size = u64::from(state.pool_size);
        let listed = arenas.list().iter().find_map(|arena| {
            let mut pools = arena.pools(reader, &self.layout, pool_size, &problems);
            pools.find(|pool| pool.used > 0 && !pool.first_free.is_null())
        })?;
        let class = listed.block_size / self.layout.obmalloc.alignment - 1;
        let mut at = RemoteAddr(listed.start);
        for _ in 0..MAX_POOLS {
            if arenas.find(at).is_none() {
                // Its two pointers are where a pool has `nextpool` and `prevpool`.
                let next = at.add(self.layout.pool.nextpool.into());
                let table = next.sub(u64::from(class) * 16);
                return (class < CLASSES).then_some(table);
            }
            at = reader
                .pointer(at.add(self.layout.pool.nextpool.into()))
                .ok()?;
        }
        None
    }
}
