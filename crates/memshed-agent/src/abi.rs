//! What memshed and the code inside a process say to each other, in memory of the process.
//!
//! Addresses are those of the process. All numbers are little-endian and 64 bits wide unless said
//! otherwise; every bit pattern is valid.

use core::sync::atomic::AtomicU32;

/// Values of [`Job::status`].
pub mod status {
    /// Nothing has been done yet.
    pub const WAITING: u32 = 0;
    /// It is being done.
    pub const RUNNING: u32 = 1;
    /// The part that fits into the time that was given is done; there is more.
    pub const MORE: u32 = 2;
    /// All is done.
    pub const DONE: u32 = 3;
    /// Somebody holds the GIL, or is about to take it: nothing was done.
    pub const BUSY: u32 = 4;
    /// What was found makes no sense: nothing was done from there on.
    pub const TORN: u32 = 5;
}

/// Values of [`Job::kind`].
pub mod kind {
    /// Gives back what pymalloc holds: [`Shed`](super::Shed).
    pub const SHED: u32 = 1;
    /// Calls a function of the process: [`Call`](super::Call).
    pub const CALL: u32 = 2;
}

/// Bits of [`Shed::steps`].
pub mod steps {
    /// Free pools at the top of an arena become memory that was never carved.
    pub const ARENA_TOPS: u64 = 1;
    /// Free pools keep only the page of their header.
    pub const FREE_POOLS: u64 = 2;
    /// A run of dead blocks of a pool in use becomes its uncarved part.
    pub const USED_POOLS: u64 = 4;
    /// Free pools are retired whole: their arenas count as smaller.
    pub const RETIRE: u64 = 8;
    /// Retired pools become free pools again.
    pub const UNRETIRE: u64 = 16;
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// Something to do. The same memory says what came of it.
#[repr(C)]
pub struct Job {
    /// A value of [`status`]. Written last.
    pub status: AtomicU32,
    /// A value of [`kind`].
    pub kind: u32,
    /// Nanoseconds that it took.
    pub took_ns: u64,
    /// The GIL's lock word (`locked`), which has to be 0, and is not written; 0 if the thread that
    /// runs the job holds the GIL.
    pub gil_locked: u64,
    /// The first word of the GIL's mutex, a `pthread_mutex_t` of glibc: taken while the job runs.
    pub gil_mutex: u64,
    /// What is done if [`Job::kind`] says so.
    pub shed: Shed,
    /// What is done if [`Job::kind`] says so.
    pub call: Call,
}

/// Giving back what pymalloc holds.
#[repr(C)]
pub struct Shed {
    /// Where the pointer to the array of `arena_object`s lies.
    pub arenas: u64,
    /// What it said when the plans were made: where the array lies.
    pub table: u64,
    /// Where the length of that array lies, 32 bits; 0 if unknown: then nothing is retired.
    pub maxarenas: u64,
    /// Where the head of the list of usable arenas lies; 0 if unknown.
    pub usable_arenas: u64,
    /// Where the array `nfp2lasta` lies; 0 if unknown.
    pub nfp2lasta: u64,
    /// Bytes of a pool, 32 bits.
    pub pool_size: u32,
    /// Bytes of an arena, 32 bits.
    pub arena_size: u32,
    /// A set of [`steps`].
    pub steps: u64,
    /// After so many nanoseconds no further arena is begun.
    pub budget_ns: u64,
    /// Where an array of [`ArenaPlan`]s lies.
    pub plans: u64,
    /// How many there are.
    pub plans_len: u64,
    /// The first that has not been looked at; moves on.
    pub cursor: u64,
    /// Where there is room for ranges, 16 bytes each.
    pub ranges: u64,
    /// For how many.
    pub ranges_len: u64,
    /// Bytes given back by each of the [`steps`], as far as they were resident by the plan.
    pub released: [u64; steps::COUNT],
    /// Pools that were changed.
    pub pools: u64,
    /// Pools left alone because their counts do not agree.
    pub torn_pools: u64,
    /// Pools left alone because a page of them is shared with another process.
    pub shared_pools: u64,
    /// Arenas left alone because they are not what the plan says, or their counts do not agree.
    pub torn_arenas: u64,
    /// Ranges that the kernel refused to take back.
    pub refused: u64,
    /// Their bytes.
    pub refused_bytes: u64,
    /// The error number of the last that it refused.
    pub error: u64,
}

/// Where in an `arena_object` its fields are, the same from 3.9 to 3.15.
pub mod arena_object {
    /// Bytes of one.
    pub const SIZE: u64 = 48;
    /// 64 bits.
    pub const ADDRESS: u64 = 0;
    /// 64 bits.
    pub const POOL_ADDRESS: u64 = 8;
    /// 32 bits.
    pub const NFREEPOOLS: u64 = 16;
    /// 32 bits.
    pub const NTOTALPOOLS: u64 = 20;
    /// 64 bits.
    pub const FREEPOOLS: u64 = 24;
    /// 64 bits.
    pub const NEXTARENA: u64 = 32;
    /// 64 bits.
    pub const PREVARENA: u64 = 40;
}

/// Where in a `pool_header` its fields are, the same from 3.9 to 3.15.
#[allow(dead_code, reason = "what one side does not need, the other may")]
pub mod pool_header {
    /// Bytes of one.
    pub const SIZE: u64 = 48;
    /// 32 bits.
    pub const COUNT: u64 = 0;
    /// 64 bits.
    pub const FREEBLOCK: u64 = 8;
    /// 64 bits.
    pub const NEXTPOOL: u64 = 16;
    /// 64 bits.
    pub const PREVPOOL: u64 = 24;
    /// 32 bits.
    pub const ARENAINDEX: u64 = 32;
    /// 32 bits.
    pub const SZIDX: u64 = 36;
    /// 32 bits.
    pub const NEXTOFFSET: u64 = 40;
    /// 32 bits.
    pub const MAXNEXTOFFSET: u64 = 44;
    /// `szidx` of a pool that has to be set up anew whatever it is used for (`DUMMY_SIZE_IDX`).
    pub const DUMMY_SIZE_IDX: u32 = 0xffff;
}

/// Bytes between blocks of neighbouring sizes (`ALIGNMENT`).
pub const ALIGNMENT: u32 = 16;

/// Pages of an arena, 4 KiB each, at most: arenas have up to 2 MiB.
pub const PAGES: usize = 512;
/// Pools of an arena at most.
pub const POOLS: usize = 128;

/// What is known of an arena from outside, and what to do with it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaPlan {
    /// Its `address`, as it has to be.
    pub address: u64,
    /// Its number in the array of `arena_object`s.
    pub index: u64,
    /// Pools in use worth looking at, a bit each from the first of the arena on.
    pub pools: [u64; POOLS / 64],
    /// Which of its pages are resident, a bit each from its first page boundary on.
    pub resident: [u64; PAGES / 64],
    /// Which of them are shared with another process, the same way.
    pub shared: [u64; PAGES / 64],
}

