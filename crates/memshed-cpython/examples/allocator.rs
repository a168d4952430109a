//! Where a Python's pymalloc keeps its state, as JSON, and what is wrong with it: for trying things
//! out. `allocator PID`: the process should wait, with the GIL free.

use memshed_cpython::{Python, identify};
use memshed_target::Process;
use memshed_testing::Copy;

fn main() {
    let pid = std::env::args().nth(1).and_then(|pid| pid.parse().ok());
    let process = Process::open(pid.expect("a process id")).expect("a process");
    let identity = identify(&process).expect("its mappings").expect("a Python");
    let program = identity.program.expect("a supported one");
    let memory = Copy::of(&process);
    let python = Python::open(program, &memory).expect("its state");
    for state in python.allocator_states(&memory).expect("its interpreters") {
        let check = state.check(&python, &memory).expect("its arenas");
        println!(
            "{{\"arenas\": {}, \"maxarenas\": {}, \"usable_arenas\": {}, \"nfp2lasta\": {}, \
             \"usedpools\": {}, \"unused\": {}, \"pool_size\": {}, \"arena_size\": {}}}",
            state.arenas.0,
            state.maxarenas.0,
            state.usable_arenas.0,
            state.nfp2lasta.0,
            state.usedpools.0,
            state.unused_arena_objects.0,
            state.pool_size,
            state.arena_size
        );
        eprintln!("{check:?}");
    }
}
