//! Chunks that have a mapping of their own: large ones (`M_MMAP_THRESHOLD`, mallopt(3)).

use memshed_target::{Range, RemoteAddr};

/// A chunk with a mapping of its own. The kernel merges neighbouring mappings, so that several may
/// lie in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedChunk {
    /// Whole pages, header included. Memory asked for with an alignment may begin later.
    pub range: Range,
}

impl MappedChunk {
    /// The address that malloc returned, unless an alignment was asked for.
    #[must_use]
    pub fn user(&self) -> RemoteAddr {
        RemoteAddr(self.range.start + crate::chunks::HEADER)
    }

    /// How many bytes the program may use.
    #[must_use]
    pub fn usable(&self) -> u64 {
        self.range.len().saturating_sub(crate::chunks::HEADER)
    }
}
