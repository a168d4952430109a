//! Targets in awkward states, and errors that have to be clear.

use crate::contents::{Pattern, by};
use crate::support::{Target, c_program, children, freeze_once, session, signal, until};
use memshed_target::{
    FreezeRequest, Memory, Method, Process, ReadError, RemoteAddr, TargetError, access,
};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The role of a command that looks once.
pub const LOOK_ONCE: &str = "look-once";

pub const TESTS: &[crate::Test] = &[
    ("states::a_stopped_target_stays_stopped", stopped),
    ("states::seccomp_does_not_kill_it", seccomp),
    ("states::a_second_look_is_refused", second_look),
    ("states::a_target_that_exits_is_an_error", exits),
    ("states::no_such_process", no_such_process),
    ("states::a_stop_too_long_is_refused", max_stop),
    (
        "states::a_traced_target_is_refused_with_the_tracer_s_number",
        traced,
    ),
    ("states::a_target_held_by_a_debugger_is_read_as_it_is", held),
    ("states::a_target_in_another_pid_namespace", pid_namespace),
    (
        "states::a_copy_does_not_keep_it_from_becoming_another_user",
        becomes_root,
    ),
    (
        "states::no_copy_is_kept_for_a_command_that_was_stopped",
        stopped_command,
    ),
];

fn wait_for_state(process: &Process, wanted: char) {
    until(&format!("never in state {wanted}"), || {
        process.status().expect("a status").state == wanted
    });
}

fn stopped() {
    let mut pattern = Pattern::start();
    let process = pattern.target.process();
    signal("STOP", process.pid());
    wait_for_state(&process, 'T');
    for method in [Method::Fork, Method::Pause] {
        freeze_once(&process, &by(method)).expect("frozen");
        wait_for_state(&process, 'T');
    }
    signal("CONT", process.pid());
    pattern.tell("change", "changed");
    pattern.target.assert_untouched();
}

fn seccomp() {
    for kind in ["errno", "kill"] {
        let mut pattern = Pattern::start();
        pattern.tell(&format!("seccomp {kind}"), "sealed");
        let info = freeze_once(&pattern.target.process(), &FreezeRequest::default());
        let info = info.expect("frozen");
        assert_eq!(info.reason.is_some(), info.method == Method::Pause);
        pattern.tell("change", "changed");
        pattern.target.assert_untouched();
    }
}

fn second_look() {
    let pattern = Pattern::start();
    let process = pattern.target.process();
    let mut first = session(&process).expect("a session");
    let frozen = first.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    assert_eq!(
        session(&process).err(),
        Some(TargetError::Busy(process.pid()))
    );
    drop(frozen);
    drop(first);
    session(&process).expect("the next one");
}

fn exits() {
    let mut pattern = Pattern::start();
    let mut session = session(&pattern.target.process()).expect("a session");
    let frozen = session.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    let place = pattern.place("pattern");
    frozen.bytes(RemoteAddr(place.start), 8).expect("readable");
    let copies = children(pattern.target.pid());
    assert_eq!(copies.len(), 1, "the copy");
    pattern.target.tell("exit");
    pattern.target.child.wait().expect("it ends");
    until("the copy outlives the target", || {
        Process::open(copies[0]).is_err()
    });
    let late = RemoteAddr(place.start + (32 << 20));
    assert_eq!(frozen.bytes(late, 8), Err(ReadError::NotCopied(late)));
    let info = frozen.finish().expect("let go");
    assert_eq!(info.cut_short.as_deref(), Some("the target ended"));
    assert_eq!(
        session.freeze(&FreezeRequest::default(), |_| {}).err(),
        Some(TargetError::Exited(pattern.target.pid()))
    );
}

/// An exec(2) of a set-user-ID program while a copy lives.
fn becomes_root() {
    use std::os::unix::fs::PermissionsExt;
    let program = c_program("setuid");
    let mode = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(&program, mode).expect("its owner");
    let plain = |mut target: Target| {
        target.tell("exec");
        target.line()
    };
    if plain(Target::start(Command::new(&program))) != "user 0" {
        eprintln!("SKIPPED: set-user-ID programs do not work here, or not for this user");
        return;
    }
    let mut target = Target::start(Command::new(&program));
    let mut session = session(&target.process()).expect("a session");
    let frozen = session.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    assert_eq!(children(target.pid()).len(), 1, "the copy");
    target.tell("exec");
    assert_eq!(target.line(), "user 0");
    let info = frozen.finish().expect("let go");
    assert_eq!(info.left_behind, None);
    target.assert_untouched();
    target.tell("end");
    assert!(target.child.wait().expect("it ends").success());
}

/// What a command does that is stopped meanwhile: freezes `pid`, says so, goes on when told, and says
/// what came of it.
pub fn look_once(pid: &str) -> ExitCode {
    let process = Process::open(pid.parse().expect("a number")).expect("the target");
    let mut session = session(&process).expect("a session");
    let frozen = session.freeze(&by(Method::Fork), |_| {}).expect("frozen");
    println!("ready, frozen");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let info = frozen.finish().expect("let go");
    println!("{}", info.cut_short.unwrap_or_default());
    ExitCode::SUCCESS
}

