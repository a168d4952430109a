//! Dominators and retained sizes against a naive oracle: take an object away, and see what can no
//! longer be reached.

use crate::maker::Maker;
use memshed_analysis::{Dominators, Graph, ObjectSet};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, Objects, Root, RootKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn strong(from: u32, to: u32) -> (ObjectId, Label, ObjectId) {
    let label = Label::new(LabelKind::Index, 0);
    (ObjectId(from), label, ObjectId(to))
}

/// A heap of `objects` lists that hold each other so. Every count is that of the references, unless
/// the object is among those `held` by C code.
fn heap(objects: u32, edges: &[(u32, u32)], roots: &[u32], held: &[u32]) -> Heap {
    let mut m = Maker::default();
    for row in 0..objects {
        let kind = m.kind("list");
        m.object_of(kind, 16 << (row % 5), 2);
    }
    let all: Vec<_> = edges.iter().map(|&(from, to)| strong(from, to)).collect();
    m.edges(&all);
    let name = m.string("root");
    for &root in roots {
        m.heap.roots.push(Root {
            object: ObjectId(root),
            kind: RootKind::Module,
            name,
        });
    }
    for row in 0..objects {
        let count = edges.iter().filter(|edge| edge.1 == row).count() as u32;
        let outside = u32::from(held.contains(&row));
        m.heap.objects.refcount[row as usize] = count + outside;
    }
    m.heap
}

/// What can be reached from `from` without `without`.
fn reach(edges: &[(u32, u32)], from: &[u32], without: Option<u32>) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut pending = from.to_vec();
    while let Some(at) = pending.pop() {
        if Some(at) != without && seen.insert(at) {
            pending.extend(edges.iter().filter(|edge| edge.0 == at).map(|edge| edge.1));
        }
    }
    seen
}

#[test]
fn a_chain_a_diamond_and_a_shared_leaf() {
    // 0 is the root; 1 and 2 both hold 3; 3 holds 4; 2 and 4 hold 5.
    let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (4, 5), (2, 5)];
    let heap = heap(6, &edges, &[0], &[]);
    let graph = Graph::new(&heap).unwrap();
    let tree = Dominators::new(&graph);
    let above = |row| tree.dominator(ObjectId(row)).map(|one| one.0);
    assert_eq!(
        (0..6).map(above).collect::<Vec<_>>(),
        [None, Some(0), Some(0), Some(0), Some(3), Some(0)]
    );
    assert_eq!(tree.top(), [ObjectId(0)]);
    assert_eq!(tree.children(ObjectId(0)), [1, 2, 3, 5].map(ObjectId));
    assert_eq!(tree.children(ObjectId(3)), [ObjectId(4)]);
    let own = |row: u32| graph.bytes(ObjectId(row));
    assert_eq!(tree.retained(ObjectId(3)), own(3) + own(4));
    assert_eq!(tree.retained(ObjectId(0)), (0..6).map(own).sum::<u64>());
    assert!(tree.dominates(ObjectId(0), ObjectId(5)));
    assert!(!tree.dominates(ObjectId(4), ObjectId(5)));
    let mut both = ObjectSet::new(6);
    both.insert(ObjectId(3));
    both.insert(ObjectId(4));
    assert_eq!(tree.retained_by_all(&both), own(3) + own(4));
}

#[test]
fn weak_references_keep_nothing() {
    let mut heap = heap(3, &[(0, 1), (1, 2), (0, 2)], &[0], &[]);
    let edges = heap.edges.as_mut().unwrap();
    edges.label[1] = Label::new(LabelKind::Weak, 0);
    let graph = Graph::new(&heap).unwrap();
    assert_eq!(graph.referrers(ObjectId(2)), [ObjectId(1)]);
    assert_eq!(graph.edges_of(ObjectId(0)).count(), 1);
    let tree = Dominators::new(&graph);
    assert_eq!(tree.dominator(ObjectId(2)), Some(ObjectId(1)));
}

