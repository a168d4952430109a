//! Containers whose content stays and goes on growing.
//!
//! Everything that was made since the first look hangs, by the column of holders, below something
//! that was there before: what holds it is where things were added. Those places are taken
//! together where they are the same but for an index, and judged by the cohorts of what they keep.

use crate::cohorts::Cohorts;
use crate::holders::{Start, holder_path};
use crate::places::{PlaceId, Places, way_to};
use crate::type_name;
use memshed_heap::{Heap, Label, LabelKind, ObjectId, RootKind};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::hash_map::Entry;

/// Places that are looked at more closely, those with most bytes first.
const MOST_PLACES: usize = 20_000;
/// Names added to one namespace that count as one place.
const MANY_NAMES: usize = 8;
/// A thing that is added as often as this to a place makes it a container of such things.
const FEW: u64 = 4;
/// How deep below a place its content is followed.
const DEEPEST: usize = 12;

/// Bytes and counts by the look that first saw what they count.
#[derive(Clone, Debug, Default)]
pub struct Ages {
    /// Objects by look.
    pub count: Vec<u64>,
    /// Their bytes, and those by which old objects' own memory grew.
    pub bytes: Vec<u64>,
    own: u64,
}

impl Ages {
    /// Adds objects that a look was the first to see, and bytes.
    pub(crate) fn add(&mut self, look: usize, count: u64, bytes: u64) {
        if self.bytes.len() <= look {
            self.bytes.resize(look + 1, 0);
            self.count.resize(look + 1, 0);
        }
        self.count[look] += count;
        if count == 0 {
            self.own = self.own.saturating_add(bytes);
        }
        self.bytes[look] = self.bytes[look].saturating_add(bytes);
    }

    /// Takes bytes off again.
    fn take(&mut self, look: usize, bytes: u64) {
        if let Some(sum) = self.bytes.get_mut(look) {
            *sum = sum.saturating_sub(bytes);
        }
    }

    fn join(&mut self, other: &Ages) {
        let own = self.own.saturating_add(other.own);
        for look in 0..other.bytes.len() {
            self.add(look, other.count[look], other.bytes[look]);
        }
        self.own = own;
    }

    /// Bytes by which objects that were there before have grown themselves.
    pub fn own(&self) -> u64 {
        self.own
    }

    /// Objects since the first look.
    pub fn objects(&self) -> u64 {
        self.count.iter().skip(1).sum()
    }

    /// Bytes since the first look.
    pub fn total(&self) -> u64 {
        self.bytes.iter().skip(1).sum()
    }

    /// Whether something was added, and stayed, throughout the looks at those `times` (seconds):
    /// neither at the beginning alone nor since the last time that it was emptied; every now and
    /// then will do, as a job does that runs once a minute. What the last look saw first may be on
    /// its way through, and does not count.
    pub fn is_steady(&self, times: &[f64]) -> bool {
        let looks = times.len();
        if looks < 4 {
            return false;
        }
        let rate = |look: usize| {
            let bytes = self.bytes.get(look).copied().unwrap_or(0) as f64;
            bytes / (times[look] - times[look - 1]).max(1e-3)
        };
        let rates: Vec<f64> = (1..looks - 1).map(rate).collect();
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let all = mean(&rates);
        let third = rates.len().div_ceil(3);
        let (early, late) = (&rates[..third], &rates[rates.len() - third..]);
        let lively: Vec<usize> = (0..rates.len())
            .filter(|&i| rates[i] >= 0.2 * all)
            .collect();
        // As long as nothing came in between, nothing may have come before and after.
        let longest = lively.windows(2).map(|pair| pair[1] - pair[0]).max();
        let some = |rate: &f64| *rate >= 0.05 * all;
        let before = rates.iter().position(some).unwrap_or(0);
        let after = rates.iter().rev().position(some).unwrap_or(0);
        all > 0.0
            && lively.len() >= 3.min(rates.len())
            && before.max(after) < longest.unwrap_or(1)
            && mean(early) >= 0.25 * all
            && mean(late) >= 0.25 * all
    }
}

