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
    let objects = &graph.heap().objects;
    let mut candidates = graph.certainly_reached().complement(graph.len());
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
    without_outside(graph, candidates, |label| Some(label) != unvisited)
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
pub(super) fn freed_with(graph: &Graph<'_>, garbage: &ObjectSet) -> ObjectSet {
    let objects = &graph.heap().objects;
    let mut freed = ObjectSet::new(graph.len());
    let mut counted: FxHashMap<ObjectId, u32> = FxHashMap::default();
    let mut pending: Vec<ObjectId> = garbage.iter().collect();
    while let Some(source) = pending.pop() {
        for (target, _) in graph.edges_of(source) {
            // What a root reaches keeps at least the reference by which it does.
            if garbage.contains(target) || graph.certainly_reached().contains(target) {
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
fn unvisited(graph: &Graph<'_>) -> Option<Label> {
    let strings = &graph.heap().strings;
    let at = strings.iter().position(|name| name == "tp_subclasses")?;
    Some(Label::named(LabelKind::Field, StringId(at as u32)))
}
