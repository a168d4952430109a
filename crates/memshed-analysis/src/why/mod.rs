//! Why objects are there: what holds them, what would go with them, and which reference to cut.

mod inside;
mod keepers;
mod ways;

use crate::diff::Tally;
use crate::dominators::Dominators;
use crate::graph::Graph;
use crate::holders::{self, HolderPath, Hop, Start, Step};
use crate::search::is_held_from_outside;
use crate::set::ObjectSet;
use crate::type_name;
use inside::Inside;
use keepers::{common, keeper, one_cut, owner};
use memshed_heap::{Heap, ObjectId, Objects};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use ways::{merged_ways, single_ways};

/// How much is told.
#[derive(Clone, Copy, Debug)]
pub struct WhyOptions {
    /// Ways from roots at most.
    pub ways: usize,
    /// Types of what would go with the objects, at most.
    pub types: usize,
}

/// One way in which objects are held.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// What it is called; where several objects are held so, indices and keys left out.
    pub name: String,
    /// The way to one of them, whose last hop is the reference in question.
    pub path: HolderPath,
    /// How many of the objects are held so.
    pub objects: u64,
    /// How many are held in no other way.
    pub alone: u64,
    /// Bytes that would be freed, at least, if this reference, or these, were cut, and nothing else.
    pub frees: u64,
    /// How many objects hold them so.
    pub holders: u64,
    /// Bytes of what is held so, with all that goes with it, whether or not it is held otherwise.
    pub bytes: u64,
}

/// An object that alone keeps others alive.
#[derive(Clone, Debug, PartialEq)]
pub struct Keeper {
    /// The object.
    pub object: ObjectId,
    /// The name of its type.
    pub type_name: String,
    /// The way to it.
    pub path: HolderPath,
    /// Bytes that letting go of it would free.
    pub retained: u64,
    /// Whether it is a module or a module's names: nothing that one lets go of.
    pub is_module: bool,
    /// Whether cutting one reference, the last hop of the path, frees it.
    pub one_cut: bool,
}

/// What is known of the references to a single object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// Its reference count; `None` if it is immortal.
    pub count: Option<u32>,
    /// References that are known, from objects and from elsewhere, such as running functions.
    pub known: u64,
    /// Objects that refer to it, but are kept alive by nothing but itself.
    pub in_cycles: u64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The objects themselves; bytes by `sys.getsizeof`.
    pub objects: Tally,
    /// How many of them no root reaches.
    pub unreached: u64,
    /// How many of those more references are counted than known: C code holds them.
    pub held_by_c: u64,
    /// What would go if they went, themselves included; bytes as allocated.
    pub retained: Tally,
    /// The types of that, those with most bytes first.
    pub retained_types: Vec<(String, Tally)>,
    /// The ways in which they are held, those with most bytes first.
    pub ways: Vec<Way>,
    /// Ways left out.
    pub more_ways: u64,
    /// Of a single object.
    pub references: Option<References>,
    /// The nearest object without which all of them would be freed.
    pub keeper: Option<Keeper>,
    /// The nearest above it that one single reference keeps.
    pub cut: Option<Keeper>,
    /// If no root reaches them: a way from one of them back to itself.
    pub cycle: Option<Cycle>,
}

/// A cycle of references.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycle {
    /// An object in it.
    pub object: ObjectId,
    /// The name of its type.
    pub type_name: String,
    /// The way from there back to it, such as `.parent.children[0]`.
    pub hops: Vec<Hop>,
}

