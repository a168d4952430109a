//! Pools of literal bytes, in every state that pymalloc leaves them in.

use super::*;
use crate::layouts::V3_12;
use crate::pymalloc::release;
use memshed_target::Range;

const START: u64 = 0x10_0000;
const SIZE: u32 = 16384;

/// A pool and nothing else.
struct Bytes(Vec<u8>);

impl Memory for Bytes {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let from = at.0.checked_sub(START).ok_or(ReadError::Unmapped(at))? as usize;
        let to = from.checked_add(len).ok_or(ReadError::Unmapped(at))?;
        self.0.get(from..to).ok_or(ReadError::Unmapped(at))
    }

    fn mapped_run(&self, _at: RemoteAddr) -> Option<Range> {
        let (start, end) = (START, START + u64::from(SIZE));
        Some(Range { start, end })
    }
}

impl Bytes {
    /// A pool with blocks of `block` bytes, of which those below `next` and above `max` (offsets)
    /// are carved and those in `free` are chained in that order.
    fn pool(block: u32, used: u32, next: u32, max: u32, free: &[u32]) -> Bytes {
        let l = &V3_12.pool;
        let mut bytes = Bytes(vec![0; SIZE as usize]);
        bytes.put_u32(l.count, used);
        bytes.put_u32(l.szidx, block / 16 - 1);
        bytes.put_u32(l.nextoffset, next);
        bytes.put_u32(l.maxnextoffset, max);
        let mut link = l.freeblock;
        for &k in free {
            let offset = l.size + k * block;
            bytes.put_u64(link, START + u64::from(offset));
            link = offset;
        }
        bytes
    }

