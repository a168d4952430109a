//! What is said in [`abi`](crate::abi), as words: the way it travels.

#![allow(unsafe_code)]

use crate::abi::{ArenaPlan, Call, Excursion, Job, Shed};
use std::sync::atomic::Ordering;

/// A struct of [`abi`](crate::abi): whole words, without padding, valid for every bit pattern.
///
/// # Safety
///
/// Must hold for the type.
unsafe trait Plain: Sized {}

// SAFETY: `#[repr(C)]`, made of u64 and of pairs of 32-bit integers.
unsafe impl Plain for Job {}
// SAFETY: as above.
unsafe impl Plain for Excursion {}
// SAFETY: as above.
unsafe impl Plain for ArenaPlan {}
// SAFETY: as above.
unsafe impl Plain for Shed {}
// SAFETY: as above.
unsafe impl Plain for Call {}

/// Its words.
fn words<T: Plain>(value: &T) -> Vec<u64> {
    // SAFETY: as `Plain` says; the alignment of all of them is that of a word.
    let words = unsafe {
        std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u64>(), size_of::<T>() / 8)
    };
    words.to_vec()
}

/// The struct that the first of `words` are; `None` if there are too few.
fn read<T: Plain>(words: &[u64]) -> Option<T> {
    let enough = words.len() >= size_of::<T>() / 8;
    // SAFETY: as `Plain` says.
    enough.then(|| unsafe { words.as_ptr().cast::<T>().read() })
}

/// Zeros.
fn empty<T: Plain>() -> T {
    // SAFETY: as `Plain` says.
    unsafe { std::mem::zeroed() }
}

impl Job {
    /// A job that says nothing yet.
    #[must_use]
    pub fn new(kind: u32) -> Job {
        Job { kind, ..empty() }
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> Vec<u64> {
        words(self)
    }

    /// Read from words.
    #[must_use]
    pub fn read(words: &[u64]) -> Option<Job> {
        read(words)
    }

    /// A value of [`status`](crate::abi::status).
    #[must_use]
    pub fn status(&self) -> u32 {
        self.status.load(Ordering::Acquire)
    }
}

impl Default for Excursion {
    fn default() -> Excursion {
        empty()
    }
}

impl Default for Shed {
    fn default() -> Shed {
        empty()
    }
}

impl Default for Call {
    fn default() -> Call {
        empty()
    }
}

impl Excursion {
    /// Its words.
    #[must_use]
    pub fn words(&self) -> Vec<u64> {
        words(self)
    }

    /// Read from words.
    #[must_use]
    pub fn read(words: &[u64]) -> Option<Excursion> {
        read(words)
    }
}

impl ArenaPlan {
    /// Its words.
    #[must_use]
    pub fn words(&self) -> Vec<u64> {
        words(self)
    }
}

const _: () = {
    assert!(align_of::<Job>() == 8 && align_of::<Excursion>() == 8 && align_of::<ArenaPlan>() == 8);
};

/// The image in words, the last one filled up with zeros.
#[must_use]
pub fn image() -> Vec<u64> {
    let chunks = crate::IMAGE.chunks(8);
    let word = |chunk: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(bytes)
    };
    chunks.map(word).collect()
}
