//! What a process holds, as far as releasing is concerned: read while it runs, without stopping it.

use super::{Target, Wanted};
use crate::error::LookError;
use memshed_cpython::{Allocator, ReleasePlan};
use memshed_heap::Releasable;
use memshed_malloc::{Glibc, other_allocator};
use memshed_report::{MemorySummary, ReleaseStep, StepName};
use memshed_target::{Mapping, MappingUse, Range, RemoteAddr, Residency};

/// Less than this is not worth a note.
const WORTH_SAYING: u64 = 1 << 20;

/// What a process holds.
pub struct Account {
    /// States of pymalloc.
    pub allocators: Vec<Allocator>,
    /// What each could give.
    pub plans: Vec<ReleasePlan>,
    /// glibc's malloc, if the process uses it.
    pub glibc: Option<GlibcUse>,
    /// Another allocator that takes malloc's place, by name.
    pub other: Option<&'static str>,
    /// What is to be said.
    pub notes: Vec<String>,
    rss: u64,
    files: u64,
}

/// What glibc's malloc holds.
pub struct GlibcUse {
    /// Resident bytes of its heaps.
    pub resident: u64,
    /// Resident bytes that `malloc_trim` would give back.
    pub trimmable: u64,
    /// The locks of its arenas.
    pub locks: Vec<RemoteAddr>,
}

/// Reads it.
pub fn account(target: &Target, wanted: &Wanted) -> Result<Account, LookError> {
    let (python, live) = target.python()?;
    let mut notes = Vec::new();
    let allocators = python.allocators(&live);
    let allocators = allocators.map_err(|error| target.walk_error(error))?;
    let uses = target.process.mapping_use();
    let uses = uses.map_err(|error| target.error(error))?;
    let mut plans = Vec::new();
    for allocator in &allocators {
        let residency = residency(target, &allocator.ranges())?;
        plans.push(allocator.plan(&python, &live, &residency, wanted.hard || wanted.undo));
    }
    let status = target.process.status();
    if status.is_ok_and(|status| status.seccomp != 0) {
        notes.push(
            "it is under seccomp: pools give back what they can at a moment when no thread holds \
             the GIL; what takes longer than that moment is not asked of it"
                .to_owned(),
        );
    }
    if allocators.is_empty() {
        notes.push("its objects do not come from pymalloc".to_owned());
    }
    let shared: u64 = plans.iter().map(|plan| plan.shared_bytes).sum();
    if shared >= WORTH_SAYING {
        notes.push(format!(
            "{} that are free stay: a forked process shares their pages, and giving them back \
             would take memory; the last of the two to live can",
            memshed_report::bytes(shared)
        ));
    }
    if allocators.iter().any(Allocator::has_single_page_pools) {
        notes.push("pools of CPython 3.9 are single pages, of which few can go".to_owned());
    }
    let mut foreign: Vec<Range> = allocators.iter().flat_map(Allocator::ranges).collect();
    foreign.sort_unstable_by_key(|range| range.start);
    let mappings: Vec<Mapping> = uses.iter().map(|usage| usage.mapping.clone()).collect();
    let other = other_allocator(&target.process, &mappings);
    let glibc = match other {
        None => glibc(target, &live, &mappings, &foreign)?,
        Some(_) => None,
    };
    let sum = |of: fn(&MappingUse) -> u64| uses.iter().map(of).sum();
    Ok(Account {
        allocators,
        plans,
        glibc,
        other,
        notes,
        rss: sum(|usage| usage.rss),
        files: sum(|usage| usage.rss.saturating_sub(usage.anonymous)),
    })
}

fn residency(target: &Target, ranges: &[Range]) -> Result<Residency, LookError> {
    let residency = target.process.residency(ranges);
    residency.map_err(|error| target.error(error))
}

