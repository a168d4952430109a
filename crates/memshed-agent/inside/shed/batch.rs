//! Ranges of memory to be discarded, many in one call where the kernel can do that.

use crate::abi::Shed;
use crate::kernel::{self, Range};

/// What the kernel takes in one call (`UIO_MAXIOV`).
const MOST: u64 = 1024;
/// So many refusals, and no more calls with many ranges are tried.
const PATIENCE: u32 = 4;
/// What discarding a page costs, in nanoseconds, before it has been measured.
const GUESS: u64 = 300;

/// Ranges that wait for being discarded.
pub struct Batch {
    ranges: *mut Range,
    room: u64,
    len: u64,
    pages: u64,
    /// This process, for calls with many ranges, once it has been asked for.
    myself: Option<Option<i64>>,
    /// What was measured: pages discarded, and in how many nanoseconds.
    measured: (u64, u64),
    /// Calls with many ranges that were refused.
    refusals: u32,
    refused: u64,
    refused_bytes: u64,
    error: u64,
}

impl Batch {
    /// With room where the job says.
    pub fn new(shed: &Shed) -> Batch {
        Batch {
            ranges: shed.ranges as *mut Range,
            room: shed.ranges_len.min(MOST),
            len: 0,
            pages: 0,
            myself: None,
            measured: (0, 0),
            refusals: 0,
            refused: 0,
            refused_bytes: 0,
            error: 0,
        }
    }

    /// Has the whole pages of `start..end` discarded by the next [`Batch::flush`] at the latest.
    pub fn add(&mut self, start: u64, end: u64) {
        let range = Range {
            start,
            len: end - start,
        };
        self.pages += range.len / 4096;
        if self.room == 0 {
            self.one(range);
            return;
        }
        if self.len > 0 {
            // SAFETY: less than `len`, which is at most `room`.
            let last = unsafe { &mut *self.ranges.add(self.len as usize - 1) };
            if last.start + last.len == start {
                last.len += range.len;
                return;
            }
        }
        if self.len == self.room {
            self.flush();
            self.pages = range.len / 4096;
        }
        // SAFETY: `len` is less than `room`, for which the job has memory.
        unsafe { *self.ranges.add(self.len as usize) = range };
        self.len += 1;
    }

    /// How long a flush would take, in nanoseconds, by what earlier ones took.
    pub fn debt(&self) -> u64 {
        match self.measured {
            (0, _) => self.pages * GUESS,
            (pages, ns) => (self.pages * ns).checked_div(pages).unwrap_or(0),
        }
    }

    /// Discards everything that waits.
    pub fn flush(&mut self) {
        let before = kernel::now();
        let mut done = 0;
        while done < self.len {
            let mut said = self.many(done);
            if said <= 0 {
                self.one(self.range(done));
                done += 1;
            }
            // As far as the kernel came: it stops where it refuses.
            while done < self.len && said >= self.range(done).len as i64 {
                said -= self.range(done).len as i64;
                done += 1;
            }
        }
        if done > 0 {
            let took = kernel::now().wrapping_sub(before);
            self.measured = (self.measured.0 + self.pages, self.measured.1 + took);
        }
        (self.len, self.pages) = (0, 0);
    }

    /// Discards the ranges from `first` on in one call: how many bytes, or nothing.
    fn many(&mut self, first: u64) -> i64 {
        let count = self.len - first;
        if count == 1 || self.refusals >= PATIENCE {
            return 0;
        }
        let myself = match self.myself {
            Some(myself) => myself,
            None => *self.myself.insert(kernel::open_myself()),
        };
        let said = match myself {
            Some(myself) => kernel::discard_all(myself, self.ranges as u64 + first * 16, count),
            None => 0,
        };
        self.refusals += u32::from(said <= 0);
        said
    }

    fn one(&mut self, range: Range) {
        let said = kernel::discard(range);
        if said < 0 {
            self.refused += 1;
            self.refused_bytes += range.len;
            self.error = said.unsigned_abs();
        }
    }

    fn range(&self, i: u64) -> Range {
        // SAFETY: the callers stay below `len`, which is at most `room`.
        unsafe { *self.ranges.add(i as usize) }
    }

    /// Discards what waits, and tells what was refused.
    pub fn finish(mut self, shed: &mut Shed) {
        self.flush();
        if let Some(myself) = self.myself.flatten() {
            kernel::close(myself);
        }
        shed.refused += self.refused;
        shed.refused_bytes += self.refused_bytes;
        if self.refused > 0 {
            shed.error = self.error;
        }
    }
}
