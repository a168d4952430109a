//! Frames, running and suspended (CPython's Include/internal/pycore_frame.h, Python/frame.c).

use crate::edges::{EdgeSink, RawLabel, Visitor};
use memshed_target::{Memory, ReadError, RemoteAddr};

/// A function with more local variables and stack than this is misread.
const MAX_SLOTS: u64 = 1 << 20;

/// A frame of the evaluation loop (`_PyInterpreterFrame`).
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

impl<M: Memory> Visitor<'_, M> {
    /// Reads the frame at `at`.
    pub(crate) fn frame(&self, at: RemoteAddr) -> Result<Frame, ReadError> {
        let l = &self.layout.frame;
        let owner = Some(u32::from(self.reader.u8(at.add(l.owner.into()))?));
        Ok(Frame {
            is_shim: owner == l.owned_by_cstack || owner == l.owned_by_interpreter,
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
            (Some(l.f_funcobj), "f_func"),
            (Some(l.f_code), "f_code"),
            (Some(l.f_globals), "f_globals"),
            (Some(l.f_builtins), "f_builtins"),
            (Some(l.f_locals), "f_locals"),
            (Some(l.frame_obj), "frame_obj"),
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
        let c = &self.layout.code;
        let locals = u64::from(reader.u32(code.add(c.co_nlocalsplus.into()))?);
        let stack = u64::from(reader.u32(code.add(c.co_stacksize.into()))?);
        if locals + stack > MAX_SLOTS {
            return Err(ReadError::Unmapped(code));
        }
        let names = reader.pointer(code.add(c.co_localsplusnames.into()))?;
        let first = at.add(l.localsplus.into());
        let top = self.stack_top(at, first)?.clamp(locals, locals + stack);
        let names = names.add(self.layout.tuple.ob_item.into());
        let names = reader.pointers(names, locals as usize)?;
        let slots = reader.pointers(first, top as usize)?;
        let names = names.map(Some).chain(std::iter::repeat(None));
        for (i, (slot, name)) in (0..).zip(slots.zip(names)) {
            let target = self.untag(slot);
            if !target.is_null() {
                let label = name.map_or(RawLabel::Stack(i - locals.min(i)), RawLabel::Local);
                sink.edge(target, label);
            }
        }
        Ok(())
    }

    /// How many slots, locals included, hold values; 0 where the frame runs and has not said.
    fn stack_top(&self, at: RemoteAddr, first: RemoteAddr) -> Result<u64, ReadError> {
        let l = &self.layout.frame;
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
    fn is_code(&self, at: RemoteAddr) -> bool {
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
    /// the generator that runs them.
    pub(crate) fn frame_object<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let frame = self
            .reader
            .pointer(at.add(self.layout.frame_object.f_frame.into()))?;
        let owner = frame.add(self.layout.frame.owner.into());
        let owned = self.layout.frame.owned_by_frame_object;
        if u32::from(self.reader.u8(owner)?) == owned {
            self.visit_frame(frame, sink)?;
        }
        Ok(())
    }

    /// A generator that has not ended owns the frame within it.
    pub(crate) fn generator<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let l = &self.layout.generator;
        let state = self.reader.u8(at.add(l.gi_frame_state.into()))? as i8;
        if i32::from(state) < (l.frame_cleared as i32) {
            self.visit_frame(at.add(l.gi_iframe.into()), sink)?;
        }
        Ok(())
    }
}
