//! Why things are there.

use crate::maker::Maker;
use memshed_analysis::{Dominators, Graph, ObjectSet, Why, WhyOptions, why};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, RootKind};

fn asked(heap: &Heap, objects: &[ObjectId]) -> Why {
    let graph = Graph::new(heap).expect("a heap with edges");
    let dominators = Dominators::new(&graph);
    let mut set = ObjectSet::new(heap.objects.len());
    for &object in objects {
        set.insert(object);
    }
    let options = WhyOptions { ways: 5, types: 5 };
    why(&graph, &dominators, &set, options)
}

fn value(at: u64) -> Label {
    Label::new(LabelKind::Value, at)
}

/// A module with a cache of three sessions, each with two items.
fn program() -> (Maker, ObjectId, Vec<ObjectId>) {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let cache = m.in_dict(app, "CACHE", "dict");
    let sessions: Vec<ObjectId> = (0..3)
        .map(|at| {
            let session = m.held(cache, value(at), "app.Session");
            m.attribute(session, "user", "str");
            m.attribute(session, "items", "list");
            session
        })
        .collect();
    (m, cache, sessions)
}

#[test]
fn one_reference_keeps_all_that_hangs_on_it() {
    let (mut m, cache, _) = program();
    m.edges_and(&[]);
    let found = asked(&m.heap, &[cache]);
    // Each object takes 64 bytes here.
    assert_eq!((found.retained.count, found.retained.bytes), (10, 640));
    assert_eq!(found.ways.len(), 1);
    assert_eq!(
        (found.ways[0].name.as_str(), found.ways[0].frees),
        ("app.CACHE", 640)
    );
    assert_eq!(found.retained_types.len(), 4);
    let keeper = found.keeper.expect("the module");
    assert!(keeper.is_module);
    let references = found.references.expect("a single object");
    assert_eq!((references.count, references.known), (Some(1), 1));
}

#[test]
fn objects_of_a_type_are_put_together() {
    let (mut m, cache, sessions) = program();
    m.edges_and(&[]);
    let found = asked(&m.heap, &sessions);
    assert_eq!(found.ways.len(), 1);
    let way = &found.ways[0];
    assert_eq!(way.name, "app.CACHE[…]");
    assert_eq!(
        (way.objects, way.alone, way.holders, way.frees),
        (3, 3, 1, 9 * 64)
    );
    let keeper = found.keeper.expect("the cache");
    assert_eq!(keeper.object, cache);
    assert!(keeper.one_cut && !keeper.is_module);
    assert_eq!(keeper.retained, 640);
    assert_eq!(found.cut, None);
}

#[test]
fn two_references_have_to_be_cut_both_or_further_up() {
    let (mut m, cache, sessions) = program();
    let user = ObjectId(sessions[0].0 + 1);
    let label = m.named(LabelKind::Attribute, "friend");
    // The second session knows the first one's user; a cycle from there back does not count.
    let back = m.named(LabelKind::Attribute, "owner");
    m.edges_and(&[(sessions[1], label, user), (user, back, sessions[0])]);
    let found = asked(&m.heap, &[user]);
    let names: Vec<&str> = found.ways.iter().map(|way| way.name.as_str()).collect();
    assert_eq!(names, ["app.CACHE[…].user", "app.CACHE[…].friend"]);
    assert!(found.ways.iter().all(|way| way.frees == 0));
    let keeper = found.keeper.expect("the cache");
    assert_eq!(keeper.object, cache);
    assert!(keeper.one_cut);

    // All sessions together keep what two of them share.
    let found = asked(&m.heap, &sessions);
    assert_eq!(found.ways.len(), 1, "{:?}", found.ways);
    assert_eq!(
        (found.ways[0].frees, found.retained.bytes),
        (9 * 64, 9 * 64)
    );
}

#[test]
fn shared_objects_of_a_type() {
    let (mut m, _, sessions) = program();
    let app = ObjectId(0);
    let list = m.in_dict(app, "ALL", "list");
    let index = |at| Label::new(LabelKind::Index, at);
    m.edges_and(&[(list, index(0), sessions[0]), (list, index(1), sessions[1])]);
    let found = asked(&m.heap, &sessions);
    let rows: Vec<_> = found
        .ways
        .iter()
        .map(|way| (way.name.as_str(), way.objects, way.alone, way.frees))
        .collect();
    // Only the third is held in one way alone.
    assert_eq!(rows, [("app.CACHE[…]", 3, 1, 192), ("app.ALL[…]", 2, 0, 0)]);
    assert!(found.keeper.expect("the module").is_module);
}

#[test]
fn garbage_is_told_with_its_cycle() {
    let mut m = Maker::default();
    m.root(RootKind::Module, "app", "module");
    let node = m.object("app.Node");
    let child = m.object("app.Node");
    let children = m.named(LabelKind::Attribute, "child");
    let parent = m.named(LabelKind::Attribute, "parent");
    m.edges_and(&[(node, children, child), (child, parent, node)]);
    let found = asked(&m.heap, &[node, child]);
    assert_eq!((found.unreached, found.held_by_c), (2, 0));
    let cycle = found.cycle.expect("a cycle");
    let way: String = cycle.hops.iter().map(|hop| hop.to_string()).collect();
    assert_eq!(
        (cycle.type_name.as_str(), way.as_str()),
        ("app.Node", ".child.parent")
    );
    assert_eq!(found.ways.len(), 1);
    assert_eq!((found.ways[0].holders, found.ways[0].frees), (0, 128));

    m.heap.objects.refcount[child.0 as usize] = 5;
    let found = asked(&m.heap, &[child]);
    assert_eq!((found.unreached, found.held_by_c), (1, 1));
    let references = found.references.expect("a single object");
    assert_eq!(
        (references.count, references.known, references.in_cycles),
        (Some(5), 1, 1)
    );
}

#[test]
fn a_root_is_held_by_what_makes_it_one() {
    let mut m = Maker::default();
    let local = "local variable rows of handle() (app.py:12), thread 1";
    let rows = m.root(RootKind::Frame, local, "list");
    m.index(rows, 0, "app.Row");
    m.edges_and(&[]);
    let found = asked(&m.heap, &[rows]);
    assert_eq!(found.ways.len(), 1);
    assert_eq!(
        (found.ways[0].name.as_str(), found.ways[0].frees),
        (local, 128)
    );
    assert_eq!(found.keeper, None);
}

#[test]
fn a_linked_list_hangs_on_its_head() {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let mut nodes = vec![m.in_dict(app, "head", "app.Node")];
    for at in 0..5_000 {
        let next = m.attribute(nodes[at], "next", "app.Node");
        nodes.push(next);
    }
    // Edges in order of their sources, as they are here, without looking for each.
    let objects = &m.heap.objects;
    let mut edges = memshed_heap::Edges::default();
    edges.start.push(0);
    for row in 0..objects.len() as u32 {
        let next = row + 1;
        if (next as usize) < objects.len() {
            edges.target.push(ObjectId(next));
            edges.label.push(objects.holder_label[next as usize]);
        }
        edges.start.push(edges.target.len() as u64);
    }
    m.heap.edges = Some(edges);
    let found = asked(&m.heap, &nodes);
    assert_eq!(found.ways.len(), 1);
    let way = &found.ways[0];
    assert_eq!(
        (way.name.as_str(), way.objects, way.frees),
        ("app.head", 1, 5_001 * 64)
    );
    let found = asked(&m.heap, &nodes[4_000..]);
    assert_eq!(found.ways[0].objects, 1);
    assert_eq!(found.keeper.map(|keeper| keeper.object), Some(nodes[3_999]));
}
