//! What the command and the tracer say to each other: one JSON text per message, its length
//! first, over a stream socket. Bytes of the target never travel here; they go through shared
//! memory.

use crate::error::TargetError;
use crate::memory::{Range, RemoteAddr};
use crate::placement::AreaId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The descriptors the tracer inherits: control socket, copying socket, shared memory.
pub(crate) const CONTROL_FD: i32 = 3;
pub(crate) const COPIER_FD: i32 = 4;
pub(crate) const MEMORY_FD: i32 = 5;

/// Longest message, in bytes: 60,000 mappings of 40 bytes with room to spare.
const LONGEST: u32 = 64 << 20;

/// How the target is held still while it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A copy-on-write copy is forked off; the target pauses for the fork only.
    Fork,
    /// The target is stopped for as long as its memory is copied.
    Pause,
}

/// A word of the target's memory that has a certain value at a good moment to freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordTest {
    /// Where the word lies.
    pub addr: RemoteAddr,
    /// Its size: 1, 4 or 8 bytes, little-endian.
    pub size: u8,
    /// Which bits count.
    pub mask: u64,
    /// What these bits must be.
    pub equals: u64,
}

impl WordTest {
    /// Whether a word of `size` bytes (1, 4 or 8) is `equals`, all bits of it.
    #[must_use]
    pub fn is(addr: RemoteAddr, size: u8, equals: u64) -> WordTest {
        WordTest {
            addr,
            size,
            mask: u64::MAX >> (64 - 8 * u32::from(size.clamp(1, 8))),
            equals,
        }
    }
}

/// How to freeze, and what to put up with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FreezeRequest {
    /// The method; `None` forks where that is permitted and wise, and pauses otherwise.
    pub method: Option<Method>,
    /// The longest stop that is acceptable; a longer one, as far as can be predicted, is refused
    /// beforehand.
    pub max_stop: Option<Duration>,
    /// Tests that all hold at a good moment. They are tried before and during the stop.
    pub avoid: Vec<WordTest>,
    /// How often to try for a good moment; the last attempt takes the moment it gets. At least 1.
    pub attempts: u32,
    /// How long the threads may take to stop, in each attempt.
    pub deadline: Duration,
}

impl Default for FreezeRequest {
    fn default() -> Self {
        FreezeRequest {
            method: None,
            max_stop: None,
            avoid: Vec::new(),
            attempts: 5,
            deadline: Duration::from_secs(2),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make the live process readable.
    Live,
    /// Which method would be used, and why.
    Plan(FreezeRequest),
    /// Fork a copy.
    Fork(FreezeRequest),
    /// Stop, copy again what has been read of the live process, let go.
    Pause(FreezeRequest),
    /// Copy code into the target, and give it so many bytes of memory to work with.
    Load {
        /// The code, in words.
        image: Vec<u64>,
        /// Bytes, of whole pages.
        data: u64,
    },
    /// Write words into that memory, from an offset in bytes on.
    Put { offset: u64, words: Vec<u64> },
    /// Read so many words of that memory.
    Get { offset: u64, count: u64 },
    /// Have a thread run the code.
    Travel(Journey),
    /// Change words of the target while it stands still.
    Poke(Pokes),
    /// Remove the code.
    Unload,
    /// Let go of everything.
    Finish,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Ready,
    Live(Vec<Range>),
    Plan(Plan),
    Frozen(Outcome),
    Loaded(Placed),
    Words(Vec<u64>),
    Traveled(Trip),
    Poked(Trip),
    /// The code was removed, or (false) is still in use.
    Unloaded(bool),
    Stored,
    /// The fork was tried and refused; a pause may do.
    ForkRefused(String),
    Finished(Ending),
    Failed(TargetError),
}

/// Where code and its memory lie in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The code.
    pub image: Range,
    /// The memory: the first page is the tracer's, and the second begins with the job.
    pub data: Range,
}

/// Which thread may be sent on an excursion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Traveler {
    /// Any: the job takes no lock, and calls nothing of the process.
    Anyone,
    /// One that waits in the kernel, in a call that cannot be part of what the job calls, such as
    /// an allocator.
    Blocked {
        /// The only threads that may be asked; any if empty.
        threads: Vec<i32>,
        /// Addresses of locks that it must not be waiting for.
        not_for: Vec<Range>,
    },
}

/// How a thread is sent to a job that has been put into the memory of the agent, and back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Journey {
    /// Where the code begins, from the start of the image.
    pub entry: u64,
    /// Who goes.
    pub who: Traveler,
    /// Tests that must hold when the thread has been stopped.
    pub tests: Vec<WordTest>,
    /// How long the job may take; a thread that takes longer comes back by itself.
    pub limit: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arrival {
    /// The job was run, or was found to be none.
    Done,
    /// A test did not hold: nothing was done.
    BadMoment,
    /// No thread could be sent: nothing was done.
    Nobody,
    /// The job took longer than its limit, and the thread was left to it.
    Overdue,
}

/// What an excursion, or a change of words, was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// What came of it.
    pub arrival: Arrival,
    /// The thread that went; 0 if none did.
    pub tid: i32,
    /// From the first thread's stop to the last one's release.
    pub stopped: Duration,
}

/// A change of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poke {
    /// Where it lies.
    pub addr: RemoteAddr,
    /// Its size: 4 or 8 bytes.
    pub size: u8,
    /// What is put there.
    pub value: u64,
    /// Whether its bits are added to those that are there.
    pub or: bool,
}

/// Changes to be made while no thread runs, if the tests hold. The last one takes effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pokes {
    /// Tests that must all hold.
    pub tests: Vec<WordTest>,
    /// The changes, in order.
    pub pokes: Vec<Poke>,
    /// How long the threads may take to stop.
    pub deadline: Duration,
    /// Where the status of the job that the target may run from then on lies in the agent's
    /// memory, in bytes. The code stays until it says that the job is done.
    pub job: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) method: Method,
    pub(crate) reason: Option<String>,
}

/// What a freeze was like.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) area: Option<AreaId>,
    pub(crate) regions: Vec<Range>,
    pub(crate) stopped: Duration,
    pub(crate) attempts: u32,
    pub(crate) avoided: bool,
    pub(crate) threads: u32,
    pub(crate) left_asleep: u32,
    pub(crate) skipped: u32,
    pub(crate) ran_meanwhile: u32,
    pub(crate) prolonged: u32,
    pub(crate) missing: Vec<Range>,
    pub(crate) remark: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// The stop for reaping the copy.
    pub(crate) stopped: Duration,
    /// Why the copy was let go before the caller was done, if it was.
    pub(crate) cut_short: Option<String>,
    /// What could not be cleaned up, if anything.
    pub(crate) left_behind: Option<String>,
    pub(crate) target_ended: bool,
    /// Whether the tracer has to stay: a thread of the target is still where it was led.
    pub(crate) leads_back: bool,
}

/// A wish for bytes, on the copying socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) area: AreaId,
    pub(crate) ranges: Vec<Range>,
}

/// Its answer: whether the source is still there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fetched {
    pub(crate) there: bool,
    /// What was copied; pages that do not exist are left out.
    pub(crate) copied: Vec<Range>,
}

pub(crate) fn send<T: Serialize>(socket: &UnixStream, message: &T) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|&n| n <= LONGEST);
    let length = length.ok_or_else(|| io::Error::other("message too long"))?;
    let mut frame = Vec::with_capacity(text.len() + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&text);
    let mut socket = socket;
    socket.write_all(&frame)
}

pub(crate) fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<T> {
    let mut socket = socket;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::Error::other("message too long"));
    }
    let mut text = vec![0; length as usize];
    socket.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
