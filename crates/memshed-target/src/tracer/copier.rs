//! Copies pages of the target, or of its frozen copy, into the shared file.
//!
//! Runs beside the thread that uses ptrace, so that this one is always free to react. Pages that
//! do not exist are not read: it would create them.

use crate::maps::{self, Mapping, MappingKind};
use crate::memory::Range;
use crate::os::{self, PAGE};
use crate::pages::Pages;
use crate::placement::{AreaId, Placement};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

/// How much one thread takes on at a time.
const PIECE: u64 = 1 << 20;
/// How much is on its way at a time: it stays in the processor's cache.
const BUFFER: u64 = 256 << 10;
/// From this many bytes on, two threads copy.
const WORTH_TWO: u64 = 16 << 20;
/// So much of what is new is copied during a pause, in bytes: it takes about 60 ms.
pub(super) const MOST_NEW: u64 = 256 << 20;
/// So many bytes of new addresses are looked at during a pause: what is there is told by 8 bytes for
/// each page.
const MOST_ADDRESSES: u64 = 4 << 30;

/// `/proc/PID/pagemap` has a 64-bit word per page (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const EXCLUSIVE: u64 = 1 << 56;

/// A process whose pages are copied into an area.
pub(super) struct Source {
    pid: i32,
    /// `/proc/PID/mem`. process_vm_readv(2), which is faster where pages have their place already,
    /// pins them: the kernel then gives each process that shares a page since a fork its own.
    bytes: File,
    file: Arc<File>,
    area: AreaId,
    pages: Pages,
    mappings: Vec<Mapping>,
    pagemap: Option<File>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Only pages that are not there yet.
    Missing,
    /// Pages that may be there already, too.
    Again,
}

/// How to come by a page.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It was given back: it reads as zeros.
    Zero,
    /// It is mapped by nobody else, so that pinning does it no harm.
    Pin,
    /// By `/proc/PID/mem`.
    Read,
}

/// Which half of a copy failed.
enum Failed {
    Read,
    Write,
}

/// A run of pages to copy.
struct Work {
    range: Range,
    kind: MappingKind,
    way: Way,
}

impl Source {
    /// A source over all of `mappings` that can be read.
    pub(super) fn new(
        pid: i32,
        file: &Arc<File>,
        area: AreaId,
        mappings: Vec<Mapping>,
    ) -> std::io::Result<Source> {
        let mappings: Vec<Mapping> = mappings.into_iter().filter(Mapping::safe_to_read).collect();
        let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok();
        Ok(Source {
            pid,
            bytes: File::open(format!("/proc/{pid}/mem"))?,
            file: Arc::clone(file),
            area,
            pages: Pages::new(file, area, true)?,
            mappings,
            pagemap,
        })
    }

    /// The runs of adjacent readable mappings.
    pub(super) fn runs(&self) -> Vec<Range> {
        maps::join(self.mappings.iter().map(Mapping::range))
    }

    /// Copies what is not there yet of `ranges`, so many bytes at most, on so many processors.
    /// What was copied.
    pub(super) fn fetch(&self, ranges: &[Range], most: u64, processors: usize) -> Vec<Range> {
        let mut work = self.plan(ranges, Mode::Missing);
        let mut left = most;
        work.retain_mut(|piece| {
            let length = piece.range.len().min(left);
            piece.range.end = piece.range.start + length;
            left -= length;
            length > 0
        });
        let mut copied: Vec<Range> = work.iter().map(|w| w.range).collect();
        copied.sort_unstable();
        let copied = maps::join(copied.into_iter());
        self.copy(work, None, processors);
        copied
    }

    /// All that has been copied so far.
    pub(super) fn copied(&self) -> Vec<Range> {
        self.mappings
            .iter()
            .flat_map(|m| self.pages.known_runs(m.range()))
            .collect()
    }

    /// Where `ranges` can be copied to again without a page fault for each page. A hole costs a
    /// fault; what is there already is copied fastest straight to its place.
    pub(super) fn prepare(&self, ranges: &[Range]) -> std::io::Result<Placement> {
        let mapped: Vec<Range> = self.mappings.iter().map(Mapping::range).collect();
        let place = Placement::new(&self.file, self.area, &mapped, true)?;
        for range in ranges {
            os::populate_for_writing(place.local(range.start), range.len());
        }
        Ok(place)
    }

    /// Copies `ranges` again to where [`Source::prepare`] made room, on so many processors.
    pub(super) fn refresh(&self, ranges: &[Range], place: &Placement, processors: usize) {
        let work = self.plan(ranges, Mode::Again);
        self.copy(work, Some(place), processors);
    }

