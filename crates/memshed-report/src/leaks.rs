//! What `memshed leaks` says: the verdict, then each finding as a block that ends in what to
//! change.

use crate::page::{BAD, BOLD, DIM, GOOD, Page, Report, WARN, harmless, styled};
use crate::units::{bytes, duration, plural};
use memshed_analysis::{Cohorts, Confidence, Finding, FindingKind};
use memshed_heap::{Heap, Method, Process, SnapshotInfo};
use serde::Serialize;
use serde_json::{Value, json};

/// Steps of a way that are written out.
const STEPS: usize = 16;
/// Columns of the names before what is said.
const NAMES: usize = 10;

/// Resident bytes at some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds from the first look.
    pub seconds: f64,
    /// Resident bytes.
    pub rss_bytes: u64,
}

/// Everything that `memshed leaks` shows.
#[derive(Clone, Debug, Default)]
pub struct LeaksView {
    /// The process, at the last look.
    pub process: Process,
    /// How the last look was taken.
    pub snapshot: SnapshotInfo,
    /// The longest that the process stood still in any look, in milliseconds.
    pub stopped_ms: f64,
    /// When each look was taken, and the resident bytes then.
    pub looks: Vec<Sample>,
    /// Resident bytes in between, where somebody kept an eye on them.
    pub samples: Vec<Sample>,
    /// What was found, most important first.
    pub findings: Vec<Finding>,
    /// What makes the answer weaker than it could be, in sentences.
    pub remarks: Vec<String>,
}

impl LeaksView {
    /// The view of what was found in `heap`, which `cohorts` has seen last.
    pub fn new(heap: &Heap, cohorts: &Cohorts, findings: Vec<Finding>) -> LeaksView {
        let times = cohorts.times();
        let looks = times.iter().zip(&cohorts.looks);
        LeaksView {
            process: heap.process.clone(),
            snapshot: heap.snapshot.clone(),
            stopped_ms: heap.snapshot.stopped_ms,
            looks: looks
                .map(|(&seconds, look)| Sample {
                    seconds,
                    rss_bytes: look.rss,
                })
                .collect(),
            samples: Vec::new(),
            findings,
            remarks: Vec::new(),
        }
    }

    fn seconds(&self) -> f64 {
        self.looks.last().map_or(0.0, |look| look.seconds)
    }

    fn leaks(&self) -> usize {
        self.findings.iter().filter(|f| f.kind.is_leak()).count()
    }

    /// The first lines: what is the matter, in plain words.
    fn verdict(&self) -> Vec<String> {
        let looks = plural(self.looks.len() as u64, "look");
        let time = duration(self.seconds());
        let others = self.findings.len() - self.leaks();
        let mut lines = vec![match (self.leaks(), self.looks.len()) {
            (0, 0 | 1) => "One look cannot tell what grows. This is what it shows of the kind that \
                           often grows; for more give it time, as in `memshed leaks PID --for 60s`, \
                           or two snapshots."
                .to_owned(),
            (0, 2 | 3) => format!(
                "{looks} in {time} are too few to tell a leak from other growth: give it more time."
            ),
            (0, _) if self.climbs() => format!(
                "No container, cycle or C code was found to leak, but memory still goes up: {looks} \
                 in {time} may be too few. Give it more time."
            ),
            (0, _) => format!("Nothing leaks, as far as {looks} in {time} can tell."),
            (1, 0 | 1) => "One thing is never freed; what grows, one look cannot tell.".to_owned(),
            (n, 0 | 1) => format!("{n} things are never freed; what grows, one look cannot tell."),
            (1, _) => format!("One thing leaks, as {looks} in {time} show."),
            (n, _) => format!("{n} things leak, as {looks} in {time} show."),
        }];
        lines.extend(self.resident());
        if others > 0 && self.leaks() == 0 {
            let what = plural(others as u64, "thing");
            lines.push(format!("{what} beside leaks may be worth your time."));
        }
        lines
    }

