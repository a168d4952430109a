//! The audit of reference counts: what of an object's count nothing explains that refers to it.
//!
//! C code that forgets `Py_DECREF` leaves an object whose count is greater than the number of
//! references to it. But C code also holds references where nobody can see them, on its stack or in
//! memory of its own; so one look can only suspect. What two looks show to grow is a leak.

use memshed_heap::{Edges, Heap, LabelKind, ObjectId, Objects, RootKind, StringId, TypeId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Counts from here on are those of objects that live for good: up to 3.11 some begin at
/// 999,999,999.
const FOR_GOOD: u32 = 1 << 29;
/// Types whose instances hold each other in ways that no edge tells: the links of an `lru_cache`,
/// each of which the ring owns.
const UNAUDITED: [&str; 1] = ["functools._lru_list_elem"];
/// Objects of a type that are named.
const SAMPLE: usize = 8;

/// An object whose count is greater than the number of references to it that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexplained {
    /// The object.
    pub object: ObjectId,
    /// Its address, by which it is found in another look.
    pub address: u64,
    /// Its type.
    pub type_id: TypeId,
    /// Its reference count.
    pub refcount: u32,
    /// By how much that is more than the references to it.
    pub references: u32,
    /// The bytes that the allocators gave for it.
    pub bytes: u64,
}

impl Unexplained {
    /// Whether nothing that is known refers to the object.
    pub fn is_alone(&self) -> bool {
        self.references == self.refcount
    }
}

/// Such objects in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub objects: u64,
    /// Of these, those to which nothing refers that is known.
    pub alone: u64,
    /// References that nothing explains.
    pub references: u64,
    /// Bytes that the allocators gave for the objects.
    pub bytes: u64,
    /// Some of them, those at the highest addresses.
    pub sample: Vec<ObjectId>,
}

/// What an audit found.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The objects, in order of address.
    pub objects: Vec<Unexplained>,
    /// By name of their type, most references first.
    pub types: Vec<(String, Sum)>,
    /// By the bytes that the allocators gave for each.
    pub allocations: BTreeMap<u64, Sum>,
    /// How many objects could be audited: those with a count that means something.
    pub audited: u64,
    /// Names of the types of `objects`.
    names: FxHashMap<TypeId, String>,
}

/// Objects that nothing explained earlier, or less.
#[derive(Clone, Debug, Default)]
pub struct ReferenceGrowth {
    /// By name of their type, most references first; in the sums only what is new counts.
    pub types: Vec<(String, Sum)>,
    /// The objects, those with most references that are new first.
    pub objects: Vec<Grown>,
}

/// An object of which more is unexplained than earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// What the later look found.
    pub now: Unexplained,
    /// What of its count nothing explained earlier; 0 as well if it is new.
    pub before: u32,
}

impl Audit {
    /// The name of the type of one of its objects.
    pub fn type_name(&self, one: &Unexplained) -> &str {
        self.names.get(&one.type_id).map_or("?", String::as_str)
    }
}

/// Compares each object's count with the references to it. What may be a reference counts as one,
/// so that an object is not suspected without need. Objects in the program's own data are left out:
/// C code refers to them as it likes. Empty for a heap without edges.
pub fn audit(heap: &Heap) -> Audit {
    let Some(edges) = &heap.edges else {
        return Audit::default();
    };
    let explained = explained(heap, edges);
    let types = heap.types.iter();
    let unaudited = types.map(|kind| UNAUDITED.contains(&heap.strings.get(kind.name)));
    let unaudited: Vec<bool> = unaudited.collect();
    let objects = &heap.objects;
    let mut audit = Audit::default();
    for row in 0..objects.len() {
        let refcount = objects.refcount.get(row).copied().unwrap_or(0);
        let bytes = objects.allocated.get(row);
        if refcount >= FOR_GOOD || refcount == Objects::IMMORTAL || bytes == 0 {
            continue;
        }
        let type_id = objects.type_id.get(row).copied();
        let type_id = type_id.unwrap_or(TypeId(u32::MAX));
        if unaudited.get(type_id.0 as usize) == Some(&true) {
            continue;
        }
        audit.audited += 1;
        let references = refcount.saturating_sub(explained.get(row).copied().unwrap_or(0));
        if references == 0 {
            continue;
        }
        audit.objects.push(Unexplained {
            object: ObjectId(row as u32),
            address: objects.address.get(row),
            type_id,
            refcount,
            references,
            bytes,
        });
    }
    let mut sums: FxHashMap<TypeId, Sum> = FxHashMap::default();
    for one in &audit.objects {
        sums.entry(one.type_id)
            .or_default()
            .add(one, one.references);
        let size = audit.allocations.entry(one.bytes).or_default();
        size.add(one, one.references);
    }
    for &id in sums.keys() {
        audit.names.insert(id, name(heap, id));
    }
    audit.types = by_name(sums, &audit.names);
    audit
}