/// A place that grows.
#[derive(Clone, Debug)]
pub struct Place {
    /// The container; `NONE` where nothing that is known of holds what was added.
    pub container: ObjectId,
    /// How one of what was added hangs below it.
    pub sample: ObjectId,
    /// The way to the container, with `[…]` for positions that differ: `app.SESSIONS[…].log`.
    pub pattern: String,
    /// How many containers of that pattern.
    pub containers: u64,
    /// Things added directly.
    pub added: u64,
    /// How many objects the containers held at each look, if all are as old as the first one, and
    /// hold enough that it is known.
    pub held: Option<Vec<u32>>,
    /// Their types, and how many of each; most first.
    pub added_types: Vec<(String, u64)>,
    /// All objects that came with them, by type: name, count, bytes; most bytes first.
    pub types: Vec<(String, u64, u64)>,
    /// All of it by age.
    pub ages: Ages,
}

/// Where things were added: an object, and the label below it unless that is a position.
type Key = (ObjectId, u32);

#[derive(Clone, Debug, Default)]
struct Sums {
    ages: Ages,
    /// A direct one, the one with most bytes of its own.
    sample: Option<(u64, ObjectId)>,
    added: u64,
}

/// The places where things were added since the first look and are still held, those with most
/// bytes first.
pub fn places(heap: &Heap, cohorts: &Cohorts) -> Vec<Place> {
    let tops = Tops::find(heap, cohorts);
    let mut sums = tops.sums(heap, cohorts);
    own_growth(heap, cohorts, &tops, &mut sums);
    replaced(heap, cohorts, &tops, &mut sums);
    join_names(&mut sums);
    let mut list: Vec<(Key, Sums)> = sums.into_iter().collect();
    list.sort_by_key(|(key, sums)| (Reverse(sums.ages.total()), *key));
    list.truncate(MOST_PLACES);
    let mut members = tops.members(heap, cohorts, &list);
    let mut alike = Places::new(heap);
    let mut by_place: FxHashMap<PlaceId, Place> = FxHashMap::default();
    for (key, sums) in &list {
        let members = members.remove(key).unwrap_or_default();
        let mut place = place(heap, &tops, key, sums, &members);
        if place.container == key.0 {
            place.held = cohorts.held(heap, key.0);
        }
        match by_place.entry(alike.of(place.container)) {
            Entry::Occupied(mut known) => known.get_mut().join(place),
            Entry::Vacant(free) => {
                free.insert(place);
            }
        }
    }
    let mut places: Vec<Place> = by_place.into_values().collect();
    places.sort_by(|a, b| {
        let key = |p: &Place| (Reverse(p.ages.total()), p.container);
        key(a).cmp(&key(b)).then_with(|| a.pattern.cmp(&b.pattern))
    });
    places
}

/// Of each object that was made since the first look, the topmost one that holds it and was made
/// since, too.
struct Tops(Vec<ObjectId>);

impl Tops {
    fn find(heap: &Heap, cohorts: &Cohorts) -> Tops {
        let objects = &heap.objects;
        let mut tops = vec![ObjectId::NONE; objects.len()];
        let mut way = Vec::new();
        for row in 0..objects.len() as u32 {
            let mut at = ObjectId(row);
            if cohorts.born(at) == 0 || tops[row as usize] != ObjectId::NONE {
                continue;
            }
            let top = loop {
                if tops[at.0 as usize] != ObjectId::NONE {
                    break tops[at.0 as usize];
                }
                way.push(at);
                let holder = objects.holder[at.0 as usize];
                let is_new = (holder.0 as usize) < objects.len() && cohorts.born(holder) > 0;
                // A garbled file's holders may go in a circle.
                if !is_new || way.len() > objects.len() {
                    break at;
                }
                at = holder;
            };
            for one in way.drain(..) {
                tops[one.0 as usize] = top;
            }
        }
        Tops(tops)
    }

