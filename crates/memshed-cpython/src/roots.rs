//! What keeps objects alive without another object: modules, running frames, the interpreter.

use crate::dicts::Dict;
use crate::edges::{EdgeSink, RawLabel, Visitor};
use crate::interpreters::{Interpreter, Thread};
use crate::strings;
use memshed_heap::RootKind;
use memshed_target::{Memory, RemoteAddr};

/// A stack of calls deeper than this is a loop.
pub(crate) const MAX_FRAMES: usize = 1_000_000;

/// More functions registered with `atexit` than this are misread.
const MAX_CALLBACKS: u32 = 1 << 20;

/// A root before objects have handles.
#[derive(Clone, Debug)]
pub(crate) struct RawRoot {
    pub(crate) object: RemoteAddr,
    pub(crate) kind: RootKind,
    pub(crate) name: String,
    /// Whether the object is a dictionary whose keys are names.
    pub(crate) namespace: bool,
}

impl<M: Memory> Visitor<'_, M> {
    /// The roots of an interpreter, those whose names tell a user most first.
    pub(crate) fn roots(&self, interpreter: &Interpreter, pid: i32) -> Vec<RawRoot> {
        let mut roots = self.modules(interpreter);
        for thread in &interpreter.threads {
            roots.extend(self.thread_roots(thread, pid));
        }
        for slot in self.layout.interp_roots {
            let kind = match slot.name {
                "interned_strings" => RootKind::Interned,
                _ => RootKind::Interpreter,
            };
            roots.extend(self.slot_roots(interpreter.at, slot, kind, "interpreter"));
        }
        roots.extend(self.atexit_functions(interpreter));
        roots.extend(self.runtime_roots(interpreter));
        roots.extend(self.own_namespaces(interpreter));
        roots
    }

    /// The modules in `sys.modules`, `__main__` first.
    fn modules(&self, interpreter: &Interpreter) -> Vec<RawRoot> {
        let at = interpreter.at.add(self.layout.interp.modules.into());
        let dict = self
            .reader
            .pointer(at)
            .and_then(|at| Dict::read(self.reader, self.layout, at));
        let Ok(Some(dict)) = dict else {
            return Vec::new();
        };
        let mut roots = Vec::new();
        let _ = dict.for_each(self.reader, self.layout, |_, key, module| {
            let name = strings::text(self.reader, self.layout, key).unwrap_or_default();
            roots.push(RawRoot {
                object: module,
                kind: RootKind::Module,
                name,
                namespace: false,
            });
        });
        roots.sort_by_key(|root| root.name != "__main__");
        roots
    }

    /// The namespaces that an interpreter other than the main one has of its own for types that
    /// it shares: edges of the types show the main interpreter's.
    pub(crate) fn own_namespaces(&self, interpreter: &Interpreter) -> Vec<RawRoot> {
        let mut roots = Vec::new();
        for state in interpreter.static_types(self.reader, self.layout) {
            let shown = self.static_types.get(&state.ty);
            if shown == Some(&(state.dict, state.subclasses)) {
                continue;
            }
            let name = state.ty.add(self.layout.ty.tp_name.into());
            let name = self.reader.pointer(name);
            let name = name.and_then(|at| self.reader.c_string(at, 256));
            let name = name.unwrap_or_default();
            for (object, part) in [
                (state.dict, "__dict__"),
                (state.subclasses, "tp_subclasses"),
            ] {
                if !object.is_null() {
                    roots.push(RawRoot {
                        object,
                        kind: RootKind::Interpreter,
                        name: format!("{name}.{part} in a subinterpreter"),
                        namespace: part == "__dict__",
                    });
                }
            }
        }
        roots
    }

    /// What the process-wide state owns.
    pub(crate) fn runtime_roots(&self, interpreter: &Interpreter) -> Vec<RawRoot> {
        let l = &self.layout.runtime;
        let runtime = interpreter.at.add(self.layout.interp.runtime.into());
        let runtime = self.reader.pointer(runtime).unwrap_or_default();
        let files = [l.faulthandler_file, l.faulthandler_later_file];
        let files = files.into_iter().flatten().map(|offset| {
            let object = self.reader.pointer(runtime.add(offset.into()));
            RawRoot {
                object: object.unwrap_or_default(),
                kind: RootKind::Interpreter,
                name: "faulthandler's file".to_owned(),
                namespace: false,
            }
        });
        files.filter(|root| !root.object.is_null()).collect()
    }

    /// What was registered with `atexit`: from 3.10 to 3.13 an array of C structs.
    pub(crate) fn atexit_functions(&self, interpreter: &Interpreter) -> Vec<RawRoot> {
        let (l, c) = (&self.layout.interp, &self.layout.atexit_callback);
        let (Some(list), Some(count)) = (l.atexit_callbacks, l.atexit_ncallbacks) else {
            return Vec::new();
        };
        let callbacks = || {
            let list = self.reader.pointer(interpreter.at.add(list.into()))?;
            let count = self.reader.u32(interpreter.at.add(count.into()))?;
            self.reader
                .pointers(list, count.min(MAX_CALLBACKS) as usize)
        };
        let Ok(callbacks) = callbacks() else {
            return Vec::new();
        };
        let mut roots = Vec::new();
        for callback in callbacks.filter(|at| !at.is_null()) {
            for part in [c.func, c.args, c.kwargs].into_iter().flatten() {
                let object = self.reader.pointer(callback.add(part.into()));
                let object = object.unwrap_or_default();
                if !object.is_null() {
                    roots.push(RawRoot {
                        object,
                        kind: RootKind::Interpreter,
                        name: "registered with atexit".to_owned(),
                        namespace: false,
                    });
                }
            }
        }
        roots
    }

    fn slot_roots(
        &self,
        base: RemoteAddr,
        slot: &crate::layouts::Slot,
        kind: RootKind,
        whose: &str,
    ) -> Vec<RawRoot> {
        let Ok(words) = self
            .reader
            .pointers(base.add(slot.offset.into()), slot.count as usize)
        else {
            return Vec::new();
        };
        let name = format!("{whose}.{}", slot.name);
        let root = |object| RawRoot {
            object,
            kind,
            name: name.clone(),
            namespace: false,
        };
        words.filter(|at| !at.is_null()).map(root).collect()
    }

    fn thread_roots(&self, thread: &Thread, pid: i32) -> Vec<RawRoot> {
        let name = thread.name(pid);
        let mut roots = Vec::new();
        let mut at = thread.frame;
        for _ in 0..MAX_FRAMES {
            let Ok(frame) = self.frame(at) else { break };
            if !frame.is_shim {
                let place = self.place(frame.code);
                let mut sink = FrameRoots {
                    visitor: self,
                    place: &place,
                    thread: &name,
                    roots,
                };
                // What can't be read of a running frame is left out: it is being changed.
                let _ = self.visit_frame(at, &mut sink);
                roots = sink.roots;
                if self.layout.frame_object.f_frame.is_none() {
                    roots.push(RawRoot {
                        object: at,
                        kind: RootKind::Frame,
                        name: format!("running frame of {place}, {name}"),
                        namespace: false,
                    });
                }
            }
            at = frame.previous;
        }
        for slot in self.layout.tstate_roots {
            roots.extend(self.slot_roots(thread.at, slot, RootKind::Interpreter, &name));
        }
        roots.extend(self.handled_exceptions(thread, &name));
        roots
    }

    /// Exceptions that `except` blocks are handling.
    fn handled_exceptions(&self, thread: &Thread, name: &str) -> Vec<RawRoot> {
        let l = &self.layout.err_stack_item;
        let mut roots = Vec::new();
        let item = thread.at.add(self.layout.tstate.exc_info.into());
        let mut item = self.reader.pointer(item).unwrap_or_default();
        for _ in 0..MAX_FRAMES {
            if item.is_null() {
                break;
            }
            for part in [Some(l.exc_value), l.exc_type, l.exc_traceback] {
                let Some(part) = part else { continue };
                let object = self.reader.pointer(item.add(part.into()));
                let Ok(object) = object else { return roots };
                if !object.is_null() {
                    roots.push(RawRoot {
                        object,
                        kind: RootKind::Interpreter,
                        name: format!("exception being handled in {name}"),
                        namespace: false,
                    });
                }
            }
            item = self
                .reader
                .pointer(item.add(l.previous_item.into()))
                .unwrap_or_default();
        }
        roots
    }

    /// `function() (file.py:12)` of a code object.
    pub(crate) fn place(&self, code: RemoteAddr) -> String {
        let c = &self.layout.code;
        let text = |offset: u32| {
            let at = self.reader.pointer(code.add(offset.into())).ok()?;
            strings::text(self.reader, self.layout, at)
        };
        // Up to 3.10 the qualified name is the function's, not its code's.
        let name = text(c.co_qualname.unwrap_or(c.co_name)).unwrap_or_else(|| "?".to_owned());
        let file = text(c.co_filename).unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or_default();
        let line = self
            .reader
            .i32(code.add(c.co_firstlineno.into()))
            .unwrap_or(0);
        match name.as_str() {
            "<module>" => file.to_owned(),
            _ => format!("{name}() ({file}:{line})"),
        }
    }
}

