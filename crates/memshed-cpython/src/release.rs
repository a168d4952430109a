//! What it takes to have an interpreter give memory back: where its allocator's state is, what is
//! worth doing, and how it can be made to run something.
//!
//! All of it is read while the process runs and may be torn: it says where to look, and whoever
//! acts on it looks again (`memshed_agent`).

use crate::interpreters::Interpreter;
use crate::layouts::Layout;
use crate::problems::Problems;
use crate::pymalloc::{AllocatorState, Arena, Arenas, PAGE, release};
use crate::python::{Python, WalkError};
use crate::read::Reader;
use memshed_agent::abi::{ArenaPlan, PAGES, POOLS, Shed};
use memshed_heap::Releasable;
use memshed_target::{Memory, Poke, Pokes, Range, RemoteAddr, Residency, WordTest};
use rayon::prelude::*;
use std::time::Duration;

/// How long the threads may take to stop for a pending call to be queued.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The global interpreter lock, or an interpreter's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gil {
    /// Its state, with all that a thread sleeps on that takes or drops it.
    pub state: Range,
    /// Its lock word, an `int`: 1 while a thread holds it.
    pub locked: RemoteAddr,
    /// The mutex that guards the lock word, a `pthread_mutex_t`.
    pub mutex: RemoteAddr,
}

/// The state of pymalloc that some interpreters share, and the lock that guards it.
#[derive(Clone, Debug)]
pub struct Allocator {
    /// The lock.
    pub gil: Gil,
    /// An interpreter that uses it.
    interpreter: RemoteAddr,
    state: AllocatorState,
    arenas: Arenas,
}

/// What an allocator holds and could give back.
#[derive(Clone, Debug, Default)]
pub struct ReleasePlan {
    /// What to do in each arena that has anything to give.
    pub arenas: Vec<ArenaPlan>,
    /// Resident bytes that would be given back.
    pub releasable: Releasable,
    /// Resident bytes of all arenas.
    pub resident_bytes: u64,
    /// Bytes of the blocks in use.
    pub used_bytes: u64,
    /// Resident bytes of free pools, whole.
    pub free_pool_bytes: u64,
    /// Resident bytes that could be given back but for being shared with a forked process.
    pub shared_bytes: u64,
}

impl Python {
    /// The states of pymalloc of all interpreters; none if another allocator is in use.
    ///
    /// # Errors
    /// If the interpreter's state can't be read.
    pub fn allocators<M: Memory>(&self, memory: &M) -> Result<Vec<Allocator>, WalkError> {
        let problems = Problems::default();
        let mut list: Vec<Allocator> = Vec::new();
        // The main interpreter comes last, and its lock is that of those that share.
        for interpreter in self.interpreters(memory, &problems)?.iter().rev() {
            let Some(allocator) = self.allocator(Reader(memory), interpreter, &problems)? else {
                continue;
            };
            if !list
                .iter()
                .any(|known| known.state.arenas == allocator.state.arenas)
            {
                list.push(allocator);
            }
        }
        Ok(list)
    }

    /// The lock of an interpreter.
    fn gil<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: RemoteAddr,
    ) -> Result<Option<Gil>, WalkError> {
        let (l, g) = (&self.layout, &self.layout.gil);
        let state = match (l.interp.ceval_gil, l.runtime.ceval_gil) {
            (Some(offset), _) => reader.pointer(interpreter.add(offset.into()))?,
            (None, Some(offset)) => self.program.runtime.add(offset.into()),
            (None, None) => return Ok(None),
        };
        /// `sizeof(pthread_mutex_t)` and `sizeof(pthread_cond_t)` of glibc, and where the former's
        /// kind is. Behind the mutex come `switch_cond` and `switch_mutex` (pycore_gil.h).
        const MUTEX: u64 = 40;
        const COND: u64 = 48;
        const KIND: u64 = 16;
        let (locked, mutex) = (state.add(g.locked.into()), state.add(g.mutex.into()));
        // A normal mutex, its word one of those that there are.
        let sane = matches!(reader.i32(locked)?, 0 | 1)
            && reader.u32(mutex)? <= 2
            && reader.u32(mutex.add(KIND))? & 0x7f == 0;
        let end = mutex.add(MUTEX + COND + MUTEX).0;
        let state = Range {
            start: state.0,
            end,
        };
        Ok(sane.then_some(Gil {
            state,
            locked,
            mutex,
        }))
    }

    fn allocator<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
        problems: &Problems,
    ) -> Result<Option<Allocator>, WalkError> {
        let arenas = self.arenas(reader, interpreter, problems)?;
        if arenas.list().is_empty() {
            return Ok(None);
        }
        let Some(gil) = self.gil(reader, interpreter.at)? else {
            return Err(WalkError::Implausible {
                version: self.version(),
                what: "its lock is not one".to_owned(),
            });
        };
        let state = self.allocator_state(reader, interpreter)?;
        Ok(state.map(|state| Allocator {
            gil,
            interpreter: interpreter.at,
            state,
            arenas,
        }))
    }
}

