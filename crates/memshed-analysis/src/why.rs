//! Why objects are there: what holds them, what would go with them, and which reference to cut.

use crate::diff::Tally;
use crate::dominators::{Dominators, is_held_from_outside};
use crate::graph::Graph;
use crate::holders::{self, HolderPath, Hop, Start, Step, holder_path};
use crate::paths::paths;
use crate::places::{PlaceId, Places};
use crate::set::ObjectSet;
use crate::type_name;
use memshed_heap::{Heap, Label, LabelKind, ObjectId, Objects};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// How much is told.
#[derive(Clone, Copy, Debug)]
pub struct WhyOptions {
    /// Ways from roots at most.
    pub ways: usize,
    /// Types of what would go with the objects, at most.
    pub types: usize,
}

/// One way in which objects are held.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// What it is called; where several objects are held so, indices and keys left out.
    pub name: String,
    /// The way to one of them, whose last hop is the reference in question.
    pub path: HolderPath,
    /// How many of the objects are held so.
    pub objects: u64,
    /// How many are held in no other way.
    pub alone: u64,
    /// Bytes that would be freed, at least, if this reference, or these, were cut, and nothing else.
    pub frees: u64,
    /// How many objects hold them so.
    pub holders: u64,
    /// Bytes of what is held so, with all that goes with it, whether or not it is held otherwise.
    pub bytes: u64,
}

/// An object that alone keeps others alive.
#[derive(Clone, Debug, PartialEq)]
pub struct Keeper {
    /// The object.
    pub object: ObjectId,
    /// The name of its type.
    pub type_name: String,
    /// The way to it.
    pub path: HolderPath,
    /// Bytes that letting go of it would free.
    pub retained: u64,
    /// Whether it is a module or a module's names: nothing that one lets go of.
    pub is_module: bool,
    /// Whether cutting one reference, the last hop of the path, frees it.
    pub one_cut: bool,
}

/// What is known of the references to a single object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// Its reference count; `None` if it is immortal.
    pub count: Option<u32>,
    /// References that are known, from objects and from elsewhere, such as running functions.
    pub known: u64,
    /// Objects that refer to it, but are kept alive by nothing but itself.
    pub in_cycles: u64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The objects themselves; bytes by `sys.getsizeof`.
    pub objects: Tally,
    /// How many of them no root reaches.
    pub unreached: u64,
    /// How many of those more references are counted than known: C code holds them.
    pub held_by_c: u64,
    /// What would go if they went, themselves included; bytes as allocated.
    pub retained: Tally,
    /// The types of that, those with most bytes first.
    pub retained_types: Vec<(String, Tally)>,
    /// The ways in which they are held, those with most bytes first.
    pub ways: Vec<Way>,
    /// Ways left out.
    pub more_ways: u64,
    /// Of a single object.
    pub references: Option<References>,
    /// The nearest object without which all of them would be freed.
    pub keeper: Option<Keeper>,
    /// The nearest above it that one single reference keeps.
    pub cut: Option<Keeper>,
    /// If no root reaches them: a way from one of them back to itself.
    pub cycle: Option<Cycle>,
}

/// A cycle of references.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycle {
    /// An object in it.
    pub object: ObjectId,
    /// The name of its type.
    pub type_name: String,
    /// The way from there back to it, such as `.parent.children[0]`.
    pub hops: Vec<Hop>,
}

/// Why `objects` are there. Takes about 10 bytes for each object of the heap.
pub fn why(
    graph: &Graph<'_>,
    dominators: &Dominators,
    objects: &ObjectSet,
    options: WhyOptions,
) -> Why {
    let heap = graph.heap();
    let inside = Inside::new(graph, dominators, objects);
    let mut tally = Tally::default();
    let (mut unreached, mut held_by_c) = (0, 0);
    for object in objects.iter().filter(|one| (one.0 as usize) < graph.len()) {
        tally.add(1, heap.objects.size.get(object.0 as usize));
        if !graph.reached().contains(object) {
            unreached += 1;
            held_by_c += u64::from(is_held_from_outside(graph, object));
        }
    }
    let single = match tally.count {
        1 => objects.iter().next(),
        _ => None,
    };
    let (ways, more_ways) = match single {
        Some(object) => single_ways(graph, &inside, object, options.ways),
        None => merged_ways(graph, dominators, objects, &inside, options.ways),
    };
    let keeper = common(dominators, objects).map(|one| {
        let owner = owner(graph, dominators, one);
        keeper(graph, dominators, owner)
    });
    let cut = match &keeper {
        Some(keeper) if !keeper.one_cut => one_cut(graph, dominators, keeper.object),
        _ => None,
    };
    Why {
        objects: tally,
        unreached,
        held_by_c,
        retained: inside.total,
        retained_types: inside.heaviest(heap, options.types),
        ways,
        more_ways,
        references: single.map(|object| references(graph, &inside, object)),
        keeper,
        cut,
        cycle: match unreached == tally.count {
            true => cycle(graph, &inside.outermost),
            false => None,
        },
    }
}

