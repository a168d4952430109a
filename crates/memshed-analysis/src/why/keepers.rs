//! Objects that alone keep others alive, and whether one reference keeps these in turn.

use super::{Keeper, is_root};
use crate::dominators::Dominators;
use crate::graph::Graph;
use crate::holders::holder_path;
use crate::set::ObjectSet;
use crate::type_name;
use memshed_heap::{Heap, LabelKind, ObjectId};
use rustc_hash::FxHashMap;

/// The nearest object that dominates all of `objects`, none of them itself. Each object on the way
/// up is passed once.
pub(super) fn common(dominators: &Dominators, objects: &ObjectSet) -> Option<ObjectId> {
    let mut members = objects.iter();
    let first = members.next()?;
    // What dominates the first, from the nearest on; and for each object that was passed where its
    // way joins that.
    let ways = std::iter::successors(dominators.dominator(first), |&at| dominators.dominator(at));
    let above: Vec<ObjectId> = ways.collect();
    let mut joins: FxHashMap<ObjectId, usize> = FxHashMap::default();
    joins.insert(first, 0);
    for (at, &object) in above.iter().enumerate() {
        joins.insert(object, at);
    }
    let mut nearest = 0;
    let mut way = Vec::new();
    for member in members {
        let mut at = member;
        let join = loop {
            if let Some(&join) = joins.get(&at) {
                break join;
            }
            way.push(at);
            at = dominators.dominator(at)?;
        };
        for at in way.drain(..) {
            joins.insert(at, join);
        }
        nearest = nearest.max(join);
    }
    // One of the objects may dominate others of them.
    let outside = above
        .iter()
        .skip(nearest)
        .find(|one| !objects.contains(**one));
    outside.copied()
}

/// Whether `object` is some object's `__dict__`: that object.
fn holder_of_dict(heap: &Heap, object: ObjectId) -> Option<ObjectId> {
    let row = object.0 as usize;
    let label = heap.objects.holder_label.get(row).copied()?;
    let is_dict = label.kind() != LabelKind::Weak
        && label
            .name()
            .is_some_and(|name| heap.strings.get(name) == "__dict__");
    let holder = heap.objects.holder.get(row).copied();
    holder.filter(|&holder| is_dict && holder != ObjectId::NONE)
}

/// `object`, or what it is the `__dict__` of, if nothing else keeps that.
pub(super) fn owner(graph: &Graph<'_>, dominators: &Dominators, object: ObjectId) -> ObjectId {
    let holder = holder_of_dict(graph.heap(), object);
    let above = dominators.dominator(object);
    holder
        .filter(|&holder| above == Some(holder))
        .unwrap_or(object)
}

/// Whether `object` is a module, or the dictionary of one.
fn is_module(heap: &Heap, object: ObjectId) -> bool {
    let is = |object| type_name(heap, object) == "module";
    is(object) || holder_of_dict(heap, object).is_some_and(is)
}

/// What is told of an object that keeps others alive.
pub(super) fn keeper(graph: &Graph<'_>, dominators: &Dominators, object: ObjectId) -> Keeper {
    let heap = graph.heap();
    Keeper {
        object,
        type_name: type_name(heap, object).to_owned(),
        path: holder_path(heap, object),
        retained: dominators.retained(object),
        is_module: is_module(heap, object),
        one_cut: ways_in(graph, dominators, object) == Some(1),
    }
}

/// How many objects that do not depend on `object` refer to it; `None` if these are too many to
/// tell. A root has one more.
fn ways_in(graph: &Graph<'_>, dominators: &Dominators, object: ObjectId) -> Option<usize> {
    const MANY: usize = 1_000;
    let mut referrers = graph.referrers(object).to_vec();
    referrers.dedup();
    if referrers.len() > MANY {
        return None;
    }
    referrers.retain(|&referrer| !dominators.dominates(object, referrer));
    Some(referrers.len() + usize::from(is_root(graph, object)))
}

/// The nearest object above `object`, itself included, that a single reference keeps, short of a
/// module.
pub(super) fn one_cut(
    graph: &Graph<'_>,
    dominators: &Dominators,
    object: ObjectId,
) -> Option<Keeper> {
    const FAR: usize = 32;
    let ways = std::iter::successors(Some(object), |&at| dominators.dominator(at));
    let below = ways
        .take(FAR)
        .take_while(|&at| !is_module(graph.heap(), at));
    let mut single = below.filter(|&at| ways_in(graph, dominators, at) == Some(1));
    let found = single.next()?;
    (!is_root(graph, found)).then(|| keeper(graph, dominators, found))
}
