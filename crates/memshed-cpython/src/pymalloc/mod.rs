//! pymalloc's arenas, pools and blocks (CPython's Objects/obmalloc.c).
//!
//! A pool is 16 KiB (4 KiB in 3.9): a header of 48 bytes, then blocks of one size. Blocks up to
//! `nextoffset` have been carved; the free ones among them form a chain through their first
//! words. A releasing tool may have made a run in the middle the uncarved one, so blocks beyond
//! `maxnextoffset` count as carved as well.

mod account;
mod arenas;
mod check;
mod pool;
pub(crate) mod release;
mod sample;
mod state;

pub(crate) use account::{ArenaUse, BlockOwners, PoolAccount};
pub(crate) use arenas::{Arena, Arenas};
pub use check::AllocatorCheck;
pub(crate) use pool::{Live, Pool};
pub(crate) use sample::Sample;
pub use state::AllocatorState;

/// Bytes of a page, the unit in which memory is given back.
pub(crate) const PAGE: u64 = 4096;

/// What the hooks of `PYTHONMALLOC=debug` and `-X dev` put before each block, whichever allocator
/// it is from: its size, the letter of the interface it came by, and seven marked bytes.
pub(crate) const DEBUG_PREFIX: u64 = 16;
/// The second half of what is before an object: `o` and the marked bytes (`PYMEM_FORBIDDENBYTE`).
pub(crate) const DEBUG_MARK: u64 = 0xfdfd_fdfd_fdfd_fd6f;
/// The same before what came by `PyMem_RawMalloc`, with `r`.
pub(crate) const DEBUG_MARK_RAW: u64 = 0xfdfd_fdfd_fdfd_fd72;
