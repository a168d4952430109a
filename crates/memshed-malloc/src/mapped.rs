//! Chunks that have a mapping of their own: large ones (`M_MMAP_THRESHOLD`, mallopt(3)).

use crate::arena::Tally;
use crate::chunks::HEADER;
use crate::layout::{IS_MMAPPED, SIZE_FLAGS};
use crate::read::{PAGE, Reader};
use memshed_target::{Mapping, MappingKind, Memory, Range, ReadError, RemoteAddr};

/// Most pages of memory with unknown use that are looked at for chunks that begin there.
const MOST_PAGES: u64 = 1 << 20;
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
        let free: Vec<Range> = mappings
            .iter()
            .filter(|m| m.kind() == MappingKind::Anonymous && m.readable() && m.writable())
            .filter(|m| !m.path.starts_with("[stack"))
            .flat_map(|m| self.gaps(m.range()))
            .collect();
        // Where a gap begins is where a chunk begins, most likely; only if some are missing
        // afterwards every page is looked at.
        let starts: Vec<Range> = free.iter().map(|gap| page_at(gap.start)).collect();
        self.reader.prefetch(&starts);
        let mut rest = Vec::new();
        for gap in free {
            let end = self.chain(gap)?;
            if end < gap.end {
                rest.push(Range { start: end, ..gap });
            }
        }
        let mut pages = 0;
        for gap in rest {
            if self.complete() || pages >= MOST_PAGES {
                break;
            }
            pages += gap.len() / PAGE;
            self.pages(gap)?;
        }
        self.found.sort_by_key(|c| c.range.start);
        Ok(self.found)
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
        let Some(said) = self.said else { return false };
        let bytes: u64 = self.found.iter().map(|c| c.range.len()).sum();
        self.found.len() as u64 >= said.count && bytes >= said.bytes
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

    /// Looks for chunks at every page of `gap`.
    fn pages(&mut self, gap: Range) -> Result<(), ReadError> {
        let mut at = gap.start;
        let mut fetched = at;
        while at < gap.end && !self.complete() {
            if at >= fetched {
                fetched = gap.end.min(at + BATCH * PAGE);
                self.reader.prefetch(&[Range {
                    start: at,
                    end: fetched,
                }]);
            }
            let end = self.chain(Range { start: at, ..gap })?;
            at = if end > at { end } else { at + PAGE };
        }
        Ok(())
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
