//! What `memshed why` shows.

use crate::{assert_follows, check, fixture, json, plain};
use memshed_analysis::{Dominators, Graph, what};
use memshed_heap::Heap;
use memshed_report::{Page, Report, WHY_SCHEMA, WhyRequest, WhyView};

fn why(heap: &Heap, text: &str) -> WhyView {
    let graph = Graph::new(heap).expect("a heap with edges");
    let dominators = Dominators::new(&graph);
    let found = what::find(heap, text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let request = WhyRequest {
        top: 8,
        target: "shop.memshed".into(),
    };
    WhyView::new(&graph, &dominators, &found, &request)
}

fn shown(heap: &Heap, text: &str) -> String {
    plain(&why(heap, text), &Page::default())
}

#[test]
fn a_container() {
    let mut heap = fixture::heap_with_edges();
    heap.snapshot.problems.clear();
    check("why_container.txt", &shown(&heap, "shop.CACHE[\"users\"]"));
}

#[test]
fn a_type() {
    let heap = fixture::heap_with_edges();
    check("why_type.txt", &shown(&heap, "Customer"));
    check("why.json", &json(&why(&heap, "Customer")));
}

#[test]
fn an_object_with_two_references() {
    let heap = fixture::heap_with_edges();
    check("why_two.txt", &shown(&heap, "shop.CACHE[users][1]"));
}

#[test]
fn what_no_root_reaches() {
    let heap = fixture::heap_with_edges();
    let address = heap.objects.address.get(10);
    check("why_unreached.txt", &shown(&heap, &format!("{address:#x}")));
}

#[test]
fn a_module() {
    check(
        "why_module.txt",
        &shown(&fixture::heap_with_edges(), "shop"),
    );
}

#[test]
fn on_a_narrow_ascii_terminal() {
    let page = Page {
        width: 60,
        unicode: false,
    };
    let heap = fixture::heap_with_edges();
    for what in ["Customer", "shop.CACHE[users][1].friend", "shop", "str"] {
        if what::find(&heap, what).is_err() {
            continue;
        }
        let text = plain(&why(&heap, what), &page);
        assert!(text.is_ascii());
        let widest = text.lines().map(str::len).max().unwrap_or(0);
        assert!(widest <= 80, "{widest} columns");
    }
    check("why_narrow.txt", &plain(&why(&heap, "Customer"), &page));
}

#[test]
fn its_json_follows_its_schema() {
    let heap = fixture::heap_with_edges();
    for what in ["Customer", "shop", "shop.CACHE[users][1]", "0x7f0000001a00"] {
        let good = why(&heap, what).json();
        assert_follows(&good, WHY_SCHEMA).expect("the view's JSON follows the schema");
        for pointer in [
            "/meaning",
            "/objects/count",
            "/ways/0/steps",
            "/ways/0/root/kind",
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect(pointer) = serde_json::json!("no");
            assert!(assert_follows(&bad, WHY_SCHEMA).is_err(), "{pointer}");
        }
    }
}

#[test]
fn names_cannot_steer_the_terminal() {
    let heap = fixture::heap_with_edges();
    let address = heap.objects.address.get(10);
    let text = why(&heap, &format!("{address:#x}")).text(&Page::default());
    assert!(text.contains("Red") && !text.contains("\x1b[31m"));
}
