//! Which pages of a target are known: three bitmaps in the shared file, a bit for each page.

#![allow(unsafe_code)]

use crate::memory::Range;
use crate::os::{Mapped, PAGE};
use crate::placement::{AreaId, BITMAP, TOP};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is known of the pages of one area.
pub(crate) struct Pages {
    present: Bits,
    swapped: Bits,
    absent: Bits,
}

impl Pages {
    /// Maps the bitmaps of `area`.
    pub(crate) fn new(file: &File, area: AreaId, writable: bool) -> io::Result<Pages> {
        let bits = |n| Mapped::new(file, area.bitmap(n), BITMAP, None, writable).map(Bits);
        Ok(Pages {
            present: bits(0)?,
            swapped: bits(1)?,
            absent: bits(2)?,
        })
    }

    /// Whether a page is present.
    pub(crate) fn is_present(&self, page: u64) -> bool {
        self.present.get(page)
    }

    /// Whether all pages of `first..=last` are present.
    pub(crate) fn all_present(&self, first: u64, last: u64) -> bool {
        self.present.all(first, last)
    }

    /// Whether a page is present or absent.
    pub(crate) fn is_known(&self, page: u64) -> bool {
        self.present.get(page) || self.absent.get(page)
    }

    /// The first page of `first..=last` that is swapped out.
    pub(crate) fn first_swapped(&self, first: u64, last: u64) -> Option<u64> {
        (first..=last).find(|&page| self.swapped.get(page))
    }

    /// Marks pages as present.
    pub(crate) fn set_present(&self, first: u64, count: u64) {
        self.present.set(first, count);
    }

    /// Marks a page as one of which nothing is known any more.
    pub(crate) fn clear_known(&self, page: u64) {
        self.present.clear(page);
        self.absent.clear(page);
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

    fn clear(&self, page: u64) {
        self.cell(page)
            .fetch_and(!mask(page, page), Ordering::Release);
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