    /// Whether resident memory has gone up by much and has not stopped doing so.
    fn climbs(&self) -> bool {
        const MUCH: f64 = 0.1;
        let mut all: Vec<Sample> = self.looks.iter().chain(&self.samples).copied().collect();
        all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            return false;
        };
        let (first, last) = (first.rss_bytes as f64, last.rss_bytes as f64);
        let fell = |pair: &[Sample]| {
            let less = pair[0].rss_bytes.saturating_sub(pair[1].rss_bytes);
            less as f64 > MUCH * first
        };
        last - first > MUCH * first
            && !all.windows(2).any(fell)
            && self.stopped_growing(&all).is_none()
    }

    /// How resident memory went.
    fn resident(&self) -> Option<String> {
        let (first, last) = (self.looks.first()?, self.looks.last()?);
        if self.looks.len() < 2 {
            return None;
        }
        let all: Vec<Sample> = self.looks.iter().chain(&self.samples).copied().collect();
        let most = all.iter().map(|s| s.rss_bytes).max()?;
        let least = all.iter().map(|s| s.rss_bytes).min()?;
        let (from, to) = (bytes(first.rss_bytes), bytes(last.rss_bytes));
        let swing = (most - least) as f64 / most.max(1) as f64;
        let grown = last.rss_bytes as f64 - first.rss_bytes as f64;
        let rate = grown / self.seconds().max(1e-3);
        Some(match self.stopped_growing(&all) {
            _ if swing < 0.01 => format!("Resident memory stayed at {to}."),
            Some(at) if self.leaks() == 0 => format!(
                "Resident memory went from {from} to {to} within the first {}, and no further: \
                 what a program needs once it is warm.",
                duration(at)
            ),
            _ if grown > 0.5 * (most - least) as f64 => format!(
                "Resident memory went from {from} to {to}, by {} a second.",
                bytes(rate as u64)
            ),
            _ => format!(
                "Resident memory went up and down between {} and {}, and is at {to}.",
                bytes(least),
                bytes(most)
            ),
        })
    }

    /// When resident memory had come within a fiftieth of where it ended, if that was in the first
    /// two thirds of the time.
    fn stopped_growing(&self, all: &[Sample]) -> Option<f64> {
        let last = self.looks.last()?.rss_bytes as f64;
        let mut all = all.to_vec();
        all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let away = |s: &Sample| (s.rss_bytes as f64 - last).abs() > 0.02 * last;
        let at = all.iter().rev().find(|s| away(s)).map(|s| s.seconds)?;
        (at < self.seconds() * 2.0 / 3.0 && all.first()?.rss_bytes < last as u64).then_some(at)
    }

    fn finding(&self, number: usize, finding: &Finding, page: &Page) -> String {
        let mut out = String::from("\n");
        let style = match finding.kind {
            kind if kind.is_leak() => BAD,
            FindingKind::Fragmentation => WARN,
            _ => BOLD,
        };
        let title = format!("{number}. {}", harmless(&finding.title));
        let title = page.wrap(&title, 3);
        out += &format!("{}\n", styled(style, &title));
        let sure = match finding.confidence {
            Confidence::High => "as good as certain",
            Confidence::Medium => "likely",
            Confidence::Low => "a guess",
        };
        let mut kind = format!("{}, {sure}", finding.kind.word());
        if let Some(rate) = finding.bytes_per_second.filter(|rate| *rate > 0.0) {
            kind += &format!("; {} a second", bytes(rate as u64));
            kind += &format!(", {} an hour", bytes((rate * 3600.0) as u64));
        }
        let mut fact = |name: &str, says: &str| {
            if !says.is_empty() {
                let line = format!("   {name:NAMES$}{}", harmless(says));
                let line = page.wrap(&line, 3 + NAMES);
                out += &line.replacen(name, &styled(DIM, name), 1);
                out.push('\n');
            }
        };
        fact("kind", &kind);
        fact("held by", &finding.holder);
        fact("what", &what(finding));
        fact("the way", &way(finding));
        for (i, location) in finding.locations.iter().enumerate() {
            let name = if i == 0 { "look at" } else { "" };
            let line = match location.line {
                0 => String::new(),
                line => format!(":{line}"),
            };
            let file = short(&location.file);
            fact(name, &format!("{file}{line}: {}", location.role));
        }
        for (i, evidence) in finding.evidence.iter().enumerate() {
            fact(if i == 0 { "because" } else { "" }, evidence);
        }
        let line = format!("   {:NAMES$}{}", "to do", harmless(&finding.fix));
        let line = page.wrap(&line, 3 + NAMES);
        out += &line.replacen("to do", &styled(GOOD, "to do"), 1);
        out.push('\n');
        out
    }

    fn footer(&self, page: &Page) -> String {
        let method = match self.snapshot.method {
            Method::Fork => "a copy of it was read each time",
            Method::Pause => "its memory was copied while it stood still",
            Method::Core | Method::File => "read from files",
        };
        let process = &self.process;
        let mut out = page.heading(&format!("Process {}", process.pid));
        let what = format!(
            "  Python {} ({}), {} resident; {method}{}.",
            harmless(&process.python),
            harmless(&process.executable),
            bytes(process.rss_bytes),
            match self.snapshot.method {
                Method::Core | Method::File => String::new(),
                _ => format!(", it stood still for {:.1} ms at most", self.stopped_ms),
            }
        );
        out += &page.wrap(&what, 2);
        out.push('\n');
        let problems: u64 = self.snapshot.problems.iter().map(|p| p.count).sum();
        if problems > 0 {
            let what = format!(
                "  {} of the last look could not be made sense of, as happens while a program runs.",
                plural(problems, "thing")
            );
            out += &page.wrap(&what, 2);
            out.push('\n');
        }
        out
    }
}

