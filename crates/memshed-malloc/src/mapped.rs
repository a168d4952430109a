//! Chunks that have a mapping of their own: large ones (`M_MMAP_THRESHOLD`, mallopt(3)).

use crate::arena::Tally;
use crate::chunks::HEADER;
use crate::layout::{IS_MMAPPED, SIZE_FLAGS};
use crate::read::{PAGE, Reader};
use memshed_target::{Mapping, MappingKind, Memory, Range, ReadError, RemoteAddr};

/// Most pages of memory with unknown use that are looked at for chunks that begin there.
const MOST_PAGES: u64 = 1 << 18;
/// How many pages are fetched at a time.
const BATCH: u64 = 1 << 10;

/// A chunk with a mapping of its own. The kernel merges neighbouring mappings, so that several may
/// lie in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedChunk {
    /// Whole pages, header included. Memory asked for with an alignment may begin later.
    pub range: Range,
    /// How many bytes the program may use (`malloc_usable_size`).
    pub usable: u64,
}

impl MappedChunk {
    /// The address that malloc returned, unless an alignment was asked for.
    #[must_use]
    pub fn user(&self) -> RemoteAddr {
        RemoteAddr(self.range.start + HEADER)
    }
}

/// Searches anonymous memory for chunks, `said` how many there are.
pub(crate) struct Search<'a, M> {
    pub(crate) reader: Reader<'a, M>,
    /// What malloc says that there is.
    pub(crate) said: Option<Tally>,
    /// Memory of other use, in order.
    pub(crate) taken: &'a [Range],
    /// Whether the size in a chunk's header leaves out the header (since 2.43).
    pub(crate) without_header: bool,
    pub(crate) found: Vec<MappedChunk>,
}

impl<M: Memory> Search<'_, M> {
    /// The chunks, in order of address.
    pub(crate) fn run(mut self, mappings: &[Mapping]) -> Result<Vec<MappedChunk>, ReadError> {
        let anonymous = mappings
            .iter()
            .filter(|m| m.kind() == MappingKind::Anonymous && m.readable() && m.writable())
            .filter(|m| !m.path.starts_with("[stack"));
        let mut runs: Vec<Range> = Vec::new();
        let mut starts = Vec::new();
        for range in anonymous.map(Mapping::range) {
            starts.push(range.start);
            // What a program says of a part of a chunk (madvise(2)) cuts its mapping in two: the
            // page with the header stays behind, maybe at the end of somebody else's mapping.
            match runs.last_mut() {
                Some(run) if run.end == range.start => {
                    starts.push(range.start - PAGE);
                    run.end = range.end;
                }
                _ => runs.push(range),
            }
        }
        let gaps: Vec<Range> = runs.into_iter().flat_map(|run| self.gaps(run)).collect();
        starts.extend(gaps.iter().map(|gap| gap.start));
        starts.sort_unstable();
        starts.dedup();
        let pages: Vec<Range> = starts.iter().map(|&at| page_at(at)).collect();
        self.reader.prefetch(&pages);
        let mut rest = Vec::new();
        for gap in gaps {
            self.likely(gap, &starts, &mut rest)?;
        }
        let (mut pages, mut end) = (0, 0);
        for (part, limit) in rest {
            if self.complete() || pages >= MOST_PAGES {
                break;
            }
            // A chunk may have reached beyond the part that it began in.
            let start = part.start.max(end);
            pages += part.len() / PAGE;
            end = self.pages(Range { start, ..part }, limit)?;
        }
        self.found.sort_by_key(|c| c.range.start);
        Ok(self.found)
    }

    /// Looks where chunks are likely to begin: where a mapping does, or other use ends. Only if
    /// some are missing afterwards every page of what is left is looked at: `rest`, each part
    /// with the address that no chunk in it reaches beyond.
    fn likely(
        &mut self,
        gap: Range,
        starts: &[u64],
        rest: &mut Vec<(Range, u64)>,
    ) -> Result<(), ReadError> {
        let mut at = gap.start;
        while at < gap.end {
            let start = self.chain(Range { start: at, ..gap })?;
            let next = starts.partition_point(|&s| s <= start.max(at));
            let end = starts.get(next).map_or(gap.end, |&next| next.min(gap.end));
            if start < end {
                rest.push((Range { start, end }, gap.end));
            }
            at = end;
        }
        Ok(())
    }

    /// What is left of `range` without what is taken.
    fn gaps(&self, range: Range) -> Vec<Range> {
        let mut gaps = Vec::new();
        let mut start = range.start;
        let first = self.taken.partition_point(|t| t.end <= range.start);
        for taken in self.taken[first..]
            .iter()
            .take_while(|t| t.start < range.end)
        {
            gaps.push(Range {
                start,
                end: taken.start & !(PAGE - 1),
            });
            start = start.max(taken.end.next_multiple_of(PAGE));
        }
        gaps.push(Range {
            start,
            end: range.end,
        });
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }

    fn complete(&self) -> bool {
        let found = self.found.len() as u64;
        self.said.is_some_and(|said| found >= said.count)
    }

    /// Takes chunks that follow each other from the start of `gap`. Where they end.
    fn chain(&mut self, gap: Range) -> Result<u64, ReadError> {
        let mut at = gap.start;
        while at < gap.end {
            self.reader.prefetch(&[page_at(at)]);
            let Some(chunk) = self.chunk(at, gap.end)? else {
                break;
            };
            at = chunk.range.end;
            self.found.push(chunk);
        }
        Ok(at)
    }

    /// Looks for chunks at every page of `part`. Where the last one ends, or the part does.
    fn pages(&mut self, part: Range, limit: u64) -> Result<u64, ReadError> {
        let mut at = part.start;
        let mut fetched = at;
        while at < part.end && !self.complete() {
            if at >= fetched {
                fetched = part.end.min(at + BATCH * PAGE);
                self.reader.prefetch(&[Range {
                    start: at,
                    end: fetched,
                }]);
            }
            let chunk = self.chunk(at, limit)?;
            self.found.extend(chunk);
            at = chunk.map_or(at + PAGE, |c| c.range.end);
        }
        Ok(at)
    }

    fn chunk(&self, at: u64, end: u64) -> Result<Option<MappedChunk>, ReadError> {
        let Some((offset, head)) = self.reader.header(at)? else {
            return Ok(None);
        };
        let size = head & !SIZE_FLAGS;
        let Some(size) = size.checked_add(if self.without_header { HEADER } else { 0 }) else {
            return Ok(None);
        };
        // The lowest bit of the offset marks huge pages.
        let good = offset <= 1
            && head & SIZE_FLAGS == IS_MMAPPED
            && size >= PAGE
            && size.is_multiple_of(PAGE)
            && size <= end.saturating_sub(at);
        let range = Range {
            start: at,
            end: at.saturating_add(size),
        };
        let unusable = if self.without_header {
            HEADER + 8
        } else {
            HEADER
        };
        Ok(good.then(|| MappedChunk {
            range,
            usable: size - unusable,
        }))
    }
}

fn page_at(at: u64) -> Range {
    Range {
        start: at,
        end: at.saturating_add(PAGE),
    }
}
