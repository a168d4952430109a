//! What `memshed tune` shows.

use crate::{assert_follows, check, json, plain};
use memshed_analysis::tune::{Figures, Metric, Pair, Question};
use memshed_report::{
    Gain, Page, Report, TUNE_SCHEMA, TuneList, TuneListRow, TuneMeasured, TuneSetting, TuneView,
    Verdict, tune_html, tune_png,
};

fn run(cpu: f64, peak: f64, settled: f64, pause: f64) -> Figures {
    Figures {
        cpu,
        wall: Some(cpu * 1.1),
        peak: peak * 1e6,
        settled: Some(settled * 1e6),
        pause: Some(pause),
        collecting: Some(pause * 4.0),
        collections: Some(100.0),
    }
}

/// Rounds in which everything wobbles a little.
fn rounds(n: usize, after: Figures) -> Vec<Pair> {
    let before = run(5.2, 240.0, 210.0, 0.231);
    let wobble = |figures: Figures, by: f64| Figures {
        cpu: figures.cpu * by,
        wall: figures.wall.map(|wall| wall * by),
        ..figures
    };
    let factor = |i: usize| 1.0 + 0.01 * ((i * 7 % 5) as f64 - 2.0);
    (0..n)
        .map(|i| (wobble(before, factor(i)), wobble(after, factor(i + 2))))
        .collect()
}

fn tried(name: &str, does: &str, after: Figures, better: &[Metric]) -> TuneSetting {
    TuneSetting {
        name: name.into(),
        does: does.into(),
        first: rounds(3, after),
        fresh: if better.is_empty() {
            Vec::new()
        } else {
            rounds(5, after)
        },
        questions: better
            .iter()
            .map(|metric| {
                (
                    Question {
                        setting: 0,
                        metric: *metric,
                    },
                    Some(true),
                )
            })
            .collect(),
        ..TuneSetting::default()
    }
}

fn measured(settings: Vec<TuneSetting>) -> TuneMeasured {
    let all = rounds(8, Figures::default());
    TuneMeasured {
        program: "service.py".into(),
        interpreter: Some("CPython 3.12".into()),
        as_is: all.into_iter().map(|(before, _)| before).collect(),
        deciding: settings.iter().map(|s| s.fresh.len()).max().unwrap_or(0),
        settings,
        runs: 42,
        seed: 7,
        ..TuneMeasured::default()
    }
}

fn thresholds(after: Figures, better: &[Metric]) -> TuneSetting {
    TuneSetting {
        python: vec![
            "import gc".into(),
            "gc.set_threshold(100000, 50, 50)".into(),
        ],
        place: "at the top of the program".into(),
        ..tried(
            "gc-thresholds",
            "the garbage collector runs less often",
            after,
            better,
        )
    }
}

fn all() -> TuneMeasured {
    let less_memory = run(5.9, 150.0, 120.0, 0.24);
    measured(vec![
        thresholds(
            run(2.9, 241.0, 211.0, 0.0),
            &[Metric::Cpu, Metric::Wall, Metric::Pause],
        ),
        TuneSetting {
            frozen: vec![2.4, 2.5, 2.6],
            ..tried(
                "gc-freeze",
                "the collector leaves alone what is there after start-up",
                run(3.3, 240.0, 210.0, 0.02),
                &[Metric::Cpu],
            )
        },
        tried(
            "trim",
            "glibc gives freed memory back",
            run(5.2, 240.0, 209.0, 0.23),
            &[],
        ),
        TuneSetting {
            environment: vec![
                ("LD_PRELOAD".into(), "/usr/lib/libjemalloc.so.2".into()),
                ("PYTHONMALLOC".into(), "malloc".into()),
            ],
            package: Some("libjemalloc2".into()),
            ..tried(
                "jemalloc",
                "memory comes from jemalloc",
                less_memory,
                &[Metric::Settled],
            )
        },
        tried(
            "malloc",
            "objects come from glibc",
            run(6.4, 260.0, 250.0, 0.25),
            &[],
        ),
        TuneSetting {
            name: "mimalloc".into(),
            fails: Some((
                "killed by signal 11".into(),
                "Fatal Python error\nstack".into(),
            )),
            ..TuneSetting::default()
        },
        TuneSetting {
            name: "tcmalloc".into(),
            not_tried: Some("it is not installed".into()),
            ..TuneSetting::default()
        },
    ])
}

#[test]
fn much_to_gain() {
    let view = TuneView::new(&all());
    assert_eq!(view.gain, Gain::Much);
    assert_eq!(view.recommended.as_deref(), Some("gc-thresholds"));
    let verdicts: Vec<Verdict> = view.settings.iter().map(|s| s.verdict).collect();
    let expected = [
        Verdict::Better,
        Verdict::Better,
        Verdict::NoBetter,
        Verdict::TradeOff,
        Verdict::Worse,
        Verdict::Fails,
        Verdict::NotTried,
    ];
    assert_eq!(verdicts, expected);
    check("tune.txt", &plain(&view, &Page::default()));
    check("tune.json", &json(&view));
}

#[test]
fn nothing_to_gain() {
    let measured = measured(vec![thresholds(run(5.2, 240.0, 210.0, 0.231), &[])]);
    let view = TuneView::new(&measured);
    assert_eq!((view.gain, view.recommended.as_deref()), (Gain::None, None));
    check("tune_none.txt", &plain(&view, &Page::default()));
}

