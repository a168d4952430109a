//! What a run of memshed costs: the processor time and memory of all its processes, the tracer
//! included, read from /proc while it runs.

use anyhow::Result;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The cost of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Processor time, user and system. Ends of processes between two readings are missed: at
    /// most [`EVERY`] for each.
    pub cpu: Duration,
    /// The greatest sum of proportional set sizes, in bytes.
    pub peak_pss: u64,
}

/// Between two readings.
const EVERY: Duration = Duration::from_millis(20);

/// Runs `body` and watches all processes of `binary` meanwhile.
pub fn watch<T>(binary: &Path, body: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let binary = binary.canonicalize()?;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut ticks: HashMap<PathBuf, u64> = HashMap::new();
            let mut peak = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut sum = 0;
                for process in processes_of(&binary) {
                    if let Some(used) = cpu_ticks(&process) {
                        ticks.insert(process.clone(), used);
                    }
                    sum += pss(&process).unwrap_or(0);
                }
                peak = peak.max(sum);
                std::thread::sleep(EVERY);
            }
            // A tick is 10 ms on Linux, whatever the kernel's own clock (time(7), USER_HZ).
            Cost {
                cpu: Duration::from_millis(10 * ticks.values().sum::<u64>()),
                peak_pss: peak,
            }
        })
    };
    let result = body();
    stop.store(true, Ordering::Relaxed);
    let cost = watcher.join().unwrap_or_default();
    Ok((result?, cost))
}

fn processes_of(binary: &Path) -> Vec<PathBuf> {
    let Ok(proc) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    proc.flatten()
        .map(|entry| entry.path())
        .filter(|path| std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe == binary))
        .collect()
}

fn cpu_ticks(process: &Path) -> Option<u64> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    // Fields 14 and 15 (proc_pid_stat(5)); the name, field 2, may hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn pss(process: &Path) -> Option<u64> {
    let rollup = std::fs::read_to_string(process.join("smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
}
