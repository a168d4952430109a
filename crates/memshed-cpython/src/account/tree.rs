//! Resident memory by what it holds, as a tree whose leaves add up to the resident bytes.

use super::ledger::{CHUNK_HEADER, Ledger};
use super::possible::{Holder, Possible};
use super::surroundings::Surroundings;
use crate::pymalloc::ArenaUse;
use memshed_heap::{BlockKind, MemoryPart};
use memshed_malloc::{ChunkState, Owner, Part};
use memshed_target::Range;
use std::collections::BTreeMap;

/// Types and libraries told apart; the rest is one part.
const MOST: usize = 40;

/// What the tree is made from.
pub(crate) struct Account<'a> {
    pub(crate) around: &'a Surroundings,
    pub(crate) ledger: &'a Ledger<'a>,
    pub(crate) possible: &'a Possible,
    pub(crate) arenas: &'a ArenaUse,
    /// Ranges of the arenas, in order.
    pub(crate) arena_ranges: &'a [Range],
    /// Name of each type.
    pub(crate) type_names: &'a dyn Fn(u32) -> String,
}

/// Bytes and how many things, by name.
#[derive(Default)]
struct Sums(BTreeMap<String, (u64, u64)>);

impl Sums {
    fn add(&mut self, name: impl Into<String>, bytes: u64, count: u64) {
        let sum = self.0.entry(name.into()).or_default();
        sum.0 += bytes;
        sum.1 += count;
    }

    /// The greatest, and the rest in sum as `rest`.
    fn parts(self, rest: &str) -> Vec<MemoryPart> {
        let part = |(category, (bytes, count)): (String, (u64, u64))| MemoryPart {
            count,
            ..MemoryPart::new(category, bytes)
        };
        let mut parts: Vec<MemoryPart> = self.0.into_iter().map(part).collect();
        parts.retain(|part| part.bytes > 0);
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        if parts.len() > MOST + 1 {
            let others = parts.split_off(MOST);
            let bytes = others.iter().map(|part| part.bytes).sum();
            parts.push(MemoryPart {
                count: others.iter().map(|part| part.count).sum(),
                ..MemoryPart::new(format!("{} {rest}", others.len()), bytes)
            });
        }
        parts
    }
}

/// Sums by category.
#[derive(Default)]
struct Categories {
    /// Objects and their parts outside the pools.
    large: Sums,
    internal: Sums,
    malloc: Sums,
    anonymous: Sums,
    stacks: Sums,
    libraries: BTreeMap<u32, Sums>,
    files: Sums,
    shared: Sums,
    devices: Sums,
    kernel: Sums,
    unexplained: Sums,
    /// Resident bytes of the allocator's heaps and of chunks with a mapping of their own.
    heaps: u64,
}

