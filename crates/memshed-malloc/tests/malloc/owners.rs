//! Who owns what, in C programs and in interpreters.

use crate::support::{Program, Waiting, libcs, python_with};
use memshed_malloc::{Glibc, Hints, Owner, Owners, Part};
use memshed_target::{Mapping, Process, Range, RemoteAddr, ThreadInfo};
use memshed_testing::supported;
use std::process::Command;

/// A program that stands still, and what was read of it.
struct Look {
    process: Process,
    mappings: Vec<Mapping>,
    threads: Vec<ThreadInfo>,
    glibc: Glibc,
    owners: Owners,
    lines: Vec<String>,
    _program: Program,
}

impl Look {
    fn at(command: Command) -> Look {
        let mut program = Program::start(command);
        let lines = program.lines();
        let process = program.process();
        let mappings = process.mappings().expect("mappings");
        let threads = process.threads();
        let own: Vec<i32> = threads.iter().map(|t| t.own_tid).collect();
        let hints = Hints {
            threads: &own,
            ..Hints::default()
        };
        let memory = Waiting::of(&process);
        let glibc = Glibc::read(&memory, &mappings, &hints).expect("readable");
        let glibc = glibc.expect("glibc");
        let owners = Owners::find(&memory, &mappings, Some(&glibc), &hints).expect("readable");
        assert_eq!(
            glibc.problems.list(),
            [],
            "{:?} {:?}",
            glibc.mapped_said,
            glibc.mapped_found()
        );
        assert_eq!(owners.problems.list(), []);
        let look = Look {
            process,
            mappings,
            threads,
            glibc,
            owners,
            lines,
            _program: program,
        };
        look.assert_whole();
        look
    }

    /// The pieces are the mappings, no more and no less.
    fn assert_whole(&self) {
        let mut pieces = self.owners.pieces.iter().peekable();
        for (index, mapping) in self.mappings.iter().enumerate() {
            let mut at = mapping.start;
            while let Some(piece) = pieces.next_if(|p| p.mapping as usize == index) {
                assert_eq!(piece.range.start, at);
                at = piece.range.end;
            }
            assert_eq!(at, mapping.end);
        }
        assert_eq!(pieces.next(), None);
    }

    fn owner(&self, at: u64) -> Owner {
        self.owners.of(RemoteAddr(at)).expect("mapped").owner
    }

    /// Resident bytes of the pieces whose owner is wanted.
    fn resident(&self, wanted: impl Fn(Owner) -> bool) -> u64 {
        let pieces = self.owners.pieces.iter().filter(|p| wanted(p.owner));
        let ranges: Vec<Range> = pieces.map(|p| p.range).collect();
        let residency = self.process.residency(&ranges).expect("a pagemap");
        ranges.iter().map(|&r| residency.resident_bytes(r)).sum()
    }

    fn number(&self, word: &str) -> u64 {
        let line = self.lines.iter().find_map(|l| l.strip_prefix(word));
        line.expect("a line").trim().parse().expect("a number")
    }

    /// Where the kernel sees the stack pointer of a thread (proc_pid_syscall(5)).
    fn stack_pointer(&self, thread: &ThreadInfo) -> u64 {
        let path = format!("/proc/{}/task/{}/syscall", self.process.pid(), thread.tid);
        let text = std::fs::read_to_string(path).expect("its system call");
        let word = text.split(' ').rev().nth(1).expect("a stack pointer");
        u64::from_str_radix(word.trim_start_matches("0x"), 16).expect("a number")
    }
}

#[test]
fn each_thread_has_its_stack() {
    for libc in libcs() {
        let mut command = libc.command("heaps");
        command.arg("12");
        let look = Look::at(command);
        assert_eq!(look.threads.len(), 13, "{}", libc.name);
        for thread in &look.threads {
            let at = look.stack_pointer(thread);
            let owner = look.owner(at);
            if thread.tid == look.process.pid() {
                assert_eq!(owner, Owner::MainStack, "{}", libc.name);
                continue;
            }
            let Owner::ThreadStack(index) = owner else {
                panic!("{}: {owner:?} at {at:#x}", libc.name);
            };
            let block = &look.owners.threads[index as usize];
            assert_eq!(block.tid, Some(thread.own_tid), "{}", libc.name);
        }
        let unknown = look.resident(|o| o == Owner::Unknown);
        assert!(unknown <= 64 << 10, "{}: {unknown}", libc.name);
    }
}

#[test]
fn heaps_and_variables_have_their_owners() {
    for libc in libcs() {
        let mut command = libc.command("heaps");
        command.args(["4", "mapped"]);
        let look = Look::at(command);
        for line in look.lines.iter().filter_map(|l| l.strip_prefix("live ")) {
            let (at, _) = line.split_once(' ').expect("two numbers");
            let at: u64 = at.parse().expect("a number");
            let owner = look.owner(at);
            let expected = match look.glibc.chunks.find(RemoteAddr(at)) {
                Some(_) => matches!(owner, Owner::Heap(_)),
                None => owner == Owner::MappedChunk,
            };
            assert!(expected, "{}: {owner:?}", libc.name);
        }
        let main = look.glibc.arenas[0].address.0;
        let Owner::Library(library, Part::Data | Part::ZeroedData) = look.owner(main) else {
            panic!("{}: {:?}", libc.name, look.owner(main));
        };
        let path = &look.owners.libraries[library as usize];
        let expected = if libc.built_in {
            "heaps-static"
        } else {
            "libc.so.6"
        };
        assert!(path.ends_with(expected), "{}: {path}", libc.name);
    }
}

const HOLD: &str = "
def hold():
    import os
    os.write(1, b'ready\\n')
    os.read(0, 1)
";

