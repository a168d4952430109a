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

/// References that are not in the struct itself, but in a block that it points to; or an array of
/// them within the struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indirect {
    /// The way: offsets of pointers, each in the block that the one before points to, and the
    /// offset of the first reference in the last block.
    pub path: Vec<u32>,
    /// How many references there are.
    pub count: Count,
    /// Bytes from one reference to the next.
    pub stride: u32,
    /// What they are.
    pub label: &'static str,
    /// Whether `tp_traverse` visits them in every version.
    pub traversed: bool,
}

/// How many references an array has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Fixed(u32),
    /// As many as the 32 bits say that are at this offset of the block in which the pointer to the
    /// array is.
    At(u32),
}

/// A pointer in a struct to a block that the object owns and that is no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bytes from the object's address; a pointer, or NULL.
    pub offset: u32,
    /// What it is.
    pub label: &'static str,
    /// Where in the struct a word says how long the block is; `None` if nothing does.
    pub length_at: Option<u32>,
    /// What that word counts, in bytes.
    pub unit: u32,
}

/// A type whose references are at fixed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateType {
    /// `tp_name`, which for types written in C may have the module in it.
    pub tp_name: &'static str,
    /// `tp_basicsize`: tells the versions of a struct apart. Another size is another struct, of
    /// which nothing is known.
    pub basicsize: u32,
    /// The minor versions of CPython 3 for which it holds: two structs may have one size.
    pub minors: std::ops::Range<u32>,
    /// The references that it owns, its type, `__dict__` and weak references apart.
    pub references: Vec<Reference>,
    /// References that it owns in blocks and arrays.
    pub indirect: Vec<Indirect>,
    /// References that it does not own.
    pub weak: Vec<Reference>,
    /// Blocks that it owns.
    pub blocks: Vec<Block>,
    /// Whether there may be references beside those that are listed.
    pub more: bool,
}

/// What is known of a type in CPython 3.`minor`. Ask with a type's own name and size first, then
/// with its base's.
#[must_use]
pub fn private_type(tp_name: &str, basicsize: u64, minor: u32) -> Option<&'static PrivateType> {
    PRIVATE.iter().find(|known| {
        u64::from(known.basicsize) == basicsize
            && known.minors.contains(&minor)
            && is_called(tp_name, known.tp_name)
    })
}

/// Whether a type has a name of the table: with an underscore for a space, or a `*` for anything.
fn is_called(tp_name: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        let underscored = tp_name.bytes().map(|c| if c == b' ' { b'_' } else { c });
        return pattern.bytes().eq(underscored);
    };
    let Some(mut left) = tp_name.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*');
    let end = parts.next_back().unwrap_or_default();
    for part in parts {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(end)
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
    let (basicsize, minors) = size(words.next()?)?;
    let mut known = PrivateType {
        tp_name,
        basicsize,
        minors,
        references: Vec::new(),
        indirect: Vec::new(),
        weak: Vec::new(),
        blocks: Vec::new(),
        more: false,
    };
    for word in words {
        match word.chars().next()? {
            '+' => known.more = true,
            '*' => known.blocks.push(block(&word[1..])?),
            '?' => known.weak.push(reference(&word[1..], false)?),
            _ => {
                let shown = word.trim_start_matches('~');
                let traversed = shown == word;
                match shown.contains(['>', '[']) {
                    true => known.indirect.push(indirect(shown, traversed)?),
                    false => known.references.push(reference(shown, traversed)?),
                }
            }
        }
    }
    Some(known)
}

/// `120`, `120<14` or `120>=14`.
fn size(word: &str) -> Option<(u32, std::ops::Range<u32>)> {
    let all = 0..u32::MAX;
    if let Some((size, first)) = word.split_once(">=") {
        return Some((size.parse().ok()?, first.parse().ok()?..all.end));
    }
    match word.split_once('<') {
        Some((size, end)) => Some((size.parse().ok()?, 0..end.parse().ok()?)),
        None => Some((word.parse().ok()?, all)),
    }
}

fn reference(word: &'static str, traversed: bool) -> Option<Reference> {
    let (offset, label) = word.split_once(':')?;
    Some(Reference {
        offset: offset.parse().ok()?,
        label,
        traversed,
    })
}

/// `16>24>0[16/8]:label`: a way, how many, bytes from one to the next.
fn indirect(word: &'static str, traversed: bool) -> Option<Indirect> {
    let (place, label) = word.split_once(':')?;
    let (way, count) = place.split_once('[').unwrap_or((place, "=1]"));
    let count = count.strip_suffix(']')?;
    let (count, stride) = count.split_once('/').unwrap_or((count, "8"));
    Some(Indirect {
        path: way
            .split('>')
            .map(|at| at.parse().ok())
            .collect::<Option<_>>()?,
        count: match count.strip_prefix('=') {
            Some(fixed) => Count::Fixed(fixed.parse().ok()?),
            None => Count::At(count.parse().ok()?),
        },
        stride: stride.parse().ok().filter(|&stride| stride >= 8)?,
        label,
        traversed,
    })
}

