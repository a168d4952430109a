//! What has changed between two looks.

use crate::maker::Maker;
use memshed_analysis::{Places, SortBy, diff};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, RootKind};

/// A program with a cache of so many entries, each with a name, and a list of so many floats.
fn program(entries: u64, floats: u64) -> Heap {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let cache = m.in_dict(app, "CACHE", "dict");
    let list = m.in_dict(app, "VALUES", "list");
    // What comes later lies further up.
    for at in 0..entries.max(floats) {
        if at < entries {
            let entry = m.held(cache, Label::new(LabelKind::Value, at), "app.Entry");
            m.attribute(entry, "name", "str");
        }
        if at < floats {
            m.index(list, at, "float");
        }
    }
    m.heap
}

#[test]
fn objects_are_added_where_the_first_old_object_holds_them() {
    let (old, new) = (program(10, 10), program(30, 12));
    let found = diff(&old, &new, SortBy::Bytes, None);
    assert_eq!(found.relation, Ok(()));
    let lives = found.lives.expect("one process");
    let names: Vec<&str> = lives
        .places
        .iter()
        .map(|place| place.place.as_str())
        .collect();
    assert_eq!(names, ["app.CACHE[…]", "app.VALUES[…]"]);
    let cache = &lives.places[0];
    assert_eq!(cache.added.count, 40);
    assert_eq!(
        (cache.entries.0.as_str(), cache.entries.1),
        ("app.Entry", 20)
    );
    assert_eq!(cache.containers, 1);
    // The entries, and the names that hang on them.
    let types: Vec<_> = cache
        .types
        .iter()
        .map(|(name, tally)| (name.as_str(), tally.count))
        .collect();
    assert_eq!(types, [("app.Entry", 20), ("str", 20)]);
    assert_eq!(cache.container, ObjectId(2));
    assert_eq!(lives.survived.count as usize, old.objects.len());
    assert_eq!(lives.created.count, 42);
    assert_eq!(lives.gone.count, 0);
}

#[test]
fn what_went_is_told_of_the_place_where_it_was() {
    let (old, new) = (program(30, 12), program(10, 10));
    let lives = diff(&old, &new, SortBy::Bytes, None)
        .lives
        .expect("one process");
    let cache = lives
        .places
        .iter()
        .find(|place| place.place == "app.CACHE[…]");
    let cache = cache.expect("the cache");
    assert_eq!((cache.added.count, cache.gone.count), (0, 40));
    assert!(cache.growth() < 0);
    assert_eq!(lives.gone.count, 42);
}

#[test]
fn types_are_sorted_by_growth() {
    let (old, new) = (program(10, 10), program(12, 30));
    let by = |sort| {
        let found = diff(&old, &new, sort, None);
        found
            .types
            .into_iter()
            .map(|row| row.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(by(SortBy::Count)[0], "float");
    assert!(by(SortBy::Name).is_sorted());
    let filter = memshed_analysis::Pattern::new("app.*");
    let found = diff(&old, &new, SortBy::Bytes, Some(&filter));
    assert_eq!(found.types.len(), 1);
    assert_eq!(
        (found.types[0].old.count, found.types[0].new.count),
        (10, 12)
    );
}

#[test]
fn objects_of_two_processes_are_not_matched() {
    let (old, mut new) = (program(1, 1), program(2, 1));
    new.process.pid = 9;
    let found = diff(&old, &new, SortBy::Bytes, None);
    assert!(found.relation.is_err() && found.lives.is_none());
    assert_eq!(found.types[0].name, "app.Entry");
}

#[test]
fn a_linked_list_is_one_place() {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let mut at = m.in_dict(app, "head", "app.Node");
    let mut nodes = vec![at];
    for _ in 0..50 {
        at = m.in_dict(at, "next", "app.Node");
        nodes.push(at);
    }
    let mut places = Places::new(&m.heap);
    let first = places.of(nodes[2]);
    assert!(nodes[2..].iter().all(|&node| places.of(node) == first));
    let (name, example) = places.name(first);
    assert!(
        name.starts_with("app.head.next") && example != ObjectId::NONE,
        "{name}"
    );
    // Module, its names, head; two for the first link; two that come again and again.
    assert!(places.len() <= 8, "{}", places.len());
}

#[test]
fn holders_in_a_circle_end() {
    let mut m = Maker::default();
    let one = m.object("list");
    let two = m.index(one, 0, "list");
    m.heap.objects.holder[one.0 as usize] = two;
    m.heap.objects.holder.push(ObjectId(77));
    let mut places = Places::new(&m.heap);
    places.of(one);
    places.of(ObjectId(99));
    let found = diff(&Heap::default(), &m.heap, SortBy::Bytes, None);
    assert_eq!(found.lives.expect("one process").created.count, 2);
}
