//! What `memshed release` shows.

use crate::{assert_follows, check, plain};
use memshed_heap::Cache;
use memshed_report::{
    LeftAlone, MemorySummary, Page, RELEASE_SCHEMA, ReleaseEvent, ReleaseStep, ReleaseView, Report,
    StepName,
};
use std::time::Duration;

fn held() -> MemorySummary {
    MemorySummary {
        rss_bytes: 633_300_000,
        objects_bytes: 2_200_000,
        objects_free_bytes: 621_700_000,
        malloc_bytes: 876_500,
        malloc_free_bytes: 139_300,
        file_bytes: 6_800_000,
        other_bytes: 1_584_200,
    }
}

fn released() -> ReleaseView {
    let mut view = ReleaseView::new(4711, held());
    view.steps = vec![
        ReleaseStep::new(StepName::FreePools, 224_600_000),
        ReleaseStep::new(StepName::UsedPools, 152_100_000),
        ReleaseStep::new(StepName::Malloc, 139_300),
    ];
    view.note_stop(Duration::from_micros(3200), Duration::from_millis(3));
    view.note_stop(Duration::from_micros(2900), Duration::from_millis(2));
    view.add(StepName::FreePools, 224_600_000);
    view.add(StepName::UsedPools, 152_100_000);
    view.note(
        StepName::Malloc,
        Duration::from_millis(60),
        Duration::from_millis(60),
    );
    view.add(StepName::Malloc, 139_300);
    view.after = Some(MemorySummary {
        rss_bytes: 256_460_700,
        objects_free_bytes: 245_000_000,
        malloc_free_bytes: 0,
        ..held()
    });
    view.retirable_bytes = 70_000_000;
    view.seconds = 1.2;
    view.notes.push("3 pools were left alone".into());
    view
}

#[test]
fn memory_given_back() {
    let view = released();
    check("release.txt", &plain(&view, &Page::default()));
    assert_follows(&view.json(), RELEASE_SCHEMA).expect("the JSON follows its schema");
    // Malloc's own function stops nobody else.
    assert!((view.stopped_ms() - 3.2).abs() < 1e-9);
    assert_eq!(view.released_bytes(), 633_300_000 - 256_460_700);
}

#[test]
fn what_could_be_given_back() {
    let mut view = ReleaseView::new(4711, held());
    view.dry_run = true;
    view.steps = vec![
        ReleaseStep::new(StepName::FreePools, 224_600_000),
        ReleaseStep::unknown(StepName::Malloc),
    ];
    let cache = |name: &str, bytes| Cache {
        name: name.into(),
        entries: 3,
        bytes,
    };
    view.list_caches(&[
        cache("re._cache (compiled patterns)", 1_088),
        cache("interned strings, kept for good", 140_794),
        cache("lru_cache of shop.price", 112_631_850),
    ]);
    check("release_dry_run.txt", &plain(&view, &Page::default()));
    assert_follows(&view.json(), RELEASE_SCHEMA).expect("the JSON follows its schema");
}

#[test]
fn nothing_to_give_back() {
    let view = ReleaseView::new(4711, held());
    let text = plain(&view, &Page::default());
    assert!(text.starts_with("Process 4711 has nothing to give back of its 633.3 MB."));
}

#[test]
fn a_schema_that_is_broken_is_noticed() {
    let mut json = released().json();
    json["before"]["memory"][0]["name"] = "else".into();
    assert!(assert_follows(&json, RELEASE_SCHEMA).is_err());
}

#[test]
fn lines_of_a_supervisor() {
    let lines = [
        ReleaseEvent::Below { rss: 1_000_000 },
        ReleaseEvent::Held {
            rss: 2_000_000_000,
            looks: 4,
            why: LeftAlone::CameBack,
        },
        ReleaseEvent::Released(Box::new(released())),
        ReleaseEvent::Missed {
            why: "another memshed is looking".into(),
        },
        ReleaseEvent::Ended,
    ];
    let text: String = lines.iter().map(|event| event.line(4711) + "\n").collect();
    check("release_every.txt", &text);
    for event in &lines {
        let json: serde_json::Value =
            serde_json::from_str(&event.json(4711, 5.0)).expect("a line of JSON");
        assert_eq!((&json["pid"], &json["at"]), (&4711.into(), &5.0.into()));
        assert!(json["event"].is_string());
    }
}
