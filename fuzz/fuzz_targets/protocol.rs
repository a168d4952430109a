//! What the command and the tracer send each other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| memshed_target::fuzzing::messages(data));
