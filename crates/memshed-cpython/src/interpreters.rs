//! Interpreters and their threads (CPython's pycore_interp.h, pycore_pystate.h).

use crate::layouts::Layout;
use crate::problems::Problems;
use crate::read::Reader;
use memshed_heap::{Gc, Generation};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rustc_hash::FxHashSet;

const MAX_INTERPRETERS: usize = 10_000;
const MAX_THREADS: usize = 1_000_000;

/// A thread of an interpreter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    pub(crate) at: RemoteAddr,
    /// The operating system's number of it; 0 if unknown.
    pub(crate) native_id: u64,
    /// The frame that it runs; null if it runs none.
    pub(crate) frame: RemoteAddr,
}

/// An interpreter.
#[derive(Clone, Debug)]
pub(crate) struct Interpreter {
    pub(crate) at: RemoteAddr,
    pub(crate) threads: Vec<Thread>,
}

impl Interpreter {
    /// All interpreters of the runtime at `runtime`, the one made last first.
    pub(crate) fn all<M: Memory>(
        reader: Reader<'_, M>,
        layout: &Layout,
        runtime: RemoteAddr,
        problems: &Problems,
    ) -> Result<Vec<Interpreter>, ReadError> {
        let mut list = Vec::new();
        let mut at = reader.pointer(runtime.add(layout.runtime.interpreters_head.into()))?;
        let mut seen = FxHashSet::default();
        while !at.is_null() && list.len() < MAX_INTERPRETERS {
            if !seen.insert(at) {
                problems.add("torn-interpreter-list", || format!("{at} comes again"));
                break;
            }
            let threads = threads(reader, layout, at, problems)?;
            list.push(Interpreter { at, threads });
            at = reader.pointer(at.add(layout.interp.next.into()))?;
        }
        Ok(list)
    }

    /// Address of its collector's state.
    pub(crate) fn gc(&self, layout: &Layout) -> RemoteAddr {
        self.at.add(layout.interp.gc.into())
    }

    /// Heads of the collector's lists: the generations, youngest first, and the permanent one.
    pub(crate) fn list_heads(&self, layout: &Layout) -> [RemoteAddr; 4] {
        let (l, gc) = (&layout.gc, self.gc(layout));
        let generation =
            |i: u32| gc.add((l.generations + i * l.generation_stride + l.generation_head).into());
        let permanent = gc.add((l.permanent_generation + l.generation_head).into());
        [generation(0), generation(1), generation(2), permanent]
    }

    /// Address of the `int` that is not 0 while a collection runs.
    pub(crate) fn collecting(&self, layout: &Layout) -> RemoteAddr {
        self.gc(layout).add(layout.gc.collecting.into())
    }

    /// The collector's settings and statistics; `objects` are the lengths of its lists.
    pub(crate) fn read_gc<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        objects: [u64; 4],
    ) -> Result<Gc, ReadError> {
        let (l, gc) = (&layout.gc, self.gc(layout));
        let mut generations = Vec::new();
        for i in 0..3u32 {
            let generation = gc.add((l.generations + i * l.generation_stride).into());
            let stats = gc.add((l.generation_stats + i * l.stats_stride).into());
            generations.push(Generation {
                objects: objects[i as usize],
                threshold: reader
                    .i32(generation.add(l.generation_threshold.into()))?
                    .into(),
                collections: reader.i64(stats.add(l.stats_collections.into()))?,
                collected: reader.i64(stats.add(l.stats_collected.into()))?,
                uncollectable: reader.i64(stats.add(l.stats_uncollectable.into()))?,
            });
        }
        let enabled = reader.i32(gc.add(l.enabled.into()))? != 0;
        Ok(Gc {
            enabled,
            generations,
            frozen: objects[3],
        })
    }
}

fn threads<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    interpreter: RemoteAddr,
    problems: &Problems,
) -> Result<Vec<Thread>, ReadError> {
    let l = &layout.tstate;
    let mut list = Vec::new();
    let mut at = reader.pointer(interpreter.add(layout.interp.threads_head.into()))?;
    let mut seen = FxHashSet::default();
    // Those that cannot be read count, too.
    while !at.is_null() && seen.len() < MAX_THREADS {
        if !seen.insert(at) {
            problems.add("torn-thread-list", || format!("{at} comes again"));
            break;
        }
        match read_thread(reader, layout, at) {
            Ok(thread) => list.push(thread),
            Err(error) => problems.add("torn-thread", || format!("thread state at {at}: {error}")),
        }
        at = match reader.pointer(at.add(l.next.into())) {
            Ok(next) => next,
            Err(_) => break,
        };
    }
    Ok(list)
}

fn read_thread<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    at: RemoteAddr,
) -> Result<Thread, ReadError> {
    let l = &layout.tstate;
    let frame = match (l.current_frame, l.cframe, l.cframe_current_frame) {
        (Some(frame), _, _) => reader.pointer(at.add(frame.into()))?,
        (None, Some(cframe), Some(frame)) => {
            let cframe = reader.pointer(at.add(cframe.into()))?;
            match cframe.is_null() {
                true => RemoteAddr::NULL,
                false => reader.pointer(cframe.add(frame.into()))?,
            }
        }
        _ => RemoteAddr::NULL,
    };
    Ok(Thread {
        at,
        native_id: reader.u64(at.add(l.native_thread_id.into()))?,
        frame,
    })
}
