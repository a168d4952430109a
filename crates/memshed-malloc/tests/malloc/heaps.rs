//! C programs that allocate and free in known patterns.

use crate::support::{Libc, Program, Waiting, libcs};
use memshed_malloc::{ChunkState, Glibc, Hints};
use memshed_target::{Mapping, Process, Range, RemoteAddr};
use std::collections::HashMap;

/// A program that stands still, and what was read of it.
struct Look {
    name: String,
    program: Program,
    process: Process,
    mappings: Vec<Mapping>,
    lines: Vec<String>,
    read_bytes: u64,
    glibc: Glibc,
}

impl Look {
    fn at(libc: &Libc, arguments: &[&str]) -> Look {
        Look::tuned(libc, arguments, "")
    }

    fn tuned(libc: &Libc, arguments: &[&str], tunables: &str) -> Look {
        let mut command = libc.command("heaps");
        command.args(arguments).env("GLIBC_TUNABLES", tunables);
        let mut program = Program::start(command);
        let lines = program.lines();
        let process = program.process();
        let mappings = process.mappings().expect("mappings");
        let memory = Waiting::of(&process);
        let glibc = Glibc::read(&memory, &mappings, &Hints::default()).expect("readable");
        Look {
            name: format!("{} {arguments:?} {tunables}", libc.name),
            glibc: glibc.unwrap_or_else(|| panic!("no glibc: {} {arguments:?}", libc.name)),
            read_bytes: memory.read_bytes(),
            program,
            process,
            mappings,
            lines,
        }
    }

    /// The numbers in the lines that begin with `word`.
    fn numbers(&self, word: &str) -> Vec<Vec<u64>> {
        let lines = self.lines.iter().map(|l| l.split(' ').collect::<Vec<_>>());
        lines
            .filter(|l| l[0] == word)
            .map(|l| {
                l[1..]
                    .iter()
                    .map(|n| n.parse().expect("a number"))
                    .collect()
            })
            .collect()
    }

    fn info(&self) -> HashMap<String, u64> {
        info(&self.lines)
    }

    /// Everything must agree with mallinfo2(3).
    fn assert_agrees(&self) {
        let (glibc, name) = (&self.glibc, &self.name);
        assert_eq!(glibc.problems.list(), [], "{name}");
        let info = self.info();
        let sum =
            |f: &dyn Fn(&memshed_malloc::Arena) -> u64| glibc.arenas.iter().map(f).sum::<u64>();
        assert_eq!(sum(&|a| a.system_bytes), info["arena"], "{name}");
        assert_eq!(sum(&|a| a.fast_bins.bytes), info["fsmblks"], "{name}");
        assert_eq!(sum(&|a| a.fast_bins.count), info["smblks"], "{name}");
        let free = sum(&|a| a.free.bytes + a.fast_bins.bytes + a.top);
        assert_eq!(free, info["fordblks"], "{name}");
        let blocks = sum(&|a| a.free.count + 1);
        assert_eq!(blocks, info["ordblks"], "{name}");
        let used = sum(&|a| a.in_use.bytes + a.thread_cache.bytes + a.overhead);
        assert_eq!(used, info["uordblks"], "{name}");
        assert_eq!(glibc.arenas[0].top, info["keepcost"], "{name}");
        assert_eq!(glibc.mapped.len() as u64, info["hblks"], "{name}");
        assert_eq!(glibc.mapped_found().bytes, info["hblkhd"], "{name}");
        for arena in &glibc.arenas {
            let heaps: u64 = arena.heaps.iter().map(|h| h.len()).sum();
            assert_eq!(heaps, arena.system_bytes, "{name}");
        }
        self.assert_chunks();
    }

    /// What the program holds and what it has freed must be told apart, to the byte.
    fn assert_chunks(&self) {
        let (glibc, name) = (&self.glibc, &self.name);
        for live in self.numbers("live") {
            let inside = RemoteAddr(live[0] + live[1] / 2);
            let expected = Some((RemoteAddr(live[0]), live[1]));
            assert_eq!(glibc.chunk_of(inside), expected, "{name}");
        }
        for at in self.numbers("inside") {
            let (start, usable) = glibc.chunk_of(RemoteAddr(at[0])).expect("a chunk");
            assert!(start.0 <= at[0] && at[0] < start.0 + usable, "{name}");
        }
        let caches = if glibc.thread_caches > 0 {
            "cached"
        } else {
            ""
        };
        for at in self.numbers(caches).into_iter().map(|n| n[0] - 16) {
            let chunk = glibc.chunks.find(RemoteAddr(at)).expect("a chunk");
            let found = (chunk.range.start, chunk.state);
            assert_eq!(found, (at, ChunkState::ThreadCache), "{name}");
        }
        if glibc.thread_caches > glibc.arenas.len() as u64 {
            // Threads that share an arena get what others have freed.
            return;
        }
        for at in self.numbers("freed").into_iter().map(|n| n[0] - 16) {
            let chunk = glibc.chunks.find(RemoteAddr(at)).expect("a chunk");
            assert_ne!(chunk.state, ChunkState::InUse, "{name}: {chunk:?}");
        }
    }

    fn resident(&self, ranges: impl Iterator<Item = Range>) -> u64 {
        let ranges: Vec<Range> = ranges.collect();
        let residency = self.process.residency(&ranges).expect("a pagemap");
        ranges.iter().map(|&r| residency.resident_bytes(r)).sum()
    }
}

fn info(lines: &[String]) -> HashMap<String, u64> {
    let line = lines.iter().rfind(|l| l.starts_with("info "));
    line.expect("info")
        .split(' ')
        .filter_map(|w| w.split_once('='))
        .map(|(name, value)| (name.to_string(), value.parse().expect("a number")))
        .collect()
}

