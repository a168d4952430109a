//! The owner of each mapping, or of each piece of one.

use crate::glibc::{Glibc, Hints};
use crate::layout::HEAP_MAX;
use crate::libraries::{self, Library};
use crate::pointers;
use crate::problems::Problems;
use crate::read::Reader;
use crate::threads::{self, ThreadBlock};
use memshed_target::{Mapping, MappingKind, Memory, Range, ReadError, RemoteAddr};

/// A part of a library or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Machine code.
    Code,
    /// What is only read, from the file as it is.
    Constants,
    /// Variables, and tables that the loader filled in; private to the process where written.
    Data,
    /// Variables that begin as zeros; not in the file (`.bss`).
    ZeroedData,
}

/// What a piece of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The main thread's stack.
    MainStack,
    /// Another thread's stack, by its index in [`Owners::threads`].
    ThreadStack(u32),
    /// A heap of glibc's malloc, by the index of its arena.
    Heap(u32),
    /// A chunk of glibc's malloc with a mapping of its own.
    MappedChunk,
    /// What brk(2) gave, where glibc's malloc does not use it.
    Break,
    /// A program or library, by its index in [`Owners::libraries`].
    Library(u32, Part),
    /// Another file, mapped for reading or writing.
    File,
    /// Memory shared with other processes: /dev/shm, memfd, System V, or anonymous.
    SharedMemory,
    /// Queues shared with the kernel (io_uring(7)).
    IoUring,
    /// Memory of a graphics processor, or mapped by its driver.
    Gpu,
    /// Another device.
    Device,
    /// The kernel's own: `[vdso]`, `[vvar]`, `[vsyscall]`.
    Kernel,
    /// Anonymous memory of the caller's: [`Hints::foreign`].
    Foreign,
    /// Anonymous memory into which a library's variables point, by its index in
    /// [`Owners::libraries`].
    PointedToBy(u32),
    /// Anonymous memory that the kernel has been told a name of (`PR_SET_VMA_ANON_NAME`); the
    /// mapping's path has it.
    Named,
    /// Address space that is reserved and cannot be accessed: guard pages, reservations.
    Reserved,
    /// Anonymous memory of which nothing is known.
    Unknown,
}

/// A run of addresses with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The addresses; never more than one mapping.
    pub range: Range,
    /// The index of its mapping.
    pub mapping: u32,
    /// The owner.
    pub owner: Owner,
}

/// All mappings of a process, cut into pieces of one owner each.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// The pieces in order of address; together they are the mappings.
    pub pieces: Vec<Piece>,
    /// Paths of programs and libraries, as the target sees them.
    pub libraries: Vec<String>,
    /// Threads other than the main one whose stacks were found.
    pub threads: Vec<ThreadBlock>,
    /// What did not make sense.
    pub problems: Problems,
}

impl Owners {
    /// Finds the owner of everything in `mappings`, which must be in order.
    pub fn find<M: Memory>(
        memory: &M,
        mappings: &[Mapping],
        glibc: Option<&Glibc>,
        hints: &Hints<'_>,
    ) -> Result<Owners, ReadError> {
        let reader = Reader::new(memory);
        let libraries = libraries::find(reader, mappings)?;
        let mut owners = Owners {
            pieces: by_name(mappings, &libraries),
            libraries: libraries.iter().map(|l| l.path.clone()).collect(),
            ..Owners::default()
        };
        if let Some(glibc) = glibc {
            owners.claim(heaps(glibc));
            let chunks = glibc.mapped.iter();
            owners.claim(chunks.map(|c| (c.range, Owner::MappedChunk)).collect());
        }
        owners.claim(hints.foreign.iter().map(|&r| (r, Owner::Foreign)).collect());
        owners.claim(zeroed(&libraries));
        owners.find_threads(reader, &libraries, mappings, hints)?;
        owners.find_pointers(reader, &libraries, glibc)?;
        Ok(owners)
    }

