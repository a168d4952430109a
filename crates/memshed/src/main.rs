//! The memshed command.
fn main() {}
