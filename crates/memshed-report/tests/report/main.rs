//! The texts that people read, word for word, and the JSON against its schema.
//! `UPDATE_GOLDEN=1 cargo test -p memshed-report` writes the files anew; read the difference.

mod advise;
mod diff;
mod fixture;
mod leaks;
mod release;
mod tune;
mod why;

use memshed_heap::{Heap, Method, ObjectId, Preview, Sizes};
use memshed_report::{
    Check, DoctorView, InspectView, Options, Page, PsRow, PsView, Report, SnapshotView, SortBy,
    Watch, WatchEvent, WatchReason, WatchSkipped, WatchStart, WatchTable,
};
use std::path::Path;

/// Compares with `golden/NAME`.
fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/report/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{name} differs from {}:\n{actual}\n--- expected:\n{expected}",
        path.display()
    );
}

/// The text without styles.
fn plain(report: &dyn Report, page: &Page) -> String {
    anstream::adapter::strip_str(&report.text(page)).to_string()
}

fn inspect(heap: &Heap, options: &Options, page: &Page) -> String {
    plain(&InspectView::from_heap(heap, options), page)
}

#[test]
fn inspect_in_full() {
    let text = inspect(&fixture::heap(), &Options::default(), &Page::default());
    check("inspect.txt", &text);
}

#[test]
fn inspect_on_a_narrow_ascii_terminal() {
    let page = Page {
        width: 60,
        unicode: false,
    };
    let text = inspect(&fixture::heap(), &Options::default(), &page);
    assert!(text.is_ascii());
    let widest = text.lines().map(str::len).max().unwrap_or(0);
    assert!(widest <= 80, "{widest} columns");
    check("inspect_narrow.txt", &text);
}

#[test]
fn inspect_of_a_paused_process_by_module() {
    let mut heap = fixture::heap();
    heap.snapshot.method = Method::Pause;
    heap.snapshot.method_reason = Some("its container has no room for a copy".into());
    heap.snapshot.problems.clear();
    heap.process.container = None;
    heap.process.swap_bytes = 5_000_000;
    heap.gc.enabled = false;
    let options = Options {
        by_module: true,
        sort: SortBy::Count,
        top: 2,
        ..Options::default()
    };
    check(
        "inspect_modules.txt",
        &inspect(&heap, &options, &Page::default()),
    );
}

#[test]
fn inspect_of_a_snapshot_with_a_filter() {
    let mut heap = fixture::heap();
    heap.snapshot.method = Method::File;
    heap.snapshot.method_reason = Some("of a forked copy".into());
    let options = Options {
        filter: Some("shop.*".into()),
        sort: SortBy::Name,
        ..Options::default()
    };
    check(
        "inspect_filter.txt",
        &inspect(&heap, &options, &Page::default()),
    );
}

#[test]
fn inspect_with_contents() {
    let mut heap = fixture::heap();
    let preview = |row: u32, position| Preview {
        object: ObjectId(row),
        position,
        text: format!(
            "{{\"id\": {row}, \"secret\u{1b}\": [1, 2, …]}} and so on, for a hundred columns or more"
        ),
    };
    let rows = 0..heap.objects.len() as u32;
    let previews = rows.flat_map(|row| [preview(row, None), preview(row, Some(1))]);
    heap.previews = Some(previews.collect());
    let view = InspectView::from_heap(&heap, &Options::default());
    assert_valid(&view.json()).expect("the view's JSON follows the schema");
    check("inspect_values.txt", &plain(&view, &Page::default()));
}

/// A watch in which everything happens.
fn watch_events() -> Vec<WatchEvent> {
    let mut heap = fixture::heap();
    let mut watch = Watch::new(heap.snapshot.taken_at);
    let at = |heap: &mut Heap, seconds: f64| {
        heap.snapshot.taken_at += seconds;
        heap.process.rss_bytes += 5_000_000;
        heap.memory[0].bytes += 5_000_000;
        let mut sizes = Sizes::default();
        heap.objects
            .size
            .iter()
            .for_each(|size| sizes.push(size + 70_000));
        heap.objects.size = sizes;
        heap.gc.generations[0].collections += 7;
    };
    let mut events = vec![WatchEvent::Start(WatchStart {
        pid: 4711,
        python: "3.12.1".into(),
        executable: "/usr/local/bin/python3.12".into(),
        at: heap.snapshot.taken_at,
        every_seconds: 10.0,
        continues: Some(1),
        ..WatchStart::default()
    })];
    events.push(WatchEvent::Look(watch.look(&heap)));
    at(&mut heap, 10.0);
    events.push(WatchEvent::Look(watch.look(&heap)));
    let missed = watch.missed(
        heap.snapshot.taken_at + 10.0,
        "cannot look: \u{1b}[31m".into(),
    );
    events.push(WatchEvent::Missed(missed));
    at(&mut heap, 20.0);
    heap.snapshot.method = Method::Pause;
    heap.snapshot.method_reason = Some("its container has no room for a copy".into());
    events.push(WatchEvent::Look(watch.look(&heap)));
    events.push(WatchEvent::Skipped(WatchSkipped {
        count: 2,
        look_seconds: 23.4,
    }));
    events.push(WatchEvent::End(watch.end(WatchReason::Interrupted)));
    events
}

