//! The tracer: a small process of its own that does everything with ptrace.
//!
//! The command starts it from its own executable ([`run_if_asked`]), in a session of its own and
//! with every signal blocked, and talks to it over two sockets. When they close, because the
//! command is done, has crashed or was killed, the tracer lets every thread of the target go,
//! kills the copy, has the target reap it, and ends. The command can thus die at any moment.
//!
//! What cannot be guarded against: the tracer itself killed with SIGKILL. Then the kernel lets
//! the target's threads go and kills the copy, but the copy stays in the target as a zombie that
//! nobody reaps. A thread in the middle of an injected call finds back by itself (see `home`), unless
//! its stack is of a kind of which nothing is known.

mod agent;
mod calls;
mod copier;
mod freeze;
mod guard;
mod home;
mod inject;
mod late;
mod ptrace;
mod serve;
mod sleepers;
mod stop;
mod survey;
mod travel;
mod watch;

pub(crate) use agent::JOB;
pub(crate) use serve::MARKER;

/// Becomes the tracer, and never returns, if this process was started as one. To be called first
/// thing in `main`, before threads are started or arguments are read.
pub fn run_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == MARKER) {
        let numbers: Vec<u64> = args
            .filter_map(|a| a.to_str().and_then(|a| a.parse().ok()))
            .collect();
        std::process::exit(serve::serve(&numbers));
    }
}

/// Tries ptrace on a child made for the purpose, which does nothing but wait.
pub(crate) fn probe() -> std::io::Result<()> {
    let child = crate::os::fork_idle_child()?;
    let tried = ptrace::seize(child, 0).and_then(|()| ptrace::interrupt(child));
    crate::os::kill(child);
    crate::os::reap(child);
    tried
}
