//! A pool: its header, its blocks, and which of them are in use.

use crate::layouts::Layout;
use crate::read::Reader;
use memshed_target::{Memory, ReadError, RemoteAddr};

/// A pool has at most this many blocks: 16 KiB in blocks of 16 bytes.
const MAX_BLOCKS: usize = 1024;

/// A pool's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// Its address.
    pub(crate) start: u64,
    /// One past its last byte.
    pub(crate) end: u64,
    /// Address of its first block.
    pub(crate) first: u64,
    /// Blocks in use.
    pub(crate) used: u32,
    /// Bytes of a block; 0 if it never held one.
    pub(crate) block_size: u32,
    /// Blocks that fit.
    pub(crate) capacity: u32,
    /// The first free block.
    pub(crate) first_free: RemoteAddr,
    next_offset: u32,
    max_next_offset: u32,
}

/// A block in use or free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its address.
    pub(crate) start: u64,
    /// Its bytes.
    pub(crate) size: u32,
}

/// Which blocks of a pool are in use.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    live: [u64; MAX_BLOCKS / 64],
    /// Blocks in use.
    pub(crate) count: u32,
}

impl Live {
    /// Whether block `k` is in use.
    #[inline]
    pub(crate) fn contains(&self, k: u32) -> bool {
        bit(&self.live, k)
    }

    /// The blocks in use, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).step_by(64).zip(&self.live).flat_map(|(base, &word)| {
            let mut word = word;
            std::iter::from_fn(move || {
                let lowest = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(base + lowest)
            })
        })
    }
}

fn bit(bits: &[u64; MAX_BLOCKS / 64], k: u32) -> bool {
    bits.get(k as usize / 64)
        .is_some_and(|word| word >> (k % 64) & 1 == 1)
}

impl Pool {
    /// Reads the header of the pool at `start`.
    pub(crate) fn read<M: Memory>(
        reader: Reader<'_, M>,
        layout: &Layout,
        start: u64,
    ) -> Result<Pool, ReadError> {
        let l = &layout.pool;
        let at = RemoteAddr(start);
        let used = reader.u32(at.add(l.count.into()))?;
        let index = reader.u32(at.add(l.szidx.into()))?;
        // A pool that never held a block has DUMMY_SIZE_IDX (0xffff).
        let block_size = match index {
            0..64 => (index + 1) * layout.obmalloc.alignment,
            _ => 0,
        };
        let capacity = (layout.obmalloc.pool_size - l.size)
            .checked_div(block_size)
            .unwrap_or(0);
        Ok(Pool {
            start,
            end: start + u64::from(layout.obmalloc.pool_size),
            first: start + u64::from(l.size),
            used,
            block_size,
            capacity,
            first_free: reader.pointer(at.add(l.freeblock.into()))?,
            next_offset: reader.u32(at.add(l.nextoffset.into()))?,
            max_next_offset: reader.u32(at.add(l.maxnextoffset.into()))?,
        })
    }

    /// Whether no more than a third of it is in use.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        u64::from(self.used) * 3 <= self.capacity.into()
    }

    /// Address of block `k`.
    #[inline]
    pub(crate) fn block(&self, k: u32) -> u64 {
        self.first + u64::from(k) * u64::from(self.block_size)
    }

    /// Whether `at` lies within.
    #[inline]
    pub(crate) fn holds(&self, at: RemoteAddr) -> bool {
        self.start <= at.0 && at.0 < self.end
    }

    /// The block that holds `at`, in use or not.
    #[inline]
    pub(crate) fn block_of(&self, at: RemoteAddr) -> Option<Block> {
        let offset = at.0.checked_sub(self.first)?;
        let k = offset.checked_div(self.block_size.into())?;
        (k < u64::from(self.capacity) && self.used > 0).then(|| Block {
            start: self.block(k as u32),
            size: self.block_size,
        })
    }

    /// The blocks in use; `None` if the chain of free blocks is torn.
    pub(crate) fn live<M: Memory>(&self, reader: Reader<'_, M>) -> Option<Live> {
        let capacity = (self.capacity as usize).min(MAX_BLOCKS) as u32;
        let mut chained = [0u64; MAX_BLOCKS / 64];
        let mut live = [0u64; MAX_BLOCKS / 64];
        if self.used == 0 {
            let count = 0;
            return Some(Live { live, count });
        }
        let mut at = self.first_free;
        // A block met twice ends the chain, so that it cannot be longer than the pool.
        while !at.is_null() {
            let k = self.number_of(at)?;
            let word = &mut chained[k as usize / 64];
            if *word >> (k % 64) & 1 == 1 {
                return None;
            }
            *word |= 1 << (k % 64);
            at = reader.pointer(at).ok()?;
        }
        let mut count = 0;
        for k in 0..capacity {
            if self.is_carved(k) && !bit(&chained, k) {
                live[k as usize / 64] |= 1 << (k % 64);
                count += 1;
            }
        }
        Some(Live { live, count })
    }

    /// The number of the block that begins at `at`.
    fn number_of(&self, at: RemoteAddr) -> Option<u32> {
        let offset = at.0.checked_sub(self.first)?;
        let size = u64::from(self.block_size);
        let k = offset.checked_div(size)?;
        (k < u64::from(self.capacity) && k * size == offset).then_some(k as u32)
    }

    /// The blocks that were never carved, or are to be carved anew.
    pub(crate) fn uncarved(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.capacity).filter(|&k| !self.is_carved(k))
    }

    fn is_carved(&self, k: u32) -> bool {
        let offset = self.block(k) - self.start;
        offset < u64::from(self.next_offset) || offset > u64::from(self.max_next_offset)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