/// What the queue of pending calls needs.
pub struct PendingCall {
    /// The function, `int f(void *)`.
    pub function: RemoteAddr,
    /// Its argument.
    pub argument: RemoteAddr,
    /// Where the status of its job lies in the agent's memory, in bytes.
    pub job: u64,
}

impl Python {
    /// What has to be written to have a thread that holds the lock of `allocator` call a function
    /// between two instructions (`Py_AddPendingCall`). `None` while the queue is in use or full.
    ///
    /// # Errors
    /// If the interpreter's state can't be read.
    pub fn pending_call<M: Memory>(
        &self,
        memory: &M,
        allocator: &Allocator,
        call: &PendingCall,
    ) -> Result<Option<Pokes>, WalkError> {
        let reader = Reader(memory);
        let interpreters = self.interpreters(memory, &Problems::default())?;
        let found = interpreters
            .iter()
            .find(|interpreter| interpreter.at == allocator.interpreter);
        let Some(interpreter) = found else {
            return Ok(None);
        };
        let ring = Ring {
            reader,
            layout: &self.layout,
            interpreter,
        };
        match self.layout.pending_calls.mutex {
            Some(mutex) => ring.guarded_by_mutex(mutex, call),
            None => ring.guarded_by_semaphore(call),
        }
    }
}

/// The ring of pending calls of an interpreter.
struct Ring<'a, 'm, M: Memory> {
    reader: Reader<'m, M>,
    layout: &'a Layout,
    interpreter: &'a Interpreter,
}

fn put(addr: RemoteAddr, size: u8, value: u64) -> Poke {
    Poke {
        addr,
        size,
        value,
        or: false,
    }
}

impl<M: Memory> Ring<'_, '_, M> {
    fn at(&self, offset: u32) -> RemoteAddr {
        let start = self.layout.interp.ceval_pending;
        self.interpreter.at.add((start + offset).into())
    }

    fn entry(&self, number: u64, call: &PendingCall) -> [Poke; 2] {
        let l = &self.layout.pending_calls;
        let entry = self.at(l.calls).add(number * u64::from(l.calls_stride));
        [
            put(entry, 8, call.function.0),
            put(entry.add(8), 8, call.argument.0),
        ]
    }

    /// Up to 3.12 (Python/ceval.c, `_push_pending_call`): 32 entries, one of which stays empty,
    /// guarded by a semaphore.
    fn guarded_by_semaphore(&self, call: &PendingCall) -> Result<Option<Pokes>, WalkError> {
        let l = &self.layout.pending_calls;
        let (Some(lock), Some(to_do), Some(breaker)) =
            (l.lock, l.calls_to_do, self.layout.interp.ceval_eval_breaker)
        else {
            return Ok(None);
        };
        let semaphore = self.reader.pointer(self.at(lock))?;
        let count = u64::from(l.calls_count);
        let first = u64::from(self.reader.u32(self.at(l.first))?);
        let next = u64::from(self.reader.u32(self.at(l.next))?);
        let after = (next + 1) % count;
        if semaphore.is_null() || next >= count || first >= count || after == first {
            return Ok(None);
        }
        let tests = vec![
            WordTest::is(self.at(lock), 8, semaphore.0),
            WordTest::is(semaphore, 4, 1),
            WordTest::is(self.at(l.first), 4, first),
            WordTest::is(self.at(l.next), 4, next),
        ];
        let [function, argument] = self.entry(next, call);
        let pokes = vec![
            function,
            argument,
            put(self.at(l.next), 4, after),
            put(self.at(to_do), 4, 1),
            put(self.interpreter.at.add(breaker.into()), 4, 1),
        ];
        Ok(Some(Pokes {
            tests,
            pokes,
            deadline: STOP_LIMIT,
            job: call.job,
        }))
    }

