//! Which objects are garbage: counting as CPython's collector does (`deduce_unreachable` in
//! Python/gc.c, before 3.13 Modules/gcmodule.c).
//!
//! Every reference from one object to another is taken off the other's count. What has a count left
//! is held by something else, and is alive with all that it refers to.

use crate::graph::Graph;
use crate::set::{ObjectSet, Ranks};
use memshed_heap::{Label, LabelKind, ObjectId, Objects, StringId};
use rustc_hash::FxHashMap;

/// The permanent generation.
pub(super) const FROZEN: u8 = 3;

/// What a collection of all generations would find, as `gc.DEBUG_SAVEALL` lists it: of the objects
/// that the collector tracks, except those in the permanent generation, those whose references all
/// come from among themselves. What a root certainly reaches is never garbage, whatever torn counts
/// say.
pub fn collector_garbage(graph: &Graph<'_>) -> ObjectSet {
    among(graph, doubtful(graph))
}

/// What a collection would find among `candidates`, which are all that may be garbage.
pub(super) fn among(graph: &Graph<'_>, mut candidates: ObjectSet) -> ObjectSet {
    let objects = &graph.heap().objects;
    let others: Vec<ObjectId> = candidates
        .iter()
        .filter(|object| {
            let generation = objects.generation.get(object.0 as usize);
            generation.is_none_or(|&at| at == FROZEN || at == Objects::UNTRACKED)
        })
        .collect();
    for object in others {
        candidates.remove(object);
    }
    let unvisited = unvisited(graph);
    without_outside(graph, candidates, |label| !unvisited.contains(&Some(label)))
}

/// The objects that no root reaches, and those that roots reach only through words that merely look
/// like references. Mostly few: an object that is held, on the way that the heap has of it, by
/// nothing but references is not among them.
pub(super) fn doubtful(graph: &Graph<'_>) -> ObjectSet {
    let mut doubtful = held_by_possible(graph);
    // There may be other ways to an object than the one that the heap has.
    let is_sure = |doubtful: &ObjectSet, object: ObjectId| {
        graph.referrers(object).iter().any(|&source| {
            let mut edges = graph.edges_of(source);
            !doubtful.contains(source)
                && edges.any(|(target, label)| target == object && !is_possible(label))
        })
    };
    let reached = doubtful.iter().filter(|&one| graph.reached().contains(one));
    let mut sure: Vec<ObjectId> = reached.filter(|&one| is_sure(&doubtful, one)).collect();
    for &object in &sure {
        doubtful.remove(object);
    }
    while let Some(source) = sure.pop() {
        for (target, label) in graph.edges_of(source) {
            if doubtful.contains(target) && !is_possible(label) {
                doubtful.remove(target);
                sure.push(target);
            }
        }
    }
    doubtful
}

fn is_possible(label: Label) -> bool {
    label.kind() == LabelKind::Possible
}

/// The objects that no root reaches, and those whose way from a root has a possible reference in it
/// or is not known.
fn held_by_possible(graph: &Graph<'_>) -> ObjectSet {
    let objects = &graph.heap().objects;
    let mut doubtful = graph.reached().complement(graph.len());
    let mut sure = ObjectSet::new(graph.len());
    for &root in graph.roots() {
        sure.insert(root);
    }
    let mut way = Vec::new();
    for object in graph.reached().iter() {
        let mut at = object;
        let is_sure = loop {
            if sure.contains(at) {
                break true;
            }
            let row = at.0 as usize;
            let (holder, label) = (objects.holder.get(row), objects.holder_label.get(row));
            let (Some(&holder), Some(&label)) = (holder, label) else {
                break false;
            };
            if doubtful.contains(at) || is_possible(label) || way.len() > graph.len() {
                break false;
            }
            way.push(at);
            at = holder;
        };
        if !is_sure {
            way.push(at);
        }
        for at in way.drain(..) {
            match is_sure {
                true => sure.insert(at),
                false => doubtful.insert(at),
            };
        }
    }
    doubtful
}

/// What is in cycles that no collection ends, and what hangs below: the objects that no root
/// reaches, tracked or not, whose references all come from among themselves, less what is garbage to
/// the collector and what goes with it.
pub(super) fn never_collected(
    graph: &Graph<'_>,
    collectable: &ObjectSet,
    freed: &ObjectSet,
) -> ObjectSet {
    let unreached = graph.reached().complement(graph.len());
    let mut islands = without_outside(graph, unreached, |_| true);
    for object in collectable.iter().chain(freed.iter()) {
        islands.remove(object);
    }
    islands
}

/// Those of `candidates` whose references all come from other such candidates, by the references
/// that `counts`.
fn without_outside(
    graph: &Graph<'_>,
    mut candidates: ObjectSet,
    counts: impl Fn(Label) -> bool,
) -> ObjectSet {
    let objects = &graph.heap().objects;
    let ranks = Ranks::new(candidates.clone());
    let members: Vec<ObjectId> = candidates.iter().collect();
    let count = |object: &ObjectId| {
        let count = objects.refcount.get(object.0 as usize);
        count.copied().unwrap_or(Objects::IMMORTAL)
    };
    let mut left: Vec<u32> = members.iter().map(count).collect();
    for &source in &members {
        for (target, label) in graph.edges_of(source) {
            if let Some(rank) = ranks.get(target)
                && counts(label)
            {
                let left = &mut left[rank as usize];
                if *left != Objects::IMMORTAL {
                    *left = left.saturating_sub(1);
                }
            }
        }
    }
    let mut alive = Vec::new();
    for (&member, &left) in members.iter().zip(&left) {
        if left > 0 {
            candidates.remove(member);
            alive.push(member);
        }
    }
    drop((ranks, members, left));
    while let Some(source) = alive.pop() {
        for (target, label) in graph.edges_of(source) {
            if candidates.contains(target) && counts(label) {
                candidates.remove(target);
                alive.push(target);
            }
        }
    }
    candidates
}

/// What would be freed with `garbage`: all whose count falls to zero.
pub(super) fn freed_with(
    graph: &Graph<'_>,
    garbage: &ObjectSet,
    doubtful: &ObjectSet,
) -> ObjectSet {
    let objects = &graph.heap().objects;
    let mut freed = ObjectSet::new(graph.len());
    let mut counted: FxHashMap<ObjectId, u32> = FxHashMap::default();
    let mut pending: Vec<ObjectId> = garbage.iter().collect();
    while let Some(source) = pending.pop() {
        for (target, _) in graph.edges_of(source) {
            // What a root reaches keeps at least the reference by which it does.
            if garbage.contains(target) || !doubtful.contains(target) {
                continue;
            }
            let Some(&count) = objects.refcount.get(target.0 as usize) else {
                continue;
            };
            let counted = counted.entry(target).or_default();
            *counted += 1;
            if *counted == count && freed.insert(target) {
                pending.push(target);
            }
        }
    }
    freed
}

/// References that a type object owns, but does not show to the collector (`type_traverse` in
/// Objects/typeobject.c).
fn unvisited(graph: &Graph<'_>) -> [Option<Label>; 2] {
    let strings = &graph.heap().strings;
    ["tp_subclasses", "__slots__"].map(|field| {
        let at = strings.iter().position(|name| name == field)?;
        Some(Label::named(LabelKind::Field, StringId(at as u32)))
    })
}