    /// The place where the topmost object hangs: below another object, or among the roots of one
    /// name, such as what was registered with `atexit`.
    fn key(&self, heap: &Heap, top: ObjectId) -> Key {
        let row = top.0 as usize;
        let holder = heap.objects.holder[row];
        if holder == ObjectId::NONE {
            let root = heap.roots.binary_search_by_key(&top, |root| root.object);
            let root = root.ok().map(|row| &heap.roots[row]);
            let label = root.map_or(0, |root| match root.kind {
                RootKind::Module => MODULES,
                _ => root.name.0 + 1,
            });
            return (holder, label);
        }
        (holder, place_label(heap.objects.holder_label[row]))
    }

    fn sums(&self, heap: &Heap, cohorts: &Cohorts) -> FxHashMap<Key, Sums> {
        let mut sums: FxHashMap<Key, Sums> = FxHashMap::default();
        for (row, &top) in self.0.iter().enumerate() {
            if top == ObjectId::NONE {
                continue;
            }
            let object = ObjectId(row as u32);
            let bytes = bytes_of(heap, row);
            let sum = sums.entry(self.key(heap, top)).or_default();
            sum.ages.add(cohorts.born(object), 1, bytes);
            if object == top {
                sum.added += 1;
                if sum.sample.is_none_or(|(most, _)| bytes > most) {
                    sum.sample = Some((bytes, object));
                }
            }
        }
        sums
    }

    /// What was added to each of the places of `list`.
    fn members(
        &self,
        heap: &Heap,
        cohorts: &Cohorts,
        list: &[(Key, Sums)],
    ) -> FxHashMap<Key, Vec<ObjectId>> {
        let wanted: FxHashSet<Key> = list.iter().map(|(key, _)| *key).collect();
        let many: FxHashSet<ObjectId> = list
            .iter()
            .filter(|((_, label), _)| *label == ANY_NAME)
            .map(|((holder, _), _)| *holder)
            .collect();
        let mut members: FxHashMap<Key, Vec<ObjectId>> = FxHashMap::default();
        for (row, &top) in self.0.iter().enumerate() {
            let object = ObjectId(row as u32);
            if top == ObjectId::NONE || cohorts.born(object) == 0 {
                continue;
            }
            let (holder, label) = self.key(heap, top);
            let key = match many.contains(&holder) && label != 0 {
                true => (holder, ANY_NAME),
                false => (holder, label),
            };
            if wanted.contains(&key) {
                members.entry(key).or_default().push(object);
            }
        }
        members
    }
}

/// Stands for any of many names.
const ANY_NAME: u32 = u32::MAX;
/// Stands for `sys.modules`: its members are roots.
const MODULES: u32 = u32::MAX - 1;

/// What of a label tells places apart: names do, positions do not.
fn place_label(label: Label) -> u32 {
    match label.name() {
        Some(_) if label.kind() != LabelKind::KeyObject => label.0,
        _ => 0,
    }
}

fn bytes_of(heap: &Heap, row: usize) -> u64 {
    heap.objects.allocated.get(row)
}

/// Adds by how much the own memory of objects that were there before has grown.
fn own_growth(heap: &Heap, cohorts: &Cohorts, tops: &Tops, sums: &mut FxHashMap<Key, Sums>) {
    for address in cohorts.growing() {
        let row = heap.objects.address.lower_bound(address);
        if row >= heap.objects.len() || heap.objects.address.get(row) != address {
            continue;
        }
        let object = ObjectId(row as u32);
        // Of a new object all bytes count already.
        if tops.0[row] != ObjectId::NONE {
            continue;
        }
        let sum = sums.entry((object, 0)).or_default();
        for &(look, bytes) in cohorts.grown(heap, object) {
            sum.ages.add(look.into(), 0, bytes);
        }
    }
}

