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
use crate::pages::Pages;
use std::fs::File;
use std::io;

/// One past the last user address with four-level page tables (Documentation/arch/x86/x86_64/mm.rst).
pub(crate) const TOP: u64 = 1 << 47;
/// Bytes of one bitmap: a bit per page below `TOP`.
pub(crate) const BITMAP: u64 = TOP / PAGE / 8;
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
    /// Where the byte at target address `at` lies in the file.
    pub(crate) fn offset(self, at: u64) -> u64 {
        self as u64 * TOP + at
    }

    /// Where the area's bitmap `n` lies in the file.
    pub(crate) fn bitmap(self, n: u64) -> u64 {
        2 * TOP + (3 * self as u64 + n) * BITMAP
    }
}

/// An area of the shared file, mapped.
pub(crate) struct Placement {
    key: u64,
    /// For each terabyte of the target, the part of it that is mapped.
    slots: Box<[Range; SLOTS]>,
    pages: Pages,
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
        let pages = Pages::new(file, id, false)?;
        let zeros = Mapped::zeros(ZEROS)?;
        for key in KEYS.map(|k| k << 44) {
            match map_all(file, id, &slots, key, writable) {
                Ok(maps) => {
                    return Ok(Placement {
                        key,
                        slots,
                        pages,
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

    /// What is known of the pages.
    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
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
            self.pages.is_present(first)
        } else {
            self.pages.all_present(first, last)
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
        if len as u64 <= ZEROS && (first..=last).all(|page| self.pages.is_absent(page)) {
            // SAFETY: `zeros` is at least as long, and is never written.
            return Some(unsafe { std::slice::from_raw_parts(self.zeros.base(), len) });
        }
        let known = |page| self.pages.is_known(page);
        let whole = (first..=last).all(known);
        // SAFETY: as in `bytes`; spans of neighbouring slots that touch are neighbours here too,
        // since the key has no bit below 44 and no run of the target is as long as that. An
        // absent page is a hole of the file, and reads as zeros.
        whole.then(|| unsafe { std::slice::from_raw_parts((at ^ self.key) as *const u8, len) })
    }
}

/// Forgets everything in an area, so that it can be used again.
pub(crate) fn clear(file: &File, id: AreaId) -> io::Result<()> {
    os::punch(file, id.offset(0), TOP)?;
    os::punch(file, id.bitmap(0), 3 * BITMAP)
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
        let offset = id.offset(s.start);
        Mapped::new(file, offset, s.len(), Some(s.start ^ key), writable)
    })
    .collect()
}