    fn plan(&self, ranges: &[Range], mode: Mode) -> Vec<Work> {
        let mut work = Vec::new();
        for range in ranges {
            let first = self.mappings.partition_point(|m| m.end <= range.start);
            for mapping in self.mappings[first..]
                .iter()
                .take_while(|m| m.start < range.end)
            {
                let start = range.start.max(mapping.start) & !(PAGE - 1);
                let end = range.end.min(mapping.end).next_multiple_of(PAGE);
                self.plan_mapping(Range { start, end }, mapping.kind(), mode, &mut work);
            }
        }
        work
    }

    fn plan_mapping(&self, range: Range, kind: MappingKind, mode: Mode, work: &mut Vec<Work>) {
        const BATCH: u64 = 32 << 20;
        let mut start = range.start;
        let mut entries = Vec::new();
        while start < range.end {
            let end = range.end.min(start + BATCH);
            if kind != MappingKind::Shared {
                self.read_pagemap(start, end, &mut entries);
            }
            for page in start / PAGE..end / PAGE {
                let entry = match kind {
                    MappingKind::Shared => PRESENT,
                    _ => entries
                        .get((page - start / PAGE) as usize)
                        .copied()
                        .unwrap_or(PRESENT),
                };
                self.plan_page(page, entry, kind, mode, work);
            }
            start = end;
        }
    }

    fn plan_page(
        &self,
        page: u64,
        entry: u64,
        kind: MappingKind,
        mode: Mode,
        work: &mut Vec<Work>,
    ) {
        let there = self.pages.is_present(page);
        if mode == Mode::Missing && self.pages.is_absent(page) {
            return;
        }
        if there && mode == Mode::Missing {
            return;
        }
        if entry & SWAPPED != 0 && entry & PRESENT == 0 {
            // What was copied of it before may be out of date.
            self.pages.set_swapped(page, 1);
            self.pages.clear_known(page);
            return;
        }
        let read = entry & PRESENT != 0 || kind == MappingKind::PrivateFile;
        if !read && !there {
            self.pages.set_absent(page, 1);
            return;
        }
        let way = match read {
            false => Way::Zero,
            // Only what is copied to its place again; otherwise it would tear runs apart for nothing.
            true if mode == Mode::Again && entry & (PRESENT | EXCLUSIVE) == PRESENT | EXCLUSIVE => {
                Way::Pin
            }
            true => Way::Read,
        };
        let at = page * PAGE;
        match work.last_mut() {
            Some(w) if w.range.end == at && w.way == way && w.kind == kind => {
                w.range.end += PAGE;
            }
            _ => work.push(Work {
                range: Range {
                    start: at,
                    end: at + PAGE,
                },
                kind,
                way,
            }),
        }
    }

    fn read_pagemap(&self, start: u64, end: u64, entries: &mut Vec<u64>) {
        entries.clear();
        let Some(pagemap) = &self.pagemap else { return };
        let mut bytes = vec![0; ((end - start) / PAGE * 8) as usize];
        let read = pagemap.read_at(&mut bytes, start / PAGE * 8).unwrap_or(0);
        let words = bytes[..read].chunks_exact(8);
        entries.extend(words.map(|w| w.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))));
    }

    fn copy(&self, work: Vec<Work>, place: Option<&Placement>, processors: usize) {
        let total: u64 = work.iter().map(|w| w.range.len()).sum();
        let pieces = Mutex::new(work.into_iter().flat_map(pieces).collect::<Vec<_>>());
        let worker = || {
            let mut buffer = vec![0; BUFFER.min(total) as usize];
            while let Some(piece) = pieces.lock().ok().and_then(|mut p| p.pop()) {
                if self.copy_piece(&piece, place, &mut buffer).is_break()
                    && let Ok(mut rest) = pieces.lock()
                {
                    rest.clear();
                }
            }
        };
        if total < WORTH_TWO || processors < 2 {
            return worker();
        }
        std::thread::scope(|scope| {
            scope.spawn(worker);
            worker();
        });
    }

    /// Copies a piece; `Break` if there is no use in going on with any.
    fn copy_piece(
        &self,
        piece: &Work,
        place: Option<&Placement>,
        buffer: &mut [u8],
    ) -> ControlFlow<()> {
        let Range { start, end } = piece.range;
        if piece.way == Way::Zero {
            // Copied once, and given back since: a hole reads as zeros.
            let _ = os::punch(&self.file, self.area.offset(start), end - start);
            return ControlFlow::Continue(());
        }
        let mut at = start;
        while at < end {
            let got = match (place, piece.way) {
                (Some(place), Way::Pin) => {
                    os::read_process_raw(self.pid, at, place.local(at), end - at)
                }
                (Some(place), _) => os::read_at_raw(&self.bytes, at, place.local(at), end - at),
                (None, _) => match self.append(at, end, buffer) {
                    // Memory is full; the next page would find none either.
                    Err(Failed::Write) => return ControlFlow::Break(()),
                    Err(Failed::Read) => Ok(0),
                    Ok(got) => Ok(got),
                },
            };
            let got = got.unwrap_or(0) / PAGE;
            if got > 0 {
                self.pages.set_present(at / PAGE, got);
                at += got * PAGE;
                continue;
            }
            if place.is_some() {
                // What was copied of it before may be out of date.
                self.pages.clear_known(at / PAGE);
            }
            // A page that cannot be read: past the end of a file, or the process is gone.
            if os::process_is_gone(self.pid) {
                return ControlFlow::Break(());
            }
            at += PAGE;
        }
        ControlFlow::Continue(())
    }

    /// Copies the pages of `at..end` that fit into `buffer` to holes of the file. Writing whole
    /// pages there saves the kernel from clearing them. How many bytes were copied.
    fn append(&self, at: u64, end: u64, buffer: &mut [u8]) -> Result<u64, Failed> {
        let len = buffer.len().min((end - at) as usize);
        let read = self.bytes.read_at(&mut buffer[..len], at);
        let got = read.map_err(|_| Failed::Read)?;
        let written = self.file.write_all_at(&buffer[..got], self.area.offset(at));
        written.map_err(|_| Failed::Write)?;
        Ok(got as u64)
    }
}