    /// From 3.13 on (Python/ceval_gil.c): a count, guarded by a `PyMutex`, and a bit to be set in
    /// every thread's state, which has to be the threads there are.
    fn guarded_by_mutex(&self, mutex: u32, call: &PendingCall) -> Result<Option<Pokes>, WalkError> {
        let (l, t) = (&self.layout.pending_calls, &self.layout.tstate);
        let (Some(npending), Some(breaker), Some(bit)) =
            (l.npending, t.eval_breaker, t.calls_to_do_bit)
        else {
            return Ok(None);
        };
        let count = u64::from(l.calls_count);
        let waiting = u64::from(self.reader.u32(self.at(npending))?);
        let next = u64::from(self.reader.u32(self.at(l.next))?);
        if waiting >= count || next >= count {
            return Ok(None);
        }
        let mut tests = vec![
            WordTest::is(self.at(mutex), 1, 0),
            WordTest::is(self.at(npending), 4, waiting),
            WordTest::is(self.at(l.next), 4, next),
        ];
        tests.extend(self.same_threads());
        let [function, argument] = self.entry(next, call);
        /// `flags` of `struct _pending_call`.
        const FLAGS: u64 = 16;
        let flags = put(function.addr.add(FLAGS), 4, 0);
        let mut pokes = vec![
            function,
            argument,
            flags,
            put(self.at(l.next), 4, (next + 1) % count),
            put(self.at(npending), 4, waiting + 1),
        ];
        pokes.extend(self.interpreter.threads.iter().map(|thread| Poke {
            addr: thread.at.add(breaker.into()),
            size: 8,
            value: bit.into(),
            or: true,
        }));
        Ok(Some(Pokes {
            tests,
            pokes,
            deadline: STOP_LIMIT,
            job: call.job,
        }))
    }

    /// That the list of threads is the one that was read.
    fn same_threads(&self) -> Vec<WordTest> {
        let l = self.layout;
        let mut link = self.interpreter.at.add(l.interp.threads_head.into());
        let mut tests = Vec::new();
        for thread in &self.interpreter.threads {
            tests.push(WordTest::is(link, 8, thread.at.0));
            link = thread.at.add(l.tstate.next.into());
        }
        tests.push(WordTest::is(link, 8, 0));
        tests
    }
}

impl Python {
    /// The threads that are known to the interpreter that the process began with, by the numbers
    /// that they have in their own pid namespace. Up to 3.10 no more than the first one is known.
    ///
    /// # Errors
    /// If the interpreter's state can't be read.
    pub fn threads<M: Memory>(&self, memory: &M, first: i32) -> Result<Vec<i32>, WalkError> {
        let interpreters = self.interpreters(memory, &Problems::default())?;
        let main = interpreters.last().map(|main| main.threads.as_slice());
        let known = main.unwrap_or_default().iter();
        let known: Vec<i32> = known
            .filter_map(|thread| i32::try_from(thread.native_id).ok())
            .filter(|&id| id > 0)
            .collect();
        Ok(match known.is_empty() {
            true => vec![first],
            false => known,
        })
    }
}

