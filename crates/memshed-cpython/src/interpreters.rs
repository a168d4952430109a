//! Interpreters and their threads (CPython's pycore_interp.h, pycore_pystate.h).

use crate::layouts::{self, Layout};
use crate::problems::Problems;
use crate::read::Reader;
use memshed_heap::{Gc, Generation, LongLived};
use memshed_target::{Memory, Range, ReadError, RemoteAddr};
use rustc_hash::FxHashSet;

const MAX_INTERPRETERS: usize = 10_000;
const MAX_THREADS: usize = 1_000_000;
/// Pieces of a stack of frames, and bytes of a piece; more is garbage.
const MAX_CHUNKS: usize = 1_000_000;
const MAX_CHUNK: u64 = 1 << 40;

/// A thread of an interpreter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    pub(crate) at: RemoteAddr,
    /// The operating system's number of it; 0 if unknown, as up to 3.10.
    pub(crate) native_id: u64,
    /// Whether it is the one that the process began with, as far as its own number tells.
    pub(crate) is_main: bool,
    /// The frame that it runs; null if it runs none.
    pub(crate) frame: RemoteAddr,
}

/// What an interpreter keeps of a static builtin type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaticType {
    /// The type.
    pub(crate) ty: RemoteAddr,
    /// Its namespace.
    pub(crate) dict: RemoteAddr,
    /// Its table of subclasses; may be null.
    pub(crate) subclasses: RemoteAddr,
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
            let threads = threads(reader, layout, runtime, at, problems)?;
            list.push(Interpreter { at, threads });
            at = reader.pointer(at.add(layout.interp.next.into()))?;
        }
        Ok(list)
    }

    /// What it keeps of static builtin types: nothing up to 3.11, where that is in the types.
    pub(crate) fn static_types<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
    ) -> Vec<StaticType> {
        let (l, s) = (&layout.interp, &layout.static_type);
        let tables = [
            (l.types_builtins, l.types_builtins_capacity),
            (l.types_extensions, l.types_extensions_capacity),
        ];
        let (Some(size), Some(ty), Some(dict), Some(subclasses)) =
            (s.size, s.ty, s.tp_dict, s.tp_subclasses)
        else {
            return Vec::new();
        };
        let mut list = Vec::new();
        for (table, capacity) in tables {
            let (Some(table), Some(capacity)) = (table, capacity) else {
                continue;
            };
            for i in 0..capacity {
                let at = u64::from(table) + u64::from(i) * u64::from(size);
                let at = self.at.add(at);
                let read = |offset: u32| reader.pointer(at.add(offset.into())).unwrap_or_default();
                let state = StaticType {
                    ty: read(ty),
                    dict: read(dict),
                    subclasses: read(subclasses),
                };
                if !state.ty.is_null() {
                    list.push(state);
                }
            }
        }
        list
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
            let stats = stats(reader, l, gc, i)?;
            let counter = generation.add(l.generation_counter.into());
            generations.push(Generation {
                objects: objects[i as usize],
                threshold: reader
                    .i32(generation.add(l.generation_threshold.into()))?
                    .into(),
                count: reader.i32(counter)?.into(),
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

    /// What its collector counts of its old objects, in versions that do.
    pub(crate) fn read_long_lived<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
    ) -> Option<LongLived> {
        let read = |offset: u32| reader.i64(self.gc(layout).add(offset.into())).ok();
        Some(LongLived {
            total: read(layout.gc.long_lived_total?)?,
            pending: read(layout.gc.long_lived_pending?)?,
        })
    }
}

impl Thread {
    /// What it is called, in the process `pid`.
    pub(crate) fn name(&self, pid: i32) -> String {
        match self.native_id {
            id if id == pid as u64 => "main thread".to_owned(),
            0 if self.is_main => "main thread".to_owned(),
            0 => "a thread".to_owned(),
            id => format!("thread {id}"),
        }
    }

    /// The pieces of memory that its Python frames lie in, in no order.
    pub(crate) fn frame_stacks<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
    ) -> Vec<Range> {
        let l = &layout.stack_chunk;
        let mut list = Vec::new();
        let (Some(chunk), Some(size_at), Some(previous)) =
            (layout.tstate.datastack_chunk, l.size, l.previous)
        else {
            // Up to 3.10 frames are objects.
            return list;
        };
        let chunk = self.at.add(chunk.into());
        let mut at = reader.pointer(chunk).unwrap_or_default();
        while !at.is_null() && list.len() < MAX_CHUNKS {
            let size = reader.u64(at.add(size_at.into())).unwrap_or(0);
            if size == 0 || size > MAX_CHUNK {
                break;
            }
            let (start, end) = (at.0, at.0.saturating_add(size));
            list.push(Range { start, end });
            at = reader.pointer(at.add(previous.into())).unwrap_or_default();
        }
        list
    }
}

