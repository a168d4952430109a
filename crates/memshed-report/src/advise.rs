//! What `memshed advise` says: what there is to gain, then each piece of advice as a block: what is
//! at stake, why, what to do, and how to prove it.

use crate::page::{BOLD, DIM, GOOD, Page, Report, harmless, styled};
use crate::units::{bytes, count, duration, plural, share};
use memshed_analysis::Confidence;
use memshed_analysis::advise::{
    Advice, Advised, CollectorCost, Family, LEAST_BYTES, LEAST_PART, LEAST_TIME, Stake,
};
use memshed_heap::{Heap, Method, Process, SnapshotInfo};
use serde_json::{Value, json};

/// Columns of the names before what is said.
const NAMES: usize = 10;
/// Words for the generations.
const GENERATIONS: [&str; 3] = ["young", "middle", "full"];

/// Everything that `memshed advise` shows.
#[derive(Clone, Debug, Default)]
pub struct AdviseView {
    /// The process.
    pub process: Process,
    /// How the look was taken.
    pub snapshot: SnapshotInfo,
    /// What the collector cost, if the process was watched.
    pub collector: Option<CollectorCost>,
    /// The processes forked from one, if it is one of several.
    pub family: Option<Family>,
    /// The advice.
    pub advised: Advised,
    /// What makes the answer weaker than it could be, in sentences.
    pub remarks: Vec<String>,
}

impl AdviseView {
    /// The view of advice on the process of `heap`.
    pub fn new(heap: &Heap, advised: Advised) -> AdviseView {
        AdviseView {
            process: heap.process.clone(),
            snapshot: heap.snapshot.clone(),
            advised,
            ..AdviseView::default()
        }
    }

    /// The first lines: what there is to gain, in plain words.
    fn verdict(&self) -> Vec<String> {
        let advice = &self.advised.advice;
        let resident = self.process.rss_bytes;
        let mut lines = vec![match advice.len() {
            0 => format!(
                "There is nothing to gain here that would be worth your time: {} resident.",
                bytes(resident)
            ),
            1 => "One thing would make this program smaller or faster.".to_owned(),
            n => format!("{n} things would make this program smaller or faster."),
        }];
        let (mut memory, mut time) = (0u64, 0.0f64);
        for one in advice {
            match one.stake {
                Stake::Bytes(bytes) => memory = memory.max(bytes),
                Stake::Time { ms_per_second, .. } => time = time.max(ms_per_second),
            }
        }
        if memory > 0 {
            lines.push(format!(
                "Memory: the greatest of them would give back {} of {}.",
                bytes(memory),
                bytes(resident)
            ));
        }
        lines.push(match &self.collector {
            Some(_) if time > 0.0 => {
                format!("Time: up to {time:.0} ms of processor time in each second.")
            }
            Some(cost) if cost.processor < 0.02 * cost.seconds => format!(
                "Time: it was idle for the {} that it was watched; ask again while it works.",
                duration(cost.seconds)
            ),
            Some(cost) => format!(
                "Time: the garbage collector takes {:.1} % of its processor time, which is little.",
                cost.share() * 100.0
            ),
            None => "Time: what the garbage collector costs is not known, for it was not watched."
                .to_owned(),
        });
        if !advice.is_empty() {
            lines.push(
                "Each is a guess from a short look; its last line says how to prove it.".to_owned(),
            );
        }
        lines
    }