#[test]
fn heaps_agree_with_mallinfo() {
    for libc in libcs() {
        for arguments in [&["0"] as &[&str], &["5"], &["40"], &["3", "mapped"]] {
            let look = Look::at(&libc, arguments);
            eprintln!("{}: layout since {}", look.name, look.glibc.layout_since);
            look.assert_agrees();
            let threads: u64 = arguments[0].parse().expect("a number");
            assert_eq!(look.glibc.thread_caches, threads + 1, "{}", look.name);
            assert!(threads == 0 || look.glibc.arenas.len() > 1, "{}", look.name);
        }
    }
}

#[test]
fn trimming_gives_back_what_was_said() {
    for libc in libcs() {
        for arguments in [&["0"] as &[&str], &["6"], &["0", "foreign"]] {
            let mut look = Look::at(&libc, arguments);
            let (name, page) = (look.name.clone(), 4096);
            let said: Vec<Range> = look.glibc.trimmable().collect();
            let bytes: u64 = said.iter().map(|r| r.len()).sum();
            let arenas = look.glibc.arenas.iter().map(|a| a.trimmable);
            assert_eq!(bytes, arenas.sum::<u64>(), "{name}");
            let heaps: Vec<Range> = look.glibc.chunks.ranges().map(|(r, _)| r).collect();
            let before = look.resident(said.iter().copied());
            let before_all = look.resident(heaps.iter().copied());
            assert!(before > 100 * page, "{name}: too little to see anything");
            look.program.tell("trim");
            assert_eq!(look.resident(said.into_iter()), 0, "{name}");
            // And nothing else was given back.
            let after_all = look.resident(heaps.into_iter());
            eprintln!("{name}: {before} of {before_all} bytes went");
            assert_eq!(before_all - after_all, before, "{name}");
        }
    }
}

#[test]
fn arenas_agree_with_malloc_info() {
    for libc in libcs() {
        let mut look = Look::at(&libc, &["7"]);
        let lines = look.program.tell("info");
        let arenas = lines.iter().filter(|l| l.starts_with("<heap nr="));
        assert_eq!(arenas.count(), look.glibc.arenas.len(), "{}", libc.name);
        // One line for each arena, and one for the sum.
        let systems = lines
            .iter()
            .filter_map(|l| l.strip_prefix("<system type=\"current\" size=\""))
            .map(|l| l.trim_end_matches("\"/>").parse().expect("a number"));
        let mut said: Vec<u64> = systems.collect();
        let sum = said.pop().expect("a sum");
        let found: Vec<u64> = look.glibc.arenas.iter().map(|a| a.system_bytes).collect();
        assert_eq!(
            (said, sum),
            (found.clone(), found.iter().sum()),
            "{}",
            libc.name
        );
    }
}

#[test]
fn a_break_that_others_move_or_block_is_understood() {
    for libc in libcs() {
        for argument in ["foreign", "noncontiguous"] {
            let look = Look::at(&libc, &["0", argument]);
            let (glibc, name) = (&look.glibc, &look.name);
            assert_eq!(glibc.problems.list(), [], "{name}");
            let main = &glibc.arenas[0];
            let info = look.info();
            assert_eq!(main.system_bytes, info["arena"], "{name}");
            assert_eq!(main.fast_bins.bytes, info["fsmblks"], "{name}");
            let free = main.free.bytes + main.fast_bins.bytes + main.top;
            assert_eq!(free, info["fordblks"], "{name}");
            let heaps: u64 = main.heaps.iter().map(|h| h.len()).sum();
            assert_eq!(heaps, main.system_bytes, "{name}");
            let pieces = if argument == "foreign" { 1 } else { 2 };
            assert!(main.heaps.len() >= pieces, "{name}: {:?}", main.heaps);
            look.assert_chunks();
        }
    }
}

#[test]
fn large_chunks_are_not_read() {
    let look = Look::at(&libcs()[0], &["0", "mapped"]);
    let large: u64 = look.glibc.mapped.iter().map(|c| c.range.len()).sum();
    assert!(large > 400 << 20);
    assert!(look.read_bytes < 4 << 20, "{} bytes", look.read_bytes);
    let stack = look.mappings.iter().find(|m| m.path == "[stack]");
    let stack = stack.expect("a stack").range();
    assert!(look.resident([stack].into_iter()) > 0);
}

#[test]
fn tunables_are_understood() {
    for libc in libcs() {
        let tcache_off = "glibc.malloc.tcache_count=0";
        let look = Look::tuned(&libc, &["2", "mapped"], tcache_off);
        look.assert_agrees();
        assert_eq!(look.glibc.thread_caches, 0, "{}", look.name);
        // Threads keep chunks of all sizes up to one megabyte, since 2.42.
        let large = "glibc.malloc.tcache_max=1048576";
        let look = Look::tuned(&libc, &["2"], large);
        look.assert_agrees();
        if look.glibc.layout_since == "2.43" {
            let kept = look.glibc.chunks.iter();
            let kept = kept.filter(|c| c.state == ChunkState::ThreadCache);
            assert!(
                kept.filter(|c| c.range.len() > 2000).count() > 3,
                "{}",
                look.name
            );
        }
        let huge = "glibc.malloc.hugetlb=1";
        let mut look = Look::tuned(&libc, &["2"], huge);
        look.assert_agrees();
        let said: Vec<Range> = look.glibc.trimmable().collect();
        look.program.tell("trim");
        assert_eq!(look.resident(said.into_iter()), 0, "{}", look.name);
    }
}
