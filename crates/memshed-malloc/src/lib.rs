//! The memory that belongs to no interpreter: the heaps of the system's allocator, chunk by chunk,
//! and the owner of every mapping.
//!
//! This room must not know Python, and prints nothing. It reads any [`Memory`](memshed_target::Memory):
//! a frozen copy, or a live process, in which case what it says may contradict itself.
//!
//! - [`Glibc`]: the arenas of glibc's malloc, their heaps, and each chunk's state.
//! - [`Owners`]: the mappings, cut into pieces, each with its owner: thread stacks, heaps,
//!   libraries, files, and anonymous memory with the library that points into it.
//! - [`other_allocator`]: allocators that are only recognised, by name.

mod arena;
mod chunks;
mod find;
mod glibc;
mod layout;
mod libraries;
mod lists;
mod mapped;
mod other;
mod owners;
mod pointers;
mod problems;
mod read;
mod threads;
mod trim;
mod walk;

pub use arena::{Arena, Tally};
pub use chunks::{Chunk, ChunkState, Chunks, Cursor};
pub use glibc::{Glibc, Hints};
pub use mapped::MappedChunk;
pub use other::other_allocator;
pub use owners::{Owner, Owners, Part, Piece};
pub use problems::{Problem, Problems};
pub use threads::ThreadBlock;
