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
    /// Its resident bytes.
    pub resident: Vec<u32>,
}

impl PoolTable {
    /// How many pools there are.
    pub fn len(&self) -> usize {
        self.address.len()
    }

    /// Appends the rows of `other`, which is left empty.
    pub fn append(&mut self, other: &mut PoolTable) {
        self.address.append(&mut other.address);
        self.arena.append(&mut other.arena);
        self.block_size.append(&mut other.block_size);
        self.used.append(&mut other.used);
        self.capacity.append(&mut other.capacity);
        self.resident.append(&mut other.resident);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.address.is_empty()
    }
}

/// A block that is a part of an object and lies in a pool or arena that is mostly empty, which it
/// helps to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SparsePart {
    /// Where it begins.
    pub address: u64,
    /// Its bytes.
    pub bytes: u32,
    /// The object that it is a part of.
    pub owner: crate::heap::ObjectId,
}

/// What blocks in use are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum BlockKind {
    /// Objects.
    Object = 0,
    /// Parts of objects: elements of lists, tables of dictionaries and the like.
    Part = 1,
    /// Entries of free lists: unused objects that the interpreter keeps for the next ones.
    FreeList = 2,
    /// Blocks that a word in an object without a known layout, in the data of the interpreter or
    /// of a library, or in another such block points to.
    Possible = 3,
    /// Blocks of which nothing is known.
    Unknown = 4,
}

impl BlockKind {
    /// All kinds, each at the place of its number.
    pub const ALL: [BlockKind; 5] = [
        BlockKind::Object,
        BlockKind::Part,
        BlockKind::FreeList,
        BlockKind::Possible,
        BlockKind::Unknown,
    ];

    /// The kind as a word, as in snapshot files and JSON.
    pub fn word(self) -> &'static str {
        match self {
            BlockKind::Object => "object",
            BlockKind::Part => "part",
            BlockKind::FreeList => "free_list",
            BlockKind::Possible => "possible",
            BlockKind::Unknown => "unknown",
        }
    }

    /// The kind that [`BlockKind::word`] names so.
    pub fn from_word(word: &str) -> Option<BlockKind> {
        BlockKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Blocks in use of one size and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockUse {
    /// What they are.
    pub kind: BlockKind,
    /// Bytes of each.
    pub block_size: u32,
    /// How many.
    pub blocks: u64,
}
