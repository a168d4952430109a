//! Garbage by component, and components of the same kind together.

use super::cut::{self, Knot};
use super::unreachable::FROZEN;
use super::{CycleGroup, Remedy, TypeAmount, Uncollected};
use crate::components::{Components, components};
use crate::graph::Graph;
use crate::set::ObjectSet;
use crate::type_name;
use memshed_heap::{Label, LabelKind, ObjectId, Objects, StringId, TypeId};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::cmp::Reverse;
use std::hash::{Hash, Hasher};

/// Kinds of cycles that are looked at closely, those with most bytes first.
const MAX_KINDS: usize = 1000;
/// Types with support for the collector whose instances it stops tracking where it can.
const UNTRACKED_AT_TIMES: [&str; 4] = ["tuple", "dict", "frozendict", "frame"];
/// Names of what is itself in a cycle that are told at most.
const MAX_NAMES: usize = 10;

/// The cycles in all garbage, those of one kind together, those with most bytes first.
pub(super) fn groups(
    graph: &Graph<'_>,
    collectable: &ObjectSet,
    freed: &ObjectSet,
    stuck: &ObjectSet,
) -> Vec<CycleGroup> {
    let mut all = collectable.clone();
    for object in freed.iter().chain(stuck.iter()) {
        all.insert(object);
    }
    if all.is_empty() {
        return Vec::new();
    }
    let found = components(graph, &all, |_, _, _| true);
    let supports_gc = match stuck.is_empty() {
        true => Vec::new(),
        false => types_with_gc(graph),
    };
    let mut sorter = Sorter {
        graph,
        found: &found,
        stuck,
        supports_gc,
        kinds: Vec::new(),
        by_shape: FxHashMap::default(),
    };
    sorter.sort();
    let mut kinds = sorter.kinds;
    kinds.sort_by_key(|kind| Reverse((kind.bytes, kind.cycles)));
    kinds.truncate(MAX_KINDS);
    let groups = kinds.into_iter().map(|kind| kind.group(graph, &found));
    merged(groups)
}

/// Groups with the same reference to break are one: their cycles differ in what else is in them.
fn merged(groups: impl Iterator<Item = CycleGroup>) -> Vec<CycleGroup> {
    let mut rows = FxHashMap::default();
    let mut merged: Vec<CycleGroup> = Vec::new();
    for group in groups {
        let key = group.cut.as_ref().filter(|cut| cut.breaks_all);
        let key = key.map(|cut| (cut.to_string(), std::mem::discriminant(&group.reason)));
        let row = key.as_ref().and_then(|key| rows.get(key).copied());
        match (row, key) {
            (Some(row), _) => add(&mut merged[row], group),
            (None, key) => {
                key.map(|key| rows.insert(key, merged.len()));
                merged.push(group);
            }
        }
    }
    merged.sort_by_key(|group| Reverse((group.bytes, group.cycles)));
    merged
}

fn add(group: &mut CycleGroup, other: CycleGroup) {
    group.cycles += other.cycles;
    group.nested += other.nested;
    group.members += other.members;
    group.objects += other.objects;
    group.bytes += other.bytes;
    for (sum, more) in group.generations.iter_mut().zip(other.generations) {
        *sum += more;
    }
    add_types(&mut group.types, other.types);
    add_types(&mut group.held, other.held);
    group.held.sort_by_key(|amount| Reverse(amount.bytes));
    for name in other.finalizers {
        if !group.finalizers.contains(&name) {
            group.finalizers.push(name);
        }
    }
    group.guessed |= other.guessed;
}

fn add_types(types: &mut Vec<TypeAmount>, more: Vec<TypeAmount>) {
    for amount in more {
        match types.iter_mut().find(|one| one.name == amount.name) {
            Some(one) => {
                one.count += amount.count;
                one.bytes += amount.bytes;
            }
            None => types.push(amount),
        }
    }
}

/// Of each type: whether one of its objects is tracked by the collector.
fn types_with_gc(graph: &Graph<'_>) -> Vec<bool> {
    let heap = graph.heap();
    let mut tracked: Vec<bool> = heap
        .types
        .iter()
        .map(|kind| UNTRACKED_AT_TIMES.contains(&heap.strings.get(kind.name)))
        .collect();
    let rows = heap.objects.type_id.iter().zip(&heap.objects.generation);
    for (type_id, &generation) in rows {
        if generation != Objects::UNTRACKED
            && let Some(tracked) = tracked.get_mut(type_id.0 as usize)
        {
            *tracked = true;
        }
    }
    tracked
}

/// What keeps a cycle, as far as that tells kinds of cycles apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Keeper {
    /// Nothing: the collector would find it.
    Nothing,
    Frozen,
    TypesWithoutGc(Vec<String>),
}

/// Cycles of the same kind.
#[derive(Default)]
struct Kind {
    keeper: Option<Keeper>,
    cycles: u64,
    nested: u64,
    members: u64,
    objects: u64,
    bytes: u64,
    generations: [u64; 5],
    guessed: bool,
    types: FxHashMap<TypeId, (u64, u64)>,
    held: FxHashMap<TypeId, (u64, u64)>,
    /// The component with the fewest objects.
    example: u32,
    example_members: usize,
}

