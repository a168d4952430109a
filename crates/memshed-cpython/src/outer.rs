//! References that count and are no edges: those of the interpreter's and the threads' state, of
//! running frames, and of C code. For the audit of reference counts, which compares an object's
//! count with all that refers to it.

use crate::edges::Visitor;
use crate::interpreters::{Interpreter, Thread};
use crate::mark::Found;
use crate::roots::MAX_FRAMES;
use memshed_heap::{ObjectId, RootKind};
use memshed_target::{Memory, RemoteAddr};
use rustc_hash::FxHashSet;

/// Adds up references, each object once, in order.
pub(crate) fn count<M: Memory>(
    found: &Found<'_, M>,
    outer: &[RemoteAddr],
    references: &[u32],
) -> Vec<(ObjectId, u32)> {
    let outer = outer.iter().filter_map(|at| found.objects.rank(at.0));
    let mut rows: Vec<u32> = outer.chain(references.iter().copied()).collect();
    rows.sort_unstable();
    let groups = rows.chunk_by(|a, b| a == b);
    groups
        .filter_map(|group| Some((ObjectId(*group.first()?), group.len() as u32)))
        .collect()
}

impl<M: Memory> Visitor<'_, M> {
    /// What the state of an interpreter and its threads, and the frames that they run, refer to:
    /// each object once for each reference that its count includes. Where it is not known which
    /// words hold references, each that may is taken.
    pub(crate) fn outer(&self, interpreter: &Interpreter) -> Vec<RemoteAddr> {
        let mut words = Words {
            seen: FxHashSet::default(),
            found: Vec::new(),
        };
        for slot in self.layout.interp_roots {
            let first = interpreter.at.add(slot.offset.into());
            self.words(&mut words, first, slot.count.into());
        }
        for thread in &interpreter.threads {
            for slot in self.layout.tstate_roots {
                let first = thread.at.add(slot.offset.into());
                self.words(&mut words, first, slot.count.into());
            }
            self.exceptions(thread, &mut words);
            self.frames(thread, &mut words);
        }
        self.method_cache(interpreter, &mut words);
        let others = self.atexit_functions(interpreter).into_iter();
        let others = others
            .chain(self.runtime_roots(interpreter))
            .chain(self.own_namespaces(interpreter));
        let others = others.filter(|root| root.kind == RootKind::Interpreter);
        words.found.extend(others.map(|root| root.object));
        words.found
    }

    /// `count` words that each own a reference.
    fn words(&self, words: &mut Words, first: RemoteAddr, count: u64) {
        let values = self.reader.pointers(first, count as usize);
        for (at, value) in (first.0..).step_by(8).zip(values.into_iter().flatten()) {
            words.add(at, value);
        }
    }

    /// Exceptions that are being handled. The last of the chain is part of the thread's state.
    fn exceptions(&self, thread: &Thread, words: &mut Words) {
        let l = &self.layout.err_stack_item;
        let item = thread.at.add(self.layout.tstate.exc_info.into());
        let mut item = self.reader.pointer(item).unwrap_or_default();
        for _ in 0..MAX_FRAMES {
            if item.is_null() {
                break;
            }
            let parts = [Some(l.exc_value), l.exc_type, l.exc_traceback];
            for part in parts.into_iter().flatten() {
                self.words(words, item.add(part.into()), 1);
            }
            let next = self.reader.pointer(item.add(l.previous_item.into()));
            item = next.unwrap_or_default();
        }
    }

    fn frames(&self, thread: &Thread, words: &mut Words) {
        let mut at = thread.frame;
        for _ in 0..MAX_FRAMES {
            let Ok(frame) = self.frame(at) else { break };
            if !frame.is_shim {
                self.running_frame(at, words);
            }
            at = frame.previous;
        }
    }

    /// What a running frame owns. Up to 3.10 it is an object, which has edges to all but its
    /// stack; the evaluation loop holds it. From 3.11 on its namespaces are borrowed
    /// (pycore_frame.h), and a frame within a generator is the generator's.
    fn running_frame(&self, at: RemoteAddr, words: &mut Words) {
        let l = &self.layout.frame;
        let is_object = self.layout.frame_object.f_frame.is_none();
        let owner = l
            .owner
            .and_then(|owner| self.reader.u8(at.add(owner.into())).ok());
        let in_generator = owner.is_some() && owner.map(u32::from) == l.owned_by_generator;
        if is_object {
            words.add(at.0, at);
        }
        let edges = is_object || in_generator;
        if !edges {
            for field in [l.f_funcobj, Some(l.f_code), Some(l.f_locals), l.frame_obj] {
                let Some(field) = field else { continue };
                self.stack_words(words, at.add(field.into()), 1);
            }
        }
        let code = self.frame(at).map(|frame| frame.code).unwrap_or_default();
        if !self.is_code(code) {
            return;
        }
        let Ok(slots) = self.slots(code) else { return };
        let first = at.add(l.localsplus.into());
        let top = self.stack_top(at, first, slots.locals).unwrap_or(0);
        let room = slots.locals + slots.stack;
        // A frame that runs has not said how much of its stack is in use.
        let told = !self.is_top_open(at) && (slots.locals..=room).contains(&top);
        let (known, all) = if told {
            (top, top)
        } else {
            (slots.locals, room)
        };
        let from = if edges { known } else { 0 };
        self.stack_words(words, first.add(from * 8), all.saturating_sub(from));
    }

    /// Words of a frame, which may be tagged: borrowed references do not count (pycore_stackref.h).
    fn stack_words(&self, words: &mut Words, first: RemoteAddr, count: u64) {
        let values = self.reader.pointers(first, count as usize);
        for (at, value) in (first.0..).step_by(8).zip(values.into_iter().flatten()) {
            if self.layout.frame.tagged == 0 || value.0 & 1 == 0 {
                words.add(at, value);
            }
        }
    }

    /// The names in the cache of looked-up methods are owned; what was found is not
    /// (Objects/typeobject.c, `update_cache`).
    fn method_cache(&self, interpreter: &Interpreter, words: &mut Words) {
        let (l, entry) = (&self.layout.interp, &self.layout.type_cache_entry);
        let (Some(table), Some(entries), Some(size), Some(name)) =
            (l.type_cache, l.type_cache_entries, entry.size, entry.name)
        else {
            return;
        };
        for i in 0..u64::from(entries) {
            let at = interpreter.at.add(u64::from(table) + i * u64::from(size));
            self.words(words, at.add(name.into()), 1);
        }
    }
}

/// References, each word once.
struct Words {
    seen: FxHashSet<u64>,
    found: Vec<RemoteAddr>,
}

impl Words {
    fn add(&mut self, at: u64, value: RemoteAddr) {
        if !value.is_null() && self.seen.insert(at) {
            self.found.push(value);
        }
    }
}
