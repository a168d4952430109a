//! Freed chunks that look as if they were in use: those in fast bins, and those that threads keep
//! for themselves. Their headers do not tell; the lists do.

use crate::chunks::{ALIGNMENT, ChunkState, Chunks, HEADER};
use crate::layout::{self, MIN_CHUNK, SMALL_CACHE_BINS, State, THREAD_CACHES, ThreadCache};
use crate::problems::Problems;
use crate::read::{Reader, word};
use memshed_target::{Memory, ReadError};

/// Most chunks that a thread keeps in one list (`MAX_TCACHE_COUNT`).
const MOST_CACHED: u64 = 0xffff;

/// A list of freed chunks, to be followed.
#[derive(Clone, Copy, Debug)]
struct List {
    /// The first chunk's header.
    first: u64,
    /// The size of its chunks, or the smallest where sizes differ.
    size: u64,
    /// Whether all have that size.
    uniform: bool,
    /// How many there are, if the list's owner counts.
    count: Option<u64>,
    state: ChunkState,
}

/// Marks the chunks that are in lists. Returns how many threads keep chunks for themselves.
pub(crate) fn mark<M: Memory>(
    reader: Reader<'_, M>,
    state: &State,
    arenas: &[u64],
    chunks: &mut Chunks,
    problems: &mut Problems,
) -> Result<u64, ReadError> {
    let mut lists = fast_bins(reader, state, arenas)?;
    let caches = caches(reader, chunks)?;
    for &(holder, layout) in &caches {
        lists.extend(cache_lists(reader, layout, holder)?);
        if let Some((place, _)) = chunks.at(holder) {
            // The allocator's own.
            chunks.set(place, ChunkState::Overhead);
        }
    }
    let encoded = links_are_encoded(reader, chunks, &lists)?;
    for list in lists {
        follow(reader, list, encoded, chunks, problems)?;
    }
    Ok(caches.len() as u64)
}

fn fast_bins<M: Memory>(
    reader: Reader<'_, M>,
    state: &State,
    arenas: &[u64],
) -> Result<Vec<List>, ReadError> {
    let mut lists = Vec::new();
    let Some(offset) = state.fastbins else {
        return Ok(lists);
    };
    for &arena in arenas {
        for bin in 0..layout::FASTBINS {
            let first = reader.u64(arena + offset + bin * 8)?.unwrap_or(0);
            if first != 0 {
                lists.push(List {
                    first,
                    size: MIN_CHUNK + bin * ALIGNMENT,
                    uniform: true,
                    count: None,
                    state: ChunkState::FastBin,
                });
            }
        }
    }
    Ok(lists)
}

/// The chunks that hold what a thread keeps for itself. They have a size of their own, and each of
/// their lists agrees with its counter and begins at a chunk of the right size.
fn caches<M: Memory>(
    reader: Reader<'_, M>,
    chunks: &Chunks,
) -> Result<Vec<(u64, &'static ThreadCache)>, ReadError> {
    let mut found = Vec::new();
    for chunk in chunks.iter().filter(|c| c.state == ChunkState::InUse) {
        let size = chunk.range.len();
        // A free chunk that is too large by less than the smallest chunk is handed out whole; and
        // 2.43 asks for 16 bytes more where the thread has an arena already.
        let fits = |l: &&ThreadCache| (l.chunk..l.chunk + 16 + MIN_CHUNK).contains(&size);
        let Some(layout) = THREAD_CACHES.iter().find(fits) else {
            continue;
        };
        if is_cache(reader, layout, chunk.range.start, chunks)? {
            found.push((chunk.range.start, layout));
        }
    }
    Ok(found)
}

/// The counters and the lists' first entries.
struct CacheWords<'a> {
    layout: &'static ThreadCache,
    bytes: &'a [u8],
}

impl<'a> CacheWords<'a> {
    fn read<M: Memory>(
        reader: Reader<'a, M>,
        layout: &'static ThreadCache,
        holder: u64,
    ) -> Result<Option<CacheWords<'a>>, ReadError> {
        let len = layout.bins * (layout.counter + 8);
        let bytes = reader.bytes(holder + HEADER, len as usize)?;
        Ok(bytes.map(|bytes| CacheWords { layout, bytes }))
    }

    fn counter(&self, bin: u64) -> u64 {
        let at = (bin * self.layout.counter) as usize;
        let bytes = &self.bytes[at..at + self.layout.counter as usize];
        bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    fn entry(&self, bin: u64) -> u64 {
        word(
            &self.bytes[(self.layout.bins * self.layout.counter) as usize..],
            bin as usize,
        )
    }

    /// How many chunks each list may hold, where the counters tell the room that is left: that of
    /// an empty list.
    fn capacity(&self) -> u64 {
        let counters = (0..self.layout.bins).map(|bin| self.counter(bin));
        counters.max().unwrap_or(0)
    }

    /// How many chunks a list holds.
    fn count(&self, bin: u64) -> u64 {
        match self.layout.counts_room {
            true => self.capacity() - self.counter(bin),
            false => self.counter(bin),
        }
    }
}

