//! glibc's malloc, read from outside: arenas, heaps, chunks, and what could be given back.

use crate::arena::{Arena, Tally};
use crate::chunks::Chunks;
use crate::mapped::MappedChunk;
use crate::problems::Problems;
use memshed_target::{Mapping, Memory, Range, ReadError, RemoteAddr};

/// What the caller knows already and this room cannot.
#[derive(Clone, Debug, Default)]
pub struct Hints<'a> {
    /// Memory that somebody else has obtained by mmap(2) for purposes known to the caller, such
    /// as an interpreter's arenas: sorted. It is not searched for chunks.
    pub foreign: &'a [Range],
    /// The target's threads, by the numbers that they have in their own pid namespace.
    pub threads: &'a [i32],
}

/// The state of glibc's malloc in a process.
#[derive(Clone, Debug, Default)]
pub struct Glibc {
    /// The version from which on the state is laid out as found, such as `2.27`.
    pub layout_since: &'static str,
    /// All arenas, the main one first.
    pub arenas: Vec<Arena>,
    /// The chunks of all their heaps.
    pub chunks: Chunks,
    /// Chunks with a mapping of their own, in order of address.
    pub mapped: Vec<MappedChunk>,
    /// What malloc itself says about those, if that could be found: how many, and their bytes.
    pub mapped_said: Option<Tally>,
    /// How many threads keep freed chunks for themselves.
    pub thread_caches: u64,
    /// What did not make sense.
    pub problems: Problems,
}

impl Glibc {
    /// Reads all of malloc's state. `None` if the process does not use glibc's malloc, or has not
    /// yet. Fails only if the memory cannot be read any more.
    pub fn read<M: Memory>(
        _memory: &M,
        _mappings: &[Mapping],
        _hints: &Hints<'_>,
    ) -> Result<Option<Glibc>, ReadError> {
        Ok(None)
    }

    /// The chunk in use that holds `at`: the address malloc returned for it, and the bytes that
    /// the program may use from there on.
    #[must_use]
    pub fn chunk_of(&self, _at: RemoteAddr) -> Option<(RemoteAddr, u64)> {
        None
    }

    /// The whole pages that `malloc_trim(0)` would give back, in order of address, computed as it
    /// does: within free chunks after fast bins have been merged, and the main heap's top.
    pub fn trimmable(&self) -> impl Iterator<Item = Range> + '_ {
        std::iter::empty()
    }
}
