//! Structs that CPython defines in `.c` files, which no header tells: written by hand from the
//! sources named, and checked by the tests of this module on every interpreter at hand.
//!
//! Most are one flat struct with references at fixed offsets: `private.txt` lists them, and what is
//! listed for a type holds for its subclasses too. The few that need steps of their own follow as
//! constants. None of the latter has changed from 3.11 to 3.15, except where a comment says so; in
//! 3.9 and 3.10 a deque ends before `NUMFREEBLOCKS`, and in 3.9 a wrapper of `lru_cache` is 136 bytes.

use std::sync::LazyLock;

/// A reference in a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Bytes from the object's address; a pointer, or NULL.
    pub offset: u32,
    /// The attribute or field it is.
    pub label: &'static str,
    /// Whether `tp_traverse` visits it, and so `gc.get_referents` shows it, in every version.
    pub traversed: bool,
}

/// A type whose references are at fixed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateType {
    /// `tp_name`, which for types written in C may have the module in it.
    pub tp_name: &'static str,
    /// `tp_basicsize`: tells the versions of a struct apart. Another size is another struct, of
    /// which nothing is known.
    pub basicsize: u32,
    /// The references that it owns, its type, `__dict__` and weak references apart.
    pub references: Vec<Reference>,
}

/// What is known of a type. Ask with a type's own name and size first, then with its base's.
#[must_use]
pub fn private_type(tp_name: &str, basicsize: u64) -> Option<&'static PrivateType> {
    PRIVATE
        .iter()
        .find(|known| known.tp_name == tp_name && u64::from(known.basicsize) == basicsize)
}

/// The lines of `private.txt`.
pub static PRIVATE: LazyLock<Vec<PrivateType>> = LazyLock::new(|| {
    let lines = include_str!("private.txt").lines();
    lines.filter_map(parse).collect()
});

/// One line; `None` for what is no line of the form.
fn parse(line: &'static str) -> Option<PrivateType> {
    let mut words = line.split(' ');
    let tp_name = words.next().filter(|name| !name.starts_with('#'))?;
    let basicsize = words.next()?.parse().ok()?;
    let references = words
        .map(|word| {
            let shown = word.trim_start_matches('~');
            let (offset, label) = shown.split_once(':')?;
            Some(Reference {
                offset: offset.parse().ok()?,
                label,
                traversed: shown == word,
            })
        })
        .collect::<Option<_>>()?;
    Some(PrivateType {
        tp_name,
        basicsize,
        references,
    })
}

/// `collections.deque`, `Modules/_collectionsmodule.c`: `dequeobject` and its blocks.
pub mod deque {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 216;
    /// First block.
    pub const LEFTBLOCK: u32 = 24;
    /// Last block.
    pub const RIGHTBLOCK: u32 = 32;
    /// Index of the first item in the first block.
    pub const LEFTINDEX: u32 = 40;
    /// Index of the last item in the last block.
    pub const RIGHTINDEX: u32 = 48;
    /// `maxlen`, −1 if there is none.
    pub const MAXLEN: u32 = 64;
    /// How many of `FREEBLOCKS` are in use.
    pub const NUMFREEBLOCKS: u32 = 72;
    /// Array of 16 pointers to unused blocks.
    pub const FREEBLOCKS: u32 = 80;
    /// Pointer to the previous block, in a block.
    pub const BLOCK_LEFTLINK: u32 = 0;
    /// The items, in a block.
    pub const BLOCK_DATA: u32 = 8;
    /// How many items a block has room for.
    pub const BLOCK_LENGTH: u32 = 64;
    /// Pointer to the next block, in a block.
    pub const BLOCK_RIGHTLINK: u32 = 520;
    /// Bytes of a block.
    pub const BLOCK_SIZE: u32 = 528;
}

/// `functools.lru_cache`'s wrapper and its links, `Modules/_functoolsmodule.c`. The wrapper's other
/// references are in `private.txt`; keys and results hang on a ring of links.
pub mod lru_cache {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 152;
    /// First link of the ring, which ends with the wrapper itself; NULL if the cache is unbounded
    /// or disabled.
    pub const FIRST: u32 = 24;
    /// Next link, in a link.
    pub const LINK_NEXT: u32 = 24;
    /// Strong reference, in a link.
    pub const LINK_KEY: u32 = 40;
    /// Strong reference, in a link.
    pub const LINK_RESULT: u32 = 48;
    /// The limit, −1 if there is none.
    pub const MAXSIZE: u32 = 96;
    /// Hits so far.
    pub const HITS: u32 = 80;
    /// Misses so far.
    pub const MISSES: u32 = 104;
}

