//! How full containers are, against what their own sizes say of copies of them.

use memshed_cpython::{Python, Surroundings, Walk, WalkOptions, identify};
use memshed_target::Process;
use memshed_testing::{Copy, supported};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Containers of types of their own, so that they can be told from others, from which most was
/// taken out, and what copies of them save.
const SCRIPT: &str = r#"
import os, sys
class D(dict): pass
class S(set): pass
class L(list): pass
n = 10_000
dicts = [D((i, i) for i in range(n)) for _ in range(3)]
dicts.append(D(("name %d" % i, i) for i in range(n)))
sets = [S(range(n)) for _ in range(3)]
lists = [L(range(n)) for _ in range(3)]
for d in dicts:
    for key in list(d)[100:]:
        del d[key]
for s in sets:
    for i in range(100, n):
        s.remove(i)
for l in lists:
    l.extend(range(5))
def told(all, plain):
    spared = sum(sys.getsizeof(plain(one)) - sys.getsizeof(plain()) for one in all)
    own = sum(sys.getsizeof(one) - sys.getsizeof(type(one)()) for one in all)
    print(type(all[0]).__name__, len(all), sum(map(len, all)), own - spared)
told(dicts, dict)
told(sets, set)
told(lists, lambda l=(): [*l][:] if l else [])
print("ready", flush=True)
sys.stdin.read(1)
"#;

#[test]
fn room_is_what_copies_would_save() {
    for python in supported() {
        let mut child = Command::new(&python.path)
            .args(["-I", "-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an interpreter");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let lines = stdout.lines().map(|line| line.expect("a line"));
        let told: Vec<String> = lines.take_while(|line| line != "ready").collect();
        assert_eq!(told.len(), 3, "{}", python.label);
        let process = Process::open(child.id() as i32).expect("the process");
        let identity = identify(&process).expect("its mappings").expect("a Python");
        let memory = Copy::of(&process);
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        let program = identity.program.expect("it is supported");
        let opened = Python::open(program, &memory).expect("its state");
        let mut walk =
            Walk::find(&opened, &memory, WalkOptions::default(), &|_| {}).expect("a heap");
        let heap = walk.heap(&Surroundings::default(), &|_| {});
        let fill = walk.fill();
        for line in told {
            let label = format!("{}: {line}", python.label);
            let mut words = line.split(' ');
            let name = format!("__main__.{}", words.next().expect("a name"));
            let mut number = || words.next().expect("a number").parse::<i64>().expect("one");
            let found = fill.iter().find(|one| {
                let kind = &heap.types[one.type_id.0 as usize];
                heap.strings.get(kind.name) == name
            });
            let found = found.unwrap_or_else(|| panic!("{label}: not found"));
            assert_eq!(found.containers as i64, number(), "{label}");
            assert_eq!(found.used as i64, number(), "{label}");
            let spared = number();
            let off = (found.spare_bytes as i64 - spared).abs();
            assert!(off <= spared / 50 + 256, "{label}: {found:?}");
            let emptiest = heap.objects.type_id[found.emptiest.0 as usize];
            assert_eq!(emptiest, found.type_id, "{label}");
        }
    }
}
