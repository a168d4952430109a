//! Dominators and retained sizes: what would be freed if one object were let go.
//!
//! One object dominates another if every way from the roots to the other goes through it; the
//! nearest such object is its immediate dominator. The bytes of all that an object dominates,
//! itself included, are its retained size: what letting go of it would give back.
//!
//! Above everything is a *top* that stands for the program: it refers to every root. What no root
//! reaches is not left out, since it takes memory, too. Below the top are also, of what no root
//! reaches,
//! - objects whose reference count is greater than the number of references known (and immortal
//!   ones): C code holds them;
//! - one object of each cycle that nothing else leads to, so that it retains the whole cycle and
//!   what hangs below.

use crate::components::components;
use crate::graph::Graph;
use crate::set::ObjectSet;
use memshed_heap::{ObjectId, Objects};

/// The number of the top in a search. Objects have numbers from 1 in order of the visits.
const TOP: u32 = 0;

/// The dominator tree, with retained sizes. Takes 20 bytes an object; while it is made, 28 more.
pub struct Dominators {
    dominator: Vec<ObjectId>,
    retained: Vec<u64>,
    /// The children of object `i` are `child[start[i]..start[i + 1]]`; those of the top come last.
    start: Vec<u32>,
    child: Vec<ObjectId>,
}

impl Dominators {
    /// The dominators of all objects of `graph`, by the algorithm Semi-NCA (L. Georgiadis, "Linear-time
    /// algorithms for dominators and related problems", 2005, chapter 2).
    pub fn new(graph: &Graph<'_>) -> Dominators {
        let (search, entries) = Search::everything(graph);
        let mut dominator = search.semidominators(graph, &entries);
        // The nearest common ancestor of parent and semidominator, from the top downwards.
        for number in 1..dominator.len() {
            let semidominator = dominator[number];
            let mut at = search.parent[number];
            while at > semidominator {
                at = dominator[at as usize];
            }
            dominator[number] = at;
        }
        search.tree(graph, &dominator)
    }

    /// The immediate dominator of `object`: the object that alone keeps it alive. `None` if there
    /// is none: it is a root, or held in ways that have only the top in common.
    pub fn dominator(&self, object: ObjectId) -> Option<ObjectId> {
        let dominator = *self.dominator.get(object.0 as usize)?;
        (dominator != ObjectId::NONE).then_some(dominator)
    }

    /// The bytes that letting go of `object` would give back: those that the allocators gave for it
    /// and for all that it dominates. Objects in the program's data count as nothing.
    pub fn retained(&self, object: ObjectId) -> u64 {
        self.retained.get(object.0 as usize).copied().unwrap_or(0)
    }

    /// The objects whose immediate dominator is `object`, in order.
    pub fn children(&self, object: ObjectId) -> &[ObjectId] {
        let row = object.0 as usize;
        if row >= self.dominator.len() {
            return &[];
        }
        &self.child[self.start[row] as usize..self.start[row + 1] as usize]
    }

    /// The objects that no object dominates, in order.
    pub fn top(&self) -> &[ObjectId] {
        let from = self.start[self.dominator.len()] as usize;
        &self.child[from..]
    }

    /// Whether letting go of `above` would free `below`.
    pub fn dominates(&self, above: ObjectId, below: ObjectId) -> bool {
        let ways = std::iter::successors(Some(below), |&at| self.dominator(at));
        (below.0 as usize) < self.dominator.len() && ways.into_iter().any(|at| at == above)
    }

    /// The bytes that letting go of all `objects` together would give back at least: each one's
    /// retained size, unless it is dominated by another of them.
    pub fn retained_by_all(&self, objects: &ObjectSet) -> u64 {
        let rows = self.dominator.len();
        // Remembered, so that no way is gone twice.
        let (mut free, mut covered) = (ObjectSet::new(rows), ObjectSet::new(rows));
        let mut way = Vec::new();
        let mut bytes = 0;
        for object in objects.iter() {
            let mut above = self.dominator(object);
            let is_covered = loop {
                match above {
                    Some(at) if objects.contains(at) || covered.contains(at) => break true,
                    Some(at) if !free.contains(at) => {
                        way.push(at);
                        above = self.dominator(at);
                    }
                    _ => break false,
                }
            };
            if !is_covered {
                bytes += self.retained(object);
            }
            let known = if is_covered { &mut covered } else { &mut free };
            for at in way.drain(..) {
                known.insert(at);
            }
        }
        bytes
    }
}

/// A depth-first search from the top.
struct Search {
    /// Each object's number; `TOP`: not visited yet.
    number: Vec<u32>,
    /// The object of each number; none for the top.
    object: Vec<ObjectId>,
    /// The number of the object that each was visited from.
    parent: Vec<u32>,
    stack: Vec<(u32, u32)>,
}

impl Search {
    /// Visits every object. Also returns those that the top refers to.
    fn everything(graph: &Graph<'_>) -> (Search, ObjectSet) {
        let objects = graph.len();
        let mut search = Search {
            number: vec![TOP; objects],
            object: Vec::with_capacity(objects + 1),
            parent: Vec::with_capacity(objects + 1),
            stack: Vec::new(),
        };
        search.object.push(ObjectId::NONE);
        search.parent.push(TOP);
        let mut entries = ObjectSet::new(objects);
        for &root in graph.roots() {
            entries.insert(root);
            search.visit(graph, root);
        }
        if search.object.len() <= objects {
            for object in graph.reached().complement(objects).iter() {
                if is_held_from_outside(graph, object) {
                    entries.insert(object);
                    search.visit(graph, object);
                }
            }
        }
        if search.object.len() <= objects {
            for object in search.first_of_cycles(graph) {
                entries.insert(object);
                search.visit(graph, object);
            }
        }
        (search, entries)
    }