    fn find_threads<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        libraries: &[Library],
        mappings: &[Mapping],
        hints: &Hints<'_>,
    ) -> Result<(), ReadError> {
        let data: Vec<Range> = libraries
            .iter()
            .filter(|l| knows_threads(&l.path) || libraries.len() == 1)
            .flat_map(|l| l.data.iter().chain(&l.zeroed).copied())
            .collect();
        reader.prefetch(&data);
        let writable = |at: u64| {
            let index = mappings.partition_point(|m| m.end <= at);
            mappings
                .get(index)
                .is_some_and(|m| m.start <= at && m.writable())
        };
        self.threads = threads::find(reader, &data, writable, hints, &mut self.problems)?;
        let stacks = (0..).zip(&self.threads);
        self.claim(
            stacks
                .map(|(n, t)| (t.stack, Owner::ThreadStack(n)))
                .collect(),
        );
        Ok(())
    }

    fn find_pointers<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        libraries: &[Library],
        glibc: Option<&Glibc>,
    ) -> Result<(), ReadError> {
        let searched = |p: &&mut Piece| matches!(p.owner, Owner::Unknown | Owner::Named);
        let unknown: Vec<&mut Piece> = self.pieces.iter_mut().filter(searched).collect();
        let ranges: Vec<Range> = unknown.iter().map(|p| p.range).collect();
        let chunks = glibc.map(|g| &g.chunks);
        let found = pointers::owners(reader, libraries, &ranges, chunks)?;
        for (piece, library) in unknown.into_iter().zip(found) {
            if let Some(library) = library {
                piece.owner = Owner::PointedToBy(library);
            }
        }
        Ok(())
    }

    /// Gives `claims` to their owners where nobody is known yet.
    fn claim(&mut self, mut claims: Vec<(Range, Owner)>) {
        claims.sort_unstable();
        let mut pieces = Vec::with_capacity(self.pieces.len() + claims.len());
        for piece in self.pieces.drain(..) {
            if !piece.owner.may_change() {
                pieces.push(piece);
                continue;
            }
            let mut rest = piece.range;
            let first = claims.partition_point(|(r, _)| r.end <= rest.start);
            let overlapping = claims[first..].iter();
            for &(range, owner) in overlapping.take_while(|(r, _)| r.start < piece.range.end) {
                let taken = Range {
                    start: range.start.max(rest.start),
                    end: range.end.min(rest.end),
                };
                if taken.is_empty() {
                    continue;
                }
                let before = Range {
                    end: taken.start,
                    ..rest
                };
                pieces.extend((!before.is_empty()).then_some(Piece {
                    range: before,
                    ..piece
                }));
                pieces.push(Piece {
                    range: taken,
                    owner,
                    ..piece
                });
                rest.start = taken.end;
            }
            if !rest.is_empty() {
                pieces.push(Piece {
                    range: rest,
                    ..piece
                });
            }
        }
        self.pieces = pieces;
    }

    /// The piece that holds `at`.
    #[must_use]
    pub fn of(&self, at: RemoteAddr) -> Option<&Piece> {
        let after = self.pieces.partition_point(|p| p.range.end <= at.0);
        self.pieces.get(after).filter(|p| p.range.contains(at))
    }
}

impl Owner {
    /// Whether a better owner may be found.
    fn may_change(self) -> bool {
        matches!(
            self,
            Owner::Unknown | Owner::Reserved | Owner::Named | Owner::Break
        )
    }
}

/// What the mappings' names say.
fn by_name(mappings: &[Mapping], libraries: &[Library]) -> Vec<Piece> {
    let index: std::collections::HashMap<&str, u32> =
        libraries.iter().map(|l| l.path.as_str()).zip(0..).collect();
    let pieces = (0..).zip(mappings).map(|(number, mapping)| Piece {
        range: mapping.range(),
        mapping: number,
        owner: match index.get(mapping.file_path()) {
            Some(&library) if mapping.has_file() => {
                let part = part(mapping, &libraries[library as usize]);
                Owner::Library(library, part)
            }
            _ => of_mapping(mapping),
        },
    });
    pieces.collect()
}

fn part(mapping: &Mapping, library: &Library) -> Part {
    let written = |r: &Range| r.start <= mapping.start && mapping.start < r.end;
    if mapping.executable() {
        Part::Code
    } else if mapping.writable() || library.data.iter().any(written) {
        // What the loader has filled in is only read afterwards.
        Part::Data
    } else {
        Part::Constants
    }
}

fn of_mapping(mapping: &Mapping) -> Owner {
    const SHARED: [&str; 4] = ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero"];
    const GPU: [&str; 6] = [
        "/dev/nvidia",
        "/dev/dri/",
        "/dev/kfd",
        "/dev/mali",
        "/dev/dxg",
        "/dmabuf:",
    ];
    let path = mapping.path.as_str();
    let begins = |with: &[&str]| with.iter().any(|start| path.starts_with(start));
    match path {
        "[heap]" => Owner::Break,
        _ if path.starts_with("[stack") => Owner::MainStack,
        _ if path.starts_with("[anon") => Owner::Named,
        _ if path.starts_with('[') => Owner::Kernel,
        _ if begins(&SHARED) => Owner::SharedMemory,
        _ if begins(&GPU) => Owner::Gpu,
        _ if path.starts_with("anon_inode:[io_uring]") => Owner::IoUring,
        _ if path.starts_with("anon_inode:") => Owner::Device,
        _ if path.starts_with("/dev/") && !path.starts_with("/dev/hugepages") => Owner::Device,
        // Private memory in huge pages (MAP_HUGETLB).
        _ if path.starts_with("/anon_hugepage") => Owner::Unknown,
        _ if mapping.has_file() => Owner::File,
        _ if mapping.kind() == MappingKind::Shared => Owner::SharedMemory,
        _ if !mapping.readable() && !mapping.writable() => Owner::Reserved,
        _ => Owner::Unknown,
    }
}

