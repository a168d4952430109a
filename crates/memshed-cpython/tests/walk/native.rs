//! Memory of C code: what a program has taken from the allocators and gave to no object.

use memshed_cpython::{Python, Surroundings, Walk, WalkOptions, identify};
use memshed_heap::{Heap, NativeKind, NativeUse};
use memshed_target::{Process, Range};
use memshed_testing::{Copy, supported};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Chunks that point into libm, chunks that point at such a chunk, a large chunk, blocks of
/// pymalloc, and memory from the system, shared and not; an
/// object that has such memory itself.
const SCRIPT: &str = r#"
import ctypes, mmap, os
libc = ctypes.CDLL(None)
for name in ("malloc", "mmap"):
    getattr(libc, name).restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
allocate = ctypes.pythonapi.PyMem_Malloc
allocate.restype = ctypes.c_void_p
cosine = ctypes.cast(ctypes.CDLL("libm.so.6").cos, ctypes.c_void_p).value
def filled(take, size, *words):
    at = take(size)
    ctypes.memset(at, 0, size)
    for i, word in enumerate(words):
        ctypes.c_uint64.from_address(at + 8 * i).value = word
    return at
for i in range(500):
    marked = filled(libc.malloc, 1000, 0, 7, cosine)
for i in range(300):
    filled(libc.malloc, 2000, 1, marked)
for i in range(400):
    filled(allocate, 200, cosine)
for i in range(4):
    filled(libc.malloc, 64 << 20)
filled(lambda size: libc.mmap(None, size, 3, 0x22, -1, 0), 16 << 20)
filled(lambda size: libc.mmap(None, size, 3, 0x21, -1, 0), 8 << 20)
owned = mmap.mmap(-1, 32 << 20)
owned.write(b"x" * (32 << 20))
os.write(1, b"ready\n")
os.read(0, 1)
"#;

pub fn start(python: &std::path::Path, script: &str) -> Child {
    let mut child = Command::new(python)
        .args(["-I", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an interpreter");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    child
}

/// A look that knows what is around the heap.
pub fn look(child: &Child) -> Heap {
    let process = Process::open(child.id() as i32).expect("the process");
    let identity = identify(&process).expect("its mappings").expect("a Python");
    let memory = Copy::of(&process);
    let program = identity.program.expect("it is supported");
    let python = Python::open(program, &memory).expect("its state");
    let options = WalkOptions::default();
    let mut walk = Walk::find(&python, &memory, options, &|_| {}).expect("a heap");
    let own = walk.interpreter_mappings();
    let uses = process.mapping_use().expect("its mappings");
    let ranges: Vec<Range> = uses.iter().map(|one| one.mapping.range()).collect();
    let residency = process.residency(&ranges).expect("its pages");
    let around = Surroundings::read(&memory, uses, residency, &own, process.threads());
    let around = around.expect("what is around");
    walk.heap(&around, &|_| {})
}

#[test]
fn memory_of_c_code_is_told_by_size_and_library() {
    for python in supported() {
        let mut child = start(&python.path, SCRIPT);
        let heap = look(&child);
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        let label = &python.label;
        let row = |kind, size| -> &NativeUse {
            let same = |one: &&NativeUse| (one.kind, one.size, one.owner) == (kind, size, None);
            let found = heap.native.iter().find(same);
            found.unwrap_or_else(|| panic!("{label}: {kind:?} of {size}"))
        };
        let pointed = |row: &NativeUse| {
            let first = row.points_into.first();
            first.map(|&(name, count)| (heap.strings.get(name), count))
        };
        let chunks = row(NativeKind::Chunk, 1008);
        // What C code has freed may still hold an address of one.
        assert!((498..520).contains(&chunks.count), "{label}: {chunks:?}");
        assert_eq!(chunks.bytes, chunks.count * 1008);
        let into = pointed(chunks);
        let sure = |(name, count)| name == "libm.so.6" && (45..=64).contains(&count);
        assert!(into.is_some_and(sure), "{label}: {into:?}");
        let behind = row(NativeKind::Chunk, 2016);
        assert!((300..310).contains(&behind.count), "{label}: {behind:?}");
        assert!(pointed(behind).is_some_and(sure), "{label}: {behind:?}");
        let blocks = row(NativeKind::Block, 208);
        assert!((400..420).contains(&blocks.count), "{label}: {blocks:?}");
        assert!(pointed(blocks).is_some_and(sure), "{label}: {blocks:?}");
        let large = row(NativeKind::MappedChunk, (64 << 20) + 4096);
        assert_eq!(large.count, 4, "{label}");
        let sum = |kind| -> u64 {
            let rows = heap.native.iter().filter(|row| row.kind == kind);
            rows.map(|row| row.bytes).sum()
        };
        // An old word of some library's may by chance seem to point there.
        let anonymous = sum(NativeKind::Anonymous);
        assert!(anonymous >= 16 << 20, "{label}: {anonymous}");
        let shared = sum(NativeKind::Shared);
        // What an object has mapped is its own.
        assert!((8 << 20..16 << 20).contains(&shared), "{label}: {shared}");
        let owned = heap.native.iter().filter(|row| row.owner.is_some());
        assert!(owned.count() > 0, "{label}");
    }
}
