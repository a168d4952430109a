//! Short previews of what objects contain, for users who ask for them. Without that nothing here
//! runs, and nothing but names and sizes is kept of a process.
//!
//! A preview is bounded in length and depth, and holds printable characters only: it ends up on
//! somebody's terminal.

use crate::dicts::Dict;
use crate::edges::{EdgeSink, RawLabel, Visitor};
use crate::layouts::private::{array, deque};
use crate::mark::Found;
use crate::shapes::Kind;
use crate::strings;
use crate::types::TypeInfo;
use crate::walk::Walk;
use memshed_heap::{Heap, LabelKind, ObjectId, Preview};
use memshed_target::{Memory, RemoteAddr};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Characters of a text, or bytes of a byte string, that are shown.
const TEXT: usize = 60;
/// The same within a container.
const TEXT_WITHIN: usize = 24;
/// Elements of a container, or attributes of an instance, that are shown.
const ELEMENTS: usize = 4;
/// Containers within containers are shown down to here.
const DEPTH: u32 = 2;
/// Characters of a whole preview.
const WHOLE: usize = 240;
/// Digits of an `int` that is shown as a number; one with more is described.
const DIGITS: u64 = 4;
/// Bits of a digit (Include/cpython/longintrepr.h, `PyLong_SHIFT`).
const DIGIT_BITS: u64 = 30;
/// References on the way from an object to a root whose keys are shown.
const STEPS: usize = 1000;

/// Reads the beginnings of all texts and byte strings, which finding objects does not read:
/// nothing more can be had once the copy has been let go.
pub(crate) fn touch<M: Memory>(visitor: &Visitor<'_, M>, found: &Found<'_, M>) {
    let reader = visitor.reader;
    let chunks = 0..found.objects.chunk_count();
    let all = chunks.flat_map(|chunk| found.objects.chunk(chunk));
    for at in all.map(RemoteAddr) {
        let of = reader.pointer(at.add(visitor.layout.object.ob_type.into()));
        let Some(id) = of.ok().and_then(|of| found.types.known(of)) else {
            continue;
        };
        match found.types.info(id).kind {
            Kind::Str => {
                let _ = strings::prefix(reader, visitor.layout, at, TEXT as u64);
            }
            Kind::Bytes | Kind::ByteArray => {
                let _ = byte_string(visitor, at, found.types.info(id).kind);
            }
            Kind::Int => {
                let _ = digits(visitor, at);
            }
            _ => {}
        }
    }
}

impl<M: Memory> Walk<'_, M> {
    /// Previews of `objects` and of the keys on the way from a root to each, where names do not
    /// say it already. [`crate::WalkOptions::values`] has to have been set, or the bytes may not
    /// be there. Sorted by object, then by position.
    pub fn previews(&self, heap: &Heap, objects: &[ObjectId]) -> Vec<Preview> {
        let (visitor, found) = self.parts();
        let previewer = Previewer { visitor, found };
        let address = |object: ObjectId| RemoteAddr(heap.objects.address.get(object.0 as usize));
        let mut all: Vec<Preview> = objects
            .iter()
            .map(|&object| Preview {
                object,
                position: None,
                text: previewer.preview(address(object)),
            })
            .collect();
        let keys: BTreeSet<(ObjectId, u32)> =
            objects.iter().flat_map(|&o| keys_above(heap, o)).collect();
        all.extend(keys.into_iter().filter_map(|(object, position)| {
            let key = previewer.key(address(object), position)?;
            Some(Preview {
                object,
                position: Some(position),
                text: previewer.preview(key),
            })
        }));
        all.sort_by_key(|preview| (preview.object, preview.position));
        all
    }
}

/// The entries of dictionaries, by position, through which `object` is held.
fn keys_above(heap: &Heap, object: ObjectId) -> impl Iterator<Item = (ObjectId, u32)> + '_ {
    let holder = |at: ObjectId| heap.objects.holder.get(at.0 as usize).copied();
    let way = std::iter::successors(Some(object), move |&at| {
        holder(at).filter(|&holder| holder != ObjectId::NONE)
    });
    way.take(STEPS).filter_map(move |at| {
        let label = heap.objects.holder_label.get(at.0 as usize)?;
        let by = holder(at).filter(|&holder| holder != ObjectId::NONE)?;
        (label.kind() == LabelKind::Value).then_some((by, label.value()))
    })
}

