//! Reading words out of a target, and no more of it than is needed.

use memshed_target::{Memory, Range, ReadError, RemoteAddr};

pub(crate) const PAGE: u64 = 4096;
/// The most that is fetched in advance, in bytes.
const LONGEST_STEP: u64 = 16 << 20;
/// Longest run of bytes that is handed out as one slice.
const WINDOW: u64 = 1 << 20;

/// Words of a target. What cannot be read is `None`; only memory that cannot be read *any more* is
/// an error, since everything after it would be wrong.
pub(crate) struct Reader<'a, M> {
    memory: &'a M,
}

impl<M> Clone for Reader<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Reader<'_, M> {}

pub(crate) type Read<T> = Result<Option<T>, ReadError>;

impl<'a, M: Memory> Reader<'a, M> {
    pub(crate) fn new(memory: &'a M) -> Reader<'a, M> {
        Reader { memory }
    }

    #[inline]
    pub(crate) fn bytes(self, at: u64, len: usize) -> Read<&'a [u8]> {
        match self.memory.bytes(RemoteAddr(at), len) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error @ ReadError::NotCopied(_)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    #[inline]
    pub(crate) fn u64(self, at: u64) -> Read<u64> {
        Ok(self.bytes(at, 8)?.map(|b| word(b, 0)))
    }

    pub(crate) fn u32(self, at: u64) -> Read<u32> {
        Ok(self.bytes(at, 4)?.map(|b| {
            let mut four = [0; 4];
            four.copy_from_slice(b);
            u32::from_le_bytes(four)
        }))
    }

    /// Two words: what precedes a chunk's size, and the size with its flags.
    #[inline]
    pub(crate) fn header(self, at: u64) -> Read<(u64, u64)> {
        Ok(self.bytes(at, 16)?.map(|b| (word(b, 0), word(b, 1))))
    }

    /// The run of mapped addresses that holds `at`.
    pub(crate) fn run(self, at: u64) -> Option<Range> {
        self.memory.mapped_run(RemoteAddr(at))
    }

    pub(crate) fn prefetch(self, ranges: &[Range]) {
        self.memory.prefetch(ranges);
    }

    /// Calls `see` with each aligned word of `range` that can be read, and its address.
    pub(crate) fn each_word(
        self,
        range: Range,
        mut see: impl FnMut(u64, u64),
    ) -> Result<(), ReadError> {
        let mut at = range.start.next_multiple_of(8);
        while at < range.end {
            let end = (at & !(WINDOW - 1)).saturating_add(WINDOW).min(range.end);
            match self.bytes(at, (end - at) as usize)? {
                Some(bytes) => words(bytes, at, &mut see),
                None => self.each_word_by_page(Range { start: at, end }, &mut see)?,
            }
            at = end;
        }
        Ok(())
    }

    /// The same where some pages cannot be read.
    fn each_word_by_page(
        self,
        range: Range,
        see: &mut impl FnMut(u64, u64),
    ) -> Result<(), ReadError> {
        let mut at = range.start;
        while at < range.end {
            let end = (at & !(PAGE - 1)).saturating_add(PAGE).min(range.end);
            if let Some(bytes) = self.bytes(at, (end - at) as usize)? {
                words(bytes, at, see);
            }
            at = end;
        }
        Ok(())
    }
}

fn words(bytes: &[u8], start: u64, see: &mut impl FnMut(u64, u64)) {
    for (bytes, at) in bytes.chunks_exact(8).zip((start..).step_by(8)) {
        see(at, word(bytes, 0));
    }
}

/// Word `index` of `bytes`; zero beyond them.
#[inline]
pub(crate) fn word(bytes: &[u8], index: usize) -> u64 {
    let mut eight = [0; 8];
    match bytes.get(index * 8..index * 8 + 8) {
        Some(bytes) => eight.copy_from_slice(bytes),
        None => return 0,
    }
    u64::from_le_bytes(eight)
}

/// Fetches ahead of a reader that goes upwards: more and more as long as it reads everything, a
/// page where it has jumped, so that the insides of large chunks are not read.
#[derive(Default)]
pub(crate) struct Ahead {
    end: u64,
    step: u64,
}

impl Ahead {
    /// The reader will look at `at`, and at nothing from `limit` on.
    #[inline]
    pub(crate) fn reach<M: Memory>(&mut self, reader: Reader<'_, M>, at: u64, limit: u64) {
        if at >= self.end {
            self.fetch(reader, at, limit);
        }
    }

    #[cold]
    fn fetch<M: Memory>(&mut self, reader: Reader<'_, M>, at: u64, limit: u64) {
        let start = at & !(PAGE - 1);
        self.step = match start == self.end {
            true => (self.step * 2).clamp(PAGE, LONGEST_STEP),
            false => PAGE,
        };
        // A header may straddle the boundary.
        let end = start.saturating_add(self.step).min(limit.max(at + 16));
        reader.prefetch(&[Range { start, end }]);
        self.end = end & !(PAGE - 1);
        if self.end <= at {
            self.end = at + 1;
        }
    }
}
