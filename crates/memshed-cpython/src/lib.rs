//! What the bytes of a CPython process mean: layout tables, interpreters, threads, frames, the
//! collector's lists, pools, objects and their references.
//!
//! This room must not know graphs, files or printing: it reads a [`memshed_target::Memory`] and
//! fills the columns of a [`memshed_heap::Heap`].

mod account;
mod arrays;
mod collector;
mod columns;
mod dicts;
mod duplicates;
mod edges;
mod fill;
mod find;
mod fingerprints;
mod frames;
mod holders;
mod identify;
mod instances;
mod interpreters;
mod labels;
mod large;
pub mod layouts;
mod lines;
mod mark;
mod marks;
mod names;
mod outer;
mod parts;
mod problems;
mod pymalloc;
mod python;
mod read;
mod release;
mod roots;
mod shapes;
mod sizes;
mod stacks;
mod strings;
#[cfg(test)]
mod tests;
mod types;
mod values;
mod walk;

pub use account::Surroundings;
pub use collector::{CollectorMoment, CollectorWatch};
pub use identify::{Identity, identify};
pub use pymalloc::{AllocatorCheck, AllocatorState};
pub use python::{Program, Python, WalkError, version_text};
pub use release::{Allocator, Gil, PendingCall, ReleasePlan};
pub use walk::{Phase, Walk, WalkOptions};
