//! `memshed release --every`: staying with a service, and having it give memory back when it holds
//! much that it does not need. What comes straight back is left alone for longer and longer.

use super::Status;
use crate::cli::ReleaseArgs;
use crate::ended::Ended;
use crate::error::{CommandError, LookError};
use crate::interrupt;
use crate::look::Progress;
use crate::printer::{Printer, Stream};
use crate::release::{self, Wanted};
use memshed_report::{BackOff, ReleaseEvent};
use memshed_target::Process;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Looks do not begin at shorter intervals.
const SHORTEST: Duration = Duration::from_secs(1);

/// Stays until the process ends.
pub fn run(
    pid: i32,
    wanted: &Wanted,
    every: Duration,
    args: &ReleaseArgs,
    printer: &Printer,
) -> Result<Status, CommandError> {
    if every < SHORTEST {
        return Err(CommandError::Usage {
            what: "the interval is too short".into(),
            hint: "looks can begin every 1s at most".into(),
        });
    }
    let process = Process::open(pid).map_err(|_| LookError::NoSuchProcess(pid))?;
    // A process that may not be looked at is known at once, not after the first interval.
    crate::open::program(&crate::open::open(pid)?)?;
    interrupt::finish_with(|| Status::Fine as u8);
    let mut supervisor = Supervisor {
        pid,
        wanted,
        above: args.above.unwrap_or(0),
        back_off: BackOff::default(),
        stream: printer.stream()?,
        process: Ended::new(process),
    };
    let mut looks = 0;
    let mut next = Instant::now();
    while args.count.is_none_or(|count| looks < count) {
        if supervisor.process.wait(next) {
            supervisor.tell(&ReleaseEvent::Ended)?;
            break;
        }
        looks += 1;
        let Some(event) = supervisor.look()? else {
            supervisor.tell(&ReleaseEvent::Ended)?;
            break;
        };
        if !supervisor.tell(&event)? {
            break;
        }
        // After a look that took long, the next one does not come without a pause.
        next = (next + every).max(Instant::now() + SHORTEST);
    }
    Ok(Status::Fine)
}

struct Supervisor<'a> {
    pid: i32,
    wanted: &'a Wanted,
    above: u64,
    back_off: BackOff,
    stream: Stream,
    process: Ended,
}

/// Nobody watches.
struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str) {}
}

impl Supervisor<'_> {
    /// One look, and what came of it; `None` if the process has ended.
    fn look(&mut self) -> Result<Option<ReleaseEvent>, CommandError> {
        let rss = match self.process.process().memory_use() {
            Ok(memory) => memory.rss,
            Err(_) if self.process.has_ended() => return Ok(None),
            Err(error) => {
                let why = format!("its memory cannot be read: {error}");
                return Ok(Some(ReleaseEvent::Missed { why }));
            }
        };
        if rss < self.above {
            self.back_off.rest(rss);
            return Ok(Some(ReleaseEvent::Below { rss }));
        }
        if let Some((looks, why)) = self.back_off.hold(rss) {
            return Ok(Some(ReleaseEvent::Held { rss, looks, why }));
        }
        match self.release(BackOff::least(rss)) {
            Ok(view) => {
                let after = view.after.as_ref().map(|after| after.rss_bytes);
                self.back_off.released(view.before.rss_bytes, after);
                Ok(Some(ReleaseEvent::Released(Box::new(view))))
            }
            Err(_) if self.process.has_ended() => Ok(None),
            // A look that did not succeed, because another memshed looks at it, say, is not the
            // end.
            Err(error) => {
                self.back_off.failed(rss);
                Ok(Some(ReleaseEvent::Missed {
                    why: error.to_string(),
                }))
            }
        }
    }

    fn release(&self, least: u64) -> Result<memshed_report::ReleaseView, LookError> {
        // No longer than needed: one memshed at a time.
        let target = release::Target::open(self.pid)?;
        if !target.is(self.process.process()) {
            return Err(LookError::Gone(self.pid));
        }
        let wanted = Wanted {
            least,
            ..self.wanted.clone()
        };
        release::release(&target, &wanted, &Silent)
    }

    /// Writes a line. Whether anybody still reads.
    fn tell(&mut self, event: &ReleaseEvent) -> Result<bool, CommandError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs_f64();
        let pid = self.pid;
        let told = self
            .stream
            .write(|| event.line(pid) + "\n", || event.json(pid, now) + "\n");
        Ok(told?)
    }
}
