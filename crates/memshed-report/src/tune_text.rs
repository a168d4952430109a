//! The text of `memshed tune`.

use crate::page::{BAD, BOLD, Column, DIM, GOOD, Page, WARN, harmless, styled};
use crate::tune::{ChangeRow, FigureRow, Gain, SettingRow, TuneView, Verdict};
use crate::units::{bytes, duration, plural};
use memshed_analysis::tune::Metric;

/// Where it is surely at most so much of the time, it is said how many times as fast that is.
const MUCH_FASTER: f64 = 0.75;

/// The whole report.
pub(crate) fn tune(view: &TuneView, page: &Page) -> String {
    let mut out = String::new();
    for line in sentences(view) {
        out += &format!("{}\n", page.wrap(&harmless(&line), 2));
    }
    out += &changes(view, page);
    out += &figures(view, page);
    out += &explained(view, page);
    out += &left(view, page);
    out += &failures(view, page);
    out += &lines(view, page);
    out + &method(view, page)
}

/// What a metric is called in a sentence.
fn called(metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "processor time",
        Metric::Wall => "time",
        Metric::Peak => "memory at its peak",
        Metric::Settled => "memory at the end",
        Metric::Pause => "pauses of the collector",
    }
}

/// A figure in its unit.
pub(crate) fn shown(metric: Metric, figure: f64) -> String {
    match metric {
        Metric::Peak | Metric::Settled => bytes(figure.max(0.0) as u64),
        // Two seconds more or less matter beside thirty.
        Metric::Cpu | Metric::Wall if (1.0..1000.0).contains(&figure) => format!("{figure:.2} s"),
        _ => duration(figure),
    }
}

/// A ratio as a change in percent: `-43 %`.
fn percent(ratio: f64) -> String {
    let change = (ratio - 1.0) * 100.0;
    match change {
        c if c >= 1000.0 => format!("x {ratio:.0}"),
        c if c.abs() < 0.5 => "0 %".into(),
        c => format!("{c:+.0} %"),
    }
}

/// `43 % less processor time`, `6 % more memory at its peak`.
fn words(change: &ChangeRow) -> String {
    let by = ((change.ratio - 1.0) * 100.0).abs();
    let way = match (change.metric, change.ratio > 1.0) {
        (Metric::Pause, true) => "longer",
        (Metric::Pause, false) => "shorter",
        (_, true) => "more",
        (_, false) => "less",
    };
    format!("{by:.0} % {way} {}", called(change.metric))
}

/// What is really better, in words.
fn gains(setting: &SettingRow) -> Vec<String> {
    told(setting, |change| change.better)
}

/// What is worse, in words.
fn price(setting: &SettingRow) -> Vec<String> {
    told(setting, |change| change.worse)
}

fn told(setting: &SettingRow, which: fn(&ChangeRow) -> bool) -> Vec<String> {
    let all: Vec<&ChangeRow> = setting.changes.iter().filter(|c| which(c)).collect();
    let has = |metric| all.iter().any(|change| change.metric == metric);
    // The clock says again what the processor time says, as a rule.
    let new = all
        .iter()
        .filter(|c| c.metric != Metric::Wall || !has(Metric::Cpu));
    new.map(|change| words(change)).collect()
}

fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The first lines: what to set, what it gives, how sure that is, what else there is.
fn sentences(view: &TuneView) -> Vec<String> {
    let tried = view.settings.iter().filter(|s| s.rounds > 0).count() as u64;
    let tried = plural(tried, "setting");
    let chosen = view
        .recommended
        .as_ref()
        .and_then(|name| view.setting(name));
    let mut out = Vec::new();
    match chosen {
        None if view.settings.iter().all(|s| s.rounds == 0) => {
            out.push("None of the settings could be measured: see below.".into());
        }
        Some(chosen) => out.extend(recommendation(view, chosen)),
        None if view.gain == Gain::None && undecided(view).is_some() => {
            out.push(format!(
                "No gain is sure: of {tried}, none was shown to make {} better.",
                view.program
            ));
        }
        None if view.gain == Gain::None => {
            out.push(format!(
                "Nothing is to be gained: of {tried}, none makes {} better.",
                view.program
            ));
            out.push(sure_of_nothing(view));
        }
        None => out.push(format!(
            "Of {tried}, none is better without being worse in something that weighs as much."
        )),
    }
    out.extend(trade_offs(view, chosen));
    out.extend(undecided(view));
    out.extend(doubts(view));
    if !view.settings.iter().any(|s| s.verdict == Verdict::Fails) {
        return out;
    }
    let fails = view.settings.iter().filter(|s| s.verdict == Verdict::Fails);
    let names: Vec<String> = fails.map(|s| s.name.clone()).collect();
    out.push(format!(
        "The program fails under {}: see below.",
        list(&names)
    ));
    out
}

/// What may be better, and was not shown to be.
fn undecided(view: &TuneView) -> Option<String> {
    let mut open = Vec::new();
    for setting in &view.settings {
        let changes = setting.changes.iter().filter(|change| change.undecided);
        open.extend(changes.map(|change| {
            format!(
                "{} ({} {} to {})",
                setting.name,
                short(change.metric),
                percent(change.ratio_low),
                percent(change.ratio_high)
            )
        }));
    }
    (!open.is_empty()).then(|| {
        format!(
            "Not decided in {}: {}. More --rounds, or a quieter machine, would tell.",
            plural(view.rounds.deciding as u64, "new round"),
            list(&open)
        )
    })
}

/// What keeps the figures from being as good as they look.
fn doubts(view: &TuneView) -> Vec<String> {
    let mut out = Vec::new();
    if view.timed_load {
        out.push(
            "The load took the same time in every run: it is given a time, as it seems, and not a \
             number of requests. Then processor time and memory cannot be compared; let it make a \
             fixed number."
                .to_string(),
        );
    }
    if let Some(how) = &view.broken_off {
        out.push(format!(
            "Broken off: as it is, {} failed twice in a row ({how}); this is from the rounds before.",
            view.program
        ));
    }
    for setting in view.settings.iter().filter(|s| !s.mishaps.is_empty()) {
        if setting.verdict == Verdict::Fails {
            continue;
        }
        let times = plural(setting.mishaps.len() as u64, "run");
        out.push(format!(
            "Under {}, {times} failed ({}), and went well when repeated.",
            setting.name,
            list(&setting.mishaps)
        ));
    }
    out
}

fn recommendation(view: &TuneView, chosen: &SettingRow) -> Vec<String> {
    let gains = list(&gains(chosen));
    let mut first = match view.gain {
        Gain::Little => format!(
            "There is little to gain: the best is {}, with {gains}",
            chosen.name
        ),
        _ => format!("Set {}: {} runs with {gains}", chosen.name, view.program),
    };
    let change = |metric| chosen.change(metric).filter(|change| change.better);
    if let Some(wall) = change(Metric::Wall).filter(|wall| wall.ratio_high <= MUCH_FASTER) {
        first += &format!(", {:.1} times as fast", 1.0 / wall.ratio);
    }
    first += &match price(chosen).as_slice() {
        [] => ", at no price that was seen".to_string(),
        price => format!(", for {}", list(price)),
    };
    let figures = Metric::ALL.into_iter().filter_map(|metric| {
        let before = crate::tune::figure(&view.as_is, metric)?;
        let after = chosen.figure(metric)?;
        Some(format!(
            "{} {} → {}",
            short(metric),
            shown(metric, before.median),
            shown(metric, after.median)
        ))
    });
    let figures: Vec<String> = figures.collect();
    let ranges = Metric::ALL.into_iter().filter_map(change).map(|change| {
        format!(
            "{} {} to {}",
            short(change.metric),
            percent(change.ratio_low),
            percent(change.ratio_high)
        )
    });
    let ranges: Vec<String> = ranges.collect();
    vec![
        format!("{first}."),
        format!("{}: {}.", chosen.name, chosen.does),
        format!("In the middle run: {}.", figures.join(", ")),
        format!(
            "How sure: {}, with 95 % confidence, in {} made for this test; the chance that \
             anything here is called better by luck is at most {:.0} %.",
            list(&ranges),
            plural(chosen.rounds as u64, "round"),
            view.rounds.chance_of_error * 100.0
        ),
    ]
}