#[test]
fn little_to_gain() {
    let measured = measured(vec![thresholds(
        run(4.8, 240.0, 210.0, 0.231),
        &[Metric::Cpu],
    )]);
    let view = TuneView::new(&measured);
    assert_eq!(view.gain, Gain::Little);
    check("tune_little.txt", &plain(&view, &Page::default()));
}

#[test]
fn something_to_gain() {
    let measured = measured(vec![thresholds(
        run(4.3, 240.0, 210.0, 0.231),
        &[Metric::Cpu],
    )]);
    let view = TuneView::new(&measured);
    assert_eq!(view.gain, Gain::Some);
    let said = plain(&view, &Page::default());
    assert!(said.starts_with("Set gc-thresholds: "), "{said}");
    assert!(!said.contains("times as fast"), "{said}");
}

#[test]
fn what_is_in_doubt_is_said() {
    let mut setting = thresholds(run(4.9, 240.0, 210.0, 0.231), &[Metric::Cpu]);
    setting.questions[0].1 = None;
    setting.mishaps = vec!["exit status 1".into()];
    let mut measured = measured(vec![setting]);
    measured.broken_off = Some("exit status 3".into());
    let view = TuneView::new(&measured);
    assert_eq!((view.gain, view.timed_load), (Gain::None, false));
    check("tune_doubts.txt", &plain(&view, &Page::default()));
}

#[test]
fn a_load_that_is_given_a_time_is_noticed() {
    let timed = |wall: f64| {
        let mut all = all();
        let ten = |run: &mut Figures| run.wall = Some(wall + run.cpu / 1000.0);
        all.as_is.iter_mut().for_each(ten);
        for setting in &mut all.settings {
            let pairs = setting.first.iter_mut().chain(&mut setting.fresh);
            pairs.for_each(|(before, after)| [before, after].into_iter().for_each(ten));
        }
        all.load = true;
        TuneView::new(&all)
    };
    assert!(
        !TuneView::new(&TuneMeasured {
            load: true,
            ..all()
        })
        .timed_load
    );
    assert!(timed(10.0).timed_load && !timed(10.4).timed_load);
    let said = plain(&timed(10.0), &Page::default());
    assert!(said.contains("The load took the same time"), "{said}");
}

#[test]
fn where_nothing_could_be_measured_nothing_is_said_about_gains() {
    let measured = TuneMeasured {
        as_is: Vec::new(),
        ..measured(vec![TuneSetting {
            name: "tcmalloc".into(),
            not_tried: Some("it is not installed".into()),
            ..TuneSetting::default()
        }])
    };
    let said = plain(&TuneView::new(&measured), &Page::default());
    assert!(
        said.starts_with("None of the settings could be measured"),
        "{said}"
    );
}

#[test]
fn only_at_a_price() {
    let mut measured = all();
    measured
        .settings
        .retain(|setting| setting.name == "jemalloc");
    check(
        "tune_price.txt",
        &plain(&TuneView::new(&measured), &Page::default()),
    );
}

#[test]
fn on_a_narrow_ascii_terminal() {
    let page = Page {
        width: 60,
        unicode: false,
    };
    let text = plain(&TuneView::new(&all()), &page);
    assert!(text.is_ascii());
    check("tune_narrow.txt", &text);
}

#[test]
fn its_json_follows_its_schema() {
    let good = TuneView::new(&all()).json();
    assert_follows(&good, TUNE_SCHEMA).expect("the view's JSON follows the schema");
    for pointer in [
        "/gain",
        "/settings/0/verdict",
        "/settings/0/changes/0/ratio",
        "/rounds/runs",
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = serde_json::json!("no");
        assert!(assert_follows(&bad, TUNE_SCHEMA).is_err(), "{pointer}");
    }
}

#[test]
fn the_picture_is_a_png_and_the_page_needs_nothing_else() {
    let view = TuneView::new(&all());
    let png = tune_png(&view).expect("a picture");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 5_000);
    let html = tune_html(&view).expect("a page");
    assert!(html.contains("<svg") && html.contains("gc.set_threshold"));
    for name in ["gc-thresholds", "gc-freeze", "jemalloc", "as it is"] {
        assert!(html.contains(name), "{name}");
    }
    // The name of SVG's namespace is no address to load from.
    let without = html.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=", "href=", "<script", "\u{1b}"] {
        assert!(!without.contains(word), "{word}");
    }
    assert!(tune_png(&TuneView::new(&TuneMeasured::default())).is_err());
}

#[test]
fn the_program_s_words_cannot_steer_terminal_or_browser() {
    let mut measured = all();
    measured.program = "<script>\u{1b}[31m".into();
    measured.settings[5].fails = Some(("x".into(), "\u{1b}[31mred".into()));
    let view = TuneView::new(&measured);
    assert!(!view.text(&Page::default()).contains("\x1b[31mred"));
    assert!(!tune_html(&view).expect("a page").contains("<script"));
}

#[test]
fn a_list_of_the_settings() {
    let row = |name: &str, missing: Option<&str>| TuneListRow {
        name: name.into(),
        does: "objects come from glibc instead of Python's pools".into(),
        missing: missing.map(Into::into),
    };
    let list = TuneList::new(vec![
        row("malloc", None),
        row("tcmalloc", Some("not installed")),
    ]);
    check("tune_list.txt", &plain(&list, &Page::default()));
    check("tune_list.json", &json(&list));
}