    fn put_u32(&mut self, at: u32, value: u32) {
        self.0[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, at: u32, value: u64) {
        self.0[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn read(&self) -> (Pool, Option<Live>) {
        let pool = Pool::read(Reader(self), &V3_12, START).expect("its header");
        (pool, pool.live(Reader(self)))
    }

    fn live(&self) -> Vec<u32> {
        let (_, live) = self.read();
        live.expect("a sound chain").iter().collect()
    }
}

/// Everything is resident.
fn whole(range: Range) -> u64 {
    range.len() / 4096 * 4096
}

fn released(bytes: &Bytes) -> u64 {
    let (pool, live) = bytes.read();
    release::of_used_pool(&pool, &live.expect("a sound chain"), &whole)
}

#[test]
fn blocks_carved_and_not_free_are_live() {
    // Blocks of 512: 31 fit; three carved, the middle one free.
    let pool = Bytes::pool(512, 2, 48 + 3 * 512, SIZE - 512, &[1]);
    assert_eq!(pool.live(), [0, 2]);
}

#[test]
fn an_uncarved_run_in_the_middle_is_not_live() {
    // As a releasing tool leaves it: blocks 4 to 20 are the uncarved part.
    let (next, max) = (48 + 4 * 512, 48 + 20 * 512);
    let pool = Bytes::pool(512, 13, next, max, &[0]);
    let live = pool.live();
    assert_eq!(live, [1, 2, 3, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    assert_eq!(live.len(), 13);
}

#[test]
fn a_chain_that_loops_or_leaves_the_pool_is_torn() {
    let mut looped = Bytes::pool(512, 29, SIZE, SIZE - 512, &[4, 7]);
    looped.put_u64(48 + 7 * 512, START + 48 + 4 * 512);
    assert!(looped.read().1.is_none());
    let mut outside = Bytes::pool(512, 29, SIZE, SIZE - 512, &[4, 7]);
    outside.put_u64(48 + 7 * 512, START + u64::from(SIZE));
    assert!(outside.read().1.is_none());
    let mut between = Bytes::pool(512, 29, SIZE, SIZE - 512, &[4, 7]);
    between.put_u64(48 + 7 * 512, START + 48 + 16);
    assert!(between.read().1.is_none());
}

#[test]
fn a_dead_tail_gives_its_whole_pages() {
    // Blocks 0 to 6 live (to byte 3,632), the rest carved and free but for the chain's first.
    let free: Vec<u32> = (7..31).collect();
    let pool = Bytes::pool(512, 7, SIZE, SIZE - 512, &free);
    // The first dead block begins at 3,632 and stays on the chain: pages 1, 2 and 3 can go.
    assert_eq!(released(&pool), 3 * 4096);
    // Never carved: the same, whether resident or not is the system's word.
    let pool = Bytes::pool(512, 7, 48 + 8 * 512, SIZE - 512, &[7]);
    assert_eq!(released(&pool), 3 * 4096);
}

#[test]
fn only_the_best_run_of_dead_blocks_counts() {
    // Live: 0, 16, 30. Dead: 1–15 (bytes 560 to 8,240) and 17–29 (8,752 to 15,408).
    let free: Vec<u32> = (1..16).chain(17..30).collect();
    let pool = Bytes::pool(512, 3, SIZE, SIZE - 512, &free);
    // Page 1 in the first run (4,096 to 8,192), page 3 lies half in the second.
    assert_eq!(released(&pool), 4096);
}

#[test]
fn the_block_that_stays_on_the_chain_keeps_its_page() {
    // Blocks of 496: 32 fit, live but for 8 to 31; the first dead one begins at 4,016.
    let free: Vec<u32> = (8..32).collect();
    let pool = Bytes::pool(496, 8, SIZE, SIZE - 496, &free);
    assert_eq!(released(&pool), 3 * 4096);
    // Block 254 of 16 bytes begins at 4,112: its link takes up page 1.
    let capacity = (SIZE - 48) / 16;
    let free: Vec<u32> = (253..capacity).collect();
    let pool = Bytes::pool(16, 253, SIZE, SIZE - 16, &free);
    assert_eq!(48 + 253 * 16, 4096);
    assert_eq!(released(&pool), 2 * 4096);
}

#[test]
fn a_full_pool_and_one_in_flux_give_nothing() {
    let full = Bytes::pool(512, 31, SIZE, SIZE - 512, &[]);
    assert_eq!(full.live().len(), 31);
    assert_eq!(released(&full), 0);
    let free: Vec<u32> = (7..31).collect();
    let flux = Bytes::pool(512, 8, SIZE, SIZE - 512, &free);
    assert_eq!(released(&flux), 0);
}

#[test]
fn a_page_that_would_come_back_for_links_counts_against_the_gain() {
    // Live: 0, 16, 30. Uncarved: 1–15, of which page 1 is not resident. Dead: 17–29.
    let (next, max) = (48 + 512, 48 + 15 * 512);
    let free: Vec<u32> = (17..30).collect();
    let pool = Bytes::pool(512, 3, next, max, &free);
    let away = |range: Range| {
        let pages = (range.start..range.end).step_by(4096);
        pages.filter(|&page| page != START + 4096).count() as u64 * 4096
    };
    let (pool, live) = pool.read();
    let live = live.expect("a sound chain");
    assert_eq!(live.iter().collect::<Vec<_>>(), [0, 16, 30]);
    // There is nothing in the first run any more, and the second has no whole page.
    assert_eq!(release::of_used_pool(&pool, &live, &away), 0);
    // Live: 0, 16. The second run has page 3, and the first none that is resident.
    let free: Vec<u32> = (17..31).collect();
    let pool = Bytes::pool(512, 2, next, max, &free);
    let (pool, live) = pool.read();
    let live = live.expect("a sound chain");
    assert_eq!(release::of_used_pool(&pool, &live, &away), 0);
    assert_eq!(release::of_used_pool(&pool, &live, &whole), 4096);
}

#[test]
fn a_retired_pool_reads_as_free() {
    // Its header went with the rest.
    let pool = Bytes(vec![0; SIZE as usize]);
    let (pool, live) = pool.read();
    assert_eq!(pool.used, 0);
    assert!(pool.used <= pool.capacity, "not a torn pool");
    assert_eq!(live.map(|live| live.count), Some(0));
    assert_eq!(pool.block_of(RemoteAddr(START + 4096)), None);
    assert_eq!(released(&Bytes(vec![0; SIZE as usize])), 0);
}