/// What a large object that took the place of a smaller one has grown by: it is new, and so are all of
/// its bytes, but those of the one before went.
fn replaced(heap: &Heap, cohorts: &Cohorts, tops: &Tops, sums: &mut FxHashMap<Key, Sums>) {
    for (row, &top) in tops.0.iter().enumerate() {
        let object = ObjectId(row as u32);
        if top != object {
            continue;
        }
        let Some(history) = cohorts.replaced(heap, object) else {
            continue;
        };
        let born = cohorts.born(object);
        let Some(sum) = sums.get_mut(&tops.key(heap, top)) else {
            continue;
        };
        sum.ages.take(born, bytes_of(heap, row));
        for (look, bytes) in history {
            sum.ages.add(look.into(), 0, bytes);
        }
    }
}

/// Makes one place of a namespace to which many names were added.
fn join_names(sums: &mut FxHashMap<Key, Sums>) {
    let mut names: FxHashMap<ObjectId, Vec<u32>> = FxHashMap::default();
    for &(holder, label) in sums.keys() {
        if label != 0 && holder != ObjectId::NONE {
            names.entry(holder).or_default().push(label);
        }
    }
    for (holder, labels) in names {
        if labels.len() < MANY_NAMES {
            continue;
        }
        let mut joined = Sums::default();
        for label in labels {
            let one = sums.remove(&(holder, label)).unwrap_or_default();
            joined.ages.join(&one.ages);
            joined.added += one.added;
            joined.sample = joined.sample.max(one.sample);
        }
        sums.insert((holder, ANY_NAME), joined);
    }
}

fn place(heap: &Heap, tops: &Tops, key: &Key, sums: &Sums, members: &[ObjectId]) -> Place {
    let (mut container, label) = *key;
    let mut direct: Vec<ObjectId> = members
        .iter()
        .copied()
        .filter(|&object| tops.0[object.0 as usize] == object)
        .collect();
    // A container that was itself replaced (`x = x + [y]`) hangs below its old place alone.
    if label != 0 && label != ANY_NAME || direct.len() == 1 {
        (container, direct) = descend(heap, container, direct, members);
    }
    // Roots are held by nobody: the way to one of them says what they are. And what stands under a
    // name of its own is itself what grows.
    let alone = direct.len() == 1 && container == key.0 && label != ANY_NAME;
    if (container == ObjectId::NONE || alone) && label != 0 {
        container = direct.first().copied().unwrap_or(container);
    }
    // An entry of a dictionary is one thing, not two.
    let is_key = |object: &ObjectId| {
        let label = heap.objects.holder_label[object.0 as usize];
        label.kind() == LabelKind::KeyObject
    };
    let keys = direct.iter().filter(|object| is_key(object)).count();
    if keys <= 2 * (direct.len() - keys) {
        direct.retain(|object| !is_key(object));
    } else if keys > 0 {
        // Most values are objects that everybody shares, such as small numbers.
        direct.retain(is_key);
    }
    let mut added: FxHashMap<&str, u64> = FxHashMap::default();
    for &object in &direct {
        *added.entry(type_name(heap, object)).or_default() += 1;
    }
    let mut types: FxHashMap<&str, (u64, u64)> = FxHashMap::default();
    for &object in members {
        let sum = types.entry(type_name(heap, object)).or_default();
        sum.0 += 1;
        sum.1 = sum.1.saturating_add(bytes_of(heap, object.0 as usize));
    }
    let sample = direct
        .iter()
        .max_by_key(|object| bytes_of(heap, object.0 as usize));
    let sample = sample.copied().or(sums.sample.map(|(_, object)| object));
    Place {
        container,
        sample: sample.unwrap_or(ObjectId::NONE),
        pattern: match (key.0, label) {
            (ObjectId::NONE, MODULES) => "sys.modules".to_owned(),
            _ => way_to(heap, container),
        },
        containers: 1,
        held: None,
        added: direct.len() as u64,
        added_types: counted(added),
        types: weighed(types),
        ages: sums.ages.clone(),
    }
}

