//! Whose pointers lead into anonymous memory: a library's variables, or memory that they lead to.

use crate::chunks::Chunks;
use crate::libraries::Library;
use crate::read::Reader;
use memshed_target::{Memory, Range, ReadError, RemoteAddr};
use std::collections::{BTreeMap, HashSet};

/// Most bytes of variables that are looked at.
const LARGEST_DATA: u64 = 1 << 30;
/// Chunks are looked into so many steps from a library's variables.
const DEPTH: u32 = 2;
/// Longest part of a chunk that is looked at, in bytes.
const LONGEST_CHUNK: u64 = 64 << 10;
/// Most bytes of chunks that are looked at, for each step.
const LARGEST_STEP: u64 = 64 << 20;

/// How a library points into a piece of memory: first that something points to its beginning,
/// then how many words point into it.
type Votes = BTreeMap<(usize, u32), (bool, u64)>;

/// For each of `pieces`, which are in order, the index of the library that owns it, if one does.
pub(crate) fn owners<M: Memory>(
    reader: Reader<'_, M>,
    libraries: &[Library],
    pieces: &[Range],
    chunks: Option<&Chunks>,
) -> Result<Vec<Option<u32>>, ReadError> {
    let mut owners = vec![None; pieces.len()];
    if pieces.is_empty() {
        return Ok(owners);
    }
    let mut places = Vec::new();
    let mut bytes = 0;
    for (index, library) in (0..).zip(libraries) {
        for &range in library.data.iter().chain(&library.zeroed) {
            bytes += range.len();
            if bytes <= LARGEST_DATA {
                places.push((index, range));
            }
        }
    }
    let mut visited = HashSet::new();
    for step in 0..=DEPTH {
        let ranges: Vec<Range> = places.iter().map(|&(_, range)| range).collect();
        reader.prefetch(&ranges);
        let mut votes = Votes::new();
        let mut next = Vec::new();
        for (library, range) in places {
            reader.each_word(range, |_, word| {
                if let Some(piece) = holds(pieces, word).filter(|_| looks_like_pointer(word)) {
                    let vote = votes.entry((piece, library)).or_default();
                    vote.0 |= word - pieces[piece].start < 4096;
                    vote.1 += 1;
                } else if step < DEPTH && word.is_multiple_of(16) && word != 0 {
                    next.push((library, word));
                }
            })?;
        }
        count(&votes, libraries, &mut owners);
        if owners.iter().all(Option::is_some) {
            break;
        }
        let Some(chunks) = chunks else { break };
        places = chunks_of(chunks, next, &mut visited);
    }
    Ok(owners)
}

/// Whether a word that leads into a mapping is likely to be meant so. Where a number of four bytes is
/// written over half of an old pointer, as happens in structs with padding, a small number beside
/// the upper half of an address is left; and machine words within byte code are rarely aligned.
fn looks_like_pointer(word: u64) -> bool {
    const SMALL: u64 = 1 << 16;
    word.is_multiple_of(8) && word & u64::from(u32::MAX) >= SMALL
}

fn holds(pieces: &[Range], word: u64) -> Option<usize> {
    let (first, last) = (pieces.first()?, pieces.last()?);
    if word < first.start || word >= last.end {
        return None;
    }
    let index = pieces.partition_point(|p| p.end <= word);
    (pieces.get(index)?.start <= word).then_some(index)
}

/// The chunks in use that the words point to, each once.
fn chunks_of(
    chunks: &Chunks,
    mut words: Vec<(u32, u64)>,
    visited: &mut HashSet<u64>,
) -> Vec<(u32, Range)> {
    words.sort_unstable_by_key(|&(library, word)| (word, library));
    let mut cursor = chunks.cursor();
    let mut bytes = 0;
    let mut places = Vec::new();
    for (library, word) in words {
        let Some(chunk) = cursor.find(RemoteAddr(word)) else {
            continue;
        };
        let in_use = chunk.state == crate::ChunkState::InUse;
        if !in_use || !visited.insert(chunk.range.start) {
            continue;
        }
        let start = chunk.user().0;
        let end = chunk.range.end.min(start + LONGEST_CHUNK);
        bytes += end.saturating_sub(start);
        if bytes > LARGEST_STEP {
            break;
        }
        places.push((library, Range { start, end }));
    }
    places
}

/// Gives each piece without an owner to the library with the best votes. The C library and the
/// loader keep lists of what others have, so anybody else comes first.
fn count(votes: &Votes, libraries: &[Library], owners: &mut [Option<u32>]) {
    let mut best: BTreeMap<usize, ((bool, bool, u64), u32)> = BTreeMap::new();
    for (&(piece, library), &(begins, count)) in votes {
        let name = libraries[library as usize].path.rsplit('/').next();
        let common = name.is_some_and(|n| n.starts_with("libc.so") || n.starts_with("ld-"));
        let rank = (!common, begins, count);
        let known = best.entry(piece).or_insert((rank, library));
        if known.0 < rank {
            *known = (rank, library);
        }
    }
    for (piece, (_, library)) in best {
        owners[piece].get_or_insert(library);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_old_pointers_are_no_pointers() {
        assert!(looks_like_pointer(0x7f61_0040_0000));
        assert!(looks_like_pointer(0x7f61_0001_0008));
        for word in [0x7f61_0000_0000, 0x7f61_0000_0006, 0x7f61_0000_fff8] {
            assert!(!looks_like_pointer(word), "{word:#x}");
        }
        // An instruction of specialised byte code.
        assert!(!looks_like_pointer(0x7f58_0168_001b));
    }
}
