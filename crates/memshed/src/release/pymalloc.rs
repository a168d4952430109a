//! Having pymalloc give back what it holds, a slice at a time.

use super::Wanted;
use super::account::Account;
use super::agent::{Inside, RANGES, RANGES_LEN, REST, Undone, WORDS};
use crate::error::LookError;
use memshed_agent::abi::{Job, kind, status, steps};
use memshed_cpython::Allocator;
use memshed_report::{ReleaseView, StepName};
use std::time::Duration;

/// How long a slice may take, so that no stop is longer than 10 ms.
const SLICE: Duration = Duration::from_millis(2);
/// Plans put into the process at a time.
const BATCH: usize = 1024;
/// Slices for each arena at most: each does at least one.
const SPARE_SLICES: usize = 16;

/// Has one state of pymalloc give back what it can.
pub fn shed(
    inside: &Inside<'_>,
    account: &Account,
    allocator: &Allocator,
    wanted: &Wanted,
    view: &mut ReleaseView,
) -> Result<(), LookError> {
    let number = account
        .allocators
        .iter()
        .position(|known| std::ptr::eq(known, allocator));
    let Some(plan) = number.and_then(|number| account.plans.get(number)) else {
        return Ok(());
    };
    if plan.arenas.is_empty() {
        return Ok(());
    }
    for (number, batch) in plan.arenas.chunks(BATCH).enumerate() {
        let words = batch.iter().flat_map(|plan| plan.words()).collect();
        let offset = REST + (number * BATCH * size_of_val(&batch[0])) as u64;
        inside.put(offset, words)?;
    }
    let mut job = job(inside, allocator, wanted, plan.arenas.len() as u64)?;
    for _ in 0..plan.arenas.len() + SPARE_SLICES {
        match inside.with_gil(allocator, &mut job) {
            Ok(done) => view.note_stop(done.stopped, done.took),
            Err(Undone::NoMoment(why)) => {
                view.notes.push(format!("pymalloc's memory: {why}"));
                break;
            }
            Err(Undone::Failed(error)) => return Err(error),
        }
        if job.status() != status::MORE {
            break;
        }
    }
    tell(&job, view);
    Ok(())
}

/// The job, as it begins.
fn job(
    inside: &Inside<'_>,
    allocator: &Allocator,
    wanted: &Wanted,
    plans: u64,
) -> Result<Job, LookError> {
    let mut job = Job::new(kind::SHED);
    let (shed, length) = allocator.shed(inside.at(WORDS));
    inside.put(WORDS, vec![length])?;
    job.shed = shed;
    job.shed.steps = match (wanted.undo, wanted.hard && allocator.can_retire()) {
        (true, _) => steps::UNRETIRE,
        (false, true) => steps::ARENA_TOPS | steps::FREE_POOLS | steps::USED_POOLS | steps::RETIRE,
        (false, false) => steps::ARENA_TOPS | steps::FREE_POOLS | steps::USED_POOLS,
    };
    job.shed.budget_ns = SLICE.as_nanos() as u64;
    job.shed.ranges = inside.at(RANGES).0;
    job.shed.ranges_len = RANGES_LEN;
    job.shed.plans = inside.at(REST).0;
    job.shed.plans_len = plans;
    Ok(job)
}

/// Says what came of it.
fn tell(job: &Job, view: &mut ReleaseView) {
    let [mut tops, mut free, mut used, mut retired, undone] = job.shed.released;
    // What the kernel refused has been counted when it was asked for.
    let mut refused = job.shed.refused_bytes;
    for step in [&mut retired, &mut used, &mut free, &mut tops] {
        let less = refused.min(*step);
        (*step, refused) = (*step - less, refused - less);
    }
    view.add(StepName::FreePools, tops + free);
    view.add(StepName::UsedPools, used);
    view.add(StepName::RetirePools, retired);
    view.add(StepName::Undo, undone);
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            view.notes.push(format!("{count} {what}"));
        }
    };
    note(
        job.shed.shared_pools,
        "pools were left alone: a forked process shares their pages, and changing them would \
         take memory instead of giving it back",
    );
    note(
        job.shed.torn_pools,
        "pools were left alone: their own counts do not agree",
    );
    note(
        job.shed.torn_arenas,
        "arenas were left alone: they changed meanwhile, or their own counts do not agree",
    );
    if job.shed.refused > 0 {
        let (count, error) = (job.shed.refused, job.shed.error as i32);
        let error = std::io::Error::from_raw_os_error(error);
        view.notes.push(format!(
            "the kernel did not take back {count} ranges: {error}"
        ));
    }
    if job.status() == status::TORN {
        view.notes
            .push("pymalloc's state makes no sense; nothing more was done to it".into());
    }
}
