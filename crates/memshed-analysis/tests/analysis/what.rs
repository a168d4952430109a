//! What users call things.

use crate::maker::Maker;
use memshed_analysis::what::{Meaning, NotFound, Other, What, find};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, RootKind};

/// A program with a cache, a class with a pool, and a registry with sessions.
fn program() -> (Heap, Vec<ObjectId>) {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "shop.app", "module");
    let main = m.root(RootKind::Module, "__main__", "module");
    let names = m.named(LabelKind::Field, "__dict__");
    let globals = m.held(app, names, "dict");
    let own = m.held(main, names, "dict");
    let key = m.named(LabelKind::Key, "CACHE");
    let cache = m.held(globals, key, "dict");
    let key = m.named(LabelKind::Key, "users");
    let users = m.held(cache, key, "list");
    let first = m.index(users, 0, "shop.app.Session");
    let second = m.index(users, 1, "shop.app.Session");
    let key = m.named(LabelKind::Key, "Session");
    let class = m.held(globals, key, "type");
    let pool = m.in_dict(class, "_pool", "list");
    let key = m.named(LabelKind::Key, "queue");
    let queue = m.held(own, key, "list");
    let kind = m.kind("shop.app.Session");
    m.heap.types[kind.0 as usize].object = class;
    m.edges_and(&[]);
    (
        m.heap,
        vec![app, cache, users, first, second, class, pool, queue],
    )
}

fn found(heap: &Heap, text: &str) -> What {
    find(heap, text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn ids(what: &What) -> Vec<ObjectId> {
    what.objects.iter().collect()
}

#[test]
fn ways_from_modules() {
    let (heap, ids_) = program();
    let [app, cache, users, first, second, class, pool, queue] = ids_[..] else {
        panic!()
    };
    for (text, object) in [
        ("shop.app", app),
        ("shop.app.CACHE", cache),
        ("shop.app.CACHE[\"users\"]", users),
        ("shop.app.CACHE['users']", users),
        ("shop.app.CACHE[users]", users),
        ("shop.app.CACHE[\"users\"][1]", second),
        (" shop.app.CACHE[\"users\"][0] ", first),
        ("object:shop.app.Session", class),
        ("shop.app.Session._pool", pool),
        ("__main__.queue", queue),
        ("queue", queue),
    ] {
        assert_eq!(ids(&found(&heap, text)), [object], "{text}");
    }
    let all = found(&heap, "shop.app.CACHE[users][…]");
    assert_eq!(
        (ids(&all), all.meaning),
        (vec![first, second], Meaning::Place)
    );
    assert_eq!(
        ids(&found(&heap, "shop.app.CACHE[*][...]")),
        [first, second]
    );
}

#[test]
fn types_by_their_full_name_or_the_last_part() {
    let (heap, ids_) = program();
    for text in ["shop.app.Session", "app.Session", "Session", "type:Session"] {
        let what = found(&heap, text);
        assert_eq!(ids(&what), ids_[3..5], "{text}");
        assert_eq!(what.name, "shop.app.Session");
    }
    // The class has the name of its type, and is told of.
    let itself = Other::Itself("object:shop.app.Session".into());
    assert_eq!(found(&heap, "shop.app.Session").other, Some(itself.clone()));
    assert_eq!(found(&heap, "Session").other, Some(itself));
    assert_eq!(found(&heap, "object:shop.app.Session").other, None);
}

#[test]
fn addresses() {
    let (heap, ids_) = program();
    let address = heap.objects.address.get(ids_[3].0 as usize);
    assert_eq!(ids(&found(&heap, &format!("{address:#x}"))), [ids_[3]]);
    let inside = find(&heap, &format!("{:#x}", address + 8));
    let kind = "shop.app.Session".to_owned();
    let expected = NotFound::NoObjectAt {
        address: address + 8,
        inside: Some((address, kind.clone())),
    };
    assert_eq!(inside, Err(expected));
    // The collector's header is the object's, too.
    let header = find(&heap, &format!("{:#x}", address - 16));
    let expected = NotFound::NoObjectAt {
        address: address - 16,
        inside: Some((address, kind)),
    };
    assert_eq!(header, Err(expected));
    let nowhere = NotFound::NoObjectAt {
        address: 0xffff_0000,
        inside: None,
    };
    assert_eq!(find(&heap, "0xffff0000"), Err(nowhere));
    assert_eq!(find(&heap, "0xyz"), Err(NotFound::NotAnAddress));
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let (mut heap, _) = program();
    let closest = |text: &str| match find(&heap, text) {
        Err(NotFound::Unknown { closest } | NotFound::NoSuchStep { closest, .. }) => closest,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(closest("Sesion"), ["shop.app.Session"]);
    assert_eq!(closest("shop.ap"), ["shop.app"]);
    assert_eq!(closest("shop.app.CACH"), ["CACHE"]);
    assert_eq!(closest("shop.app.CACHE[user]"), ["users"]);
    assert!(closest("shop.app.CACHE[users][9]").is_empty());
    assert!(closest("shop.app.CACHE[").is_empty() || !closest("shop.app.CACHE[").is_empty());
    assert_eq!(find(&heap, "  "), Err(NotFound::Empty));
    heap.edges = None;
    assert_eq!(find(&heap, "Session"), Err(NotFound::NoEdges));
}

#[test]
fn names_that_several_types_have() {
    let mut m = Maker::default();
    m.object("a.Row");
    m.object("b.Row");
    let unused = m.new_type("c.Row");
    m.edges_and(&[]);
    assert_ne!(unused.0, 0);
    let names = vec!["a.Row".to_owned(), "b.Row".to_owned()];
    assert_eq!(find(&m.heap, "Row"), Err(NotFound::Ambiguous(names)));
    assert_eq!(
        find(&m.heap, "type:c.Row"),
        Err(NotFound::NoObjectsOf("c.Row".into()))
    );
}

#[test]
fn edges_that_lead_nowhere() {
    let (mut heap, ids_) = program();
    if let Some(edges) = &mut heap.edges {
        for target in &mut edges.target {
            *target = ObjectId(u32::MAX - 2);
        }
        edges.start.truncate(2);
    }
    for text in [
        "shop.app.CACHE",
        "shop.app.CACHE[users][0]",
        "queue",
        "Session",
    ] {
        let _ = find(&heap, text);
    }
    let label = Label::new(LabelKind::Index, 0);
    heap.objects.holder_label[ids_[2].0 as usize] = label;
    let _ = find(&heap, "0x1000");
}