/// The statistics of generation `i`. From 3.15 on each generation has a ring of its latest
/// collections, whose counts go on from one to the next (Python/gc.c, `gc_get_prev_stats`).
fn stats<M: Memory>(
    reader: Reader<'_, M>,
    l: &layouts::Gc,
    gc: RemoteAddr,
    i: u32,
) -> Result<RemoteAddr, ReadError> {
    let (Some(young), Some(young_index), Some(old), Some(old_index), Some(stride)) = (
        l.young_stats,
        l.young_stats_index,
        l.old_stats,
        l.old_stats_index,
        l.old_stats_stride,
    ) else {
        return Ok(gc.add((l.generation_stats + i * l.stats_stride).into()));
    };
    let all = reader.pointer(gc.add(l.generation_stats.into()))?;
    let (ring, index) = match i.checked_sub(1) {
        None => (young, young_index),
        Some(old_one) => (old + old_one * stride, old_index + old_one * stride),
    };
    let latest = u32::from(reader.u8(all.add(index.into()))?);
    let at = u64::from(latest) * u64::from(l.stats_stride);
    match at < u64::from(index - ring) {
        true => Ok(all.add(u64::from(ring) + at)),
        false => Err(ReadError::Unmapped(all.add(index.into()))),
    }
}

fn threads<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    runtime: RemoteAddr,
    interpreter: RemoteAddr,
    problems: &Problems,
) -> Result<Vec<Thread>, ReadError> {
    let l = &layout.tstate;
    let main = reader.u64(runtime.add(layout.runtime.main_thread.into()))?;
    let mut list = Vec::new();
    let mut at = reader.pointer(interpreter.add(layout.interp.threads_head.into()))?;
    let mut seen = FxHashSet::default();
    // Those that cannot be read count, too.
    while !at.is_null() && seen.len() < MAX_THREADS {
        if !seen.insert(at) {
            problems.add("torn-thread-list", || format!("{at} comes again"));
            break;
        }
        match read_thread(reader, layout, main, at) {
            Ok(thread) => {
                if !runs_code(reader, layout, thread.frame) {
                    problems.add("torn-thread", || format!("thread state at {at}: no frame"));
                }
                list.push(thread);
            }
            Err(error) => problems.add("torn-thread", || format!("thread state at {at}: {error}")),
        }
        at = match reader.pointer(at.add(l.next.into())) {
            Ok(next) => next,
            Err(_) => break,
        };
    }
    Ok(list)
}

/// Whether a thread's frame, if it has one, runs code: that of the program, or none of its own.
fn runs_code<M: Memory>(reader: Reader<'_, M>, layout: &Layout, frame: RemoteAddr) -> bool {
    if frame.is_null() {
        return true;
    }
    let code = reader.pointer(frame.add(layout.frame.f_code.into()));
    // From 3.14 on the low bits are a tag.
    let code = code.map(|code| RemoteAddr(code.0 & !3));
    if code == Ok(RemoteAddr::NULL) {
        return true;
    }
    let name = code.and_then(|code| {
        let of = reader.pointer(code.add(layout.object.ob_type.into()))?;
        let name = reader.pointer(of.add(layout.ty.tp_name.into()))?;
        reader.c_string(name, 16)
    });
    name.is_ok_and(|name| matches!(&*name, "code" | "NoneType" | "uop_executor"))
}

fn read_thread<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    main: u64,
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
        native_id: match l.native_thread_id {
            Some(id) => reader.u64(at.add(id.into()))?,
            None => 0,
        },
        is_main: reader.u64(at.add(l.thread_id.into()))? == main,
        frame,
    })
}