#[test]
fn what_no_root_reaches_hangs_below_the_top() {
    // 1 and 2 are a cycle that holds 3; 4 is held by C code and holds 5; 6 and 7 are a cycle whose
    // member 7 is held by C code.
    let edges = [(1, 2), (2, 1), (2, 3), (4, 5), (6, 7), (7, 6)];
    let heap = heap(8, &edges, &[0], &[4, 7]);
    let graph = Graph::new(&heap).unwrap();
    assert_eq!(graph.reached().len(), 1);
    let tree = Dominators::new(&graph);
    assert_eq!(tree.top(), [0, 1, 4, 7].map(ObjectId));
    let own = |row: u32| graph.bytes(ObjectId(row));
    assert_eq!(tree.retained(ObjectId(1)), own(1) + own(2) + own(3));
    assert_eq!(tree.retained(ObjectId(7)), own(6) + own(7));
}

#[test]
fn a_list_of_a_million_links_needs_no_deep_stack() {
    let count = 1_000_000;
    let mut m = Maker::default();
    let kind = m.kind("app.Node");
    for _ in 0..count {
        m.object_of(kind, 16, 2);
    }
    let name = m.string("app");
    let (object, kind) = (ObjectId(0), RootKind::Module);
    m.heap.roots.push(Root { object, kind, name });
    let mut edges = memshed_heap::Edges {
        start: (0..=u64::from(count)).collect(),
        ..Default::default()
    };
    for row in 0..count {
        edges.target.push(ObjectId((row + 1) % count));
        edges.label.push(Label::new(LabelKind::Index, 0));
    }
    m.heap.edges = Some(edges);
    let graph = Graph::new(&m.heap).unwrap();
    let tree = Dominators::new(&graph);
    assert_eq!(tree.retained(ObjectId(0)), 32 * u64::from(count));
    let last = ObjectId(count - 1);
    assert_eq!(tree.dominator(last), Some(ObjectId(count - 2)));
}

#[test]
fn no_edges_no_graph() {
    assert!(Graph::new(&Heap::default()).is_none());
    let mut m = Maker::default();
    m.edges(&[]);
    let graph = Graph::new(&m.heap).unwrap();
    assert!(graph.is_empty());
    assert!(Dominators::new(&graph).top().is_empty());
}

prop_compose! {
    fn any_graph()(objects in 1u32..40)(
        edges in prop::collection::vec((0..objects, 0..objects), 0..(objects as usize * 3)),
        roots in prop::collection::btree_set(0..objects, 0..3),
        held in prop::collection::vec(0..objects, 0..3),
        objects in Just(objects),
    ) -> (u32, Vec<(u32, u32)>, Vec<u32>, Vec<u32>) {
        (objects, edges, roots.into_iter().collect(), held)
    }
}

