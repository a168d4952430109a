//! The largest objects.

use crate::maker::Maker;
use memshed_analysis::largest;
use memshed_heap::RootKind;
use proptest::prelude::*;

#[test]
fn the_largest_come_first_and_say_what_holds_them() {
    let mut m = Maker::default();
    let main = m.root(RootKind::Module, "app", "module");
    let kind = m.kind("bytes");
    let big = m.object_of(kind, 5 << 32, u8::MAX);
    let label = m.named(memshed_heap::LabelKind::Attribute, "blob");
    m.heap.objects.holder[big.0 as usize] = main;
    m.heap.objects.holder_label[big.0 as usize] = label;
    let found = largest(&m.heap, 5);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].object, big);
    assert_eq!(found[0].type_name, "bytes");
    assert_eq!(found[0].bytes, 5 << 32);
    assert_eq!(found[0].path.to_string(), "app.blob");
    assert_eq!(found[1].object, main);
    assert!(largest(&m.heap, 0).is_empty());
}

proptest! {
    #[test]
    fn as_if_all_were_sorted(sizes in prop::collection::vec(0u64..50, 0..200), n in 0usize..20) {
        let mut m = Maker::default();
        let kind = m.kind("str");
        for size in &sizes {
            m.object_of(kind, *size, 0);
        }
        let found: Vec<_> = largest(&m.heap, n).iter().map(|l| (l.bytes, l.object.0)).collect();
        let mut all: Vec<_> = sizes.iter().copied().zip(0..).collect();
        all.sort_by_key(|(size, row)| (std::cmp::Reverse(*size), *row));
        all.truncate(n);
        prop_assert_eq!(found, all);
    }
}
