//! pymalloc by the rules of CPython's Objects/obmalloc.c, in memory of the test's own.

use crate::abi::{Shed, arena_object as ao, pool_header as ph};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;

/// Size classes.
pub const CLASSES: u64 = 32;
const MAX_POOLS: u64 = 128;
const DUMMY: u32 = ph::DUMMY_SIZE_IDX;

/// 64 bits of the model's memory.
pub fn get(at: u64) -> u64 {
    // SAFETY: within the model's memory, as long as its state is sound.
    unsafe { std::ptr::read(at as *const u64) }
}

/// 32 bits.
pub fn get32(at: u64) -> u32 {
    // SAFETY: as above.
    unsafe { std::ptr::read(at as *const u32) }
}

/// Writes 64 bits.
pub fn put(at: u64, value: u64) {
    // SAFETY: as above.
    unsafe { std::ptr::write(at as *mut u64, value) };
}

/// Writes 32 bits.
pub fn put32(at: u64, value: u32) {
    // SAFETY: as above.
    unsafe { std::ptr::write(at as *mut u32, value) };
}

/// Memory from Rust's allocator.
fn take(bytes: u64, align: u64) -> u64 {
    let layout = Layout::from_size_align(bytes as usize, align as usize).expect("a layout");
    // SAFETY: not empty.
    unsafe { alloc_zeroed(layout) as u64 }
}

fn give(at: u64, bytes: u64, align: u64) {
    let layout = Layout::from_size_align(bytes as usize, align as usize).expect("a layout");
    // SAFETY: from `take`, with the same layout.
    unsafe { dealloc(at as *mut u8, layout) };
}

/// The allocator. Its variables are at `state`: `arenas`, `maxarenas`, `unused_arena_objects`,
/// `usable_arenas`, `narenas`, `nfp2lasta`, `usedpools`.
pub struct Pymalloc {
    state: u64,
    /// Bytes of a pool.
    pub pool_size: u64,
    /// Bytes of an arena.
    pub arena_size: u64,
    /// Where each arena begins, and the memory that it was cut out of.
    pub memory: BTreeMap<u64, u64>,
    arenas_made: u64,
}

const STATE: u64 = 8 * (5 + MAX_POOLS + 1 + 2 * CLASSES);

impl Pymalloc {
    /// Without an arena.
    pub fn new(pool_size: u64, arena_size: u64) -> Pymalloc {
        let model = Pymalloc {
            state: take(STATE, 64),
            pool_size,
            arena_size,
            memory: BTreeMap::new(),
            arenas_made: 0,
        };
        for class in 0..CLASSES {
            let head = model.head(class);
            put(head + ph::NEXTPOOL, head);
            put(head + ph::PREVPOOL, head);
        }
        model
    }

    fn arenas_at(&self) -> u64 {
        self.state
    }

    fn max_at(&self) -> u64 {
        self.state + 8
    }

    /// Where `unused_arena_objects` is.
    pub fn unused_at(&self) -> u64 {
        self.state + 16
    }

    /// Where `usable_arenas` is.
    pub fn usable_at(&self) -> u64 {
        self.state + 24
    }

    /// Where `nfp2lasta[n]` is.
    pub fn last_at(&self, n: u32) -> u64 {
        self.state + 40 + u64::from(n) * 8
    }

    /// The head of a ring, as if it were a pool.
    pub fn head(&self, class: u64) -> u64 {
        self.state + 40 + (MAX_POOLS + 1) * 8 + class * 16 - ph::NEXTPOOL
    }

    /// Pools that fit into an arena.
    pub fn slots(&self) -> u32 {
        (self.arena_size / self.pool_size) as u32
    }

    /// The objects of all arenas, and of none: index and address.
    pub fn objects(&self) -> impl Iterator<Item = (u32, u64)> + use<> {
        let (table, count) = (get(self.arenas_at()), get32(self.max_at()));
        (0..count).map(move |i| (i, table + u64::from(i) * ao::SIZE))
    }

    /// Tells a job where everything is.
    pub fn describe(&self, shed: &mut Shed) {
        shed.arenas = self.arenas_at();
        shed.table = get(self.arenas_at());
        shed.maxarenas = self.max_at();
        shed.usable_arenas = self.usable_at();
        shed.nfp2lasta = self.last_at(0);
        shed.pool_size = self.pool_size as u32;
        shed.arena_size = self.arena_size as u32;
    }

    /// A block of `size` bytes, 1 to 512.
    pub fn alloc(&mut self, size: u64) -> u64 {
        let class = (size - 1) / 16;
        let pool = get(self.head(class) + ph::NEXTPOOL);
        if pool == self.head(class) {
            return self.alloc_from_new_pool(class);
        }
        put32(pool, get32(pool) + 1);
        let block = get(pool + ph::FREEBLOCK);
        assert_ne!(block, 0, "a pool in its ring has a free block");
        put(pool + ph::FREEBLOCK, get(block));
        if get(pool + ph::FREEBLOCK) == 0 {
            self.extend(pool, class);
        }
        block
    }