/// Where the bytes of a `bytes` or `bytearray` begin and how many there are; the first of them.
fn byte_string<'m, M: Memory>(
    visitor: &Visitor<'m, M>,
    at: RemoteAddr,
    kind: Kind,
) -> Option<(&'m [u8], u64)> {
    let (reader, layout) = (visitor.reader, visitor.layout);
    let length = reader.u64(at.add(layout.object.ob_size.into())).ok()?;
    let start = match kind {
        Kind::ByteArray => reader.pointer(at.add(layout.bytearray.ob_start.into())),
        _ => Ok(at.add(layout.bytes.ob_sval.into())),
    };
    if length == 0 {
        return Some((&[], 0));
    }
    let shown = length.min(TEXT as u64) as usize;
    Some((reader.bytes(start.ok()?, shown).ok()?, length))
}

/// How many digits an `int` has, and the value if these are few.
fn digits<M: Memory>(visitor: &Visitor<'_, M>, at: RemoteAddr) -> Option<(u64, Option<i128>)> {
    let (reader, l) = (visitor.reader, &visitor.layout.long);
    // From 3.12 on a tag with the sign in its lowest bits: 0 positive, 1 zero, 2 negative.
    let (count, negative) = match (l.lv_tag, l.lv_tag_shift) {
        (Some(tag), Some(shift)) => {
            let tag = reader.u64(at.add(tag.into())).ok()?;
            (tag.checked_shr(shift)?, tag & 3 == 2)
        }
        _ => {
            let at = at.add(visitor.layout.object.ob_size.into());
            let size = reader.i64(at).ok()?;
            (size.unsigned_abs(), size < 0)
        }
    };
    if count > DIGITS {
        return Some((count, None));
    }
    let mut value = 0i128;
    for i in (0..count).rev() {
        let digit = at.add(u64::from(l.ob_digit) + i * u64::from(l.digit_size));
        let digit = u64::from(reader.u32(digit).ok()?) & ((1 << DIGIT_BITS) - 1);
        value = value << DIGIT_BITS | i128::from(digit);
    }
    Some((count, Some(if negative { -value } else { value })))
}

struct Previewer<'a, 'm, M: Memory> {
    visitor: &'a Visitor<'m, M>,
    found: &'a Found<'m, M>,
}

impl<M: Memory> Previewer<'_, '_, M> {
    /// The preview of the object at `at`.
    fn preview(&self, at: RemoteAddr) -> String {
        let mut out = String::new();
        self.write(&mut out, at, 0);
        if let Some((cut, _)) = out.char_indices().nth(WHOLE) {
            out.truncate(cut);
            out.push('…');
        }
        out
    }

    fn info(&self, at: RemoteAddr) -> Option<&TypeInfo> {
        let of = at.add(self.visitor.layout.object.ob_type.into());
        let of = self.visitor.reader.pointer(of).ok()?;
        Some(self.found.types.info(self.found.types.known(of)?))
    }

