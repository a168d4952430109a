//! Bytes of a process: its mappings, its symbols, whether it may be looked at, and a frozen
//! copy of its memory.
//!
//! This room must not know Python: it hands out bytes and facts of the operating system.

pub mod access;
mod agent;
mod cgroup;
pub mod elf;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod maps;
mod memory;
mod mirror;
mod os;
mod pages;
mod peek;
mod placement;
mod process;
mod protocol;
mod residency;
mod session;
mod status;
mod still;
pub mod tracer;

pub use agent::{Agent, Arrival, Journey, Placed, Poke, Pokes, Traveler, Trip};
pub use cgroup::{GroupLimit, Groups};
pub use error::TargetError;
pub use maps::{Mapping, MappingKind, MappingUse, parse_maps, parse_smaps};
pub use memory::{Memory, Range, ReadError, RemoteAddr};
pub use mirror::Mirror;
pub use peek::Peek;
pub use process::{Process, ThreadInfo};
pub use residency::{Residency, ResidentBytes};
pub use session::{
    FreezeInfo, FreezeRequest, Frozen, Method, Session, SessionOptions, TracerProgram, WordTest,
};
pub use status::{MemoryBeside, MemoryUse, Status};
