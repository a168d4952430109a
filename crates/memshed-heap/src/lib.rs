//! The heap of a Python process as typed columns, and its snapshot files.
//!
//! This room must not know where a heap came from: no process, no interpreter version.

mod addresses;
mod code;
mod facts;
mod heap;
mod label;
mod native;
mod pools;
mod sizes;
pub mod snapshot;
mod strings;

pub use addresses::Addresses;
pub use code::{Call, Code, Stack};
pub use facts::{
    Cache, Container, Duplicate, Fill, Gc, Generation, Instances, LongLived, MemoryPart, Method,
    Pools, Problem, Process, Releasable, SnapshotInfo,
};
pub use heap::{Edge, Edges, Heap, ObjectId, Objects, Preview, Root, RootKind, Type, TypeId};
pub use label::{Label, LabelKind};
pub use native::{NativeKind, NativeUse};
pub use pools::{BlockKind, BlockUse, PoolTable, SparsePart};
pub use sizes::Sizes;
pub use snapshot::SnapshotError;
pub use strings::{StringId, Strings};
