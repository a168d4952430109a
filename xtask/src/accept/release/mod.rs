//! The rows of "Release": what memshed does about memory, beside showing it.

pub mod tune;