fn glibc(
    target: &Target,
    live: &memshed_target::Mirror,
    mappings: &[Mapping],
    foreign: &[Range],
) -> Result<Option<GlibcUse>, LookError> {
    // What is torn or gone by now is not worth failing for: nothing is known then.
    let Ok(Some(glibc)) = Glibc::read_heaps(live, mappings, foreign) else {
        return Ok(None);
    };
    let heaps: Vec<Range> = sorted(glibc.arenas.iter().flat_map(|arena| arena.heaps.clone()));
    let trimmable = sorted(glibc.trimmable());
    let bytes = |ranges: &[Range]| -> Result<u64, LookError> {
        let residency = residency(target, ranges)?;
        let bytes = ranges.iter().map(|range| residency.resident_bytes(*range));
        Ok(bytes.sum())
    };
    Ok(Some(GlibcUse {
        resident: bytes(&heaps)?,
        trimmable: bytes(&trimmable)?,
        locks: glibc.arenas.iter().map(|arena| arena.address).collect(),
    }))
}

fn sorted(ranges: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut ranges: Vec<Range> = ranges.collect();
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}

impl Account {
    /// Bytes of the agent's memory that the plans take.
    pub fn room(&self) -> u64 {
        let longest = self.plans.iter().map(|plan| plan.arenas.len()).max();
        let size = size_of::<memshed_agent::abi::ArenaPlan>() as u64;
        longest.unwrap_or(0) as u64 * size
    }

    /// What could be given back of pymalloc.
    pub fn releasable(&self) -> Releasable {
        let mut sum = Releasable::default();
        self.plans.iter().for_each(|plan| sum.add(&plan.releasable));
        sum
    }

    /// Resident bytes that retiring free pools would give besides.
    pub fn retirable(&self) -> u64 {
        let able = self.allocators.iter().map(Allocator::can_retire);
        let able = able.zip(&self.plans).filter(|(able, _)| *able);
        let free = able.map(|(_, plan)| {
            let given = plan.releasable.arena_tops + plan.releasable.free_pools;
            plan.free_pool_bytes.saturating_sub(given)
        });
        free.sum()
    }

    /// By category.
    pub fn summary(&self) -> MemorySummary {
        let sum = |of: fn(&ReleasePlan) -> u64| self.plans.iter().map(of).sum::<u64>();
        let arenas = sum(|plan| plan.resident_bytes);
        let objects = sum(|plan| plan.used_bytes).min(arenas);
        let (heaps, trimmable) = self
            .glibc
            .as_ref()
            .map_or((0, 0), |glibc| (glibc.resident, glibc.trimmable));
        let known = arenas + heaps + self.files;
        MemorySummary {
            rss_bytes: self.rss,
            objects_bytes: objects,
            objects_free_bytes: arenas - objects,
            malloc_bytes: heaps.saturating_sub(trimmable),
            malloc_free_bytes: trimmable,
            file_bytes: self.files,
            other_bytes: self.rss.saturating_sub(known),
        }
    }

    /// The steps that are to be done, and what each would give.
    pub fn steps(&self, wanted: &Wanted) -> Vec<ReleaseStep> {
        if wanted.undo {
            return vec![ReleaseStep::undo()];
        }
        let releasable = self.releasable();
        let mut steps = Vec::new();
        if wanted.collect {
            steps.push(ReleaseStep::unknown(StepName::Collect));
        }
        if !wanted.caches.is_empty() {
            steps.push(ReleaseStep::unknown(StepName::Caches));
        }
        let mut add = |name, bytes: u64| steps.push(ReleaseStep::new(name, bytes));
        if !self.allocators.is_empty() {
            let free = releasable.arena_tops + releasable.free_pools;
            add(StepName::FreePools, free);
            add(StepName::UsedPools, releasable.used_pools);
            if wanted.hard {
                add(StepName::RetirePools, self.retirable());
            }
        }
        if let Some(glibc) = &self.glibc {
            add(StepName::Malloc, glibc.trimmable);
        } else if self.other.is_some() {
            steps.push(ReleaseStep::unknown(StepName::Malloc));
        }
        steps
    }
}