/// Follows what was added down to where it fans out.
fn descend(
    heap: &Heap,
    container: ObjectId,
    direct: Vec<ObjectId>,
    members: &[ObjectId],
) -> (ObjectId, Vec<ObjectId>) {
    if direct.len() as u64 > FEW || members.len() <= direct.len() {
        return (container, direct);
    }
    // Bytes of what hangs below each member, from the leaves up.
    let among: FxHashMap<ObjectId, usize> = members.iter().copied().zip(0..).collect();
    let mut below: Vec<u64> = members
        .iter()
        .map(|m| bytes_of(heap, m.0 as usize))
        .collect();
    let mut children: Vec<Vec<ObjectId>> = vec![Vec::new(); members.len()];
    let mut order = Vec::with_capacity(members.len());
    for &member in members {
        let holder = heap.objects.holder[member.0 as usize];
        if let Some(&row) = among.get(&holder) {
            children[row].push(member);
        }
    }
    let mut stack = direct.clone();
    while let Some(one) = stack.pop() {
        if order.len() > members.len() {
            break;
        }
        order.push(one);
        stack.extend(among.get(&one).into_iter().flat_map(|&row| &children[row]));
    }
    for one in order.iter().rev() {
        let holder = heap.objects.holder[one.0 as usize];
        if let (Some(&own), Some(&up)) = (among.get(one), among.get(&holder)) {
            below[up] = below[up].saturating_add(below[own]);
        }
    }
    let weight = |one: &ObjectId| among.get(one).map_or(0, |&row| below[row]);
    let (mut container, mut direct) = (container, direct);
    for _ in 0..DEEPEST {
        let all: u64 = direct.iter().map(weight).sum();
        let Some(heaviest) = direct.iter().max_by_key(|one| weight(one)).copied() else {
            break;
        };
        let own = &children[among[&heaviest]];
        let few = direct.len() as u64 <= FEW && weight(&heaviest) * 10 >= all * 6;
        if !few || own.is_empty() {
            break;
        }
        container = heaviest;
        direct = own.clone();
    }
    (container, direct)
}

impl Place {
    fn join(&mut self, other: Place) {
        self.ages.join(&other.ages);
        self.containers += other.containers;
        self.held = match (self.held.take(), other.held) {
            (Some(mut held), Some(others)) => {
                for (sum, more) in held.iter_mut().zip(others) {
                    *sum = sum.saturating_add(more);
                }
                Some(held)
            }
            _ => None,
        };
        self.added += other.added;
        let mut added: FxHashMap<String, u64> =
            std::mem::take(&mut self.added_types).into_iter().collect();
        for (name, count) in other.added_types {
            *added.entry(name).or_default() += count;
        }
        self.added_types = counted(added);
        let types = std::mem::take(&mut self.types).into_iter();
        let mut types: FxHashMap<String, (u64, u64)> = types.map(|(n, c, b)| (n, (c, b))).collect();
        for (name, count, bytes) in other.types {
            let sum = types.entry(name).or_default();
            sum.0 += count;
            sum.1 = sum.1.saturating_add(bytes);
        }
        self.types = weighed(types);
    }

    /// The kind of the root that holds the container.
    pub fn root(&self, heap: &Heap) -> RootKind {
        match holder_path(heap, self.container).start {
            Start::Root { kind, .. } => kind,
            _ => RootKind::Unreached,
        }
    }
}

fn counted<S: Into<String>>(sums: FxHashMap<S, u64>) -> Vec<(String, u64)> {
    let mut list: Vec<(String, u64)> = sums.into_iter().map(|(n, c)| (n.into(), c)).collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list
}

fn weighed<S: Into<String>>(sums: FxHashMap<S, (u64, u64)>) -> Vec<(String, u64, u64)> {
    let list = sums.into_iter().map(|(n, (c, b))| (n.into(), c, b));
    let mut list: Vec<(String, u64, u64)> = list.collect();
    list.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    list
}
