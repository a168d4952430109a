//! Threads that are asleep and had better stay so.
//!
//! A thread that sleeps in the kernel changes no memory; it need not be stopped, only watched.
//! Left asleep are threads in uninterruptible sleep, which cannot be stopped (a vfork(2) parent),
//! and threads in calls that would notice (see `calls`). Whether one has run meanwhile is told by
//! the scheduler's own counters, which move as soon as it is put on a processor.

use super::calls::Call;
use crate::os;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// A thread that was found asleep.
pub(super) struct Sleeper {
    pub(super) tid: i32,
    /// What it sleeps in; `None` if not in a system call (a page fault).
    pub(super) call: Option<Call>,
    /// Whether no signal can wake it.
    pub(super) uninterruptible: bool,
    /// Since when, if that is known and matters.
    pub(super) since: Option<Instant>,
    dir: String,
    stat: File,
    runs: File,
    seen: String,
}

impl Sleeper {
    /// Looks at a thread: `None` if it is running, or has gone.
    pub(super) fn find(pid: i32, tid: i32) -> Option<Sleeper> {
        let dir = format!("/proc/{pid}/task/{tid}");
        let stat = File::open(format!("{dir}/stat")).ok()?;
        let (state, _) = state_and_cpu(&stat)?;
        if state != 'S' && state != 'D' {
            return None;
        }
        let (runs, seen) = open_counters(&dir)?;
        let call = parse_call(&fs::read_to_string(format!("{dir}/syscall")).ok()?)?;
        let uninterruptible = state == 'D';
        let sleeper = Sleeper {
            tid,
            call,
            uninterruptible,
            since: None,
            dir,
            stat,
            runs,
            seen,
        };
        sleeper.still_asleep().then_some(sleeper)
    }

    /// Among those that should be left alone, which to wake first if one has to be.
    pub(super) fn reluctance(&self) -> u32 {
        self.call.map_or(u32::MAX, |c| c.reluctance())
    }

    /// Whether a signal that is ignored could wake it while others are traced.
    pub(super) fn needs_watching(&self) -> bool {
        !self.uninterruptible && !self.call.is_some_and(|c| c.waits_for_children())
    }

    /// Whether its call can be restarted so well that it may be woken if need be: no transfer is
    /// cut short, and a timeout that has just begun may begin again.
    pub(super) fn may_be_woken(&self) -> bool {
        self.reluctance() <= 1
    }

    /// Finds out since when it has been asleep.
    pub(super) fn note_since(&mut self, clock: &mut SchedulerClock) {
        let cpu = state_and_cpu(&self.stat).map(|(_, cpu)| cpu);
        self.since = cpu.and_then(|cpu| clock.asleep_since(&self.dir, cpu));
    }

    /// Whether it should be left alone.
    pub(super) fn leave(&self) -> bool {
        self.uninterruptible || self.call.is_none_or(|c| !c.restarts_by_itself())
    }

    /// Whether it has not run at all since it was found.
    pub(super) fn still_asleep(&self) -> bool {
        let asleep = matches!(state_and_cpu(&self.stat), Some(('S' | 'D', _)));
        asleep && read_counters(&self.runs).is_some_and(|now| now == self.seen)
    }
}

/// The state of a thread as one letter (proc_pid_stat(5)), and the processor it ran on last.
fn state_and_cpu(stat: &File) -> Option<(char, usize)> {
    let text = read_start(stat)?;
    let fields = text.rsplit_once(") ")?.1;
    let state = fields.chars().next()?;
    // Field 39 of the line; the state is field 3.
    Some((state, fields.split(' ').nth(36)?.trim().parse().ok()?))
}

