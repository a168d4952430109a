//! The heap as a graph: which object keeps which alive, both ways, and what the roots reach.
//!
//! Strong edges only: a weak reference keeps nothing alive. Words that merely look like references
//! (labels of kind `Possible`) are edges too, since nearly all of them are; what can be reached
//! without them is kept apart.

use crate::search::Search;
use crate::set::ObjectSet;
use memshed_heap::{Edges, Heap, Label, LabelKind, ObjectId};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Parts that the targets are divided into when edges are turned around. Each part goes through
/// all edges, so more would not be faster.
const PARTS: usize = 8;

/// A heap's objects and the references between them.
pub struct Graph<'h> {
    heap: &'h Heap,
    edges: Cow<'h, Edges>,
    /// Objects with weak references among their edges: of all others the labels need not be looked
    /// at, which spares a third of the memory traffic of a search.
    with_weak: ObjectSet,
    /// The referrers of object `i` are `referrer[referrer_start[i]..referrer_start[i + 1]]`.
    referrer_start: Vec<u32>,
    referrer: Vec<ObjectId>,
    roots: Vec<ObjectId>,
    reached: ObjectSet,
    search: Search,
}

impl<'h> Graph<'h> {
    /// The graph of `heap`; `None` if it was obtained without its edges, or has 2^32 or more.
    /// Takes, beside the heap, 4 bytes an edge and 17 an object.
    pub fn new(heap: &'h Heap) -> Option<Graph<'h>> {
        let edges = sound(heap.edges.as_ref()?, heap.objects.len());
        u32::try_from(edges.target.len()).ok()?;
        let objects = heap.objects.len();
        let mut roots: Vec<ObjectId> = heap.roots.iter().map(|root| root.object).collect();
        roots.retain(|root| (root.0 as usize) < objects);
        roots.sort_unstable();
        roots.dedup();
        let mut graph = Graph {
            heap,
            with_weak: with_weak(&edges, objects),
            edges,
            referrer_start: Vec::new(),
            referrer: Vec::new(),
            roots,
            reached: ObjectSet::default(),
            search: Search::default(),
        };
        let ((start, referrer), mut search) = rayon::join(
            || turned(&graph.edges, objects),
            || Search::from_roots(&graph),
        );
        (graph.referrer_start, graph.referrer) = (start, referrer);
        graph.reached = search.visited().clone();
        search.visit_rest(&graph);
        graph.search = search;
        Some(graph)
    }

    /// The heap.
    pub fn heap(&self) -> &'h Heap {
        self.heap
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.heap.objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.objects.is_empty()
    }

    /// The roots, in order, each once.
    pub fn roots(&self) -> &[ObjectId] {
        &self.roots
    }

    /// What the roots reach, themselves included. The rest is garbage, or held by C code that
    /// cannot be looked into.
    pub fn reached(&self) -> &ObjectSet {
        &self.reached
    }

    /// The objects that are alive, or at least there, by themselves, as dominators are computed: the
    /// roots, what C code holds, and one object of each cycle that nothing else leads to (see
    /// [`crate::Dominators`]).
    pub fn entries(&self) -> &ObjectSet {
        &self.search.entries
    }

    /// A search of all objects.
    pub(crate) fn search(&self) -> &Search {
        &self.search
    }

    /// The references that leave `object` and keep their target alive.
    #[inline]
    pub fn edges_of(&self, object: ObjectId) -> impl Iterator<Item = (ObjectId, Label)> + '_ {
        let row = self.row(object);
        let targets = self.edges.target[row.clone()].iter();
        let all = targets.zip(&self.edges.label[row]);
        all.filter(|(_, label)| !is_weak(**label))
            .map(|(&target, &label)| (target, label))
    }

    /// The objects that keep `object` alive, in order; one that has several references to it, as
    /// many times.
    #[inline]
    pub fn referrers(&self, object: ObjectId) -> &[ObjectId] {
        let row = object.0 as usize;
        match (
            self.referrer_start.get(row),
            self.referrer_start.get(row + 1),
        ) {
            (Some(&from), Some(&to)) => &self.referrer[from as usize..to as usize],
            _ => &[],
        }
    }

    /// The bytes that freeing `object` by itself gives back: what the allocators gave for it and
    /// for the buffers that are its own. 0 for an object in the program's data, which is never
    /// given back.
    #[inline]
    pub fn bytes(&self, object: ObjectId) -> u64 {
        let (row, column) = (object.0 as usize, &self.heap.objects.allocated);
        if row < column.len() {
            column.get(row)
        } else {
            0
        }
    }

    /// Where in the columns of edges those of `object` are, weak ones included.
    #[inline]
    pub(crate) fn row(&self, object: ObjectId) -> Range<usize> {
        let (row, start) = (object.0 as usize, &self.edges.start);
        match (start.get(row), start.get(row + 1)) {
            (Some(&from), Some(&to)) => from as usize..to as usize,
            _ => 0..0,
        }
    }

    /// Whether weak references are among the edges of `object`.
    #[inline]
    pub(crate) fn has_weak(&self, object: ObjectId) -> bool {
        self.with_weak.contains(object)
    }

    /// Where the edge at a place in the columns leads, weak or not.
    #[inline]
    pub(crate) fn target_at(&self, place: usize) -> ObjectId {
        self.edges.target[place]
    }

    /// The edge at a place in the columns, if it is a strong one.
    #[inline]
    pub(crate) fn edge_at(&self, place: usize) -> Option<(ObjectId, Label)> {
        let label = self.edges.label[place];
        (!is_weak(label)).then(|| (self.edges.target[place], label))
    }
}

