//! The collector of a running process from one moment to the next: whether it is at work, and how
//! often it has been. Read from a few words of the interpreters' state, without stopping anything.

use crate::interpreters::Interpreter;
use crate::layouts::Layout;
use crate::problems::Problems;
use crate::python::Python;
use crate::read::Reader;
use memshed_heap::{Gc, LongLived};
use memshed_target::{Memory, Range, ReadError, RemoteAddr};

/// The collector at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectorMoment {
    /// Whether the collector of any interpreter was at work.
    pub collecting: bool,
    /// The settings and statistics of the first interpreter's, without the lengths of its lists.
    pub gc: Gc,
    /// The first interpreter's counts of its old objects; `None` where it keeps none.
    pub long_lived: Option<LongLived>,
}

/// Where the collectors of a process keep their state.
pub struct CollectorWatch<'p> {
    layout: &'p Layout,
    interpreters: Vec<Interpreter>,
    /// Pieces of memory: all that has to be read at each moment.
    pieces: Vec<Piece>,
}

impl Python {
    /// Where to look at its collectors again and again. Interpreters that are made later are not
    /// looked at.
    ///
    /// # Errors
    /// If the interpreters' state cannot be read.
    pub fn watch_collector<M: Memory>(&self, memory: &M) -> Result<CollectorWatch<'_>, ReadError> {
        let interpreters = self.interpreters(memory, &Problems::default())?;
        let mut pieces = Vec::new();
        for interpreter in &interpreters {
            let (l, gc) = (&self.layout.gc, interpreter.gc(&self.layout));
            pieces.push(Piece::new(gc, l.size.into()));
            // From 3.15 on the statistics are in a block of their own, which stays where it is.
            if let (Some(old), Some(stride)) = (l.old_stats, l.old_stats_stride) {
                let stats = Reader(memory).pointer(gc.add(l.generation_stats.into()))?;
                pieces.push(Piece::new(stats, u64::from(old) + 2 * u64::from(stride)));
            }
        }
        Ok(CollectorWatch {
            layout: &self.layout,
            interpreters,
            pieces,
        })
    }
}

impl CollectorWatch<'_> {
    /// The collector now: `read` fills bytes with what is at an address, or says that it cannot.
    pub fn now(
        &mut self,
        mut read: impl FnMut(RemoteAddr, &mut [u8]) -> bool,
    ) -> Option<CollectorMoment> {
        for piece in &mut self.pieces {
            if !read(piece.at, &mut piece.bytes) {
                return None;
            }
        }
        let pieces = Pieces(&self.pieces);
        let reader = Reader(&pieces);
        let at_work = |one: &Interpreter| {
            let word = reader.i32(one.collecting(self.layout));
            word.is_ok_and(|word| word != 0)
        };
        // The interpreter made first is the last in the list.
        let first = self.interpreters.last()?;
        Some(CollectorMoment {
            collecting: self.interpreters.iter().any(at_work),
            gc: first.read_gc(reader, self.layout, [0; 4]).ok()?,
            long_lived: first.read_long_lived(reader, self.layout),
        })
    }
}

/// A piece of memory, as it was when it was last read.
struct Piece {
    at: RemoteAddr,
    bytes: Vec<u8>,
}

impl Piece {
    fn new(at: RemoteAddr, bytes: u64) -> Piece {
        // No struct of the collector's is larger.
        const MOST: u64 = 1 << 16;
        Piece {
            at,
            bytes: vec![0; bytes.min(MOST) as usize],
        }
    }

    fn range(&self) -> Range {
        Range {
            start: self.at.0,
            end: self.at.0.saturating_add(self.bytes.len() as u64),
        }
    }
}

/// The pieces as memory, so that it is read as any other.
struct Pieces<'a>(&'a [Piece]);

impl Memory for Pieces<'_> {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let piece = self.0.iter().find(|piece| piece.range().contains(at));
        let bytes = piece.and_then(|piece| {
            let from = (at.0 - piece.at.0) as usize;
            piece.bytes.get(from..from.checked_add(len)?)
        });
        bytes.ok_or(ReadError::Unmapped(at))
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        let mut ranges = self.0.iter().map(Piece::range);
        ranges.find(|range| range.contains(at))
    }
}
