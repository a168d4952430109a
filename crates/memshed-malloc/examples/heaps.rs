//! Freezes a process and prints its heaps and owners, and what that cost: `heaps PID`.

use memshed_malloc::{Glibc, Hints, Owner, Owners, other_allocator};
use memshed_target::{FreezeRequest, Process, Range, RemoteAddr, Session, SessionOptions, tracer};
use std::collections::BTreeMap;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracer::run_if_asked();
    let pid = std::env::args().nth(1).ok_or("which process?")?.parse()?;
    let process = Process::open(pid)?;
    let mut session = Session::start(&process, SessionOptions::default())?;
    let mappings = process.mappings()?;
    let threads: Vec<i32> = process.threads().iter().map(|t| t.own_tid).collect();
    let hints = Hints {
        threads: &threads,
        ..Hints::default()
    };
    let frozen = session.freeze(&FreezeRequest::default(), |live| {
        let _ = Glibc::read(live, &mappings, &hints);
    })?;
    let started = Instant::now();
    let glibc = Glibc::read(&frozen, &mappings, &hints)?;
    let walked = started.elapsed();
    // Again, with everything copied already.
    drop(Glibc::read(&frozen, &mappings, &hints)?);
    let again = started.elapsed() - walked;
    let owners = Owners::find(&frozen, &mappings, glibc.as_ref(), &hints)?;
    let owned = started.elapsed() - walked - again;
    let ranges: Vec<Range> = mappings
        .iter()
        .map(memshed_target::Mapping::range)
        .collect();
    let started = Instant::now();
    let residency = process.residency(&ranges)?;
    let paged = started.elapsed();
    let info = frozen.finish()?;
    println!(
        "other allocator: {:?}",
        other_allocator(&process, &mappings)
    );
    if let Some(glibc) = &glibc {
        for arena in &glibc.arenas {
            println!("{arena:?}");
        }
        println!(
            "{} chunks, {:?} mapped ({:?} said), {} thread caches, {:?}",
            glibc.chunks.len(),
            glibc.mapped_found(),
            glibc.mapped_said,
            glibc.thread_caches,
            glibc.problems
        );
        let started = Instant::now();
        let mut cursor = glibc.chunks.cursor();
        let found = glibc
            .chunks
            .iter()
            .filter(|c| cursor.find(c.user()).is_some());
        println!(
            "{} found by cursor in {:?}",
            found.count(),
            started.elapsed()
        );
    }
    let mut sums: BTreeMap<Owner, u64> = BTreeMap::new();
    for piece in &owners.pieces {
        *sums.entry(piece.owner).or_default() += residency.resident_bytes(piece.range);
        if piece.owner == Owner::Unknown {
            println!(
                "unknown: {} of {:?}",
                residency.resident_bytes(piece.range),
                piece
            );
        }
    }
    for (owner, bytes) in sums.into_iter().filter(|(_, bytes)| *bytes > 1 << 20) {
        let library = match owner {
            Owner::Library(l, _) | Owner::PointedToBy(l) => owners.libraries[l as usize].as_str(),
            _ => "",
        };
        println!("{bytes:>12} {owner:?} {library}");
    }
    println!(
        "walk {walked:?}, again {again:?}, owners {owned:?}, residency {paged:?}; {} bytes copied; resident {}; {}",
        info.copied_bytes,
        process.memory_use()?.rss,
        RemoteAddr(glibc.map_or(0, |g| g.arenas[0].address.0))
    );
    Ok(())
}
