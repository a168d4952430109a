//! What is read is what was there.

use crate::support::{Target, c_program, python_program, session, until};
use memshed_target::{FreezeRequest, Memory, Method, Peek, Range, ReadError, RemoteAddr, WordTest};
use std::collections::BTreeMap;
use std::process::Command;

pub const TESTS: &[crate::Test] = &[
    ("contents::a_fork_holds_the_moment", fork_holds),
    ("contents::a_pause_holds_the_moment", pause_holds),
    ("contents::sparse_memory_costs_nothing", sparse),
    ("contents::unmapped_and_uncopied_bytes_are_errors", errors),
    ("contents::a_bad_moment_is_avoided", avoided),
    ("contents::words_of_a_running_process_change", peeked),
    ("contents::what_a_child_shares_stays_shared", shared),
    (
        "contents::memory_left_out_of_forks_makes_it_pause",
        dontfork,
    ),
];

/// A target with memory of known contents.
pub struct Pattern {
    pub target: Target,
    places: BTreeMap<String, Range>,
}

impl Pattern {
    pub fn start() -> Pattern {
        let target = Target::start(Command::new(c_program("pattern")));
        let mut places = BTreeMap::new();
        loop {
            let line = target.line();
            if line == "end" {
                return Pattern { target, places };
            }
            let words: Vec<&str> = line.split(' ').collect();
            let start: u64 = words[1].parse().expect("an address");
            let bytes: u64 = words[2].parse().expect("a length");
            places.insert(
                words[0].to_string(),
                Range {
                    start,
                    end: start + bytes,
                },
            );
        }
    }

    pub fn place(&self, name: &str) -> Range {
        self.places[name]
    }

    /// Tells it something and waits for its answer.
    pub fn tell(&mut self, line: &str, answer: &str) {
        self.target.tell(line);
        assert_eq!(self.target.line(), answer);
    }

    pub fn assert_pattern(&self, memory: &impl Memory) {
        let range = self.place("pattern");
        let bytes = memory
            .bytes(RemoteAddr(range.start), range.len() as usize)
            .expect("readable");
        for (word, at) in bytes.chunks_exact(8).zip((range.start..).step_by(8)) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            assert_eq!(word, at.wrapping_mul(0x9e37_79b9_7f4a_7c15), "at {at:#x}");
        }
    }
}

pub fn by(method: Method) -> FreezeRequest {
    FreezeRequest {
        method: Some(method),
        ..FreezeRequest::default()
    }
}

fn fork_holds() {
    let mut pattern = Pattern::start();
    let mut session = session(&pattern.target.process()).expect("a session");
    let frozen = session.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    pattern.tell("change", "changed");
    let half = Range {
        end: pattern.place("pattern").start + (32 << 20),
        ..pattern.place("pattern")
    };
    frozen.prefetch(&[half]);
    pattern.assert_pattern(&frozen);
    let info = frozen.finish().expect("let go");
    assert_eq!((info.method, info.left_behind), (Method::Fork, None));
    pattern.assert_pattern(&frozen);
    pattern.target.assert_untouched();
}

fn pause_holds() {
    let mut pattern = Pattern::start();
    let mut session = session(&pattern.target.process()).expect("a session");
    let place = pattern.place("pattern");
    let frozen = session.freeze(&by(Method::Pause), |live| live.prefetch(&[place]));
    let frozen = frozen.expect("frozen");
    pattern.tell("change", "changed");
    pattern.assert_pattern(&frozen);
    let word = RemoteAddr(pattern.place("sparse").start + (5 << 30));
    assert_eq!(
        frozen.bytes(word, 8),
        Err(ReadError::NotCopied(word)),
        "it was not rehearsed"
    );
    assert_eq!(frozen.finish().expect("let go").method, Method::Pause);
    pattern.target.assert_untouched();
}

fn sparse() {
    let pattern = Pattern::start();
    let mut session = session(&pattern.target.process()).expect("a session");
    let frozen = session.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    let range = pattern.place("sparse");
    for at in (0..range.len()).step_by(1 << 30) {
        let word = frozen
            .bytes(RemoteAddr(range.start + at), 8)
            .expect("readable");
        assert_eq!(word, (at + 1).to_le_bytes());
        let holes = frozen
            .bytes(RemoteAddr(range.start + at + 4096), 8 << 20)
            .expect("readable");
        assert!(holes.iter().all(|&b| b == 0));
        let mixed = frozen
            .bytes(RemoteAddr(range.start + at), 8192)
            .expect("readable");
        assert_eq!((mixed[0], &mixed[8..]), (1, &[0; 8184][..]));
        let hole = frozen
            .bytes(RemoteAddr(range.start + at + 4096), 8)
            .expect("readable");
        assert_eq!(hole, [0; 8]);
    }
    let resident = pattern
        .target
        .process()
        .memory_use()
        .expect("its memory")
        .rss;
    assert!(
        resident < 100 << 20,
        "reading holes filled them: {resident}"
    );
    assert!(frozen.info().copied_bytes < 8 << 20, "holes were copied");
}