fn is_cache<M: Memory>(
    reader: Reader<'_, M>,
    layout: &'static ThreadCache,
    holder: u64,
    chunks: &Chunks,
) -> Result<bool, ReadError> {
    let Some(words) = CacheWords::read(reader, layout, holder)? else {
        return Ok(false);
    };
    let mut used = false;
    for bin in 0..layout.bins {
        let (count, entry) = (words.count(bin), words.entry(bin));
        if count > MOST_CACHED || (entry == 0) != (count == 0) {
            return Ok(false);
        }
        if entry == 0 {
            continue;
        }
        let size = MIN_CHUNK + bin * ALIGNMENT;
        let good = chunks.at(entry.wrapping_sub(HEADER)).is_some_and(|(_, c)| {
            let fits = match bin < SMALL_CACHE_BINS {
                true => c.range.len() == size,
                false => c.range.len() >= size,
            };
            fits && c.state == ChunkState::InUse
        });
        if !good {
            return Ok(false);
        }
        used = true;
    }
    // All zeros is no evidence, unless it says how much room there is.
    Ok(used || layout.counts_room && words.capacity() > 0)
}

fn cache_lists<M: Memory>(
    reader: Reader<'_, M>,
    layout: &'static ThreadCache,
    holder: u64,
) -> Result<Vec<List>, ReadError> {
    let Some(words) = CacheWords::read(reader, layout, holder)? else {
        return Ok(Vec::new());
    };
    let used = (0..layout.bins).filter(|&bin| words.entry(bin) != 0);
    Ok(used
        .map(|bin| List {
            first: words.entry(bin).wrapping_sub(HEADER),
            size: MIN_CHUNK + bin.min(SMALL_CACHE_BINS) * ALIGNMENT,
            uniform: bin < SMALL_CACHE_BINS,
            count: Some(words.count(bin)),
            state: ChunkState::ThreadCache,
        })
        .collect())
}

impl List {
    /// The header of the chunk that a link leads to. Fast bins link headers, threads' lists what
    /// the program knows.
    fn header(&self, link: u64) -> Option<u64> {
        match self.state {
            _ if link == 0 => None,
            ChunkState::FastBin => Some(link),
            _ => Some(link.wrapping_sub(HEADER)),
        }
    }

    fn fits(&self, chunks: &Chunks, at: u64) -> bool {
        chunks.at(at).is_some_and(|(_, c)| {
            let size = c.range.len();
            size == self.size || !self.uniform && size >= self.size
        })
    }
}

/// Since 2.32 a link is combined with its own place in memory ("safe-linking", `PROTECT_PTR`).
fn decode(at: u64, link: u64, encoded: bool) -> u64 {
    match encoded {
        true => link ^ (at >> 12),
        false => link,
    }
}

/// Whether links are encoded: the lists' second chunks vote.
fn links_are_encoded<M: Memory>(
    reader: Reader<'_, M>,
    chunks: &Chunks,
    lists: &[List],
) -> Result<bool, ReadError> {
    let mut votes = [0u32; 2];
    for list in lists {
        let at = list.first.wrapping_add(HEADER);
        let Some(link) = reader.u64(at)? else {
            continue;
        };
        for encoded in [false, true] {
            let next = list.header(decode(at, link, encoded));
            let good = next.is_none_or(|next| list.fits(chunks, next));
            votes[usize::from(encoded)] += u32::from(good);
        }
    }
    Ok(votes[1] >= votes[0])
}

fn follow<M: Memory>(
    reader: Reader<'_, M>,
    list: List,
    encoded: bool,
    chunks: &mut Chunks,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let kind = match list.state {
        ChunkState::FastBin => "torn-fast-bin",
        _ => "torn-thread-cache",
    };
    let mut next = Some(list.first);
    let mut seen = 0;
    while let Some(at) = next {
        // A chunk that is marked already ends a list that bites its own tail.
        let place = chunks
            .at(at)
            .filter(|(_, c)| c.state == ChunkState::InUse && list.fits(chunks, at));
        let (Some((place, _)), true) = (place, list.count.is_none_or(|count| seen < count)) else {
            problems.add(kind, at);
            return Ok(());
        };
        chunks.set(place, list.state);
        seen += 1;
        let Some(link) = reader.u64(at + HEADER)? else {
            problems.add(kind, at);
            return Ok(());
        };
        next = list.header(decode(at + HEADER, link, encoded));
    }
    if list.count.is_some_and(|count| count != seen) {
        problems.add(kind, list.first);
    }
    Ok(())
}
