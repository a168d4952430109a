//! A depth-first search of the graph: the order that dominators are computed in.

use crate::components::components;
use crate::graph::Graph;
use crate::set::ObjectSet;
use memshed_heap::{ObjectId, Objects};

/// The number of the top, which refers to every root. Objects have numbers from 1 in order of the
/// visits.
pub(crate) const TOP: u32 = 0;

/// A depth-first search from the top.
#[derive(Default)]
pub(crate) struct Search {
    /// Each object's number.
    pub(crate) number: Vec<u32>,
    /// The object of each number; none for the top.
    pub(crate) object: Vec<ObjectId>,
    /// The number of the object that each was visited from.
    pub(crate) parent: Vec<u32>,
    /// The objects that the top refers to.
    pub(crate) entries: ObjectSet,
    /// The objects that have a number: small enough for the processor's caches.
    visited: ObjectSet,
    stack: Vec<Visit>,
}

/// A visit that goes on.
struct Visit {
    number: u32,
    /// The next edge to look at, and where they end.
    place: u32,
    end: u32,
    has_weak: bool,
}

impl Search {
    /// Visits what the roots reach.
    pub(crate) fn from_roots(graph: &Graph<'_>) -> Search {
        let objects = graph.len();
        let mut search = Search {
            number: vec![TOP; objects],
            object: Vec::with_capacity(objects + 1),
            parent: Vec::with_capacity(objects + 1),
            entries: ObjectSet::new(objects),
            visited: ObjectSet::new(objects),
            stack: Vec::new(),
        };
        search.object.push(ObjectId::NONE);
        search.parent.push(TOP);
        for &root in graph.roots() {
            search.visit_entry(graph, root);
        }
        search
    }

    /// What was visited.
    pub(crate) fn visited(&self) -> &ObjectSet {
        &self.visited
    }

    /// Visits what no root reaches, once it is known what refers to what.
    pub(crate) fn visit_rest(&mut self, graph: &Graph<'_>) {
        for object in self.visited.complement(graph.len()).iter() {
            if is_held_from_outside(graph, object) {
                self.visit_entry(graph, object);
            }
        }
        if self.object.len() <= graph.len() {
            for object in self.first_of_cycles(graph) {
                self.visit_entry(graph, object);
            }
        }
        self.stack = Vec::new();
    }

    fn visit_entry(&mut self, graph: &Graph<'_>, object: ObjectId) {
        self.entries.insert(object);
        self.visit(graph, object);
    }

    /// Visits `object` and what it leads to, all that was not visited before.
    fn visit(&mut self, graph: &Graph<'_>, object: ObjectId) {
        if self.number[object.0 as usize] != TOP {
            return;
        }
        self.enter(graph, object, TOP);
        while let Some(visit) = self.stack.last_mut() {
            let mut next = None;
            while visit.place < visit.end && next.is_none() {
                let place = visit.place as usize;
                visit.place += 1;
                let target = graph.target_at(place);
                if !self.visited.contains(target)
                    && (!visit.has_weak || graph.edge_at(place).is_some())
                {
                    next = Some((target, visit.number));
                }
            }
            match next {
                Some((target, from)) => self.enter(graph, target, from),
                None => {
                    self.stack.pop();
                }
            }
        }
    }

    fn enter(&mut self, graph: &Graph<'_>, object: ObjectId, parent: u32) {
        let number = self.object.len() as u32;
        self.number[object.0 as usize] = number;
        self.visited.insert(object);
        self.object.push(object);
        self.parent.push(parent);
        let row = graph.row(object);
        if !row.is_empty() {
            self.stack.push(Visit {
                number,
                place: row.start as u32,
                end: row.end as u32,
                has_weak: graph.has_weak(object),
            });
        }
    }

    /// Of what was not visited yet: one object of each component that no other leads to.
    fn first_of_cycles(&self, graph: &Graph<'_>) -> Vec<ObjectId> {
        let left = self.visited.complement(graph.len());
        let found = components(graph, &left, |_, _, _| true);
        let mut led_to = vec![false; found.len()];
        for component in 0..found.len() as u32 {
            for &source in found.members(component) {
                for (target, _) in graph.edges_of(source) {
                    match found.of(target) {
                        Some(other) if other != component => led_to[other as usize] = true,
                        _ => {}
                    }
                }
            }
        }
        (0..found.len() as u32)
            .filter(|&component| !led_to[component as usize])
            .filter_map(|component| found.members(component).first().copied())
            .collect()
    }
}

/// Whether more refers to `object` than the graph shows.
pub(crate) fn is_held_from_outside(graph: &Graph<'_>, object: ObjectId) -> bool {
    let count = graph.heap().objects.refcount.get(object.0 as usize);
    count.is_some_and(|&count| {
        count == Objects::IMMORTAL || count as usize > graph.referrers(object).len()
    })
}
