//! glibc's malloc, read from outside: arenas, heaps, chunks, and what could be given back.

use crate::arena::{Arena, Tally};
use crate::chunks::{ChunkState, Chunks, Segment};
use crate::find::{self, Found};
use crate::layout::{self, heap_info};
use crate::lists;
use crate::mapped::{MappedChunk, Search};
use crate::problems::Problems;
use crate::read::{PAGE, Reader};
use crate::trim;
use crate::walk::{self, Run};
use memshed_target::{Mapping, MappingKind, Memory, Range, ReadError, RemoteAddr};

/// Most heaps of one arena that are believed: 4 TiB.
const MOST_HEAPS: usize = 1 << 16;

/// What the caller knows already and this room cannot.
#[derive(Clone, Debug, Default)]
pub struct Hints<'a> {
    /// Memory that somebody else has obtained by mmap(2) for purposes known to the caller, such
    /// as an interpreter's arenas: in order. It is not searched for chunks.
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
    trimmable: Vec<Range>,
}

impl Glibc {
    /// Reads all of malloc's state. `None` if the process does not use glibc's malloc, or has not
    /// yet. Fails only if the memory cannot be read any more.
    pub fn read<M: Memory>(
        memory: &M,
        mappings: &[Mapping],
        hints: &Hints<'_>,
    ) -> Result<Option<Glibc>, ReadError> {
        Glibc::read_with(memory, mappings, hints, |reading| reading.mapped(hints))
    }

    /// Reads the heaps alone, and neither threads nor chunks with mappings of their own: much
    /// faster. `foreign` as in [`Hints`]; for the rest like [`Glibc::read`].
    pub fn read_heaps<M: Memory>(
        memory: &M,
        mappings: &[Mapping],
        foreign: &[Range],
    ) -> Result<Option<Glibc>, ReadError> {
        let hints = Hints {
            foreign,
            ..Hints::default()
        };
        Glibc::read_with(memory, mappings, &hints, |_| Ok(()))
    }

    fn read_with<'a, M: Memory>(
        memory: &'a M,
        mappings: &'a [Mapping],
        hints: &Hints<'_>,
        rest: impl FnOnce(&mut Reading<'_, M>) -> Result<(), ReadError>,
    ) -> Result<Option<Glibc>, ReadError> {
        let reader = Reader::new(memory);
        let Some(found) = find::find(reader, mappings)? else {
            return Ok(None);
        };
        let mut reading = Reading {
            reader,
            mappings,
            found: &found,
            segments: Vec::new(),
            glibc: Glibc {
                layout_since: found.state.since,
                ..Glibc::default()
            },
        };
        reading.main_arena(hints)?;
        for index in 1..found.arenas.len() {
            reading.arena(index)?;
        }
        rest(&mut reading)?;
        reading.finish().map(Some)
    }

    /// The chunk in use that holds `at`: the address malloc returned for it, and the bytes that
    /// the program may use from there on.
    #[must_use]
    pub fn chunk_of(&self, at: RemoteAddr) -> Option<(RemoteAddr, u64)> {
        if let Some(chunk) = self.chunks.find(at) {
            return (chunk.state == ChunkState::InUse).then(|| (chunk.user(), chunk.usable()));
        }
        let after = self.mapped.partition_point(|c| c.range.end <= at.0);
        let chunk = self.mapped.get(after).filter(|c| c.range.contains(at))?;
        Some((chunk.user(), chunk.usable))
    }

    /// The whole pages that `malloc_trim(0)` would give back, in order of address, computed as it
    /// does: within free chunks after fast bins have been merged, and the main heap's top. They
    /// may be given back already, and so not be in memory.
    pub fn trimmable(&self) -> impl Iterator<Item = Range> + '_ {
        self.trimmable.iter().copied()
    }

    /// What lies in mappings of its own, as far as it was found.
    #[must_use]
    pub fn mapped_found(&self) -> Tally {
        let mut sum = Tally::default();
        self.mapped.iter().for_each(|c| sum.add(c.range.len()));
        sum
    }
}

/// What is known on the way.
struct Reading<'a, M> {
    reader: Reader<'a, M>,
    mappings: &'a [Mapping],
    found: &'a Found,
    segments: Vec<Segment>,
    glibc: Glibc,
}

