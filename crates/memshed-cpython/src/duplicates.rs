//! Objects of equal contents: texts, byte strings, and short tuples of such, of numbers, or of the
//! same objects. Looked for where it is asked for only: all their contents have to be read.

use crate::edges::Visitor;
use crate::mark::Found;
use crate::shapes::Kind;
use crate::strings;
use crate::types::TypeInfo;
use memshed_heap::{Duplicate, ObjectId, Objects};
use memshed_target::{Memory, RemoteAddr};
use rayon::prelude::*;
use rustc_hash::FxHasher;
use std::cmp::Reverse;
use std::hash::Hasher;

/// Groups that are told.
const TOLD: usize = 50;
/// Groups whose members are compared: a few more, since equal hashes need not mean equal contents.
const COMPARED: usize = 2 * TOLD;
/// Tuples with more elements are records of their own.
const ELEMENTS: u64 = 16;

/// Finds equal objects.
pub(crate) struct Duplicates<'a, 'm, M: Memory> {
    pub(crate) visitor: &'a Visitor<'m, M>,
    pub(crate) found: &'a Found<'m, M>,
}

/// What an object contains, as far as it is compared.
enum Contents<'m> {
    /// A word that tells kinds and encodings apart, and bytes.
    Bytes(u64, &'m [u8]),
    /// Elements of a tuple.
    Elements(&'m [u8]),
}

impl<'m, M: Memory> Duplicates<'_, 'm, M> {
    /// Reads the contents of what will be compared: nothing more can be had once the copy has been
    /// let go.
    pub(crate) fn touch(&self) {
        for chunk in 0..self.found.objects.chunk_count() {
            for at in self.found.objects.chunk(chunk) {
                let _ = self.contents(RemoteAddr(at));
            }
        }
    }

    /// A hash of the contents of each object that is compared, and its row, sorted.
    fn hashes(&self) -> Vec<(u64, u32)> {
        let starts = self.found.chunk_starts();
        let chunks = (0..self.found.objects.chunk_count()).into_par_iter();
        let mut hashes: Vec<(u64, u32)> = chunks
            .flat_map_iter(|chunk| {
                let rows = self.found.objects.chunk(chunk).zip(starts[chunk]..);
                rows.filter_map(|(at, row)| Some((self.hash(RemoteAddr(at))?, row)))
            })
            .collect();
        hashes.par_sort_unstable();
        hashes
    }

    /// All objects whose contents an earlier one has as well, in order.
    pub(crate) fn copies(&self, objects: &Objects) -> Vec<ObjectId> {
        let hashes = self.hashes();
        let at = |row: u32| RemoteAddr(objects.address.get(row as usize));
        let groups = hashes.par_chunk_by(|a, b| a.0 == b.0);
        let groups = groups.filter(|group| group.len() > 1);
        let mut copies: Vec<ObjectId> = groups
            .flat_map_iter(|group| {
                let first = at(group[0].1);
                let others = group[1..].iter().map(|&(_, row)| row);
                let same = others.filter(move |&row| self.equal(first, at(row)));
                same.map(ObjectId)
            })
            .collect();
        copies.par_sort_unstable();
        copies
    }

    /// The groups of which the most bytes could be saved.
    pub(crate) fn find(&self, objects: &Objects) -> Vec<Duplicate> {
        let hashes = self.hashes();
        let size = |row: u32| objects.size.get(row as usize);
        let groups = hashes.par_chunk_by(|a, b| a.0 == b.0);
        let mut groups: Vec<(u64, &[(u64, u32)])> = groups
            .filter(|group| group.len() > 1)
            .map(|group| {
                let all: u64 = group.iter().map(|&(_, row)| size(row)).sum();
                (all - all / group.len() as u64, group)
            })
            .collect();
        groups.sort_unstable_by_key(|&(wasted, group)| (Reverse(wasted), group[0].1));
        groups.truncate(COMPARED);
        let at = |row: u32| RemoteAddr(objects.address.get(row as usize));
        let told = groups.into_par_iter().filter_map(|(_, group)| {
            let first = group[0].1;
            let same = group
                .iter()
                .filter(|&&(_, row)| self.equal(at(first), at(row)));
            let (count, bytes) = same.fold((0, 0u64), |(count, bytes), &(_, row)| {
                (count + 1, bytes.saturating_add(size(row)))
            });
            (count > 1).then_some(Duplicate {
                object: ObjectId(first),
                count,
                bytes,
            })
        });
        let mut told: Vec<Duplicate> = told.collect();
        told.sort_by_key(|one| (Reverse(one.bytes - one.bytes / one.count), one.object));
        told.truncate(TOLD);
        told
    }

    fn info(&self, at: RemoteAddr) -> Option<&TypeInfo> {
        let of = at.add(self.visitor.layout.object.ob_type.into());
        let of = self.visitor.reader.pointer(of).ok()?;
        Some(self.found.types.info(self.found.types.known(of)?))
    }

    /// What is compared of the object at `at`; `None` if it is not of such a type, or empty.
    fn contents(&self, at: RemoteAddr) -> Option<Contents<'m>> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let info = self.info(at)?;
        // Instances of classes have more than their contents.
        if info.heap {
            return None;
        }
        let length = || reader.u64(at.add(layout.object.ob_size.into())).ok();
        match info.kind {
            Kind::Str => {
                let shape = strings::shape(reader, layout, at).ok()??;
                let l = &layout.unicode;
                let data = match (shape.compact, shape.ascii) {
                    (true, true) => at.add(l.ascii_size.into()),
                    (true, false) => at.add(l.compact_size.into()),
                    (false, _) => reader.pointer(at.add(l.data_any.into())).ok()?,
                };
                let bytes = usize::try_from(shape.length * shape.width).ok()?;
                // One character has an object for good, if it is a common one.
                let bytes = reader
                    .bytes(data, bytes)
                    .ok()
                    .filter(|_| shape.length > 1)?;
                Some(Contents::Bytes(shape.width, bytes))
            }
            Kind::Bytes => {
                let length = usize::try_from(length()?).ok().filter(|&n| n > 1)?;
                let data = at.add(layout.bytes.ob_sval.into());
                Some(Contents::Bytes(8, reader.bytes(data, length).ok()?))
            }
            Kind::Tuple if &*info.qualname == "tuple" => {
                let length = length().filter(|n| (1..=ELEMENTS).contains(n))?;
                let items = at.add(layout.tuple.ob_item.into());
                let items = reader.bytes(items, length as usize * 8).ok()?;
                Some(Contents::Elements(items))
            }
            _ => None,
        }
    }

    /// What is compared of a tuple's element; its address if it is no text, byte string or number.
    fn element(&self, at: RemoteAddr) -> Element<'m> {
        if let Some(Contents::Bytes(kind, bytes)) = self.contents(at) {
            return Element::Bytes(kind, bytes);
        }
        let number = || {
            let info = self.info(at).filter(|info| !info.heap)?;
            let size = match &*info.qualname {
                "int" => self.visitor.own_block(at, info).ok()?,
                "float" => info.basicsize,
                _ => return None,
            };
            let head = u64::from(self.visitor.layout.object.size);
            let bytes = usize::try_from(size.checked_sub(head)?).ok()?;
            let bytes = self.visitor.reader.bytes(at.add(head), bytes).ok()?;
            Some(Element::Bytes(16 + size, bytes))
        };
        number().unwrap_or(Element::Object(at))
    }

    fn hash(&self, at: RemoteAddr) -> Option<u64> {
        let mut hasher = FxHasher::default();
        match self.contents(at)? {
            Contents::Bytes(kind, bytes) => {
                hasher.write_u64(kind);
                hasher.write(bytes);
            }
            Contents::Elements(items) => {
                hasher.write_u64(32);
                for item in elements(items) {
                    match self.element(item) {
                        Element::Bytes(kind, bytes) => {
                            hasher.write_u64(kind);
                            hasher.write(bytes);
                        }
                        Element::Object(at) => hasher.write_u64(at.0),
                    }
                }
            }
        }
        Some(hasher.finish())
    }

    fn equal(&self, a: RemoteAddr, b: RemoteAddr) -> bool {
        match (self.contents(a), self.contents(b)) {
            (Some(Contents::Bytes(kind, bytes)), Some(Contents::Bytes(other, others))) => {
                (kind, bytes) == (other, others)
            }
            (Some(Contents::Elements(items)), Some(Contents::Elements(others))) => {
                items.len() == others.len()
                    && elements(items)
                        .zip(elements(others))
                        .all(|(a, b)| a == b || self.element(a) == self.element(b))
            }
            _ => false,
        }
    }
}

/// An element of a tuple.
#[derive(PartialEq, Eq)]
enum Element<'m> {
    Bytes(u64, &'m [u8]),
    Object(RemoteAddr),
}

fn elements(items: &[u8]) -> impl Iterator<Item = RemoteAddr> + '_ {
    let (words, _) = items.as_chunks::<8>();
    words
        .iter()
        .map(|word| RemoteAddr(u64::from_le_bytes(*word)))
}
