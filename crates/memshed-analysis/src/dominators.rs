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

use crate::graph::Graph;
use crate::search::{Search, TOP};
use crate::set::ObjectSet;
use memshed_heap::ObjectId;
use rayon::prelude::*;

/// Numbers in a part.
const PART: usize = 1 << 16;

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
        let mut dominator = semidominators(graph);
        let parent = &graph.search().parent;
        // The nearest common ancestor of parent and semidominator, from the top downwards.
        for number in 1..dominator.len() {
            let semidominator = dominator[number];
            let mut at = parent[number];
            while at > semidominator {
                at = dominator[at as usize];
            }
            dominator[number] = at;
        }
        tree(graph, &dominator)
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

/// What is known of a run of numbers before their semidominators are.
struct Part {
    /// Of each: the least number that refers to it, of those visited before it.
    least: Vec<u32>,
    /// Of each: where its row in `later` ends.
    end: Vec<u32>,
    /// The numbers that refer to each, of those visited after it.
    later: Vec<u32>,
}

/// The parts of all numbers, in order. What is looked up all over memory is looked up here, on all
/// cores, so that the pass over the numbers, which has to go one by one, has less to wait for.
fn parts(graph: &Graph<'_>) -> Vec<Part> {
    let search = graph.search();
    let runs = search
        .object
        .par_chunks(PART)
        .zip(search.parent.par_chunks(PART));
    let part = |(at, (objects, parents)): (usize, (&[ObjectId], &[u32]))| {
        let mut part = Part {
            least: parents.to_vec(),
            end: Vec::with_capacity(objects.len()),
            later: Vec::new(),
        };
        for (i, &object) in objects.iter().enumerate() {
            let number = (at * PART + i) as u32;
            if search.entries.contains(object) {
                part.least[i] = TOP;
            } else {
                for source in graph.referrers(object) {
                    let source = search.number[source.0 as usize];
                    if source > number {
                        part.later.push(source);
                    } else {
                        part.least[i] = part.least[i].min(source);
                    }
                }
            }
            part.end.push(part.later.len() as u32);
        }
        part
    };
    runs.enumerate().map(part).collect()
}

/// The semidominator of each number, from the last visited to the first.
fn semidominators(graph: &Graph<'_>) -> Vec<u32> {
    let parent = &graph.search().parent;
    let mut semidominator = vec![TOP; parent.len()];
    let mut forest = Forest {
        tree: (0..).zip(parent).map(|(n, &p)| (p, n)).collect(),
        way: Vec::new(),
    };
    let mut parts = parts(graph);
    while let Some(part) = parts.pop() {
        let first = parts.len() * PART;
        for at in (0..part.least.len()).rev() {
            let number = (first + at) as u32;
            let mut least = part.least[at];
            let from = at.checked_sub(1).map_or(0, |before| part.end[before]);
            for &source in &part.later[from as usize..part.end[at] as usize] {
                if least == TOP {
                    break;
                }
                least = least.min(forest.least(source, number));
            }
            semidominator[number as usize] = least;
            forest.tree[number as usize].1 = least;
        }
    }
    semidominator
}

/// The tree of objects, from the dominators by number.
fn tree(graph: &Graph<'_>, dominator: &[u32]) -> Dominators {
    let objects = graph.len();
    let Search { number, object, .. } = graph.search();
    let mut sum: Vec<u64> = object.iter().map(|&object| graph.bytes(object)).collect();
    for at in (1..sum.len()).rev() {
        sum[dominator[at] as usize] += sum[at];
    }
    let by_object = |number: &u32| object[dominator[*number as usize] as usize];
    let of: Vec<ObjectId> = number.iter().map(by_object).collect();
    let retained = number.iter().map(|&at| sum[at as usize]).collect();
    drop(sum);

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
