//! Which pages of a process are in memory: bitmaps, a bit for each page.
//!
//! The kernel tells it through `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst). Since
//! Linux 6.7 it can also be asked for the pages that are there (`PAGEMAP_SCAN`), so that vast
//! reservations cost nothing.

use crate::error::TargetError;
use crate::memory::{Range, RemoteAddr};
use crate::os::{self, PAGE};
use crate::placement::TOP;
use crate::process::Process;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A 64-bit word per page.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;

/// Pages of one block: what a second-level page table spans, 2 MiB.
const BLOCK: u64 = 512;
const WORDS: usize = (BLOCK / 64) as usize;
/// How many pages are asked for at a time.
const BATCH: u64 = 1 << 16;

/// One bit for each page of a block.
type Bits = [u64; WORDS];

/// What is known of the pages of 2 MiB.
#[derive(Clone, Debug)]
struct Block {
    /// Its first page, as a multiple of the block's size.
    number: u64,
    present: Bits,
    swapped: Bits,
    shared: Bits,
    file: Bits,
}

/// The pages of a process that are in memory or in swap, as they were when they were asked for.
///
/// The zero page, which reading fresh memory maps, is not counted as present where the kernel
/// tells it apart (Linux 6.7): it is not part of the resident bytes either.
#[derive(Clone, Debug, Default)]
pub struct Residency {
    /// Only blocks with a page that is present or swapped out, in order.
    blocks: Vec<Block>,
}

/// Sums over the pages of a range, in bytes of whole pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResidentBytes {
    /// In memory.
    pub present: u64,
    /// In swap.
    pub swapped: u64,
    /// In memory, and mapped by others too, or more than once.
    pub shared: u64,
    /// In memory, and belonging to a file or to shared memory.
    pub file: u64,
}

impl Residency {
    /// Whether the page of `at` is in memory.
    #[must_use]
    pub fn is_resident(&self, at: RemoteAddr) -> bool {
        self.block(at.0 / PAGE)
            .is_some_and(|(block, bit)| get(&block.present, bit))
    }

    /// Whether the page of `at` is in memory and mapped by others too.
    #[must_use]
    pub fn is_shared(&self, at: RemoteAddr) -> bool {
        self.block(at.0 / PAGE)
            .is_some_and(|(block, bit)| get(&block.shared, bit))
    }

    /// Bytes of the pages that `range` touches, each counted whole.
    #[must_use]
    pub fn bytes(&self, range: Range) -> ResidentBytes {
        let mut sum = ResidentBytes::default();
        for (block, mask) in self.masked(range) {
            let count = |bits: &Bits| {
                let pages = bits.iter().zip(&mask).map(|(b, m)| (b & m).count_ones());
                u64::from(pages.sum::<u32>()) * PAGE
            };
            sum.present += count(&block.present);
            sum.swapped += count(&block.swapped);
            sum.shared += count(&block.shared);
            sum.file += count(&block.file);
        }
        sum
    }

    /// Bytes in memory of the pages that `range` touches, each counted whole.
    #[must_use]
    pub fn resident_bytes(&self, range: Range) -> u64 {
        self.bytes(range).present
    }

    /// The addresses of the pages in memory that `range` touches, in order.
    pub fn resident_pages(&self, range: Range) -> impl Iterator<Item = RemoteAddr> + '_ {
        self.masked(range).flat_map(|(block, mask)| {
            (0..BLOCK)
                .filter(move |&bit| get(&block.present, bit) && get(&mask, bit))
                .map(|bit| RemoteAddr((block.number * BLOCK + bit) * PAGE))
        })
    }

    fn block(&self, page: u64) -> Option<(&Block, u64)> {
        let index = self
            .blocks
            .binary_search_by_key(&(page / BLOCK), |b| b.number);
        Some((&self.blocks[index.ok()?], page % BLOCK))
    }

    /// The blocks that `range` touches, each with a bit for every page that it touches.
    fn masked(&self, range: Range) -> impl Iterator<Item = (&Block, Bits)> {
        let (first, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
        let end = if range.is_empty() { first } else { end };
        let from = self
            .blocks
            .partition_point(|b| (b.number + 1) * BLOCK <= first);
        self.blocks[from..]
            .iter()
            .take_while(move |b| b.number * BLOCK < end)
            .map(move |b| {
                let base = b.number * BLOCK;
                let low = first.saturating_sub(base);
                let high = (end - base).min(BLOCK);
                (b, mask(low, high))
            })
    }
}

fn get(bits: &Bits, bit: u64) -> bool {
    bits[(bit / 64) as usize] >> (bit % 64) & 1 == 1
}

fn set(bits: &mut Bits, bit: u64) {
    bits[(bit / 64) as usize] |= 1 << (bit % 64);
}

/// The bits `low..high`.
fn mask(low: u64, high: u64) -> Bits {
    let mut bits = Bits::default();
    for (word, start) in bits.iter_mut().zip((0..BLOCK).step_by(64)) {
        let (from, to) = (low.clamp(start, start + 64), high.clamp(start, start + 64));
        if from < to {
            *word = u64::MAX >> (64 - (to - from)) << (from - start);
        }
    }
    bits
}

impl Process {
    /// Which pages of `ranges`, in order of address, are in memory, in swap, and shared.
    pub fn residency(&self, ranges: &[Range]) -> Result<Residency, TargetError> {
        let path = format!("/proc/{}/pagemap", self.pid());
        let found = File::open(&path).and_then(|pagemap| read(pagemap, ranges, true));
        found.map_err(|e| TargetError::io(&path, &e))
    }
}

