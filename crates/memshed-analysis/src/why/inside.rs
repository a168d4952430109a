//! What would go with objects if these went.

use crate::diff::Tally;
use crate::dominators::Dominators;
use crate::graph::Graph;
use crate::search::is_held_from_outside;
use crate::set::ObjectSet;
use memshed_heap::{Heap, ObjectId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// What would go with the objects.
pub(super) struct Inside {
    pub(super) set: ObjectSet,
    /// Those of the objects that no other of them dominates.
    pub(super) outermost: ObjectSet,
    pub(super) total: Tally,
    by_type: Vec<Tally>,
}

impl Inside {
    pub(super) fn new(graph: &Graph<'_>, dominators: &Dominators, objects: &ObjectSet) -> Inside {
        let mut inside = Inside {
            set: ObjectSet::new(graph.len()),
            outermost: objects.clone(),
            total: Tally::default(),
            by_type: vec![Tally::default(); graph.heap().types.len()],
        };
        let mut pending = Vec::new();
        for object in objects.iter().filter(|one| (one.0 as usize) < graph.len()) {
            if inside.add(graph, object) {
                pending.push(object);
            }
            while let Some(at) = pending.pop() {
                for &child in dominators.children(at) {
                    inside.outermost.remove(child);
                    if inside.add(graph, child) {
                        pending.push(child);
                    }
                }
            }
        }
        if objects.iter().nth(1).is_some() {
            inside.add_shared(graph, objects);
        }
        inside
    }

    fn add(&mut self, graph: &Graph<'_>, object: ObjectId) -> bool {
        let new = self.set.insert(object);
        if new {
            let bytes = graph.bytes(object);
            self.total.add(1, bytes);
            let kind = graph.heap().objects.type_id[object.0 as usize];
            if let Some(tally) = self.by_type.get_mut(kind.0 as usize) {
                tally.add(1, bytes);
            }
        }
        new
    }

    /// What several of the objects keep alive together, and none of them alone: what they lead to,
    /// and nothing else does.
    fn add_shared(&mut self, graph: &Graph<'_>, objects: &ObjectSet) {
        let mut elsewhere = ObjectSet::new(graph.len());
        let mut pending: Vec<ObjectId> = Vec::new();
        let unreached = graph.reached().complement(graph.len());
        let held = unreached
            .iter()
            .filter(|&one| is_held_from_outside(graph, one));
        for entry in graph.roots().iter().copied().chain(held) {
            if !objects.contains(entry) && elsewhere.insert(entry) {
                pending.push(entry);
            }
        }
        while let Some(at) = pending.pop() {
            for (target, _) in graph.edges_of(at) {
                if !objects.contains(target) && elsewhere.insert(target) {
                    pending.push(target);
                }
            }
        }
        pending.extend(self.set.iter());
        while let Some(at) = pending.pop() {
            for (target, _) in graph.edges_of(at) {
                if !elsewhere.contains(target) && self.add(graph, target) {
                    pending.push(target);
                }
            }
        }
    }

    /// The types of what would go, those with most bytes first.
    pub(super) fn heaviest(&self, heap: &Heap, limit: usize) -> Vec<(String, Tally)> {
        let mut by_name: FxHashMap<&str, Tally> = FxHashMap::default();
        for (kind, tally) in heap.types.iter().zip(&self.by_type) {
            if tally.count > 0 {
                let name = heap.strings.get(kind.name);
                by_name
                    .entry(name)
                    .or_default()
                    .add(tally.count, tally.bytes);
            }
        }
        let mut rows: Vec<(&str, Tally)> = by_name.into_iter().collect();
        rows.sort_by_key(|(name, tally)| (Reverse(tally.bytes), Reverse(tally.count), *name));
        let rows = rows.into_iter().take(limit);
        rows.map(|(name, tally)| (name.to_owned(), tally)).collect()
    }
}
