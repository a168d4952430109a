//! What the agent does to pymalloc within real interpreters: that their own data stays what it
//! was, that everything that must hold of the allocator's state does, and how much is given back.
//!
//! The agent is run as a pending call would run it, by the program itself.

use memshed_cpython::{
    AllocatorCheck, AllocatorState, Program, Python, Surroundings, Walk, WalkOptions, identify,
};
use memshed_heap::Releasable;
use memshed_target::{Memory, Process, RemoteAddr};
use memshed_testing::{Copy, supported};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A program of `shed.py`, ended when this is dropped.
struct Shedding {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Shedding {
    fn start(python: &Path, name: &str, size: u32) -> Shedding {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/walk/shed.py");
        let mut child = Command::new(python)
            .args(["-W", "ignore", script])
            .arg(image())
            .arg(memshed_agent::entries::PENDING.to_string())
            .args([name, &size.to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an interpreter");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Shedding { child, output }
    }

    /// What it says when it waits next; `None` if it has ended well.
    fn said(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        if line == "end\n" {
            let status = self.child.wait().expect("its end");
            assert!(status.success(), "{status}");
            return None;
        }
        let json = line.strip_prefix("look ");
        let json = json.unwrap_or_else(|| panic!("it said {line:?}"));
        Some(serde_json::from_str(json).expect("JSON"))
    }

    fn go_on(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("its input");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Once it waits: what it says comes before that.
    fn look(&self) -> (Program, Copy) {
        while !self.waits() {
            std::thread::yield_now();
        }
        let process = Process::open(self.child.id() as i32).expect("the process");
        let identity = identify(&process).expect("its mappings");
        let program = identity.expect("it is Python").program;
        (program.expect("it is supported"), Copy::of(&process))
    }

    /// Whether its main thread waits for a line.
    fn waits(&self) -> bool {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.child.id()));
        call.is_ok_and(|call| call.starts_with("0 0x0 "))
    }

    /// Checks the state of its allocator. What is wrong stays wrong, while a thread that had not
    /// come to rest leaves the allocator some time.
    fn check(&self) -> (AllocatorCheck, AllocatorState, Python, Copy) {
        let mut left = 20;
        loop {
            let (program, memory) = self.look();
            let python = Python::open(program, &memory).expect("its state");
            let states = python.allocator_states(&memory).expect("its interpreters");
            let [state] = states[..] else {
                panic!("{} allocators", states.len());
            };
            let check = state.check(&python, &memory).expect("its arenas");
            left -= 1;
            if check.count == 0 || left == 0 {
                return (check, state, python, memory);
            }
        }
    }
}

impl Drop for Shedding {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The interpreters whose names have what the environment says in them.
fn chosen() -> Vec<memshed_testing::Python> {
    let part = std::env::var("MEMSHED_PYTHON").unwrap_or_default();
    let mut all = supported();
    all.retain(|python| python.label.contains(&part));
    all
}

/// The agent's code as a file.
fn image() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent.bin");
    let whole = std::fs::read(&path).is_ok_and(|there| there == memshed_agent::IMAGE);
    if !whole {
        // Others may be reading it.
        let mine = path.with_extension(std::process::id().to_string());
        std::fs::write(&mine, memshed_agent::IMAGE).expect("a file");
        std::fs::rename(&mine, &path).expect("its place");
    }
    path
}

/// What the walker says that could be given back.
fn estimate(program: &Shedding) -> Releasable {
    let process = Process::open(program.child.id() as i32).expect("the process");
    let mappings = process.mapping_use().expect("its mappings");
    let ranges: Vec<_> = mappings.iter().map(|m| m.mapping.range()).collect();
    let residency = process.residency(&ranges).expect("its pages");
    let around = Surroundings::unknown(mappings, residency, RemoteAddr::NULL);
    let (program, memory) = program.look();
    let python = Python::open(program, &memory).expect("its state");
    let options = WalkOptions::default();
    let mut walk = Walk::find(&python, &memory, options, &|_| {}).expect("a heap");
    let releasable = walk.heap(&around, &|_| {}).pools.releasable;
    let problems = walk.problems();
    assert!(
        problems.iter().all(|p| !p.kind.starts_with("torn")),
        "{problems:?}"
    );
    releasable
}

fn addresses(state: &AllocatorState) -> String {
    serde_json::json!({
        "arenas": state.arenas.0,
        "maxarenas": state.maxarenas.0,
        "usable_arenas": state.usable_arenas.0,
        "nfp2lasta": state.nfp2lasta.0,
        "pool_size": state.pool_size,
        "arena_size": state.arena_size,
    })
    .to_string()
}

/// Runs a program; `see` is given what it says, and what its allocator looks like then.
fn run(python: &Path, name: &str, size: u32, mut see: impl FnMut(&Shedding, Value)) {
    let mut program = Shedding::start(python, name, size);
    program.said().expect("it waits for the addresses");
    let (check, state, _, _) = program.check();
    assert_eq!(check.violations, [""; 0]);
    assert!(!state.maxarenas.is_null() && !state.nfp2lasta.is_null());
    assert!(!state.usedpools.is_null() && !state.unused_arena_objects.is_null());
    program.go_on(&addresses(&state));
    while let Some(said) = program.said() {
        see(&program, said);
        program.go_on("");
    }
}

#[test]
fn the_allocator_stays_sound_whatever_is_shed() {
    let sheds = std::env::var("MEMSHED_SHEDS").ok();
    let sheds = sheds.map_or(20, |sheds| sheds.parse().expect("a number"));
    let (mut split, mut retired) = (0, 0);
    for python in chosen() {
        let mut last = Value::Null;
        run(&python.path, "stress", sheds, |program, said| {
            let (check, ..) = program.check();
            assert_eq!(check.violations, [""; 0], "{}: {said}", python.label);
            (split, retired) = (split + check.split_pools, retired + check.retired_pools);
            last = said;
        });
        eprintln!("{}: {split} split, {retired} retired, {last}", python.label);
        assert_eq!(last["surprises"], 0, "{}: {last}", python.label);
        assert_eq!(
            (&last["torn_pools"], &last["refused"]),
            (&0.into(), &0.into())
        );
    }
    assert!(split > 0 && retired > 0);
}

/// The same bytes with a number replaced.
fn with_u32(memory: &Copy, at: RemoteAddr, change: impl Fn(u32) -> u32) -> Copy {
    let mut changed = memory.clone();
    let run = changed
        .0
        .iter_mut()
        .rfind(|run| run.0 <= at.0)
        .expect("mapped");
    let offset = (at.0 - run.0) as usize;
    let bytes = &mut run.1[offset..offset + 4];
    let number = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    bytes.copy_from_slice(&change(number).to_le_bytes());
    changed
}

#[test]
fn the_check_notices_what_is_wrong() {
    let python = supported().pop().expect("an interpreter");
    let mut program = Shedding::start(&python.path, "stress", 1);
    program.said().expect("it waits");
    let (check, state, python, memory) = program.check();
    assert_eq!(check.violations, [""; 0]);
    let word = |at: RemoteAddr| {
        let bytes = memory.bytes(at, 8).expect("mapped");
        RemoteAddr(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    };
    let wrong = |at: RemoteAddr, change: &dyn Fn(u32) -> u32| {
        let changed = with_u32(&memory, at, change);
        state.check(&python, &changed).expect("its arenas").count > 0
    };
    // A pool in use that has not been carved to its end, and the size of its blocks.
    let number = |at: RemoteAddr| word(at).0 as u32;
    let classes = (0..32u32).map(|k| (k, state.usedpools.add(u64::from(k) * 16)));
    let (class, pool) = classes
        .map(|(k, ring)| (k, word(ring)))
        .find(|&(k, pool)| {
            number(pool.add(36)) == k && number(pool.add(40)) <= number(pool.add(44))
        })
        .expect("a pool");
    let size = (class + 1) * 16;
    // Its uncarved part begins one block too soon, and one too late.
    assert!(wrong(pool.add(40), &|next| next - size));
    assert!(wrong(pool.add(40), &|next| next + size));
    // It has one block less in use.
    assert!(wrong(pool, &|used| used - 1));
    // Its first free block is another one.
    assert!(wrong(pool.add(8), &|block| block + size));
    // It links to itself.
    assert!(wrong(pool.add(16), &|_| pool.0 as u32));
    // An arena has one free pool more; one fewer in all; and less of it has been carved.
    let arena = word(state.usable_arenas);
    assert!(wrong(arena.add(16), &|free| free + 1));
    assert!(wrong(arena.add(20), &|total| total - 1));
    assert!(wrong(arena.add(8), &|top| top - 16384));
    // The list of usable arenas ends too soon, or is not that of the fingers.
    assert!(wrong(state.usable_arenas, &|_| 0) || arena.0 >> 32 != 0);
    let free = memory.bytes(arena.add(16), 4).expect("mapped");
    let free = u32::from_le_bytes(free.try_into().expect("four bytes"));
    assert!(wrong(
        state.nfp2lasta.add(u64::from(free) * 8),
        &|last| last ^ 48
    ));
    assert!(wrong(state.maxarenas, &|count| count / 2));
}

/// Many objects of which few stay.
fn fragment(size: u32, label: &str, path: &Path) {
    let (mut all, mut told) = (Value::Null, Vec::new());
    run(path, "fragment", size, |program, said| {
        // Before everything, and with nothing left but what was retired.
        if said["a2"].is_null() && told.is_empty() || said["a3"].is_object() {
            told.push(estimate(program));
        }
        let (check, ..) = program.check();
        assert_eq!(check.violations, [""; 0], "{label}: {said}");
        let slices = |step: &Value| {
            let slices = step["slices"].as_array().cloned().unwrap_or_default();
            let slices: Vec<f64> = slices.iter().filter_map(Value::as_f64).collect();
            let sum = slices.iter().sum::<f64>();
            format!(
                "{sum:.1} ms, at most {:.1}",
                slices.iter().copied().fold(0.0, f64::max)
            )
        };
        let mib = |bytes: &Value| bytes.as_f64().unwrap_or(0.0) / 1048576.0;
        eprintln!("{label}: {:.0} MiB {}", mib(&said["rss"]), said["bursts"]);
        for name in ["a2", "a", "b2", "again", "a3", "undo"] {
            if said[name].is_object() && all[name].is_null() {
                eprintln!(
                    "  {name}: {:.1} MiB in {}",
                    mib(&said[name]["fell"]),
                    slices(&said[name])
                );
            }
        }
        if said["a2"].is_object() && all["a3"].is_null() {
            all = said;
        }
    });
    let [before, after] = &told[..] else {
        panic!("{} estimates", told.len());
    };
    for (k, (name, told)) in [
        ("a2", before.arena_tops),
        ("a", before.free_pools),
        ("b2", before.used_pools),
    ]
    .into_iter()
    .enumerate()
    {
        let gave = all[name]["released"][k].as_u64().expect("a number");
        let slack = (told / 50).max(512 << 10);
        assert!(
            told.abs_diff(gave) <= slack,
            "{label}: {name}: {told} by estimate, {gave}"
        );
    }
    let left = after.arena_tops + after.free_pools + after.used_pools;
    assert!(left <= 512 << 10, "{label}: {after:?} is left");
    for name in ["a2", "a", "b2", "a3"] {
        let step = &all[name];
        let told: u64 = step["released"]
            .as_array()
            .expect("sums")
            .iter()
            .filter_map(Value::as_u64)
            .sum();
        let fell = step["fell"].as_i64().expect("a number");
        let off = (told as i64 - fell).abs();
        assert!(off < 1 << 20, "{label}: {name} told {told}, fell {fell}");
        assert_eq!(
            (&step["torn_pools"], &step["torn_arenas"], &step["refused"]),
            (&0.into(), &0.into(), &0.into())
        );
    }
}

#[test]
fn what_few_survivors_hold_is_given_back() {
    let size = std::env::var("MEMSHED_OBJECTS").ok();
    let size = size.map_or(100_000, |size| size.parse().expect("a number"));
    for python in chosen() {
        fragment(size, &python.label, &python.path);
    }
}