fn read(pagemap: File, ranges: &[Range], scan: bool) -> std::io::Result<Residency> {
    let mut reader = Reader {
        pagemap,
        scan,
        words: vec![0; (BATCH * 8) as usize],
        found: Residency::default(),
    };
    for range in ranges {
        reader.range(*range)?;
    }
    Ok(reader.found)
}

/// Reads the pagemap into bitmaps.
struct Reader {
    pagemap: File,
    /// Whether the kernel can be asked for the pages that are there.
    scan: bool,
    words: Vec<u8>,
    found: Residency,
}

impl Reader {
    fn range(&mut self, range: Range) -> std::io::Result<()> {
        // The kernel's own page, `[vsyscall]`, lies above and is nobody's.
        let range = Range {
            start: range.start & !(PAGE - 1),
            end: range.end.div_ceil(PAGE).saturating_mul(PAGE).min(TOP),
        };
        let mut at = range.start;
        while self.scan && at < range.end {
            match os::scan_pages(&self.pagemap, at, range.end) {
                Ok((runs, next)) if next > at => {
                    for run in runs {
                        self.read(run)?;
                    }
                    at = next;
                }
                Ok(_) => return Ok(()),
                Err(e) if e.raw_os_error() == Some(libc::ENOTTY) => self.scan = false,
                Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        match self.scan {
            true => Ok(()),
            false => self.read(Range { start: at, ..range }),
        }
    }

    /// Takes in the words of `range`.
    fn read(&mut self, range: Range) -> std::io::Result<()> {
        let (mut page, end) = (range.start / PAGE, range.end / PAGE);
        while page < end {
            let want = ((end - page).min(BATCH) * 8) as usize;
            let got = self.pagemap.read_at(&mut self.words[..want], page * 8)? & !7;
            if got == 0 {
                // Past the end of the address space, or the process has ended.
                return Ok(());
            }
            for word in self.words[..got].chunks_exact(8) {
                let word = word.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
                self.found.add(page, word);
                page += 1;
            }
        }
        Ok(())
    }
}

impl Residency {
    fn add(&mut self, page: u64, word: u64) {
        if word & (PRESENT | SWAPPED) == 0 {
            return;
        }
        let (number, bit) = (page / BLOCK, page % BLOCK);
        if self.blocks.last().is_none_or(|b| b.number < number) {
            self.blocks.push(Block {
                number,
                present: Bits::default(),
                swapped: Bits::default(),
                shared: Bits::default(),
                file: Bits::default(),
            });
        }
        let Some(block) = self.blocks.last_mut().filter(|b| b.number == number) else {
            // Ranges that are not in order; the caller has been told.
            return;
        };
        if word & PRESENT == 0 {
            set(&mut block.swapped, bit);
            return;
        }
        set(&mut block.present, bit);
        if word & EXCLUSIVE == 0 {
            set(&mut block.shared, bit);
        }
        if word & FILE != 0 {
            set(&mut block.file, bit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_cannot_be_asked_for_pages_say_the_same() {
        let mut memory = vec![0u8; 64 << 20];
        for at in (0..memory.len()).step_by(3 << 20) {
            memory[at] = 1;
        }
        let start = memory.as_ptr() as u64;
        let range = Range {
            start,
            end: start + memory.len() as u64,
        };
        let pages = |scan| {
            let pagemap = File::open("/proc/self/pagemap").expect("our own pagemap");
            let found = read(pagemap, &[range], scan).expect("readable");
            let pages: Vec<u64> = found.resident_pages(range).map(|p| p.0).collect();
            (pages, found.bytes(range))
        };
        let (asked, sums) = pages(true);
        assert!(asked.len() >= 22 && sums.shared == 0);
        assert_eq!(pages(false), (asked, sums));
    }

    #[test]
    fn sums_and_pages_agree_with_the_bits() {
        let mut residency = Residency::default();
        let pages = [3, 511, 512, 513, 5000, 5001];
        for page in pages {
            residency.add(page, PRESENT | if page % 2 == 1 { EXCLUSIVE } else { FILE });
        }
        residency.add(5002, SWAPPED);
        for start in [0, 3, 4, 510, 512, 514, 5001, 6000] {
            for end in [0, 3, 4, 511, 512, 513, 5002, 5003, 9000] {
                let range = Range {
                    start: start * PAGE,
                    end: end * PAGE,
                };
                let naive: Vec<u64> = pages
                    .into_iter()
                    .filter(|p| (start..end).contains(p))
                    .collect();
                let found: Vec<u64> = residency
                    .resident_pages(range)
                    .map(|p| p.0 / PAGE)
                    .collect();
                assert_eq!(found, naive, "{start}..{end}");
                let sum = residency.bytes(range);
                assert_eq!(sum.present, naive.len() as u64 * PAGE);
                let even = naive.iter().filter(|p| *p % 2 == 0).count() as u64;
                assert_eq!((sum.shared, sum.file), (even * PAGE, even * PAGE));
                assert_eq!(sum.swapped, u64::from((start..end).contains(&5002)) * PAGE);
            }
        }
        let part = Range {
            start: 3 * PAGE + 100,
            end: 3 * PAGE + 101,
        };
        assert_eq!(residency.resident_bytes(part), PAGE);
        assert!(residency.is_resident(RemoteAddr(part.start)));
        assert!(!residency.is_resident(RemoteAddr(4 * PAGE)));
    }
}
