//! Program files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| memshed_target::fuzzing::elf_file(data));
