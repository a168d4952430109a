//! The ways to an object and to many.

use crate::maker::Maker;
use memshed_analysis::{Graph, ObjectSet, merged_paths, paths};
use memshed_heap::{Label, LabelKind, ObjectId, RootKind};

/// Edges along the column of holders, and `more`.
fn edges(m: &mut Maker, more: &[(ObjectId, Label, ObjectId)]) {
    let objects = &m.heap.objects;
    let mut all = more.to_vec();
    for row in 0..objects.len() {
        if objects.holder[row] != ObjectId::NONE {
            all.push((
                objects.holder[row],
                objects.holder_label[row],
                ObjectId(row as u32),
            ));
        }
    }
    for edge in &all {
        m.heap.objects.refcount[edge.2.0 as usize] = 0;
    }
    for edge in &all {
        m.heap.objects.refcount[edge.2.0 as usize] += 1;
    }
    m.edges(&all);
}

fn texts(graph: &Graph<'_>, object: ObjectId, limit: usize) -> Vec<String> {
    let found = paths(graph, object, limit);
    found.paths.iter().map(|path| path.to_string()).collect()
}

#[test]
fn one_path_for_each_referrer_the_shortest_first() {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let jobs = m.in_dict(app, "JOBS", "list");
    let user = m.index(jobs, 3, "app.User");
    let by_name = m.in_dict(app, "BY_NAME", "dict");
    let box_ = m.in_dict(by_name, "deep", "app.Box");
    let card = m.attribute(user, "card", "app.Card");
    let name = m.named(LabelKind::Attribute, "user");
    let more = [(box_, name, user), (card, name, user)];
    edges(&mut m, &more);
    let graph = Graph::new(&m.heap).unwrap();
    let found = paths(&graph, user, 10);
    let texts: Vec<String> = found.paths.iter().map(|path| path.to_string()).collect();
    assert_eq!(texts, ["app.JOBS[3]", "app.BY_NAME.deep.user"]);
    assert_eq!((found.referrers, found.in_cycles), (3, 1));
    assert_eq!(paths(&graph, user, 1).paths.len(), 1);
    assert_eq!(self::texts(&graph, app, 3), ["app"]);
}

#[test]
fn a_way_around_where_the_known_one_leads_through_the_object() {
    // The shortest way to the child is through its parent, but it is in a list as well.
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let parent = m.in_dict(app, "ROOT", "app.Node");
    let child = m.attribute(parent, "child", "app.Node");
    let one = m.in_dict(app, "A", "dict");
    let two = m.in_dict(one, "b", "dict");
    let all = m.in_dict(two, "c", "list");
    let up = m.named(LabelKind::Attribute, "up");
    let more = [
        (child, up, parent),
        (all, Label::new(LabelKind::Index, 5), child),
    ];
    edges(&mut m, &more);
    let graph = Graph::new(&m.heap).unwrap();
    assert_eq!(texts(&graph, parent, 5), ["app.ROOT", "app.A.b.c[5].up"]);
}

#[test]
fn what_no_root_reaches_is_held_by_c_code_or_by_itself() {
    let mut m = Maker::default();
    let held = m.object("ext.Handle");
    let payload = m.attribute(held, "payload", "bytes");
    let a = m.object("app.Node");
    let b = m.attribute(a, "next", "app.Node");
    let next = m.named(LabelKind::Attribute, "next");
    edges(&mut m, &[(b, next, a)]);
    m.heap.objects.refcount[held.0 as usize] = 1;
    let graph = Graph::new(&m.heap).unwrap();
    let text = "a ext.Handle that no root reaches → .payload";
    assert_eq!(texts(&graph, payload, 5), [text]);
    let found = paths(&graph, a, 5);
    assert_eq!(
        (found.paths.len(), found.referrers, found.in_cycles),
        (0, 1, 1)
    );
    assert!(texts(&graph, ObjectId(99), 5).len() <= 1);
}

#[test]
fn equal_ways_are_merged() {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let cache = m.in_dict(app, "CACHE", "dict");
    let jobs = m.in_dict(app, "JOBS", "list");
    let mut set = ObjectSet::new(4000);
    for position in 0..5 {
        let entry = m.held(cache, Label::new(LabelKind::Value, position), "app.Entry");
        set.insert(m.attribute(entry, "body", "bytes"));
    }
    set.insert(m.index(jobs, 7, "bytes"));
    // A linked list is one place.
    let mut node = m.in_dict(app, "head", "app.Node");
    for _ in 0..1000 {
        set.insert(m.attribute(node, "body", "bytes"));
        node = m.in_dict(node, "next", "app.Node");
    }
    edges(&mut m, &[]);
    let graph = Graph::new(&m.heap).unwrap();
    let merged = merged_paths(&graph, &set);
    let rows: Vec<(String, u64, u64)> = merged
        .iter()
        .map(|one| (one.path.to_string(), one.count, one.bytes))
        .collect();
    let row = |text: &str, count| (text.to_owned(), count, 64 * count);
    let expected = [
        row("app.head.next.body", 999),
        row("app.CACHE[…].body", 5),
        row("app.JOBS[7]", 1),
        row("app.head.body", 1),
    ];
    assert_eq!(rows, expected);
    assert_eq!(merged[1].holder, None);
    assert_eq!(merged[2].holder, Some(jobs));
}

#[test]
fn long_ways_to_an_object_with_many_referrers_end() {
    // Each of 3,000 links refers to the same object.
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let shared = m.in_dict(app, "SHARED", "dict");
    let mut node = m.in_dict(app, "head", "app.Node");
    let name = m.named(LabelKind::Attribute, "shared");
    let mut more = Vec::new();
    for _ in 0..3000 {
        more.push((node, name, shared));
        node = m.attribute(node, "next", "app.Node");
    }
    let objects = &m.heap.objects;
    let mut all = more;
    for row in 0..objects.len() {
        if objects.holder[row] != ObjectId::NONE {
            all.push((
                objects.holder[row],
                objects.holder_label[row],
                ObjectId(row as u32),
            ));
        }
    }
    m.edges(&all);
    let graph = Graph::new(&m.heap).unwrap();
    let found = paths(&graph, shared, 3);
    let texts: Vec<String> = found.paths.iter().map(|path| path.to_string()).collect();
    assert_eq!(
        texts,
        ["app.SHARED", "app.head.shared", "app.head.next.shared"]
    );
    assert_eq!(found.referrers, 3001);
}
