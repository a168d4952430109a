//! Code objects and the calls of threads, against what interpreters say of themselves.

use memshed_cpython::{Python, Surroundings, Walk, WalkOptions, identify};
use memshed_heap::Heap;
use memshed_target::Process;
use memshed_testing::{Copy, supported};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Threads that wait at known lines: in calls over several lines, behind a decorator, in a
/// comprehension, in a generator, in `except`, in `finally`, in a recursion. One more waits until
/// all of them do, and tells their calls, then says "ready".
const SCRIPT: &str = r#"
import os, sys, threading
gate = threading.Lock()
gate.acquire()
class Waiter:
    def block(self):
        gate.acquire()
waiter = Waiter()
def plain():
    x = 1
    waiter.block(
    )
    return x
def several(*args):
    return several_too(
        1,
        [waiter.block()
         for _ in
         range(1)],
        2,
    )
def several_too(*args):
    pass
def decorate(f):
    def inner(*args, **kwargs):
        return f(
            *args,
            **kwargs)
    return inner
def close():
    first, second, third, own = 1, 2, 3, []
    def closing(argument, third=3):
        local = [second, argument]
        return lambda: (local, first, own, third)
    return closing
closing = close()
@decorate
@decorate
def decorated():
    waiter.block()
def generator():
    yield 1
    waiter.block()
    yield 2
def generating():
    for _ in generator():
        pass
def raising():
    try:
        raise ValueError
    except ValueError as error:
        try:
            int("x")
        except (
            TypeError,
            ValueError,
        ):
            waiter.block()
def finishing():
    for i in range(3):
        if i == 2:
            try:
                pass
            finally:
                with threading.Lock():
                    while True:
                        waiter.block()
def recursive(n):
    if n:
        (recursive
         (n - 1))
    else:
        waiter.block()
exec("\n" * 300 + "def far():\n\n\n    (lambda: (\n" + "\n" * 200 + "  waiter.block()))()\n")
def sorting():
    sorted([1], key=lambda _: waiter.block())
def tell():
    me = threading.get_ident()
    while True:
        frames = {i: f for i, f in sys._current_frames().items() if i != me}
        waiting = [f for f in frames.values() if f.f_code.co_name == "block"]
        if len(waiting) == len(ways) + 1:
            break
    main = threading.main_thread().ident
    for ident, frame in frames.items():
        calls = []
        while frame:
            code = frame.f_code
            name = getattr(code, "co_qualname", code.co_name)
            calls.append("%s|%s|%d" % (name, code.co_filename, frame.f_lineno))
            frame = frame.f_back
        print("stack", int(ident == main), ";".join(calls))
    for code in (far.__code__, decorate.__code__, decorated.__code__, closing.__code__):
        print("free", id(code), *code.co_freevars)
    for code in (far.__code__, Waiter.block.__code__, several.__code__):
        name = getattr(code, "co_qualname", code.co_name)
        print("code", id(code), name, code.co_filename, code.co_firstlineno, *code.co_names)
    del frames, frame, waiting, code
    print("ready", flush=True)
    os.read(0, 1)
    os._exit(0)
ways = [plain, several, decorated, generating, raising, finishing, lambda: recursive(50), far, sorting]
for way in ways:
    threading.Thread(target=way).start()
threading.Thread(target=tell).start()
waiter.block()
"#;

/// What a process said before it was "ready".
fn start(python: &std::path::Path) -> (Child, Vec<String>) {
    let mut child = Command::new(python)
        .args(["-I", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an interpreter");
    let stdout = child.stdout.take().expect("its output");
    let lines = BufReader::new(stdout).lines();
    let lines = lines.map(|line| line.expect("a line"));
    let said = lines.take_while(|line| line != "ready").collect();
    (child, said)
}

fn look(child: &Child) -> Heap {
    let process = Process::open(child.id() as i32).expect("the process");
    let identity = identify(&process).expect("its mappings").expect("a Python");
    let memory = Copy::of(&process);
    let program = identity.program.expect("it is supported");
    let python = Python::open(program, &memory).expect("its state");
    let options = WalkOptions::default();
    let mut walk = Walk::find(&python, &memory, options, &|_| {}).expect("a heap");
    let mut heap = walk.heap(&Surroundings::default(), &|_| {});
    heap.code = walk.code(&mut heap.strings);
    heap.stacks = walk.stacks(&mut heap.strings);
    heap
}

#[test]
fn calls_and_code_are_those_that_interpreters_tell() {
    for python in supported() {
        let (mut child, said) = start(&python.path);
        let heap = look(&child);
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        let text = |id| heap.strings.get(id);
        let code: BTreeMap<_, _> = heap.code.iter().map(|code| (code.object, code)).collect();
        assert_eq!(code.len(), heap.code.len());
        assert!(heap.code.is_sorted_by_key(|code| code.object));
        let stacks: Vec<(&str, String)> = heap
            .stacks
            .iter()
            .map(|stack| {
                let calls = stack.calls.iter().map(|call| {
                    let code = code[&call.code];
                    format!("{}|{}|{}", text(code.name), text(code.file), call.line)
                });
                let calls: Vec<String> = calls.collect();
                (text(stack.thread), calls.join(";"))
            })
            .collect();
        let (mut told, mut codes, mut free_names) = (0, 0, 0);
        for line in &said {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["stack", main, ..] => {
                    let calls = line.splitn(3, ' ').last().unwrap_or_default();
                    let found = stacks.iter().any(|(thread, known)| {
                        known == calls && (*thread == "main thread") == (main == "1")
                    });
                    assert!(found, "{}: {line}\nis none of {stacks:#?}", python.label);
                    told += 1;
                }
                ["code", address, name, file, first, ref names @ ..] => {
                    let address: u64 = address.parse().expect("an address");
                    let of = |id: memshed_heap::ObjectId| {
                        heap.objects.address.get(id.0 as usize) == address
                    };
                    let code = heap.code.iter().find(|code| of(code.object));
                    let code = code.expect("the code object");
                    assert_eq!((text(code.name), text(code.file)), (name, file));
                    assert_eq!(code.line.to_string(), first);
                    let mentions: Vec<&str> = code.mentions.iter().map(|&id| text(id)).collect();
                    assert_eq!(mentions, names, "{}", python.label);
                    codes += 1;
                }
                ["free", address, ref names @ ..] => {
                    let address: u64 = address.parse().expect("an address");
                    let of = |id: memshed_heap::ObjectId| {
                        heap.objects.address.get(id.0 as usize) == address
                    };
                    let code = heap.code.iter().find(|code| of(code.object));
                    let free = &code.expect("the code object").free;
                    let free: Vec<&str> = free.iter().map(|&id| text(id)).collect();
                    assert_eq!(free, names, "{}", python.label);
                    free_names += names.len();
                }
                _ => panic!("{}: {line}", python.label),
            }
        }
        assert_eq!((told, codes, free_names), (10, 3, 4), "{}", python.label);
        assert_eq!(heap.stacks.len(), 11, "{}", python.label);
    }
}
