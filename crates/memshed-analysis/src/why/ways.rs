//! The ways in which objects are held.

use super::inside::Inside;
use super::{Way, is_root};
use crate::dominators::Dominators;
use crate::graph::Graph;
use crate::holders::{self, HolderPath, Hop, Step, holder_path};
use crate::paths::paths;
use crate::places::{PlaceId, Places};
use crate::set::ObjectSet;
use memshed_heap::{Heap, Label, ObjectId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// The objects that refer to `object` from elsewhere, each once.
fn outside_referrers(graph: &Graph<'_>, inside: &Inside, object: ObjectId) -> Vec<ObjectId> {
    let mut referrers = graph.referrers(object).to_vec();
    referrers.dedup();
    referrers.retain(|&referrer| !inside.set.contains(referrer));
    referrers
}

/// The ways to one object: one for each that refers to it, and itself if it is a root.
pub(super) fn single_ways(
    graph: &Graph<'_>,
    inside: &Inside,
    object: ObjectId,
    limit: usize,
) -> (Vec<Way>, u64) {
    let referrers = outside_referrers(graph, inside, object);
    let root = is_root(graph, object);
    let all = referrers.len() + usize::from(root);
    let frees = if all == 1 { inside.total.bytes } else { 0 };
    let found = match all {
        0 => vec![holder_path(graph.heap(), object)],
        _ => paths(graph, object, limit).paths,
    };
    let more = all.saturating_sub(found.len()) as u64;
    let way = |path: HolderPath| Way {
        name: path.to_string(),
        path,
        objects: 1,
        alone: u64::from(all == 1),
        frees,
        holders: all.min(1) as u64,
        bytes: inside.total.bytes,
    };
    (found.into_iter().map(way).collect(), more)
}

/// References to the objects from one place.
#[derive(Clone)]
struct Group {
    /// An example: who refers to whom, and how. A root is referred to by nobody.
    example: Step,
    objects: u64,
    alone: u64,
    frees: u64,
    holders: u64,
    bytes: u64,
    /// The last reference, so that neighbours are counted once.
    last: Step,
}

/// An object that several groups hold.
const SEVERAL: u32 = u32::MAX - 1;
/// One that none does.
const NOBODY: u32 = u32::MAX;

/// The references to objects by place.
struct Groups<'a> {
    dominators: &'a Dominators,
    groups: Vec<Group>,
    by_place: FxHashMap<PlaceId, u32>,
    /// The group that holds each object.
    held_by: Vec<u32>,
}

impl Groups<'_> {
    /// Counts one reference. Those of one object come one after the other.
    fn add(&mut self, place: PlaceId, step: Step) {
        let at = *self.by_place.entry(place).or_insert_with(|| {
            let nothing = Step {
                source: ObjectId::NONE,
                label: step.label,
                object: ObjectId::NONE,
            };
            self.groups.push(Group {
                example: step,
                objects: 0,
                alone: 0,
                frees: 0,
                holders: 0,
                bytes: 0,
                last: nothing,
            });
            self.groups.len() as u32 - 1
        });
        let Some(by) = self.held_by.get_mut(step.object.0 as usize) else {
            return;
        };
        let group = &mut self.groups[at as usize];
        group.holders += u64::from(group.last.source != step.source || group.objects == 0);
        let again = group.last.source == step.source && group.last.object == step.object;
        group.last = step;
        match *by {
            NOBODY => *by = at,
            before if before == at || again => return,
            _ => *by = SEVERAL,
        }
        group.objects += 1;
        let bytes = self.dominators.retained(step.object);
        group.bytes = group.bytes.saturating_add(bytes);
    }

    /// Counts what each group alone holds.
    fn count_alone(&mut self, objects: &ObjectSet, inside: &Inside) {
        for object in objects.iter() {
            let by = self.held_by.get(object.0 as usize);
            let group = by.and_then(|&by| self.groups.get_mut(by as usize));
            let Some(group) = group else { continue };
            group.alone += 1;
            if inside.outermost.contains(object) {
                let bytes = self.dominators.retained(object);
                group.frees = group.frees.saturating_add(bytes);
            }
        }
    }

    /// What nothing from outside refers to and no root reaches: garbage.
    fn loose(&self, graph: &Graph<'_>, inside: &Inside) -> Option<Way> {
        let left = |one: &ObjectId| self.held_by.get(one.0 as usize) == Some(&NOBODY);
        let loose = inside.outermost.iter().filter(left);
        let mut loose = loose
            .filter(|one| !graph.reached().contains(*one))
            .peekable();
        let mut path = holder_path(graph.heap(), *loose.peek()?);
        path.segments.clear();
        let (mut count, mut frees) = (0, 0u64);
        for object in loose {
            count += 1;
            frees = frees.saturating_add(self.dominators.retained(object));
        }
        Some(Way {
            name: path.to_string(),
            path,
            objects: count,
            alone: count,
            frees,
            holders: 0,
            bytes: frees,
        })
    }
}

