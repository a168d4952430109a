//! Waiting for a process that is not our child to end.

use memshed_target::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::time::{Duration, Instant};

/// A process, and the news of its end.
pub struct Ended {
    process: Process,
    /// Readable once the process has ended.
    news: Option<OwnedFd>,
}

impl Ended {
    /// Of this process.
    pub fn new(process: Process) -> Ended {
        let pid = Pid::from_raw(process.pid());
        let news = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Ended { process, news }
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        !self.process.is_alive()
    }

    /// Waits for its end until `until`; whether it came.
    pub fn wait(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.has_ended() {
                return self.has_ended();
            }
            // Without news, as on kernels before 5.3, it is asked every now and then.
            let nap = match self.news {
                Some(_) => left,
                None => left.min(Duration::from_secs(1)),
            };
            let nap = Timespec {
                tv_sec: nap.as_secs() as i64,
                tv_nsec: nap.subsec_nanos().into(),
            };
            let news = self
                .news
                .iter()
                .map(|news| PollFd::new(news, PollFlags::IN));
            let mut news: Vec<PollFd<'_>> = news.collect();
            // Interrupted by a signal at worst.
            let _ = poll(&mut news, Some(&nap));
        }
    }
}
