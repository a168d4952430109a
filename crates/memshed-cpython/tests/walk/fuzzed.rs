//! The walker over a heap that was torn on purpose: what the fuzz target `walk` in `fuzz/` runs, and
//! the test below on the inputs that `fuzz/corpus/walk` keeps.
//!
//! An input is a list of changes to the memory of a real interpreter, at words that a walk
//! of the sound heap reads; so nearly all of them matter, wherever the interpreter lies.

use memshed_cpython::{Allocator, Program, Python, Surroundings, Walk, WalkOptions, identify};
use memshed_heap::{Heap, ObjectId, Objects};
use memshed_target::{Memory, Process, Range, ReadError, RemoteAddr, Residency};
use memshed_testing::Copy;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Bytes of a change: where, how, what.
const CHANGE: usize = 14;
/// Changes of an input.
const CHANGES: usize = 64;
/// Words noted of one read; the rest of a long one is of the same kind.
const NOTED: usize = 64;
/// The words read first, which are the interpreter's own state and its types.
const FIRST: usize = 4096;
const PAGE: u64 = 4096;

/// The memory of an interpreter, and which of its words matter.
pub struct Image {
    program: Program,
    memory: Copy,
    /// In the order in which they are read first.
    words: Vec<RemoteAddr>,
}

impl Image {
    /// The image of a small program that `python` runs.
    pub fn of(python: &Path) -> Image {
        let script = "import sys; print('ready', flush=True); sys.stdin.read()";
        let mut child = Command::new(python)
            .args(["-I", "-S", "-c", script])
            .env("PYTHONHASHSEED", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an interpreter");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let process = Process::open(child.id() as i32).expect("it waits");
        let identity = identify(&process).expect("mappings").expect("Python");
        let memory = Copy::of(&process);
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        let mut image = Image {
            program: identity.program.expect("supported"),
            memory,
            words: Vec::new(),
        };
        let noted = Noted {
            memory: &image.memory,
            words: Mutex::default(),
        };
        walk(&image.program, &noted).expect("a sound heap");
        let (_, words) = noted.words.into_inner().expect("no panic");
        image.words = words;
        image
    }

    /// Walks the heap with the changes that `data` says; whether that gave one.
    pub fn run(&mut self, data: &[u8]) -> bool {
        let mut undo = Vec::new();
        let mut holes = HashSet::new();
        for change in data.chunks_exact(CHANGE).take(CHANGES) {
            let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
            let (place, value) = (number(&change[..4]), number(&change[6..]));
            let (kind, early) = (change[4], change[5] & 1 == 1);
            let most = if early {
                FIRST.min(self.words.len())
            } else {
                self.words.len()
            };
            let at = self.words[place as usize % most];
            let other = self.words[(value % self.words.len() as u64) as usize];
            let Some(old) = self.word(at) else { continue };
            let new = match kind % 6 {
                0 => value,
                1 => self.word(other).unwrap_or(0),
                2 => value % (1 << 20),
                3 => old.wrapping_add(value as u8 as i8 as u64),
                4 => other.0,
                _ => {
                    holes.insert(at.0 / PAGE);
                    continue;
                }
            };
            undo.push((at, old));
            self.set(at, new);
        }
        let torn = Torn {
            memory: &self.memory,
            holes,
        };
        let heap = walk(&self.program, &torn);
        if let Some(heap) = &heap {
            assert_consistent(heap);
        }
        for (at, old) in undo.into_iter().rev() {
            self.set(at, old);
        }
        heap.is_some()
    }

    fn word(&self, at: RemoteAddr) -> Option<u64> {
        let bytes = self.memory.bytes(at, 8).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn set(&mut self, at: RemoteAddr, word: u64) {
        let after = self.memory.0.partition_point(|run| run.0 <= at.0);
        let (start, bytes) = &mut self.memory.0[after - 1];
        let from = (at.0 - *start) as usize;
        bytes[from..from + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// What releasing reads: where the allocators keep their state, and what is worth doing.
fn plan<M: Memory>(python: &Python, memory: &M) -> Vec<Allocator> {
    let found = python.allocators(memory).unwrap_or_default();
    for allocator in &found {
        allocator.plan(python, memory, &Residency::default(), true);
    }
    found
}

/// Everything that a look does with a heap.
fn walk<M: Memory>(program: &Program, memory: &M) -> Option<Heap> {
    let python = Python::open(program.clone(), memory).ok()?;
    plan(&python, memory);
    let options = WalkOptions {
        values: true,
        duplicates: true,
        ..WalkOptions::default()
    };
    let mut walk = Walk::find(&python, memory, options, &|_| {}).ok()?;
    let mut heap = walk.heap(&Surroundings::default(), &|_| {});
    heap.edges = Some(walk.edges(&mut heap.strings, &|_| {}));
    heap.code = walk.code(&mut heap.strings);
    heap.stacks = walk.stacks(&mut heap.strings);
    heap.duplicates = walk.duplicates(&heap.objects);
    let some: Vec<ObjectId> = (0..heap.objects.len() as u32)
        .step_by(7)
        .map(ObjectId)
        .collect();
    heap.previews = Some(walk.previews(&heap, &some));
    heap.snapshot.problems = walk.problems();
    Some(heap)
}

/// Notes which words are read.
struct Noted<'a> {
    memory: &'a Copy,
    words: Mutex<(HashSet<u64>, Vec<RemoteAddr>)>,
}

impl Memory for Noted<'_> {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let bytes = self.memory.bytes(at, len)?;
        let mut guard = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, words) = &mut *guard;
        let first = at.0 & !7;
        for word in (first..at.0 + len as u64).step_by(8).take(NOTED) {
            if seen.insert(word) && self.memory.bytes(RemoteAddr(word), 8).is_ok() {
                words.push(RemoteAddr(word));
            }
        }
        Ok(bytes)
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        self.memory.mapped_run(at)
    }
}

/// Memory from which pages are missing.
struct Torn<'a> {
    memory: &'a Copy,
    holes: HashSet<u64>,
}