proptest! {
    #[test]
    fn as_the_naive_oracle_says((objects, edges, roots, held) in any_graph()) {
        let heap = heap(objects, &edges, &roots, &held);
        let graph = Graph::new(&heap).unwrap();
        let reached = reach(&edges, &roots, None);
        prop_assert!(graph.reached().iter().map(|one| one.0).eq(reached.iter().copied()));
        for row in 0..objects {
            let mut sources: Vec<u32> = edges.iter().filter(|e| e.1 == row).map(|e| e.0).collect();
            sources.sort_unstable();
            let referrers: Vec<u32> = graph.referrers(ObjectId(row)).iter().map(|r| r.0).collect();
            prop_assert_eq!(sources, referrers);
        }

        // Below the top: roots, what C code holds, and one object of each cycle left over.
        let tree = Dominators::new(&graph);
        let unreached = |row: &u32| !reached.contains(row);
        let mut entries = roots.clone();
        entries.extend(held.iter().copied().filter(unreached));
        let known = reach(&edges, &entries, None);
        let left: Vec<u32> = (0..objects).filter(|row| !known.contains(row)).collect();
        // Whatever leads to such an object is in its cycle.
        let leads = |from: u32, to: u32| reach(&edges, &[from], None).contains(&to);
        let is_first = |row: &u32| (0..objects).all(|other| !leads(other, *row) || leads(*row, other));
        let mut extra: Vec<u32> = tree.top().iter().map(|one| one.0).collect();
        extra.retain(|row| left.contains(row) && is_first(row));
        for (i, &one) in extra.iter().enumerate() {
            prop_assert!(extra[i + 1..].iter().all(|&other| !leads(one, other)));
        }
        entries.extend(extra);
        prop_assert_eq!(reach(&edges, &entries, None).len(), objects as usize);

        let gone: Vec<BTreeSet<u32>> = (0..objects).map(|row| {
            let rest = reach(&edges, &entries, Some(row));
            (0..objects).filter(|other| !rest.contains(other)).collect()
        }).collect();
        for row in 0..objects {
            let bytes: u64 = gone[row as usize].iter().map(|&one| graph.bytes(ObjectId(one))).sum();
            prop_assert_eq!(tree.retained(ObjectId(row)), bytes);
            for other in 0..objects {
                let dominates = gone[row as usize].contains(&other);
                prop_assert_eq!(tree.dominates(ObjectId(row), ObjectId(other)), dominates);
            }
            // The nearest of those that dominate it is dominated by all others.
            let above: Vec<u32> = (0..objects).filter(|&a| a != row && gone[a as usize].contains(&row)).collect();
            let nearest = above.iter().copied().find(|&a| above.iter().all(|&b| gone[b as usize].contains(&a)));
            prop_assert_eq!(tree.dominator(ObjectId(row)).map(|one| one.0), nearest);
            let children: Vec<u32> = tree.children(ObjectId(row)).iter().map(|one| one.0).collect();
            for &child in &children {
                prop_assert_eq!(tree.dominator(ObjectId(child)), Some(ObjectId(row)));
            }
            prop_assert!(children.is_sorted());
        }
        let below: usize = (0..objects).map(|row| tree.children(ObjectId(row)).len()).sum();
        prop_assert_eq!(below + tree.top().len(), objects as usize);
    }

    /// The bytes that a set retains are those of what is dominated by any of its members.
    #[test]
    fn sets_count_what_is_below_them_once((objects, edges, roots, held) in any_graph(), picked: u64) {
        let heap = heap(objects, &edges, &roots, &held);
        let graph = Graph::new(&heap).unwrap();
        let tree = Dominators::new(&graph);
        let mut set = ObjectSet::new(objects as usize);
        for row in (0..objects).filter(|row| picked >> row & 1 == 1) {
            set.insert(ObjectId(row));
        }
        let below = |row: &u32| set.iter().any(|one| tree.dominates(one, ObjectId(*row)));
        let bytes: u64 = (0..objects).filter(below).map(|row| graph.bytes(ObjectId(row))).sum();
        prop_assert_eq!(tree.retained_by_all(&set), bytes);
    }

    /// Edges of a garbled file: none leads out of the heap any more, none panics.
    #[test]
    fn garbled_edges_are_left_out(
        start in prop::collection::vec(0u64..40, 0..14),
        target in prop::collection::vec(0u32..14, 0..30),
        label in prop::collection::vec(any::<u32>(), 0..30),
        roots in prop::collection::vec(0u32..14, 0..4),
    ) {
        let mut heap = heap(10, &[], &roots, &[]);
        heap.objects.refcount.truncate(7);
        heap.edges = Some(memshed_heap::Edges {
            start,
            target: target.into_iter().map(ObjectId).collect(),
            label: label.into_iter().map(Label).collect(),
        });
        let graph = Graph::new(&heap).unwrap();
        let tree = Dominators::new(&graph);
        for row in 0..12 {
            let object = ObjectId(row);
            prop_assert!(graph.edges_of(object).all(|(target, _)| target.0 < 10));
            prop_assert!(graph.referrers(object).iter().all(|source| source.0 < 10));
            tree.dominator(object);
            tree.children(object);
        }
    }
}

#[test]
fn an_immortal_object_that_no_root_reaches_is_held() {
    let mut heap = heap(2, &[(0, 1)], &[], &[]);
    heap.objects.refcount[1] = Objects::IMMORTAL;
    let graph = Graph::new(&heap).unwrap();
    let tree = Dominators::new(&graph);
    assert_eq!(tree.top(), [ObjectId(0), ObjectId(1)]);
}