    /// Visits `object` and what it leads to, all that was not visited before.
    fn visit(&mut self, graph: &Graph<'_>, object: ObjectId) {
        if self.number[object.0 as usize] != TOP {
            return;
        }
        self.enter(graph, object, TOP);
        while let Some(&(from, place)) = self.stack.last() {
            let end = graph.row(self.object[from as usize]).end;
            let next = (place as usize..end).find_map(|at| {
                let (target, _) = graph.edge_at(at)?;
                (self.number[target.0 as usize] == TOP).then_some((at, target))
            });
            match next {
                Some((at, target)) => {
                    if let Some(last) = self.stack.last_mut() {
                        last.1 = at as u32 + 1;
                    }
                    self.enter(graph, target, from);
                }
                None => {
                    self.stack.pop();
                }
            }
        }
    }

    fn enter(&mut self, graph: &Graph<'_>, object: ObjectId, parent: u32) {
        let number = self.object.len() as u32;
        self.number[object.0 as usize] = number;
        self.object.push(object);
        self.parent.push(parent);
        let row = graph.row(object);
        if !row.is_empty() {
            self.stack.push((number, row.start as u32));
        }
    }

    /// Of what was not visited yet: one object of each component that no other leads to.
    fn first_of_cycles(&self, graph: &Graph<'_>) -> Vec<ObjectId> {
        let mut left = ObjectSet::new(graph.len());
        for (row, &number) in (0..).zip(&self.number) {
            if number == TOP {
                left.insert(ObjectId(row));
            }
        }
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

    /// The semidominator of each number, from the last visited to the first.
    fn semidominators(&self, graph: &Graph<'_>, entries: &ObjectSet) -> Vec<u32> {
        let mut semidominator = vec![TOP; self.object.len()];
        let mut forest = Forest {
            tree: (0..).zip(&self.parent).map(|(n, &p)| (p, n)).collect(),
            way: Vec::new(),
        };
        for number in (1..self.object.len() as u32).rev() {
            let object = self.object[number as usize];
            let mut least = self.parent[number as usize];
            if entries.contains(object) {
                least = TOP;
            } else {
                for source in graph.referrers(object) {
                    let source = self.number[source.0 as usize];
                    least = least.min(forest.least(source, number));
                }
            }
            semidominator[number as usize] = least;
            forest.tree[number as usize].1 = least;
        }
        semidominator
    }

    /// The tree of objects, from that of numbers. Uses up the search.
    fn tree(self, graph: &Graph<'_>, dominator: &[u32]) -> Dominators {
        let objects = graph.len();
        let Search { number, object, .. } = self;
        let mut sum: Vec<u64> = object.iter().map(|&object| graph.bytes(object)).collect();
        for at in (1..sum.len()).rev() {
            sum[dominator[at] as usize] += sum[at];
        }
        let by_object = |number: &u32| object[dominator[*number as usize] as usize];
        let of: Vec<ObjectId> = number.iter().map(by_object).collect();
        let retained = number.iter().map(|&at| sum[at as usize]).collect();
        drop((sum, object, number));

        let parent = |one: &ObjectId| match *one {
            ObjectId::NONE => objects,
            above => above.0 as usize,
        };
        // Counted two places ahead, so that filling in moves each start to its own place.
        let mut start = vec![0u32; objects + 3];
        for one in &of {
            start[parent(one) + 2] += 1;
        }
        for at in 1..start.len() {
            start[at] += start[at - 1];
        }
        let mut child = vec![ObjectId::NONE; objects];
        for (row, one) in (0..).zip(&of) {
            let place = &mut start[parent(one) + 1];
            child[*place as usize] = ObjectId(row);
            *place += 1;
        }
        Dominators {
            dominator: of,
            retained,
            start,
            child,
        }
    }
}

/// The trees of what was dealt with so far, with compressed ways.
struct Forest {
    /// For each number an ancestor, and the least semidominator on the way there.
    tree: Vec<(u32, u32)>,
    way: Vec<u32>,
}

impl Forest {
    /// The least semidominator on the way from `at` up to `last`, all numbers above which are dealt
    /// with; `at` itself if that is not.
    #[inline]
    fn least(&mut self, at: u32, last: u32) -> u32 {
        if at <= last {
            return at;
        }
        let (above, least) = self.tree[at as usize];
        if above <= last {
            return least;
        }
        self.compress(at, last)
    }

    fn compress(&mut self, mut at: u32, last: u32) -> u32 {
        while self.tree[at as usize].0 > last {
            self.way.push(at);
            at = self.tree[at as usize].0;
        }
        let (above, mut least) = self.tree[at as usize];
        while let Some(at) = self.way.pop() {
            least = least.min(self.tree[at as usize].1);
            self.tree[at as usize] = (above, least);
        }
        least
    }
}

/// Whether more refers to `object` than the graph shows.
pub(crate) fn is_held_from_outside(graph: &Graph<'_>, object: ObjectId) -> bool {
    let count = graph.heap().objects.refcount.get(object.0 as usize);
    count.is_some_and(|&count| {
        count == Objects::IMMORTAL || count as usize > graph.referrers(object).len()
    })
}