    fn advice(&self, number: usize, advice: &Advice, page: &Page) -> String {
        let title = format!("{number}. {}", harmless(&advice.title));
        let mut out = format!("\n{}\n", styled(BOLD, &page.wrap(&title, 3)));
        let mut fact = |name: &str, says: &str, style: anstyle::Style| {
            if says.is_empty() {
                return;
            }
            let line = format!("   {name:NAMES$}{}", harmless(says));
            let line = page.wrap(&line, 3 + NAMES);
            out += &line.replacen(name, &styled(style, name), 1);
            out.push('\n');
        };
        fact("at stake", &self.stake(advice), DIM);
        fact("how sure", sure(advice.confidence), DIM);
        for (i, evidence) in advice.evidence.iter().enumerate() {
            fact(if i == 0 { "because" } else { "" }, evidence, DIM);
        }
        fact("to do", &advice.to_do, GOOD);
        for (i, location) in advice.locations.iter().enumerate() {
            let line = match location.line {
                0 => String::new(),
                line => format!(":{line}"),
            };
            let says = format!("{}{line}: {}", short(&location.file), location.role);
            fact(if i == 0 { "look at" } else { "" }, &says, DIM);
        }
        for (i, code) in advice.code.iter().enumerate() {
            let name = if i == 0 { "write" } else { "" };
            // Code is not wrapped: it is there to be copied.
            let line = format!("   {name:NAMES$}{}", page.plain(&harmless(code)));
            out += &line.replacen("write", &styled(GOOD, "write"), usize::from(i == 0));
            out.push('\n');
        }
        let line = format!("   {:NAMES$}{}", "proof", harmless(&advice.proof));
        let line = page.wrap(&line, 3 + NAMES);
        out += &line.replacen("proof", &styled(DIM, "proof"), 1);
        out.push('\n');
        out
    }

    fn stake(&self, advice: &Advice) -> String {
        match advice.stake {
            Stake::Bytes(amount) => format!(
                "{}, {} of the resident memory",
                bytes(amount),
                share(amount, self.process.rss_bytes)
            ),
            Stake::Time {
                ms_per_second,
                share_before,
                share_after,
            } => format!(
                "{ms_per_second:.0} ms of processor time in each second: {:.1} % of it now, {:.1} % then",
                share_before * 100.0,
                share_after * 100.0
            ),
        }
    }

    fn collector(&self, page: &Page) -> String {
        let Some(cost) = &self.collector else {
            return String::new();
        };
        let mut out = page.heading("The garbage collector");
        let what = format!(
            "  Watched for {}, at {} moments, without stopping the program: {} of processor time, {:.1} % \
             of it in collections.",
            duration(cost.seconds),
            count(cost.samples),
            duration(cost.processor),
            cost.share() * 100.0
        );
        out += &page.wrap(&what, 2);
        out.push('\n');
        for (i, one) in cost.generations.iter().enumerate().rev() {
            if one.collections == 0 && one.seconds == 0.0 {
                continue;
            }
            let what = format!(
                "  {}: {}, {} each, the longest {}; {:.1} % of the processor time.",
                GENERATIONS[i],
                plural(one.collections, "collection"),
                duration(one.pause()),
                duration(one.longest),
                cost.share_of(i) * 100.0
            );
            out += &page.wrap(&what, 4);
            out.push('\n');
        }
        out
    }

    fn family(&self, page: &Page) -> String {
        let Some(family) = self.family.as_ref().filter(|f| f.members.len() > 1) else {
            return String::new();
        };
        let mut out = page.heading("Processes that were forked");
        for member in &family.members {
            let what = format!(
                "  {} {}: {} resident, {} by its share, {} that nobody else has.",
                if member.parent { "parent" } else { "child" },
                member.pid,
                bytes(member.rss_bytes),
                bytes(member.pss_bytes),
                bytes(member.uss_bytes)
            );
            out += &page.wrap(&what, 4);
            out.push('\n');
        }
        out
    }

    fn footer(&self, page: &Page) -> String {
        let mut out = String::new();
        if !self.advised.declined.is_empty() {
            out += &page.heading("Looked at, and not advised");
            for why in &self.advised.declined {
                out += &page.wrap(&format!("  {}", harmless(why)), 4);
                out.push('\n');
            }
        }
        let method = match self.snapshot.method {
            Method::Fork => "a copy of it was read",
            Method::Pause => "its memory was copied while it stood still",
            Method::Core | Method::File => "read from a file",
        };
        let process = &self.process;
        out += &page.heading(&format!("Process {}", process.pid));
        let what = format!(
            "  Python {} ({}), {} resident; {method}{}.",
            harmless(&process.python),
            harmless(&process.executable),
            bytes(process.rss_bytes),
            match self.snapshot.method {
                Method::Core | Method::File => String::new(),
                _ => format!(", it stood still for {:.1} ms", self.snapshot.stopped_ms),
            }
        );
        out += &page.wrap(&what, 2);
        out.push('\n');
        let least = format!(
            "  What would give less than {}, or less than {} % of the memory, or less than {LEAST_TIME:.0} ms \
             in a second, is left out.",
            bytes(LEAST_BYTES),
            100 / LEAST_PART
        );
        out += &page.wrap(&least, 2);
        out.push('\n');
        out
    }
}

fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "as good as certain",
        Confidence::Medium => "likely",
        Confidence::Low => "a guess",
    }
}

/// A file without the directory in which packages are.
fn short(file: &str) -> &str {
    let packages = ["/site-packages/", "/dist-packages/"];
    let found = packages.iter().find_map(|p| Some(file.split_once(p)?.1));
    found.unwrap_or(file)
}

impl Report for AdviseView {
    fn text(&self, page: &Page) -> String {
        let mut out = String::new();
        for (i, line) in self.verdict().iter().enumerate() {
            let style = if i == 0 { BOLD } else { anstyle::Style::new() };
            out += &styled(style, &page.wrap(line, 2));
            out.push('\n');
        }
        for remark in &self.remarks {
            out += &page.wrap(&harmless(remark), 2);
            out.push('\n');
        }
        for (number, advice) in (1..).zip(&self.advised.advice) {
            out += &self.advice(number, advice, page);
        }
        out += &self.collector(page);
        out += &self.family(page);
        out += &self.footer(page);
        out
    }

    fn json(&self) -> Value {
        json!({
            "schema": crate::json::SCHEMA,
            "process": self.process,
            "snapshot": self.snapshot,
            "verdict": self.verdict(),
            "remarks": self.remarks,
            "advice": self.advised.advice.iter().map(advice).collect::<Vec<Value>>(),
            "declined": self.advised.declined,
            "collector": self.collector.as_ref().map(collector),
            "family": self.family.as_ref().map(family),
        })
    }
}

fn advice(advice: &Advice) -> Value {
    let location = |one: &memshed_analysis::Location| json!({ "file": one.file, "line": one.line, "role": one.role });
    let (bytes, time) = match advice.stake {
        Stake::Bytes(bytes) => (Some(bytes), None),
        Stake::Time {
            ms_per_second,
            share_before,
            share_after,
        } => (None, Some((ms_per_second, share_before, share_after))),
    };
    json!({
        "kind": advice.kind.word(),
        "title": advice.title,
        "bytes": bytes,
        "ms_per_second": time.map(|time| time.0),
        "collector_share": time.map(|time| time.1),
        "collector_share_after": time.map(|time| time.2),
        "confidence": advice.confidence.word(),
        "evidence": advice.evidence,
        "to_do": advice.to_do,
        "code": advice.code,
        "locations": advice.locations.iter().map(location).collect::<Vec<Value>>(),
        "proof": advice.proof,
    })
}

fn collector(cost: &CollectorCost) -> Value {
    let generation = |(i, one): (usize, &memshed_analysis::advise::GenerationCost)| {
        json!({
            "collections": one.collections,
            "seconds": one.seconds,
            "processor_seconds": one.processor,
            "share": cost.share_of(i),
            "longest_ms": one.longest * 1e3,
        })
    };
    let generations = cost.generations.iter().enumerate().map(generation);
    json!({
        "seconds": cost.seconds,
        "processor_seconds": cost.processor,
        "moments": cost.samples,
        "moments_inside": cost.inside,
        "share": cost.share(),
        "generations": generations.collect::<Vec<Value>>(),
    })
}

fn family(family: &Family) -> Value {
    let member = |one: &memshed_analysis::advise::Member| {
        json!({
            "pid": one.pid,
            "parent": one.parent,
            "rss_bytes": one.rss_bytes,
            "pss_bytes": one.pss_bytes,
            "uss_bytes": one.uss_bytes,
        })
    };
    json!({ "members": family.members.iter().map(member).collect::<Vec<Value>>() })
}