fn errors() {
    let pattern = Pattern::start();
    let mut session = session(&pattern.target.process()).expect("a session");
    let frozen = session.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    for nowhere in [
        0,
        8,
        1 << 46,
        (1 << 47) - 8,
        1 << 47,
        u64::MAX - 3,
        u64::MAX,
    ] {
        let at = RemoteAddr(nowhere);
        assert_eq!(frozen.bytes(at, 8), Err(ReadError::Unmapped(at)), "{at}");
    }
    let place = pattern.place("pattern");
    let run = frozen.mapped_run(RemoteAddr(place.start)).expect("a run");
    assert!(run.start <= place.start && place.end <= run.end);
    let beyond = frozen.bytes(
        RemoteAddr(place.start),
        (run.end - place.start + 1) as usize,
    );
    assert_eq!(beyond, Err(ReadError::Unmapped(RemoteAddr(run.end))));
    assert!(frozen.bytes(RemoteAddr(place.start), usize::MAX).is_err());
    assert_eq!(frozen.bytes(RemoteAddr(place.start), 0), Ok(&[][..]));
    frozen.finish().expect("let go");
    let late = RemoteAddr(place.start + (1 << 20));
    assert_eq!(frozen.bytes(late, 8), Err(ReadError::NotCopied(late)));
}

/// It runs on meanwhile, and has more time on processors each time.
fn peeked() {
    let mut pattern = Pattern::start();
    pattern.tell("flicker", "flickers");
    let peek = Peek::open(&pattern.target.process()).expect("it may be looked at");
    let at = RemoteAddr(pattern.place("word").start);
    let mut seen = [false; 2];
    let began = peek.processor_time().expect("a time");
    until("both values were seen", || {
        let mut word = [0; 8];
        assert!(peek.read(at, &mut word));
        seen[usize::from(word[0])] = true;
        seen == [true; 2]
    });
    until("it had more time on processors", || {
        peek.processor_time().expect("a time") > began
    });
    assert!(!peek.read(RemoteAddr(8), &mut [0; 8]));
    drop(pattern);
    assert!(!peek.read(at, &mut [0; 8]), "it has ended");
    assert_eq!(peek.processor_time(), None);
}

fn avoided() {
    let mut pattern = Pattern::start();
    pattern.tell("flicker", "flickers");
    let addr = RemoteAddr(pattern.place("word").start);
    let quiet = WordTest {
        addr,
        size: 8,
        mask: u64::MAX,
        equals: 0,
    };
    for _ in 0..10 {
        let mut session = session(&pattern.target.process()).expect("a session");
        let request = FreezeRequest {
            avoid: vec![quiet],
            attempts: 50,
            ..by(Method::Fork)
        };
        let frozen = session.freeze(&request, |_| {}).expect("frozen");
        assert!(frozen.info().avoided, "{:?}", frozen.info());
        assert_eq!(frozen.bytes(addr, 8).expect("readable"), [0; 8]);
    }
    let mut session = session(&pattern.target.process()).expect("a session");
    let never = WordTest { equals: 2, ..quiet };
    let request = FreezeRequest {
        avoid: vec![never],
        attempts: 2,
        ..by(Method::Fork)
    };
    let info = session
        .freeze(&request, |_| {})
        .expect("frozen all the same")
        .info();
    assert_eq!((info.avoided, info.attempts), (false, 2));
}

fn dontfork() {
    let mut pattern = Pattern::start();
    pattern.tell("dontfork", "kept");
    let mut session = session(&pattern.target.process()).expect("a session");
    let place = pattern.place("pattern");
    let request = FreezeRequest::default();
    let frozen = session
        .freeze(&request, |live| live.prefetch(&[place]))
        .expect("frozen");
    let info = frozen.info();
    assert_eq!(info.method, Method::Pause);
    assert!(info.reason.is_some_and(|r| r.contains("MADV_DONTFORK")));
    pattern.assert_pattern(&frozen);
}

/// Pinning a page that is shared since a fork would give each process its own.
fn shared() {
    let target = Target::start(python_program("shared.py"));
    let process = target.process();
    let own = || -> u64 {
        let uses = process.mapping_use().expect("its memory");
        uses.iter()
            .map(|one| one.private_clean + one.private_dirty)
            .sum()
    };
    let before = own();
    for method in [Method::Pause, Method::Fork] {
        let mut session = session(&process).expect("a session");
        let all: Vec<_> = process
            .mappings()
            .expect("mappings")
            .iter()
            .map(|m| m.range())
            .collect();
        let frozen = session
            .freeze(&by(method), |live| live.prefetch(&all))
            .expect("frozen");
        frozen.prefetch(&all);
        drop(frozen);
        drop(session);
        let more = own().saturating_sub(before);
        assert!(more < 8 << 20, "{method:?} took {more} bytes in the target");
    }
}