/// Calling a function.
#[repr(C)]
pub struct Call {
    /// Where it is: `uint64_t f(uint64_t, …)`, with at most five arguments.
    pub function: u64,
    /// Its arguments.
    pub args: [u64; 5],
    /// What it returned.
    pub result: u64,
    /// `PyEval_SaveThread`, called before, to release the GIL; 0 to keep it.
    pub save_thread: u64,
    /// `PyEval_RestoreThread`, called afterwards.
    pub restore_thread: u64,
    /// `PyGILState_Ensure`, called before, to take the GIL; 0 to do without.
    pub ensure: u64,
    /// `PyGILState_Release`, called afterwards.
    pub release: u64,
}

/// A thread's way to a job and back.
#[repr(C)]
pub struct Excursion {
    /// Where the [`Job`] is.
    pub job: u64,
    /// 0; becomes 1 when the job is done and the thread waits to be put back.
    pub arrived: AtomicU32,
    /// 0; becomes 1 when the thread, waiting in vain, goes back by itself.
    pub left: AtomicU32,
    /// How long it waits, in nanoseconds.
    pub patience_ns: u64,
    /// Bytes that XSAVE needs.
    pub xsave_size: u64,
    /// The set of signals that the thread had blocked: most are, while it is away.
    pub signals: u64,
    /// The registers to go back with: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi.
    pub registers: [u64; 15],
    /// The flags to go back with.
    pub flags: u64,
    /// The stack to go back to.
    pub stack: u64,
    /// Where to go on: at the interrupted call, to repeat it.
    pub instruction: u64,
    /// Where to go on with EINTR if a signal came meanwhile; 0 if no call was interrupted.
    pub interrupted: u64,
}
