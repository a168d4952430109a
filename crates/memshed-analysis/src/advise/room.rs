//! Dictionaries, sets and lists that were once full and keep the room.

use super::{Advice, AdviceKind, Stake, matters};
use crate::Cohorts;
use crate::findings::{Confidence, mentions};
use crate::graph::Graph;
use crate::holders::holder_path;
use crate::places::{PlaceId, Places};
use crate::units::{bytes as amount, count};
use memshed_heap::{LabelKind, ObjectId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Smaller containers do not keep much.
const LEAST: u64 = 1024;
/// The object itself, its headers included, at most.
const HEAD: u64 = 232;

#[derive(Clone, Copy)]
enum Shape {
    List,
    Set,
    Dict,
}

impl Shape {
    /// Bytes of the table of a new container of so many entries (Objects/dictobject.c,
    /// `estimate_log2_keysize`; Objects/setobject.c, `set_merge`).
    fn table(self, entries: u64) -> u64 {
        if entries == 0 {
            return 0;
        }
        match self {
            Shape::List => entries * 8,
            Shape::Set => (2 * entries + 1).next_power_of_two().max(8) * 16,
            Shape::Dict => {
                let slots = (entries * 3).div_ceil(2).next_power_of_two().max(8);
                slots * 4 + slots * 2 / 3 * 24
            }
        }
    }

    /// What makes a copy.
    fn word(self) -> &'static str {
        match self {
            Shape::List => "list",
            Shape::Set => "set",
            Shape::Dict => "dict",
        }
    }
}

struct Sum {
    containers: u64,
    entries: u64,
    spare: u64,
    most: (u64, ObjectId),
    shape: Shape,
}

/// Advice on containers of which a copy would be less than half as large.
pub(super) fn advise(graph: &Graph<'_>) -> Vec<Advice> {
    let heap = graph.heap();
    let kinds: FxHashSet<u32> = heap.fill.iter().map(|fill| fill.type_id.0).collect();
    let mut places = Places::new(heap);
    let mut sums: FxHashMap<PlaceId, Sum> = FxHashMap::default();
    for (row, kind) in heap.objects.type_id.iter().enumerate() {
        let allocated = heap.objects.allocated.get(row);
        if allocated < LEAST || !kinds.contains(&kind.0) {
            continue;
        }
        let object = ObjectId(row as u32);
        let name = crate::type_name(heap, object);
        let Some((shape, entries)) = contents(graph, object, name) else {
            continue;
        };
        let needed = HEAD + shape.table(entries);
        let spare = allocated.saturating_sub(needed);
        if spare * 2 < allocated {
            continue;
        }
        let sum = sums.entry(places.of(object)).or_insert(Sum {
            containers: 0,
            entries: 0,
            spare: 0,
            most: (0, object),
            shape,
        });
        sum.containers += 1;
        sum.entries += entries;
        sum.spare = sum.spare.saturating_add(spare);
        sum.most = sum.most.max((spare, object));
    }
    let large = sums.iter().filter(|(_, sum)| matters(heap, sum.spare));
    large
        .map(|(&place, sum)| {
            let (way, _) = places.name(place);
            one(graph, &way, sum)
        })
        .collect()
}

/// What a container is, and how many entries it has.
fn contents(graph: &Graph<'_>, object: ObjectId, name: &str) -> Option<(Shape, u64)> {
    let (mut keys, mut values, mut items) = (0u64, 0u64, 0u64);
    for (_, label) in graph.edges_of(object) {
        match label.kind() {
            LabelKind::KeyObject => keys += 1,
            LabelKind::Index => items += 1,
            LabelKind::Field => {}
            _ => values += 1,
        }
    }
    match (keys, values, items) {
        (0, 0, 0) => match name {
            "list" => Some((Shape::List, 0)),
            "set" => Some((Shape::Set, 0)),
            "dict" | "collections.defaultdict" => Some((Shape::Dict, 0)),
            _ => None,
        },
        (0, _, items) => Some((Shape::List, items)),
        (keys, 0, _) => Some((Shape::Set, keys)),
        (keys, ..) => Some((Shape::Dict, keys)),
    }
}

fn one(graph: &Graph<'_>, way: &str, sum: &Sum) -> Advice {
    let heap = graph.heap();
    let word = sum.shape.word();
    let (what, verb) = match sum.containers {
        1 => (format!("A {word} has"), "it"),
        n => (format!("{} {word}s have", count(n)), "they"),
    };
    Advice {
        kind: AdviceKind::Room,
        title: format!(
            "{what} room for far more than is in {}; a copy would take {} less",
            if sum.containers == 1 { "it" } else { "them" },
            amount(sum.spare)
        ),
        stake: Stake::Bytes(sum.spare),
        confidence: Confidence::High,
        evidence: vec![format!(
            "{way}: {verb} hold{} {} entries; nothing gives room back when entries are taken out",
            if sum.containers == 1 { "s" } else { "" },
            count(sum.entries)
        )],
        to_do: format!(
            "Where many entries go at once, put a copy of what stays in its place, {word}(…); one that is \
             emptied is better made anew. Small tables go back to the system with malloc_trim(0), or memshed \
             release."
        ),
        code: vec![
            format!("{way} = {word}({way})"),
            "import ctypes; ctypes.CDLL(None).malloc_trim(0)".to_owned(),
        ],
        locations: mentions(heap, &Cohorts::default(), &holder_path(heap, sum.most.1)),
        proof: "after these lines, the resident memory".to_owned(),
    }
}