/// What nothing explains now, and something did, or nothing was there, when `before` was made, of
/// the same process. An object that is new counts with all of its references.
pub fn audit_growth(before: &Audit, now: &Audit) -> ReferenceGrowth {
    let mut growth = ReferenceGrowth::default();
    let mut sums: FxHashMap<TypeId, Sum> = FxHashMap::default();
    for one in &now.objects {
        let known = before
            .objects
            .binary_search_by_key(&one.address, |o| o.address);
        let known = known.ok().map(|i| &before.objects[i]);
        // What has another type is another object.
        let same =
            |old: &&Unexplained| before.names.get(&old.type_id) == now.names.get(&one.type_id);
        let known = known.filter(same).map_or(0, |old| old.references);
        let more = one.references.saturating_sub(known);
        if more > 0 {
            sums.entry(one.type_id).or_default().add(one, more);
            growth.objects.push(Grown {
                now: *one,
                before: known,
            });
        }
    }
    growth.objects.sort_by_key(|grown| {
        let more = grown.now.references - grown.before;
        (std::cmp::Reverse(more), grown.now.address)
    });
    growth.types = by_name(sums, &now.names);
    growth
}

impl Sum {
    fn add(&mut self, one: &Unexplained, references: u32) {
        self.objects += 1;
        self.alone += u64::from(one.is_alone());
        self.references += u64::from(references);
        self.bytes = self.bytes.saturating_add(one.bytes);
        if self.sample.len() >= SAMPLE {
            self.sample.remove(0);
        }
        self.sample.push(one.object);
    }

    fn join(&mut self, other: Sum) {
        self.objects += other.objects;
        self.alone += other.alone;
        self.references += other.references;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.sample.extend(other.sample);
        self.sample.truncate(SAMPLE);
    }
}

/// Sums of types of one name are one.
fn by_name(sums: FxHashMap<TypeId, Sum>, names: &FxHashMap<TypeId, String>) -> Vec<(String, Sum)> {
    let mut named: BTreeMap<String, Sum> = BTreeMap::new();
    let mut sums: Vec<(TypeId, Sum)> = sums.into_iter().collect();
    sums.sort_by_key(|(id, _)| id.0);
    for (id, sum) in sums {
        let name = names.get(&id).cloned().unwrap_or_default();
        named.entry(name).or_default().join(sum);
    }
    let mut named: Vec<(String, Sum)> = named.into_iter().collect();
    named.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.references, sum.bytes)));
    named
}

fn name(heap: &Heap, id: TypeId) -> String {
    let kind = heap.types.get(id.0 as usize);
    kind.map_or("?", |kind| heap.strings.get(kind.name))
        .to_owned()
}

/// How many references to each object are known.
fn explained(heap: &Heap, edges: &Edges) -> Vec<u32> {
    let mut known = vec![0u32; heap.objects.len()];
    let mut add = |object: ObjectId, count: u32| {
        if let Some(sum) = known.get_mut(object.0 as usize) {
            *sum = sum.saturating_add(count);
        }
    };
    let uncounted = Uncounted::of(heap);
    for source in 0..heap.objects.len().min(edges.start.len().saturating_sub(1)) {
        let source = ObjectId(source as u32);
        if uncounted.sources.contains(&source) {
            continue;
        }
        for (target, label) in edges.of(source) {
            let counts = match label.kind() {
                LabelKind::Weak => false,
                LabelKind::Field => !label.name().is_some_and(|n| uncounted.fields.contains(&n)),
                _ => true,
            };
            if counts {
                add(target, 1);
            }
        }
    }
    for &(object, count) in &heap.outer_references {
        add(object, count);
    }
    known
}

/// Edges that no count includes.
struct Uncounted {
    /// The table of interned strings: CPython takes its two references off each string's count
    /// (Objects/unicodeobject.c, `PyUnicode_InternInPlace`).
    sources: FxHashSet<ObjectId>,
    /// From 3.11 on a frame borrows its namespaces (pycore_frame.h).
    fields: Vec<StringId>,
}