fn pieces(work: Work) -> impl Iterator<Item = Work> {
    let Work { range, kind, way } = work;
    (range.start..range.end)
        .step_by(PIECE as usize)
        .map(move |start| Work {
            range: Range {
                start,
                end: range.end.min(start + PIECE),
            },
            kind,
            way,
        })
}

/// Parts of today's mappings that were in none of the old ones, as many as can be looked at in a
/// hurry.
pub(super) fn new_parts(old: &[Range], now: &[Mapping]) -> Vec<Range> {
    let mut left = MOST_ADDRESSES;
    let mut parts = Vec::new();
    let anonymous = |m: &&Mapping| m.safe_to_read() && m.kind() == MappingKind::Anonymous;
    for mapping in now.iter().filter(anonymous) {
        let Range { mut start, end } = mapping.range();
        let first = old.partition_point(|r| r.end <= start);
        let overlapping = old[first..].iter().take_while(|r| r.start < end);
        // Up to each old one, and what is behind the last.
        for known in overlapping.copied().chain([Range { start: end, end }]) {
            let part = Range {
                start,
                end: known.start.max(start),
            };
            if !part.is_empty() && part.len() <= left {
                left -= part.len();
                parts.push(part);
            }
            start = known.end.max(start);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::parse_maps;

    const HEAP: u64 = 0x1000_0000;

    /// What is new where a heap of `size` bytes is now.
    fn new_in_heap(old: &[(u64, u64)], size: u64) -> Vec<Range> {
        let line = format!("{HEAP:x}-{:x} rw-p 00000000 00:00 0 [heap]\n", HEAP + size);
        let old: Vec<Range> = old.iter().map(|&(from, to)| part(from, to)).collect();
        new_parts(&old, &parse_maps(&line))
    }

    fn part(from: u64, to: u64) -> Range {
        Range {
            start: HEAP + from,
            end: HEAP + to,
        }
    }

    #[test]
    fn what_a_mapping_has_grown_by_is_new() {
        let mb = 1 << 20;
        let grown = new_in_heap(&[(0, 100 * mb)], 110 * mb);
        assert_eq!(grown, [part(100 * mb, 110 * mb)]);
        assert_eq!(new_in_heap(&[(0, 100 * mb)], 100 * mb), []);
        let around = new_in_heap(&[(2 * mb, 3 * mb), (5 * mb, 6 * mb)], 7 * mb);
        let expected = [part(0, 2 * mb), part(3 * mb, 5 * mb), part(6 * mb, 7 * mb)];
        assert_eq!(around, expected);
    }

    #[test]
    fn what_cannot_be_looked_at_in_a_hurry_is_left_out() {
        let mb = 1 << 20;
        let parts = new_in_heap(&[(mb, 2 * mb)], MOST_ADDRESSES + 4 * mb);
        assert_eq!(parts, [part(0, mb)]);
    }
}