/// `collections.OrderedDict`, `Objects/odictobject.c`: a dict, and a list of its keys.
pub mod odict {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 112;
    /// Array of pointers to nodes, parallel to the dict's index table.
    pub const FAST_NODES: u32 = 64;
    /// How many there are.
    pub const FAST_NODES_SIZE: u32 = 72;
    /// First node.
    pub const FIRST: u32 = 48;
    /// Last node.
    pub const LAST: u32 = 56;
    /// Strong reference, in a node.
    pub const NODE_KEY: u32 = 0;
    /// Next node, in a node.
    pub const NODE_NEXT: u32 = 16;
    /// Bytes of a node.
    pub const NODE_SIZE: u32 = 32;
}

/// The nodes of the map of a `contextvars.Context`, `Python/hamt.c`.
pub mod hamt {
    /// Items of a bitmap node or collision node, `ob_size` of them: key and value by turns. A NULL
    /// key in a bitmap node means that the value is a node.
    pub const VAR_ITEMS: u32 = 32;
    /// Children of an array node.
    pub const ARRAY_ITEMS: u32 = 16;
    /// How many there are.
    pub const ARRAY_LENGTH: u32 = 32;
}

/// `xml.etree.ElementTree.Element`, `Modules/_elementtree.c`.
pub mod element {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 56;
    /// Strong reference.
    pub const TAG: u32 = 16;
    /// Strong reference with a flag in its lowest bit.
    pub const TEXT: u32 = 24;
    /// Strong reference with a flag in its lowest bit.
    pub const TAIL: u32 = 32;
    /// Pointer to the rest, or NULL.
    pub const EXTRA: u32 = 40;
    /// Strong reference or NULL, in the rest.
    pub const EXTRA_ATTRIB: u32 = 0;
    /// How many children, in the rest.
    pub const EXTRA_LENGTH: u32 = 8;
    /// How many children there is room for, in the rest.
    pub const EXTRA_ALLOCATED: u32 = 16;
    /// Pointer to the array of children, in the rest.
    pub const EXTRA_CHILDREN: u32 = 24;
}

/// `queue.SimpleQueue` from 3.13 on, `Modules/_queuemodule.c`: a ring buffer.
pub mod simple_queue {
    /// `tp_basicsize`; up to 3.12 it is 56, and the items are in a list.
    pub const SIZE: u32 = 72;
    /// Index of the next item to be taken.
    pub const GET_INDEX: u32 = 32;
    /// Pointer to the items.
    pub const ITEMS: u32 = 40;
    /// How many items there is room for.
    pub const CAPACITY: u32 = 48;
    /// How many items there are, from `GET_INDEX` on.
    pub const LENGTH: u32 = 56;
}

/// `itertools.tee`'s shared data, `Modules/itertoolsmodule.c`.
pub mod tee_data {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 496;
    /// Strong reference.
    pub const IT: u32 = 16;
    /// How many values were read, `int`.
    pub const NUMREAD: u32 = 24;
    /// Strong reference to the next of its kind.
    pub const NEXTLINK: u32 = 32;
    /// The values.
    pub const VALUES: u32 = 40;
    /// How many there is room for.
    pub const LENGTH: u32 = 57;
}

/// `array.array`, `Modules/arraymodule.c`: no references, a buffer of its own.
pub mod array {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 64;
    /// Pointer to the items.
    pub const OB_ITEM: u32 = 24;
    /// How many items there is room for.
    pub const ALLOCATED: u32 = 32;
    /// Pointer to the description of the items, which has their size in bytes (`int`) at 4.
    pub const OB_DESCR: u32 = 40;
    /// Bytes of an item, in the description.
    pub const DESCR_ITEMSIZE: u32 = 4;
}

/// `io.BytesIO`, `Modules/_io/bytesio.c`.
pub mod bytes_io {
    /// Strong reference to the `bytes` that holds the contents.
    pub const BUF: u32 = 16;
}
