//! Freezing must not be noticed: not by system calls, timeouts, signals, children, connections.

use crate::support::{
    LIMIT, Target, c_program, children, freeze_once, python_program, rounds, session,
};
use memshed_target::{FreezeRequest, Memory, Method, Process};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[crate::Test] = &[
    ("harm::c_threads_notice_nothing_of_forks", c_threads_forked),
    ("harm::c_threads_notice_nothing_of_pauses", c_threads_paused),
    ("harm::python_threads_notice_nothing", python_threads),
    (
        "harm::a_lone_thread_notices_nothing_in_any_call",
        lone_threads,
    ),
    (
        "harm::the_command_may_be_killed_at_any_moment",
        killed_commands,
    ),
    ("harm::the_stop_is_as_long_as_it_says", honest_stop),
    (
        "harm::a_closed_connection_is_seen_as_closed",
        closed_connection,
    ),
];

/// The role of a command that is killed.
pub const LOOK: &str = "look-until-killed";

fn fork() -> FreezeRequest {
    FreezeRequest {
        method: Some(Method::Fork),
        ..FreezeRequest::default()
    }
}

/// Counters that have to be zero. One kind of call cannot be repaired when its thread is the only
/// one and had slept: its timeout starts anew.
fn assert_no_harm(target: &mut Target, freezes: u32) {
    for (kind, counts) in target.report() {
        let wrong = ["eintr", "short", "late", "other"];
        // A transfer is cut short if its thread happens to be awake between two pieces of it.
        let counts = &tolerate(&kind, counts, freezes);
        let sum: i64 = wrong.iter().filter_map(|&w| counts.get(w)).sum();
        // Real signals end this one's calls: EINTR is what it waits for.
        let wanted = if kind == "wanted_eintr" {
            counts["late"]
        } else {
            sum
        };
        assert_eq!(wanted, 0, "{kind} was disturbed: {counts:?}");
        assert!(counts["rounds"] > 0, "{kind} never ran");
    }
    target.assert_untouched();
}

/// Leaves out what cannot be prevented: one transfer in ten freezes.
fn tolerate(kind: &str, mut counts: BTreeMap<String, i64>, freezes: u32) -> BTreeMap<String, i64> {
    let allowed = i64::from(freezes / 10 + 1);
    if ["pipe_write", "send", "recv_all"].contains(&kind) && counts["short"] <= allowed {
        counts.insert("short".into(), 0);
    }
    counts
}

fn disturb(target: &mut Target, request: &FreezeRequest, rounds: u32) {
    let process = target.process();
    for round in 0..rounds {
        let info = match freeze_once(&process, request) {
            Ok(info) => info,
            Err(e) => panic!("freeze {round}: {e}; it says {:?}", target.report()),
        };
        assert_eq!(info.left_behind, None);
        assert_eq!(info.cut_short, None);
        std::thread::sleep(Duration::from_millis(u64::from(round % 7)));
    }
    // Every timeout that was running gets the chance to be late.
    std::thread::sleep(Duration::from_millis(200));
    assert_no_harm(target, rounds);
}

fn c_threads_forked() {
    let mut target = Target::start(Command::new(c_program("harm")));
    disturb(&mut target, &fork(), rounds(40));
}

fn c_threads_paused() {
    let pause = FreezeRequest {
        method: Some(Method::Pause),
        ..FreezeRequest::default()
    };
    let mut target = Target::start(Command::new(c_program("harm")));
    disturb(&mut target, &pause, rounds(20));
}

fn python_threads() {
    let mut target = Target::start(python_program("harm.py"));
    disturb(&mut target, &fork(), rounds(30));
}

fn lone_threads() {
    let kinds = [
        "nanosleep",
        "clock_nanosleep",
        "poll",
        "ppoll",
        "select",
        "epoll",
        "epoll_pwait2",
        "futex",
        "pipe_read",
        "childless",
        "file",
        "signals",
        "spin",
        "vfork",
        "recv_timeout",
    ];
    for kind in kinds {
        let mut command = Command::new(c_program("harm"));
        command.arg(kind);
        let mut target = Target::start(command);
        disturb(&mut target, &fork(), rounds(8));
    }
}

/// What a killed command does until then: looks at `pid` again and again.
pub fn look_until_killed(pid: &str) -> ExitCode {
    let look = || -> Result<(), Box<dyn std::error::Error>> {
        let process = Process::open(pid.parse()?)?;
        loop {
            let mut session = session(&process)?;
            let all: Vec<_> = process.mappings()?.iter().map(|m| m.range()).collect();
            let frozen = session.freeze(&fork(), |_| {})?;
            frozen.prefetch(&all);
            println!("looked");
            frozen.finish()?;
        }
    };
    if let Err(e) = look() {
        println!("{e}");
    }
    ExitCode::FAILURE
}

fn killed_commands() {
    let mut target = Target::start(Command::new(c_program("harm")));
    let exe = std::env::current_exe().expect("our own name");
    let mut random = 1u64;
    for _ in 0..rounds(20) {
        let mut command = Command::new(&exe);
        command.arg(LOOK).arg(target.pid().to_string());
        let mut command = command.stdout(Stdio::null()).spawn().expect("it starts");
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        std::thread::sleep(Duration::from_micros((random >> 33) % 60_000));
        command.kill().expect("killed");
        command.wait().expect("reaped");
    }
    // The last tracer is still cleaning up; a session can be had when it is done.
    let started = Instant::now();
    while freeze_once(&target.process(), &fork()).is_err() {
        assert!(started.elapsed() < LIMIT, "the tracer never ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_no_harm(&mut target, rounds(20));
}

fn honest_stop() {
    let mut command = Command::new(c_program("harm"));
    command.args(["spin", "nanosleep"]);
    let mut target = Target::start(command);
    let mut errors: Vec<i64> = Vec::new();
    for _ in 0..rounds(10) {
        target.report();
        let info = freeze_once(&target.process(), &fork()).expect("a freeze");
        let gap = target.report()["spin"]["gap_us"];
        errors.push(gap - info.stopped.as_micros() as i64);
    }
    errors.sort();
    // Other programs take the processor from the spinning thread, too: the best rows count.
    let typical = errors[errors.len() / 4];
    assert!(
        (-1000..=3000).contains(&typical),
        "gap seen less stop told, us: {errors:?}"
    );
}

fn closed_connection() {
    let mut target = Target::start(python_program("connection.py"));
    let port: u16 = target.line().parse().expect("a port");
    let mut peer = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
    peer.set_read_timeout(Some(LIMIT)).expect("a limit");
    assert_eq!(target.line(), "accepted");
    let mut session = session(&target.process()).expect("a session");
    let frozen = session.freeze(&fork(), |_| {}).expect("frozen");
    assert!(!children(target.pid()).is_empty(), "a copy lives");
    target.tell("close");
    assert_eq!(target.line(), "closed");
    assert_eq!(peer.read(&mut [0; 8]).expect("the end, in time"), 0);
    frozen.finish().expect("let go");
    assert!(children(target.pid()).is_empty());
}
