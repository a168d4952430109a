//! Instances of classes written in Python whose attributes are in a dictionary of their own, or in
//! an array of values: how many there are, whether all have the same attributes, and what each
//! would need with `__slots__`.

use crate::edges::{EdgeSink, RawLabel, Visitor};
use crate::mark::Found;
use crate::types::{DictPlace, TypeInfo};
use memshed_heap::{Instances, ObjectId, Objects, TypeId};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Classes with fewer instances are not told.
const FEWEST: u64 = 100;
/// Bytes of blocks are multiples of this (`ALIGNMENT` in Objects/obmalloc.c).
const ALIGNMENT: u64 = 16;

/// What one instance adds up to; sums of them by type.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    instances: u64,
    bytes: u64,
    dictionaries: u64,
    weakly: u64,
    /// Attributes of the first one, as a set: how many, and a sum over their names.
    attributes: (u64, u64),
    /// Whether one has other attributes than the first.
    differ: bool,
    example: u32,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        if self.instances == 0 {
            *self = *other;
            return;
        }
        if other.instances == 0 {
            return;
        }
        self.differ |= other.differ || self.attributes != other.attributes;
        self.attributes = self.attributes.max(other.attributes);
        self.instances += other.instances;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.dictionaries += other.dictionaries;
        self.weakly += other.weakly;
        self.example = self.example.min(other.example);
    }
}

type Sums = FxHashMap<u32, Sum>;

/// The classes of which there are many instances, most bytes first.
pub(crate) fn find<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    objects: &Objects,
) -> Vec<Instances> {
    let infos = found.types.infos();
    let plain: Vec<bool> = infos
        .iter()
        .map(|info| is_plain(visitor, found, info))
        .collect();
    let starts = found.chunk_starts();
    let chunks = (0..found.objects.chunk_count()).into_par_iter();
    let sums = chunks.map(|chunk| {
        let mut sums = Sums::default();
        for (at, row) in found.objects.chunk(chunk).zip(starts[chunk]..) {
            let id = objects.type_id[row as usize].0;
            if !plain.get(id as usize).copied().unwrap_or(false) {
                continue;
            }
            // What is torn was counted when it was found.
            if let Ok(one) = instance(visitor, found, objects, RemoteAddr(at), row) {
                sums.entry(id).or_default().add(&one);
            }
        }
        sums
    });
    let sums = sums.reduce(Sums::default, |mut all, more| {
        for (id, sum) in more {
            all.entry(id).or_default().add(&sum);
        }
        all
    });
    let many = sums.into_iter().filter(|(_, sum)| sum.instances >= FEWEST);
    let mut classes: Vec<Instances> = many
        .map(|(id, sum)| Instances {
            type_id: TypeId(id),
            instances: sum.instances,
            bytes: sum.bytes,
            slotted_bytes: sum.instances * slotted(visitor, &infos[id as usize], &sum),
            attributes: sum.attributes.0,
            alike: !sum.differ,
            dictionaries: sum.dictionaries,
            weakly_referenced: sum.weakly > 0,
            example: ObjectId(sum.example),
        })
        .collect();
    classes.sort_by_key(|one| (Reverse(one.bytes), one.type_id));
    classes
}

/// Whether instances of a type are nothing but attributes: a class written in Python whose bases are
/// such classes and `object`, made by `type` or `abc.ABCMeta`. What other metaclasses make (models of
/// all kinds) counts on a dictionary.
fn is_plain<M: Memory>(visitor: &Visitor<'_, M>, found: &Found<'_, M>, info: &TypeInfo) -> bool {
    let layout = visitor.layout;
    let meta = visitor
        .reader
        .pointer(info.address.add(layout.object.ob_type.into()));
    let meta = meta.ok().and_then(|meta| found.types.known(meta));
    let is_usual = meta.is_some_and(|meta| {
        let name = found.types.info(meta).full_name();
        name == "type" || name == "abc.ABCMeta"
    });
    let words = info.basicsize.saturating_sub(fixed(visitor, info)) / 8;
    info.heap
        && info.gc
        && is_usual
        && matches!(info.dict, DictPlace::Managed | DictPlace::Offset(_))
        && info.itemsize == 0
        && info.scan.is_empty()
        && info.fields.is_empty()
        && info.blocks.is_empty()
        && words == info.slots.len() as u64
}