struct Sorter<'g, 'h> {
    graph: &'g Graph<'h>,
    found: &'g Components,
    stuck: &'g ObjectSet,
    supports_gc: Vec<bool>,
    kinds: Vec<Kind>,
    by_shape: FxHashMap<(u64, Keeper), usize>,
}

impl Sorter<'_, '_> {
    /// Goes through the components from the outermost to the innermost. What is in no cycle is
    /// counted to the cycle that holds it, the first if there are several.
    fn sort(&mut self) {
        const NONE: u32 = u32::MAX;
        let mut owner = vec![NONE; self.found.len()];
        for component in (0..self.found.len() as u32).rev() {
            let members = self.found.members(component);
            let above = owner[component as usize];
            let keeper = match self.is_cycle(members) {
                true => self.keeper(members),
                false => None,
            };
            let row = match keeper {
                Some(keeper) => {
                    let row = self.cycle(component, keeper);
                    self.kinds[row].nested += u64::from(above != NONE);
                    row as u32
                }
                None => above,
            };
            if row == NONE {
                continue;
            }
            self.kinds[row as usize].hold(self.graph, members);
            for &source in members {
                for (target, _) in self.graph.edges_of(source) {
                    if let Some(below) = self.found.of(target) {
                        let owner = &mut owner[below as usize];
                        if *owner == NONE && below != component {
                            *owner = row;
                        }
                    }
                }
            }
        }
    }

    fn is_cycle(&self, members: &[ObjectId]) -> bool {
        match members {
            [one] => self.graph.edges_of(*one).any(|(target, _)| target == *one),
            _ => true,
        }
    }

    /// What keeps the cycle of `members`; `None` if it is not a cycle by itself that does: garbage
    /// only because of another.
    fn keeper(&self, members: &[ObjectId]) -> Option<Keeper> {
        let objects = &self.graph.heap().objects;
        if !members.iter().any(|&member| self.stuck.contains(member)) {
            return Some(Keeper::Nothing);
        }
        let rows = || members.iter().map(|member| member.0 as usize);
        let mut types: Vec<TypeId> = rows()
            .filter(|&row| objects.generation.get(row) == Some(&Objects::UNTRACKED))
            .filter_map(|row| objects.type_id.get(row).copied())
            .filter(|id| self.supports_gc.get(id.0 as usize) == Some(&false))
            .collect();
        types.sort_unstable();
        types.dedup();
        if !types.is_empty() {
            let names = types.iter().map(|&id| name_of(self.graph, id).to_owned());
            return Some(Keeper::TypesWithoutGc(names.collect()));
        }
        let frozen = |row: usize| objects.generation.get(row) == Some(&FROZEN);
        rows().any(frozen).then_some(Keeper::Frozen)
    }

    /// Counts a cycle, and returns the row of its kind.
    fn cycle(&mut self, component: u32, keeper: Keeper) -> usize {
        let members = self.found.members(component);
        let (shape, guessed) = self.shape(component);
        let row = *self
            .by_shape
            .entry((shape, keeper.clone()))
            .or_insert_with(|| {
                self.kinds.push(Kind {
                    keeper: Some(keeper),
                    example_members: usize::MAX,
                    ..Kind::default()
                });
                self.kinds.len() - 1
            });
        let kind = &mut self.kinds[row];
        kind.cycles += 1;
        kind.members += members.len() as u64;
        kind.guessed |= guessed;
        if members.len() < kind.example_members {
            (kind.example, kind.example_members) = (component, members.len());
        }
        let objects = &self.graph.heap().objects;
        for &member in members {
            let row = member.0 as usize;
            let generation = objects.generation.get(row).map_or(4, |&g| g.min(4));
            kind.generations[usize::from(generation)] += 1;
            if let Some(&id) = objects.type_id.get(row) {
                let amount = kind.types.entry(id).or_default();
                *amount = (amount.0 + 1, amount.1 + self.graph.bytes(member));
            }
        }
        row
    }

    /// A hash of which types hold which by what names, and whether one of the references is only a
    /// possible one. Numbers do not count: a ring of three is like a ring of four.
    fn shape(&self, component: u32) -> (u64, bool) {
        let type_of = |object: ObjectId| {
            let id = self.graph.heap().objects.type_id.get(object.0 as usize)?;
            let kind = self.graph.heap().types.get(id.0 as usize)?;
            Some(kind.name)
        };
        let mut seen: FxHashSet<(Option<StringId>, Label, Option<StringId>)> = FxHashSet::default();
        let mut guessed = false;
        for &source in self.found.members(component) {
            for (target, label) in self.graph.edges_of(source) {
                if self.found.of(target) == Some(component) {
                    guessed |= label.kind() == LabelKind::Possible;
                    seen.insert((type_of(source), without_position(label), type_of(target)));
                }
            }
        }
        let hashes = seen.iter().map(|edge| {
            let mut hasher = FxHasher::default();
            edge.hash(&mut hasher);
            hasher.finish()
        });
        // The order does not count.
        (hashes.fold(0, u64::wrapping_add), guessed)
    }
}

