//! Code that memshed has a process run, and how to speak to it.
//!
//! The code itself is in `inside`: built by `build.rs` without a standard library and linked to
//! nothing, it is copied into the process as [`IMAGE`], where it may lie anywhere. It is told what
//! to do by a [`abi::Job`] in memory that it can write to, and says there what came of it.
//!
//! It must not allocate, must not panic, must call nothing but the kernel and what a job names, and
//! must leave the process whole if memshed dies at any moment.

pub mod abi;
mod words;

pub use words::image;

/// The same code, with memory and a kernel that the tests look after.
#[cfg(test)]
#[path = "tests/kernel.rs"]
#[allow(unsafe_code)]
mod kernel;
#[cfg(test)]
#[path = "../inside/shed/mod.rs"]
#[allow(unsafe_code)]
mod shed;
#[cfg(test)]
#[allow(unsafe_code)]
mod tests;

/// The code, as it has to lie in memory, at the start of a page.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.bin"));

/// Where in [`IMAGE`] the entries are.
pub mod entries {
    include!(concat!(env!("OUT_DIR"), "/entries.rs"));
}
