//! A process's memory, for tests that read it more than once or change it.

use memshed_target::{Memory, Process, Range, ReadError, RemoteAddr};
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;

/// A process's memory, copied whole: runs of bytes, by the address at which each begins.
#[derive(Clone)]
pub struct Copy(pub Vec<(u64, Vec<u8>)>);

impl Copy {
    /// Copies the memory of a process that stands still or waits.
    ///
    /// # Panics
    /// If its mappings or its memory can't be opened.
    #[must_use]
    pub fn of(process: &Process) -> Copy {
        let memory = File::open(format!("/proc/{}/mem", process.pid())).expect("its memory");
        let pagemap = File::open(format!("/proc/{}/pagemap", process.pid())).expect("its pages");
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut add = |start: u64, bytes: Vec<u8>| match runs.last_mut() {
            Some((first, run)) if *first + run.len() as u64 == start => run.extend(bytes),
            _ => runs.push((start, bytes)),
        };
        for mapping in process.mappings().expect("its mappings") {
            if !mapping.safe_to_read() {
                continue;
            }
            let range = mapping.range();
            if !mapping.has_file() {
                // Reading a page that is not there would map the zero page in the process.
                let mut bytes = vec![0; range.len() as usize];
                let there = there(&pagemap, range);
                let whole = there.iter().all(|pages| {
                    let offset = (pages.start - range.start) as usize;
                    let bytes = &mut bytes[offset..offset + pages.len() as usize];
                    memory.read_exact_at(bytes, pages.start).is_ok()
                });
                if whole {
                    add(range.start, bytes);
                    continue;
                }
            }
            let mut bytes = vec![0; range.len() as usize];
            if memory.read_exact_at(&mut bytes, range.start).is_ok() {
                add(range.start, bytes);
                continue;
            }
            // A stack's guard pages may be part of its mapping (MADV_GUARD_INSTALL, glibc 2.42).
            for start in (range.start..range.end).step_by(PAGE) {
                let mut page = vec![0; PAGE];
                if memory.read_exact_at(&mut page, start).is_ok() {
                    add(start, page);
                }
            }
        }
        Copy(runs)
    }

    fn run(&self, at: RemoteAddr) -> Option<&(u64, Vec<u8>)> {
        let after = self.0.partition_point(|run| run.0 <= at.0);
        let run = &self.0[after.checked_sub(1)?];
        (at.0 - run.0 < run.1.len() as u64).then_some(run)
    }
}

/// The pages of `range` that are in memory or in swap, in runs.
fn there(pagemap: &File, range: Range) -> Vec<Range> {
    let (page, mut runs) = (PAGE as u64, Vec::<Range>::new());
    let mut words = vec![0; (range.len() / page * 8) as usize];
    if pagemap
        .read_exact_at(&mut words, range.start / page * 8)
        .is_err()
    {
        return vec![range];
    }
    for (i, word) in (0..).zip(words.as_chunks::<8>().0) {
        let start = range.start + i * page;
        match runs.last_mut() {
            // Present, or swapped.
            _ if u64::from_le_bytes(*word) >> 62 == 0 => {}
            Some(run) if run.end == start => run.end += page,
            _ => runs.push(Range {
                start,
                end: start + page,
            }),
        }
    }
    runs
}

impl Memory for Copy {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let (start, bytes) = self.run(at).ok_or(ReadError::Unmapped(at))?;
        let from = (at.0 - start) as usize;
        let to = from.checked_add(len).ok_or(ReadError::Unmapped(at))?;
        bytes.get(from..to).ok_or(ReadError::Unmapped(at))
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        let (start, bytes) = self.run(at)?;
        Some(Range {
            start: *start,
            end: start + bytes.len() as u64,
        })
    }
}
