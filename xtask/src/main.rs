//! Chores that developers do twice.
fn main() {}
