//! The chunks of all heaps as columns: four bytes a chunk, in order of address.
//!
//! Chunks tile a heap, so that where one ends is where the next begins; a column holds beginnings
//! and states only. A heap larger than what four bytes can number is cut into several segments.

use memshed_target::{Range, RemoteAddr};

/// Bytes of a chunk's header before the user's bytes (`CHUNK_HDR_SZ`, malloc/malloc.c).
pub(crate) const HEADER: u64 = 16;
/// Chunks lie at multiples of this (`MALLOC_ALIGNMENT` on x86-64).
pub(crate) const ALIGNMENT: u64 = 16;

const STATE_BITS: u32 = 3;
/// Bytes of the longest segment: what is left of four bytes counts alignments.
pub(crate) const LONGEST_SEGMENT: u64 = ALIGNMENT << (32 - STATE_BITS);

/// What a chunk is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChunkState {
    /// Handed out to the program.
    InUse = 0,
    /// Freed, and kept by a thread for itself (`tcache`). `malloc_trim` leaves it alone.
    ThreadCache = 1,
    /// Freed, and kept by the arena for quick reuse without being merged (`fastbinsY`).
    FastBin = 2,
    /// Freed, merged with its free neighbours, and listed in a bin.
    Free = 3,
    /// The rest of the heap, from which new chunks are cut.
    Top = 4,
    /// The allocator's own: an arena's state, a heap's header, the marks at the end of a heap,
    /// and memory within the heap that somebody else obtained by sbrk(2).
    Overhead = 5,
    /// Bytes that made no sense when they were read.
    Torn = 6,
}

impl ChunkState {
    fn of(word: u32) -> ChunkState {
        match word & ((1 << STATE_BITS) - 1) {
            0 => ChunkState::InUse,
            1 => ChunkState::ThreadCache,
            2 => ChunkState::FastBin,
            3 => ChunkState::Free,
            4 => ChunkState::Top,
            5 => ChunkState::Overhead,
            _ => ChunkState::Torn,
        }
    }
}

/// A chunk of a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// All of it, with its header of 16 bytes. The last 8 bytes that the user may write to lie
    /// behind it, in the next chunk's header.
    pub range: Range,
    /// What it is.
    pub state: ChunkState,
}

impl Chunk {
    /// The address that the program knows: what malloc returned.
    #[must_use]
    pub fn user(&self) -> RemoteAddr {
        RemoteAddr(self.range.start + HEADER)
    }

    /// How many bytes the program may use (`malloc_usable_size`): all of it but 8.
    #[must_use]
    pub fn usable(&self) -> u64 {
        self.range.len().saturating_sub(HEADER / 2)
    }
}

/// A run of memory that is tiled by chunks.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) range: Range,
    /// The index of its arena.
    pub(crate) arena: u32,
    /// Where each chunk begins, in alignments from the segment's beginning, above its state.
    words: Vec<u32>,
}

impl Segment {
    pub(crate) fn new(start: u64, arena: u32) -> Segment {
        Segment {
            range: Range { start, end: start },
            arena,
            words: Vec::new(),
        }
    }

    /// Adds a chunk at the segment's end. Does nothing if there is no room for it.
    pub(crate) fn push(&mut self, end: u64, state: ChunkState) {
        let offset = (self.range.end - self.range.start) / ALIGNMENT;
        if let Ok(offset) = u32::try_from(offset << STATE_BITS) {
            self.words.push(offset | state as u32);
            self.range.end = end;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    fn start(&self, word: u32) -> u64 {
        self.range.start + u64::from(word >> STATE_BITS) * ALIGNMENT
    }

    pub(crate) fn chunk(&self, index: usize) -> Option<Chunk> {
        let word = *self.words.get(index)?;
        let next = self.words.get(index + 1);
        Some(Chunk {
            range: Range {
                start: self.start(word),
                end: next.map_or(self.range.end, |&next| self.start(next)),
            },
            state: ChunkState::of(word),
        })
    }

    /// The index of the chunk that holds `at`, which must lie within the segment.
    fn index_of(&self, at: u64) -> usize {
        let wanted = (at - self.range.start) / ALIGNMENT;
        let after = self
            .words
            .partition_point(|&w| u64::from(w >> STATE_BITS) <= wanted);
        after.saturating_sub(1)
    }

    /// Changes the state of a chunk.
    fn set(&mut self, index: usize, state: ChunkState) {
        if let Some(word) = self.words.get_mut(index) {
            *word = *word >> STATE_BITS << STATE_BITS | state as u32;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Chunk> + '_ {
        (0..self.words.len()).filter_map(|index| self.chunk(index))
    }
}

/// The chunks of all heaps.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    segments: Vec<Segment>,
}

impl Chunks {
    /// Takes over segments, which may come in any order. Of those that overlap the first stays.
    pub(crate) fn new(mut segments: Vec<Segment>) -> Chunks {
        segments.retain(|s| s.len() > 0);
        segments.sort_by_key(|s| s.range.start);
        let mut end = 0;
        segments.retain(|s| {
            let fits = s.range.start >= end;
            end = end.max(s.range.end);
            fits
        });
        for segment in &mut segments {
            segment.words.shrink_to_fit();
        }
        Chunks { segments }
    }

    /// How many chunks there are, of whatever state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The ranges that are tiled by chunks, each with the index of its arena, in order of address.
    pub fn ranges(&self) -> impl Iterator<Item = (Range, usize)> + '_ {
        self.segments.iter().map(|s| (s.range, s.arena as usize))
    }

    /// All chunks in order of address.
    pub fn iter(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.segments.iter().flat_map(Segment::iter)
    }

    /// The chunks of one arena in order of address.
    pub fn of_arena(&self, arena: usize) -> impl Iterator<Item = Chunk> + '_ {
        let own = self
            .segments
            .iter()
            .filter(move |s| s.arena as usize == arena);
        own.flat_map(Segment::iter)
    }

