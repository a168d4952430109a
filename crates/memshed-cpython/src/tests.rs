//! A patch release that enlarges a struct: of each state struct, the fields from each of them on
//! are in turn taken to be eight bytes further on than they are. A look must then refuse, count
//! problems, or come to the same heap as ever; what it must not do is to report another heap as if
//! nothing were wrong.

use crate::identify::identify;
use crate::layouts::{Layout, Slot};
use crate::python::Python;
use crate::walk::{Walk, WalkOptions};
use memshed_heap::Heap;
use memshed_target::Process;
use memshed_testing::{Copy, supported};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Says "ready" and waits, with a few thousand objects.
const PROGRAM: &str = "import os, threading\n\
    kept = [([n], {n: str(n)}) for n in range(500)]\n\
    os.write(1, b'ready\\n')\n\
    os.read(0, 1)";

/// What of a heap counts here.
struct Facts {
    objects: Vec<u64>,
    gc: memshed_heap::Gc,
    pools: memshed_heap::Pools,
}

impl Facts {
    /// Whether this is another heap than `right`. Places that own one object each, such as that of
    /// the table of error numbers, can't be told from their neighbours: some
    /// objects may go unfound, and those of a free list be taken for objects in use.
    fn differs(&self, right: &Facts) -> bool {
        let common = self
            .objects
            .iter()
            .filter(|at| right.objects.binary_search(at).is_ok());
        let common = common.count();
        let all = right.objects.len();
        (self.objects.len() - common) * 100 > all
            || (all - common) * 100 > all
            || (&self.gc, &self.pools) != (&right.gc, &right.pools)
    }

    fn of(heap: &Heap) -> Facts {
        Facts {
            objects: heap.objects.address.iter().collect(),
            gc: heap.gc.clone(),
            pools: heap.pools.clone(),
        }
    }
}

/// The heap that `layout` gives; `None` if it is refused, or if problems are counted.
fn look(python: &Python, layout: Layout, memory: &Copy) -> Option<Facts> {
    let python = Python {
        program: python.program.clone(),
        layout,
        minor: python.minor,
    };
    let mut walk = Walk::find(&python, memory, WalkOptions::default(), &|_| {}).ok()?;
    if !walk.problems().is_empty() {
        return None;
    }
    let heap = walk.heap(&crate::Surroundings::default(), &|_| {});
    walk.problems().is_empty().then(|| Facts::of(&heap))
}

/// What is no offset in the struct that it is listed with: numbers, and fields of structs within.
const OTHERS: &[&str] = &[
    "size",
    "stride",
    "count",
    "capacity",
    "entries",
    "shift",
    "head",
    "threshold",
    "counter",
    "collections",
    "collected",
    "uncollectable",
    "alignment",
    "young_stats",
    "young_stats_index",
    "old_stats",
    "old_stats_index",
    "frame",
    "ty",
    "used",
];

/// The state structs.
const STRUCTS: [&str; 8] = [
    "runtime",
    "interp",
    "gc",
    "tstate",
    "err_stack_item",
    "obmalloc",
    "arena",
    "pool",
];

/// Shows the offsets of a struct.
fn each(layout: &mut Layout, of: &str, see: &mut dyn FnMut(&mut u32)) {
    let mut see = |name: &str, field: &mut u32| {
        let last = name.rsplit('_').next().unwrap_or_default();
        let number = OTHERS.contains(&name) || matches!(last, "size" | "stride" | "count");
        let within = name.starts_with("generation_") && name != "generation_stats";
        if !number && !within && !name.starts_with("stats_") && !name.starts_with("cframe_") {
            see(field);
        }
    };
    match of {
        "runtime" => layout.runtime.each(&mut see),
        "interp" => layout.interp.each(&mut see),
        "gc" => layout.gc.each(&mut see),
        "tstate" => layout.tstate.each(&mut see),
        "err_stack_item" => layout.err_stack_item.each(&mut see),
        "obmalloc" => layout.obmalloc.each(&mut see),
        "arena" => layout.arena.each(&mut see),
        _ => layout.pool.each(&mut see),
    }
}

/// `layout` with the offsets of the struct `of` moved from `from` on.
fn moved(layout: &Layout, of: &str, from: u32) -> Layout {
    let mut layout = layout.clone();
    each(&mut layout, of, &mut |field| {
        *field += if *field >= from { 8 } else { 0 }
    });
    let slots = |slots: &[Slot]| -> &'static [Slot] {
        let moved = slots.iter().map(|slot| Slot {
            offset: slot.offset + if slot.offset >= from { 8 } else { 0 },
            ..*slot
        });
        moved.collect::<Vec<_>>().leak()
    };
    match of {
        "interp" => layout.interp_roots = slots(layout.interp_roots),
        "tstate" => layout.tstate_roots = slots(layout.tstate_roots),
        _ => {}
    }
    layout
}

/// The changes with which a look reports another heap and no problem, and how many were tried.
fn silent(python: &Python, memory: &Copy) -> (Vec<String>, usize) {
    let right = look(python, python.layout.clone(), memory).expect("the right table does");
    let mut changes = BTreeSet::new();
    for of in STRUCTS {
        each(&mut python.layout.clone(), of, &mut |field| {
            changes.insert((of, *field));
        });
    }
    let changes: Vec<_> = changes.into_iter().collect();
    let wrong = changes.par_iter().filter(|(of, from)| {
        let layout = moved(&python.layout, of, *from);
        look(python, layout, memory).is_some_and(|facts| facts.differs(&right))
    });
    let wrong = wrong.map(|(of, from)| format!("{of} from {from}"));
    (wrong.collect(), changes.len())
}

#[test]
fn a_struct_that_grew_is_not_silent() {
    let mut seen = BTreeSet::new();
    let mut failed = String::new();
    for interpreter in supported() {
        let mut child = start(&interpreter.path);
        let process = Process::open(child.id() as i32).expect("the process");
        let identity = identify(&process).expect("its mappings").expect("a Python");
        let program = identity.program.expect("it is supported");
        let memory = Copy::of(&process);
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        let python = Python::open(program, &memory).expect("its state");
        if !seen.insert(python.minor) {
            continue;
        }
        let (wrong, tried) = silent(&python, &memory);
        eprintln!("{}: {tried} changes", interpreter.label);
        if !wrong.is_empty() {
            failed += &format!("{}: {}\n", interpreter.label, wrong.join(" "));
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

fn start(python: &std::path::Path) -> Child {
    let mut child = Command::new(python)
        .args(["-I", "-S", "-c", PROGRAM])
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