impl Memory for Torn<'_> {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let bytes = self.memory.bytes(at, len)?;
        let pages = at.0 / PAGE..=(at.0 + len as u64).saturating_sub(1) / PAGE;
        match self.holes.is_empty() || !pages.into_iter().any(|page| self.holes.contains(&page)) {
            true => Ok(bytes),
            false => Err(ReadError::NotCopied(at)),
        }
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        self.memory.mapped_run(at)
    }
}

/// What holds for every heap, however torn the memory it was read from.
pub fn assert_consistent(heap: &Heap) {
    let count = heap.objects.len();
    assert!(heap.objects.address.is_sorted());
    let edges = heap.edges.as_ref().expect("they were asked for");
    assert_eq!(edges.start.len(), count + 1);
    assert!(
        edges
            .target
            .iter()
            .all(|target| (target.0 as usize) < count)
    );
    assert!(
        heap.objects
            .type_id
            .iter()
            .all(|of| (of.0 as usize) < heap.types.len())
    );
    let object = |id: ObjectId| (id.0 as usize) < count;
    assert!(heap.code.iter().all(|code| object(code.object)));
    let mut calls = heap.stacks.iter().flat_map(|stack| &stack.calls);
    assert!(calls.all(|call| object(call.code)));
    assert!(heap.outer_references.iter().all(|(id, _)| object(*id)));
    assert!(heap.outer_references.is_sorted_by(|a, b| a.0 < b.0));
    assert!(heap.duplicates.iter().all(|one| object(one.object)));
    let generation = |&g: &u8| g <= 3 || g >= Objects::UNTRACKED - 1;
    assert!(heap.objects.generation.iter().all(generation));
}

#[cfg(test)]
mod tests {
    use super::{Image, plan};
    use memshed_cpython::{Allocator, Python};
    use memshed_target::RemoteAddr;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    /// No input takes longer, unless the walker hangs.
    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn kept_tears_give_a_heap_or_an_error_and_end() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/walk");
        let inputs = std::fs::read_dir(folder).expect("inputs");
        let inputs: Vec<_> = inputs
            .map(|input| input.expect("an input").path())
            .collect();
        assert!(!inputs.is_empty());
        for python in memshed_testing::supported() {
            let (sender, walked) = channel();
            let inputs = inputs.clone();
            let walker = std::thread::spawn(move || {
                let mut image = Image::of(&python.path);
                for path in inputs {
                    let data = std::fs::read(&path).expect("bytes");
                    image.run(&data);
                    // Fails once the test has given up.
                    let _ = sender.send(path);
                }
                assert!(image.run(&[]), "the heap is sound again");
            });
            while !walker.is_finished() {
                match walked.recv_timeout(LIMIT) {
                    Ok(path) => eprintln!("{} {}", python.label, path.display()),
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(error) => panic!("a walk hangs: {error}"),
                }
            }
            walker.join().expect("no panic");
        }
    }

    /// A list of pools that changes while it is read may lead round and round.
    #[test]
    fn a_ring_of_pools_that_never_leaves_them_ends() {
        /// A pool is at most this large, and where `nextpool` is in its header (pycore_obmalloc.h).
        const POOL: usize = 16 << 10;
        const NEXT_POOL: u64 = 16;
        for python in memshed_testing::supported() {
            let mut image = Image::of(&python.path);
            let state = Python::open(image.program.clone(), &image.memory).expect("its state");
            let sound = plan(&state, &image.memory);
            assert!(!sound.is_empty(), "{}", python.label);
            for range in sound.iter().flat_map(Allocator::ranges) {
                for pool in (range.start..range.end).step_by(POOL) {
                    if image.word(RemoteAddr(pool)).is_some() {
                        image.set(RemoteAddr(pool + NEXT_POOL), pool);
                    }
                }
            }
            let began = Instant::now();
            plan(&state, &image.memory);
            assert!(began.elapsed() < Duration::from_secs(5), "{}", python.label);
        }
    }
}
