//! Resident memory by category.

use crate::walk::Walk;
use memshed_heap::MemoryPart;
use memshed_target::{MappingUse, Memory, Range};
use std::collections::BTreeMap;

/// glibc's arenas for threads are reserved in pieces of this size, aligned to it (malloc/arena.c).
const GLIBC_HEAP: u64 = 64 << 20;

impl<M: Memory> Walk<'_, M> {
    /// Resident bytes by category, from the mappings' resident bytes; sums to their sum.
    ///
    /// A mapping that holds arenas of pymalloc and other memory is divided by size, as far as
    /// its resident bytes go.
    /// `block_bytes`: bytes in pymalloc's blocks in use, as [`memshed_heap::Pools`] has them.
    pub fn memory(&self, mappings: &[MappingUse], block_bytes: u64) -> Vec<MemoryPart> {
        let mut sums: BTreeMap<&'static str, u64> = BTreeMap::new();
        let arenas = self.arena_ranges();
        let mut in_arenas = 0;
        for mapping in mappings {
            let whole = mapping.mapping.range();
            let held: u64 = arenas.iter().map(|&arena| overlap(whole, arena)).sum();
            let held = held.min(mapping.rss);
            in_arenas += held;
            *sums.entry(category(mapping)).or_default() += mapping.rss - held;
        }
        let used = block_bytes.min(in_arenas);
        sums.insert("python_objects", used);
        sums.insert("python_free", in_arenas - used);
        sums.entry("unexplained").or_default();
        let part = |(&category, &bytes): (&&str, &u64)| MemoryPart {
            category: category.to_owned(),
            bytes,
        };
        let mut parts: Vec<MemoryPart> = sums.iter().map(part).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        parts
    }
}

fn overlap(a: Range, b: Range) -> u64 {
    Range {
        start: a.start.max(b.start),
        end: a.end.min(b.end),
    }
    .len()
}

/// What a mapping is, its part in arenas aside.
fn category(usage: &MappingUse) -> &'static str {
    let mapping = &usage.mapping;
    match mapping.path.as_str() {
        "[heap]" => "malloc",
        path if path.starts_with("[stack") => "stacks",
        path if path.starts_with("[anon") => "anonymous",
        path if path.starts_with('[') => "kernel",
        "" if mapping.private() && mapping.start.is_multiple_of(GLIBC_HEAP) => "malloc",
        "" if mapping.private() => "anonymous",
        path if !mapping.private() || path.starts_with("/dev/shm/") => "shared",
        path if path.contains(".so") || mapping.executable() => "libraries",
        path if path.starts_with('/') => "files",
        _ => "unexplained",
    }
}
