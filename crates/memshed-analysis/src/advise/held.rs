//! Memory that is free, but not given back.

use super::{Advice, AdviceKind, Advised, FreeMeanwhile, Stake, matters};
use crate::findings::{Confidence, malloc_free, part};
use crate::pins::pins;
use crate::units::{bytes as amount, count, duration};
use memshed_heap::Heap;

/// Objects that keep arenas are told of so many.
const PINNERS: usize = 3;

/// Advice on what is free. What was in use again while the process was watched is room that it
/// needs.
pub(super) fn advise(heap: &Heap, meanwhile: Option<FreeMeanwhile>, to: &mut Advised) {
    let python = part(heap, "python_free");
    let malloc = malloc_free(heap);
    let releasable = heap.pools.releasable_bytes;
    let free = python.saturating_add(malloc).max(releasable);
    let stays = meanwhile.map_or(releasable, |meanwhile| {
        let most = meanwhile.most.max(releasable);
        // What comes and goes so much may just as well be gone at any other moment.
        let steady = meanwhile.least.saturating_mul(2) >= most;
        if steady {
            meanwhile.least.min(releasable)
        } else {
            0
        }
    });
    if let Some(FreeMeanwhile { seconds, .. }) = meanwhile
        && matters(heap, releasable)
        && !matters(heap, stays)
    {
        to.declined.push(format!(
            "{} could be given back to the system at the moment of the look, but it was in use within \
             the {} before: it comes and goes.",
            amount(releasable),
            duration(seconds)
        ));
    }
    to.advice
        .push(given_back(heap, stays, meanwhile, python, malloc));
    let scattered = scattered(heap, free.saturating_sub(releasable), python, malloc);
    to.advice.push(scattered);
}

fn given_back(
    heap: &Heap,
    all: u64,
    meanwhile: Option<FreeMeanwhile>,
    python: u64,
    malloc: u64,
) -> Advice {
    let parts = heap.pools.releasable;
    let of_malloc = parts.malloc;
    let pid = heap.process.pid;
    let mostly_malloc = of_malloc.saturating_mul(2) > heap.pools.releasable_bytes;
    let of_python = heap.pools.releasable_bytes.saturating_sub(of_malloc);
    let mut evidence = vec![
        format!(
            "whole pages without anything in use: {} in Python's own pools, {} in the heaps of the \
             system's allocator (malloc)",
            amount(of_python),
            amount(of_malloc)
        ),
        format!(
            "in all {} is free in Python's pools and {} in malloc's heaps",
            amount(python),
            amount(malloc)
        ),
    ];
    if let Some(meanwhile) = meanwhile.filter(|meanwhile| meanwhile.moments > 1) {
        evidence.push(format!(
            "at {} moments within {} it was {} or more",
            count(meanwhile.moments as u64),
            duration(meanwhile.seconds),
            amount(meanwhile.least)
        ));
    }
    let (to_do, code) = match mostly_malloc {
        true => (
            "memshed release gives it back now. So that the system's allocator does so by itself, start \
             the program with these variables; or call malloc_trim(0) after the work that needed \
             it.",
            vec![
                "MALLOC_TRIM_THRESHOLD_=131072 MALLOC_ARENA_MAX=2 COMMAND".to_owned(),
                "import ctypes; ctypes.CDLL(None).malloc_trim(0)".to_owned(),
            ],
        ),
        false => (
            "memshed release gives it back now, without a restart. So that it does not come again, do \
             the work that makes the peak in a child process, whose memory goes with it.",
            vec![format!("memshed release {pid}")],
        ),
    };
    Advice {
        kind: AdviceKind::HeldFree,
        title: format!(
            "{} of {} is free, and could be given back to the system at once",
            amount(all),
            amount(heap.process.rss_bytes)
        ),
        stake: Stake::Bytes(all),
        confidence: Confidence::High,
        evidence,
        to_do: to_do.to_owned(),
        code,
        locations: Vec::new(),
        proof: format!("memshed release {pid}"),
    }
}

fn scattered(heap: &Heap, bytes: u64, python: u64, malloc: u64) -> Advice {
    let pins = pins(heap, PINNERS);
    let mut evidence = vec![format!(
        "{} is free in {} arenas of Python's, {} of them mostly empty; {} in malloc's heaps",
        amount(python),
        count(heap.pools.arenas),
        count(pins.arenas.places),
        amount(malloc)
    )];
    for pinner in pins.arenas.by.iter().take(PINNERS) {
        evidence.push(format!(
            "{} {} objects ({}) keep mostly empty ones; most are held by {}",
            count(pinner.count),
            pinner.type_name,
            amount(pinner.bytes),
            pinner.held_by
        ));
    }
    Advice {
        kind: AdviceKind::Scattered,
        title: format!(
            "{} is free between objects that stay: room for new ones, but not for other programs",
            amount(bytes)
        ),
        stake: Stake::Bytes(bytes),
        confidence: Confidence::Medium,
        evidence,
        to_do:
            "Do the work that makes the peak in a child process, and take only its result: what a \
                process frees when it ends goes back whole."
                .to_owned(),
        code: vec![
            "import concurrent.futures, multiprocessing".to_owned(),
            "spawn = multiprocessing.get_context(\"spawn\")".to_owned(),
            "with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as child:".to_owned(),
            "    result = child.submit(work, what).result()".to_owned(),
        ],
        locations: Vec::new(),
        proof: "the same program so changed: its resident memory after the work".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of 100 MB that are free at the look, of 400, after so much was at other moments.
    fn said(least: u64, most: u64) -> Advised {
        let mut heap = Heap::default();
        heap.process.rss_bytes = 400_000_000;
        heap.pools.releasable_bytes = 100_000_000;
        let meanwhile = FreeMeanwhile {
            least,
            most,
            moments: 5,
            seconds: 3.0,
        };
        let mut advised = Advised::default();
        advise(&heap, Some(meanwhile), &mut advised);
        advised
    }

    #[test]
    fn what_comes_and_goes_is_not_promised() {
        let steady = said(90_000_000, 105_000_000);
        assert_eq!(steady.advice[0].stake, Stake::Bytes(90_000_000));
        assert_eq!(steady.declined, [""; 0]);
        for (least, most) in [(0, 100_000_000), (60_000_000, 200_000_000)] {
            let changing = said(least, most);
            assert_eq!(changing.advice[0].stake, Stake::Bytes(0));
            assert_eq!(changing.declined.len(), 1);
        }
    }
}
