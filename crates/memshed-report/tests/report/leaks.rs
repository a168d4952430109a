//! What `memshed leaks` says, word for word.

use crate::{assert_follows, check, json, plain};
use memshed_analysis::{Confidence, Finding, FindingKind, Location};
use memshed_heap::{Method, Problem, Process, SnapshotInfo};
use memshed_report::{LEAKS_SCHEMA, LeaksView, Page, Report, Sample};

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn growth() -> Finding {
    Finding {
        kind: FindingKind::Growth,
        title: "shop.CACHE keeps growing: 1,200 shop.Page objects came in 20 s and stayed (4.8 MB)"
            .into(),
        bytes: 4_800_000,
        bytes_per_second: Some(240_000.0),
        count: 1200,
        types: text(&["shop.Page", "str"]),
        holder: "shop.CACHE".into(),
        path: text(&["shop.CACHE", ".CACHE", "[…] (shop.Page)", ".body (str)"]),
        locations: vec![
            Location {
                file: "/srv/shop/lib/python3.12/site-packages/shop/pages.py".into(),
                line: 12,
                role: "page() uses CACHE".into(),
            },
            Location {
                file: "/srv/shop/main.py".into(),
                line: 0,
                role: "running at 3 of 9 looks, in serve()".into(),
            },
        ],
        evidence: text(&[
            "of what was new at each look since the first, this is still held at the last: 0.6 MB",
            "9 looks in 20.0 s",
        ]),
        fix: "Take out of shop.CACHE what is no longer needed, or give it a limit.".into(),
        confidence: Confidence::High,
    }
}

fn fragmentation() -> Finding {
    Finding {
        kind: FindingKind::Fragmentation,
        title: "12.0 MB of 40.0 MB is free, but the system does not get it back".into(),
        bytes: 12_000_000,
        bytes_per_second: None,
        count: 9,
        types: text(&["str"]),
        holder: "shop.\u{1b}[2JINDEX".into(),
        path: Vec::new(),
        locations: Vec::new(),
        evidence: text(&["12.0 MB is free in 40 arenas, of which 9 are mostly empty"]),
        fix: "Make the objects that stay before the others.".into(),
        confidence: Confidence::Medium,
    }
}

fn view(rss: &[u64], findings: Vec<Finding>) -> LeaksView {
    let looks = rss.iter().enumerate();
    LeaksView {
        process: Process {
            pid: 4711,
            python: "3.12.1".into(),
            executable: "/usr/bin/python3.12".into(),
            rss_bytes: rss.last().copied().unwrap_or(0),
            ..Process::default()
        },
        snapshot: SnapshotInfo {
            method: Method::Fork,
            ..SnapshotInfo::default()
        },
        stopped_ms: 3.1,
        looks: looks
            .map(|(i, &rss_bytes)| Sample {
                seconds: 2.5 * i as f64,
                rss_bytes,
            })
            .collect(),
        findings,
        ..LeaksView::default()
    }
}

const GROWING: [u64; 9] = [
    30_000_000, 31_000_000, 32_000_000, 33_000_000, 34_000_000, 35_000_000, 36_000_000, 37_000_000,
    38_000_000,
];

#[test]
fn a_leak_and_fragmentation() {
    let view = view(&GROWING, vec![growth(), fragmentation()]);
    check("leaks.txt", &plain(&view, &Page::default()));
    check("leaks.json", &json(&view));
    assert_follows(&view.json(), LEAKS_SCHEMA).expect("the JSON follows its schema");
}

#[test]
fn nothing_leaks() {
    let steady = [30_000_000u64; 9];
    check(
        "leaks_none.txt",
        &plain(&view(&steady, vec![]), &Page::default()),
    );
}

#[test]
fn a_program_that_warms_up() {
    let mut warm = [40_000_000u64; 10];
    warm[..3].copy_from_slice(&[20_000_000, 30_000_000, 37_000_000]);
    check(
        "leaks_warm.txt",
        &plain(&view(&warm, vec![]), &Page::default()),
    );
}

#[test]
fn memory_that_goes_up_for_no_cause_that_is_found() {
    check(
        "leaks_climbs.txt",
        &plain(&view(&GROWING, vec![]), &Page::default()),
    );
}

#[test]
fn memory_that_goes_up_and_down() {
    let saw = [
        30_000_000u64,
        50_000_000,
        70_000_000,
        31_000_000,
        52_000_000,
        69_000_000,
        30_000_000,
    ];
    check(
        "leaks_saw.txt",
        &plain(&view(&saw, vec![]), &Page::default()),
    );
}

#[test]
fn one_look_at_a_snapshot() {
    let mut view = view(&[30_000_000], vec![fragmentation()]);
    view.snapshot.method = Method::File;
    view.snapshot.problems = vec![Problem {
        kind: "torn-object".into(),
        count: 2,
        example: "list at 0x1".into(),
    }];
    view.remarks = text(&["The command was about to end, so that there was one look only."]);
    check("leaks_snapshot.txt", &plain(&view, &Page::default()));
    assert_follows(&view.json(), LEAKS_SCHEMA).expect("the JSON follows its schema");
}

#[test]
fn leaks_on_a_narrow_ascii_terminal() {
    let page = Page {
        width: 60,
        unicode: false,
    };
    let text = plain(&view(&GROWING, vec![growth(), fragmentation()]), &page);
    assert!(text.is_ascii(), "{text}");
    check("leaks_narrow.txt", &text);
}