/// Why `objects` are there. Takes about 10 bytes for each object of the heap.
pub fn why(
    graph: &Graph<'_>,
    dominators: &Dominators,
    objects: &ObjectSet,
    options: WhyOptions,
) -> Why {
    let heap = graph.heap();
    let inside = Inside::new(graph, dominators, objects);
    let mut tally = Tally::default();
    let (mut unreached, mut held_by_c) = (0, 0);
    for object in objects.iter().filter(|one| (one.0 as usize) < graph.len()) {
        tally.add(1, heap.objects.size.get(object.0 as usize));
        if !graph.reached().contains(object) {
            unreached += 1;
            held_by_c += u64::from(is_held_from_outside(graph, object));
        }
    }
    let single = match tally.count {
        1 => objects.iter().next(),
        _ => None,
    };
    let (ways, more_ways) = match single {
        Some(object) => single_ways(graph, &inside, object, options.ways),
        None => merged_ways(graph, dominators, objects, &inside, options.ways),
    };
    let keeper = common(dominators, objects).map(|one| {
        let owner = owner(graph, dominators, one);
        keeper(graph, dominators, owner)
    });
    let cut = match &keeper {
        Some(keeper) if !keeper.one_cut => one_cut(graph, dominators, keeper.object),
        _ => None,
    };
    Why {
        objects: tally,
        unreached,
        held_by_c,
        retained: inside.total,
        retained_types: inside.heaviest(heap, options.types),
        ways,
        more_ways,
        references: single.map(|object| references(graph, &inside, object)),
        keeper,
        cut,
        cycle: match unreached == tally.count {
            true => cycle(graph, &inside.outermost),
            false => None,
        },
    }
}

/// A shortest way from one of `objects`, which no root reaches, back to itself.
fn cycle(graph: &Graph<'_>, objects: &ObjectSet) -> Option<Cycle> {
    /// Objects that are tried, and objects that are looked at for each, at most.
    const TRIED: usize = 20;
    const FAR: usize = 10_000;
    objects.iter().take(TRIED).find_map(|object| {
        let mut from: FxHashMap<ObjectId, Step> = FxHashMap::default();
        let mut queue = VecDeque::from([object]);
        while let Some(source) = queue.pop_front() {
            for (target, label) in graph.edges_of(source) {
                if from.len() > FAR || graph.reached().contains(target) {
                    continue;
                }
                let step = Step {
                    source,
                    label,
                    object: target,
                };
                if target == object {
                    return Some(closed(graph.heap(), step, &from));
                }
                from.entry(target).or_insert_with(|| {
                    queue.push_back(target);
                    step
                });
            }
        }
        None
    })
}

/// The cycle that `last` closes.
fn closed(heap: &Heap, last: Step, from: &FxHashMap<ObjectId, Step>) -> Cycle {
    let object = last.object;
    let mut steps = vec![last];
    while let Some(step) = steps.last().and_then(|step| from.get(&step.source)) {
        steps.push(*step);
        if step.source == object {
            break;
        }
    }
    steps.reverse();
    let start = Start::Nowhere;
    let path = holders::path(heap, start, &steps);
    Cycle {
        object,
        type_name: type_name(heap, object).to_owned(),
        hops: path
            .segments
            .into_iter()
            .map(|segment| segment.hop)
            .collect(),
    }
}

pub(super) fn is_root(graph: &Graph<'_>, object: ObjectId) -> bool {
    graph.roots().binary_search(&object).is_ok()
}

fn references(graph: &Graph<'_>, inside: &Inside, object: ObjectId) -> References {
    let heap = graph.heap();
    let count = heap.objects.refcount.get(object.0 as usize).copied();
    let outer = &heap.outer_references;
    let outer = outer.binary_search_by_key(&object, |(object, _)| *object);
    let outer = outer.map_or(0, |row| u64::from(heap.outer_references[row].1));
    // At least the one that makes it a root.
    let outer = outer.max(u64::from(is_root(graph, object)));
    let mut cyclic = graph.referrers(object).to_vec();
    cyclic.dedup();
    cyclic.retain(|&referrer| inside.set.contains(referrer));
    References {
        count: count.filter(|&count| count != Objects::IMMORTAL),
        known: graph.referrers(object).len() as u64 + outer,
        in_cycles: cyclic.len() as u64,
    }
}
