//! Freezes a process again and again and prints what that cost: `freeze PID [ROUNDS] [METHOD]`.

use memshed_target::{
    FreezeRequest, Memory, Method, Process, Range, Session, SessionOptions, tracer,
};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracer::run_if_asked();
    let mut args = std::env::args().skip(1);
    let pid = args.next().ok_or("which process?")?.parse()?;
    let rounds: u32 = args.next().map_or(Ok(1), |n| n.parse())?;
    let method = match args.next().as_deref() {
        Some("fork") => Some(Method::Fork),
        Some("pause") => Some(Method::Pause),
        _ => None,
    };
    let process = Process::open(pid)?;
    let mut stops = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        let mut session = Session::start(&process, SessionOptions::default())?;
        let spawned = started.elapsed();
        let all: Vec<Range> = process
            .mappings()?
            .iter()
            .filter(|m| m.safe_to_read() && m.writable() && m.private())
            .map(memshed_target::Mapping::range)
            .collect();
        let request = FreezeRequest {
            method,
            ..FreezeRequest::default()
        };
        let frozen = session.freeze(&request, |live| live.prefetch(&all))?;
        let frozen_after = started.elapsed();
        frozen.prefetch(&all);
        let copied = started.elapsed();
        let mut sum = 0u64;
        let mut pages = 0u64;
        for range in &all {
            for at in (range.start..range.end).step_by(4096) {
                if let Ok(b) = frozen.bytes(memshed_target::RemoteAddr(at), 8) {
                    sum = sum.wrapping_add(b.iter().map(|&b| u64::from(b)).sum());
                    pages += 1;
                }
            }
        }
        let read = started.elapsed();
        let info = frozen.finish()?;
        println!(
            "spawn {spawned:?} freeze {:?} copy {:?} read {pages} pages {:?} finish {:?} sum {sum}\n  {info:?}",
            frozen_after - spawned,
            copied - frozen_after,
            read - copied,
            started.elapsed() - read
        );
        stops.push(info.stopped);
    }
    stops.sort();
    println!(
        "stop: min {:?} median {:?} max {:?}",
        stops[0],
        stops[stops.len() / 2],
        stops[stops.len() - 1]
    );
    Ok(())
}
