//! What `memshed release` says: what was held, what was given back, and at what price.

use crate::page::{Column, Page, Report, harmless};
use crate::units::{bytes, count, share};
use memshed_heap::Cache;
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

/// A cache that can be emptied.
#[derive(Clone, Debug, Serialize)]
pub struct CacheRow {
    /// What `--caches` calls it.
    pub option: String,
    /// What it is.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What `--caches` calls a cache, if it can be emptied.
fn option_of(cache: &str) -> Option<String> {
    let prefixes = [
        ("re.", "re"),
        ("linecache.", "linecache"),
        ("method cache", "types"),
        ("free list", "free-lists"),
    ];
    match cache.strip_prefix("lru_cache of ") {
        Some(name) => Some(format!("functools:{name}")),
        None => {
            let found = prefixes.iter().find(|(start, _)| cache.starts_with(start));
            found.map(|(_, option)| (*option).to_owned())
        }
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
    /// Resident bytes that retiring free pools would give besides.
    pub retirable_bytes: u64,
    /// Caches that can be emptied, if they are to be listed.
    pub caches: Vec<CacheRow>,
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
            retirable_bytes: 0,
            caches: Vec::new(),
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

    /// Lists those of `caches` that can be emptied, the largest first.
    pub fn list_caches(&mut self, caches: &[Cache]) {
        let row = |cache: &Cache| {
            Some(CacheRow {
                option: option_of(&cache.name)?,
                name: cache.name.clone(),
                entries: cache.entries,
                bytes: cache.bytes,
            })
        };
        self.caches = caches.iter().filter_map(row).collect();
        self.caches.sort_by_key(|row| std::cmp::Reverse(row.bytes));
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

    /// Resident bytes that all steps would give, as far as that can be told.
    #[must_use]
    pub fn releasable_bytes(&self) -> u64 {
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
        let took = self.took_ms();
        Some(match self.stopped_ms() {
            stopped if stopped > 0.0 => format!(
                "It spent {took:.0} ms on that, and waited for at most {stopped:.1} ms at a time."
            ),
            _ => format!("One of its threads spent {took:.0} ms on that; no other had to wait."),
        })
    }
}

impl ReleaseView {
    /// Why so much is still held, if much is.
    fn what_stays(&self) -> Option<String> {
        let now = self.after.as_ref()?;
        let free = now.objects_free_bytes;
        if free * 10 < now.rss_bytes {
            return None;
        }
        let hard = match self.retirable_bytes * 20 >= now.rss_bytes {
            true => format!(
                " `memshed release {} --hard` gives {} of it.",
                self.pid,
                bytes(self.retirable_bytes)
            ),
            false => String::new(),
        };
        Some(format!(
            "{} stay free but held: objects in use lie on the same pages.{hard}",
            bytes(free)
        ))
    }

    fn memory_table(&self, page: &Page) -> String {
        let mut columns = vec![("MEMORY", Column::Left), ("BEFORE", Column::Right)];
        let after = self.after.as_ref().map(MemorySummary::parts);
        columns.extend(after.iter().map(|_| ("NOW", Column::Right)));
        let parts = self.before.parts().into_iter().enumerate();
        let row = |(number, (_, words, before)): (usize, (&str, &str, u64))| {
            let mut row = vec![words.to_owned(), bytes(before)];
            row.extend(after.iter().map(|after| bytes(after[number].2)));
            row
        };
        page.table(&columns, parts.map(row).collect())
    }

    fn cache_table(&self, page: &Page) -> String {
        let columns = [
            ("CACHE", Column::Left),
            ("ENTRIES", Column::Right),
            ("BYTES", Column::Right),
            ("EMPTIED BY", Column::Remark),
        ];
        let row = |row: &CacheRow| {
            vec![
                crate::page::shorten(&harmless(&row.name), 50),
                count(row.entries),
                bytes(row.bytes),
                format!("--caches={}", harmless(&row.option)),
            ]
        };
        page.table(&columns, self.caches.iter().map(row).collect())
    }

    fn step_table(&self, page: &Page) -> String {
        let done = self.after.is_some();
        let mut columns = vec![("STEP", Column::Left), ("COULD GIVE", Column::Right)];
        if done {
            columns.push(("GAVE", Column::Right));
            columns.push(("LONGEST WAIT", Column::Right));
        }
        let told = |bytes_of: Option<u64>| bytes_of.map_or("?".to_owned(), bytes);
        let row = |step: &ReleaseStep| {
            let name = step.name.words().to_owned();
            let mut row = vec![name, told(step.releasable_bytes)];
            if done {
                row.push(step.released_bytes.map(bytes).unwrap_or_default());
                row.push(match step.stopped_ms > 0.0 {
                    true => format!("{:.1} ms", step.stopped_ms),
                    false => String::new(),
                });
            }
            row
        };
        page.table(&columns, self.steps.iter().map(row).collect())
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
        if let Some(line) = self.what_stays() {
            text += &(page.wrap(&line, 0) + "\n");
        }
        text += "\n";
        text += &self.memory_table(page);
        text += "\n";
        text += &self.step_table(page);
        if !self.caches.is_empty() {
            text += "\n";
            text += &self.cache_table(page);
        }
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
            "caches": self.caches,
            "notes": self.notes,
        })
    }
}
