//! Having the process itself do something: code put into it, and threads sent to run it.
//!
//! What the code is and does is the caller's business. It is put into the process for as long as an
//! [`Agent`] lives.

use crate::error::TargetError;
use crate::memory::{Range, RemoteAddr};
use crate::protocol::{Answer, Request};
pub use crate::protocol::{Arrival, Journey, Placed, Poke, Pokes, Traveler, Trip};
use crate::session::{Session, out_of_turn};
use crate::tracer::JOB;

/// Code in a process, and memory for it to work with.
pub struct Agent<'s> {
    session: &'s Session,
    placed: Placed,
}

impl Session {
    /// Puts code into the process, with `room` bytes of memory for it.
    ///
    /// # Errors
    /// [`TargetError::Refused`] where the process may not be made to run code: under seccomp, with
    /// shadow stacks, or because the kernel refuses it memory.
    pub fn load(&self, image: &[u64], room: u64) -> Result<Agent<'_>, TargetError> {
        let request = Request::Load {
            image: image.to_vec(),
            data: JOB + room,
        };
        match self.link.ask(&request)? {
            Answer::Loaded(placed) => Ok(Agent {
                session: self,
                placed,
            }),
            _ => Err(out_of_turn()),
        }
    }
}

impl Agent<'_> {
    /// Where a place of the code lies in the process.
    #[must_use]
    pub fn code(&self, offset: u64) -> RemoteAddr {
        RemoteAddr(self.placed.image.start + offset)
    }

    /// The memory of the agent. An excursion runs the job at its start.
    #[must_use]
    pub fn memory(&self) -> Range {
        Range {
            start: self.placed.data.start + JOB,
            end: self.placed.data.end,
        }
    }

    /// Writes words into its memory, from `offset` bytes on.
    pub fn put(&self, offset: u64, words: Vec<u64>) -> Result<(), TargetError> {
        let offset = JOB + offset;
        match self.session.link.ask(&Request::Put { offset, words })? {
            Answer::Stored => Ok(()),
            _ => Err(out_of_turn()),
        }
    }

    /// Reads `count` words of its memory, from `offset` bytes on.
    pub fn get(&self, offset: u64, count: u64) -> Result<Vec<u64>, TargetError> {
        let offset = JOB + offset;
        match self.session.link.ask(&Request::Get { offset, count })? {
            Answer::Words(words) => Ok(words),
            _ => Err(out_of_turn()),
        }
    }

    /// Sends a thread to the job, and back.
    pub fn travel(&self, journey: Journey) -> Result<Trip, TargetError> {
        match self.session.link.ask(&Request::Travel(journey))? {
            Answer::Traveled(trip) => Ok(trip),
            _ => Err(out_of_turn()),
        }
    }

    /// Changes words of the process while all of its threads stand still, after which it may run
    /// the job by itself.
    pub fn poke(&self, pokes: Pokes) -> Result<Trip, TargetError> {
        match self.session.link.ask(&Request::Poke(pokes))? {
            Answer::Poked(trip) => Ok(trip),
            _ => Err(out_of_turn()),
        }
    }

    /// Removes the code. Whether it is gone: it stays if the process may yet run it.
    pub fn unload(self) -> Result<bool, TargetError> {
        match self.session.link.ask(&Request::Unload)? {
            Answer::Unloaded(gone) => Ok(gone),
            _ => Err(out_of_turn()),
        }
    }
}