impl Allocator {
    /// The memory of its arenas, in order of address.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range> {
        self.arenas.whole_ranges()
    }

    /// Whether its pools are single pages, as in 3.9: then the page of a free pool's header is all of
    /// it.
    #[must_use]
    pub fn has_single_page_pools(&self) -> bool {
        u64::from(self.state.pool_size) <= PAGE
    }

    /// Whether free pools can be retired: the lists of arenas are known.
    #[must_use]
    pub fn can_retire(&self) -> bool {
        !self.state.usable_arenas.is_null() && !self.state.nfp2lasta.is_null()
    }

    /// The part of a job that says where things are. `length_at`: where the agent finds the length
    /// of the table of arenas if the interpreter does not tell, and what to put there.
    #[must_use]
    pub fn shed(&self, length_at: RemoteAddr) -> (Shed, u64) {
        let maxarenas = match self.state.maxarenas.is_null() {
            true => length_at,
            false => self.state.maxarenas,
        };
        let shed = Shed {
            arenas: self.state.arenas.0,
            table: self.arenas.table().0,
            maxarenas: maxarenas.0,
            usable_arenas: self.state.usable_arenas.0,
            nfp2lasta: self.state.nfp2lasta.0,
            pool_size: self.state.pool_size,
            arena_size: self.state.arena_size,
            ..Shed::default()
        };
        (shed, self.arenas.table_len().into())
    }

    /// What it holds and could give back, by which pages are resident. `all`: also of arenas that
    /// have nothing to give but whole pools.
    pub fn plan<M: Memory>(
        &self,
        python: &Python,
        memory: &M,
        residency: &Residency,
        all: bool,
    ) -> ReleasePlan {
        memory.prefetch(&self.arenas.ranges());
        let planner = Planner {
            reader: Reader(memory),
            layout: &python.layout,
            residency,
            pool_size: self.arenas.pool_size(),
            all,
        };
        let parts = self.arenas.list().par_iter();
        let parts: Vec<ReleasePlan> = parts.map(|arena| planner.arena(arena)).collect();
        let mut whole = ReleasePlan::default();
        for part in parts {
            whole.arenas.extend(part.arenas);
            whole.releasable.add(&part.releasable);
            whole.resident_bytes += part.resident_bytes;
            whole.used_bytes += part.used_bytes;
            whole.free_pool_bytes += part.free_pool_bytes;
            whole.shared_bytes += part.shared_bytes;
        }
        whole
    }
}

/// Looks at one arena after the other.
struct Planner<'a, 'm, M: Memory> {
    reader: Reader<'m, M>,
    layout: &'a Layout,
    residency: &'a Residency,
    pool_size: u64,
    all: bool,
}

impl<M: Memory> Planner<'_, '_, M> {
    fn arena(&self, arena: &Arena) -> ReleasePlan {
        let mut plan = ArenaPlan {
            address: arena.range.start,
            index: arena.index.into(),
            pools: [0; POOLS / 64],
            resident: [0; PAGES / 64],
            shared: [0; PAGES / 64],
        };
        for page in self.residency.resident_pages(arena.range) {
            let number = ((page.0 - arena.range.start) / PAGE) as usize;
            set(&mut plan.resident, number);
            if self.residency.is_shared(page) {
                set(&mut plan.shared, number);
            }
        }
        let own = |range: Range| {
            let bytes = self.residency.bytes(range);
            bytes.present.saturating_sub(bytes.shared)
        };
        let any = |range: Range| self.residency.bytes(range).present;
        let listed = release::free_list(self.reader, self.layout, arena, self.pool_size);
        let mut sum = ReleasePlan {
            releasable: release::of_free_pools(arena, self.pool_size, &listed, &own),
            resident_bytes: any(arena.range),
            ..ReleasePlan::default()
        };
        let with_shared = release::of_free_pools(arena, self.pool_size, &listed, &any);
        sum.shared_bytes = with_shared.total() - sum.releasable.total();
        let problems = Problems::default();
        for pool in arena.pools(self.reader, self.layout, self.pool_size, &problems) {
            let whole = Range {
                start: pool.start,
                end: pool.end,
            };
            if pool.used == 0 {
                sum.free_pool_bytes += any(whole);
                continue;
            }
            sum.used_bytes += u64::from(pool.used) * u64::from(pool.block_size);
            let Some(live) = pool.live(self.reader) else {
                continue;
            };
            let bytes = release::of_used_pool(&pool, &live, &any);
            if bytes > 0 && self.residency.bytes(whole).shared > 0 {
                sum.shared_bytes += bytes;
            } else if bytes > 0 {
                sum.releasable.used_pools += bytes;
                let number = ((pool.start - arena.pools_start) / self.pool_size) as usize;
                set(&mut plan.pools, number);
            }
        }
        if self.all || sum.releasable.total() > 0 {
            sum.arenas.push(plan);
        }
        sum
    }
}

fn set(bits: &mut [u64], number: usize) {
    if let Some(word) = bits.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}
