//! pymalloc's pools, one row each (CPython's Objects/obmalloc.c: arenas of pools of blocks).

/// One row for each pool that was ever carved from an arena, sorted by address.
#[derive(Clone, Debug, Default)]
pub struct PoolTable {
    /// Address of the pool's header.
    pub address: Vec<u64>,
    /// Number of its arena.
    pub arena: Vec<u32>,
    /// Size of its blocks in bytes; 0 for a free pool.
    pub block_size: Vec<u32>,
    /// Blocks in use.
    pub used: Vec<u32>,
    /// Blocks that fit.
    pub capacity: Vec<u32>,
}

impl PoolTable {
    /// How many pools there are.
    pub fn len(&self) -> usize {
        self.address.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.address.is_empty()
    }
}