#[inline]
fn is_weak(label: Label) -> bool {
    label.kind() == LabelKind::Weak
}

/// The objects that have weak references.
fn with_weak(edges: &Edges, objects: usize) -> ObjectSet {
    let mut set = ObjectSet::new(objects);
    let mut row = 0;
    for (place, _) in (0u64..)
        .zip(&edges.label)
        .filter(|(_, label)| is_weak(**label))
    {
        // The first row that ends behind the edge.
        row += edges.start[row + 1..].partition_point(|&start| start <= place);
        set.insert(ObjectId(row as u32));
    }
    set
}

/// The edges, without those of a garbled heap that lead nowhere.
fn sound(edges: &Edges, objects: usize) -> Cow<'_, Edges> {
    let count = edges.target.len();
    let starts = edges.start.len() == objects + 1
        && edges.start.is_sorted()
        && edges.start.last() == Some(&(count as u64))
        && edges.label.len() == count;
    let leads = |target: &ObjectId| (target.0 as usize) < objects;
    if starts && edges.target.par_iter().all(leads) {
        return Cow::Borrowed(edges);
    }
    let mut kept = Edges::default();
    kept.start.push(0);
    let end = count.min(edges.label.len()) as u64;
    for row in 0..objects {
        let place = |row: usize| edges.start.get(row).map_or(end, |&at| at.min(end)) as usize;
        for at in place(row)..place(row + 1).max(place(row)) {
            if leads(&edges.target[at]) {
                kept.target.push(edges.target[at]);
                kept.label.push(edges.label[at]);
            }
        }
        kept.start.push(kept.target.len() as u64);
    }
    Cow::Owned(kept)
}

/// The edges turned around: where each object's referrers are, and the referrers, in order.
fn turned(edges: &Edges, objects: usize) -> (Vec<u32>, Vec<ObjectId>) {
    // Each part goes through all edges and writes only what is of its own targets.
    let parts = rayon::current_num_threads().clamp(1, PARTS);
    let part = objects.div_ceil(parts).max(1);
    let mut start = vec![0u32; objects + 1];
    start[1..]
        .par_chunks_mut(part)
        .enumerate()
        .for_each(|(at, counts)| {
            let first = at * part;
            for (target, label) in edges.target.iter().zip(&edges.label) {
                let place = (target.0 as usize).wrapping_sub(first);
                if place < counts.len() && !is_weak(*label) {
                    counts[place] += 1;
                }
            }
        });
    let mut sum = 0;
    for count in &mut start {
        sum += *count;
        *count = sum;
    }
    let mut referrer = vec![ObjectId::NONE; sum as usize];
    let mut rest = referrer.as_mut_slice();
    let mut work = Vec::new();
    for first in (0..objects).step_by(part) {
        let rows = first..(first + part).min(objects);
        let length = (start[rows.end] - start[rows.start]) as usize;
        let (mine, others) = rest.split_at_mut(length);
        work.push((rows, mine));
        rest = others;
    }
    work.into_par_iter().for_each(|(rows, mine)| {
        let base = start[rows.start];
        let mut next: Vec<u32> = start[rows.clone()].iter().map(|at| at - base).collect();
        for source in 0..objects {
            let row = edges.start[source] as usize..edges.start[source + 1] as usize;
            for at in row {
                let place = (edges.target[at].0 as usize).wrapping_sub(rows.start);
                if place < next.len() && !is_weak(edges.label[at]) {
                    mine[next[place] as usize] = ObjectId(source as u32);
                    next[place] += 1;
                }
            }
        }
    });
    (start, referrer)
}