fn sure_of_nothing(view: &TuneView) -> String {
    let tested = view.settings.iter().filter(|s| s.tested).count() as u64;
    let spread = crate::tune::figure(&view.as_is, Metric::Cpu).map_or(String::new(), |cpu| {
        format!(
            "; as it is, its processor time was {} to {}",
            shown(Metric::Cpu, cpu.low),
            shown(Metric::Cpu, cpu.high)
        )
    });
    let tested = match tested {
        0 => "and none of them looked better".to_string(),
        n => format!(
            "and {} that looked better did not in {}",
            plural(n, "setting"),
            plural(view.rounds.deciding as u64, "new round")
        ),
    };
    format!(
        "How sure: {} of all settings, {tested}{spread}. Less than {:.0} % does not count.",
        plural(view.rounds.choosing as u64, "round"),
        Metric::Cpu.least_share() * 100.0
    )
}

/// The setting that is worth a sentence beside what is recommended: one that is worse in nothing
/// if that has its price; else the one that gains most of something else.
fn trade_offs(view: &TuneView, chosen: Option<&SettingRow>) -> Vec<String> {
    let other = |setting: &&SettingRow| {
        matches!(setting.verdict, Verdict::TradeOff | Verdict::Better)
            && chosen.is_none_or(|chosen| chosen.name != setting.name)
    };
    let others = || view.settings.iter().filter(other);
    let best = |setting: &SettingRow| {
        let new = setting.changes.iter().filter(|change| {
            let had = chosen.and_then(|chosen| chosen.change(change.metric));
            let had = had.filter(|had| had.better).map_or(1.0, |had| had.ratio);
            change.better && change.metric != Metric::Pause && change.ratio < had * 0.95
        });
        new.map(|change| change.ratio).fold(1.0, f64::min)
    };
    let costs = chosen.is_some_and(|chosen| chosen.verdict == Verdict::TradeOff);
    if costs {
        let free = others().filter(|setting| setting.verdict == Verdict::Better);
        let free = free.min_by(|a, b| best(a).total_cmp(&best(b)));
        let free = free.map(|one| format!("Without a price: {}, {}.", one.name, list(&gains(one))));
        if free.is_some() {
            return free.into_iter().collect();
        }
    }
    let most = others().filter(|setting| best(setting) < 1.0);
    let most = most.min_by(|a, b| best(a).total_cmp(&best(b)));
    let sentence = most.map(|one| match price(one).as_slice() {
        [] => format!("Besides: {}, {}.", one.name, list(&gains(one))),
        price => format!(
            "At a price: {}, {} for {}.",
            one.name,
            list(&gains(one)),
            list(price)
        ),
    });
    sentence.into_iter().collect()
}

/// A metric as a heading.
fn short(metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "CPU",
        Metric::Wall => "wall",
        Metric::Peak => "peak",
        Metric::Settled => "settled",
        Metric::Pause => "pause",
    }
}

fn verdict(setting: &SettingRow) -> &'static str {
    match setting.verdict {
        Verdict::Better => "better",
        Verdict::TradeOff => "better, at a price",
        Verdict::NoBetter => "no better",
        Verdict::Worse => "worse",
        Verdict::Fails => "fails",
        Verdict::NotTried => "not tried",
    }
}

/// The metrics that were measured.
fn metrics(view: &TuneView) -> Vec<Metric> {
    view.as_is.iter().map(|row| row.metric).collect()
}

