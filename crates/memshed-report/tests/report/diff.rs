//! What `memshed diff` shows.

use crate::{assert_follows, check, fixture, json, plain};
use memshed_heap::{Heap, Problem};
use memshed_report::{DIFF_SCHEMA, DiffOptions, DiffView, Page, Relation, Report, SortBy};

fn options() -> DiffOptions {
    DiffOptions {
        top: 15,
        sort: SortBy::Bytes,
        filter: None,
        new_name: "later.memshed".into(),
    }
}

fn diff(old: &Heap, new: &Heap) -> DiffView {
    DiffView::from_heaps(old, new, &options())
}

#[test]
fn a_program_that_grows() {
    let view = diff(&fixture::heap(), &fixture::heap_later());
    assert_eq!(view.relation, Relation::SameProcess);
    check("diff.txt", &plain(&view, &Page::default()));
    check("diff.json", &json(&view));
}

#[test]
fn on_a_narrow_ascii_terminal() {
    let page = Page {
        width: 60,
        unicode: false,
    };
    let text = plain(&diff(&fixture::heap(), &fixture::heap_later()), &page);
    assert!(text.is_ascii());
    let widest = text.lines().map(str::len).max().unwrap_or(0);
    assert!(widest <= 80, "{widest} columns");
    check("diff_narrow.txt", &text);
}

#[test]
fn the_wrong_way_round() {
    let view = diff(&fixture::heap_later(), &fixture::heap());
    check("diff_swapped.txt", &plain(&view, &Page::default()));
}

#[test]
fn two_programs_and_two_processes() {
    let mut other = fixture::heap_later();
    other.process.pid = 12;
    let view = diff(&fixture::heap(), &other);
    assert_eq!(view.relation, Relation::TwoProcesses);
    let text = plain(&view, &Page::default());
    let first = text.lines().next().unwrap_or("");
    assert!(
        first.starts_with("These are two different processes (4711 and 12)"),
        "{first}"
    );
    assert!(!text.contains("Where objects were added"));
    other.process.python = "3.13.0".into();
    other.snapshot.problems.push(Problem {
        kind: "torn_object".into(),
        count: 1,
        example: String::new(),
    });
    let view = diff(&fixture::heap(), &other);
    assert_eq!(view.relation, Relation::TwoPrograms);
    check("diff_programs.txt", &plain(&view, &Page::default()));
    assert_follows(&view.json(), DIFF_SCHEMA).expect("the view's JSON follows the schema");
}

#[test]
fn nothing_has_changed() {
    let view = diff(&fixture::heap(), &fixture::heap());
    check("diff_nothing.txt", &plain(&view, &Page::default()));
    let view = diff(&Heap::default(), &Heap::default());
    assert!(!plain(&view, &Page::default()).is_empty());
    assert_follows(&view.json(), DIFF_SCHEMA).expect("the view's JSON follows the schema");
}

#[test]
fn its_json_follows_its_schema() {
    let good = diff(&fixture::heap(), &fixture::heap_later()).json();
    assert_follows(&good, DIFF_SCHEMA).expect("the view's JSON follows the schema");
    for pointer in [
        "/relation",
        "/old/process/rss_bytes",
        "/objects/places/0/added/count",
        "/types/0/growth/bytes",
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = serde_json::json!("no");
        assert!(assert_follows(&bad, DIFF_SCHEMA).is_err(), "{pointer}");
    }
}

#[test]
fn names_cannot_steer_the_terminal() {
    let mut later = fixture::heap_later();
    later.objects.type_id.iter_mut().for_each(|kind| kind.0 = 5);
    let text = diff(&fixture::heap(), &later).text(&Page::default());
    assert!(text.contains("Red") && !text.contains("\x1b[31m"));
}
