//! Freezing must not be noticed: not by system calls, timeouts, signals, children, connections.

use crate::support::{
    LIMIT, Target, c_program, children, freeze_once, python_program, rounds, session, signal, until,
};
use memshed_target::{FreezeRequest, Memory, Method, Process};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};

pub const TESTS: &[crate::Test] = &[
    ("harm::c_threads_notice_nothing_of_forks", c_threads_forked),
    ("harm::c_threads_notice_nothing_of_pauses", c_threads_paused),
    ("harm::python_threads_notice_nothing", python_threads),
    ("harm::being_held_up_is_told_from_a_busy_machine", held_up),
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

/// How late a timeout may end although nothing keeps it: what a lone thread's repeated starts from
/// the beginning add up to, mostly. In milliseconds.
const LATE: i64 = 5000;

/// What a target says of itself: kind, then name and value.
type Report = BTreeMap<String, BTreeMap<String, i64>>;

/// The same program, left alone: on a busy machine its timeouts end late, too.
struct Control(Target);

impl Control {
    fn start() -> Control {
        let mut command = Command::new(c_program("harm"));
        command.args(["nanosleep", "poll", "epoll", "futex"]);
        Control(Target::start(command))
    }
}

/// Lets every timeout that is running end, then asks whether anything was noticed.
fn assert_no_harm(target: &mut Target, control: &mut Control, freezes: u32) {
    target.turn("round");
    let wrong = wrongs(&target.report(), &control.0.report(), freezes);
    assert!(wrong.is_empty(), "disturbed: {wrong:#?}");
    target.assert_untouched();
}

/// What went wrong in a target beyond what happens to the control, too.
fn wrongs(target: &Report, control: &Report, freezes: u32) -> Vec<String> {
    let starved = control.values().map(|counts| counts["late_ms"]).max();
    let late = LATE + 2 * starved.expect("a kind");
    let wrong = |(kind, counts): (&String, &BTreeMap<String, i64>)| {
        let count = |name| tolerate(kind, name, counts[name], freezes);
        // Real signals end this one's calls: EINTR is what it waits for.
        let interrupted = kind != "wanted_eintr" && count("eintr") > 0;
        let why = match () {
            _ if interrupted => "interrupted".to_owned(),
            _ if count("short") + count("other") > 0 => "went wrong".to_owned(),
            _ if counts["late_ms"] > late => format!("later than {late} ms"),
            _ if counts["rounds"] <= 0 => "never ran".to_owned(),
            _ => return None,
        };
        Some(format!("{kind} {why}: {counts:?}"))
    };
    target.iter().filter_map(wrong).collect()
}

/// A count, 0 where it cannot be prevented: one transfer in ten freezes is cut short if its thread
/// happens to be awake between two pieces of it.
fn tolerate(kind: &str, name: &str, count: i64, freezes: u32) -> i64 {
    let transfer = ["pipe_write", "send", "recv_all"].contains(&kind);
    match transfer && name == "short" && count <= i64::from(freezes / 10 + 1) {
        true => 0,
        false => count,
    }
}

/// Freezes it, again and again. `apart`: some of its turns, of which five take a millisecond, go
/// by between freezes.
fn disturb(target: &mut Target, request: &FreezeRequest, rounds: u32, apart: bool) {
    let process = target.process();
    for round in 0..rounds {
        let info = match freeze_once(&process, request) {
            Ok(info) => info,
            Err(e) => panic!("freeze {round}: {e}; it says {:?}", target.report()),
        };
        assert_eq!(info.left_behind, None);
        assert_eq!(info.cut_short, None);
        if apart {
            target.turn(&format!("turns {}", round % 7 * 5));
        }
    }
}

/// Disturbs a target of many threads, at moments that its own turns set apart.
fn disturb_threads(mut target: Target, request: &FreezeRequest, rounds: u32) {
    let mut control = Control::start();
    disturb(&mut target, request, rounds, true);
    assert_no_harm(&mut target, &mut control, rounds);
}

fn c_threads_forked() {
    let target = Target::start(Command::new(c_program("harm")));
    disturb_threads(target, &fork(), rounds(40));
}

fn c_threads_paused() {
    let pause = FreezeRequest {
        method: Some(Method::Pause),
        ..FreezeRequest::default()
    };
    let target = Target::start(Command::new(c_program("harm")));
    disturb_threads(target, &pause, rounds(20));
}

fn python_threads() {
    let target = Target::start(python_program("harm.py"));
    disturb_threads(target, &fork(), rounds(30));
}

/// The judgement itself: a target that was held up while its control ran is harmed, one whose
/// control was held up as well is not.
fn held_up() {
    let alone = |kind| {
        let mut command = Command::new(c_program("harm"));
        command.args([kind, "poll"]);
        Target::start(command)
    };
    let (mut harmed, mut starved, mut control, mut clock) = (
        alone("futex"),
        alone("futex"),
        alone("nanosleep"),
        Control::start(),
    );
    let held = [&harmed, &starved, &control].map(Target::pid);
    held.iter().for_each(|&pid| signal("STOP", pid));
    // Two turns of 150 ms make a round.
    for _ in 0..LATE / 200 {
        clock.0.turn("round");
    }
    held.iter().for_each(|&pid| signal("CONT", pid));
    let report = |target: &mut Target| {
        target.turn("round");
        target.report()
    };
    let (harmed, starved) = (report(&mut harmed), report(&mut starved));
    let wrong = wrongs(&harmed, &clock.0.report(), 1);
    assert!(wrong.iter().any(|why| why.contains("later")), "{harmed:?}");
    assert_eq!(wrongs(&starved, &report(&mut control), 1), [""; 0]);
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
    let mut control = Control::start();
    for kind in kinds {
        let mut command = Command::new(c_program("harm"));
        command.arg(kind);
        let mut target = Target::start(command);
        disturb(&mut target, &fork(), rounds(8), false);
        assert_no_harm(&mut target, &mut control, rounds(8));
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
    let mut control = Control::start();
    let exe = std::env::current_exe().expect("our own name");
    let mut random = 1u64;
    for _ in 0..rounds(20) {
        let mut command = Command::new(&exe);
        command.arg(LOOK).arg(target.pid().to_string());
        let mut command = command.stdout(Stdio::null()).spawn().expect("it starts");
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        // Some five turns are over in a millisecond.
        target.turn(&format!("turns {}", (random >> 33) % 300));
        command.kill().expect("killed");
        command.wait().expect("reaped");
    }
    // The last tracer is still cleaning up; a session can be had when it is done.
    until("the tracer never ended", || {
        freeze_once(&target.process(), &fork()).is_ok()
    });
    assert_no_harm(&mut target, &mut control, rounds(20));
}

fn honest_stop() {
    let mut command = Command::new(c_program("harm"));
    command.args(["spin", "nanosleep"]);
    let mut target = Target::start(command);
    let (mut least, mut most) = (Vec::new(), Vec::new());
    for _ in 0..rounds(10) {
        target.report();
        let before = waited(target.pid());
        let info = freeze_once(&target.process(), &fork()).expect("a freeze");
        let gap = target.report()["spin"]["gap_us"] - info.stopped.as_micros() as i64;
        least.push(gap);
        // Other programs take the processor from the spinning thread, too.
        most.push(gap - (waited(target.pid()) - before));
    }
    // On a busy machine the tracer, or the thread that makes the injected call, waits for a
    // processor while the spinning one runs: the least disturbed quarter counts.
    least.sort();
    most.sort();
    let (least, most) = (least[least.len() * 3 / 4], most[most.len() / 4]);
    assert!(
        least >= -1000 && most <= 3000,
        "gap seen less stop told, us: {least}, less waits for a processor {most}"
    );
}

/// For how long the threads of a process were ready to run while others ran, in microseconds
/// (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat); 0 where the kernel does not say.
fn waited(pid: i32) -> i64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let waited = |task: std::fs::DirEntry| -> Option<i64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').nth(1)?.parse().ok()
    };
    tasks.flatten().filter_map(waited).sum::<i64>() / 1000
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
