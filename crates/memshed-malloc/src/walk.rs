//! Walks a run of chunks, from header to header.

use crate::chunks::{ALIGNMENT, ChunkState, HEADER, LONGEST_SEGMENT, Segment};
use crate::layout::{IS_MMAPPED, MIN_CHUNK, PREV_INUSE, SIZE_FLAGS};
use crate::problems::Problems;
use crate::read::{Ahead, Read, Reader};
use memshed_target::{Memory, Range, ReadError};

/// How far after a torn chunk the next good one is looked for, in bytes.
const LONGEST_GAP: u64 = 4 << 20;
/// So many good chunks in a row are no accident.
const CONVINCING: u32 = 8;
/// A run with more torn chunks than this is given up.
const MOST_TEARS: u32 = 256;

/// A run of memory to be walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// From the first chunk to where no chunk can reach beyond.
    pub(crate) range: Range,
    /// The arena's top chunk, if it may lie here.
    pub(crate) top: u64,
    /// The arena's index.
    pub(crate) arena: u32,
}

/// What a chunk's header says.
#[derive(Clone, Copy, PartialEq)]
enum Header {
    /// A chunk of so many bytes; whether the one before it is in use; what it says of that one.
    Chunk {
        size: u64,
        before_in_use: bool,
        before: u64,
    },
    /// A mark at the end of a run of chunks: 16 bytes, or the very end; and, as for a chunk, what
    /// it says of the one before it.
    Fence {
        last: bool,
        before_in_use: bool,
        before: u64,
    },
    /// Nothing that makes sense.
    Torn,
}

pub(crate) struct Walker<'a, 'p, M> {
    reader: Reader<'a, M>,
    run: Run,
    ahead: Ahead,
    tears: u32,
    problems: &'p mut Problems,
    segments: Vec<Segment>,
}

/// The segments of a run, and where the chunks ended.
pub(crate) struct Walked {
    pub(crate) segments: Vec<Segment>,
    pub(crate) end: u64,
}

/// Walks `run`; what makes no sense is counted, and the walk goes on behind it.
pub(crate) fn walk<M: Memory>(
    reader: Reader<'_, M>,
    run: Run,
    problems: &mut Problems,
) -> Result<Walked, ReadError> {
    let walker = Walker {
        reader,
        run,
        ahead: Ahead::default(),
        tears: 0,
        problems,
        segments: vec![Segment::new(run.range.start, run.arena)],
    };
    walker.walk()
}

/// Whether a few chunks in a row begin at `at`.
pub(crate) fn convincing<M: Memory>(
    reader: Reader<'_, M>,
    run: Run,
    at: u64,
) -> Result<bool, ReadError> {
    let mut at = at;
    for _ in 0..CONVINCING {
        if at == run.top {
            return Ok(true);
        }
        let Header::Chunk { size, .. } = header(reader, run, at)? else {
            return Ok(false);
        };
        let next = at + size;
        if next == run.top {
            return Ok(true);
        }
        match header(reader, run, next)? {
            Header::Torn => return Ok(false),
            Header::Fence { .. } => return Ok(true),
            Header::Chunk {
                before_in_use: false,
                before,
                ..
            } if before != size => return Ok(false),
            Header::Chunk { .. } => at = next,
        }
    }
    Ok(true)
}

fn header<M: Memory>(reader: Reader<'_, M>, run: Run, at: u64) -> Result<Header, ReadError> {
    let Some((before, head)) = reader.header(at)? else {
        return Ok(Header::Torn);
    };
    let size = head & !SIZE_FLAGS;
    let before_in_use = head & PREV_INUSE != 0;
    let limit = match run.range.start <= run.top && at < run.top {
        true => run.top.min(run.range.end),
        false => run.range.end,
    };
    Ok(match size {
        _ if head & IS_MMAPPED != 0 || !size.is_multiple_of(ALIGNMENT) => Header::Torn,
        0 | HEADER if size == HEADER || before_in_use => Header::Fence {
            last: size == 0,
            before_in_use,
            before,
        },
        size if size < MIN_CHUNK || size > limit.saturating_sub(at) => Header::Torn,
        size => Header::Chunk {
            size,
            before_in_use,
            before,
        },
    })
}

