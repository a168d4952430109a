//! Where the allocator keeps its state: its table of arenas, and the lists of those with room.

use crate::interpreters::Interpreter;
use crate::layouts;
use crate::problems::Problems;
use crate::python::Python;
use crate::read::Reader;
use memshed_target::{Memory, ReadError, RemoteAddr};

/// Size classes: one for every 16 bytes up to 512.
pub(super) const CLASSES: u32 = 32;
/// Words between two of the static variables, at most.
const NEAR: u64 = 16;
/// How many rings are followed to find their heads.
const RINGS: usize = 64;

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
    pub fn allocator_states<M: Memory>(
        &self,
        memory: &M,
    ) -> Result<Vec<AllocatorState>, ReadError> {
        let mut found = Vec::new();
        for interpreter in self.interpreters(memory, &Problems::default())? {
            found.extend(self.allocator_state(Reader(memory), &interpreter)?);
        }
        found.sort_unstable_by_key(|state| state.arenas);
        found.dedup();
        Ok(found)
    }

    /// Where the allocator of one interpreter keeps its state.
    pub(crate) fn allocator_state<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> Result<Option<AllocatorState>, ReadError> {
        match self.layout.interp.obmalloc {
            Some(offset) => self.state_within(reader, interpreter, offset),
            None => Ok(self.static_state(reader, interpreter)),
        }
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

    /// Up to 3.11: static variables, which lie close together, in an order that the compiler chose.
    fn static_state<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> Option<AllocatorState> {
        let (candidates, room) = self.arenas_variables(reader, interpreter);
        let l = &self.layout.obmalloc;
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
        let table = reader.pointer(state.arenas).ok()?;
        let objects = Objects::read(reader, &self.layout.arena, table, room);
        let slots = u64::from(l.arena_size / l.pool_size + 1);
        for arenas in candidates {
            let near = [8u64, 16, 24, 32];
            let near = near.map(|d| [arenas.sub(d), arenas.add(d)]);
            let near = near.as_flattened();
            let maxarenas = near.iter().find(|&&at| {
                // 16 at first, then twice as many each time; malloc rounds up.
                let said = reader.u32(at).unwrap_or(0);
                said >= 16 && said.is_power_of_two() && (said..said + 2).contains(&room)
            });
            let lists = objects.find_lists(reader, arenas, slots);
            let (Some(&maxarenas), Some((usable, nfp2lasta))) = (maxarenas, lists) else {
                continue;
            };
            let unused = near.iter().find(|&&at| {
                let first = reader.pointer(at).unwrap_or_default();
                objects.get(first) == Some(None)
            });
            state = AllocatorState {
                arenas,
                maxarenas,
                unused_arena_objects: unused.copied().unwrap_or_default(),
                usable_arenas: usable,
                nfp2lasta,
                ..state
            };
            break;
        }
        if !state.maxarenas.is_null() {
            state.usedpools = self.ring_heads(reader, &state).unwrap_or_default();
        }
        Some(state)
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
        let pools = arenas
            .list()
            .iter()
            .flat_map(|arena| arena.pools(reader, &self.layout, pool_size, &problems));
        let listed = pools.filter(|pool| pool.used > 0 && !pool.first_free.is_null());
        let mut steps = arenas.list().len() as u64 * u64::from(state.arena_size) / pool_size;
        listed.take(RINGS).find_map(|pool| {
            let class = (pool.block_size / self.layout.obmalloc.alignment).checked_sub(1)?;
            if class >= CLASSES {
                return None;
            }
            let head = self.ring_head(reader, &arenas, pool.start, &mut steps)?;
            let table = head.sub(u64::from(class) * 16);
            self.are_heads(reader, &arenas, table).then_some(table)
        })
    }

    /// Whether all rings that have their heads in `table` lead to pools, or are empty.
    fn are_heads<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        arenas: &super::Arenas,
        table: RemoteAddr,
    ) -> bool {
        let leads_to_pools = |class: u32| {
            let at = table.add(u64::from(class) * 16);
            let empty = at.sub(self.layout.pool.nextpool.into());
            let next = reader.pointer(at).unwrap_or_default();
            next == empty || arenas.find(next).is_some()
        };
        (0..CLASSES).all(leads_to_pools)
    }

    /// Where the ring of a pool leaves the pools: what stands for the head of the ring, whose two
    /// pointers are where a pool has `nextpool` and `prevpool`. `steps`: how many may yet be gone:
    /// a ring that changes while it is read may lead round and round.
    fn ring_head<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        arenas: &super::Arenas,
        pool: u64,
        steps: &mut u64,
    ) -> Option<RemoteAddr> {
        let mut at = RemoteAddr(pool);
        while *steps > 0 {
            *steps -= 1;
            let next = at.add(self.layout.pool.nextpool.into());
            if arenas.find(at).is_none() {
                return Some(next);
            }
            at = reader.pointer(next).ok()?;
        }
        None
    }
}