/// The ways to many objects, merged by place. References from what would go with them do not
/// count.
pub(super) fn merged_ways(
    graph: &Graph<'_>,
    dominators: &Dominators,
    objects: &ObjectSet,
    inside: &Inside,
    limit: usize,
) -> (Vec<Way>, u64) {
    let heap = graph.heap();
    let mut places = Places::new(heap);
    let mut found = Groups {
        dominators,
        groups: Vec::new(),
        by_place: FxHashMap::default(),
        held_by: vec![NOBODY; graph.len()],
    };
    let roots = graph.roots().iter().copied();
    for root in roots.filter(|root| objects.contains(*root)) {
        let step = Step {
            source: ObjectId::NONE,
            label: Label(0),
            object: root,
        };
        found.add(places.of_root(root), step);
    }
    for source in (0..graph.len() as u32).map(ObjectId) {
        if inside.set.contains(source) {
            continue;
        }
        for (object, label) in graph.edges_of(source) {
            if objects.contains(object) {
                let step = Step {
                    source,
                    label,
                    object,
                };
                found.add(places.through(source, label, object), step);
            }
        }
    }
    found.count_alone(objects, inside);
    let loose = found.loose(graph, inside);
    let mut groups = found.groups;
    groups.sort_by_key(|group| {
        let example = group.example.object;
        (Reverse(group.bytes), Reverse(group.objects), example)
    });
    let more = groups.len().saturating_sub(limit) as u64;
    groups.truncate(limit);
    let way = |group: Group| {
        let mut path = path_through(heap, group.example);
        if group.objects > 1 {
            wildcards(&mut path);
        }
        Way {
            name: path.to_string(),
            path,
            objects: group.objects,
            alone: group.alone,
            frees: group.frees,
            holders: group.holders,
            bytes: group.bytes,
        }
    };
    let mut ways: Vec<Way> = groups.into_iter().map(way).collect();
    if let ([only], 0, None) = (ways.as_mut_slice(), more, &loose) {
        // Also what several of the objects keep alive together.
        only.frees = inside.total.bytes;
    }
    ways.extend(loose);
    (ways, more)
}

/// The way to an object through a reference to it.
fn path_through(heap: &Heap, reference: Step) -> HolderPath {
    let object = reference.object;
    if reference.source == ObjectId::NONE {
        return holders::path(heap, holders::start(heap, object), &[]);
    }
    let Some((mut steps, first)) = holders::climb(heap, reference.source) else {
        return holder_path(heap, object);
    };
    steps.push(reference);
    holders::path(heap, holders::start(heap, first), &steps)
}

/// Leaves out indices and keys.
fn wildcards(path: &mut HolderPath) {
    for segment in &mut path.segments {
        if let Hop::Index(_) | Hop::Entry(_) = segment.hop {
            segment.hop = Hop::Value;
        }
    }
}