impl<M: Memory> Reading<'_, M> {
    /// What an arena says of itself.
    fn facts(&self, index: usize) -> Result<(Arena, u64), ReadError> {
        let (state, at) = (self.found.state, self.found.arenas[index]);
        let word = |offset| Ok::<u64, ReadError>(self.reader.u64(at + offset)?.unwrap_or(0));
        let arena = Arena {
            address: RemoteAddr(at),
            main: index == 0,
            threads: state.attached_threads.map(&word).transpose()?,
            system_bytes: word(state.system_mem)?,
            ..Arena::default()
        };
        Ok((arena, word(state.top)?))
    }

    /// Walks one heap of the arena that was added last.
    fn walk(&mut self, run: Run) -> Result<u64, ReadError> {
        let walked = walk::walk(self.reader, run, &mut self.glibc.problems)?;
        self.segments.extend(walked.segments);
        Ok(walked.end)
    }

    fn main_arena(&mut self, hints: &Hints<'_>) -> Result<(), ReadError> {
        let (mut arena, top) = self.facts(0)?;
        let state = self.found.state;
        if top == arena.address.0 + state.bins - 16 {
            // Nothing has been asked of it yet.
            self.glibc.arenas.push(arena);
            return Ok(());
        }
        for start in self.main_starts(top, &arena)? {
            let run = self.run_from(start, top, 0);
            if run.range.is_empty() || !walk::convincing(self.reader, run, start)? {
                continue;
            }
            let end = self.walk(run)?;
            arena.heaps.push(Range { start, end });
            break;
        }
        let flags = self.reader.u32(arena.address.0 + layout::FLAGS)?;
        if flags.unwrap_or(0) & layout::NONCONTIGUOUS != 0 {
            self.extensions(&mut arena, top, hints)?;
        }
        let there = |r: &Range| r.start <= top && top < r.end;
        if !arena.heaps.iter().any(there) {
            self.glibc.problems.add("main-heap-not-found", top);
        }
        self.glibc.arenas.push(arena);
        Ok(())
    }

    /// Where the main heap may begin, the likeliest first.
    fn main_starts(&self, top: u64, arena: &Arena) -> Result<Vec<u64>, ReadError> {
        let mut starts: Vec<u64> = Vec::new();
        starts.extend(self.found.parameters.map(|p| p.heap_start));
        if let Some((_, head)) = self.reader.header(top)? {
            let end = top.wrapping_add(head & !layout::SIZE_FLAGS);
            let start = end.wrapping_sub(arena.system_bytes);
            starts.push(start & !15);
        }
        let heap = self.mappings.iter().find(|m| m.path == "[heap]");
        starts.extend(heap.map(|m| m.start));
        Ok(starts)
    }

    /// The run of writable memory without a file from `start` on.
    fn run_from(&self, start: u64, top: u64, arena: u32) -> Run {
        let first = self.mappings.partition_point(|m| m.end <= start);
        let mut end = start;
        for mapping in &self.mappings[first..] {
            let goes_on = mapping.start <= end || end == start && mapping.start <= start;
            // The heap's own mappings only: what the kernel has put beside is not part of it.
            let same = self.mappings[first].path == mapping.path;
            if !goes_on || !same || !mapping.writable() || mapping.kind() != MappingKind::Anonymous
            {
                break;
            }
            end = mapping.end;
        }
        // The heap may have grown between the look at the mappings and the freeze.
        let now = self.reader.run(start);
        if let Some(now) = now.filter(|now| end <= top && top < now.end) {
            end = now.end;
        }
        Run {
            range: Range { start, end },
            top,
            arena,
        }
    }

    /// Heaps that the main arena got by mmap(2) since it could not move the break.
    fn extensions(
        &mut self,
        arena: &mut Arena,
        top: u64,
        hints: &Hints<'_>,
    ) -> Result<(), ReadError> {
        let anonymous = |m: &&Mapping| {
            m.kind() == MappingKind::Anonymous
                && m.readable()
                && m.writable()
                && !m.path.starts_with("[stack")
                && m.path != "[heap]"
        };
        let mappings: Vec<Range> = self
            .mappings
            .iter()
            .filter(anonymous)
            .map(Mapping::range)
            .collect();
        for mapping in mappings {
            let mut at = mapping.start;
            let holds_top = mapping.contains(RemoteAddr(top));
            while at < mapping.end {
                let foreign = hints.foreign.iter().find(|r| r.contains(RemoteAddr(at)));
                if let Some(foreign) = foreign {
                    at = foreign.end.next_multiple_of(PAGE);
                    continue;
                }
                let run = Run {
                    range: Range {
                        start: at,
                        end: mapping.end,
                    },
                    top,
                    arena: 0,
                };
                // A heap begins with a chunk that has nothing before it.
                let first = self.reader.header(at)?;
                let begins = first.is_some_and(|(_, head)| head & layout::SIZE_FLAGS == 1);
                if begins && walk::convincing(self.reader, run, at)? {
                    let end = self.walk(run)?;
                    arena.heaps.push(Range { start: at, end });
                    at = end.max(at + 1).next_multiple_of(PAGE);
                } else if holds_top {
                    at += PAGE;
                } else {
                    break;
                }
            }
        }
        Ok(())
    }

    /// An arena that is not the main one: heaps linked from the one with the top chunk back to
    /// the one with the arena's state.
    fn arena(&mut self, index: usize) -> Result<(), ReadError> {
        let (mut arena, top) = self.facts(index)?;
        let info = arena.address.0 & (layout::HEAP_MAX - 1);
        let mut heap = top & !(layout::HEAP_MAX - 1);
        while heap != 0 && arena.heaps.len() < MOST_HEAPS {
            let word = |offset| Ok::<u64, ReadError>(self.reader.u64(heap + offset)?.unwrap_or(0));
            let (owner, size) = (word(heap_info::ARENA)?, word(heap_info::SIZE)?);
            let known = arena.heaps.iter().any(|r| r.start == heap);
            let sound = (PAGE..=layout::HEAP_MAX).contains(&size);
            if owner != arena.address.0 || !sound || known {
                self.glibc.problems.add("torn-heap", heap);
                break;
            }
            let first = match heap + info == arena.address.0 {
                true => (arena.address.0 + self.found.state.size).next_multiple_of(16),
                false => heap + info,
            };
            let range = Range {
                start: heap,
                end: heap + size,
            };
            let previous = word(heap_info::PREVIOUS)?;
            self.walk(Run {
                range: Range {
                    start: first,
                    end: range.end,
                },
                top,
                arena: index as u32,
            })?;
            arena.heaps.push(range);
            heap = previous;
        }
        arena.heaps.sort_unstable();
        self.glibc.arenas.push(arena);
        Ok(())
    }

    /// Chunks with mappings of their own.
    fn mapped(&mut self, hints: &Hints<'_>) -> Result<(), ReadError> {
        let heaps = self.glibc.arenas.iter().flat_map(|arena| {
            arena.heaps.iter().map(|&heap| match arena.main {
                true => heap,
                // All that is reserved for it.
                false => Range {
                    end: heap.start + layout::HEAP_MAX,
                    ..heap
                },
            })
        });
        let mut taken: Vec<Range> = heaps.chain(hints.foreign.iter().copied()).collect();
        taken.sort_unstable();
        let said = self.found.parameters.map(|p| Tally {
            count: p.n_mmaps,
            bytes: p.mmapped_bytes,
        });
        let search = Search {
            reader: self.reader,
            said,
            taken: &taken,
            without_header: self.found.state.fastbins.is_none(),
            found: Vec::new(),
        };
        self.glibc.mapped = search.run(self.mappings)?;
        self.glibc.mapped_said = said;
        // The bytes are not to be relied on: 2.43 miscounts them when a chunk is resized in place.
        if said.is_some_and(|said| said.count != self.glibc.mapped.len() as u64) {
            self.glibc.problems.add("mapped-chunks-missing", 0);
        }
        Ok(())
    }

    fn finish(self) -> Result<Glibc, ReadError> {
        let mut glibc = self.glibc;
        glibc.chunks = Chunks::new(self.segments);
        glibc.thread_caches = lists::mark(
            self.reader,
            self.found.state,
            &self.found.arenas,
            &mut glibc.chunks,
            &mut glibc.problems,
        )?;
        let huge_page = self.found.parameters.map_or(0, |p| p.huge_page);
        for (index, arena) in glibc.arenas.iter_mut().enumerate() {
            count(arena, &glibc.chunks, index);
            let from = glibc.trimmable.len();
            let unit = PAGE.max(huge_page);
            let break_at = self.mappings.iter().rfind(|m| m.path == "[heap]");
            let end = break_at.map_or(0, |m| m.end);
            trim::find(&glibc.chunks, index, unit, end, &mut glibc.trimmable);
            arena.trimmable = glibc.trimmable[from..].iter().map(|r| r.len()).sum();
        }
        glibc.trimmable.sort_unstable();
        Ok(glibc)
    }
}

/// Sums up an arena's chunks.
fn count(arena: &mut Arena, chunks: &Chunks, index: usize) {
    for chunk in chunks.of_arena(index) {
        let bytes = chunk.range.len();
        match chunk.state {
            ChunkState::InUse => arena.in_use.add(bytes),
            ChunkState::ThreadCache => arena.thread_cache.add(bytes),
            ChunkState::FastBin => arena.fast_bins.add(bytes),
            ChunkState::Free => arena.free.add(bytes),
            ChunkState::Top => arena.top += bytes,
            ChunkState::Overhead => arena.overhead += bytes,
            ChunkState::Torn => arena.torn.add(bytes),
        }
    }
    // Headers of heaps, the arena's state, what is left at the end of a heap.
    let tiled: u64 = chunks
        .ranges()
        .filter(|(_, arena)| *arena == index)
        .map(|(range, _)| range.len())
        .sum();
    let heaps: u64 = arena.heaps.iter().map(|h| h.len()).sum();
    arena.overhead += heaps.saturating_sub(tiled);
}