/// The table of arenas, as far as the lists of arenas need it.
struct Objects {
    table: RemoteAddr,
    stride: u64,
    /// Free pools of each arena, and the one before it on its list; nothing where there is none.
    arenas: Vec<Option<(u32, RemoteAddr)>>,
}

impl Objects {
    fn read<M: Memory>(
        reader: Reader<'_, M>,
        l: &layouts::Arena,
        table: RemoteAddr,
        room: u32,
    ) -> Objects {
        let read = |i: u64| {
            let at = table.add(i * u64::from(l.size));
            let address = reader.u64(at.add(l.address.into())).ok()?;
            let free = reader.u32(at.add(l.nfreepools.into())).ok()?;
            let before = reader.pointer(at.add(l.prevarena.into())).ok()?;
            (address != 0).then_some((free, before))
        };
        Objects {
            table,
            stride: l.size.into(),
            arenas: (0..room.into()).map(read).collect(),
        }
    }

    /// The arena whose object is at `at`, if an object is: its free pools, and the one before it.
    fn get(&self, at: RemoteAddr) -> Option<Option<(u32, RemoteAddr)>> {
        let offset = at.0.checked_sub(self.table.0)?;
        let index = (offset.is_multiple_of(self.stride)).then_some(offset / self.stride)?;
        self.arenas.get(usize::try_from(index).ok()?).copied()
    }

    /// `usable_arenas` and `nfp2lasta` near `arenas`, where they can't be anything else: the latter,
    /// with `slots` entries, has one for each number of free pools that an arena has.
    fn find_lists<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        arenas: RemoteAddr,
        slots: u64,
    ) -> Option<(RemoteAddr, RemoteAddr)> {
        let mut counts: Vec<u32> = self.arenas.iter().flatten().map(|a| a.0).collect();
        counts.retain(|&free| free > 0);
        counts.sort_unstable();
        counts.dedup();
        let most = counts.last()?;
        let word = |at: RemoteAddr| reader.pointer(at).unwrap_or_default();
        let free_of = |at: RemoteAddr| Some(self.get(at)??.0);
        let is_nfp2lasta = |start: RemoteAddr| {
            (0..slots as u32).all(|n| {
                let last = word(start.add(u64::from(n) * 8));
                match counts.binary_search(&n) {
                    Ok(_) => free_of(last) == Some(n),
                    Err(_) => last.is_null(),
                }
            })
        };
        let first_of = |nfp2lasta: RemoteAddr| {
            let mut at = word(nfp2lasta.add(u64::from(counts[0]) * 8));
            for _ in 0..self.arenas.len() {
                match self.get(at)??.1 {
                    RemoteAddr::NULL => return Some(at),
                    before => at = before,
                }
            }
            None
        };
        let reach = slots + NEAR;
        let mut found = (0..2 * reach).filter_map(|i| {
            let finger = arenas.sub(reach * 8).add(i * 8);
            // The last entry that is set, and so all others.
            if free_of(word(finger)) != Some(*most) {
                return None;
            }
            let start = finger.sub(u64::from(*most) * 8);
            let first = is_nfp2lasta(start).then(|| first_of(start))??;
            let beside = [
                start.add(slots * 8),
                start.sub(8),
                start.sub(16),
                start.sub(24),
            ];
            let usable = beside
                .into_iter()
                .find(|&at| at != arenas && word(at) == first);
            Some((usable?, start))
        });
        let only = found.next()?;
        found.all(|other| other == only).then_some(only)
    }
}
