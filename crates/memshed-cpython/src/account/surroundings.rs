//! What is around the interpreter's heap: mappings, which of their pages are resident, and the
//! heaps of the system's allocator.

use crate::pymalloc::PAGE;
use memshed_malloc::{Glibc, Hints, Owners};
use memshed_target::{
    Mapping, MappingUse, Memory, Range, ReadError, RemoteAddr, Residency, ThreadInfo,
};

/// What is around the interpreter's heap.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The mappings with their resident bytes, from the process itself: a forked copy lacks the
    /// page tables of file mappings.
    pub mappings: Vec<MappingUse>,
    /// Which pages are resident, also from the process itself. Where nothing is known of any
    /// page, all are taken as resident.
    pub residency: Residency,
    /// glibc's malloc, if the process uses it.
    pub glibc: Option<Glibc>,
    /// The owner of each piece of each mapping.
    pub owners: Owners,
    /// The threads.
    pub threads: Vec<ThreadInfo>,
    /// What of the allocator's state could not be had, so that nothing is known of it.
    missing: Option<RemoteAddr>,
}

impl Surroundings {
    /// Finds out what is around the heap. `interpreter` is what the interpreter has mapped
    /// itself ([`crate::Walk::interpreter_mappings`]).
    ///
    /// # Errors
    /// If the memory cannot be read any more.
    pub fn read<M: Memory>(
        memory: &M,
        mappings: Vec<MappingUse>,
        residency: Residency,
        interpreter: &[Range],
        threads: Vec<ThreadInfo>,
    ) -> Result<Surroundings, ReadError> {
        let list: Vec<Mapping> = mappings.iter().map(|m| m.mapping.clone()).collect();
        let numbers: Vec<i32> = threads.iter().map(|thread| thread.own_tid).collect();
        let hints = Hints {
            foreign: interpreter,
            threads: &numbers,
        };
        let glibc = Glibc::read(memory, &list, &hints)?;
        let owners = Owners::find(memory, &list, glibc.as_ref(), &hints)?;
        Ok(Surroundings {
            mappings,
            residency,
            glibc,
            owners,
            threads,
            missing: None,
        })
    }

    /// What is around the heap where the allocator's state at `at` could not be had.
    pub fn unknown(
        mappings: Vec<MappingUse>,
        residency: Residency,
        at: RemoteAddr,
    ) -> Surroundings {
        Surroundings {
            mappings,
            residency,
            missing: Some(at),
            ..Surroundings::default()
        }
    }

    /// Resident bytes that `malloc_trim(0)` would give back.
    pub(crate) fn trimmable_bytes(&self) -> u64 {
        let ranges = self.glibc.iter().flat_map(|glibc| glibc.trimmable());
        ranges.map(|range| self.resident_pages(range)).sum()
    }

    /// What did not make sense.
    pub fn problems(&self) -> Vec<memshed_heap::Problem> {
        let malloc = self.glibc.iter().flat_map(|glibc| glibc.problems.list());
        let all = malloc.chain(self.owners.problems.list());
        let problem = |problem: &memshed_malloc::Problem| memshed_heap::Problem {
            kind: problem.kind.to_owned(),
            count: problem.count,
            example: format!("at {}", problem.example),
        };
        let missing = self.missing.map(|at| memshed_heap::Problem {
            kind: "allocator-not-copied".to_owned(),
            count: 1,
            example: format!("malloc's state at {at} was new when the process stood still"),
        });
        all.map(problem).chain(missing).collect()
    }

    /// Resident bytes of the pages that a range of whole pages touches.
    #[inline]
    pub(crate) fn resident_pages(&self, range: Range) -> u64 {
        match self.mappings.is_empty() {
            true => range.len(),
            false => self.residency.resident_bytes(range),
        }
    }

    /// Resident bytes of a range that need not begin and end with a page.
    pub(crate) fn resident_within(&self, range: Range) -> u64 {
        resident_within(&|pages| self.resident_pages(pages), range)
    }

    /// The ranges of the allocator's heaps.
    pub(crate) fn heap_ranges(&self) -> Vec<Range> {
        let heaps = self.glibc.iter().flat_map(|glibc| glibc.chunks.ranges());
        heaps.map(|(range, _)| range).collect()
    }
}

/// Resident bytes of a range that need not begin and end with a page; `pages` tells those of
/// whole pages.
pub(crate) fn resident_within(pages: &dyn Fn(Range) -> u64, range: Range) -> u64 {
    // Pages of user space end far below the greatest number.
    if range.is_empty() || range.end > 1 << 60 {
        return 0;
    }
    let (start, end) = (range.start / PAGE * PAGE, range.end.next_multiple_of(PAGE));
    let whole = pages(Range { start, end });
    if whole == end - start {
        return range.len();
    }
    if whole == 0 {
        return 0;
    }
    // The first and the last page count in part.
    let page = |start: u64| {
        let end = start + PAGE;
        pages(Range { start, end }) > 0
    };
    let mut bytes = whole;
    if page(start) {
        bytes -= range.start - start;
    }
    if page(end - PAGE) {
        bytes -= end - range.end;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_count_as_far_as_the_range_covers_them() {
        // The odd pages are resident.
        let pages = |range: Range| {
            let pages = range.start / PAGE..range.end.div_ceil(PAGE);
            pages.filter(|page| page % 2 == 1).count() as u64 * PAGE
        };
        for start in [0, 1, 4095, 4096, 5000, 8191, 8192, 12_288, 13_000] {
            for end in [0, 1, 4095, 4096, 4097, 5000, 8192, 12_289, 20_000, 30_000] {
                let naive = (start..end).filter(|at| at / PAGE % 2 == 1).count() as u64;
                let range = Range { start, end };
                assert_eq!(resident_within(&pages, range), naive, "{range:?}");
            }
        }
    }
}
