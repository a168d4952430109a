//! Progress on standard error, for what takes longer than a second while somebody watches.

use crate::look::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Shows the stages of a look.
pub struct Stages {
    bar: ProgressBar,
    verbose: bool,
    began: Instant,
    /// Dropped with this: tells the thread that waits for the first second to end.
    _ended: Sender<()>,
}

impl Stages {
    /// Stages that show themselves after a second if `watched`; with `verbose` each is a line of
    /// its own instead.
    pub fn new(watched: bool, verbose: bool) -> Stages {
        // A bar without a length is a spinner with a message.
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let (ended, wait) = channel::<()>();
        if watched && !verbose {
            let bar = bar.clone();
            std::thread::spawn(move || {
                let second = Duration::from_secs(1);
                if wait.recv_timeout(second) == Err(RecvTimeoutError::Timeout) {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(Duration::from_millis(120));
                }
            });
        }
        Stages {
            bar,
            verbose,
            began: Instant::now(),
            _ended: ended,
        }
    }
}

impl Progress for Stages {
    fn stage(&self, name: &str) {
        if self.verbose {
            let seconds = self.began.elapsed().as_secs_f64();
            // Nothing can be done about a closed standard error.
            let _ = writeln!(std::io::stderr(), "memshed: {seconds:7.3} s  {name}");
        }
        self.bar.set_message(name.to_string());
    }
}

impl Drop for Stages {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