fn block(word: &'static str) -> Option<Block> {
    let (offset, rest) = word.split_once(':')?;
    let (label, length) = rest
        .split_once('@')
        .map_or((rest, None), |(l, n)| (l, Some(n)));
    let (length_at, unit) =
        match length.map(|length| length.split_once('*').unwrap_or((length, "1"))) {
            Some((at, unit)) => (Some(at.parse().ok()?), unit.parse().ok()?),
            None => (None, 1),
        };
    Some(Block {
        offset: offset.parse().ok()?,
        label,
        length_at,
        unit,
    })
}

/// `collections.deque`, `Modules/_collectionsmodule.c`: `dequeobject` and its blocks.
pub mod deque {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 216;
    /// `tp_basicsize` up to 3.10, where unused blocks are not a deque's own.
    pub const SIZE_3_10: u32 = 80;
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
    /// Array of pointers to unused blocks.
    pub const FREEBLOCKS: u32 = 80;
    /// How many of them there is room for.
    pub const MAX_FREEBLOCKS: u32 = 16;
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
    /// `tp_basicsize` in 3.9.
    pub const SIZE_3_9: u32 = 136;
    /// First link of the ring, which ends with the wrapper itself; NULL if the cache is unbounded
    /// or disabled.
    pub const FIRST: u32 = 24;
    /// Previous link, in a link.
    pub const LINK_PREVIOUS: u32 = 16;
    /// Next link, in a link.
    pub const LINK_NEXT: u32 = 24;
    /// Strong reference, in a link.
    pub const LINK_KEY: u32 = 40;
    /// Strong reference, in a link.
    pub const LINK_RESULT: u32 = 48;
    /// The dictionary from keys to links, or to results where there is no limit.
    pub const CACHE: u32 = 72;
    /// The function whose results are kept.
    pub const FUNC: u32 = 88;
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
    /// Previous node, in a node; NULL in the first.
    pub const NODE_PREVIOUS: u32 = 24;
    /// Bytes of a node.
    pub const NODE_SIZE: u32 = 32;
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

/// `datetime.datetime` and `datetime.time`, `Include/datetime.h`.
pub mod moment {
    /// `tp_basicsize` of `datetime`.
    pub const DATETIME_SIZE: u32 = 48;
    /// `tp_basicsize` of `time`.
    pub const TIME_SIZE: u32 = 40;
    /// Whether there is a time zone, one byte; without, the object ends before the reference to it.
    pub const HASTZINFO: u32 = 24;
    /// The time zone of a `datetime`.
    pub const DATETIME_TZINFO: u32 = 40;
    /// The time zone of a `time`.
    pub const TIME_TZINFO: u32 = 32;
}

/// The instances of `ctypes` classes, `Modules/_ctypes/ctypes.h`. Their references are in
/// `private.txt`.
pub mod cdata {
    /// `tp_basicsize` of `_ctypes._CData`.
    pub const SIZE: u32 = 96;
    /// The memory that the instance stands for, its own, another's or part of the instance.
    pub const B_PTR: u32 = 16;
    /// Whether the memory is its own, `int`.
    pub const B_NEEDSFREE: u32 = 24;
    /// How many bytes it is.
    pub const B_SIZE: u32 = 40;
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

/// `numpy.ndarray`, numpy/ndarraytypes.h (`PyArrayObject_fields`).
pub mod ndarray {
    /// `tp_basicsize`, from numpy 1.22 on.
    pub const SIZE: u32 = 96;
    /// The same in numpy 1.20 and 1.21, and before: what follows the flags differs.
    pub const SIZE_1_20: u32 = 88;
    /// See [`SIZE_1_20`].
    pub const SIZE_1_19: u32 = 80;
    /// Pointer to the elements.
    pub const DATA: u32 = 16;
    /// How many dimensions, `int`.
    pub const ND: u32 = 24;
    /// More there are not (`NPY_MAXDIMS`).
    pub const MAX_ND: u32 = 64;
    /// Pointer to their lengths, which the strides follow.
    pub const DIMENSIONS: u32 = 32;
    /// Strong reference to the description of the elements.
    pub const DESCR: u32 = 56;
    /// Flags, `int`.
    pub const FLAGS: u32 = 64;
    /// The flag that says that the elements are the array's own (`NPY_ARRAY_OWNDATA`).
    pub const OWNDATA: u32 = 4;
}

/// `numpy.dtype`, numpy/ndarraytypes.h (`PyArray_Descr`).
pub mod dtype {
    /// `tp_basicsize` of all of numpy 1's.
    pub const SIZE_1: u32 = 96;
    /// The type's number, `int`.
    pub const TYPE_NUM: u32 = 28;
    /// The number of `object` (`NPY_OBJECT`).
    pub const OBJECT: u32 = 17;
    /// Bytes of an element, `npy_intp`.
    pub const ELSIZE: u32 = 40;
    /// Flags, `npy_uint64`.
    pub const FLAGS: u32 = 32;
    /// Bytes of an element in numpy 1, `int`.
    pub const ELSIZE_1: u32 = 32;
    /// The four bytes of which the last are numpy 1's flags.
    pub const FLAGS_1: u32 = 24;
    /// The flag that says that there are references in an element (`NPY_ITEM_REFCOUNT`).
    pub const ITEM_REFCOUNT: u32 = 1;
}

/// `io.BytesIO`, `Modules/_io/bytesio.c`.
pub mod bytes_io {
    /// `tp_basicsize`.
    pub const SIZE: u32 = 64;
    /// Strong reference to the `bytes` that holds the contents.
    pub const BUF: u32 = 16;
}
