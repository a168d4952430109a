//! What `memshed advise` says, word for word.

use crate::{assert_follows, check, json, plain};
use memshed_analysis::advise::{
    Advice, AdviceKind, Advised, CollectorCost, Family, GenerationCost, Member, Stake,
};
use memshed_analysis::{Confidence, Location};
use memshed_heap::{Method, Process, SnapshotInfo};
use memshed_report::{ADVISE_SCHEMA, AdviseView, Page, Report};

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn freeze() -> Advice {
    Advice {
        kind: AdviceKind::Freeze,
        title: "The garbage collector takes 45 % of the processor time; it would take about 3.0 % if it \
                left alone what the program keeps for good (gc.freeze() after start-up)"
            .into(),
        stake: Stake::Time {
            ms_per_second: 420.0,
            share_before: 0.45,
            share_after: 0.03,
        },
        confidence: Confidence::High,
        evidence: text(&[
            "at 2,250 of 5,000 moments in 5.0 s it was at work",
            "99 % of the 1,000,000 old objects were there at the look before",
        ]),
        to_do: "Call gc.freeze() once, when the program has loaded what it keeps.".into(),
        code: text(&["import gc", "gc.freeze()"]),
        locations: Vec::new(),
        proof: "memshed tune -- COMMAND".into(),
    }
}

fn slots() -> Advice {
    Advice {
        kind: AdviceKind::Slots,
        title: "The 200,000 Order objects would take 12.8 MB less with __slots__".into(),
        stake: Stake::Bytes(12_800_000),
        confidence: Confidence::Medium,
        evidence: text(&["200,000 instances take 144 B each; with __slots__ 80 B"]),
        to_do: "Name the attributes in the class, and in each of its bases.".into(),
        code: text(&[
            "class Order:",
            "    __slots__ = (\"id\", \"\u{1b}[2Jlines\")",
        ]),
        locations: vec![Location {
            file: "/srv/lib/python3.12/site-packages/shop/orders.py".into(),
            line: 12,
            role: "its __init__()".into(),
        }],
        proof: "the same program so changed: its resident memory".into(),
    }
}

fn view(advice: Vec<Advice>) -> AdviseView {
    let generation = |collections, processor, longest| GenerationCost {
        collections,
        seconds: processor,
        processor,
        longest,
    };
    AdviseView {
        process: Process {
            pid: 4711,
            python: "3.12.1".into(),
            executable: "/usr/bin/python3.12".into(),
            rss_bytes: 120_000_000,
            ..Process::default()
        },
        snapshot: SnapshotInfo {
            method: Method::Fork,
            stopped_ms: 3.1,
            ..SnapshotInfo::default()
        },
        collector: Some(CollectorCost {
            seconds: 5.0,
            processor: 4.9,
            samples: 5_000,
            inside: 2_250,
            generations: [
                generation(900, 0.1, 0.001),
                generation(80, 0.05, 0.002),
                generation(9, 2.05, 0.24),
            ],
            oldest: None,
        }),
        family: None,
        advised: Advised {
            advice,
            declined: Vec::new(),
        },
        remarks: Vec::new(),
    }
}

#[test]
fn advice_in_full() {
    let mut view = view(vec![freeze(), slots()]);
    view.advised.declined = text(&[
        "shop.Item has 60,000 instances, but not all of them have the same attributes: __slots__ is not \
         advised.",
    ]);
    let member = |pid, parent| Member {
        pid,
        parent,
        rss_bytes: 120_000_000,
        pss_bytes: 70_000_000,
        uss_bytes: 40_000_000,
    };
    view.family = Some(Family {
        members: vec![member(4711, true), member(4712, false)],
        ..Family::default()
    });
    check("advise.txt", &plain(&view, &Page::default()));
    check("advise.json", &json(&view));
    assert_follows(&view.json(), ADVISE_SCHEMA).expect("the JSON follows its schema");
}

#[test]
fn nothing_to_gain() {
    let mut view = view(Vec::new());
    view.collector = Some(CollectorCost {
        seconds: 5.0,
        processor: 0.01,
        samples: 5_000,
        ..CollectorCost::default()
    });
    check("advise_none.txt", &plain(&view, &Page::default()));
    assert_follows(&view.json(), ADVISE_SCHEMA).expect("the JSON follows its schema");
}

#[test]
fn a_snapshot_on_a_narrow_ascii_terminal() {
    let page = Page {
        width: 60,
        unicode: false,
    };
    let mut view = view(vec![slots()]);
    view.collector = None;
    view.snapshot.method = Method::File;
    view.remarks = text(&["A snapshot does not say which values are equal."]);
    let text = plain(&view, &page);
    assert!(text.is_ascii(), "{text}");
    check("advise_narrow.txt", &text);
    assert_follows(&view.json(), ADVISE_SCHEMA).expect("the JSON follows its schema");
}