/// A shortest way from one of `objects`, which no root reaches, back to itself.
fn cycle(graph: &Graph<'_>, objects: &ObjectSet) -> Option<Cycle> {
    /// Objects that are tried, and objects that are looked at for each, at most.
    const TRIED: usize = 20;
    const FAR: usize = 10_000;
    objects.iter().take(TRIED).find_map(|object| {
        let mut from: FxHashMap<ObjectId, Step> = FxHashMap::default();
        let mut queue = VecDeque::from([object]);
        while let Some(source) = queue.pop_front() {
            for (target, label) in graph.edges_of(source) {
                if from.len() > FAR || graph.reached().contains(target) {
                    continue;
                }
                let step = Step {
                    source,
                    label,
                    object: target,
                };
                if target == object {
                    return Some(closed(graph.heap(), step, &from));
                }
                from.entry(target).or_insert_with(|| {
                    queue.push_back(target);
                    step
                });
            }
        }
        None
    })
}

/// The cycle that `last` closes.
fn closed(heap: &Heap, last: Step, from: &FxHashMap<ObjectId, Step>) -> Cycle {
    let object = last.object;
    let mut steps = vec![last];
    while let Some(step) = steps.last().and_then(|step| from.get(&step.source)) {
        steps.push(*step);
        if step.source == object {
            break;
        }
    }
    steps.reverse();
    let start = Start::Nowhere;
    let path = holders::path(heap, start, &steps);
    Cycle {
        object,
        type_name: type_name(heap, object).to_owned(),
        hops: path
            .segments
            .into_iter()
            .map(|segment| segment.hop)
            .collect(),
    }
}

/// What would go with the objects.
struct Inside {
    set: ObjectSet,
    /// Those of the objects that no other of them dominates.
    outermost: ObjectSet,
    total: Tally,
    by_type: Vec<Tally>,
}

