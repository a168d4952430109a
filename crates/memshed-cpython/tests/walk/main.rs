//! The walker against what interpreters know of themselves, and against heaps that are torn on
//! purpose. The memory is read through `/proc/PID/mem` while the process waits in a system call,
//! so that these tests need no ptrace.

mod duplicates;
mod fill;
mod fuzzed;
mod native;
mod shed;
mod stacks;
mod values;

use crate::fuzzed::assert_consistent;
use memshed_cpython::{Program, Python, Surroundings, Walk, WalkOptions, identify};
use memshed_heap::Heap;
use memshed_target::Process;
use memshed_testing::{Copy, supported};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A process that waits, ended when this is dropped.
struct Target {
    child: Child,
    truth: HashMap<u64, (u64, bool)>,
}

impl Target {
    fn start(python: &Path) -> Target {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/walk/truth.py");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("truth-{unique}"));
        let mut child = Command::new(python)
            .args(["-W", "ignore", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an interpreter");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let text = std::fs::read_to_string(&path).expect("the truth");
        std::fs::remove_file(&path).expect("the truth goes");
        let row = |line: &str| {
            let mut words = line
                .split(' ')
                .map(|word| word.parse::<u64>().expect("a number"));
            let mut next = || words.next().expect("three words");
            (next(), (next(), next() == 1))
        };
        Target {
            child,
            truth: text.lines().map(row).collect(),
        }
    }

    fn look(&self) -> (Program, Copy) {
        let process = Process::open(self.child.id() as i32).expect("the process");
        let identity = identify(&process)
            .expect("its mappings")
            .expect("it is Python");
        (
            identity.program.expect("it is supported"),
            Copy::of(&process),
        )
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.child.kill().expect("it can be ended");
        self.child.wait().expect("it ends");
    }
}

fn walk(program: Program, memory: &Copy) -> Option<Heap> {
    let python = Python::open(program, memory).ok()?;
    let mut walk = Walk::find(&python, memory, WalkOptions::default(), &|_| {}).ok()?;
    let mut heap = walk.heap(&Surroundings::default(), &|_| {});
    heap.edges = Some(walk.edges(&mut heap.strings, &|_| {}));
    heap.code = walk.code(&mut heap.strings);
    heap.stacks = walk.stacks(&mut heap.strings);
    heap.snapshot.problems = walk.problems();
    Some(heap)
}

#[test]
fn finds_and_sizes_what_the_interpreter_knows() {
    let interpreters = supported();
    assert!(
        !interpreters.is_empty(),
        "no supported interpreter was found"
    );
    for python in interpreters {
        let target = Target::start(&python.path);
        let (program, memory) = target.look();
        let heap = walk(program, &memory).expect("a heap");
        let rows: HashMap<u64, usize> = heap
            .objects
            .address
            .iter()
            .enumerate()
            .map(|(row, at)| (at, row))
            .collect();
        let missing = target
            .truth
            .keys()
            .filter(|at| !rows.contains_key(at))
            .count();
        // The child that took the truth made a few objects: its pid, the exception state.
        assert!(
            missing <= 10,
            "{}: {missing} of {} missing",
            python.label,
            target.truth.len()
        );
        let wrong = target.truth.iter().filter(|(at, (size, _))| {
            rows.get(at)
                .is_some_and(|&row| heap.objects.size.get(row) != *size)
        });
        let wrong = wrong.count();
        let share = wrong as f64 / target.truth.len() as f64;
        assert!(
            share < 0.001,
            "{}: {wrong} of {} sizes",
            python.label,
            target.truth.len()
        );
        let tracked = heap.objects.generation.iter().filter(|&&g| g < 3).count();
        let truth = target
            .truth
            .values()
            .filter(|(_, tracked)| *tracked)
            .count();
        assert!(
            tracked.abs_diff(truth) <= 10,
            "{}: {tracked}, not {truth}",
            python.label
        );
        assert_eq!(heap.snapshot.problems, [], "{}", python.label);
        assert_consistent(&heap);
    }
}

#[test]
fn torn_heaps_give_a_heap_or_an_error_and_end() {
    let Some(python) = supported().into_iter().next() else {
        panic!("no supported interpreter was found");
    };
    let target = Target::start(&python.path);
    let (program, memory) = target.look();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut walked = 0;
    for _ in 0..30 {
        let mut torn = memory.clone();
        let places = 10 << random(12);
        for _ in 0..places {
            let run = random(torn.0.len());
            let bytes = &mut torn.0[run].1;
            let at = random(bytes.len() / 8) * 8;
            // A word becomes another word of the heap, a small number, or noise.
            let other = random(bytes.len() / 8) * 8;
            let word: [u8; 8] = match random(3) {
                0 => bytes[other..other + 8].try_into().expect("eight bytes"),
                1 => (random(1 << 20) as u64).to_le_bytes(),
                _ => (random(usize::MAX) as u64).to_le_bytes(),
            };
            bytes[at..at + 8].copy_from_slice(&word);
        }
        if let Some(heap) = walk(program.clone(), &torn) {
            assert_consistent(&heap);
            walked += 1;
        }
    }
    assert!(walked > 10, "only {walked} of 30 torn heaps were walked");
}
