//! Giving back what stock pymalloc holds, by surgery on its state (CPython's Objects/obmalloc.c).
//!
//! The plan from outside only says where to look: it was made while the process ran. Every count,
//! link and list is verified here before anything is written, and what does not agree is left
//! alone. A pool is changed and its pages are discarded before the GIL is let go; between two calls
//! nothing is remembered but which arena comes next.
//!
//! No page that is shared with another process is written to or discarded: that would copy it. But
//! a retired pool that comes back costs a page in any case.

mod arena;
mod batch;
mod free_pools;
mod raw;
mod retire;
mod used_pool;

use crate::abi::{ArenaPlan, POOLS, Shed, status, steps};
use crate::kernel;
use arena::Arena;
use batch::Batch;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Works through the plans from the cursor on, until the time is up; `start` is when it began.
pub fn run(shed: &mut Shed, start: u64) -> u32 {
    let (pool, arena) = (u64::from(shed.pool_size), u64::from(shed.arena_size));
    let sane = pool.is_power_of_two()
        && (PAGE..=4 * PAGE).contains(&pool)
        && arena.is_power_of_two()
        && (pool..=pool * POOLS as u64).contains(&arena)
        && shed.arenas != 0;
    if !sane {
        return status::TORN;
    }
    let mut batch = Batch::new(shed);
    while shed.cursor < shed.plans_len {
        // SAFETY: the job has so many plans in memory that nobody else uses.
        let plan = unsafe { &mut *(shed.plans as *mut ArenaPlan).add(shed.cursor as usize) };
        one(shed, plan, &mut batch);
        shed.cursor += 1;
        let spent = kernel::now().wrapping_sub(start);
        if spent.saturating_add(batch.debt()) >= shed.budget_ns {
            break;
        }
    }
    batch.finish(shed);
    match shed.cursor < shed.plans_len {
        true => status::MORE,
        false => status::DONE,
    }
}

/// Does to an arena all that is asked for.
fn one(shed: &mut Shed, plan: &mut ArenaPlan, batch: &mut Batch) {
    let steps = shed.steps;
    let Some(mut arena) = Arena::open(shed, plan) else {
        shed.torn_arenas += 1;
        return;
    };
    if steps & steps::UNRETIRE != 0 {
        retire::undo(&mut arena, shed);
    }
    if steps & steps::ARENA_TOPS != 0 {
        free_pools::shed_top(&mut arena, shed, plan, batch);
    }
    if steps & steps::FREE_POOLS != 0 {
        free_pools::shed_listed(&arena, shed, plan, batch);
    }
    if steps & steps::USED_POOLS != 0 {
        for k in 0..arena.carved() {
            if raw::bit(&plan.pools, k) && !arena.is_listed(k) {
                used_pool::shed_run(&arena, arena.pool(k), shed, plan, batch);
            }
        }
    }
    if steps & steps::RETIRE != 0 {
        retire::retire(&mut arena, shed, plan, batch);
    }
}