impl Inside {
    fn new(graph: &Graph<'_>, dominators: &Dominators, objects: &ObjectSet) -> Inside {
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

    fn heaviest(&self, heap: &Heap, limit: usize) -> Vec<(String, Tally)> {
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

fn is_root(graph: &Graph<'_>, object: ObjectId) -> bool {
    graph.roots().binary_search(&object).is_ok()
}

/// The objects that refer to `object` from elsewhere, each once.
fn outside_referrers(graph: &Graph<'_>, inside: &Inside, object: ObjectId) -> Vec<ObjectId> {
    let mut referrers = graph.referrers(object).to_vec();
    referrers.dedup();
    referrers.retain(|&referrer| !inside.set.contains(referrer));
    referrers
}

fn references(graph: &Graph<'_>, inside: &Inside, object: ObjectId) -> References {
    let heap = graph.heap();
    let count = heap.objects.refcount.get(object.0 as usize).copied();
    let outer = &heap.outer_references;
    let outer = outer.binary_search_by_key(&object, |(object, _)| *object);
    let outer = outer.map_or(0, |row| u64::from(heap.outer_references[row].1));
    // At least the one that makes it a root.
    let outer = outer.max(u64::from(is_root(graph, object)));
    let mut cyclic = graph.referrers(object).to_vec();
    cyclic.dedup();
    cyclic.retain(|&referrer| inside.set.contains(referrer));
    References {
        count: count.filter(|&count| count != Objects::IMMORTAL),
        known: graph.referrers(object).len() as u64 + outer,
        in_cycles: cyclic.len() as u64,
    }
}

/// The ways to one object: one for each that refers to it, and itself if it is a root.
fn single_ways(
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

/// One group of references to the objects.
#[derive(Clone)]
struct Group {
    /// An example: who refers to whom.
    holder: ObjectId,
    label: Label,
    object: ObjectId,
    objects: u64,
    alone: u64,
    frees: u64,
    holders: u64,
    bytes: u64,
    /// Neighbours, so that each is counted once.
    last_holder: ObjectId,
    last_object: ObjectId,
}

/// An object that several groups hold.
const SEVERAL: u32 = u32::MAX - 1;
const NOBODY: u32 = u32::MAX;

/// The ways to many objects, merged by place. References from what would go with them do not
/// count.
fn merged_ways(
    graph: &Graph<'_>,
    dominators: &Dominators,
    objects: &ObjectSet,
    inside: &Inside,
    limit: usize,
) -> (Vec<Way>, u64) {
    let heap = graph.heap();
    let mut places = Places::new(heap);
    let mut groups: Vec<Group> = Vec::new();
    let mut by_place: FxHashMap<PlaceId, u32> = FxHashMap::default();
    // The group that holds each object.
    let mut held_by: Vec<u32> = vec![NOBODY; graph.len()];
    let mut add = |place, step: Step, groups: &mut Vec<Group>| {
        let (holder, object) = (step.source, step.object);
        let at = *by_place.entry(place).or_insert_with(|| {
            groups.push(Group {
                holder,
                label: step.label,
                object,
                objects: 0,
                alone: 0,
                frees: 0,
                holders: 0,
                bytes: 0,
                last_holder: ObjectId::NONE,
                last_object: ObjectId::NONE,
            });
            groups.len() as u32 - 1
        });
        let group = &mut groups[at as usize];
        let again = group.last_holder == holder && group.last_object == object;
        if group.last_holder != holder {
            group.holders += 1;
        }
        (group.last_holder, group.last_object) = (holder, object);
        let by = &mut held_by[object.0 as usize];
        match *by {
            NOBODY => *by = at,
            before if before == at || again => return,
            _ => *by = SEVERAL,
        }
        group.objects += 1;
        group.bytes = group.bytes.saturating_add(dominators.retained(object));
    };
    for &root in graph.roots().iter().filter(|root| objects.contains(**root)) {
        let step = Step {
            source: ObjectId::NONE,
            label: Label(0),
            object: root,
        };
        add(places.of_root(root), step, &mut groups);
    }
    for holder in (0..graph.len() as u32).map(ObjectId) {
        if inside.set.contains(holder) {
            continue;
        }
        for (object, label) in graph.edges_of(holder) {
            if objects.contains(object) {
                let step = Step {
                    source: holder,
                    label,
                    object,
                };
                add(places.through(holder, label, object), step, &mut groups);
            }
        }
    }
    for object in objects.iter() {
        let Some(&by) = held_by.get(object.0 as usize) else {
            continue;
        };
        if let Some(group) = groups.get_mut(by as usize) {
            group.alone += 1;
            if inside.outermost.contains(object) {
                group.frees = group.frees.saturating_add(dominators.retained(object));
            }
        }
    }
    groups.sort_by_key(|group| (Reverse(group.bytes), Reverse(group.objects), group.object));
    let more = groups.len().saturating_sub(limit) as u64;
    groups.truncate(limit);
    let way = |group: Group| {
        let mut path = path_through(heap, &group);
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
    if let ([only], 0) = (ways.as_mut_slice(), more) {
        // Also what several of the objects keep alive together.
        only.frees = inside.total.bytes;
    }
    // What nothing outside refers to: garbage.
    let left = |one: &ObjectId| held_by.get(one.0 as usize) == Some(&NOBODY);
    let loose = inside.outermost.iter().filter(left);
    let loose = loose.filter(|one| !graph.reached().contains(*one));
    let (mut count, mut frees, mut example) = (0, 0u64, None);
    for object in loose {
        count += 1;
        frees = frees.saturating_add(dominators.retained(object));
        example.get_or_insert(object);
    }
    if let Some(object) = example {
        let mut path = holder_path(heap, object);
        path.segments.clear();
        ways.push(Way {
            name: path.to_string(),
            path,
            objects: count,
            alone: count,
            frees,
            holders: 0,
            bytes: frees,
        });
    }
    (ways, more)
}

/// The way to the example of a group, by the reference in question.
fn path_through(heap: &Heap, group: &Group) -> HolderPath {
    let object = group.object;
    if group.holder == ObjectId::NONE {
        return holders::path(heap, holders::start(heap, object), &[]);
    }
    let Some((mut steps, first)) = holders::climb(heap, group.holder) else {
        return holder_path(heap, object);
    };
    steps.push(Step {
        source: group.holder,
        label: group.label,
        object,
    });
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

/// The nearest object that dominates all of `objects`, none of them itself. Each object on the way
/// up is passed once.
fn common(dominators: &Dominators, objects: &ObjectSet) -> Option<ObjectId> {
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
fn owner(graph: &Graph<'_>, dominators: &Dominators, object: ObjectId) -> ObjectId {
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

fn keeper(graph: &Graph<'_>, dominators: &Dominators, object: ObjectId) -> Keeper {
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
fn one_cut(graph: &Graph<'_>, dominators: &Dominators, object: ObjectId) -> Option<Keeper> {
    const FAR: usize = 32;
    let ways = std::iter::successors(Some(object), |&at| dominators.dominator(at));
    let below = ways
        .take(FAR)
        .take_while(|&at| !is_module(graph.heap(), at));
    let mut single = below.filter(|&at| ways_in(graph, dominators, at) == Some(1));
    let found = single.next()?;
    (!is_root(graph, found)).then(|| keeper(graph, dominators, found))
}
