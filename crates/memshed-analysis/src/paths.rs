//! The ways from roots to an object, one for each object that holds it; and those to many objects,
//! with equal ones merged.

use crate::graph::Graph;
use crate::holders::{self, HolderPath, Hop, Step};
use crate::search::is_held_from_outside;
use crate::set::ObjectSet;
use memshed_heap::{Label, LabelKind, ObjectId};
use rustc_hash::{FxHashMap, FxHasher};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// Referrers of an object that are looked at, at most.
const MAX_REFERRERS: usize = 10_000;
/// References on the ways to them, at most, that are followed in all.
const MAX_STEPS: usize = 20_000_000;
/// References that are followed, at most, to find other ways from a root to referrers: to one, and
/// in all.
const MAX_DETOUR: usize = 100_000;
const MAX_DETOURS: usize = 2_000_000;

/// The ways from roots to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// One path for each object that refers to it and is itself held otherwise; the shortest first.
    /// If the object is a root, that is the first path. All lead to the object.
    pub paths: Vec<HolderPath>,
    /// How many objects refer to it.
    pub referrers: usize,
    /// Those among them that nothing but the object itself keeps alive, or nothing at all: they are
    /// in a cycle with it, or garbage. (Of a great many referrers, those among the first 10,000.)
    pub in_cycles: usize,
}

/// The ways from roots to `object`, at most `limit` of them: a path for each referrer.
pub fn paths(graph: &Graph<'_>, object: ObjectId, limit: usize) -> Paths {
    let heap = graph.heap();
    let mut referrers = graph.referrers(object).to_vec();
    referrers.dedup();
    let mut found = Vec::new();
    let mut in_cycles = 0;
    if graph.roots().binary_search(&object).is_ok() {
        found.push((Vec::new(), object));
    }
    // Detours are looked for only as far as they are wanted: they cost more than the known ways.
    let mut cut_off = Vec::new();
    let mut steps_left = MAX_STEPS;
    for &referrer in referrers.iter().take(MAX_REFERRERS) {
        if referrer == object {
            in_cycles += 1;
            continue;
        }
        match holders::climb(heap, referrer) {
            Some((steps, first)) => {
                steps_left = steps_left.saturating_sub(steps.len());
                let through = first == object || steps.iter().any(|step| step.source == object);
                if through || !graph.reached().contains(referrer) {
                    cut_off.push(referrer);
                } else {
                    found.push((extended(graph, steps, referrer, object), first));
                }
            }
            None => cut_off.push(referrer),
        }
        // Only the shortest are wanted, and each may have millions of steps.
        if found.len() > limit.saturating_mul(2).max(64) {
            found.sort_by_key(|(steps, _)| steps.len());
            found.truncate(limit);
        }
        if steps_left == 0 {
            break;
        }
    }
    let mut looks_left = MAX_DETOURS;
    for referrer in cut_off {
        match detour(graph, referrer, object, &mut looks_left) {
            Some((steps, first)) if found.len() < limit.max(1) => {
                found.push((extended(graph, steps, referrer, object), first));
            }
            Some(_) => {}
            None => in_cycles += 1,
        }
    }
    if found.is_empty() && graph.referrers(object).is_empty() {
        found.push((Vec::new(), object));
    }
    found.sort_by_key(|(steps, _)| steps.len());
    found.truncate(limit);
    let paths = found
        .iter()
        .map(|(steps, first)| holders::path(heap, holders::start(heap, *first), steps))
        .collect();
    Paths {
        paths,
        referrers: referrers.len(),
        in_cycles,
    }
}

/// `steps`, which lead to `referrer`, and the one from there to `object`.
fn extended(
    graph: &Graph<'_>,
    mut steps: Vec<Step>,
    referrer: ObjectId,
    object: ObjectId,
) -> Vec<Step> {
    let label = graph.edges_of(referrer).find(|edge| edge.0 == object);
    steps.push(Step {
        source: referrer,
        label: label.map_or(Label::new(LabelKind::Unknown, 0), |edge| edge.1),
        object,
    });
    steps
}

/// The shortest way from a root, or from what C code holds, to `object`, without going through
/// `avoided`: backwards from the object, breadth first. `None` if there is none, or it is too far.
fn detour(
    graph: &Graph<'_>,
    object: ObjectId,
    avoided: ObjectId,
    looks_left: &mut usize,
) -> Option<(Vec<Step>, ObjectId)> {
    let mut next = FxHashMap::default();
    next.insert(object, ObjectId::NONE);
    let mut queue = VecDeque::from([object]);
    let most = MAX_DETOUR.min(*looks_left);
    let mut looked_at = 0;
    while let Some(at) = queue.pop_front() {
        let is_root = graph.roots().binary_search(&at).is_ok();
        if is_root || is_held_from_outside(graph, at) || graph.referrers(at).is_empty() {
            let mut steps = Vec::new();
            let mut from = at;
            while let Some(&to) = next.get(&from).filter(|to| **to != ObjectId::NONE) {
                steps = extended(graph, steps, from, to);
                from = to;
            }
            return Some((steps, at));
        }
        for &source in graph.referrers(at) {
            looked_at += 1;
            *looks_left = looks_left.saturating_sub(1);
            if looked_at > most {
                return None;
            }
            if source != avoided && !next.contains_key(&source) {
                next.insert(source, at);
                queue.push_back(source);
            }
        }
    }
    None
}