#[test]
fn a_watch_line_by_line() {
    let rendered = |page| {
        let mut table = WatchTable::new(page, true);
        let lines = watch_events()
            .iter()
            .map(|event| table.lines(event))
            .collect::<String>();
        anstream::adapter::strip_str(&lines).to_string()
    };
    check("watch.txt", &rendered(Page::default()));
    let narrow = rendered(Page {
        width: 60,
        unicode: false,
    });
    assert!(narrow.is_ascii());
    assert!(narrow.lines().all(|line| line.len() <= 60), "{narrow}");
    check("watch_narrow.txt", &narrow);
    let lines = watch_events()
        .iter()
        .map(|event| event.json() + "\n")
        .collect::<String>();
    check("watch.jsonl", &lines);
}

#[test]
fn a_watch_of_nothing_has_a_sum() {
    let mut watch = Watch::new(0.0);
    let end = watch.end(WatchReason::Exited);
    assert!(end.per_hour.is_none());
    watch.look(&Heap::default());
    watch.look(&Heap::default());
    // Both at the same time: no rate follows from that.
    assert!(watch.end(WatchReason::Count).per_hour.is_none());
}

#[test]
fn headings_are_repeated_for_somebody_who_watches() {
    let look = WatchEvent::Look(Watch::new(0.0).look(&fixture::heap()));
    for (repeat, headings) in [(true, 3), (false, 1)] {
        let mut table = WatchTable::new(Page::default(), repeat);
        let text: String = (0..50).map(|_| table.lines(&look)).collect();
        assert_eq!(text.matches("RESIDENT").count(), headings);
    }
}

#[test]
fn inspect_of_nothing_at_all() {
    let text = inspect(&Heap::default(), &Options::default(), &Page::default());
    check("inspect_empty.txt", &text);
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let view = InspectView::from_heap(&fixture::heap(), &Options::default());
    assert!(!view.text(&Page::default()).contains("\x1b[31m"));
}

#[test]
fn processes() {
    let row = |pid, rss_bytes, script: &str, why_not: Option<&str>| PsRow {
        pid,
        python: "3.12.1".into(),
        rss_bytes,
        uptime_seconds: 4_000.0,
        user: "www-data".into(),
        script: script.into(),
        can_look: why_not.is_none(),
        why_not: why_not.map(str::to_string),
    };
    let view = PsView::new(vec![
        row(12, 45_000_000, "manage.py", None),
        row(
            4711,
            605_300_000,
            "gunicorn",
            Some("kernel.yama.ptrace_scope is 1"),
        ),
    ]);
    check("ps.txt", &plain(&view, &Page::default()));
    check("ps_none.txt", &plain(&PsView::default(), &Page::default()));
    check("ps.json", &json(&view));
}

#[test]
fn doctor() {
    let checks = vec![
        Check::ok("kernel", "Linux 6.18.0"),
        Check::warn(
            "ptrace_scope",
            "1: a user may look only at what memshed itself starts",
            "`sudo /home/ada/.venv/bin/memshed inspect PID`, or `sudo sysctl \
             kernel.yama.ptrace_scope=0`, or `memshed inspect -- COMMAND`",
        ),
        Check::fail(
            "permission",
            "it belongs to root",
            "`sudo /usr/bin/memshed inspect 1`",
        ),
    ];
    let view = DoctorView::new(Some(1), checks);
    check("doctor.txt", &plain(&view, &Page::default()));
    check("doctor.json", &json(&view));
}

#[test]
fn a_written_snapshot() {
    let view = SnapshotView::new(&fixture::heap(), "shop.memshed", 1_234_567);
    check("snapshot.txt", &plain(&view, &Page::default()));
}

#[test]
fn json_of_inspect() {
    let options = Options {
        by_module: true,
        ..Options::default()
    };
    let view = InspectView::from_heap(&fixture::heap(), &options);
    check("inspect.json", &json(&view));
}

#[test]
fn json_follows_its_schema() {
    for heap in [fixture::heap(), Heap::default()] {
        let view = InspectView::from_heap(&heap, &Options::default());
        assert_valid(&view.json()).expect("the view's JSON follows the schema");
    }
}

#[test]
fn the_schema_refuses_what_it_should() {
    let good = InspectView::from_heap(&fixture::heap(), &Options::default()).json();
    for pointer in [
        "/process/rss_bytes",
        "/types/0/count",
        "/snapshot/method",
        "/schema",
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = serde_json::json!("no");
        assert!(assert_valid(&bad).is_err(), "{pointer}");
    }
    for key in [
        "process", "types", "memory", "gc", "pools", "caches", "objects",
    ] {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(key);
        assert!(assert_valid(&bad).is_err(), "{key}");
    }
}

fn assert_valid(document: &serde_json::Value) -> Result<(), String> {
    assert_follows(document, memshed_report::INSPECT_SCHEMA)
}

fn assert_follows(document: &serde_json::Value, schema: &str) -> Result<(), String> {
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    let mut compiler = boon::Compiler::new();
    compiler
        .add_resource("schema.json", schema)
        .expect("a resource");
    let mut schemas = boon::Schemas::new();
    let index = compiler
        .compile("schema.json", &mut schemas)
        .expect("a valid schema");
    schemas
        .validate(document, index)
        .map_err(|error| error.to_string())
}

fn json(report: &dyn Report) -> String {
    serde_json::to_string_pretty(&report.json()).expect("JSON") + "\n"
}
