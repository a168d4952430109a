//! Where the bytes of a target lie in our own address space, and which of them are there.
//!
//! The tracer and the command share one sparse file in memory. It holds two *areas* (the live
//! process, the frozen copy); in each, the file offset is the target's address. Either process
//! maps the file so that `own address = target address ^ key`, with one key for the whole area:
//! translation is a single instruction, and neighbours stay neighbours. Beside the bytes lie two
//! bitmaps with a bit for each page of the target: present, swapped out, and absent, which reads as
//! zeros and costs nothing.

#![allow(unsafe_code)]

use crate::memory::Range;
use crate::os::{self, Mapped, PAGE};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// One past the last user address with four-level page tables (Documentation/arch/x86/x86_64/mm.rst).
pub(crate) const TOP: u64 = 1 << 47;
/// Bytes of one bitmap: a bit per page below `TOP`.
const BITMAP: u64 = TOP / PAGE / 8;
/// The size of the shared file: two areas, then three bitmaps for each.
pub(crate) const FILE_SIZE: u64 = 2 * TOP + 6 * BITMAP;
/// Longest run of absent pages that is handed out without giving it memory.
const ZEROS: u64 = 64 << 20;
/// Keys in order of preference. Only bits 44 to 46, so that a run of addresses stays a run
/// wherever the kernel has put it; executables start at 0x55…, libraries at 0x7f….
const KEYS: [u64; 7] = [0x2, 0x1, 0x3, 0x4, 0x6, 0x5, 0x7];
const SLOT_BITS: u32 = 40;
const SLOTS: usize = (TOP >> SLOT_BITS) as usize;

/// Which of the two areas of the shared file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum AreaId {
    /// The live process.
    Live,
    /// The frozen copy.
    Frozen,
}

impl AreaId {
    fn index(self) -> u64 {
        self as u64
    }
}

/// An area of the shared file, mapped.
pub(crate) struct Placement {
    key: u64,
    /// For each terabyte of the target, the part of it that is mapped.
    slots: Box<[Range; SLOTS]>,
    present: Bits,
    swapped: Bits,
    absent: Bits,
    zeros: Mapped,
    _maps: Vec<Mapped>,
}

impl Placement {
    /// Maps `id` so that all `regions` (sorted, page aligned) have a place.
    pub(crate) fn new(
        file: &File,
        id: AreaId,
        regions: &[Range],
        writable: bool,
    ) -> io::Result<Placement> {
        let slots = spans(regions);
        let bitmap = |n: u64| {
            let offset = 2 * TOP + (3 * id.index() + n) * BITMAP;
            Mapped::new(file, offset, BITMAP, None, writable).map(Bits)
        };
        let (present, swapped, absent) = (bitmap(0)?, bitmap(1)?, bitmap(2)?);
        let zeros = Mapped::zeros(ZEROS)?;
        for key in KEYS.map(|k| k << 44) {
            match map_all(file, id, &slots, key, writable) {
                Ok(maps) => {
                    return Ok(Placement {
                        key,
                        slots,
                        present,
                        swapped,
                        absent,
                        zeros,
                        _maps: maps,
                    });
                }
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other(
            "no room in the address space for a copy of the target",
        ))
    }

    /// Where the byte at target address `at` lies here, if `at` is within a span.
    pub(crate) fn local(&self, at: u64) -> u64 {
        at ^ self.key
    }

    /// Whether all pages of `start..end` lie in mapped spans.
    fn placed(&self, start: u64, end: u64) -> bool {
        let (first, last) = (start >> SLOT_BITS, (end - 1) >> SLOT_BITS);
        (first..=last).all(|slot| {
            let from = start.max(slot << SLOT_BITS);
            let to = end.min((slot + 1) << SLOT_BITS);
            self.slots
                .get(slot as usize)
                .is_some_and(|s| s.start <= from && to <= s.end)
        })
    }

    /// The bytes, if every page of them is present. The hot path of everything: no lock, no search.
    #[inline]
    pub(crate) fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
        let end = at.wrapping_add(len as u64);
        let span = self.slots.get((at >> SLOT_BITS) as usize)?;
        if at < span.start || end > span.end || end <= at {
            return None;
        }
        let (first, last) = (at / PAGE, (end - 1) / PAGE);
        let there = if first == last {
            self.present.get(first)
        } else {
            self.present.all(first, last)
        };
        // SAFETY: the span is mapped for as long as `self` lives, and a present page is not
        // written any more while slices of it may exist.
        there.then(|| unsafe { std::slice::from_raw_parts((at ^ self.key) as *const u8, len) })
    }

    /// The same for slices that cross a terabyte or hold absent pages.
    pub(crate) fn bytes_anywhere(&self, at: u64, len: usize) -> Option<&[u8]> {
        let end = at
            .checked_add(len as u64)
            .filter(|&end| end > at && end <= TOP)?;
        let (first, last) = (at / PAGE, (end - 1) / PAGE);
        if !self.placed(at, end) {
            return None;
        }
        if len as u64 <= ZEROS && (first..=last).all(|page| self.is_absent(page)) {
            // SAFETY: `zeros` is at least as long, and is never written.
            return Some(unsafe { std::slice::from_raw_parts(self.zeros.base(), len) });
        }
        let known = |page| self.present.get(page) || self.absent.get(page);
        // SAFETY: as in `bytes`; spans of neighbouring slots that touch are neighbours here too,
        // since the key has no bit below 44 and no run of the target is as long as that. An
        // absent page is a hole of the file, and reads as zeros.
        (first..=last)
            .all(known)
            .then(|| unsafe { std::slice::from_raw_parts((at ^ self.key) as *const u8, len) })
    }