/// A file without the directory in which packages, or the standard library, are.
fn short(file: &str) -> &str {
    let packages = ["/site-packages/", "/dist-packages/"];
    let found = packages.iter().find_map(|p| Some(file.split_once(p)?.1));
    let library = || {
        let (_, rest) = file.split_once("/lib/python3")?;
        Some(rest.split_once('/')?.1)
    };
    found.or_else(library).unwrap_or(file)
}

/// The types concerned.
fn what(finding: &Finding) -> String {
    finding.types.join(", ")
}

/// The way from a root to what grows, and on to what is heaviest there.
fn way(finding: &Finding) -> String {
    let steps = &finding.path;
    if steps.len() < 2 {
        return String::new();
    }
    let half = STEPS / 2;
    if steps.len() <= STEPS {
        return steps.join(" ");
    }
    let left = steps.len() - STEPS;
    let (head, tail) = (&steps[..half], &steps[steps.len() - half..]);
    format!("{} … ({left} more) … {}", head.join(" "), tail.join(" "))
}

impl Report for LeaksView {
    fn text(&self, page: &Page) -> String {
        let mut out = String::new();
        for (i, line) in self.verdict().iter().enumerate() {
            let line = page.wrap(line, 2);
            let style = match (i, self.leaks()) {
                (0, 0) => BOLD,
                (0, _) => BAD,
                _ => anstyle::Style::new(),
            };
            out += &styled(style, &line);
            out.push('\n');
        }
        for remark in &self.remarks {
            out += &page.wrap(&harmless(remark), 2);
            out.push('\n');
        }
        for (number, finding) in (1..).zip(&self.findings) {
            out += &self.finding(number, finding, page);
        }
        out += &self.footer(page);
        out
    }

    fn json(&self) -> Value {
        json!({
            "schema": crate::json::SCHEMA,
            "process": self.process,
            "snapshot": self.snapshot,
            "seconds": self.seconds(),
            "stopped_ms": self.stopped_ms,
            "looks": self.looks,
            "verdict": self.verdict(),
            "remarks": self.remarks,
            "findings": self.findings.iter().map(finding).collect::<Vec<Value>>(),
        })
    }
}

fn finding(finding: &Finding) -> Value {
    let location = |location: &memshed_analysis::Location| json!({ "file": location.file, "line": location.line, "role": location.role });
    json!({
        "kind": finding.kind.word(),
        "title": finding.title,
        "bytes": finding.bytes,
        "bytes_per_second": finding.bytes_per_second,
        "count": finding.count,
        "types": finding.types,
        "holder": finding.holder,
        "path": finding.path,
        "locations": finding.locations.iter().map(location).collect::<Vec<Value>>(),
        "evidence": finding.evidence,
        "fix": finding.fix,
        "confidence": finding.confidence.word(),
    })
}
