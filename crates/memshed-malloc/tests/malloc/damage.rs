//! Heaps that are torn on purpose: what is read ends, and what makes no sense is counted.

use crate::support::{Program, Waiting, libcs};
use memshed_malloc::{ChunkState, Glibc, Hints, Owners};
use memshed_target::{Mapping, Memory, Range, ReadError, RemoteAddr};
use std::collections::HashMap;

/// Memory with some words changed, and pages that cannot be read.
struct Damaged<'a> {
    memory: &'a Waiting,
    /// Copies of pages, changed.
    pages: HashMap<u64, Vec<u8>>,
    lost: Vec<u64>,
}

const PAGE: u64 = 4096;

impl Damaged<'_> {
    fn of(memory: &Waiting) -> Damaged<'_> {
        Damaged {
            memory,
            pages: HashMap::new(),
            lost: Vec::new(),
        }
    }

    fn set(&mut self, at: u64, word: u64) {
        let start = at / PAGE * PAGE;
        let memory = self.memory;
        let page = self.pages.entry(start).or_insert_with(|| {
            let bytes = memory.bytes(RemoteAddr(start), PAGE as usize);
            bytes.expect("readable").to_vec()
        });
        let from = (at - start) as usize;
        page[from..from + 8].copy_from_slice(&word.to_le_bytes());
    }
}

impl Memory for Damaged<'_> {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let whole = self.memory.bytes(at, len)?;
        let pages = at.0 / PAGE..(at.0 + len as u64).div_ceil(PAGE);
        if self.lost.iter().any(|page| pages.contains(&(page / PAGE))) {
            return Err(ReadError::Swapped(at));
        }
        let changed = pages.clone().any(|p| self.pages.contains_key(&(p * PAGE)));
        if !changed {
            return Ok(whole);
        }
        if pages.end - pages.start == 1 {
            let from = (at.0 % PAGE) as usize;
            return Ok(&self.pages[&(pages.start * PAGE)][from..from + len]);
        }
        let mut bytes = whole.to_vec();
        for page in pages {
            let start = page * PAGE;
            let Some(new) = self.pages.get(&start) else {
                continue;
            };
            let (from, to) = (start.max(at.0), (start + PAGE).min(at.0 + len as u64));
            bytes[(from - at.0) as usize..(to - at.0) as usize]
                .copy_from_slice(&new[(from - start) as usize..(to - start) as usize]);
        }
        Ok(Box::leak(bytes.into_boxed_slice()))
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        self.memory.mapped_run(at)
    }
}

fn program() -> (Program, Waiting, Vec<Mapping>) {
    let mut command = libcs()[0].command("heaps");
    command.args(["3", "mapped"]);
    let mut program = Program::start(command);
    program.lines();
    let process = program.process();
    let memory = Waiting::of(&process);
    let mappings = process.mappings().expect("mappings");
    (program, memory, mappings)
}

fn read(memory: &impl Memory, mappings: &[Mapping]) -> Glibc {
    let found = Glibc::read(memory, mappings, &Hints::default());
    found.expect("readable").expect("glibc")
}

#[test]
fn a_torn_chunk_costs_little() {
    let (_program, memory, mappings) = program();
    let whole = read(&memory, &mappings);
    let middle = whole
        .chunks
        .of_arena(0)
        .nth(whole.chunks.of_arena(0).count() / 2);
    let middle = middle.expect("a chunk").range;
    for garbage in [u64::MAX, 0x4141_4141_4141_4141, 8, 0x12] {
        let mut damaged = Damaged::of(&memory);
        damaged.set(middle.start + 8, garbage);
        let torn = read(&damaged, &mappings);
        assert!(torn.problems.count() > 0, "{garbage:#x}");
        let bytes: u64 = torn.arenas.iter().map(|a| a.torn.bytes).sum();
        assert!(
            bytes >= 16 && bytes <= 2 * middle.len() + 4096,
            "{garbage:#x}: {bytes}"
        );
        let sum = |g: &Glibc| g.chunks.iter().map(|c| c.range.len()).sum::<u64>();
        assert_eq!(sum(&torn), sum(&whole), "{garbage:#x}");
        // All that lies beyond is as before.
        let after = |g: &Glibc| {
            let beyond = Range {
                start: middle.end + (64 << 10),
                end: u64::MAX,
            };
            g.chunks
                .within(beyond)
                .filter(|c| c.state == ChunkState::Free)
                .count()
        };
        assert_eq!(after(&torn), after(&whole), "{garbage:#x}");
    }
}

#[test]
fn a_page_in_swap_costs_little() {
    let (_program, memory, mappings) = program();
    let whole = read(&memory, &mappings);
    let heap = whole.arenas[0].heaps[0];
    let mut damaged = Damaged::of(&memory);
    damaged
        .lost
        .push((heap.start + heap.len() / 2) / PAGE * PAGE);
    let torn = read(&damaged, &mappings);
    let lost = torn.arenas[0].torn.bytes;
    assert!(lost > 0 && lost <= 128 << 10, "{lost}");
}

#[test]
fn random_damage_never_panics_or_hangs() {
    let (_program, memory, mappings) = program();
    let whole = read(&memory, &mappings);
    let places: Vec<Range> = whole
        .arenas
        .iter()
        .flat_map(|a| {
            let state = Range {
                start: a.address.0,
                end: a.address.0 + 2200,
            };
            a.heaps.iter().copied().chain([state])
        })
        .collect();
    let chunks: Vec<u64> = whole.chunks.iter().map(|c| c.range.start).collect();
    let mut random = 12345u64;
    let mut next = || {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        random >> 20
    };
    for _ in 0..300 {
        let mut damaged = Damaged::of(&memory);
        for _ in 0..next() % 8 + 1 {
            let place = places[next() as usize % places.len()];
            let at = match next() % 3 {
                0 => place.start + next() % place.len(),
                // Headers of heaps, states of arenas.
                1 => place.start + next() % 2048,
                _ => chunks[next() as usize % chunks.len()] + 8,
            };
            let word = match next() % 4 {
                0 => next() << 20 | next(),
                1 => u64::MAX - next() % 64,
                2 => chunks[next() as usize % chunks.len()],
                _ => next() % 4096,
            };
            damaged.set(at & !7, word);
        }
        let hints = Hints::default();
        let glibc = Glibc::read(&damaged, &mappings, &hints).expect("readable");
        Owners::find(&damaged, &mappings, glibc.as_ref(), &hints).expect("readable");
    }
}
