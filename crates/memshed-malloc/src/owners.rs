//! The owner of each mapping, or of each piece of one.

use crate::glibc::{Glibc, Hints};
use crate::problems::Problems;
use crate::threads::ThreadBlock;
use memshed_target::{Mapping, Memory, Range, ReadError, RemoteAddr};

/// A part of a library or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Machine code.
    Code,
    /// What is only read, from the file as it is.
    Constants,
    /// Variables, and tables that the loader filled in; private to the process where written.
    Data,
    /// Variables that begin as zeros; not in the file (`.bss`).
    ZeroedData,
}

/// What a piece of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The main thread's stack.
    MainStack,
    /// Another thread's stack, by its index in [`Owners::threads`].
    ThreadStack(u32),
    /// A heap of glibc's malloc, by the index of its arena.
    Heap(u32),
    /// A chunk of glibc's malloc with a mapping of its own.
    MappedChunk,
    /// A program or library, by its index in [`Owners::libraries`].
    Library(u32, Part),
    /// Another file, mapped for reading or writing.
    File,
    /// Memory shared with other processes: /dev/shm, memfd, System V, or anonymous.
    SharedMemory,
    /// Queues shared with the kernel (io_uring(7)).
    IoUring,
    /// Memory of a graphics processor, or mapped by its driver.
    Gpu,
    /// Another device.
    Device,
    /// The kernel's own: `[vdso]`, `[vvar]`, `[vsyscall]`.
    Kernel,
    /// Anonymous memory of the caller's: [`Hints::foreign`].
    Foreign,
    /// Anonymous memory into which a library's variables point, by its index in
    /// [`Owners::libraries`].
    PointedToBy(u32),
    /// Anonymous memory that the kernel has been told a name of (`PR_SET_VMA_ANON_NAME`); the
    /// mapping's path has it.
    Named,
    /// Address space that is reserved and cannot be accessed: guard pages, reservations.
    Reserved,
    /// Anonymous memory of which nothing is known.
    Unknown,
}

/// A run of addresses with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The addresses; never more than one mapping.
    pub range: Range,
    /// The index of its mapping.
    pub mapping: u32,
    /// The owner.
    pub owner: Owner,
}

/// All mappings of a process, cut into pieces of one owner each.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// The pieces in order of address; together they are the mappings.
    pub pieces: Vec<Piece>,
    /// Paths of programs and libraries, as the target sees them.
    pub libraries: Vec<String>,
    /// Threads other than the main one whose stacks were found.
    pub threads: Vec<ThreadBlock>,
    /// What did not make sense.
    pub problems: Problems,
}

impl Owners {
    /// Finds the owner of everything in `mappings`, which must be in order.
    pub fn find<M: Memory>(
        _memory: &M,
        _mappings: &[Mapping],
        _glibc: Option<&Glibc>,
        _hints: &Hints<'_>,
    ) -> Result<Owners, ReadError> {
        Ok(Owners::default())
    }

    /// The piece that holds `at`.
    #[must_use]
    pub fn of(&self, at: RemoteAddr) -> Option<&Piece> {
        let after = self.pieces.partition_point(|p| p.range.end <= at.0);
        self.pieces.get(after).filter(|p| p.range.contains(at))
    }
}