    /// The key object of the entry at `position` of the dictionary at `dict`.
    fn key(&self, dict: RemoteAddr, position: u32) -> Option<RemoteAddr> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let kind = self.info(dict)?.kind;
        if !matches!(kind, Kind::Dict | Kind::OrderedDict) {
            return None;
        }
        let dict = Dict::read(reader, layout, dict).ok()??;
        let (key, _) = dict.keys.pairs(reader).ok()?.nth(position as usize)?;
        (!key.is_null()).then_some(key)
    }

    /// Writes what is known of the object at `at`. What cannot be read is a question mark.
    fn write(&self, out: &mut String, at: RemoteAddr, depth: u32) {
        let Some(info) = self.info(at).filter(|_| out.len() < 4 * WHOLE) else {
            return out.push('?');
        };
        // Some of the library's own types are made as classes are.
        let library = ["deque", "array", "OrderedDict", "BytesIO"].contains(&&*info.qualname);
        let of_its_own = info.heap && !library && !matches!(info.kind, Kind::Plain | Kind::Scanned);
        if of_its_own {
            escape(out, &info.qualname);
            out.push('(');
        }
        if self.write_kind(out, at, info, depth).is_none() {
            out.push('?');
        }
        if of_its_own {
            out.push(')');
        }
    }

    fn write_kind(
        &self,
        out: &mut String,
        at: RemoteAddr,
        info: &TypeInfo,
        depth: u32,
    ) -> Option<()> {
        match info.kind {
            Kind::Str => self.text(out, at, depth),
            Kind::Bytes => self.byte_string(out, at, info.kind, depth),
            Kind::ByteArray => {
                out.push_str("bytearray(");
                self.byte_string(out, at, info.kind, depth)?;
                out.push(')');
                Some(())
            }
            Kind::Int => self.int(out, at, info),
            Kind::List | Kind::Tuple | Kind::Set | Kind::Deque => {
                self.elements(out, at, info, depth)
            }
            Kind::Dict | Kind::OrderedDict => self.dict(out, at, depth),
            Kind::Type => self.type_object(out, at),
            Kind::Module => {
                let name = self.visitor.layout.module.md_name;
                self.named(out, "module ", at, name)
            }
            Kind::Code => {
                escape(out, &self.visitor.place(at));
                Some(())
            }
            Kind::Generator => {
                let name = self.visitor.layout.generator.gi_qualname;
                self.named(out, "generator ", at, name)
            }
            Kind::Array => {
                let items = at.add(self.visitor.layout.object.ob_size.into());
                let items = self.visitor.reader.u64(items).ok()?;
                let description = at.add(array::OB_DESCR.into());
                let description = self.visitor.reader.pointer(description).ok()?;
                let typecode = self.visitor.reader.u8(description).ok()?;
                let typecode = std::ascii::escape_default(typecode);
                write!(out, "array('{typecode}') of {items}").ok()
            }
            _ => self.other(out, at, info, depth),
        }
    }

    fn other(&self, out: &mut String, at: RemoteAddr, info: &TypeInfo, depth: u32) -> Option<()> {
        let layout = self.visitor.layout;
        match (info.full_name().as_str(), info.heap) {
            ("NoneType", false) => out.push_str("None"),
            ("ellipsis", false) => out.push_str("..."),
            ("float", _) => {
                let bits = self.visitor.reader.u64(at.add(layout.float.ob_fval.into()));
                write!(out, "{:?}", f64::from_bits(bits.ok()?)).ok()?;
            }
            ("function", false) => {
                let code = at.add(layout.function.func_code.into());
                let code = self.visitor.reader.pointer(code).ok()?;
                out.push_str("function ");
                escape(out, &self.visitor.place(code));
            }
            _ => return self.instance(out, at, info, depth),
        }
        Some(())
    }

    fn named(&self, out: &mut String, what: &str, at: RemoteAddr, offset: u32) -> Option<()> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let name = reader.pointer(at.add(offset.into())).ok()?;
        let name = strings::text(reader, layout, name)?;
        out.push_str(what);
        escape(out, &name);
        Some(())
    }

    fn type_object(&self, out: &mut String, at: RemoteAddr) -> Option<()> {
        let id = self.found.types.known(at)?;
        out.push_str("class ");
        escape(out, &self.found.types.info(id).full_name());
        Some(())
    }

    fn text(&self, out: &mut String, at: RemoteAddr, depth: u32) -> Option<()> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let shown = if depth == 0 { TEXT } else { TEXT_WITHIN };
        let (text, length) = strings::prefix(reader, layout, at, shown as u64)?;
        out.push('"');
        for c in text.chars() {
            match c {
                '\'' => out.push(c),
                c => out.extend(c.escape_debug()),
            }
        }
        close(out, length, shown, depth, "characters");
        Some(())
    }

    fn byte_string(&self, out: &mut String, at: RemoteAddr, kind: Kind, depth: u32) -> Option<()> {
        let shown = if depth == 0 { TEXT } else { TEXT_WITHIN };
        let (bytes, length) = byte_string(self.visitor, at, kind)?;
        out.push_str("b\"");
        for &byte in bytes.iter().take(shown) {
            match byte {
                b'\'' => out.push('\''),
                byte => write!(out, "{}", byte.escape_ascii()).ok()?,
            }
        }
        close(out, length, shown, depth, "bytes");
        Some(())
    }

    fn int(&self, out: &mut String, at: RemoteAddr, info: &TypeInfo) -> Option<()> {
        match digits(self.visitor, at)? {
            (_, Some(value)) if &*info.qualname == "bool" && !info.heap => {
                out.push_str(if value == 0 { "False" } else { "True" });
                Some(())
            }
            (_, Some(value)) => write!(out, "{value}").ok(),
            (count, None) => {
                let bits = count.saturating_mul(DIGIT_BITS);
                write!(out, "a number of about {bits} bits").ok()
            }
        }
    }

    /// A list, tuple, set or deque.
    fn elements(
        &self,
        out: &mut String,
        at: RemoteAddr,
        info: &TypeInfo,
        depth: u32,
    ) -> Option<()> {
        let (first, length) = self.first_elements(at, info)?;
        let (open, closed) = match info.kind {
            Kind::Tuple => ("(", ")"),
            Kind::Set => ("{", "}"),
            _ => ("[", "]"),
        };
        if depth == 0 && length > ELEMENTS as u64 {
            write!(out, "{length} elements: ").ok()?;
        }
        out.push_str(open);
        if depth < DEPTH {
            for (i, &element) in first.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                self.write(out, element, depth + 1);
            }
        }
        let more = length > first.len() as u64 || depth >= DEPTH && length > 0;
        let empty = first.is_empty() || depth >= DEPTH;
        out.push_str(match (more, empty) {
            (true, true) => "…",
            (true, false) => ", …",
            (false, _) => "",
        });
        out.push_str(closed);
        Some(())
    }

    /// The first elements of a container and how many it has.
    fn first_elements(&self, at: RemoteAddr, info: &TypeInfo) -> Option<(Vec<RemoteAddr>, u64)> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        if info.kind == Kind::Set {
            return self.first_members(at);
        }
        let length = reader.u64(at.add(layout.object.ob_size.into())).ok()?;
        let shown = length.min(ELEMENTS as u64);
        let (items, shown) = match info.kind {
            Kind::List => (
                reader.pointer(at.add(layout.list.ob_item.into())).ok()?,
                shown,
            ),
            Kind::Tuple => (at.add(layout.tuple.ob_item.into()), shown),
            _ => {
                // Of a deque, those in its first block.
                let block = reader.pointer(at.add(deque::LEFTBLOCK.into())).ok()?;
                let index = reader.u64(at.add(deque::LEFTINDEX.into())).ok()?;
                let room = u64::from(deque::BLOCK_LENGTH).checked_sub(index)?;
                let first = block.add(u64::from(deque::BLOCK_DATA) + index * 8);
                (first, shown.min(room))
            }
        };
        if shown == 0 {
            return Some((Vec::new(), length));
        }
        let first = reader.pointers(items, shown as usize).ok()?;
        Some((first.collect(), length))
    }

    fn first_members(&self, at: RemoteAddr) -> Option<(Vec<RemoteAddr>, u64)> {
        /// Slots looked at: more of them empty at the beginning are not worth it.
        const SLOTS: u64 = 4096;
        let (reader, l) = (self.visitor.reader, &self.visitor.layout.set);
        let length = reader.u64(at.add(l.used.into())).ok()?;
        let slots = reader.u64(at.add(l.mask.into())).ok()?.saturating_add(1);
        let table = reader.pointer(at.add(l.table.into())).ok()?;
        let words = reader.pointers(table, 2 * slots.min(SLOTS) as usize).ok()?;
        let words: Vec<RemoteAddr> = words.collect();
        let (slots, _) = words.as_chunks::<2>();
        let members = slots.iter().filter_map(|&[key, hash]| {
            // A deleted entry has hash -1, which no member has (Objects/setobject.c).
            (!key.is_null() && hash.0 as i64 != -1).then_some(key)
        });
        Some((members.take(ELEMENTS).collect(), length))
    }

    fn dict(&self, out: &mut String, at: RemoteAddr, depth: u32) -> Option<()> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let length = reader.u64(at.add(layout.dict.ma_used.into())).ok()?;
        let first = if depth < DEPTH {
            self.first_entries(at)?
        } else {
            Vec::new()
        };
        if depth == 0 && length > ELEMENTS as u64 {
            write!(out, "{length} entries: ").ok()?;
        }
        out.push('{');
        for (i, &(key, value)) in first.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { ", " });
            self.write(out, key, depth + 1);
            out.push_str(": ");
            self.write(out, value, depth + 1);
        }
        out.push_str(match (length > first.len() as u64, first.is_empty()) {
            (true, true) => "…",
            (true, false) => ", …",
            (false, _) => "",
        });
        out.push('}');
        Some(())
    }

    fn first_entries(&self, at: RemoteAddr) -> Option<Vec<(RemoteAddr, RemoteAddr)>> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let dict = Dict::read(reader, layout, at).ok()??;
        let mut pairs = dict.keys.pairs(reader).ok()?;
        if dict.values.is_null() {
            let there = pairs.filter(|(_, value)| !value.is_null());
            return Some(there.take(ELEMENTS).collect());
        }
        let values = dict.values.add(layout.dict_values.values.into());
        let values = reader.pointers(values, dict.keys.entries as usize).ok()?;
        let pairs = values.filter_map(|value| {
            let (key, _) = pairs.next()?;
            (!value.is_null()).then_some((key, value))
        });
        Some(pairs.take(ELEMENTS).collect())
    }

    /// The class and a few attributes.
    fn instance(
        &self,
        out: &mut String,
        at: RemoteAddr,
        info: &TypeInfo,
        depth: u32,
    ) -> Option<()> {
        escape(out, &info.full_name());
        out.push('(');
        let mut seen = Attributes {
            reader: |name| strings::text(self.visitor.reader, self.visitor.layout, name),
            first: Vec::new(),
            dict: None,
            count: 0,
        };
        if depth < DEPTH {
            // What is torn was counted when the object was found.
            let _ = self.visitor.visit(at, info, &mut seen);
        }
        let Attributes {
            mut first,
            dict,
            mut count,
            ..
        } = seen;
        if let Some(dict) = dict.filter(|_| depth < DEPTH) {
            let entries = self.first_entries(dict).unwrap_or_default();
            count += entries.len();
            for (key, value) in entries {
                let name = strings::text(self.visitor.reader, self.visitor.layout, key);
                first.push((name.unwrap_or_else(|| "?".to_owned()), value));
            }
        }
        for (i, (name, value)) in first.iter().take(ELEMENTS).enumerate() {
            out.push_str(if i == 0 { "" } else { ", " });
            escape(out, name);
            out.push('=');
            self.write(out, *value, depth + 1);
        }
        if count > ELEMENTS || depth >= DEPTH {
            out.push_str(if depth >= DEPTH { "…" } else { ", …" });
        }
        out.push(')');
        Some(())
    }
}

