//! Bytes of a process: its mappings, its symbols, whether it may be looked at, and a frozen
//! copy of its memory.
//!
//! This room must not know Python: it hands out bytes and facts of the operating system.

mod memory;

pub use memory::{Memory, Range, ReadError, RemoteAddr};
