//! What each thread is running, call by call with its line, and where code objects were written.

use crate::edges::Visitor;
use crate::interpreters::Thread;
use crate::lines::{Encoding, line_at};
use crate::mark::Found;
use crate::roots::MAX_FRAMES;
use crate::shapes::Kind;
use crate::strings;
use memshed_heap::{Call, Code, ObjectId, Objects, Stack, StringId, Strings};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rustc_hash::FxHashMap;

/// Longest path of a file that is kept, in characters (`PATH_MAX`).
const PATH_LIMIT: u64 = 4096;
/// Names of one code object, at most, and bytes of its table of lines; more is garbage.
const MAX_NAMES: u64 = 1 << 16;
const MAX_TABLE: u64 = 1 << 26;
/// `CO_FAST_FREE` (Include/internal/pycore_code.h).
const FREE: u8 = 0x80;

/// The calls of a thread before objects have handles, innermost first: code and line.
#[derive(Clone, Debug)]
pub(crate) struct RawStack {
    thread: String,
    calls: Vec<(RemoteAddr, u32)>,
}

impl RawStack {
    /// The stack with handles in the place of addresses.
    pub(crate) fn resolve<M: Memory>(&self, found: &Found<'_, M>, strings: &mut Strings) -> Stack {
        let calls = self.calls.iter().filter_map(|&(code, line)| {
            let code = ObjectId(found.objects.rank(code.0)?);
            Some(Call { code, line })
        });
        Stack {
            thread: strings.intern(&self.thread),
            calls: calls.collect(),
        }
    }
}

impl<M: Memory> Visitor<'_, M> {
    /// What a thread is running.
    pub(crate) fn stack(&self, thread: &Thread, pid: i32) -> RawStack {
        let mut lines: FxHashMap<(RemoteAddr, u64), u32> = FxHashMap::default();
        let mut calls = Vec::new();
        let mut at = thread.frame;
        for _ in 0..MAX_FRAMES {
            let Ok(frame) = self.frame(at) else { break };
            if !frame.is_shim && self.is_code(frame.code) {
                let offset = self.instruction(at, frame.code);
                // Those of a recursion are at few places.
                let line = lines
                    .entry((frame.code, offset.unwrap_or(u64::MAX)))
                    .or_insert_with(|| self.line(frame.code, offset));
                calls.push((frame.code, *line));
            }
            at = frame.previous;
        }
        RawStack {
            thread: thread.name(pid),
            calls,
        }
    }

    /// The instruction that a frame is at, in bytes from the beginning of its code; `None` before
    /// the first one.
    fn instruction(&self, frame: RemoteAddr, code: RemoteAddr) -> Option<u64> {
        let (l, c) = (&self.layout.frame, &self.layout.code);
        if let (Some(pointer), Some(first)) = (l.instr_ptr, c.co_code_adaptive) {
            let at = self.reader.u64(frame.add(pointer.into())).ok()?;
            return at.checked_sub(code.add(first.into()).0);
        }
        let last = self.reader.i32(frame.add(l.lasti?.into())).ok()?;
        // Counted in pairs of bytes in 3.10 (Python/ceval.c, `INSTR_OFFSET`).
        let unit = if self.minor < 10 { 1 } else { 2 };
        Some(u64::try_from(last).ok()? * unit)
    }

    /// The line of the instruction at `offset`; the code's first where that is not told.
    fn line(&self, code: RemoteAddr, offset: Option<u64>) -> u32 {
        let first = self.first_line(code);
        let found = || {
            let (c, bytes) = (&self.layout.code, &self.layout.bytes);
            let table = self.reader.pointer(code.add(c.co_linetable.into())).ok()?;
            let size = table.add(self.layout.object.ob_size.into());
            let size = self.reader.u64(size).ok().filter(|&n| n < MAX_TABLE)?;
            let table = table.add(bytes.ob_sval.into());
            let table = self.reader.bytes(table, size as usize).ok()?;
            line_at(Encoding::of(self.minor), table, first, offset?)
        };
        found().unwrap_or(first)
    }

    fn first_line(&self, code: RemoteAddr) -> u32 {
        let line = code.add(self.layout.code.co_firstlineno.into());
        let line = self.reader.i32(line).unwrap_or(0);
        u32::try_from(line).unwrap_or(0)
    }

    /// The items of the tuple to which the word at `offset` of an object leads.
    fn items(
        &self,
        object: RemoteAddr,
        offset: u32,
    ) -> Result<impl Iterator<Item = RemoteAddr> + use<'_, M>, ReadError> {
        let (reader, layout) = (self.reader, self.layout);
        let tuple = reader.pointer(object.add(offset.into()))?;
        let count = reader.u64(tuple.add(layout.object.ob_size.into()))?;
        let items = tuple.add(layout.tuple.ob_item.into());
        reader.pointers(items, count.min(MAX_NAMES) as usize)
    }

    /// Names of the cells in closures of functions: those of the variables.
    pub(crate) fn cells(
        &self,
        found: &Found<'_, M>,
        objects: &Objects,
        strings: &mut Strings,
    ) -> Vec<(ObjectId, StringId)> {
        let mut names = Names {
            visitor: self,
            strings,
            known: FxHashMap::default(),
        };
        let f = &self.layout.function;
        let types = found.types.infos().iter();
        let functions: Vec<bool> = types.map(|info| info.full_name() == "function").collect();
        let mut cells = Vec::new();
        for (row, of) in objects.type_id.iter().enumerate() {
            if !functions[of.0 as usize] {
                continue;
            }
            let function = RemoteAddr(objects.address.get(row));
            let Ok(closure) = self.items(function, f.func_closure) else {
                continue;
            };
            let code = self.reader.pointer(function.add(f.func_code.into()));
            let code = code.ok().filter(|&code| self.is_code(code));
            let free = code.map_or(Vec::new(), |code| names.free(code));
            for (cell, name) in closure.zip(free) {
                cells.extend(found.objects.rank(cell.0).map(|id| (ObjectId(id), name)));
            }
        }
        cells
    }

    /// All code objects, in order of address.
    pub(crate) fn code_objects(&self, found: &Found<'_, M>, strings: &mut Strings) -> Vec<Code> {
        let mut names = Names {
            visitor: self,
            strings,
            known: FxHashMap::default(),
        };
        let c = &self.layout.code;
        let mut all = Vec::new();
        let mut row = 0;
        for chunk in 0..found.objects.chunk_count() {
            for at in found.objects.chunk(chunk).map(RemoteAddr) {
                let object = ObjectId(row);
                row += 1;
                let of = self
                    .reader
                    .pointer(at.add(self.layout.object.ob_type.into()));
                let id = of.ok().and_then(|of| found.types.known(of));
                if !id.is_some_and(|id| found.types.info(id).kind == Kind::Code) {
                    continue;
                }
                all.push(Code {
                    object,
                    name: names.at(at, c.co_qualname.unwrap_or(c.co_name)),
                    file: names.at(at, c.co_filename),
                    line: self.first_line(at),
                    mentions: names.tuple(at, c.co_names),
                    free: names.free(at),
                });
            }
        }
        all
    }
}