impl Uncounted {
    fn of(heap: &Heap) -> Uncounted {
        let interned = |root: &&memshed_heap::Root| root.kind == RootKind::Interned;
        let minor = heap.process.python.split('.').nth(1);
        let minor: u32 = minor.and_then(|minor| minor.parse().ok()).unwrap_or(0);
        let borrowed = |name: &str| minor >= 11 && matches!(name, "f_globals" | "f_builtins");
        let strings = (0..).map(StringId).zip(heap.strings.iter());
        Uncounted {
            sources: (heap.roots.iter().filter(interned))
                .map(|root| root.object)
                .collect(),
            fields: strings
                .filter(|(_, name)| borrowed(name))
                .map(|(id, _)| id)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memshed_heap::{Label, Root, Type};

    /// Objects of one type with these counts, and edges between them.
    fn heap(counts: &[u32], edges: &[(u32, u32, Label)]) -> Heap {
        let mut heap = Heap::default();
        heap.process.python = "3.13.1".to_owned();
        let name = heap.strings.intern("shop.Order");
        heap.types.push(Type {
            name,
            module: name,
            address: 1,
            object: ObjectId::NONE,
        });
        let mut list = Edges::default();
        list.start.push(0);
        for (row, &count) in counts.iter().enumerate() {
            let objects = &mut heap.objects;
            objects.address.push(0x1000 + 64 * row as u64);
            objects.type_id.push(TypeId(0));
            objects.size.push(48);
            objects.allocated.push(48);
            objects.refcount.push(count);
            for &(_, target, label) in edges.iter().filter(|edge| edge.0 == row as u32) {
                list.target.push(ObjectId(target));
                list.label.push(label);
            }
            list.start.push(list.target.len() as u64);
        }
        heap.edges = Some(list);
        heap
    }

    fn found(heap: &Heap) -> Vec<(u32, u32)> {
        let audit = audit(heap);
        let objects = audit.objects.iter();
        objects.map(|one| (one.object.0, one.references)).collect()
    }

    #[test]
    fn what_no_reference_explains_is_found() {
        let index = Label::new(LabelKind::Index, 0);
        let mut heap = heap(
            &[1, 3, 1, 2, 5, Objects::IMMORTAL, 999_999_999],
            &[(0, 1, index), (0, 1, index), (1, 0, index), (2, 3, index)],
        );
        heap.outer_references.push((ObjectId(4), 5));
        // One of the second's three, all of the third's, one of the fourth's two.
        assert_eq!(found(&heap), [(1, 1), (2, 1), (3, 1)]);
        let audit = audit(&heap);
        assert_eq!(audit.audited, 5);
        let (name, sum) = &audit.types[0];
        assert_eq!(
            (name.as_str(), sum.objects, sum.alone),
            ("shop.Order", 3, 1)
        );
        assert_eq!((sum.references, sum.bytes), (3, 144));
        assert_eq!(audit.allocations[&48].objects, 3);
    }

    #[test]
    fn edges_that_no_count_includes_explain_nothing() {
        let mut names = heap(&[], &[]).strings;
        let namespace = names.intern("f_globals");
        let weak = names.intern("wr_object");
        let mut heap = heap(
            &[1, 1, 1, 1],
            &[
                (0, 1, Label::named(LabelKind::Field, namespace)),
                (0, 2, Label::named(LabelKind::Weak, weak)),
                (0, 3, Label::new(LabelKind::Possible, 8)),
                (3, 0, Label::new(LabelKind::Index, 0)),
            ],
        );
        heap.strings = names;
        assert_eq!(found(&heap), [(1, 1), (2, 1)]);
        heap.process.python = "3.10.2".to_owned();
        assert_eq!(found(&heap), [(2, 1)]);
        heap.roots.push(Root {
            object: ObjectId(3),
            kind: RootKind::Interned,
            name: namespace,
        });
        assert_eq!(found(&heap), [(0, 1), (2, 1)]);
    }

    #[test]
    fn only_what_grew_is_told() {
        let old = audit(&heap(&[1, 4, 0], &[]));
        let new = audit(&heap(&[1, 6, 2], &[]));
        let growth = audit_growth(&old, &new);
        let told: Vec<(u32, u32, u32)> = (growth.objects.iter())
            .map(|grown| (grown.now.object.0, grown.before, grown.now.references))
            .collect();
        assert_eq!(told, [(1, 4, 6), (2, 0, 2)]);
        let (name, sum) = &growth.types[0];
        assert_eq!(
            (name.as_str(), sum.objects, sum.references),
            ("shop.Order", 2, 4)
        );
        assert!(audit_growth(&new, &new).objects.is_empty());
    }

    #[test]
    fn a_heap_whose_ids_lead_nowhere_is_audited() {
        let mut heap = heap(&[1, 2], &[(0, 77, Label(0))]);
        heap.objects.type_id[1] = TypeId(9);
        heap.outer_references.push((ObjectId(1000), 3));
        if let Some(edges) = &mut heap.edges {
            edges.start.truncate(2);
        }
        assert_eq!(found(&heap), [(0, 1), (1, 2)]);
        heap.edges = None;
        assert_eq!(found(&heap), []);
    }
}