    /// All chunks that overlap `range`, in order of address.
    pub fn within(&self, range: Range) -> impl Iterator<Item = Chunk> + '_ {
        let first = self
            .segments
            .partition_point(|s| s.range.end <= range.start);
        let segments = self.segments[first..].iter();
        segments
            .take_while(move |s| s.range.start < range.end)
            .flat_map(move |s| {
                let from = s.index_of(range.start.max(s.range.start));
                (from..s.len()).filter_map(|index| s.chunk(index))
            })
            .take_while(move |c| c.range.start < range.end)
    }

    /// The chunk that holds `at`, header included.
    #[must_use]
    pub fn find(&self, at: RemoteAddr) -> Option<Chunk> {
        let (segment, index) = self.place(at.0)?;
        self.segments[segment].chunk(index)
    }

    /// For lookups by growing addresses, each near the last.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor {
            chunks: self,
            segment: 0,
            index: 0,
        }
    }

    fn segment_of(&self, at: u64) -> Option<usize> {
        let index = self.segments.partition_point(|s| s.range.end <= at);
        self.segments
            .get(index)
            .is_some_and(|s| s.range.start <= at)
            .then_some(index)
    }

    fn place(&self, at: u64) -> Option<(usize, usize)> {
        let segment = self.segment_of(at)?;
        Some((segment, self.segments[segment].index_of(at)))
    }

    /// The chunk that begins exactly at `at`, with what is needed to change its state.
    pub(crate) fn at(&self, at: u64) -> Option<(Place, Chunk)> {
        let (segment, index) = self.place(at)?;
        let chunk = self.segments[segment].chunk(index)?;
        let place = Place { segment, index };
        (chunk.range.start == at).then_some((place, chunk))
    }

    /// Changes the state of a chunk.
    pub(crate) fn set(&mut self, place: Place, state: ChunkState) {
        if let Some(segment) = self.segments.get_mut(place.segment) {
            segment.set(place.index, state);
        }
    }
}

/// Where a chunk is in the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    segment: usize,
    index: usize,
}

/// Looks chunks up by addresses that mostly grow: costs the logarithm of the distance from the
/// last one, not of the heap's size.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    chunks: &'a Chunks,
    segment: usize,
    index: usize,
}

impl Cursor<'_> {
    /// The chunk that holds `at`, header included.
    pub fn find(&mut self, at: RemoteAddr) -> Option<Chunk> {
        let segments = &self.chunks.segments;
        let here = |s: usize| segments.get(s).is_some_and(|s| s.range.contains(at));
        if !here(self.segment) {
            self.segment = self.chunks.segment_of(at.0)?;
            self.index = 0;
        }
        let segment = &segments[self.segment];
        let wanted = (at.0 - segment.range.start) / ALIGNMENT;
        let begins = |index: usize| {
            segment
                .words
                .get(index)
                .map(|&w| u64::from(w >> STATE_BITS))
        };
        if begins(self.index).is_none_or(|b| b > wanted) {
            self.index = segment.index_of(at.0);
            return segment.chunk(self.index);
        }
        let mut step = 1;
        while begins(self.index + step).is_some_and(|b| b <= wanted) {
            self.index += step;
            step *= 2;
        }
        while step > 1 {
            step /= 2;
            if begins(self.index + step).is_some_and(|b| b <= wanted) {
                self.index += step;
            }
        }
        segment.chunk(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Chunks {
        let mut low = Segment::new(0x1000, 0);
        for (index, end) in [0x1020u64, 0x1060, 0x1100, 0x2000].into_iter().enumerate() {
            let state = [ChunkState::InUse, ChunkState::Free][index % 2];
            low.push(end, state);
        }
        let mut high = Segment::new(0x7f00_0000_0000, 1);
        high.push(0x7f00_0000_0040, ChunkState::Top);
        Chunks::new(vec![high, low])
    }

    #[test]
    fn every_address_is_found_by_search_and_by_cursor() {
        let chunks = some();
        let addresses: Vec<u64> = (0xff0..0x2010)
            .step_by(8)
            .chain([0x7f00_0000_0000, 0x7f00_0000_003f, 0x7f00_0000_0040])
            .collect();
        let naive = |at: u64| chunks.iter().find(|c| c.range.contains(RemoteAddr(at)));
        let mut forward = chunks.cursor();
        for &at in &addresses {
            assert_eq!(chunks.find(RemoteAddr(at)), naive(at), "{at:#x}");
            assert_eq!(forward.find(RemoteAddr(at)), naive(at), "{at:#x}");
        }
        let mut backward = chunks.cursor();
        for &at in addresses.iter().rev() {
            assert_eq!(backward.find(RemoteAddr(at)), naive(at), "{at:#x}");
        }
    }

    #[test]
    fn states_change_in_place() {
        let mut chunks = some();
        let (place, chunk) = chunks.at(0x1060).expect("a chunk begins there");
        assert_eq!(chunk.state, ChunkState::InUse);
        assert!(chunks.at(0x1070).is_none());
        chunks.set(place, ChunkState::ThreadCache);
        let now = chunks.find(RemoteAddr(0x10f0)).expect("a chunk");
        assert_eq!(now.state, ChunkState::ThreadCache);
        assert_eq!((now.user().0, now.usable()), (0x1070, 0xa0 - 8));
        let range = Range {
            start: 0x1030,
            end: 0x1061,
        };
        assert_eq!(chunks.within(range).count(), 2);
    }
}
