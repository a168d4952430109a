//! Objects known again in a later look, against a naive oracle.

use crate::maker::Maker;
use memshed_analysis::matching::{Unrelated, matching, same_process};
use memshed_heap::{Heap, ObjectId, TypeId};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["list", "app.Row", "tuple", "str"];

/// Objects by address, type, size and generation.
type Rows = std::collections::BTreeMap<u64, (u32, u64, u8)>;

/// A heap of such objects, whose types are in this order.
fn heap(rows: &Rows, order: [usize; 4]) -> Heap {
    let mut m = Maker::default();
    for at in order {
        let TypeId(kind) = m.new_type(NAMES[at]);
        m.heap.types[kind as usize].address = 0x100 + at as u64;
    }
    let mut addresses = memshed_heap::Addresses::default();
    for (&address, &(kind, size, generation)) in rows {
        let kind = order.iter().position(|&at| at == kind as usize).unwrap();
        m.object_of(TypeId(kind as u32), size, generation);
        addresses.push(address);
    }
    m.heap.objects.address = addresses;
    m.heap
}

fn rows() -> impl Strategy<Value = Rows> {
    let row = (0u32..4, prop::sample::select(vec![32u64, 48, 64]), 0u8..3);
    prop::collection::btree_map((0u64..60).prop_map(|at| 0xffff_ff00 + at * 16), row, 0..40)
}

proptest! {
    #[test]
    fn the_same_address_and_type_is_the_same_object(before in rows(), after in rows()) {
        let (old, new) = (heap(&before, [0, 1, 2, 3]), heap(&after, [2, 0, 3, 1]));
        let found = matching(&old, &new);
        let mut survived = 0;
        for (row, (address, is)) in after.iter().enumerate() {
            let same = before.get(address).filter(|was| {
                let resized = match NAMES[is.0 as usize] {
                    "tuple" => was.1 != is.1,
                    "str" => is.1 < was.1,
                    _ => false,
                };
                was.0 == is.0 && !resized && !(was.2 > 0 && is.2 == 0)
            });
            let expected = same.map_or(ObjectId::NONE, |_| {
                ObjectId(before.range(..address).count() as u32)
            });
            prop_assert_eq!(found.old_of[row], expected);
            survived += u64::from(same.is_some());
        }
        prop_assert_eq!(found.survived, survived);
    }
}

#[test]
fn a_type_made_anew_at_another_address_is_another() {
    let rows: Rows = [(0x1000, (1, 48, 2))].into();
    let (old, mut new) = (heap(&rows, [0, 1, 2, 3]), heap(&rows, [0, 1, 2, 3]));
    assert!(matching(&old, &new).is_old(ObjectId(0)));
    new.heap_type("app.Row").address = 0x999;
    assert!(!matching(&old, &new).is_old(ObjectId(0)));
}

trait TypeOf {
    fn heap_type(&mut self, name: &str) -> &mut memshed_heap::Type;
}

impl TypeOf for Heap {
    fn heap_type(&mut self, name: &str) -> &mut memshed_heap::Type {
        let Heap { types, strings, .. } = self;
        let mut found = types
            .iter_mut()
            .filter(|kind| strings.get(kind.name) == name);
        found.next().unwrap()
    }
}

#[test]
fn which_looks_are_at_one_process() {
    let mut old = Heap::default();
    old.process.pid = 7;
    old.process.executable = "/usr/bin/python3".into();
    old.process.python = "3.12.1".into();
    old.process.uptime_seconds = 100.0;
    old.snapshot.taken_at = 1_000.0;
    let mut new = old.clone();
    new.process.uptime_seconds = 160.5;
    new.snapshot.taken_at = 1_060.0;
    assert_eq!(same_process(&old, &new), Ok(()));
    // Whichever of the two was first.
    assert_eq!(same_process(&new, &old), Ok(()));
    // The number was given to another process in between.
    new.process.uptime_seconds = 20.0;
    assert_eq!(same_process(&old, &new), Err(Unrelated::Process));
    new.process.uptime_seconds = 160.0;
    new.process.pid = 8;
    assert_eq!(same_process(&old, &new), Err(Unrelated::Process));
    new.process.python = "3.13.0".into();
    assert_eq!(same_process(&old, &new), Err(Unrelated::Program));
}