/// Bytes of an instance without its `__slots__`, and without what lies before its address.
fn fixed<M: Memory>(visitor: &Visitor<'_, M>, info: &TypeInfo) -> u64 {
    let dict = u64::from(matches!(info.dict, DictPlace::Offset(_)));
    u64::from(visitor.layout.object.size) + 8 * dict + 8 * weak_words(visitor, info)
}

/// Whether the object itself has a word for weak references: from 3.12 on it lies before it.
fn weak_words<M: Memory>(visitor: &Visitor<'_, M>, info: &TypeInfo) -> u64 {
    let inside = u64::from(info.weaklist) >= u64::from(visitor.layout.object.size);
    u64::from(inside && u64::from(info.weaklist) < info.basicsize)
}

/// Bytes of the block that an instance would need with its attributes in `__slots__`: a collector's
/// header, the object's own, a word for each, and one for weak references if there are any.
fn slotted<M: Memory>(visitor: &Visitor<'_, M>, info: &TypeInfo, sum: &Sum) -> u64 {
    let layout = visitor.layout;
    let head = u64::from(layout.gc.head_size) + u64::from(layout.object.size);
    let words = sum.attributes.0 + info.slots.len() as u64;
    // From 3.12 on what weak references need lies before the object, in two words.
    let weak = match (sum.weakly > 0, layout.flags.managed_weakref) {
        (false, _) => 0,
        (true, None) => 8,
        (true, Some(_)) => 16,
    };
    (head + 8 * words + weak).next_multiple_of(ALIGNMENT)
}

fn instance<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    objects: &Objects,
    at: RemoteAddr,
    row: u32,
) -> Result<Sum, ReadError> {
    let (reader, layout) = (visitor.reader, visitor.layout);
    let info = found.types.info(objects.type_id[row as usize].0);
    let mut names = Names::default();
    visitor.visit(at, info, &mut names)?;
    let mut bytes = objects.allocated.get(row as usize);
    let mut dictionaries = 0;
    if let Some(dict) = names.dict {
        // Its entries are attributes, unless its values were told already.
        let mut entries = Names::default();
        if let Some(row) = found.objects.rank(dict.0) {
            let info = found.types.info(objects.type_id[row as usize].0);
            visitor.visit(dict, info, &mut entries)?;
            bytes = bytes.saturating_add(objects.allocated.get(row as usize));
        }
        if names.count == 0 {
            (names.count, names.sum) = (entries.count, entries.sum);
        }
        dictionaries = 1;
    }
    let weak = match (info.weaklist, layout.instance.managed_weakref) {
        (_, Some(back)) if layout.flags.managed_weakref.is_some() => at.sub(back.into()),
        (0, _) => RemoteAddr::NULL,
        (offset, _) => at.add(offset.into()),
    };
    let weakly = !weak.is_null() && !reader.pointer(weak)?.is_null();
    Ok(Sum {
        instances: 1,
        bytes,
        dictionaries,
        weakly: u64::from(weakly),
        attributes: (names.count, names.sum),
        differ: false,
        example: row,
    })
}

/// Gathers names of attributes: their number and a sum that tells sets of them apart, since equal
/// names of attributes are one object.
#[derive(Default)]
struct Names {
    count: u64,
    sum: u64,
    dict: Option<RemoteAddr>,
}

impl Names {
    fn name(&mut self, name: RemoteAddr) {
        self.count += 1;
        let mixed = name.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.sum = self
            .sum
            .wrapping_add(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    }
}

impl EdgeSink for Names {
    #[inline]
    fn edge(&mut self, target: RemoteAddr, label: RawLabel<'_>) {
        match label {
            RawLabel::Attribute(name) | RawLabel::Entry { key: name, .. } => self.name(name),
            RawLabel::Field("__dict__") => self.dict = Some(target),
            _ => {}
        }
    }

    fn candidate(&mut self, _word: RemoteAddr, _offset: u64) {}
}