/// Turns what a frame refers to into roots.
struct FrameRoots<'a, 'm, M: Memory> {
    visitor: &'a Visitor<'m, M>,
    place: &'a str,
    thread: &'a str,
    roots: Vec<RawRoot>,
}

impl<M: Memory> EdgeSink for FrameRoots<'_, '_, M> {
    fn edge(&mut self, target: RemoteAddr, label: RawLabel<'_>) {
        let what = match label {
            RawLabel::Local(name) => {
                let visitor = self.visitor;
                let name = strings::text(visitor.reader, visitor.layout, name);
                format!("local variable {} of ", name.as_deref().unwrap_or("?"))
            }
            RawLabel::Stack(_) => "a temporary value in ".to_owned(),
            RawLabel::Field(name) => format!("{name} of "),
            _ => String::new(),
        };
        let name = format!("{what}{}, {}", self.place, self.thread);
        // Namespaces are modules', which have better names for what is in them.
        let kind = match label {
            RawLabel::Field("f_globals" | "f_builtins" | "f_locals") => RootKind::Interpreter,
            _ => RootKind::Frame,
        };
        self.roots.push(RawRoot {
            object: target,
            kind,
            name,
            namespace: false,
        });
    }

    fn candidate(&mut self, _word: RemoteAddr, _offset: u64) {}

    fn namespace(&mut self, dict: RemoteAddr) {
        if let Some(root) = self.roots.iter_mut().rfind(|root| root.object == dict) {
            root.namespace = true;
        }
    }
}