impl<M: Memory> Walker<'_, '_, M> {
    fn walk(mut self) -> Result<Walked, ReadError> {
        let mut at = self.run.range.start;
        let mut now = self.header(at)?;
        loop {
            if at == self.run.top {
                at = self.top(at)?;
                break;
            }
            (at, now) = match now {
                Header::Chunk { size, .. } => {
                    let end = at + size;
                    // Read ahead of the decision: it says whether this chunk is in use.
                    let next = self.header(end)?;
                    let state = self.state(end, size, next);
                    self.push(end, state);
                    (end, next)
                }
                Header::Fence { last: true, .. } => break,
                Header::Fence { last: false, .. } => {
                    let end = at + HEADER;
                    self.push(end, ChunkState::Overhead);
                    let Some(next) = self.after_fence(end)? else {
                        at = end;
                        break;
                    };
                    next
                }
                Header::Torn => {
                    let Some(next) = self.after_tear(at)? else {
                        at = self.run.range.end;
                        break;
                    };
                    next
                }
            };
        }
        Ok(Walked {
            segments: self.segments,
            end: at,
        })
    }

    fn header(&mut self, at: u64) -> Result<Header, ReadError> {
        if at.saturating_add(HEADER) > self.run.range.end {
            return Ok(Header::Torn);
        }
        self.ahead
            .reach(self.reader, at + HEADER - 1, self.run.range.end);
        header(self.reader, self.run, at)
    }

    /// A chunk is free if its successor says so.
    fn state(&mut self, end: u64, size: u64, next: Header) -> ChunkState {
        match next {
            Header::Chunk {
                before_in_use: false,
                before,
                ..
            }
            | Header::Fence {
                before_in_use: false,
                before,
                ..
            } if end != self.run.top => {
                if before != size {
                    self.problems.add("chunk-sizes-disagree", end);
                }
                ChunkState::Free
            }
            _ => ChunkState::InUse,
        }
    }

    fn push(&mut self, end: u64, state: ChunkState) {
        let arena = self.run.arena;
        let Some(last) = self.segments.last_mut() else {
            return;
        };
        let start = last.range.end;
        if start - last.range.start < LONGEST_SEGMENT {
            return last.push(end, state);
        }
        let mut segment = Segment::new(start, arena);
        segment.push(end, state);
        self.segments.push(segment);
    }

    /// The top chunk; it reaches to the end of what the arena has obtained.
    fn top(&mut self, at: u64) -> Result<u64, ReadError> {
        let end = match self.header(at)? {
            Header::Chunk { size, .. } => at + size,
            _ => {
                self.problems.add("torn-top", at);
                self.run.range.end
            }
        };
        self.push(end, ChunkState::Top);
        Ok(end)
    }

    /// What comes after the marks at the end of a run: the other mark, or the end. Where somebody
    /// else has moved the break in between, the heap goes on behind that memory.
    fn after_fence(&mut self, at: u64) -> Result<Option<(u64, Header)>, ReadError> {
        let next = self.header(at)?;
        if matches!(next, Header::Fence { .. }) {
            return Ok(Some((at, next)));
        }
        if self.run.top <= at || self.run.top >= self.run.range.end {
            return Ok(None);
        }
        let Some(found) = self.search(at)? else {
            return Ok(None);
        };
        if found > at {
            self.push(found, ChunkState::Overhead);
        }
        Ok(Some((found, self.header(found)?)))
    }

    /// Goes on where chunks make sense again.
    fn after_tear(&mut self, at: u64) -> Result<Option<(u64, Header)>, ReadError> {
        self.problems.add("torn-chunk", at);
        self.tears += 1;
        let found = match self.tears {
            ..=MOST_TEARS => self.search(at + ALIGNMENT)?,
            _ => None,
        };
        // The top chunk is known, wherever the rest has gone.
        let top = Some(self.run.top).filter(|&top| at < top && top < self.run.range.end);
        let Some(found) = found.or(top) else {
            self.push(self.run.range.end, ChunkState::Torn);
            return Ok(None);
        };
        self.push(found, ChunkState::Torn);
        Ok(Some((found, self.header(found)?)))
    }

    /// The first place from `at` on where several chunks follow each other.
    fn search(&mut self, at: u64) -> Read<u64> {
        let end = self.run.range.end.min(at.saturating_add(LONGEST_GAP));
        let mut at = at.next_multiple_of(ALIGNMENT);
        while at.saturating_add(HEADER) <= end {
            self.ahead
                .reach(self.reader, at + HEADER - 1, self.run.range.end);
            if at == self.run.top || convincing(self.reader, self.run, at)? {
                return Ok(Some(at));
            }
            at += ALIGNMENT;
        }
        Ok(None)
    }
}