fn stopped_command() {
    let mut pattern = Pattern::start();
    let mut command = Command::new(std::env::current_exe().expect("our own name"));
    command.arg(LOOK_ONCE).arg(pattern.target.pid().to_string());
    let mut command = Target::start(command);
    assert_eq!(children(pattern.target.pid()).len(), 1, "the copy");
    signal("STOP", command.pid());
    until("the copy is kept for a stopped command", || {
        children(pattern.target.pid()).is_empty()
    });
    signal("CONT", command.pid());
    command.tell("go on");
    assert_eq!(command.line(), "memshed itself was stopped for 10 s");
    pattern.tell("change", "changed");
    pattern.target.assert_untouched();
}

fn no_such_process() {
    assert_eq!(
        Process::open(i32::MAX).err(),
        Some(TargetError::NoSuchProcess(i32::MAX))
    );
    let mut target = Target::start(Command::new(c_program("pattern")));
    let process = target.process();
    target.child.kill().expect("killed");
    target.child.wait().expect("reaped");
    assert!(!process.is_alive());
    let refused = session(&process).err();
    assert_eq!(refused, Some(TargetError::NoSuchProcess(process.pid())));
}

fn max_stop() {
    let pattern = Pattern::start();
    let mut session = session(&pattern.target.process()).expect("a session");
    let hasty = FreezeRequest {
        max_stop: Some(Duration::from_millis(2)),
        ..by(Method::Pause)
    };
    let refused = session.freeze(&hasty, |_| {}).err();
    let Some(TargetError::StopTooLong { predicted, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(predicted > Duration::from_millis(10), "{predicted:?}");
}

/// A debugger that lets its target run: PTRACE_SEIZE stops nothing (ptrace(2)), and the target
/// waits in a read.
fn traced() {
    use nix::sys::{ptrace, wait};
    let pattern = Pattern::start();
    let process = pattern.target.process();
    let pid = nix::unistd::Pid::from_raw(process.pid());
    ptrace::seize(pid, ptrace::Options::empty()).expect("seized");
    let access = access::check(&process).expect("a check");
    let by = std::process::id() as i32;
    assert_eq!(access.obstacles, [access::Obstacle::Traced { by }]);
    let refused = freeze_once(&process, &FreezeRequest::default()).err();
    assert!(
        matches!(refused, Some(TargetError::Denied { .. })),
        "{refused:?}"
    );
    ptrace::interrupt(pid).expect("interrupted");
    wait::waitpid(pid, Some(wait::WaitPidFlag::__WALL)).expect("it stops");
    ptrace::detach(pid, None).expect("detached");
}

/// Has this thread, as a debugger would, hold or let go the only thread of a process.
fn held() {
    use nix::sys::{ptrace, wait};
    let mut pattern = Pattern::start();
    let process = pattern.target.process();
    let pid = nix::unistd::Pid::from_raw(process.pid());
    ptrace::seize(pid, ptrace::Options::empty()).expect("seized");
    ptrace::interrupt(pid).expect("interrupted");
    wait::waitpid(pid, Some(wait::WaitPidFlag::__WALL)).expect("it stops");
    let access = access::check(&process).expect("a check");
    assert_eq!(access.obstacles, []);
    assert!(
        access
            .remarks
            .iter()
            .any(|remark| remark.contains("holds every thread"))
    );

    let mut session = session(&process).expect("a session");
    let frozen = session
        .freeze(&FreezeRequest::default(), |live| {
            pattern.assert_pattern(live)
        })
        .expect("read as it is");
    let info = frozen.info();
    assert_eq!(info.method, Method::Pause);
    let reason = info.reason.expect("a reason");
    assert!(reason.contains(&std::process::id().to_string()), "{reason}");
    pattern.assert_pattern(&frozen);
    assert_eq!(
        process.status().expect("a status").state,
        't',
        "it was let go"
    );
    drop(frozen);
    drop(session);
    ptrace::detach(pid, None).expect("detached");
    pattern.tell("change", "changed");
    pattern.target.assert_untouched();
}

fn pid_namespace() {
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(c_program("pattern"));
    if !Command::new("unshare")
        .args(["--pid", "--fork", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        eprintln!("SKIPPED: this user may not make pid namespaces");
        return;
    }
    let outer = Target::start(command);
    let inner = children(outer.pid());
    let process = Process::open(inner[0]).expect("the inner process");
    assert_eq!(
        process.status().expect("a status").namespace_pids,
        [inner[0], 1]
    );
    for _ in 0..5 {
        let info = freeze_once(&process, &by(Method::Fork)).expect("frozen");
        assert_eq!(info.left_behind, None);
        assert!(children(process.pid()).is_empty());
    }
}