/// Objects that are held in the same way: by the same types, through the same names, from the same
/// root. Positions in sequences and dictionaries do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedPath {
    /// The way to one of them; if they are several, with `[…]` for the positions.
    pub path: HolderPath,
    /// That object.
    pub example: ObjectId,
    /// How many they are.
    pub count: u64,
    /// Their bytes, without what they hold.
    pub bytes: u64,
    /// The object that holds all of them, where it is one.
    pub holder: Option<ObjectId>,
}

/// The ways to `objects`, those to equal places merged, those with most bytes first.
pub fn merged_paths(graph: &Graph<'_>, objects: &ObjectSet) -> Vec<MergedPath> {
    let heap = graph.heap();
    let mut ways = Ways {
        graph,
        known: FxHashMap::default(),
    };
    let mut rows: FxHashMap<u64, usize> = FxHashMap::default();
    let mut merged: Vec<MergedPath> = Vec::new();
    for object in objects.iter().filter(|one| (one.0 as usize) < graph.len()) {
        let key = ways.key(object);
        let bytes = graph.bytes(object);
        let holder = heap.objects.holder.get(object.0 as usize).copied();
        let holder = holder.filter(|&holder| holder != ObjectId::NONE);
        match rows.get(&key).map(|&row| &mut merged[row]) {
            Some(group) => {
                group.count += 1;
                group.bytes += bytes;
                group.holder = group.holder.filter(|one| Some(*one) == holder);
            }
            None => {
                rows.insert(key, merged.len());
                merged.push(MergedPath {
                    path: holders::holder_path(heap, object),
                    example: object,
                    count: 1,
                    bytes,
                    holder,
                });
            }
        }
    }
    for group in merged.iter_mut().filter(|group| group.count > 1) {
        for segment in &mut group.path.segments {
            if matches!(segment.hop, Hop::Index(_) | Hop::Entry(_)) {
                segment.hop = Hop::Value;
            }
        }
    }
    merged.sort_by_key(|group| std::cmp::Reverse((group.bytes, group.count)));
    merged
}

/// Tells ways apart by a hash. A hop from the same type again and again counts once, and so do two
/// hops in turn: the links of a list are in one place.
struct Ways<'g, 'h> {
    graph: &'g Graph<'h>,
    /// The way to each holder met.
    known: FxHashMap<ObjectId, Way>,
}

/// A way from a root.
#[derive(Clone, Copy, Default)]
struct Way {
    /// The last three hops, the latest first: each one's hash, and that of the way up to it.
    last: [(u64, u64); 3],
}

impl Way {
    fn key(&self) -> u64 {
        self.last[0].1
    }

    /// The way, one hop further.
    fn then(&self, hop: u64) -> Way {
        let [one, two, three] = self.last;
        if hop == one.0 {
            return *self;
        }
        if hop == two.0 && one.0 == three.0 {
            return Way {
                last: [two, three, (0, 0)],
            };
        }
        Way {
            last: [(hop, hash((one.1, hop))), one, two],
        }
    }
}

impl Ways<'_, '_> {
    fn key(&mut self, object: ObjectId) -> u64 {
        let objects = &self.graph.heap().objects;
        // Up to a holder that was met before, or to the first; no way is longer than the heap.
        let mut left = Vec::new();
        let mut at = object;
        let mut way = loop {
            if let Some(&known) = self.known.get(&at) {
                break known;
            }
            left.push(at);
            match objects.holder.get(at.0 as usize) {
                Some(&holder) if holder != ObjectId::NONE && left.len() <= objects.len() => {
                    at = holder;
                }
                _ => break Way::default(),
            }
        };
        for at in left.into_iter().rev() {
            way = way.then(self.hop(at));
            if at != object {
                self.known.insert(at, way);
            }
        }
        way.key()
    }

    /// The hash of how `object` is held; of the root, if it is one.
    fn hop(&self, object: ObjectId) -> u64 {
        let heap = self.graph.heap();
        let (row, objects) = (object.0 as usize, &heap.objects);
        let kind = objects.type_id.get(row);
        let holder = objects.holder.get(row).copied().unwrap_or(ObjectId::NONE);
        if holder == ObjectId::NONE {
            let root = heap.roots.binary_search_by_key(&object, |root| root.object);
            let root = root
                .ok()
                .map(|row| (heap.roots[row].kind, heap.roots[row].name));
            return hash((root, kind));
        }
        let label = objects.holder_label.get(row).copied();
        let label = label.map(|label| match label.kind() {
            LabelKind::Index | LabelKind::Value | LabelKind::KeyObject | LabelKind::Stack => {
                Label::new(label.kind(), 0)
            }
            _ => label,
        });
        hash((objects.type_id.get(holder.0 as usize), label, kind))
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