    fn extend(&self, pool: u64, class: u64) {
        let next = get32(pool + ph::NEXTOFFSET);
        if next <= get32(pool + ph::MAXNEXTOFFSET) {
            let block = pool + u64::from(next);
            put(pool + ph::FREEBLOCK, block);
            put32(pool + ph::NEXTOFFSET, next + (class as u32 + 1) * 16);
            put(block, 0);
            return;
        }
        let (next, before) = (get(pool + ph::NEXTPOOL), get(pool + ph::PREVPOOL));
        put(next + ph::PREVPOOL, before);
        put(before + ph::NEXTPOOL, next);
    }

    fn alloc_from_new_pool(&mut self, class: u64) -> u64 {
        if get(self.usable_at()) == 0 {
            let new = self.new_arena();
            put(self.usable_at(), new);
            put(new + ao::NEXTARENA, 0);
            put(new + ao::PREVARENA, 0);
            let free = get32(new + ao::NFREEPOOLS);
            assert_eq!(get(self.last_at(free)), 0);
            put(self.last_at(free), new);
        }
        let arena = get(self.usable_at());
        let free = get32(arena + ao::NFREEPOOLS);
        assert!(get(arena) != 0 && free > 0);
        if get(self.last_at(free)) == arena {
            put(self.last_at(free), 0);
        }
        if free > 1 {
            assert_eq!(get(self.last_at(free - 1)), 0);
            put(self.last_at(free - 1), arena);
        }
        let mut pool = get(arena + ao::FREEPOOLS);
        if pool != 0 {
            put(arena + ao::FREEPOOLS, get(pool + ph::NEXTPOOL));
        } else {
            pool = get(arena + ao::POOL_ADDRESS);
            assert!(pool + self.pool_size <= get(arena) + self.arena_size);
            let index = (arena - get(self.arenas_at())) / ao::SIZE;
            put32(pool + ph::ARENAINDEX, index as u32);
            put32(pool + ph::SZIDX, DUMMY);
            put(arena + ao::POOL_ADDRESS, pool + self.pool_size);
        }
        put32(arena + ao::NFREEPOOLS, free - 1);
        let next_arena = get(arena + ao::NEXTARENA);
        if free == 1 {
            assert_eq!(get(arena + ao::FREEPOOLS), 0);
            put(self.usable_at(), next_arena);
            if next_arena != 0 {
                put(next_arena + ao::PREVARENA, 0);
            }
        } else {
            let room = get(arena) + self.arena_size - self.pool_size;
            assert!(get(arena + ao::FREEPOOLS) != 0 || get(arena + ao::POOL_ADDRESS) <= room);
        }
        self.set_up(pool, class)
    }

    /// Puts a pool into its ring, and takes its first block.
    fn set_up(&self, pool: u64, class: u64) -> u64 {
        let next = get(self.head(class) + ph::NEXTPOOL);
        assert_eq!(next, self.head(class));
        put(pool + ph::NEXTPOOL, next);
        put(pool + ph::PREVPOOL, next);
        put(next + ph::NEXTPOOL, pool);
        put(next + ph::PREVPOOL, pool);
        put32(pool, 1);
        if u64::from(get32(pool + ph::SZIDX)) == class {
            let block = get(pool + ph::FREEBLOCK);
            assert_ne!(block, 0);
            put(pool + ph::FREEBLOCK, get(block));
            return block;
        }
        put32(pool + ph::SZIDX, class as u32);
        let size = (class + 1) * 16;
        let block = pool + ph::SIZE;
        put32(pool + ph::NEXTOFFSET, (ph::SIZE + size * 2) as u32);
        put32(pool + ph::MAXNEXTOFFSET, (self.pool_size - size) as u32);
        put(pool + ph::FREEBLOCK, block + size);
        put(block + size, 0);
        block
    }

    fn new_arena(&mut self) -> u64 {
        if get(self.unused_at()) == 0 {
            let (old, count) = (get(self.arenas_at()), u64::from(get32(self.max_at())));
            let more = if count == 0 { 16 } else { count * 2 };
            let table = take(more * ao::SIZE, 8);
            for word in 0..count * ao::SIZE / 8 {
                put(table + word * 8, get(old + word * 8));
            }
            if old != 0 {
                give(old, count * ao::SIZE, 8);
            }
            assert_eq!(get(self.usable_at()), 0);
            for i in count..more {
                let next = table + (i + 1) * ao::SIZE;
                let next = if i + 1 < more { next } else { 0 };
                put(table + i * ao::SIZE + ao::NEXTARENA, next);
            }
            put(self.arenas_at(), table);
            put(self.unused_at(), table + count * ao::SIZE);
            put32(self.max_at(), more as u32);
        }
        let arena = get(self.unused_at());
        put(self.unused_at(), get(arena + ao::NEXTARENA));
        assert_eq!(get(arena), 0);
        // Some begin with a pool, others in the middle of one.
        let memory = take(self.arena_size + self.pool_size, self.pool_size);
        let excess = self.arenas_made * 4096 % self.pool_size;
        self.arenas_made += 1;
        let start = memory + excess;
        self.memory.insert(start, memory);
        put(arena, start);
        put(arena + ao::FREEPOOLS, 0);
        let first = start.next_multiple_of(self.pool_size);
        put(arena + ao::POOL_ADDRESS, first);
        let pools = self.slots() - u32::from(excess != 0);
        put32(arena + ao::NFREEPOOLS, pools);
        put32(arena + ao::NTOTALPOOLS, pools);
        arena
    }

