//! Where threads keep their state: what is special to x86-64 and glibc is here.

use memshed_target::{Range, RemoteAddr};

/// A thread's control block, and the stack that it lies at the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadBlock {
    /// The control block (`struct pthread`; the thread's `fs` register).
    pub address: RemoteAddr,
    /// The thread's number in its own pid namespace, if it is one of [`Hints::threads`](crate::Hints::threads).
    pub tid: Option<i32>,
    /// Its stack with guard pages, as pthread_create(3) laid it out.
    pub stack: Range,
}
