//! The heaps of real processes, against what malloc says of itself. The memory is read through
//! `/proc/PID/mem` while the process waits in a system call, so that these tests need no ptrace.

mod damage;
mod heaps;
mod owners;
mod support;