fn heaps(glibc: &Glibc) -> Vec<(Range, Owner)> {
    let mut claims = Vec::new();
    for (index, arena) in (0..).zip(&glibc.arenas) {
        for &heap in &arena.heaps {
            let reserved = Range {
                end: heap.start.saturating_add(HEAP_MAX),
                ..heap
            };
            let range = if arena.main { heap } else { reserved };
            claims.push((range, Owner::Heap(index)));
        }
    }
    claims
}

fn zeroed(libraries: &[Library]) -> Vec<(Range, Owner)> {
    let mut claims = Vec::new();
    for (index, library) in (0..).zip(libraries) {
        let owner = Owner::Library(index, Part::ZeroedData);
        claims.extend(library.zeroed.iter().map(|&range| (range, owner)));
    }
    claims
}

/// Whether a library keeps the lists of threads: the loader, the C library, and until 2.33 the
/// library of threads.
fn knows_threads(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or("");
    ["ld-", "ld.so", "libc.so.6", "libc-2.", "libpthread"]
        .iter()
        .any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memshed_target::parse_maps;

    #[test]
    fn names_of_mappings_tell_their_owners() {
        let cases = [
            ("rw-p 0 00:00 0 [stack]", Owner::MainStack),
            ("rw-p 0 00:00 0 [heap]", Owner::Break),
            ("r-xp 0 00:00 0 [vdso]", Owner::Kernel),
            ("r--p 0 00:00 0 [vvar_vclock]", Owner::Kernel),
            ("rw-p 0 00:00 0 [anon:jemalloc_pg]", Owner::Named),
            ("rw-p 0 00:00 0 ", Owner::Unknown),
            ("---p 0 00:00 0 ", Owner::Reserved),
            ("rw-s 0 00:05 9 /dev/zero (deleted)", Owner::SharedMemory),
            ("rw-s 0 00:05 9 /memfd:pool (deleted)", Owner::SharedMemory),
            (
                "rw-s 0 00:05 9 /SYSV00000000 (deleted)",
                Owner::SharedMemory,
            ),
            ("rw-s 0 00:06 9 /dev/shm/sem.x", Owner::SharedMemory),
            ("rw-s 0 00:06 9 /dev/nvidia0", Owner::Gpu),
            ("rw-s 0 00:06 9 /dev/dri/renderD128", Owner::Gpu),
            ("rw-s 0 00:06 9 anon_inode:[io_uring]", Owner::IoUring),
            ("rw-s 0 00:06 9 /dev/mem", Owner::Device),
            (
                "r--s 0 08:01 9 /usr/lib/locale/C.utf8/LC_CTYPE",
                Owner::File,
            ),
            ("rw-p 0 00:0f 9 /anon_hugepage (deleted)", Owner::Unknown),
        ];
        for (line, expected) in cases {
            let maps = parse_maps(&format!("1000-3000 {line}"));
            assert_eq!(of_mapping(&maps[0]), expected, "{line}");
        }
    }

    #[test]
    fn claims_cut_pieces_and_yield_to_earlier_ones() {
        let maps = parse_maps("1000-9000 rw-p 0 00:00 0 \n9000-a000 rw-p 0 00:00 0 [stack]");
        let mut owners = Owners {
            pieces: by_name(&maps, &[]),
            ..Owners::default()
        };
        let range = |start, end| Range { start, end };
        owners.claim(vec![(range(0x3000, 0x5000), Owner::MappedChunk)]);
        owners.claim(vec![
            (range(0x4000, 0x6000), Owner::Foreign),
            (range(0x8000, 0xb000), Owner::Heap(1)),
            (range(0, 0x2000), Owner::Heap(2)),
        ]);
        let found: Vec<_> = owners.pieces.iter().map(|p| (p.range, p.owner)).collect();
        let expected = [
            (range(0x1000, 0x2000), Owner::Heap(2)),
            (range(0x2000, 0x3000), Owner::Unknown),
            (range(0x3000, 0x5000), Owner::MappedChunk),
            (range(0x5000, 0x6000), Owner::Foreign),
            (range(0x6000, 0x8000), Owner::Unknown),
            (range(0x8000, 0x9000), Owner::Heap(1)),
            (range(0x9000, 0xa000), Owner::MainStack),
        ];
        assert_eq!(found, expected);
    }
}