    /// Takes a block back.
    pub fn free(&mut self, block: u64) {
        let pool = block & !(self.pool_size - 1);
        let used = get32(pool);
        assert!(used > 0, "a block of a pool in use");
        let last = get(pool + ph::FREEBLOCK);
        put(block, last);
        put(pool + ph::FREEBLOCK, block);
        put32(pool, used - 1);
        if last == 0 {
            // It was full, and is in no ring.
            let next = self.head(u64::from(get32(pool + ph::SZIDX)));
            let before = get(next + ph::PREVPOOL);
            put(pool + ph::NEXTPOOL, next);
            put(pool + ph::PREVPOOL, before);
            put(next + ph::PREVPOOL, pool);
            put(before + ph::NEXTPOOL, pool);
        } else if used == 1 {
            self.add_to_free_pools(pool);
        }
    }

    fn add_to_free_pools(&mut self, pool: u64) {
        let (next, before) = (get(pool + ph::NEXTPOOL), get(pool + ph::PREVPOOL));
        put(next + ph::PREVPOOL, before);
        put(before + ph::NEXTPOOL, next);
        let index = u64::from(get32(pool + ph::ARENAINDEX));
        let arena = get(self.arenas_at()) + index * ao::SIZE;
        put(pool + ph::NEXTPOOL, get(arena + ao::FREEPOOLS));
        put(arena + ao::FREEPOOLS, pool);
        let free = get32(arena + ao::NFREEPOOLS);
        let free_of = |arena: u64| get32(arena + ao::NFREEPOOLS);
        let last = get(self.last_at(free));
        if free == 0 {
            assert_eq!(last, 0);
        } else {
            let after = get(last + ao::NEXTARENA);
            assert!(free_of(last) == free && (after == 0 || free < free_of(after)));
        }
        let (before, after) = (get(arena + ao::PREVARENA), get(arena + ao::NEXTARENA));
        if last == arena {
            let same = before != 0 && free_of(before) == free;
            put(self.last_at(free), if same { before } else { 0 });
        }
        let free = free + 1;
        put32(arena + ao::NFREEPOOLS, free);
        if free == get32(arena + ao::NTOTALPOOLS) && after != 0 {
            self.unlink(arena, before, after);
            put(arena + ao::NEXTARENA, get(self.unused_at()));
            put(self.unused_at(), arena);
            let memory = self.memory.remove(&get(arena)).expect("an arena");
            give(memory, self.arena_size + self.pool_size, self.pool_size);
            put(arena, 0);
            return;
        }
        if free == 1 {
            let first = get(self.usable_at());
            put(arena + ao::NEXTARENA, first);
            put(arena + ao::PREVARENA, 0);
            if first != 0 {
                put(first + ao::PREVARENA, arena);
            }
            put(self.usable_at(), arena);
            if get(self.last_at(1)) == 0 {
                put(self.last_at(1), arena);
            }
            return;
        }
        if get(self.last_at(free)) == 0 {
            put(self.last_at(free), arena);
        }
        if arena == last {
            return;
        }
        assert_ne!(after, 0);
        self.unlink(arena, before, after);
        let beyond = get(last + ao::NEXTARENA);
        put(arena + ao::PREVARENA, last);
        put(arena + ao::NEXTARENA, beyond);
        if beyond != 0 {
            put(beyond + ao::PREVARENA, arena);
        }
        put(last + ao::NEXTARENA, arena);
        assert!(beyond == 0 || free <= free_of(beyond));
    }

    fn unlink(&self, arena: u64, before: u64, after: u64) {
        match before {
            0 => {
                assert_eq!(get(self.usable_at()), arena);
                put(self.usable_at(), after);
            }
            at => {
                assert_eq!(get(at + ao::NEXTARENA), arena);
                put(at + ao::NEXTARENA, after);
            }
        }
        assert_eq!(get(after + ao::PREVARENA), arena);
        put(after + ao::PREVARENA, before);
    }
}

impl Drop for Pymalloc {
    fn drop(&mut self) {
        for &memory in self.memory.values() {
            give(memory, self.arena_size + self.pool_size, self.pool_size);
        }
        if get(self.arenas_at()) != 0 {
            let bytes = u64::from(get32(self.max_at())) * ao::SIZE;
            give(get(self.arenas_at()), bytes, 8);
        }
        give(self.state, STATE, 64);
    }
}