fn changes(view: &TuneView, page: &Page) -> String {
    let metrics = metrics(view);
    let mut columns = vec![("SETTING", Column::Left)];
    columns.extend(
        metrics
            .iter()
            .map(|metric| (heading(*metric), Column::Right)),
    );
    columns.push(("ROUNDS", Column::Right));
    columns.push(("", Column::Remark));
    let mut rows = Vec::new();
    for setting in view.settings.iter().filter(|setting| setting.rounds > 0) {
        let mut row = vec![setting.name.clone()];
        row.extend(metrics.iter().map(|metric| {
            setting.change(*metric).map_or("–".into(), |change| {
                let mark = match (change.better, change.worse) {
                    (true, _) => "*",
                    (_, true) => "!",
                    _ => " ",
                };
                format!("{}{mark}", percent(change.ratio))
            })
        }));
        row.push(setting.rounds.to_string());
        row.push(verdict(setting).into());
        rows.push(row);
    }
    if rows.is_empty() {
        return String::new();
    }
    let heading = "Against the program as it is (* really better, ! worse)";
    page.heading(heading) + &coloured(&page.table(&columns, rows), view)
}

/// The rows of a table with the verdict in its colour.
fn coloured(table: &str, view: &TuneView) -> String {
    let mut out = String::new();
    for line in table.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let style = view
            .setting(name)
            .and_then(|setting| match setting.verdict {
                Verdict::Better => Some(GOOD),
                Verdict::TradeOff => Some(WARN),
                Verdict::Worse => Some(BAD),
                _ => None,
            });
        let word = view.setting(name).map_or("", verdict);
        match (style, line.strip_suffix(word)) {
            (Some(style), Some(rest)) => out += &format!("{rest}{}\n", styled(style, word)),
            _ => out += &format!("{line}\n"),
        }
    }
    out
}

fn heading(metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "CPU",
        Metric::Wall => "WALL",
        Metric::Peak => "PEAK",
        Metric::Settled => "SETTLED",
        Metric::Pause => "PAUSE",
    }
}

/// A figure with its spread: `2.95 s ±3 %`.
fn spread(row: &FigureRow) -> String {
    let middle = shown(row.metric, row.median);
    if row.median <= 0.0 {
        return middle;
    }
    let half = (row.high - row.low) / 2.0 / row.median * 100.0;
    format!("{middle} ±{half:.0} %")
}

fn figures(view: &TuneView, page: &Page) -> String {
    let metrics = metrics(view);
    let mut columns = vec![("SETTING", Column::Left)];
    columns.extend(
        metrics
            .iter()
            .map(|metric| (heading(*metric), Column::Right)),
    );
    let row = |name: &str, rows: &[FigureRow]| {
        let cell = |metric: &Metric| crate::tune::figure(rows, *metric).map_or("–".into(), spread);
        let mut row = vec![name.to_string()];
        row.extend(metrics.iter().map(cell));
        row
    };
    let mut rows = vec![row("as it is", &view.as_is)];
    let tried = view.settings.iter().filter(|setting| setting.rounds > 0);
    rows.extend(tried.map(|setting| row(&setting.name, &setting.figures)));
    page.heading("In figures (the middle run, and half of the way from the least to the most)")
        + &page.table(&columns, rows)
}

/// What each setting does.
fn explained(view: &TuneView, page: &Page) -> String {
    let tried: Vec<&SettingRow> = view.settings.iter().filter(|s| s.rounds > 0).collect();
    if tried.is_empty() {
        return String::new();
    }
    let mut out = page.heading("What each does");
    for setting in tried {
        let froze = setting.froze_after.map_or(String::new(), |after| {
            format!("; here {} after the start", duration(after))
        });
        out += &named(page, &setting.name, &format!("{}{froze}", setting.does));
    }
    out
}

/// Columns of a setting's name.
const NAME: usize = 22;

fn named(page: &Page, name: &str, says: &str) -> String {
    let line = page.wrap(&format!("  {name:NAME$}{says}"), NAME + 2);
    format!("{}\n", line.replacen(name, &styled(DIM, name), 1))
}

