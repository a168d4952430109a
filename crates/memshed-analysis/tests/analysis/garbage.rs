//! Garbage in heaps made by hand: which objects, why they are there, what to break.

use crate::maker::Maker;
use memshed_analysis::{CycleGroup, Garbage, Graph, Remedy, Uncollected, garbage};
use memshed_heap::{Edges, Generation, Label, LabelKind, ObjectId, Objects, Root, RootKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A heap whose counts are those of the references made, and of the roots.
#[derive(Default)]
struct World {
    maker: Maker,
    edges: Vec<(ObjectId, Label, ObjectId)>,
}

impl World {
    fn new() -> World {
        let mut world = World::default();
        let gc = &mut world.maker.heap.gc;
        gc.enabled = true;
        gc.generations = [(30, 700), (20, 10), (5000, 10)]
            .map(|(objects, threshold)| Generation {
                objects,
                threshold,
                ..Generation::default()
            })
            .to_vec();
        world
    }

    fn object(&mut self, kind: &str) -> ObjectId {
        self.object_in(kind, 2)
    }

    fn object_in(&mut self, kind: &str, generation: u8) -> ObjectId {
        let kind = self.maker.kind(kind);
        let object = self.maker.object_of(kind, 48, generation);
        self.maker.heap.objects.refcount[object.0 as usize] = 0;
        object
    }

    fn untracked(&mut self, kind: &str) -> ObjectId {
        self.object_in(kind, Objects::UNTRACKED)
    }

    /// An object that is held by something that is not told.
    fn hold(&mut self, object: ObjectId) {
        self.maker.heap.objects.refcount[object.0 as usize] += 1;
    }

    fn root(&mut self, object: ObjectId) {
        self.hold(object);
        let name = self.maker.string("app");
        let kind = RootKind::Module;
        self.maker.heap.roots.push(Root { object, kind, name });
    }

    fn refer(&mut self, source: ObjectId, label: Label, target: ObjectId) {
        self.edges.push((source, label, target));
        if label.kind() != LabelKind::Weak {
            self.hold(target);
        }
    }

    fn attribute(&mut self, source: ObjectId, name: &str, target: ObjectId) {
        let label = self.maker.named(LabelKind::Attribute, name);
        self.refer(source, label, target);
    }

    fn field(&mut self, source: ObjectId, name: &str, target: ObjectId) {
        let label = self.maker.named(LabelKind::Field, name);
        self.refer(source, label, target);
    }

    fn index(&mut self, source: ObjectId, index: u64, target: ObjectId) {
        self.refer(source, Label::new(LabelKind::Index, index), target);
    }

    fn garbage(&mut self) -> Garbage {
        self.edges.sort_by_key(|edge| edge.0);
        self.maker.edges(&self.edges);
        self.maker.heap.roots.sort_by_key(|root| root.object);
        let graph = Graph::new(&self.maker.heap).unwrap();
        garbage(&graph)
    }

    /// The only group.
    fn group(&mut self) -> CycleGroup {
        let mut groups = self.garbage().groups;
        assert_eq!(groups.len(), 1, "{groups:?}");
        groups.remove(0)
    }
}

fn rows(set: &memshed_analysis::ObjectSet) -> Vec<u32> {
    set.iter().map(|object| object.0).collect()
}

/// A parent with a list of children, each with an attribute that refers to it.
fn family(w: &mut World, children: u64) -> ObjectId {
    let parent = w.object("app.Parent");
    let list = w.object("list");
    w.attribute(parent, "children", list);
    for index in 0..children {
        let child = w.object("app.Child");
        w.index(list, index, child);
        w.attribute(child, "parent", parent);
    }
    parent
}

#[test]
fn a_cycle_and_what_only_it_holds() {
    let mut w = World::new();
    let (a, b) = (w.object("app.A"), w.object("app.B"));
    w.attribute(a, "b", b);
    w.attribute(b, "owner", a);
    let text = w.untracked("str");
    w.attribute(a, "text", text);
    // Untracked by the collector, since there is nothing in it to track.
    let pair = w.untracked("tuple");
    w.attribute(b, "pair", pair);
    let number = w.untracked("int");
    w.index(pair, 0, number);
    let shared = w.untracked("str");
    w.attribute(b, "shared", shared);
    w.hold(shared);
    let found = w.garbage();
    assert_eq!(rows(&found.collectable), [0, 1]);
    assert_eq!(rows(&found.rest), [2, 3, 4]);
    assert_eq!(found.bytes, 5 * 64);
    let group = &found.groups[0];
    assert_eq!((group.cycles, group.members, group.objects), (1, 2, 5));
    assert_eq!(group.bytes, 5 * 64);
    assert_eq!(group.generations, [0, 0, 2, 0, 0]);
    let types: Vec<&str> = group.types.iter().map(|one| &*one.name).collect();
    assert_eq!(types, ["app.A", "app.B"]);
    assert_eq!(group.held.len(), 5);
    let waiting = Uncollected::Waiting {
        generation: 2,
        objects: 5000,
        threshold: 10,
        count: 0,
    };
    assert_eq!(group.reason, waiting);
    let cut = group.cut.as_ref().unwrap();
    assert_eq!(cut.to_string(), "app.B.owner -> app.A");
    assert_eq!(cut.remedy, Remedy::Weak);
    assert!(cut.breaks_all && cut.points_back);
    assert_eq!(cut.example, (b, a));
    assert_eq!(
        group.cycle.to_string(),
        "a app.A that no root reaches → .b.owner"
    );
    let hops: Vec<String> = group
        .hops
        .iter()
        .map(|hop| format!("{}{}", hop.type_name, hop.hop))
        .collect();
    assert_eq!(hops, ["app.A.b", "app.B.owner"]);
}

#[test]
fn a_reference_from_outside_or_a_root_keeps_a_cycle() {
    let mut w = World::new();
    let held = family(&mut w, 3);
    w.hold(held);
    let rooted = family(&mut w, 3);
    w.root(rooted);
    assert!(w.garbage().groups.is_empty());
    assert!(w.garbage().collectable.is_empty());
    // Whatever a root reaches is alive, even if its count is torn.
    w.maker.heap.objects.refcount[rooted.0 as usize] = 0;
    assert!(w.garbage().collectable.is_empty());
}

#[test]
fn a_weak_reference_makes_no_cycle_and_keeps_nothing() {
    let mut w = World::new();
    let (a, b) = (w.object("app.A"), w.object("weakref.ReferenceType"));
    w.attribute(a, "b", b);
    let label = w.maker.named(LabelKind::Weak, "referent");
    w.refer(b, label, a);
    w.hold(a);
    assert!(w.garbage().groups.is_empty());
}

#[test]
fn equal_cycles_are_one_group_whatever_their_size() {
    let mut w = World::new();
    for count in 0..1000 {
        family(&mut w, 1 + count % 3);
    }
    w.maker.heap.gc.enabled = false;
    let group = w.group();
    assert_eq!(group.cycles, 1000);
    assert_eq!(group.members, 2000 + 1999);
    assert_eq!(group.reason, Uncollected::Disabled);
    let cut = group.cut.unwrap();
    assert_eq!(cut.to_string(), "app.Child.parent -> app.Parent");
    assert!(cut.breaks_all && cut.points_back);
    let types: Vec<(&str, u64)> = group
        .types
        .iter()
        .map(|one| (&*one.name, one.count))
        .collect();
    assert_eq!(
        types,
        [("app.Child", 1999), ("app.Parent", 1000), ("list", 1000)]
    );
}

#[test]
fn an_attribute_in_a_dict_is_an_attribute() {
    let mut w = World::new();
    let (a, b) = (w.object("app.A"), w.object("app.B"));
    for (object, name, other) in [(a, "part", b), (b, "whole_parent", a)] {
        let dict = w.object("dict");
        w.field(object, "__dict__", dict);
        let key = w.maker.named(LabelKind::Key, name);
        w.refer(dict, key, other);
    }
    let group = w.group();
    let cut = group.cut.unwrap();
    assert_eq!(cut.to_string(), "app.B.whole_parent -> app.A");
    assert_eq!(cut.example, (b, a));
    assert_eq!(group.hops.len(), 2);
    assert_eq!(
        group.cycle.to_string(),
        "a app.A that no root reaches → .part.whole_parent"
    );
}

#[test]
fn a_bound_method_of_the_object_that_has_it() {
    let mut w = World::new();
    let (button, method) = (w.object("app.Button"), w.object("method"));
    w.attribute(button, "on_click", method);
    w.field(method, "__self__", button);
    let (function, code) = (w.object("function"), w.untracked("code"));
    w.root(function);
    w.field(method, "__func__", function);
    w.field(function, "__code__", code);
    let group = w.group();
    let cut = group.cut.unwrap();
    assert_eq!(
        cut.to_string(),
        "app.Button.on_click -> bound method of app.Button"
    );
    assert_eq!(cut.remedy, Remedy::WeakMethod);
    assert_eq!(cut.code, Some(code));
    assert_eq!(
        group.cycle.to_string(),
        "a app.Button that no root reaches → .on_click.__self__"
    );
}

#[test]
fn an_exception_that_its_own_frame_holds() {
    let mut w = World::new();
    let (error, traceback) = (w.object("ValueError"), w.object("traceback"));
    let frame = w.object("frame");
    w.field(error, "__traceback__", traceback);
    w.field(traceback, "tb_frame", frame);
    let local = w.maker.named(LabelKind::Local, "problem");
    w.refer(frame, local, error);
    let code = w.untracked("code");
    w.field(frame, "f_code", code);
    let cut = w.group().cut.unwrap();
    assert_eq!(cut.to_string(), "frame.<local problem> -> ValueError");
    assert_eq!(cut.remedy, Remedy::Delete);
    assert_eq!(cut.code, Some(code));
}

#[test]
fn a_function_that_its_own_closure_holds() {
    let mut w = World::new();
    let (function, tuple) = (w.object("function"), w.object("tuple"));
    let (cell, code) = (w.object("cell"), w.untracked("code"));
    w.field(function, "__closure__", tuple);
    w.index(tuple, 0, cell);
    w.field(cell, "cell_contents", function);
    w.field(function, "__code__", code);
    let group = w.group();
    let cut = group.cut.unwrap();
    assert_eq!(cut.to_string(), "cell.cell_contents -> function");
    assert_eq!((cut.remedy, cut.code), (Remedy::Clear, Some(code)));
    assert_eq!((group.members, group.objects), (3, 4));
}

#[test]
fn a_default_argument_that_leads_back() {
    let mut w = World::new();
    let (future, function) = (w.object("_asyncio.Future"), w.object("function"));
    let defaults = w.object("tuple");
    w.field(future, "callback0", function);
    w.field(function, "__defaults__", defaults);
    w.index(defaults, 0, future);
    let cut = w.group().cut.unwrap();
    assert_eq!(cut.to_string(), "function.__defaults__ -> _asyncio.Future");
}

#[test]
fn two_ways_around_need_two_breaks() {
    let mut w = World::new();
    let (a, b, c) = (w.object("app.A"), w.object("app.B"), w.object("app.C"));
    w.attribute(a, "b", b);
    w.attribute(b, "parent", a);
    w.attribute(b, "c", c);
    w.attribute(c, "b", b);
    let cut = w.group().cut.unwrap();
    assert!(!cut.breaks_all);
    assert_eq!(cut.to_string(), "app.B.parent -> app.A");
}

#[test]
fn a_class_is_a_cycle_without_anything_to_break() {
    let mut w = World::new();
    let (class, mro) = (w.object("type"), w.object("tuple"));
    w.field(class, "__mro__", mro);
    w.index(mro, 0, class);
    let name = w.maker.string("app.make.<locals>.Row");
    w.maker.heap.names.insert(class, name);
    let group = w.group();
    assert_eq!(group.cut, None);
    assert_eq!(group.names, ["app.make.<locals>.Row"]);
    assert_eq!(group.cycle.length, 2);
}

/// A type that does not support garbage collection, in a cycle with objects that do.
fn pool(w: &mut World, label: Label) -> ObjectId {
    let (cipher, pool) = (w.object("app.Cipher"), w.untracked("ext.FixedPool"));
    let method = w.object("method");
    w.attribute(cipher, "pool", pool);
    w.refer(pool, label, method);
    w.field(method, "__self__", cipher);
    pool
}

#[test]
fn a_type_without_support_for_the_collector_keeps_a_cycle_for_ever() {
    let mut w = World::new();
    let possible = Label::new(LabelKind::Possible, 32);
    for _ in 0..20 {
        pool(&mut w, possible);
    }
    // Held by C code: alive.
    let held = pool(&mut w, possible);
    w.hold(held);
    let found = w.garbage();
    assert!(found.collectable.is_empty());
    assert_eq!(found.rest.len(), 60);
    assert_eq!(found.groups.len(), 1);
    let group = &found.groups[0];
    assert_eq!((group.cycles, group.members), (20, 60));
    let types = vec!["ext.FixedPool".to_owned()];
    assert_eq!(group.reason, Uncollected::TypeWithoutGc(types));
    assert!(group.guessed);
    let cut = group.cut.as_ref().unwrap();
    assert_eq!(cut.to_string(), "app.Cipher.pool -> ext.FixedPool");
}

#[test]
fn a_cycle_below_one_that_is_never_collected_is_not_a_cause() {
    let mut w = World::new();
    let label = w.maker.named(LabelKind::Field, "callback");
    let pool = pool(&mut w, label);
    let below = family(&mut w, 2);
    w.field(pool, "data", below);
    let group = w.group();
    assert_eq!((group.cycles, group.members, group.objects), (1, 3, 7));
    assert!(!group.guessed);
}

#[test]
fn frozen_cycles_are_not_the_collectors() {
    let mut w = World::new();
    let (a, b) = (w.object_in("app.A", 3), w.object_in("app.B", 3));
    w.attribute(a, "b", b);
    w.attribute(b, "a", a);
    let found = w.garbage();
    assert!(found.collectable.is_empty());
    assert_eq!(found.groups[0].reason, Uncollected::Frozen);
    assert_eq!(found.groups[0].generations, [0, 0, 0, 2, 0]);
}

#[test]
fn cycles_within_cycles_are_told_apart() {
    let mut w = World::new();
    let outer = w.object("app.Page");
    w.attribute(outer, "self_", outer);
    let inner = family(&mut w, 2);
    w.attribute(outer, "tree", inner);
    let groups = w.garbage().groups;
    assert_eq!(groups.len(), 2);
    let nested: Vec<(u64, u64)> = groups.iter().map(|one| (one.members, one.nested)).collect();
    assert_eq!(nested, [(4, 1), (1, 0)]);
}

#[test]
fn finalizers_are_named() {
    let mut w = World::new();
    let (class, dict) = (w.object("type"), w.object("dict"));
    w.root(class);
    w.field(class, "__dict__", dict);
    let function = w.object("function");
    let key = w.maker.named(LabelKind::Key, "__del__");
    w.refer(dict, key, function);
    let a = w.object("app.Handle");
    w.attribute(a, "me", a);
    let kind = w.maker.kind("app.Handle");
    w.maker.heap.types[kind.0 as usize].object = class;
    assert_eq!(w.group().finalizers, ["app.Handle"]);
}

#[test]
fn what_is_in_a_collection_or_young() {
    let mut w = World::new();
    let a = w.object_in("app.A", 254);
    w.attribute(a, "me", a);
    assert_eq!(w.group().reason, Uncollected::Collecting);
    let b = w.object_in("app.A", 0);
    w.attribute(b, "me", b);
    let reason = w.group().reason;
    assert!(matches!(
        reason,
        Uncollected::Waiting {
            generation: 0,
            threshold: 700,
            ..
        }
    ));
}

proptest! {
    /// As `deduce_unreachable` in CPython's Python/gc.c: counts less the references from tracked
    /// objects, and what is left alive with all that it reaches.
    #[test]
    fn garbage_is_what_the_collector_finds(
        kinds in prop::collection::vec(0u8..6, 12),
        edges in prop::collection::vec((0u32..12, 0u32..12, prop::bool::weighted(0.2)), 0..24),
        held in prop::collection::vec(0u32..12, 0..3),
        roots in prop::collection::btree_set(0u32..12, 0..2),
    ) {
        let mut w = World::new();
        for &kind in &kinds {
            match kind {
                0 => w.untracked("str"),
                1 => w.object_in("app.Frozen", 3),
                young => w.object_in("app.Node", (young - 2).min(2)),
            };
        }
        for &(source, target, possible) in &edges {
            let label = match possible {
                true => Label::new(LabelKind::Possible, 16),
                false => Label::new(LabelKind::Index, 0),
            };
            w.refer(ObjectId(source), label, ObjectId(target));
        }
        for &object in &held {
            w.hold(ObjectId(object));
        }
        for &root in &roots {
            w.root(ObjectId(root));
        }
        let found = w.garbage();

        let tracked = |row: &u32| kinds[*row as usize] > 1;
        let mut left: Vec<i64> = w.maker.heap.objects.refcount.iter().map(|&n| i64::from(n)).collect();
        for edge in edges.iter().filter(|edge| tracked(&edge.0)) {
            left[edge.1 as usize] -= 1;
        }
        let mut pending: Vec<u32> = (0..12).filter(|row| tracked(row) && left[*row as usize] > 0).collect();
        let mut alive = BTreeSet::new();
        while let Some(row) = pending.pop() {
            if alive.insert(row) {
                pending.extend(edges.iter().filter(|e| e.0 == row).map(|e| e.1).filter(tracked));
            }
        }
        let expected: Vec<u32> = (0..12).filter(|row| tracked(row) && !alive.contains(row)).collect();
        prop_assert_eq!(rows(&found.collectable), expected);

        // Each group stands for cycles that are there, and sums do not exceed the whole.
        let whole = found.collectable.len() + found.rest.len();
        let objects: u64 = found.groups.iter().map(|group| group.objects).sum();
        prop_assert!(objects <= whole as u64);
        for group in &found.groups {
            prop_assert!(group.cycles > 0 && group.members >= group.cycles);
            prop_assert_eq!(group.held.iter().map(|one| one.count).sum::<u64>(), group.objects);
            prop_assert!(!group.hops.is_empty());
        }
    }

    /// A garbled heap: whatever comes out, it comes.
    #[test]
    fn garbled_heaps_do_not_panic(
        rows in prop::collection::vec((0u32..9, 0u8..=255, any::<u32>(), 0u32..20), 0..16),
        targets in prop::collection::vec((0u32..20, any::<u32>()), 0..40),
        start in prop::collection::vec(0u64..40, 0..20),
    ) {
        let mut m = Maker::default();
        m.new_type("app.A");
        m.new_type("dict");
        for &(kind, generation, count, holder) in &rows {
            let object = m.object_of(memshed_heap::TypeId(kind), 16, generation);
            m.heap.objects.refcount[object.0 as usize] = count % 4;
            m.heap.objects.holder[object.0 as usize] = ObjectId(holder);
        }
        m.string("__dict__");
        m.heap.edges = Some(Edges {
            start,
            target: targets.iter().map(|one| ObjectId(one.0)).collect(),
            label: targets.iter().map(|one| Label(one.1)).collect(),
        });
        let graph = Graph::new(&m.heap).unwrap();
        for group in garbage(&graph).groups {
            prop_assert!(!group.cycle.to_string().is_empty());
        }
        for row in 0..20 {
            memshed_analysis::paths(&graph, ObjectId(row), 3);
        }
        let mut all = memshed_analysis::ObjectSet::new(20);
        for row in 0..20 {
            all.insert(ObjectId(row));
        }
        memshed_analysis::merged_paths(&graph, &all);
    }
}
