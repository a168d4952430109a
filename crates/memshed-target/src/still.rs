//! Targets that stand still without our doing, and stay so while they are read.

use crate::cgroup::Groups;
use crate::status::field;
use std::fs;

/// What keeps a target still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Still {
    /// Its control group is frozen.
    Frozen,
    /// A debugger holds every thread.
    Held(Held),
}

/// All threads of a target in a tracing stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The debugger.
    pub(crate) by: i32,
    /// Of each thread, its number and how often it has left a processor: the same again later
    /// means that it has not run meanwhile.
    switches: Vec<(i32, u64)>,
}

impl Still {
    /// What keeps process `pid` still, if anything does.
    pub(crate) fn of(pid: i32) -> Option<Still> {
        if Groups::of(pid).frozen() {
            return Some(Still::Frozen);
        }
        held(pid).map(Still::Held)
    }

    /// Why the target was read as it is, as a sentence without a full stop.
    pub(crate) fn reason(&self) -> String {
        match self {
            Still::Frozen => "it is frozen by its control group, and was left so".into(),
            Still::Held(held) => {
                let by = held.by;
                format!("process {by} is tracing it and holds every thread, and was left so")
            }
        }
    }
}

fn held(pid: i32) -> Option<Held> {
    let mut switches = Vec::new();
    let mut by = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let task = task.ok()?;
        let tid = task.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        if !field(&status, "State:").starts_with('t') {
            return None;
        }
        by = field(&status, "TracerPid:").parse().ok()?;
        let count = |name| field(&status, name).parse::<u64>().ok();
        let of_its_own = count("voluntary_ctxt_switches:")?;
        switches.push((tid, of_its_own + count("nonvoluntary_ctxt_switches:")?));
    }
    switches.sort_unstable();
    (by != 0).then_some(Held { by, switches })
}