fn left(view: &TuneView, page: &Page) -> String {
    let not = |setting: &&SettingRow| setting.verdict == Verdict::NotTried;
    let rows: Vec<&SettingRow> = view.settings.iter().filter(not).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut out = page.heading("Not tried");
    for setting in rows {
        out += &named(page, &setting.name, setting.why.as_deref().unwrap_or(""));
    }
    out
}

fn failures(view: &TuneView, page: &Page) -> String {
    let fails = |setting: &&SettingRow| setting.verdict == Verdict::Fails;
    let rows: Vec<&SettingRow> = view.settings.iter().filter(fails).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut out = page.heading("The program fails under");
    for setting in rows {
        out += &named(page, &setting.name, setting.why.as_deref().unwrap_or(""));
        let lines: Vec<&str> = setting
            .stderr
            .iter()
            .flat_map(|text| text.lines())
            .collect();
        for line in &lines[lines.len().saturating_sub(3)..] {
            out += &format!("      {}\n", page.plain(&harmless(line)));
        }
    }
    out
}

/// What to put where.
fn lines(view: &TuneView, page: &Page) -> String {
    let wanted =
        |setting: &&SettingRow| matches!(setting.verdict, Verdict::Better | Verdict::TradeOff);
    let mut rows: Vec<&SettingRow> = view.settings.iter().filter(wanted).collect();
    // What is recommended comes first.
    rows.sort_by_key(|setting| view.recommended.as_ref() != Some(&setting.name));
    let mut out = String::new();
    for setting in rows {
        out += &page.heading(&format!("The lines for {}", setting.name));
        out += &paste(setting, page);
    }
    out
}

/// The lines that make a setting last, with where they belong.
pub(crate) fn paste(setting: &SettingRow, page: &Page) -> String {
    let mut out = String::new();
    let mut part = |place: &str, lines: Vec<String>| {
        out += &format!("{}\n", page.wrap(&format!("  {place}"), 2));
        for line in lines {
            out += &format!("      {line}\n");
        }
    };
    if !setting.python.is_empty() {
        part(
            &format!("Python, {}:", setting.place),
            setting.python.clone(),
        );
    }
    if !setting.environment.is_empty() {
        let each = |form: fn(&str, &str) -> String| {
            let pairs = setting.environment.iter();
            pairs.map(|(name, value)| form(name, value)).collect()
        };
        part(
            "unit file of systemd, under [Service]:",
            each(|n, v| format!("Environment=\"{n}={v}\"")),
        );
        let mut docker: Vec<String> = each(|n, v| format!("ENV {n}=\"{v}\""));
        if let Some(package) = &setting.package {
            let run = format!("RUN apt-get update && apt-get install -y {package}");
            docker.insert(0, run);
        }
        part("Dockerfile:", docker);
        part("shell:", each(|n, v| format!("export {n}=\"{v}\"")));
    }
    out
}

fn method(view: &TuneView, page: &Page) -> String {
    let rounds = &view.rounds;
    let python = view
        .interpreter
        .as_deref()
        .unwrap_or("no Python that memshed could see");
    let text = format!(
        "{} runs on {python}. A round is one run as it is and one under each setting, in an order \
         drawn by lot: {} of all settings, then {} new ones of those that looked better, which \
         alone decide. The test: a one-sided paired t-test of the ratios' logarithms against the \
         least gain that counts (CPU and memory {:.0} %, time {:.0} %, pauses {:.0} %), Holm's \
         method over all questions, {:.0} % in all. CPU and pauses are processor time, of the \
         program and its children. The collector is watched in all runs alike, also as it is.",
        harmless(&view.program),
        plural(rounds.choosing as u64, "round"),
        rounds.deciding,
        Metric::Cpu.least_share() * 100.0,
        Metric::Wall.least_share() * 100.0,
        Metric::Pause.least_share() * 100.0,
        rounds.chance_of_error * 100.0,
    );
    let heading = format!(
        "How it was measured ({})",
        plural(rounds.runs as u64, "run")
    );
    format!(
        "\n{}\n{}\n",
        styled(BOLD, &heading),
        page.wrap(&format!("  {text}"), 2)
    )
}