impl Account<'_> {
    /// The categories, largest first; they add up to the resident bytes of all mappings.
    pub(crate) fn tree(&self) -> Vec<MemoryPart> {
        let mut sums = Categories::default();
        for (type_id, bytes) in self.ledger.outside().into_iter().enumerate() {
            if bytes > 0 {
                sums.large.add((self.type_names)(type_id as u32), bytes, 0);
            }
        }
        for piece in &self.around.owners.pieces {
            self.piece(piece.owner, piece.range, piece.mapping, &mut sums);
        }
        self.chunks(&mut sums);
        let mut tree = self.parts(sums);
        self.close(&mut tree);
        tree.retain(|part| part.bytes > 0 || part.category == "unexplained");
        tree.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        tree
    }

    fn piece(&self, owner: Owner, range: Range, mapping: u32, sums: &mut Categories) {
        let bytes = self.around.resident_within(range);
        if bytes == 0 {
            return;
        }
        let mapping = &self.around.mappings[mapping as usize].mapping;
        match owner {
            Owner::MainStack => sums.stacks.add("main thread", bytes, 1),
            Owner::ThreadStack(thread) => {
                sums.stacks.add(self.thread(thread), bytes, 1);
            }
            Owner::Library(library, part) => {
                let what = match part {
                    Part::Code => "code",
                    Part::Constants => "constants",
                    Part::Data | Part::ZeroedData => "variables (its own)",
                };
                sums.libraries
                    .entry(library)
                    .or_default()
                    .add(what, bytes, 1);
            }
            Owner::File => sums.files.add(file_name(&mapping.path), bytes, 1),
            Owner::SharedMemory => sums.shared.add(file_name(&mapping.path), bytes, 1),
            Owner::IoUring => sums.kernel.add("io_uring queues", bytes, 1),
            Owner::Kernel => sums.kernel.add(mapping.path.clone(), bytes, 1),
            Owner::Gpu => sums.devices.add("graphics processor", bytes, 1),
            Owner::Device => sums.devices.add(file_name(&mapping.path), bytes, 1),
            Owner::PointedToBy(library) => {
                let owned = self.elsewhere(range, sums);
                let name = self.name_of_library(library);
                sums.anonymous.add(name, bytes.saturating_sub(owned), 1);
            }
            Owner::Named => sums.anonymous.add(mapping.path.clone(), bytes, 1),
            Owner::Reserved | Owner::Unknown => {
                let owned = self.elsewhere(range, sums);
                let rest = bytes.saturating_sub(owned);
                sums.unexplained.add("anonymous memory", rest, 1);
            }
            Owner::Foreign => {
                let in_arenas = self.in_arenas(range);
                let rest = bytes.saturating_sub(in_arenas);
                sums.internal.add("stacks of Python frames", rest, 1);
            }
            Owner::Break => sums.anonymous.add("the program's break (brk)", bytes, 1),
            // Divided chunk by chunk.
            Owner::Heap(_) | Owner::MappedChunk => sums.heaps += bytes,
        }
    }

    fn in_arenas(&self, range: Range) -> u64 {
        let after = self.arena_ranges.partition_point(|a| a.end <= range.start);
        let arenas = self.arena_ranges[after..].iter();
        let arenas = arenas.take_while(|arena| arena.start < range.end);
        arenas
            .map(|arena| {
                let start = arena.start.max(range.start);
                let end = arena.end.min(range.end);
                self.around.resident_within(Range { start, end })
            })
            .sum()
    }

    /// Adds the part of `range` that objects have taken from the system themselves.
    fn elsewhere(&self, range: Range, sums: &mut Categories) -> u64 {
        let mut all = 0;
        for (own, type_id) in self.ledger.elsewhere() {
            let start = own.start.max(range.start);
            let end = own.end.min(range.end);
            let bytes = self.around.resident_within(Range { start, end });
            if bytes > 0 {
                sums.large.add((self.type_names)(type_id), bytes, 1);
                all += bytes;
            }
        }
        all
    }

    /// What of the system allocator's heaps is nobody's that Python knows, and what is free.
    fn chunks(&self, sums: &mut Categories) {
        let Some(glibc) = &self.around.glibc else {
            return;
        };
        let mut tiled = 0;
        for chunk in glibc.chunks.iter() {
            let bytes = self.around.resident_within(chunk.range);
            tiled += bytes;
            let name = match chunk.state {
                ChunkState::InUse => {
                    match self.ledger.claims.get(chunk.range.start + CHUNK_HEADER) {
                        Some(_) => continue,
                        None => "in use, by whom is not known",
                    }
                }
                ChunkState::ThreadCache => "free, kept by threads for themselves",
                ChunkState::FastBin | ChunkState::Free => "free",
                ChunkState::Top => "free, at the top of the heap",
                ChunkState::Overhead => "the allocator's own",
                ChunkState::Torn => "unreadable",
            };
            sums.malloc.add(name, bytes, 1);
        }
        for (number, chunk) in glibc.mapped.iter().enumerate() {
            let bytes = self.around.resident_within(chunk.range);
            tiled += bytes;
            if !self.ledger.is_mapped_taken(number) {
                let name = "in use, large, by whom is not known";
                sums.malloc.add(name, bytes, 1);
            }
        }
        // What of its heaps no chunk covers.
        let rest = sums.heaps.saturating_sub(tiled);
        sums.malloc.add("the allocator's own", rest, 0);
        for (holder, (bytes, count)) in &self.possible.chunks {
            let name = match holder {
                Holder::Type(id) => format!("in use, for {}", (self.type_names)(*id)),
                Holder::Interpreter => "in use, for the interpreter".to_owned(),
                Holder::Library(library) => {
                    format!("in use, for {}", self.name_of_library(*library))
                }
            };
            sums.malloc.add(name, *bytes, *count);
        }
    }

    fn thread(&self, thread: u32) -> String {
        let thread = self.around.owners.threads.get(thread as usize);
        let Some(tid) = thread.and_then(|thread| thread.tid) else {
            return "threads that have ended".to_owned();
        };
        let info = self.around.threads.iter().find(|info| info.own_tid == tid);
        match info {
            Some(info) => format!("thread {tid} ({})", info.name),
            None => format!("thread {tid}"),
        }
    }

    fn name_of_library(&self, library: u32) -> String {
        let path = self.around.owners.libraries.get(library as usize);
        file_name(path.map_or("a library", |path| path))
    }

    fn parts(&self, sums: Categories) -> Vec<MemoryPart> {
        let arenas = self.arenas;
        let block = |kind: BlockKind| arenas.blocks[kind as usize];
        let mut large = MemoryPart::sum("large ones", Vec::new());
        large.parts = sums.large.parts("other types");
        large.bytes = large.parts.iter().map(|part| part.bytes).sum();
        let mut internal = sums.internal;
        let possible = block(BlockKind::Possible);
        internal.add("small blocks of C code", possible, 0);
        let mut unexplained = sums.unexplained;
        let unknown = block(BlockKind::Unknown);
        unexplained.add("small blocks in Python's pools", unknown, 0);
        unexplained.add("unreadable pools", arenas.torn, 0);
        let libraries = sums.libraries.into_iter().map(|(library, parts)| {
            let parts = parts.parts("others");
            MemoryPart::sum(self.name_of_library(library), parts)
        });
        let whole = |name: &str, sums: Sums, rest: &str| MemoryPart {
            bytes: sums.0.values().map(|(bytes, _)| bytes).sum(),
            parts: sums.parts(rest),
            ..MemoryPart::new(name, 0)
        };
        vec![
            MemoryPart::sum(
                "python_objects",
                vec![
                    MemoryPart::new("small objects", block(BlockKind::Object)),
                    MemoryPart::new("small tables and buffers", block(BlockKind::Part)),
                    large,
                ],
            ),
            MemoryPart::new("python_caches", block(BlockKind::FreeList)),
            MemoryPart::sum(
                "python_free",
                vec![
                    MemoryPart::new("free blocks between objects", arenas.free_blocks),
                    MemoryPart::new("free pools", arenas.free_pools),
                ],
            ),
            MemoryPart::new("python_overhead", arenas.overhead),
            whole("python_internal", internal, "others"),
            whole("malloc", sums.malloc, "other owners"),
            whole("anonymous", sums.anonymous, "other owners"),
            whole("stacks", sums.stacks, "other threads"),
            MemoryPart::sum("libraries", libraries.collect()),
            whole("files", sums.files, "other files"),
            whole("shared", sums.shared, "others"),
            whole("devices", sums.devices, "others"),
            whole("kernel", sums.kernel, "others"),
            whole("unexplained", unexplained, "others"),
        ]
    }

    /// Makes the tree add up to what the kernel said of each mapping. Pages come and go between
    /// the two questions, so that a small difference is left: what is missing is unexplained, and
    /// what is too much goes from the greatest part.
    fn close(&self, tree: &mut [MemoryPart]) {
        let resident: u64 = self.around.mappings.iter().map(|m| m.rss).sum();
        let sum: u64 = tree.iter().map(|part| part.bytes).sum();
        if resident >= sum {
            if let Some(part) = tree.iter_mut().find(|p| p.category == "unexplained") {
                take_up(part, resident - sum);
            }
        } else if let Some(part) = tree.iter_mut().max_by_key(|part| part.bytes) {
            let less = (sum - resident).min(part.bytes);
            lessen(part, less);
        }
    }
}