/// Ends a text of which at most `shown` of `length` characters are there.
fn close(out: &mut String, length: u64, shown: usize, depth: u32, unit: &str) {
    let cut = length > shown as u64;
    out.push_str(if cut { "…\"" } else { "\"" });
    if cut && depth == 0 {
        // Writing to memory cannot fail.
        let _ = write!(out, " ({length} {unit})");
    }
}

/// A name, with everything escaped that does not print.
fn escape(out: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            '\'' | '"' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
}

/// Gathers an instance's first attributes.
struct Attributes<F> {
    reader: F,
    first: Vec<(String, RemoteAddr)>,
    dict: Option<RemoteAddr>,
    count: usize,
}

impl<F: Fn(RemoteAddr) -> Option<String>> EdgeSink for Attributes<F> {
    fn edge(&mut self, target: RemoteAddr, label: RawLabel<'_>) {
        let name = match label {
            RawLabel::Attribute(_) if self.first.len() >= ELEMENTS => String::new(),
            RawLabel::Attribute(name) => (self.reader)(name).unwrap_or_else(|| "?".to_owned()),
            RawLabel::Slot(name) => name.to_owned(),
            RawLabel::Field("__dict__") => {
                self.dict = Some(target);
                return;
            }
            RawLabel::Field("__class__") => return,
            RawLabel::Field(name) => name.to_owned(),
            _ => return,
        };
        self.count += 1;
        if self.first.len() < ELEMENTS {
            self.first.push((name, target));
        }
    }

    fn candidate(&mut self, _word: RemoteAddr, _offset: u64) {}
}
