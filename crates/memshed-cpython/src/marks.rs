//! A set of addresses that also numbers its members: one bit for every eight bytes of memory
//! that holds members, and running counts, so that a member's rank (its place in order of
//! address) is found in constant time. This is what turns addresses into u32 handles at a cost
//! of 1.7 % of the memory covered, instead of a hash table of 20 bytes a member.

/// Bytes that one chunk covers.
const CHUNK_SHIFT: u32 = 20;
const CHUNK_BYTES: u64 = 1 << CHUNK_SHIFT;
/// Objects are aligned to this many bytes (static ones to 8, allocated ones to 16).
const GRAIN_SHIFT: u32 = 3;
const WORDS: usize = (CHUNK_BYTES >> GRAIN_SHIFT) as usize / 64;
/// One running count for this many words.
const STRIDE: usize = 8;
/// Addresses of user space on the machines supported (47 bits).
const TOP_SHIFT: u32 = 32;
const TOP: usize = 1 << (47 - TOP_SHIFT);
const LEAF: usize = 1 << (TOP_SHIFT - CHUNK_SHIFT);
const NONE: u32 = u32::MAX;

struct Chunk {
    start: u64,
    bits: Box<[u64; WORDS]>,
    /// Members before each run of `STRIDE` words, within this chunk.
    counts: Box<[u32; WORDS / STRIDE]>,
    /// Members before this chunk.
    base: u32,
}

/// The set.
pub(crate) struct Marks {
    top: Vec<Option<Box<[u32; LEAF]>>>,
    chunks: Vec<Chunk>,
    len: u64,
}

impl Marks {
    /// An empty set.
    pub(crate) fn new() -> Marks {
        Marks {
            top: (0..TOP).map(|_| None).collect(),
            chunks: Vec::new(),
            len: 0,
        }
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds `at`; says whether it is new. Addresses that no object can have (unaligned, beyond
    /// user space) are never added.
    #[inline]
    pub(crate) fn insert(&mut self, at: u64) -> bool {
        if at & ((1 << GRAIN_SHIFT) - 1) != 0 || at >> 47 != 0 {
            return false;
        }
        let chunk = self.chunk_for(at);
        let bit = (at & (CHUNK_BYTES - 1)) >> GRAIN_SHIFT;
        let word = &mut self.chunks[chunk].bits[(bit / 64) as usize];
        let mask = 1u64 << (bit % 64);
        let new = *word & mask == 0;
        *word |= mask;
        self.len += u64::from(new);
        new
    }

    /// Whether `at` is a member.
    #[inline]
    pub(crate) fn contains(&self, at: u64) -> bool {
        self.locate(at).is_some()
    }

    /// The number of members below `at`, if `at` is one. Right after [`Marks::number`] only.
    #[inline]
    pub(crate) fn rank(&self, at: u64) -> Option<u32> {
        let (chunk, word, bit) = self.locate(at)?;
        let chunk = &self.chunks[chunk];
        let run = word / STRIDE;
        let before: u32 = chunk.bits[run * STRIDE..word]
            .iter()
            .map(|w| w.count_ones())
            .sum();
        let below = (chunk.bits[word] & ((1u64 << bit) - 1)).count_ones();
        Some(chunk.base + chunk.counts[run] + before + below)
    }

    /// Sorts the chunks and counts, so that ranks can be asked for. No insertion may follow.
    pub(crate) fn number(&mut self) {
        self.chunks.sort_unstable_by_key(|c| c.start);
        let mut base = 0u32;
        for (i, chunk) in self.chunks.iter_mut().enumerate() {
            let leaf = self.top[(chunk.start >> TOP_SHIFT) as usize].as_mut();
            if let Some(leaf) = leaf {
                leaf[(chunk.start >> CHUNK_SHIFT) as usize % LEAF] = i as u32;
            }
            chunk.base = base;
            let mut within = 0u32;
            for (run, count) in chunk.counts.iter_mut().enumerate() {
                *count = within;
                let words = &chunk.bits[run * STRIDE..(run + 1) * STRIDE];
                within += words.iter().map(|w| w.count_ones()).sum::<u32>();
            }
            base += within;
        }
    }

    /// How many chunks there are: the grain of parallel work.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The members of chunk `i`, in order of address.
    pub(crate) fn chunk(&self, i: usize) -> impl Iterator<Item = u64> + '_ {
        let chunk = &self.chunks[i];
        chunk
            .bits
            .iter()
            .enumerate()
            .flat_map(move |(word, &bits)| {
                let start = chunk.start + ((word as u64 * 64) << GRAIN_SHIFT);
                std::iter::successors((bits != 0).then_some(bits), |b| {
                    let rest = b & (b - 1);
                    (rest != 0).then_some(rest)
                })
                .map(move |b| start + (u64::from(b.trailing_zeros()) << GRAIN_SHIFT))
            })
    }

    /// All members, in order of address once [`Marks::number`] has run.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.chunk_count()).flat_map(|i| self.chunk(i))
    }

    #[inline]
    fn locate(&self, at: u64) -> Option<(usize, usize, u32)> {
        let leaf = self.top.get((at >> TOP_SHIFT) as usize)?.as_ref()?;
        let chunk = leaf[(at >> CHUNK_SHIFT) as usize % LEAF];
        if chunk == NONE || at & ((1 << GRAIN_SHIFT) - 1) != 0 {
            return None;
        }
        let bit = (at & (CHUNK_BYTES - 1)) >> GRAIN_SHIFT;
        let (word, bit) = ((bit / 64) as usize, (bit % 64) as u32);
        let set = self.chunks[chunk as usize].bits[word] >> bit & 1 == 1;
        set.then_some((chunk as usize, word, bit))
    }

    fn chunk_for(&mut self, at: u64) -> usize {
        let top = &mut self.top[(at >> TOP_SHIFT) as usize];
        let leaf = top.get_or_insert_with(|| Box::new([NONE; LEAF]));
        let slot = &mut leaf[(at >> CHUNK_SHIFT) as usize % LEAF];
        if *slot == NONE {
            *slot = self.chunks.len() as u32;
            self.chunks.push(Chunk {
                start: at & !(CHUNK_BYTES - 1),
                bits: Box::new([0; WORDS]),
                counts: Box::new([0; WORDS / STRIDE]),
                base: 0,
            });
        }
        *slot as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranks_equal_places_in_order_of_address() {
        let mut state = 7u64;
        let mut set = BTreeSet::new();
        let mut marks = Marks::new();
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let at = 0x7f00_0000_0000 + (state >> 38) / 8 * 8;
            assert_eq!(marks.insert(at), set.insert(at));
        }
        marks.insert(0x5555_0000_1238);
        set.insert(0x5555_0000_1238);
        marks.number();
        assert_eq!(marks.len(), set.len() as u64);
        assert!(marks.iter().eq(set.iter().copied()));
        for (i, &at) in set.iter().enumerate() {
            assert_eq!(marks.rank(at), Some(i as u32));
            assert_eq!(marks.rank(at + 1), None);
            assert_eq!(marks.contains(at + 8), set.contains(&(at + 8)));
        }
    }

    #[test]
    fn impossible_addresses_are_not_members() {
        let mut marks = Marks::new();
        for at in [1, 0x7f00_0000_0004, u64::MAX, 1 << 47, u64::MAX - 7] {
            assert!(!marks.insert(at));
            assert!(!marks.contains(at));
        }
        assert_eq!(marks.len(), 0);
    }
}
