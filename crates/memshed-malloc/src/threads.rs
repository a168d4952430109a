//! Where threads keep their state: what is special to x86-64 and glibc is here.

use crate::glibc::Hints;
use crate::problems::Problems;
use crate::read::{PAGE, Read, Reader, word};
use memshed_target::{Memory, Range, ReadError, RemoteAddr};
use std::collections::HashSet;

/// Words 0 and 2 of a control block are its own address (`tcbhead_t`,
/// sysdeps/x86_64/nptl/tls.h).
const SELF: [u64; 2] = [0, 16];
/// `struct pthread`: all threads are linked, used and cached stacks in lists of their own
/// (nptl/descr.h). The block's head has a fixed size, so these have not moved since 2.17.
const LIST: u64 = 704;
const TID: u64 = 720;
/// The stack's address and size follow each other, somewhere before this offset.
const DESCRIPTOR: u64 = 2304;
/// A control block lies at the end of its stack, at most so far from it.
const LONGEST_END: u64 = 64 << 10;
/// More threads are not believed.
const MOST_THREADS: usize = 1 << 18;

/// A thread's control block, and the stack that it lies at the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadBlock {
    /// The control block (`struct pthread`; the thread's `fs` register).
    pub address: RemoteAddr,
    /// The thread's number in its own pid namespace. `None`: the thread has ended, and its stack
    /// is kept for the next one; or it is none of [`Hints::threads`].
    pub tid: Option<i32>,
    /// Its stack with guard pages, as pthread_create(3) laid it out.
    pub stack: Range,
}

/// The threads whose stacks pthread_create(3) made: those that are linked from a word of `data`,
/// the variables of the libraries.
pub(crate) fn find<M: Memory>(
    reader: Reader<'_, M>,
    data: &[Range],
    writable: impl Fn(u64) -> bool,
    hints: &Hints<'_>,
    problems: &mut Problems,
) -> Result<Vec<ThreadBlock>, ReadError> {
    let mut heads = HashSet::new();
    for &range in data {
        reader.each_word(range, |_, word| {
            // A block is aligned to 64 bytes.
            if word >= PAGE && word.wrapping_sub(LIST).is_multiple_of(64) && writable(word) {
                heads.insert(word);
            }
        })?;
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for head in heads {
        if !is_block(reader, head.wrapping_sub(LIST))? {
            continue;
        }
        let mut link = head;
        while seen.insert(link) && seen.len() < MOST_THREADS {
            let at = link.wrapping_sub(LIST);
            // The list's own head is no block.
            if is_block(reader, at)? {
                found.extend(block(reader, at, hints)?);
            }
            let Some(next) = reader.u64(link)? else {
                problems.add("torn-thread-list", link);
                break;
            };
            link = next;
        }
    }
    found.sort_by_key(|t| t.stack);
    found.dedup_by_key(|t| t.address);
    Ok(found)
}

fn is_block<M: Memory>(reader: Reader<'_, M>, at: u64) -> Result<bool, ReadError> {
    for offset in SELF {
        if at == 0 || reader.u64(at.wrapping_add(offset))? != Some(at) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn block<M: Memory>(reader: Reader<'_, M>, at: u64, hints: &Hints<'_>) -> Read<ThreadBlock> {
    let Some(bytes) = descriptor(reader, at)? else {
        return Ok(None);
    };
    let tid = word(bytes, TID as usize / 8) as u32 as i32;
    let known = hints.threads.is_empty() || hints.threads.contains(&tid);
    let words = bytes.len() / 8;
    // `stackblock` and `stackblock_size` are at different places in each version; nothing else
    // describes memory that ends so shortly after the block.
    let stack = (LIST as usize / 8..words.saturating_sub(1)).find_map(|n| {
        let (start, size) = (word(bytes, n), word(bytes, n + 1));
        let end = start.checked_add(size)?;
        let good = start.is_multiple_of(PAGE)
            && size >= 4 * PAGE
            && size.is_multiple_of(PAGE)
            && start < at
            && at < end
            && end - at <= LONGEST_END;
        good.then_some(Range { start, end })
    });
    Ok(stack.map(|stack| ThreadBlock {
        address: RemoteAddr(at),
        tid: (tid > 0 && known).then_some(tid),
        stack,
    }))
}

/// The block's words as far as they are mapped: in older versions it is shorter, and ends where
/// the stack does.
fn descriptor<M: Memory>(reader: Reader<'_, M>, at: u64) -> Result<Option<&[u8]>, ReadError> {
    match reader.bytes(at, DESCRIPTOR as usize)? {
        Some(bytes) => Ok(Some(bytes)),
        None => reader.bytes(at, (at.next_multiple_of(PAGE) - at) as usize),
    }
}