    /// Whether a page is present.
    pub(crate) fn is_present(&self, page: u64) -> bool {
        self.present.get(page)
    }

    /// The first page of `first..=last` that is swapped out.
    pub(crate) fn first_swapped(&self, first: u64, last: u64) -> Option<u64> {
        (first..=last).find(|&page| self.swapped.get(page))
    }

    /// Marks pages as present.
    pub(crate) fn set_present(&self, first: u64, count: u64) {
        self.present.set(first, count);
    }

    /// Marks pages as absent.
    pub(crate) fn set_absent(&self, first: u64, count: u64) {
        self.absent.set(first, count);
    }

    /// Whether a page is absent.
    pub(crate) fn is_absent(&self, page: u64) -> bool {
        self.absent.get(page) && !self.present.get(page)
    }

    /// Marks pages as swapped out.
    pub(crate) fn set_swapped(&self, first: u64, count: u64) {
        self.swapped.set(first, count);
    }

    /// The runs of pages within `range` that are known, present or absent, in bytes.
    pub(crate) fn known_runs(&self, range: Range) -> Vec<Range> {
        let mut runs: Vec<Range> = Vec::new();
        let mut page = range.start / PAGE;
        let last = range.end / PAGE;
        while page < last {
            let word = self.present.word(page) | self.absent.word(page);
            if page.is_multiple_of(64) && word == 0 {
                page += 64;
                continue;
            }
            if word >> (page % 64) & 1 == 1 {
                let at = page * PAGE;
                match runs.last_mut() {
                    Some(run) if run.end == at => run.end += PAGE,
                    _ => runs.push(Range {
                        start: at,
                        end: at + PAGE,
                    }),
                }
            }
            page += 1;
        }
        runs
    }
}

/// Forgets everything in an area, so that it can be used again.
pub(crate) fn clear(file: &File, id: AreaId) -> io::Result<()> {
    os::punch(file, id.index() * TOP, TOP)?;
    os::punch(file, 2 * TOP + 3 * id.index() * BITMAP, 3 * BITMAP)
}

fn spans(regions: &[Range]) -> Box<[Range; SLOTS]> {
    let mut slots = Box::new([Range { start: 0, end: 0 }; SLOTS]);
    for region in regions {
        let mut start = region.start;
        while start < region.end.min(TOP) {
            let slot = start >> SLOT_BITS;
            let end = region.end.min((slot + 1) << SLOT_BITS);
            if let Some(span) = slots.get_mut(slot as usize) {
                if span.is_empty() {
                    *span = Range { start, end };
                } else {
                    span.start = span.start.min(start);
                    span.end = span.end.max(end);
                }
            }
            start = end;
        }
    }
    slots
}

fn map_all(
    file: &File,
    id: AreaId,
    slots: &[Range; SLOTS],
    key: u64,
    writable: bool,
) -> io::Result<Vec<Mapped>> {
    let used = slots.iter().filter(|s| !s.is_empty());
    used.map(|s| {
        let offset = id.index() * TOP + s.start;
        Mapped::new(file, offset, s.len(), Some(s.start ^ key), writable)
    })
    .collect()
}

/// A bit for each page of the target.
struct Bits(Mapped);

impl Bits {
    #[inline]
    fn cell(&self, page: u64) -> &AtomicU64 {
        debug_assert!(page < TOP / PAGE);
        // SAFETY: callers pass pages below TOP; the mapping has a bit for each and is aligned.
        unsafe { &*self.0.base().cast::<AtomicU64>().add((page / 64) as usize) }
    }

    #[inline]
    fn word(&self, page: u64) -> u64 {
        self.cell(page).load(Ordering::Acquire)
    }

    #[inline]
    fn get(&self, page: u64) -> bool {
        self.word(page) >> (page % 64) & 1 == 1
    }

    fn all(&self, first: u64, last: u64) -> bool {
        let mut page = first;
        while page <= last {
            let mask = mask(page, last);
            if self.word(page) & mask != mask {
                return false;
            }
            page = (page / 64 + 1) * 64;
        }
        true
    }

    fn set(&self, first: u64, count: u64) {
        let end = first + count;
        let mut page = first;
        while page < end {
            self.cell(page)
                .fetch_or(mask(page, end - 1), Ordering::Release);
            page = (page / 64 + 1) * 64;
        }
    }
}

/// The bits of `page`'s word that stand for pages from `page` to `last`.
fn mask(page: u64, last: u64) -> u64 {
    let low = page % 64;
    let high = if last / 64 == page / 64 {
        last % 64
    } else {
        63
    };
    (u64::MAX >> (63 - high)) & (u64::MAX << low)
}
