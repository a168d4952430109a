//! What `memshed release` says: what was held, what was given back, and at what price.

use crate::page::{Column, Page, Report, harmless};
use crate::units::{bytes, share};
use serde::Serialize;
use std::time::Duration;

/// Resident bytes of a process by what they hold.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemorySummary {
    /// All of them.
    pub rss_bytes: u64,
    /// Blocks of pymalloc in use.
    pub objects_bytes: u64,
    /// The rest of pymalloc's arenas.
    pub objects_free_bytes: u64,
    /// Heaps of malloc, but for what is next.
    pub malloc_bytes: u64,
    /// What malloc could give back.
    pub malloc_free_bytes: u64,
    /// Pages of files: programs and libraries.
    pub file_bytes: u64,
    /// All else: large blocks, stacks, memory of libraries.
    pub other_bytes: u64,
}

impl MemorySummary {
    fn parts(&self) -> [(&'static str, &'static str, u64); 6] {
        [
            ("objects", "Python objects", self.objects_bytes),
            (
                "objects_free",
                "free, held by Python's allocator",
                self.objects_free_bytes,
            ),
            ("malloc", "malloc's heaps, in use", self.malloc_bytes),
            (
                "malloc_free",
                "malloc's heaps, free",
                self.malloc_free_bytes,
            ),
            ("files", "programs and libraries", self.file_bytes),
            ("other", "large blocks, stacks, other", self.other_bytes),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let part = |(name, _, bytes): &(&str, &str, u64)| serde_json::json!({ "name": name, "bytes": bytes });
        serde_json::json!({
            "rss_bytes": self.rss_bytes,
            "memory": self.parts().iter().map(part).collect::<Vec<_>>(),
        })
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// Pools of pymalloc without a block in use.
    FreePools,
    /// Unused parts of pools in use.
    UsedPools,
    /// Free pools retired whole.
    RetirePools,
    /// Retired pools put back.
    Undo,
    /// The free memory of malloc.
    Malloc,
    /// A collection.
    Collect,
    /// Caches emptied.
    Caches,
}

impl StepName {
    fn words(self) -> &'static str {
        match self {
            StepName::FreePools => "free pools",
            StepName::UsedPools => "unused parts of pools in use",
            StepName::RetirePools => "free pools, retired whole",
            StepName::Undo => "retired pools, put back",
            StepName::Malloc => "malloc's free memory",
            StepName::Collect => "garbage collection",
            StepName::Caches => "emptying caches",
        }
    }
}

/// Less than this is not worth a stop.
const LEAST: u64 = 256 << 10;

/// A step, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseStep {
    /// Which.
    pub name: StepName,
    /// Resident bytes that it would give, beforehand; `None` if that can't be told.
    pub releasable_bytes: Option<u64>,
    /// Resident bytes that it gave; `None` if it was not done.
    pub released_bytes: Option<u64>,
    /// The longest time for which a thread of the process, or whoever wanted the GIL, had to wait
    /// for it, in milliseconds.
    pub stopped_ms: f64,
    /// Time that the process spent on it, in milliseconds.
    pub took_ms: f64,
}

impl ReleaseStep {
    /// A step that would give `bytes`.
    #[must_use]
    pub fn new(name: StepName, bytes: u64) -> ReleaseStep {
        ReleaseStep {
            name,
            releasable_bytes: Some(bytes),
            released_bytes: None,
            stopped_ms: 0.0,
            took_ms: 0.0,
        }
    }

    /// A step of which nobody knows what it would give.
    #[must_use]
    pub fn unknown(name: StepName) -> ReleaseStep {
        ReleaseStep {
            releasable_bytes: None,
            ..ReleaseStep::new(name, 0)
        }
    }

    /// Putting retired pools back.
    #[must_use]
    pub fn undo() -> ReleaseStep {
        ReleaseStep::unknown(StepName::Undo)
    }