/// The state letter of a thread, or `None` if it has gone.
pub(super) fn state(pid: i32, tid: i32) -> Option<char> {
    let stat = File::open(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    state_and_cpu(&stat).map(|(state, _)| state)
}

fn read_start(file: &File) -> Option<String> {
    let mut buf = [0; 2048];
    let n = file.read_at(&mut buf, 0).ok()?;
    Some(String::from_utf8_lossy(&buf[..n]).into_owned())
}

/// `schedstat` holds run time, wait time and the number of times it was put on a processor
/// (Documentation/scheduler/sched-stats.rst); where the kernel keeps none, `status` has the
/// number of times it was taken off.
fn open_counters(dir: &str) -> Option<(File, String)> {
    let schedstat = File::open(format!("{dir}/schedstat"));
    if let Some(found) = schedstat
        .ok()
        .and_then(|f| read_counters(&f).map(|seen| (f, seen)))
    {
        return Some(found);
    }
    let status = File::open(format!("{dir}/status")).ok()?;
    let seen = read_counters(&status)?;
    Some((status, seen))
}

fn read_counters(file: &File) -> Option<String> {
    let text = read_start(file)?;
    let switches: Vec<&str> = text
        .lines()
        .filter(|l| l.contains("ctxt_switches"))
        .collect();
    let counters = if switches.is_empty() {
        text.trim().to_string()
    } else {
        switches.concat()
    };
    (counters != "0 0 0" && !counters.is_empty()).then_some(counters)
}

/// `Some(None)`: asleep, but not in a system call. `None`: running.
fn parse_call(text: &str) -> Option<Option<Call>> {
    let mut fields = text.split_whitespace();
    let number: i64 = fields.next()?.parse().ok()?;
    if number < 0 {
        return Some(None);
    }
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(Some(Call { number, args }))
}

/// How long a calibration may take: on a busy machine it waits for its processor.
const CALIBRATION: Duration = Duration::from_millis(100);

/// Translates the scheduler's time stamps to ours, per processor, by looking at our own.
#[derive(Default)]
pub(super) struct SchedulerClock {
    /// For each processor, the scheduler's time in nanoseconds at an instant of ours.
    known: HashMap<usize, Option<(f64, Instant)>>,
}

impl SchedulerClock {
    /// When a sleeping thread last left the processor: the start of its sleep, unless it was
    /// woken in vain. `se.exec_start` of `/proc/…/sched` is the time in milliseconds at which the
    /// scheduler last looked at the running thread (kernel/sched/fair.c, update_curr).
    fn asleep_since(&mut self, dir: &str, cpu: usize) -> Option<Instant> {
        let (theirs, ours) = (*self.known.entry(cpu).or_insert_with(|| calibrate(cpu)))?;
        let left = exec_start(&format!("{dir}/sched"))?;
        // What has passed between its last look and our calibration, either way round.
        let before = theirs - left;
        if before >= 0.0 {
            ours.checked_sub(Duration::from_secs_f64(before / 1e3))
        } else {
            Some(ours + Duration::from_secs_f64(-before / 1e3))
        }
    }
}

/// In a thread of its own, since there is no saying when a busy processor has time for it.
fn calibrate(cpu: usize) -> Option<(f64, Instant)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        os::bind_to_cpu(cpu).ok()?;
        // Going to sleep and waking up stamps us.
        std::thread::sleep(Duration::from_micros(50));
        let now = Instant::now();
        let stamp = exec_start(&format!("/proc/self/task/{}/sched", os::my_tid()))?;
        sender.send((stamp, now)).ok()
    });
    receiver.recv_timeout(CALIBRATION).ok()
}

fn exec_start(path: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|l| l.starts_with("se.exec_start"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_call_of_a_thread() {
        assert!(parse_call("running\n").is_none());
        assert!(parse_call("-1 0x7ffc 0x7f00\n").is_some_and(|c| c.is_none()));
        let text = "232 0x3 0x7ffc 0x1 0x7530 0x0 0x8 0x7ffc 0x7f13\n";
        let call = parse_call(text).flatten().expect("a call");
        assert_eq!((call.number, call.args[3]), (232, 30000));
    }
}
