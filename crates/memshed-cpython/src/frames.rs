//! Frames, running and suspended (CPython's Include/internal/pycore_frame.h, Python/frame.c).

use crate::edges::{EdgeSink, RawLabel, Visitor};
use memshed_target::{Memory, ReadError, RemoteAddr};

/// A function with more local variables and stack than this is misread.
const MAX_SLOTS: u64 = 1 << 20;

/// A frame of the evaluation loop (`_PyInterpreterFrame`; up to 3.10 a `PyFrameObject`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Its code object.
    pub(crate) code: RemoteAddr,
    /// Whether it belongs to the evaluation loop itself and runs no code of the program: most of
    /// its fields are never written then.
    pub(crate) is_shim: bool,
    /// The frame that called it.
    pub(crate) previous: RemoteAddr,
}

/// What frames that run some code have room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// The tuples that name the local variables, in the order of the slots, and their lengths.
    names: [Option<(RemoteAddr, u64)>; 3],
    /// Local variables, cells and free variables included.
    pub(crate) locals: u64,
    /// Values on the stack behind them.
    pub(crate) stack: u64,
}

impl<M: Memory> Visitor<'_, M> {
    /// Reads the frame at `at`.
    pub(crate) fn frame(&self, at: RemoteAddr) -> Result<Frame, ReadError> {
        let l = &self.layout.frame;
        let is_shim = match l.owner {
            Some(owner) => {
                let owner = Some(u32::from(self.reader.u8(at.add(owner.into()))?));
                owner == l.owned_by_cstack || owner == l.owned_by_interpreter
            }
            None => false,
        };
        Ok(Frame {
            is_shim,
            code: self.object_at(at.add(l.f_code.into()))?,
            previous: self.reader.pointer(at.add(l.previous.into()))?,
        })
    }

    /// Tells `sink` what a frame refers to: its function, namespaces, local variables and the
    /// values on its stack, as far as they are known.
    pub(crate) fn visit_frame<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let l = &self.layout.frame;
        for (offset, name) in [
            (l.f_funcobj, "f_func"),
            (Some(l.f_code), "f_code"),
            (Some(l.f_globals), "f_globals"),
            (Some(l.f_builtins), "f_builtins"),
            (Some(l.f_locals), "f_locals"),
            (l.frame_obj, "frame_obj"),
        ] {
            let Some(offset) = offset else { continue };
            let target = self.object_at(at.add(offset.into()))?;
            if !target.is_null() {
                sink.edge(target, RawLabel::Field(name));
                if name == "f_globals" {
                    sink.namespace(target);
                }
            }
        }
        self.locals(at, sink)
    }

    fn locals<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let (reader, l) = (self.reader, &self.layout.frame);
        let code = self.object_at(at.add(l.f_code.into()))?;
        if !self.is_code(code) {
            return Ok(());
        }
        let room = self.slots(code)?;
        let locals = room.locals;
        let first = at.add(l.localsplus.into());
        let top = self.stack_top(at, first, locals)?;
        let top = top.clamp(locals, locals + room.stack);
        let items = self.layout.tuple.ob_item.into();
        let mut names = Vec::with_capacity(locals as usize);
        for (tuple, count) in room.names.into_iter().flatten() {
            names.extend(reader.pointers(tuple.add(items), count as usize)?);
        }
        let slots = reader.pointers(first, top as usize)?;
        let names = names.into_iter().map(Some).chain(std::iter::repeat(None));
        for (i, (slot, name)) in (0..).zip(slots.zip(names)) {
            let target = self.untag(slot);
            if !target.is_null() {
                let label = name.map_or(RawLabel::Stack(i - locals.min(i)), RawLabel::Local);
                sink.edge(target, label);
            }
        }
        Ok(())
    }

    /// The slots of the frames that run `code`.
    pub(crate) fn slots(&self, code: RemoteAddr) -> Result<Slots, ReadError> {
        let (reader, c) = (self.reader, &self.layout.code);
        let tuples = match c.co_localsplusnames {
            Some(all) => [Some(all), None, None],
            None => [c.co_varnames, c.co_cellvars, c.co_freevars],
        };
        let mut slots = Slots {
            names: [None; 3],
            locals: 0,
            stack: reader.u32(code.add(c.co_stacksize.into()))?.into(),
        };
        for (names, offset) in slots.names.iter_mut().zip(tuples) {
            let Some(offset) = offset else { continue };
            let tuple = reader.pointer(code.add(offset.into()))?;
            let count = reader.u64(tuple.add(self.layout.object.ob_size.into()))?;
            slots.locals = slots.locals.saturating_add(count);
            *names = Some((tuple, count));
        }
        match slots.locals.saturating_add(slots.stack) <= MAX_SLOTS {
            true => Ok(slots),
            false => Err(ReadError::Unmapped(code)),
        }
    }

    /// How many slots hold values, those of the `locals` local variables included; 0 where the
    /// frame runs and has not said.
    pub(crate) fn stack_top(
        &self,
        at: RemoteAddr,
        first: RemoteAddr,
        locals: u64,
    ) -> Result<u64, ReadError> {
        let l = &self.layout.frame;
        if let Some(depth) = l.stackdepth {
            let depth = self.reader.i32(at.add(depth.into()))?;
            return Ok(locals + u64::try_from(depth).unwrap_or(0));
        }
        if let Some(stacktop) = l.stacktop {
            let top = self.reader.i32(at.add(stacktop.into()))?;
            return Ok(u64::try_from(top).unwrap_or(0));
        }
        let Some(pointer) = l.stackpointer else {
            return Ok(0);
        };
        let top = self.reader.u64(at.add(pointer.into()))?;
        Ok(top.saturating_sub(first.0) / 8)
    }

    /// Whether a frame runs, so that it has not said how much of its stack is in use.
    pub(crate) fn is_top_open(&self, at: RemoteAddr) -> bool {
        let l = &self.layout.frame;
        if let Some(count) = l.stackdepth.or(l.stacktop) {
            let count = self.reader.i32(at.add(count.into()));
            return !count.is_ok_and(|count| count >= 0);
        }
        let top = l
            .stackpointer
            .map(|top| self.reader.u64(at.add(top.into())));
        !matches!(top, Some(Ok(top)) if top != 0)
    }

    /// The object that a slot refers to. From 3.14 on slots are tagged: the low bit tells a
    /// borrowed reference, both low bits an integer (pycore_stackref.h).
    #[inline]
    fn untag(&self, slot: RemoteAddr) -> RemoteAddr {
        if self.layout.frame.tagged == 0 {
            return slot;
        }
        if slot.0 & 3 == 3 || slot.0 == 1 {
            RemoteAddr::NULL
        } else {
            RemoteAddr(slot.0 & !1)
        }
    }

    /// The object that the word at `at` refers to, untagged.
    fn object_at(&self, at: RemoteAddr) -> Result<RemoteAddr, ReadError> {
        Ok(self.untag(self.reader.pointer(at)?))
    }

    /// Whether the object at `at` is a code object (shims of the evaluation loop have others).
    pub(crate) fn is_code(&self, at: RemoteAddr) -> bool {
        let of = self
            .reader
            .pointer(at.add(self.layout.object.ob_type.into()));
        let name = of.and_then(|t| {
            let name = self.reader.pointer(t.add(self.layout.ty.tp_name.into()))?;
            self.reader.bytes(name, 5)
        });
        name == Ok(b"code\0")
    }

    /// A frame object that outlived its call owns its frame; others are shown by the thread or
    /// the generator that runs them. Up to 3.10 every frame is an object.
    pub(crate) fn frame_object<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let (l, record) = (&self.layout.frame, self.layout.frame_object.f_frame);
        let (Some(record), Some(owner)) = (record, l.owner) else {
            return self.visit_frame(at, sink);
        };
        let frame = self.reader.pointer(at.add(record.into()))?;
        let owner = self.reader.u8(frame.add(owner.into()))?;
        if Some(u32::from(owner)) == l.owned_by_frame_object {
            self.visit_frame(frame, sink)?;
        }
        Ok(())
    }

    /// A generator that has not ended owns the frame within it. Up to 3.10 that is an object of
    /// its own, and one of the fields.
    pub(crate) fn generator<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let l = &self.layout.generator;
        let (Some(state), Some(frame), Some(cleared)) =
            (l.gi_frame_state, l.gi_iframe, l.frame_cleared)
        else {
            return Ok(());
        };
        let state = self.reader.u8(at.add(state.into()))? as i8;
        if i32::from(state) < cleared as i32 {
            self.visit_frame(at.add(frame.into()), sink)?;
        }
        Ok(())
    }
}
