//! Addresses in another process, and the one trait through which bytes are read.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An address in the target process, in bytes. Never a pointer that could be dereferenced here.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RemoteAddr(pub u64);

// `add` and `sub` wrap, which the operators of the same name do not.
#[allow(clippy::should_implement_trait)]
impl RemoteAddr {
    /// The null pointer.
    pub const NULL: RemoteAddr = RemoteAddr(0);

    /// Whether this is the null pointer.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further on; wraps around, since the operand may be garbage.
    pub fn add(self, bytes: u64) -> RemoteAddr {
        RemoteAddr(self.0.wrapping_add(bytes))
    }

    /// The address `bytes` before; wraps around, since the operand may be garbage.
    pub fn sub(self, bytes: u64) -> RemoteAddr {
        RemoteAddr(self.0.wrapping_sub(bytes))
    }
}

impl fmt::Debug for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A half-open range of target addresses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Range {
    /// The length in bytes; 0 for a range that ends before it starts.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `at` lies within.
    pub fn contains(self, at: RemoteAddr) -> bool {
        self.start <= at.0 && at.0 < self.end
    }
}

/// Why bytes of the target could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No readable mapping holds all of the range.
    #[error("nothing is mapped at {0}")]
    Unmapped(RemoteAddr),
    /// The page lies in swap; reading it would drag it back into the target's memory.
    #[error("the page at {0} is swapped out")]
    Swapped(RemoteAddr),
    /// The copy was let go before this part was read.
    #[error("{0} was not copied")]
    NotCopied(RemoteAddr),
}

/// Readable bytes of a process: a frozen copy, a core file, or a test's literal bytes.
///
/// Slices are handed out without copying, so an implementation keeps what it has read until it
/// is dropped. Lengths are the caller's to bound: they may come from garbage.
pub trait Memory: Sync {
    /// The `len` bytes at `at`, which must lie in one run of adjacent mappings.
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError>;

    /// A hint that `ranges` will be read soon, so that they may be fetched in bulk.
    fn prefetch(&self, _ranges: &[Range]) {}

    /// The mapped run of addresses that contains `at`, if any: how far a raw buffer can reach.
    fn mapped_run(&self, at: RemoteAddr) -> Option<Range>;
}