/// Texts of `str` objects, each read once.
struct Names<'a, 'm, M: Memory> {
    visitor: &'a Visitor<'m, M>,
    strings: &'a mut Strings,
    known: FxHashMap<RemoteAddr, StringId>,
}

impl<M: Memory> Names<'_, '_, M> {
    /// The text to which the word at `offset` of an object leads; empty if it leads to none.
    fn at(&mut self, object: RemoteAddr, offset: u32) -> StringId {
        let text = self.visitor.reader.pointer(object.add(offset.into()));
        self.text(text.unwrap_or_default())
    }

    fn text(&mut self, at: RemoteAddr) -> StringId {
        if let Some(&known) = self.known.get(&at) {
            return known;
        }
        let visitor = self.visitor;
        let text = crate::labels::is_str(visitor.reader, visitor.layout, at)
            .then(|| strings::prefix(visitor.reader, visitor.layout, at, PATH_LIMIT))
            .flatten();
        let id = self.strings.intern(&text.unwrap_or_default().0);
        self.known.insert(at, id);
        id
    }

    /// The texts of the tuple to which the word at `offset` of an object leads.
    fn tuple(&mut self, object: RemoteAddr, offset: u32) -> Vec<StringId> {
        match self.visitor.items(object, offset) {
            Ok(items) => items.map(|item| self.text(item)).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The names of a code object's free variables.
    fn free(&mut self, code: RemoteAddr) -> Vec<StringId> {
        let c = &self.visitor.layout.code;
        if let Some(names) = c.co_freevars {
            return self.tuple(code, names);
        }
        // From 3.11 on, with all variables; a byte says what kind of variable each is.
        let found = || {
            let reader = self.visitor.reader;
            let count = reader.i32(code.add(c.co_nfreevars?.into())).ok()?;
            if count <= 0 {
                return None;
            }
            let names = self.visitor.items(code, c.co_localsplusnames?).ok()?;
            let layout = self.visitor.layout;
            let kinds = reader.pointer(code.add(c.co_localspluskinds?.into()));
            let kinds = kinds.ok()?;
            let count = reader.u64(kinds.add(layout.object.ob_size.into())).ok()?;
            let kinds = kinds.add(layout.bytes.ob_sval.into());
            let kinds = reader.bytes(kinds, count.min(MAX_NAMES) as usize).ok()?;
            Some(names.zip(kinds))
        };
        match found() {
            Some(all) => all
                .filter(|(_, kind)| *kind & FREE != 0)
                .map(|(name, _)| self.text(name))
                .collect(),
            None => Vec::new(),
        }
    }
}
