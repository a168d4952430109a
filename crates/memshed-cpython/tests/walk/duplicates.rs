//! Objects of equal contents, against objects of which a program has so many.

use crate::native::start;
use memshed_cpython::{Python, Surroundings, Walk, WalkOptions, identify};
use memshed_heap::Duplicate;
use memshed_target::Process;
use memshed_testing::{Copy, supported};

/// Equal texts, byte strings and tuples, each an object of its own; and lists, which may differ
/// tomorrow.
const SCRIPT: &str = r#"
import os
n = 3
def fresh(text):
    return "".join(list(text))
kept = [
    [fresh("the same text") for _ in range(300)],
    [fresh("h\u00e4\u6f22" * 500) for _ in range(200)],
    [bytes(bytearray(b"the same bytes")) for _ in range(400)],
    [(n + 10**6, fresh("equal"), 1.5 + n) for _ in range(500)],
    [[1, 2, 3] for _ in range(5000)],
    [fresh("different %d" % i) for i in range(5000)],
    [(object(), i) for i in range(5000)],
]
os.write(1, b"ready\n")
os.read(0, 1)
"#;

#[test]
fn equal_objects_are_counted() {
    for python in supported() {
        let mut child = start(&python.path, SCRIPT);
        let process = Process::open(child.id() as i32).expect("the process");
        let identity = identify(&process).expect("its mappings").expect("a Python");
        let memory = Copy::of(&process);
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        let program = identity.program.expect("it is supported");
        let opened = Python::open(program, &memory).expect("its state");
        let options = WalkOptions {
            duplicates: true,
            ..WalkOptions::default()
        };
        let mut walk = Walk::find(&opened, &memory, options, &|_| {}).expect("a heap");
        let heap = walk.heap(&Surroundings::default(), &|_| {});
        let duplicates = walk.duplicates(&heap.objects);
        let label = &python.label;
        assert!(duplicates.len() <= 50, "{label}");
        let wasted = |one: &Duplicate| one.bytes - one.bytes / one.count;
        assert!(duplicates.is_sorted_by_key(|one| std::cmp::Reverse(wasted(one))));
        let size = |one: &Duplicate| heap.objects.size.get(one.object.0 as usize);
        let kind = |one: &Duplicate| {
            let id = heap.objects.type_id[one.object.0 as usize];
            heap.strings.get(heap.types[id.0 as usize].name)
        };
        for (name, count) in [("str", 200), ("str", 300), ("bytes", 400), ("tuple", 500)] {
            // The constant from which they were made may be one more.
            let counts = count..=count + 1;
            let same = |one: &&Duplicate| kind(one) == name && counts.contains(&one.count);
            let found = duplicates.iter().find(same);
            let found = found.unwrap_or_else(|| panic!("{label}: {count} {name}: {duplicates:?}"));
            assert_eq!(found.bytes, found.count * size(found), "{label}");
        }
        assert!(duplicates.iter().all(|one| kind(one) != "list"), "{label}");
        assert!(duplicates.iter().all(|one| one.count < 3000), "{label}");
    }
}
