//! Progress on standard error, for what takes longer than a second while somebody watches.

use crate::look::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Shows the stages of a look.
pub struct Stages {
    bar: ProgressBar,
    verbose: bool,
    began: Mutex<Instant>,
    /// Dropped with this: tells the thread that waits for the first second to end.
    _ended: Sender<()>,
}

impl Stages {
    /// Stages that show themselves after a second if `watched`; with `verbose` each is a line of
    /// its own instead.
    pub fn new(watched: bool, verbose: bool) -> Stages {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
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
            began: Mutex::new(Instant::now()),
            _ended: ended,
        }
    }
}

impl Stages {
    /// A stage of unknown length begins.
    pub fn begin(&self, name: &str) {
        self.stage(name, None);
    }
}

impl Progress for Stages {
    fn stage(&self, name: &str, total: Option<u64>) {
        if self.verbose
            && let Ok(began) = self.began.lock()
        {
            let seconds = began.elapsed().as_secs_f64();
            let _ = writeln!(std::io::stderr(), "memshed: {seconds:7.3} s  {name}");
        }
        let template = match total {
            Some(_) => "{spinner} {msg} {wide_bar} {percent} %",
            None => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        match total {
            Some(total) => self.bar.set_length(total),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(0);
        self.bar.set_message(name.to_string());
    }

    fn done(&self, units: u64) {
        self.bar.inc(units);
    }
}

impl Drop for Stages {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
