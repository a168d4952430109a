//! The kernel's texts about a process.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| memshed_target::fuzzing::proc_files(data));
