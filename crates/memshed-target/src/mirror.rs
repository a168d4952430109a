//! Memory of a target, copied page by page as it is asked for.

use crate::memory::{Memory, Range, ReadError, RemoteAddr};
use crate::os::{self, PAGE};
use crate::placement::{AreaId, Placement};
use crate::session::Link;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is copied at least, in bytes.
const CHUNK: u64 = 64 << 10;
/// What is copied at most in advance of sequential reading.
const LARGEST_AHEAD: u64 = 4 << 20;

/// A growing copy of a process's memory, live or frozen.
///
/// Pages are copied once and then stay as they are. Of a live process they are from different
/// moments, so that what they say may contradict itself.
pub struct Mirror {
    placement: Placement,
    area: AreaId,
    runs: Vec<Range>,
    link: Arc<Link>,
    ahead: Mutex<Ahead>,
    copied: AtomicU64,
}

/// Where sequential reading would go on, and how far to read then.
#[derive(Default)]
struct Ahead {
    next: u64,
    step: u64,
}

impl Mirror {
    pub(crate) fn new(
        file: &File,
        area: AreaId,
        runs: Vec<Range>,
        link: Arc<Link>,
    ) -> io::Result<Mirror> {
        let placement = Placement::new(file, area, &runs, false)?;
        Ok(Mirror {
            placement,
            area,
            runs,
            link,
            ahead: Mutex::default(),
            copied: AtomicU64::new(0),
        })
    }

    /// The runs of adjacent mappings that can be read, in order.
    pub fn runs(&self) -> &[Range] {
        &self.runs
    }

    /// How many bytes have been copied so far.
    pub fn fetched_bytes(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    #[cold]
    fn slow(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        if len == 0 {
            return Ok(&[]);
        }
        let run = self.mapped_run(at).ok_or(ReadError::Unmapped(at))?;
        let end = at.0.checked_add(len as u64).filter(|&end| end <= run.end);
        let end = end.ok_or(ReadError::Unmapped(RemoteAddr(run.end)))?;
        if let Some(bytes) = self.placement.bytes_anywhere(at.0, len) {
            return Ok(bytes);
        }
        let there = self.fetch(&[self.widen(at.0, end, run)]).is_some();
        if let Some(bytes) = self.placement.bytes_anywhere(at.0, len) {
            return Ok(bytes);
        }
        Err(
            match self
                .placement
                .pages()
                .first_swapped(at.0 / PAGE, (end - 1) / PAGE)
            {
                Some(page) => ReadError::Swapped(RemoteAddr((page * PAGE).max(at.0))),
                None if there => ReadError::Unmapped(at),
                None => ReadError::NotCopied(at),
            },
        )
    }

    /// Whole chunks, and more and more of them as long as each begins where the last ended.
    fn widen(&self, start: u64, end: u64, run: Range) -> Range {
        let first = start / CHUNK * CHUNK;
        let mut last = end.div_ceil(CHUNK) * CHUNK;
        if let Ok(mut ahead) = self.ahead.lock() {
            ahead.step = match ahead.next == first {
                true => (ahead.step * 2).clamp(CHUNK, LARGEST_AHEAD),
                false => CHUNK,
            };
            last = last.max(first + ahead.step);
            ahead.next = last;
        }
        Range {
            start: first.max(run.start),
            end: last.min(run.end),
        }
    }

    /// Has the tracer copy `ranges`. `None` if there is nothing to copy from any more.
    fn fetch(&self, ranges: &[Range]) -> Option<Vec<Range>> {
        let copied = self.link.fetch(self.area, ranges)?;
        let bytes = copied.iter().map(|r| r.len()).sum();
        self.copied.fetch_add(bytes, Ordering::Relaxed);
        Some(copied)
    }

    /// `range` without what is not mapped.
    fn clip(&self, range: Range) -> impl Iterator<Item = Range> {
        let first = self.runs.partition_point(|r| r.end <= range.start);
        self.runs[first..]
            .iter()
            .take_while(move |r| r.start < range.end)
            .map(move |r| Range {
                start: r.start.max(range.start),
                end: r.end.min(range.end),
            })
    }
}

impl Memory for Mirror {
    #[inline]
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        match self.placement.bytes(at.0, len) {
            Some(bytes) => Ok(bytes),
            None => self.slow(at, len),
        }
    }

    fn prefetch(&self, ranges: &[Range]) {
        let wanted: Vec<Range> = ranges.iter().flat_map(|&r| self.clip(r)).collect();
        if wanted.is_empty() {
            return;
        }
        for range in self.fetch(&wanted).unwrap_or_default() {
            os::populate_for_reading(self.placement.local(range.start), range.len());
        }
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        let index = self.runs.partition_point(|r| r.end <= at.0);
        self.runs.get(index).copied().filter(|r| r.contains(at))
    }
}