/// A label without what tells one element of a container from another.
pub(super) fn without_position(label: Label) -> Label {
    match label.kind() {
        LabelKind::Value | LabelKind::KeyObject | LabelKind::Index | LabelKind::Stack => {
            Label::new(label.kind(), 0)
        }
        _ => label,
    }
}

fn name_of<'h>(graph: &Graph<'h>, id: TypeId) -> &'h str {
    let heap = graph.heap();
    let kind = heap.types.get(id.0 as usize);
    kind.map_or("?", |kind| heap.strings.get(kind.name))
}

impl Kind {
    /// Counts objects that these cycles hold, or that are in them.
    fn hold(&mut self, graph: &Graph<'_>, objects: &[ObjectId]) {
        for &object in objects {
            let bytes = graph.bytes(object);
            self.objects += 1;
            self.bytes += bytes;
            if let Some(&id) = graph.heap().objects.type_id.get(object.0 as usize) {
                let amount = self.held.entry(id).or_default();
                *amount = (amount.0 + 1, amount.1 + bytes);
            }
        }
    }

    fn group(self, graph: &Graph<'_>, found: &Components) -> CycleGroup {
        let heap = graph.heap();
        let members = found.members(self.example);
        let knot = Knot::new(graph, members);
        let mut reference = knot.reference_to_break();
        if let (Some(Keeper::TypesWithoutGc(types)), Some(reference)) =
            (&self.keeper, &mut reference)
            && types.contains(&reference.cut.source)
        {
            reference.cut.remedy = Remedy::Clear;
        }
        let steps = knot.cycle(reference.as_ref());
        let finalizers = self.types.keys();
        let mut finalizers: Vec<String> = finalizers
            .filter(|id| has_finalizer(graph, **id))
            .map(|&id| name_of(graph, id).to_owned())
            .collect();
        finalizers.sort_unstable();
        finalizers.dedup();
        let named = members.iter().filter_map(|member| heap.names.get(member));
        let mut names: Vec<String> = named.map(|&id| heap.strings.get(id).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(MAX_NAMES);
        let mut types = amounts(graph, &self.types);
        types.sort_by_key(|amount| (!amount.name.contains('.'), Reverse(amount.bytes)));
        CycleGroup {
            reason: self.reason(graph),
            cycles: self.cycles,
            nested: self.nested,
            members: self.members,
            objects: self.objects,
            bytes: self.bytes,
            generations: self.generations,
            guessed: self.guessed,
            finalizers,
            names,
            types,
            held: amounts(graph, &self.held),
            cycle: cut::path(graph, &steps),
            hops: cut::hops(graph, &steps),
            cut: reference.map(|reference| reference.cut),
        }
    }

    fn reason(&self, graph: &Graph<'_>) -> Uncollected {
        let gc = &graph.heap().gc;
        let threshold = |at: usize| gc.generations.get(at).map(|one| one.threshold);
        match &self.keeper {
            Some(Keeper::Frozen) => return Uncollected::Frozen,
            Some(Keeper::TypesWithoutGc(types)) => {
                return Uncollected::TypeWithoutGc(types.clone());
            }
            Some(Keeper::Nothing) | None => {}
        }
        if !gc.generations.is_empty() && (!gc.enabled || threshold(0) == Some(0)) {
            return Uncollected::Disabled;
        }
        match (0..3).rev().find(|&at| self.generations[at] > 0) {
            Some(at) => Uncollected::Waiting {
                generation: at as u8,
                objects: gc.generations.get(at).map_or(0, |one| one.objects),
                threshold: threshold(at).unwrap_or(0),
                count: gc.generations.get(at).map_or(0, |one| one.count),
            },
            None => Uncollected::Collecting,
        }
    }
}

fn amounts(graph: &Graph<'_>, types: &FxHashMap<TypeId, (u64, u64)>) -> Vec<TypeAmount> {
    let mut all = Vec::new();
    add_types(
        &mut all,
        types
            .iter()
            .map(|(&id, &(count, bytes))| TypeAmount {
                name: name_of(graph, id).to_owned(),
                count,
                bytes,
            })
            .collect(),
    );
    all.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    all
}

/// Whether a type has a `__del__` of its own or of a base.
fn has_finalizer(graph: &Graph<'_>, id: TypeId) -> bool {
    let heap = graph.heap();
    let Some(kind) = heap.types.get(id.0 as usize) else {
        return false;
    };
    let held_by = |object: ObjectId, name: &'static str| {
        graph
            .edges_of(object)
            .filter(move |(_, label)| label.name().is_some_and(|id| heap.strings.get(id) == name))
            .map(|(target, _)| target)
    };
    let bases = held_by(kind.object, "__mro__").flat_map(|mro| graph.edges_of(mro));
    let classes = bases.map(|(class, _)| class).chain([kind.object]);
    let mut namespaces = classes
        .filter(|&class| type_name(heap, class) != "tuple")
        .flat_map(|class| held_by(class, "__dict__"));
    namespaces.any(|namespace| held_by(namespace, "__del__").next().is_some())
}
