//! What `malloc_trim(0)` would give back, computed as it does (`mtrim` and `systrim` of
//! malloc/malloc.c).

use crate::chunks::{Chunk, ChunkState, Chunks};
use crate::layout::{CHUNK_STRUCT, MIN_CHUNK};
use crate::read::PAGE;
use memshed_target::Range;

/// Adds the ranges that an arena would give back. `unit`: the pages that its top is measured in;
/// `break_at`: the end of what brk(2) has given.
pub(crate) fn find(
    chunks: &Chunks,
    arena: usize,
    unit: u64,
    break_at: u64,
    found: &mut Vec<Range>,
) {
    let mut run: Option<Range> = None;
    for chunk in chunks.of_arena(arena) {
        let free = matches!(chunk.state, ChunkState::Free | ChunkState::FastBin);
        let joined = run.filter(|r| r.end == chunk.range.start);
        if free {
            // Fast bins are emptied first, and their chunks merged with free neighbours.
            if joined.is_none() {
                found.extend(run.and_then(within));
            }
            run = Some(Range {
                start: joined.map_or(chunk.range.start, |r| r.start),
                end: chunk.range.end,
            });
        } else if chunk.state == ChunkState::Top && arena == 0 {
            run = run.filter(|_| joined.is_none());
            let start = joined.map_or(chunk.range.start, |r| r.start);
            found.extend(of_top(start, &chunk, unit, break_at));
        } else if chunk.state == ChunkState::Top && joined.is_some() {
            // Merged with a top chunk that is left alone.
            run = None;
        }
    }
    found.extend(run.and_then(within));
}

/// The whole pages within a free chunk, behind the words that it is listed by.
fn within(chunk: Range) -> Option<Range> {
    let start = chunk.start.checked_add(CHUNK_STRUCT + PAGE - 1)? & !(PAGE - 1);
    let end = chunk.end & !(PAGE - 1);
    (start < end).then_some(Range { start, end })
}

/// What the break would be lowered by.
fn of_top(start: u64, top: &Chunk, unit: u64, break_at: u64) -> Option<Range> {
    let end = top.range.end;
    let area = (end - start).checked_sub(MIN_CHUNK + 1)?;
    let extra = area / unit * unit;
    (extra > 0 && end == break_at).then_some(Range {
        start: end - extra,
        end,
    })
}