fn python(path: &std::path::Path, script: &str) -> Command {
    let mut command = Command::new(path);
    command.args(["-c", &format!("{HOLD}\n{script}\nhold()")]);
    command
}

#[test]
fn interpreters_that_use_malloc_for_everything() {
    for one in supported() {
        let script = "kept = [(i, str(i) * 3) for i in range(200000)]\nkept = kept[::7]";
        let mut command = python(&one.path, script);
        command.env("PYTHONMALLOC", "malloc");
        let look = Look::at(command);
        let main = &look.glibc.arenas[0];
        let heap = look.resident(|o| o == Owner::Heap(0));
        let whole = look.process.memory_use().expect("sums").rss;
        let unknown = look.resident(|o| o == Owner::Unknown);
        eprintln!(
            "{}: {heap} of {whole} resident bytes are the heap, {unknown} unknown; {main:?}",
            one.label
        );
        assert!(
            heap > 10 << 20 && heap <= main.system_bytes,
            "{}",
            one.label
        );
        assert!(
            main.in_use.count > 20_000 && main.fast_bins.count + main.free.count > 1000,
            "{}",
            one.label
        );
        assert!(
            unknown * 100 < whole * 2,
            "{}: {unknown} of {whole}",
            one.label
        );
    }
}

#[test]
fn one_arena_if_there_may_be_one() {
    for one in supported() {
        let script = "import os, threading\n\
            pipe, _ = os.pipe()\n\
            done = threading.Barrier(9)\n\
            def work():\n\
            \x20   kept = [bytearray(n) for n in range(600, 4000)]\n\
            \x20   done.wait()\n\
            \x20   os.read(pipe, 1)\n\
            for _ in range(8): threading.Thread(target=work, daemon=True).start()\n\
            done.wait()";
        let mut command = python(&one.path, script);
        command.env("MALLOC_ARENA_MAX", "1");
        let look = Look::at(command);
        assert_eq!(look.glibc.arenas.len(), 1, "{}", one.label);
        assert_eq!(look.glibc.thread_caches, 9, "{}", one.label);
        let stacks = look.owners.threads.iter().filter(|t| t.tid.is_some());
        assert_eq!(stacks.count(), 8, "{}", one.label);
    }
}

#[test]
fn a_large_object_is_found_and_not_read() {
    let Some(one) = supported().pop() else { return };
    let look = Look::at(python(
        &one.path,
        "big = bytes(1 << 30)\nprint(id(big), flush=True)",
    ));
    let at: u64 = look.lines[0].parse().expect("an address");
    let (start, usable) = look.glibc.chunk_of(RemoteAddr(at)).expect("a chunk");
    assert_eq!(start.0, at);
    assert!(usable >= 1 << 30);
    assert_eq!(look.owner(at + (1 << 29)), Owner::MappedChunk);
}

#[test]
fn buffers_of_openblas_are_its_own() {
    let Some(interpreter) = python_with("malloc", &["numpy"]) else {
        return;
    };
    let script = "import numpy\n\
        a = numpy.random.rand(600, 600)\n\
        b = a @ a\n\
        c = numpy.zeros(40_000_000)\n\
        c[:] = 1\n\
        print('array', c.ctypes.data)";
    let mut command = python(
        &interpreter,
        &format!("{script}\nimport sys; sys.stdout.flush()"),
    );
    command.env("OPENBLAS_NUM_THREADS", "2");
    let look = Look::at(command);
    assert_eq!(look.owner(look.number("array ")), Owner::MappedChunk);
    let of = |name: &'static str| {
        let libraries = look.owners.libraries.iter();
        let known: Vec<bool> = libraries.map(|l| l.contains(name)).collect();
        look.resident(move |o| matches!(o, Owner::PointedToBy(l) if known[l as usize]))
    };
    let blas = of("openblas");
    let unknown = look.resident(|o| o == Owner::Unknown);
    let whole = look.process.memory_use().expect("sums").rss;
    for piece in look
        .owners
        .pieces
        .iter()
        .filter(|p| matches!(p.owner, Owner::PointedToBy(_) | Owner::Unknown))
    {
        let bytes = look.process.residency(&[piece.range]).expect("pages");
        eprintln!("{:?} {}", piece, bytes.resident_bytes(piece.range));
    }
    eprintln!("{blas} bytes are OpenBLAS's, {unknown} of {whole} unknown");
    assert!(blas > 1 << 20, "{blas}");
    assert!(unknown * 100 < whole, "{unknown} of {whole}");
}

#[test]
fn what_the_caller_knows_is_left_to_it() {
    let Some(one) = supported().pop() else { return };
    let look = Look::at(python(&one.path, "kept = [str(i) for i in range(100000)]"));
    // The interpreter's arenas: the largest memory that it points to.
    let pieces = look.owners.pieces.iter();
    let pointed = pieces.filter(|p| matches!(p.owner, Owner::PointedToBy(_)));
    let arenas = pointed.max_by_key(|p| p.range.len()).expect("arenas").range;
    let foreign = [Range {
        start: arenas.start + 4096,
        ..arenas
    }];
    let hints = Hints {
        foreign: &foreign,
        threads: &[],
    };
    let memory = Waiting::of(&look.process);
    let glibc = Glibc::read(&memory, &look.mappings, &hints).expect("readable");
    let glibc = glibc.expect("glibc");
    assert_eq!(glibc.mapped, look.glibc.mapped);
    let owners = Owners::find(&memory, &look.mappings, Some(&glibc), &hints).expect("readable");
    let of = |at| owners.of(RemoteAddr(at)).expect("mapped").owner;
    assert_eq!(of(foreign[0].start), Owner::Foreign);
    assert_eq!(of(foreign[0].end - 1), Owner::Foreign);
    assert_ne!(of(arenas.start), Owner::Foreign);
}
