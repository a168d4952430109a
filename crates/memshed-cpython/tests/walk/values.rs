//! Previews of contents, against objects that the interpreter says it has.

use memshed_cpython::{Python, Surroundings, Walk, WalkOptions, identify};
use memshed_heap::{Heap, ObjectId};
use memshed_target::Process;
use memshed_testing::{Copy, supported};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Makes objects and says "NUMBER ADDRESS" of each, then "ready", and waits.
const SCRIPT: &str = r#"
import collections, array, sys
class Point:
    def __init__(self):
        self.label = "here"
class Slots:
    __slots__ = ("a", "b")
    def __init__(self):
        self.a, self.b = None, True
class Rows(list):
    pass
class Late:
    pass
late = Late()
late.__dict__ = {"one": 1}
def handler(request):
    return request
huge = "x" * 1000
kept = [
    "plain", "esc\x1b[31m\n\u202e\"'\\", "h\u00e4\u6f22\U0001f40d", huge,
    b"by\x00tes\xff", bytearray(b"array"), b"z" * 100,
    0, -1, 2 ** 70, -(2 ** 100), 2 ** 1000, True, None, 1.5, float("inf"),
    [], [1, 2], list(range(10)), (), (1,), {7}, frozenset(), collections.deque([1, "a"]),
    {}, {"k": [1, [2, [3]]]}, dict.fromkeys(range(9)), collections.OrderedDict(a=1),
    Point(), Slots(), Rows([1]), late, handler, Point, sys, array.array("d", [1.0, 2.0]),
    [[[[1]]]],
]
cyclic = []
cyclic.append(cyclic)
kept.append(cyclic)
for number, one in enumerate(kept):
    print(number, id(one))
print("ready", flush=True)
input()
"#;

/// What is expected of each.
const EXPECTED: &[&str] = &[
    r#""plain""#,
    r#""esc\u{1b}[31m\n\u{202e}\"'\\""#,
    r#""hä漢🐍""#,
    concat!(
        r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…""#,
        " (1000 characters)"
    ),
    r#"b"by\x00tes\xff""#,
    r#"bytearray(b"array")"#,
    concat!(
        r#"b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz…""#,
        " (100 bytes)"
    ),
    "0",
    "-1",
    "1180591620717411303424",
    "-1267650600228229401496703205376",
    "a number of about 1020 bits",
    "True",
    "None",
    "1.5",
    "inf",
    "[]",
    "[1, 2]",
    "10 elements: [0, 1, 2, 3, …]",
    "()",
    "(1)",
    "{7}",
    "{}",
    r#"[1, "a"]"#,
    "{}",
    r#"{"k": [1, […]]}"#,
    "9 entries: {0: None, 1: None, 2: None, 3: None, …}",
    r#"{"a": 1}"#,
    r#"__main__.Point(label="here")"#,
    "__main__.Slots(a=None, b=True)",
    "Rows([1])",
    "__main__.Late(one=1)",
    "function handler() (<string>:16)",
    "class __main__.Point",
    "module sys",
    "array('d') of 2",
    "[[[…]]]",
    "[[[…]]]",
];

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it can be ended");
        self.0.wait().expect("it ends");
    }
}

#[test]
fn previews_say_what_objects_contain() {
    for python in supported() {
        let child = Command::new(&python.path)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut running = Running(child.expect("an interpreter"));
        let out = BufReader::new(running.0.stdout.take().expect("its output"));
        let mut addresses: Vec<u64> = Vec::new();
        for line in out.lines().map(|line| line.expect("a line")) {
            match line.split_once(' ') {
                Some((_, address)) => addresses.push(address.parse().expect("an address")),
                None => break,
            }
        }
        assert_eq!(addresses.len(), EXPECTED.len());
        let process = Process::open(running.0.id() as i32).expect("the process");
        let identity = identify(&process).expect("mappings").expect("Python");
        let memory = Copy::of(&process);
        let python_of = Python::open(identity.program.expect("supported"), &memory);
        let python_of = python_of.expect("its state");
        let options = WalkOptions {
            values: true,
            ..WalkOptions::default()
        };
        let mut walk = Walk::find(&python_of, &memory, options, &|_| {}).expect("a walk");
        let heap = walk.heap(&Surroundings::default(), &|_| {});
        for (address, expected) in addresses.iter().zip(EXPECTED) {
            let object = ObjectId(row(&heap, *address));
            let previews = walk.previews(&heap, &[object]);
            let own = previews.iter().find(|one| one.position.is_none());
            assert_eq!(own.expect("one").text, *expected, "{}", python.label);
        }
    }
}

fn row(heap: &Heap, address: u64) -> u32 {
    let row = heap.objects.address.iter().position(|at| at == address);
    row.expect("among the objects") as u32
}
