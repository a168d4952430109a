//! Allocators that are recognised by name, and not read.

use memshed_target::{Mapping, Process};

/// The allocator that stands in for glibc's in a process, such as `jemalloc`; `None` if none of
/// those that are known does.
#[must_use]
pub fn other_allocator(_process: &Process, _mappings: &[Mapping]) -> Option<&'static str> {
    None
}
