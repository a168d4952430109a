//! Memory in use that is no object's by any layout: what C code holds.

use crate::strings::StringId;

/// Where memory lies that is no object's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NativeKind {
    /// A block of pymalloc's pools.
    Block = 0,
    /// A chunk of the system allocator's heaps.
    Chunk = 1,
    /// A chunk of the system allocator with a mapping of its own.
    MappedChunk = 2,
    /// Anonymous memory.
    Anonymous = 3,
    /// Memory shared with other processes.
    Shared = 4,
}

impl NativeKind {
    /// All kinds, each at the place of its number.
    pub const ALL: [NativeKind; 5] = [
        NativeKind::Block,
        NativeKind::Chunk,
        NativeKind::MappedChunk,
        NativeKind::Anonymous,
        NativeKind::Shared,
    ];

    /// The kind as a word, as in snapshot files and JSON.
    pub fn word(self) -> &'static str {
        match self {
            NativeKind::Block => "block",
            NativeKind::Chunk => "chunk",
            NativeKind::MappedChunk => "mapped_chunk",
            NativeKind::Anonymous => "anonymous",
            NativeKind::Shared => "shared",
        }
    }

    /// The kind that [`NativeKind::word`] names so.
    pub fn from_word(word: &str) -> Option<NativeKind> {
        NativeKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Memory of one kind, size and owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeUse {
    /// Where it lies.
    pub kind: NativeKind,
    /// Who points at it: the name of a type or a library; `None` if nobody does.
    pub owner: Option<StringId>,
    /// Bytes of each: of the block or chunk. 0 where sizes differ: mappings.
    pub size: u64,
    /// How many.
    pub count: u64,
    /// Their bytes; of mappings the resident ones.
    pub bytes: u64,
    /// Into which libraries the words found in a sample of them point (code, vtables, constants,
    /// variables), and how many of the sample do; most first. The C library and the interpreter
    /// are left out.
    pub points_into: Vec<(StringId, u32)>,
}