fn take_up(part: &mut MemoryPart, bytes: u64) {
    if bytes > 0 {
        part.bytes += bytes;
        let name = "pages that came or went during the look";
        part.parts.push(MemoryPart::new(name, bytes));
        part.parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    }
}

/// Takes `bytes` off a part, and off its greatest parts in turn.
fn lessen(part: &mut MemoryPart, bytes: u64) {
    part.bytes -= bytes;
    let mut left = bytes;
    while left > 0 {
        let Some(greatest) = part.parts.iter_mut().max_by_key(|part| part.bytes) else {
            return;
        };
        let here = left.min(greatest.bytes);
        if here == 0 {
            return;
        }
        lessen(greatest, here);
        left -= here;
    }
}

/// The last part of a path; what it is called if it is none.
pub(crate) fn file_name(path: &str) -> String {
    let path = path.trim_end_matches(" (deleted)");
    match path.rsplit('/').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ if path.is_empty() => "anonymous".to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_lessened_without_losing_its_sums() {
        let leaf = |bytes| MemoryPart::new("leaf", bytes);
        let inner = MemoryPart::sum("inner", vec![leaf(5), leaf(9)]);
        let mut tree = MemoryPart::sum("top", vec![inner, leaf(7), leaf(1)]);
        lessen(&mut tree, 16);
        assert_eq!(tree.bytes, 6);
        fn check(part: &MemoryPart) {
            let sum: u64 = part.parts.iter().map(|part| part.bytes).sum();
            assert!(part.parts.is_empty() || sum == part.bytes, "{part:?}");
            part.parts.iter().for_each(check);
        }
        check(&tree);
    }

    #[test]
    fn sums_are_cut_to_the_greatest() {
        let mut sums = Sums::default();
        for i in 0..100u64 {
            sums.add(format!("library {i}"), i, 1);
        }
        sums.add("library 3", 10_000, 2);
        let parts = sums.parts("others");
        assert_eq!(parts.len(), MOST + 1);
        assert_eq!((parts[0].bytes, parts[0].count), (10_003, 3));
        let last = &parts[MOST];
        assert_eq!(last.category, "59 others");
        let all: u64 = parts.iter().map(|part| part.bytes).sum();
        assert_eq!(all, (0..100).sum::<u64>() + 10_000);
    }
}
