//! What the threads are doing just before a stop: which had better be left asleep, and which will be
//! missed.

use super::sleepers::{SchedulerClock, Sleeper};
use super::stop::{NAP, threads};
use crate::error::TargetError;
use std::collections::HashSet;
use std::fs;

/// How often running threads are looked at again before a stop.
const LOOKS: u32 = 10;

/// What was found out about the threads just before a stop.
pub(super) struct Survey {
    /// Those to be left asleep.
    pub(super) asleep: Vec<Sleeper>,
    /// One that has to be woken because all of them are asleep.
    pub(super) chosen: Option<Sleeper>,
}

/// Looks which threads had better be left asleep; not those in `restless`, which are known to
/// wake all the time.
pub(super) fn survey(
    pid: i32,
    clock: &mut SchedulerClock,
    restless: &HashSet<i32>,
) -> Result<Survey, TargetError> {
    let all = threads(pid)?;
    let leave = |s: &Sleeper| s.uninterruptible || (s.leave() && !restless.contains(&s.tid));
    let mut found: Vec<Option<Sleeper>> = all.iter().map(|&tid| Sleeper::find(pid, tid)).collect();
    // A thread that runs may be about to sleep again, half-way through a transfer that a stop
    // would cut short. Most come to rest soon; what cannot be seen is that of one that does not.
    for _ in 0..LOOKS {
        if found.iter().all(Option::is_some) {
            break;
        }
        std::thread::sleep(NAP);
        for (place, &tid) in found.iter_mut().zip(&all) {
            if place.as_ref().is_none_or(|s| !s.still_asleep()) {
                *place = Sleeper::find(pid, tid);
            }
        }
    }
    let mut asleep: Vec<Sleeper> = found.into_iter().flatten().filter(leave).collect();
    let mut chosen = None;
    if asleep.len() == all.len() {
        let candidates = asleep
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.uninterruptible);
        let best = candidates
            .min_by_key(|(_, s)| s.reluctance())
            .map(|(i, _)| i);
        chosen = best.map(|i| asleep.swap_remove(i));
    }
    if let Some(sleeper) = &mut chosen {
        sleeper.note_since(clock);
    }
    Ok(Survey { asleep, chosen })
}

impl Survey {
    /// Whether a thread is to be left asleep.
    pub(super) fn leaves_asleep(&self, tid: i32) -> bool {
        self.asleep.iter().any(|s| s.tid == tid)
    }

    /// Chooses, among those to be left asleep, the best to be woken after all.
    pub(super) fn choose(
        &mut self,
        clock: &mut SchedulerClock,
        may: impl Fn(&Sleeper) -> bool,
    ) -> Option<i32> {
        let able = |s: &&Sleeper| !s.uninterruptible && may(s);
        let best = self
            .asleep
            .iter()
            .filter(able)
            .min_by_key(|s| s.reluctance())?
            .tid;
        let at = self.asleep.iter().position(|s| s.tid == best)?;
        let mut chosen = self.asleep.swap_remove(at);
        chosen.note_since(clock);
        self.chosen = Some(chosen);
        Some(best)
    }
}

/// Whether signals are sent to this thread that others would get while it is stopped: it is the
/// first, or has children.
pub(super) fn will_be_missed(pid: i32, tid: i32) -> bool {
    let path = format!("/proc/{pid}/task/{tid}/children");
    tid == pid || fs::read_to_string(path).is_ok_and(|c| !c.trim().is_empty())
}