    /// Whether it is worth doing.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.releasable_bytes.is_none_or(|bytes| bytes >= LEAST)
    }

    fn is_pymalloc(&self) -> bool {
        matches!(
            self.name,
            StepName::FreePools | StepName::UsedPools | StepName::RetirePools | StepName::Undo
        )
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct ReleaseView {
    /// The process.
    pub pid: i32,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// What it held.
    pub before: MemorySummary,
    /// What it held afterwards, if anything was done.
    pub after: Option<MemorySummary>,
    /// The steps.
    pub steps: Vec<ReleaseStep>,
    /// How long all of it took, in seconds.
    pub seconds: f64,
    /// What else is to be said, a sentence each without a full stop.
    pub notes: Vec<String>,
}

impl ReleaseView {
    /// Of a process that holds this.
    #[must_use]
    pub fn new(pid: i32, before: MemorySummary) -> ReleaseView {
        ReleaseView {
            pid,
            dry_run: false,
            before,
            after: None,
            steps: Vec::new(),
            seconds: 0.0,
            notes: Vec::new(),
        }
    }

    /// Says that a step gave so many bytes, besides what it gave before.
    pub fn add(&mut self, name: StepName, bytes: u64) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.name == name) {
            *step.released_bytes.get_or_insert(0) += bytes;
        }
    }

    /// Counts a slice of the work on pymalloc.
    pub fn note_stop(&mut self, stopped: Duration, took: Duration) {
        for step in self.steps.iter_mut().filter(|step| step.is_pymalloc()) {
            step.stopped_ms = step.stopped_ms.max(milliseconds(stopped));
        }
        // All of them are done in one go; the first one due stands for all.
        let first = self.steps.iter_mut().find(|step| step.is_pymalloc());
        if let Some(step) = first {
            step.took_ms += milliseconds(took);
        }
    }

    /// Counts a step that is done in one piece. Malloc's own function stops nobody but the thread
    /// that calls it.
    pub fn note(&mut self, name: StepName, stopped: Duration, took: Duration) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.name == name) {
            step.took_ms += milliseconds(took);
            if name != StepName::Malloc {
                step.stopped_ms = step.stopped_ms.max(milliseconds(stopped));
            }
        }
    }

    /// Takes over what steps would give now.
    pub fn expect(&mut self, now: Vec<ReleaseStep>) {
        for step in now {
            if let Some(known) = self.steps.iter_mut().find(|known| known.name == step.name) {
                known.releasable_bytes = step.releasable_bytes;
            }
        }
    }

    /// The longest stop, in milliseconds, but for malloc's own function, which stops nobody.
    #[must_use]
    pub fn stopped_ms(&self) -> f64 {
        let stops = self.steps.iter().map(|step| step.stopped_ms);
        stops.fold(0.0, f64::max)
    }

    fn took_ms(&self) -> f64 {
        self.steps.iter().map(|step| step.took_ms).sum()
    }

    /// Resident bytes less than before.
    #[must_use]
    pub fn released_bytes(&self) -> u64 {
        let after = self.after.as_ref();
        after.map_or(0, |after| {
            self.before.rss_bytes.saturating_sub(after.rss_bytes)
        })
    }

    fn releasable_bytes(&self) -> u64 {
        let known = self.steps.iter().filter_map(|step| step.releasable_bytes);
        known.sum()
    }

    fn headline(&self) -> String {
        let (pid, rss) = (self.pid, self.before.rss_bytes);
        match &self.after {
            Some(after) => format!(
                "Process {pid} gave {} back: {} resident before, {} now.",
                bytes(self.released_bytes()),
                bytes(rss),
                bytes(after.rss_bytes),
            ),
            None if self.dry_run => format!(
                "Process {pid} could give {} of its {} back ({}).",
                bytes(self.releasable_bytes()),
                bytes(rss),
                share(self.releasable_bytes(), rss),
            ),
            None => format!(
                "Process {pid} has nothing to give back of its {}.",
                bytes(rss)
            ),
        }
    }

    fn price(&self) -> Option<String> {
        self.after.as_ref()?;
        Some(format!(
            "It spent {:.0} ms on that, and waited for at most {:.1} ms at a time.",
            self.took_ms(),
            self.stopped_ms(),
        ))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report for ReleaseView {
    fn text(&self, page: &Page) -> String {
        let mut text = page.wrap(&self.headline(), 0) + "\n";
        if let Some(line) = self.price() {
            text += &(page.wrap(&line, 0) + "\n");
        }
        if self.dry_run && self.releasable_bytes() > 0 {
            text += &format!("Nothing was done. Next: `memshed release {}`\n", self.pid);
        }
        text += "\n";
        let columns = [
            ("MEMORY", Column::Left),
            ("BEFORE", Column::Right),
            ("NOW", Column::Right),
        ];
        let after = self.after.as_ref().map(MemorySummary::parts);
        let mut rows = Vec::new();
        for (number, (_, words, now)) in self.before.parts().into_iter().enumerate() {
            let later = after.as_ref().map(|after| bytes(after[number].2));
            rows.push(vec![
                words.to_owned(),
                bytes(now),
                later.unwrap_or_default(),
            ]);
        }
        text += &page.table(&columns, rows);
        text += "\n";
        let columns = [
            ("STEP", Column::Left),
            ("COULD GIVE", Column::Right),
            ("GAVE", Column::Right),
            ("LONGEST WAIT", Column::Right),
        ];
        let step = |step: &ReleaseStep| {
            let told = |bytes_of: Option<u64>| bytes_of.map_or("?".to_owned(), bytes);
            let done = step.released_bytes.is_some();
            vec![
                step.name.words().to_owned(),
                told(step.releasable_bytes),
                match done {
                    true => told(step.released_bytes),
                    false => String::new(),
                },
                match done && step.stopped_ms > 0.0 {
                    true => format!("{:.1} ms", step.stopped_ms),
                    false => String::new(),
                },
            ]
        };
        text += &page.table(&columns, self.steps.iter().map(step).collect());
        for note in &self.notes {
            text += &(page.wrap(&format!("Note: {}.", harmless(note)), 2) + "\n");
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": crate::json::SCHEMA,
            "pid": self.pid,
            "dry_run": self.dry_run,
            "before": self.before.json(),
            "after": self.after.as_ref().map(MemorySummary::json),
            "steps": self.steps,
            "releasable_bytes": self.releasable_bytes(),
            "released_bytes": self.released_bytes(),
            "stopped_ms": self.stopped_ms(),
            "took_ms": self.took_ms(),
            "seconds": self.seconds,
            "notes": self.notes,
        })
    }
}
