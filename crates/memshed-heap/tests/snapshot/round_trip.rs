//! What is written is what is read.

use crate::heaps::{Scratch, assert_same, example, heap};
use memshed_heap::snapshot::{self, Existing, ReadEdges, SnapshotWriter};
use memshed_heap::{Edge, Heap, Label, LabelKind, ObjectId, SnapshotError};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_heaps_come_back_as_they_were(heap in heap()) {
        let scratch = Scratch::new("random");
        let path = scratch.path("snap");
        snapshot::write(&heap, &path, Existing::Keep).expect("written");
        let read = snapshot::read(&path, ReadEdges::Load).expect("read");
        assert_same(&read, &heap);
        let without = snapshot::read(&path, ReadEdges::Skip).expect("read");
        prop_assert!(without.edges.is_none());
    }
}

#[test]
fn an_empty_heap_comes_back() {
    let scratch = Scratch::new("empty");
    let path = scratch.path("snap");
    snapshot::write(&Heap::default(), &path, Existing::Keep).expect("written");
    let read = snapshot::read(&path, ReadEdges::Load).expect("read");
    assert_same(&read, &Heap::default());
}

/// More rows than a batch and a row group hold, and edges handed over in uneven pieces.
#[test]
fn many_rows_and_streamed_edges_come_back() {
    let scratch = Scratch::new("many");
    let path = scratch.path("snap");
    let heap = example(1_200_000);
    let edges = heap.edges.as_ref().expect("edges");
    let mut writer = SnapshotWriter::create(&path, Existing::Keep).expect("created");
    let mut pending = Vec::new();
    for row in 0..heap.objects.len() as u32 {
        let source = ObjectId(row);
        pending.extend(edges.of(source).map(|(target, label)| Edge {
            source,
            target,
            label,
        }));
        if pending.len() > 77_777 {
            writer.write_edges(&pending, &heap.strings).expect("edges");
            pending.clear();
        }
    }
    writer.write_edges(&pending, &heap.strings).expect("edges");
    writer.finish(&heap).expect("written");
    assert_same(
        &snapshot::read(&path, ReadEdges::Load).expect("read"),
        &heap,
    );
}

#[test]
fn contradictory_heaps_are_refused() {
    let scratch = Scratch::new("contradictory");
    let path = scratch.path("snap");
    let broken: [fn(&mut Heap); 14] = [
        |heap| heap.objects.holder[3] = ObjectId(99),
        |heap| {
            let mut addresses: Vec<u64> = heap.objects.address.iter().collect();
            addresses.swap(1, 2);
            heap.objects.address = addresses.into_iter().collect();
        },
        |heap| heap.types.truncate(1),
        |heap| heap.roots[0].object = ObjectId(99),
        |heap| heap.objects.refcount.truncate(3),
        |heap| heap.edges.as_mut().expect("edges").target[0] = ObjectId(99),
        |heap| heap.previews.as_mut().expect("previews")[1].object = ObjectId(99),
        |heap| heap.previews.as_mut().expect("previews").reverse(),
        |heap| heap.code[0].object = ObjectId(99),
        |heap| heap.stacks[0].calls[0].code = ObjectId(99),
        |heap| heap.outer_references.push((ObjectId(0), 1)),
        |heap| heap.duplicates[0].object = ObjectId(99),
        |heap| heap.fill[0].emptiest = ObjectId(99),
        |heap| heap.fill[0].type_id = memshed_heap::TypeId(99),
    ];
    for break_it in broken {
        let mut heap = example(10);
        break_it(&mut heap);
        let error = snapshot::write(&heap, &path, Existing::Keep).expect_err("contradictory");
        assert!(matches!(error, SnapshotError::Unwritable { .. }), "{error}");
        assert!(scratch.list().is_empty(), "{:?}", scratch.list());
    }
}

#[test]
fn edges_out_of_order_are_refused() {
    let scratch = Scratch::new("order");
    let heap = example(10);
    let mut writer =
        SnapshotWriter::create(&scratch.path("snap"), Existing::Keep).expect("created");
    let edge = |source| Edge {
        source: ObjectId(source),
        target: ObjectId(0),
        label: Label::new(LabelKind::Index, 0),
    };
    writer
        .write_edges(&[edge(5)], &heap.strings)
        .expect("first");
    let error = writer.write_edges(&[edge(4)], &heap.strings);
    assert!(matches!(error, Err(SnapshotError::Unwritable { .. })));
    drop(writer);
    assert!(scratch.list().is_empty());
}
