//! Counting by type and by module.

use crate::maker::Maker;
use memshed_analysis::{Amounts, Pattern, SortBy, Summary, SummaryOptions, summary};
use memshed_heap::{Heap, TypeId};
use proptest::prelude::*;

fn example() -> Heap {
    let mut m = Maker::default();
    let dict = m.kind("dict");
    let row = m.kind("app.models.Row");
    // The class was made anew.
    let row_again = m.new_type("app.models.Row");
    let view = m.kind("app.View");
    m.kind("app.Unused");
    for (kind, size, generation) in [
        (dict, 100, 2),
        (dict, 300, 3),
        (row, 40, 0),
        (row_again, 60, u8::MAX),
        (view, 500, 1),
    ] {
        m.object_of(kind, size, generation);
    }
    m.heap
}

fn names(summary: &Summary) -> Vec<&str> {
    summary.types.iter().map(|row| &*row.name).collect()
}

#[test]
fn rows_of_equal_name_are_one() {
    let found = summary(&example(), &SummaryOptions::default());
    assert_eq!(names(&found), ["app.View", "dict", "app.models.Row"]);
    let total = Amounts {
        count: 5,
        gc_tracked: 3,
        frozen: 1,
        bytes: 1000,
        allocated: 1080,
    };
    assert_eq!(found.total, total);
    assert_eq!(found.listed, total);
    let row = &found.types[2];
    assert_eq!(
        (row.types, row.amounts.count, row.amounts.bytes),
        (2, 2, 100)
    );
    assert_eq!(row.module, "app.models");
    assert_eq!((row.shares.count, row.shares.bytes), (0.4, 0.1));
    let modules: Vec<_> = found
        .modules
        .iter()
        .map(|row| (&*row.module, row.types))
        .collect();
    assert_eq!(modules, [("app", 1), ("builtins", 1), ("app.models", 1)]);
}

#[test]
fn orders() {
    for (sort, expected) in [
        (SortBy::Bytes, ["app.View", "dict", "app.models.Row"]),
        (SortBy::Allocated, ["app.View", "dict", "app.models.Row"]),
        (SortBy::Count, ["app.models.Row", "dict", "app.View"]),
        (SortBy::GcTracked, ["app.View", "app.models.Row", "dict"]),
        (SortBy::Name, ["app.View", "app.models.Row", "dict"]),
    ] {
        let options = SummaryOptions {
            sort,
            ..SummaryOptions::default()
        };
        let mut found = summary(&example(), &options);
        if sort == SortBy::GcTracked {
            // All have one; equal rows go by name.
            assert!(found.types.iter().all(|row| row.amounts.gc_tracked == 1));
        }
        assert_eq!(names(&found), expected, "{sort:?}");
        found.types.clear();
    }
}

#[test]
fn filters_list_less_but_the_total_stays() {
    let list = |name: Option<&str>, module: Option<&str>| {
        let options = SummaryOptions {
            name: name.map(Pattern::new),
            module: module.map(Pattern::new),
            ..SummaryOptions::default()
        };
        summary(&example(), &options)
    };
    let found = list(Some("Row"), None);
    assert_eq!(names(&found), ["app.models.Row"]);
    assert_eq!((found.total.count, found.listed.count), (5, 2));
    assert_eq!(found.modules.len(), 1);
    assert_eq!(
        names(&list(None, Some("app"))),
        ["app.View", "app.models.Row"]
    );
    assert_eq!(names(&list(Some("*.V*"), Some("app"))), ["app.View"]);
    assert!(list(Some("nothing"), None).types.is_empty());
}

#[test]
fn an_empty_heap_and_one_without_types() {
    assert_eq!(
        summary(&Heap::default(), &SummaryOptions::default()),
        Summary::default()
    );
    let mut m = Maker::default();
    m.object_of(TypeId(7), 10, 0);
    let found = summary(&m.heap, &SummaryOptions::default());
    assert_eq!(names(&found), ["?"]);
    assert_eq!(found.total.bytes, 10);
}

proptest! {
    #[test]
    fn rows_add_up_to_the_totals(
        objects in prop::collection::vec((0u32..8, 0u64..1 << 34, 0u8..5), 0..300),
        sort in 0usize..5,
        pattern in prop::option::of("[abT*?.]{0,3}"),
    ) {
        let mut m = Maker::default();
        for name in ["a.T", "a.T", "b.T", "ab", "T", "a.b.T", "b.ab"] {
            m.new_type(name);
        }
        for (kind, size, generation) in &objects {
            m.object_of(TypeId(*kind), *size, if *generation == 4 { u8::MAX } else { *generation });
        }
        let sort = [SortBy::Bytes, SortBy::Allocated, SortBy::Count, SortBy::GcTracked, SortBy::Name][sort];
        let all = summary(&m.heap, &SummaryOptions { sort, ..SummaryOptions::default() });
        prop_assert_eq!(all.total.count, objects.len() as u64);
        prop_assert_eq!(all.total.bytes, objects.iter().map(|o| o.1).sum::<u64>());
        prop_assert_eq!(all.total.gc_tracked, objects.iter().filter(|o| o.2 < 3).count() as u64);
        prop_assert_eq!(all.listed, all.total);
        for amounts in [
            all.types.iter().map(|row| row.amounts).collect::<Vec<_>>(),
            all.modules.iter().map(|row| row.amounts).collect(),
        ] {
            let sum = |of: fn(&Amounts) -> u64| amounts.iter().map(of).sum::<u64>();
            prop_assert_eq!(sum(|a| a.count), all.total.count);
            prop_assert_eq!(sum(|a| a.gc_tracked), all.total.gc_tracked);
            prop_assert_eq!(sum(|a| a.frozen), all.total.frozen);
            prop_assert_eq!(sum(|a| a.bytes), all.total.bytes);
            prop_assert_eq!(sum(|a| a.allocated), all.total.allocated);
        }
        // A filter keeps a part of the rows, in the same order.
        let options = SummaryOptions { sort, name: pattern.as_deref().map(Pattern::new), module: None };
        let some = summary(&m.heap, &options);
        let kept: Vec<_> = all.types.iter()
            .filter(|row| options.name.as_ref().is_none_or(|p| p.fits(&row.name)))
            .cloned().collect();
        prop_assert_eq!(&some.types, &kept);
        prop_assert_eq!(some.total, all.total);
    }
}
