//! An arena: a set of heaps with free lists of their own, used by one thread at a time.

use memshed_target::{Range, RemoteAddr};

/// A sum over chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many chunks.
    pub count: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// An arena of glibc's malloc.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    /// Where its state lies (`struct malloc_state`).
    pub address: RemoteAddr,
    /// Whether it is the first one, which grows by brk(2).
    pub main: bool,
    /// How many threads use it, since glibc 2.23.
    pub threads: Option<u64>,
    /// Its heaps in order of address, headers included.
    pub heaps: Vec<Range>,
    /// What the arena says that it has obtained from the system, in bytes (`system_mem`).
    pub system_bytes: u64,
    /// Chunks handed out to the program.
    pub in_use: Tally,
    /// Chunks that threads have freed and keep for themselves.
    pub thread_cache: Tally,
    /// Chunks freed but not merged.
    pub fast_bins: Tally,
    /// Chunks freed and merged.
    pub free: Tally,
    /// Bytes of the top chunk.
    pub top: u64,
    /// The allocator's own bytes, headers of chunks apart.
    pub overhead: u64,
    /// Bytes of chunks that made no sense.
    pub torn: Tally,
    /// What `malloc_trim(0)` gives back, in bytes of address space: whole pages of
    /// [`Glibc::trimmable`](crate::Glibc::trimmable), resident or not.
    pub trimmable: u64,
}
