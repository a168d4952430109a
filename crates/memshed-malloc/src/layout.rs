//! How glibc's malloc lays out its own state on x86-64, as data, from version 2.17 on
//! (malloc/malloc.c and malloc/arena.c of each version; field lists only).
//!
//! The state has no exported symbol and no version in it. A layout is believed when the memory
//! fits it: see `find.rs`.

/// `struct malloc_state`: offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The first version with this layout.
    pub(crate) since: &'static str,
    /// `fastbinsY`, ten singly linked lists; gone since 2.43.
    pub(crate) fastbins: Option<u64>,
    /// `top`.
    pub(crate) top: u64,
    /// `bins`: 254 words, a list head of two words each.
    pub(crate) bins: u64,
    /// `next`, a ring of all arenas.
    pub(crate) next: u64,
    /// `attached_threads`, since 2.23.
    pub(crate) attached_threads: Option<u64>,
    /// `system_mem`; `max_system_mem` follows.
    pub(crate) system_mem: u64,
    /// `sizeof (struct malloc_state)`.
    pub(crate) size: u64,
}

/// `flags` has not moved. Bit 1 says that the heap is not contiguous.
pub(crate) const FLAGS: u64 = 4;
pub(crate) const NONCONTIGUOUS: u32 = 2;
/// `NFASTBINS`, and the size of the chunks in the first of them.
pub(crate) const FASTBINS: u64 = 10;
/// `NBINS` less the one that does not exist.
pub(crate) const BINS: u64 = 127;

/// All layouts, the newest first.
pub(crate) const STATES: [State; 4] = [
    State {
        since: "2.43",
        fastbins: None,
        top: 8,
        bins: 24,
        next: 2072,
        attached_threads: Some(2088),
        system_mem: 2096,
        size: 2112,
    },
    State {
        since: "2.27",
        fastbins: Some(16),
        top: 96,
        bins: 112,
        next: 2160,
        attached_threads: Some(2176),
        system_mem: 2184,
        size: 2200,
    },
    State {
        since: "2.23",
        fastbins: Some(8),
        top: 88,
        bins: 104,
        next: 2152,
        attached_threads: Some(2168),
        system_mem: 2176,
        size: 2192,
    },
    State {
        since: "2.17",
        fastbins: Some(8),
        top: 88,
        bins: 104,
        next: 2152,
        attached_threads: None,
        system_mem: 2168,
        size: 2184,
    },
];

/// `struct malloc_par`: offsets in bytes from `sbrk_base`, which is the word to find it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// `n_mmaps`; `n_mmaps_max`, `max_n_mmaps` and `no_dyn_threshold` follow, four bytes each.
    pub(crate) n_mmaps: i64,
    /// `mmapped_mem`; `max_mmapped_mem` follows.
    pub(crate) mmapped_mem: i64,
    /// `thp_pagesize`, since 2.35.
    pub(crate) thp_pagesize: Option<i64>,
}

/// All layouts, the newest first.
pub(crate) const PARAMETERS: [Parameters; 3] = [
    // Since 2.35: `hp_flags` makes the counters a group of five.
    Parameters {
        n_mmaps: -36,
        mmapped_mem: -16,
        thp_pagesize: Some(-56),
    },
    Parameters {
        n_mmaps: -32,
        mmapped_mem: -16,
        thp_pagesize: None,
    },
    // Until 2.23: `max_total_mem` before `sbrk_base`.
    Parameters {
        n_mmaps: -40,
        mmapped_mem: -24,
        thp_pagesize: None,
    },
];

/// `struct tcache_perthread_struct`: what a thread keeps for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadCache {
    /// The size of the chunk that holds it.
    pub(crate) chunk: u64,
    /// How many lists there are.
    pub(crate) bins: u64,
    /// Bytes of each list's counter; the counters come first.
    pub(crate) counter: u64,
    /// Whether a counter tells the room that is left, not the chunks that are there.
    pub(crate) counts_room: bool,
}

/// The lists of chunks of one size each; later lists hold chunks of many sizes.
pub(crate) const SMALL_CACHE_BINS: u64 = 64;

/// All layouts, the newest first.
pub(crate) const THREAD_CACHES: [ThreadCache; 3] = [
    // Since 2.42: 12 more lists.
    ThreadCache {
        chunk: 0x300,
        bins: 76,
        counter: 2,
        counts_room: true,
    },
    // Since 2.30.
    ThreadCache {
        chunk: 0x290,
        bins: 64,
        counter: 2,
        counts_room: false,
    },
    // Since 2.26.
    ThreadCache {
        chunk: 0x250,
        bins: 64,
        counter: 1,
        counts_room: false,
    },
];

/// `heap_info`, at the beginning of each heap of an arena that is not the main one.
pub(crate) mod heap_info {
    /// `ar_ptr`.
    pub(crate) const ARENA: u64 = 0;
    /// `prev`.
    pub(crate) const PREVIOUS: u64 = 8;
    /// `size`; `mprotect_size` follows.
    pub(crate) const SIZE: u64 = 16;
    /// `sizeof (heap_info)`: 48 since 2.35, which added the page size.
    pub(crate) const SIZES: [u64; 2] = [48, 32];
}

/// `HEAP_MAX_SIZE`: heaps lie at multiples of it.
pub(crate) const HEAP_MAX: u64 = 64 << 20;
/// The smallest chunk.
pub(crate) const MIN_CHUNK: u64 = 32;
/// `sizeof (struct malloc_chunk)`: `malloc_trim` leaves so much at a free chunk's beginning.
pub(crate) const CHUNK_STRUCT: u64 = 48;
/// Flags in the size of a chunk.
pub(crate) const PREV_INUSE: u64 = 1;
pub(crate) const IS_MMAPPED: u64 = 2;
pub(crate) const SIZE_FLAGS: u64 = 7;
