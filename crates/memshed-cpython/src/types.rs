//! The types of a heap's objects: what each says about the shape of its instances.

use crate::dicts;
use crate::layouts::Layout;
use crate::layouts::private::{Block, Indirect};
use crate::problems::Problems;
use crate::read::Reader;
use crate::shapes::{Fields, Kind, Shapes};
use crate::strings;
use memshed_target::{Memory, RemoteAddr};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// A heap with more types than this is misread.
const MAX_TYPES: usize = 4_000_000;
/// Inheritance deeper than this is a loop.
const MAX_DEPTH: usize = 512;
/// A class has at most this many `__slots__` or members.
const MAX_MEMBERS: u64 = 4096;

/// An attribute stored at a fixed offset of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The attribute's name.
    pub(crate) name: Box<str>,
    /// Where, in bytes from the object's address.
    pub(crate) offset: u32,
}

/// How an instance keeps its `__dict__`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DictPlace {
    /// It has none.
    None,
    /// In words before the object (and values inline after it, from 3.13 on).
    Managed,
    /// A pointer this many bytes from the object's address.
    Offset(u32),
    /// A pointer this many bytes before the end of the variable-sized object.
    FromEnd(u32),
}

/// What is known about a type.
#[derive(Clone, Debug)]
pub(crate) struct TypeInfo {
    pub(crate) address: RemoteAddr,
    /// Qualified name without the module.
    pub(crate) qualname: Box<str>,
    /// `builtins` for builtins.
    pub(crate) module: Box<str>,
    /// Whether the instances hold a reference to it (`Py_TPFLAGS_HEAPTYPE`).
    pub(crate) heap: bool,
    /// Whether the instances have a collector's header.
    pub(crate) gc: bool,
    pub(crate) flags: u32,
    pub(crate) basicsize: u64,
    pub(crate) itemsize: u64,
    /// Bytes of an instance's block that lie before the object's address.
    pub(crate) pre_header: u64,
    pub(crate) kind: Kind,
    /// Pointers at fixed offsets, by CPython's names of them.
    pub(crate) fields: Fields,
    /// The same of pointers that are not owned.
    pub(crate) weak: Fields,
    /// Pointers to blocks that an instance owns and that are no objects.
    pub(crate) blocks: &'static [Block],
    /// References in blocks and arrays.
    pub(crate) indirect: &'static [Indirect],
    /// A tuple's items beyond `ob_size`: the hidden fields of a struct sequence.
    pub(crate) hidden_items: u64,
    /// `__slots__` and other object members of classes written in Python.
    pub(crate) slots: Box<[Slot]>,
    pub(crate) dict: DictPlace,
    /// Where an instance has the head of its list of weak references; 0 if nowhere, or not at a
    /// fixed offset.
    pub(crate) weaklist: u32,
    /// `ht_cached_keys`: names of the attributes of instances that share their keys.
    pub(crate) cached_keys: RemoteAddr,
    /// The part of the object that is known to no table and is scanned for references.
    pub(crate) scan: std::ops::Range<u32>,
}

impl TypeInfo {
    /// Whether an instance may refer to anything.
    #[inline]
    pub(crate) fn has_references(&self) -> bool {
        use Kind::{ByteArray, Bytes, Int, Plain, Str};
        self.heap
            || !self.fields.is_empty()
            || !self.scan.is_empty()
            || !self.weak.is_empty()
            || !self.indirect.is_empty()
            || !self.slots.is_empty()
            || self.dict != DictPlace::None
            || !matches!(self.kind, Plain | Str | Bytes | ByteArray | Int)
    }

    /// Whether it is known what the word at `offset` is.
    pub(crate) fn is_field(&self, offset: u64) -> bool {
        let named = self
            .fields
            .iter()
            .chain(self.weak.iter())
            .map(|&(_, at)| at);
        let slots = self.slots.iter().map(|slot| slot.offset);
        let blocks = self.blocks.iter().map(|block| block.offset);
        let dict = match self.dict {
            DictPlace::Offset(offset) => offset,
            _ => 0,
        };
        let lists = [dict, self.weaklist];
        let mut all = named.chain(slots).chain(blocks).chain(lists);
        all.any(|at| u64::from(at) == offset)
    }

    /// `module.qualname`; builtins bare.
    pub(crate) fn full_name(&self) -> String {
        match &*self.module {
            "builtins" => self.qualname.to_string(),
            module => format!("{module}.{}", self.qualname),
        }
    }
}

/// The types met so far.
pub(crate) struct Types<'m, M: Memory> {
    reader: Reader<'m, M>,
    layout: &'m Layout,
    shapes: Shapes,
    problems: Arc<Problems>,
    /// `PyType_Type`.
    type_type: RemoteAddr,
    /// `subtype_dealloc`: the destructor of all classes written in Python.
    subtype_dealloc: RemoteAddr,
    infos: Vec<TypeInfo>,
    index: FxHashMap<u64, u32>,
    refused: FxHashSet<u64>,
}

impl<'m, M: Memory> Types<'m, M> {
    /// An empty table. `type_type` is the type of types; `sample` are some type objects, from
    /// which the destructor that all classes written in Python share is learnt.
    pub(crate) fn new(
        reader: Reader<'m, M>,
        layout: &'m Layout,
        minor: u32,
        problems: Arc<Problems>,
        type_type: RemoteAddr,
        sample: &[RemoteAddr],
    ) -> Types<'m, M> {
        let mut votes: FxHashMap<RemoteAddr, u32> = FxHashMap::default();
        for &at in sample {
            let flags = reader.u32(at.add(layout.ty.tp_flags.into())).unwrap_or(0);
            let both = layout.flags.heaptype | layout.flags.managed_dict;
            if flags & both == both {
                let dealloc = reader.pointer(at.add(layout.ty.tp_dealloc.into()));
                *votes.entry(dealloc.unwrap_or_default()).or_default() += 1;
            }
        }
        let winner = votes.into_iter().max_by_key(|&(_, n)| n);
        Types {
            reader,
            layout,
            shapes: Shapes::new(layout, minor),
            problems,
            type_type,
            subtype_dealloc: winner.map_or(RemoteAddr::NULL, |(at, _)| at),
            infos: Vec::new(),
            index: FxHashMap::default(),
            refused: FxHashSet::default(),
        }
    }

    /// All types, in order of their handles.
    pub(crate) fn infos(&self) -> &[TypeInfo] {
        &self.infos
    }

    /// The handle of the type at `at`, if it has been met.
    #[inline]
    pub(crate) fn known(&self, at: RemoteAddr) -> Option<u32> {
        self.index.get(&at.0).copied()
    }

    /// The type with handle `id`.
    #[inline]
    pub(crate) fn info(&self, id: u32) -> &TypeInfo {
        &self.infos[id as usize]
    }

    /// The handle of the type at `at`, read and checked if it is new; `None` if there is none.
    #[inline]
    pub(crate) fn resolve(&mut self, at: RemoteAddr) -> Option<u32> {
        match self.index.get(&at.0) {
            Some(&id) => Some(id),
            None => self.resolve_new(at, 0),
        }
    }

    fn resolve_new(&mut self, at: RemoteAddr, depth: usize) -> Option<u32> {
        if let Some(&id) = self.index.get(&at.0) {
            return Some(id);
        }
        if at.is_null() || !at.0.is_multiple_of(8) || self.infos.len() >= MAX_TYPES {
            return None;
        }
        if depth > MAX_DEPTH || self.refused.contains(&at.0) {
            return None;
        }
        if !self.is_type(at) {
            self.refused.insert(at.0);
            return None;
        }
        let info = self.read(at, depth)?;
        // The base was resolved on the way, and may have led here.
        if let Some(&id) = self.index.get(&at.0) {
            return Some(id);
        }
        let id = self.infos.len() as u32;
        self.infos.push(info);
        self.index.insert(at.0, id);
        Some(id)
    }

    /// Whether the object at `at` is a type: its own type is `type` or inherits from it.
    fn is_type(&self, at: RemoteAddr) -> bool {
        let l = &self.layout.ty;
        let subclass = self.layout.flags.type_subclass;
        let Ok(meta) = self
            .reader
            .pointer(at.add(self.layout.object.ob_type.into()))
        else {
            return false;
        };
        let is_meta = meta == self.type_type
            || (meta.0 % 8 == 0
                && self
                    .reader
                    .u32(meta.add(l.tp_flags.into()))
                    .is_ok_and(|f| f & subclass != 0)
                && self.is_type_type_chain(meta));
        let size = self.reader.i64(at.add(l.tp_basicsize.into())).unwrap_or(-1);
        let item = self.reader.i64(at.add(l.tp_itemsize.into())).unwrap_or(-1);
        // Objects of unions and the like have no name; types always do.
        let name = self
            .reader
            .pointer(at.add(l.tp_name.into()))
            .unwrap_or_default();
        is_meta
            && (0..=1 << 24).contains(&size)
            && (0..=1 << 24).contains(&item)
            && self.reader.u8(name).is_ok_and(|c| c != 0)
    }

    /// Whether a metaclass's bases lead to `type`.
    fn is_type_type_chain(&self, mut at: RemoteAddr) -> bool {
        let base = self.layout.ty.tp_base;
        for _ in 0..MAX_DEPTH {
            if at == self.type_type {
                return true;
            }
            match self.reader.pointer(at.add(base.into())) {
                Ok(next) if !next.is_null() && next.0 % 8 == 0 => at = next,
                _ => return false,
            }
        }
        false
    }

    fn read(&mut self, at: RemoteAddr, depth: usize) -> Option<TypeInfo> {
        let (reader, layout) = (self.reader, self.layout);
        let l = &layout.ty;
        let flags = reader.u32(at.add(l.tp_flags.into())).ok()?;
        let basicsize = reader.u64(at.add(l.tp_basicsize.into())).ok()?;
        let itemsize = reader.u64(at.add(l.tp_itemsize.into())).ok()?;
        let heap = flags & layout.flags.heaptype != 0;
        let dealloc = reader.pointer(at.add(l.tp_dealloc.into())).ok()?;
        let python = heap && !dealloc.is_null() && dealloc == self.subtype_dealloc;
        let tp_name = reader.pointer(at.add(l.tp_name.into())).ok()?;
        let tp_name = reader.c_string(tp_name, 512).ok()?;
        let (module, qualname) = self.name(at, &tp_name, heap);
        let base = reader.pointer(at.add(l.tp_base.into())).ok()?;
        let base = match base.is_null() {
            true => None,
            false => self.resolve_new(base, depth + 1),
        };
        if base.is_none() && tp_name != "object" {
            // A static type that was never readied, or a torn one: its instances are still sized.
            self.problems
                .add("type-without-base", || format!("{tp_name} at {at}"));
        }
        let base = base.map(|id| &self.infos[id as usize]);
        let pre_header = self.pre_header(flags);
        let dict = self.dict_place(at, flags);
        let mut info = TypeInfo {
            address: at,
            qualname: qualname.into(),
            module: module.into(),
            heap,
            gc: flags & layout.flags.have_gc != 0,
            flags,
            basicsize,
            itemsize,
            pre_header,
            kind: Kind::Plain,
            fields: Fields::default(),
            weak: Fields::default(),
            blocks: &[],
            indirect: &[],
            hidden_items: 0,
            slots: Box::default(),
            dict,
            weaklist: reader
                .u64(at.add(l.tp_weaklistoffset.into()))
                .ok()
                .and_then(|offset| u32::try_from(offset).ok())
                .unwrap_or(0),
            cached_keys: match heap {
                true => reader
                    .pointer(at.add(layout.heap_type.ht_cached_keys.into()))
                    .ok()?,
                false => RemoteAddr::NULL,
            },
            scan: 0..0,
        };
        match (python, self.shapes.get(&tp_name, basicsize)) {
            (false, Some(shape)) => {
                info.kind = shape.kind;
                info.fields = shape.fields.clone();
                info.weak = shape.weak.clone();
                self.shapes.extend(&mut info, &tp_name);
            }
            (python, _) => self.inherit(&mut info, &tp_name, base.cloned(), python),
        }
        if info.kind == Kind::Tuple {
            info.hidden_items = match python {
                true => info.hidden_items,
                false => self.hidden_items(at, basicsize),
            };
            // Where a type's size counts them, they are nothing to be scanned.
            let head = u64::from(layout.tuple.ob_item);
            if basicsize.saturating_sub(head) / 8 == info.hidden_items {
                info.scan = 0..0;
            }
        }
        let mut slots = match python {
            true => self.members(at)?,
            false => self.c_members(at, &info),
        };
        slots.extend(base_slots(&self.infos, self.index.get(&self.base_of(at).0)));
        info.slots = slots.into();
        Some(info)
    }

    /// A class without a table of its own has its base's shape; what a C type adds is scanned.
    fn inherit(&self, info: &mut TypeInfo, tp_name: &str, base: Option<TypeInfo>, python: bool) {
        let head = self.layout.object.size;
        let end = u32::try_from(info.basicsize).unwrap_or(0);
        let Some(base) = base else {
            info.scan = head..end;
            return;
        };
        info.kind = base.kind;
        info.fields = base.fields;
        info.weak = base.weak;
        info.blocks = base.blocks;
        info.indirect = base.indirect;
        info.hidden_items = base.hidden_items;
        info.scan = base.scan.clone();
        if python || self.shapes.extend(info, tp_name) {
            if !python {
                info.scan = 0..0;
            }
            return;
        }
        let from = u32::try_from(base.basicsize).unwrap_or(0).max(head);
        info.scan = match base.scan.is_empty() {
            true => from..end,
            false => base.scan.start..end,
        };
        if info.kind == Kind::Plain && info.itemsize > 0 {
            info.kind = Kind::Scanned;
        }
    }

    fn base_of(&self, at: RemoteAddr) -> RemoteAddr {
        self.reader
            .pointer(at.add(self.layout.ty.tp_base.into()))
            .unwrap_or_default()
    }

    /// Module and qualified name, as `__module__` and `__qualname__` say.
    fn name(&self, at: RemoteAddr, tp_name: &str, heap: bool) -> (String, String) {
        let (reader, layout) = (self.reader, self.layout);
        let split = tp_name.rsplit_once('.').unwrap_or(("builtins", tp_name));
        if !heap {
            return (split.0.to_owned(), split.1.to_owned());
        }
        let qualname = reader
            .pointer(at.add(layout.heap_type.ht_qualname.into()))
            .ok();
        let qualname = qualname.and_then(|q| self.text(q));
        let dict = reader
            .pointer(at.add(layout.ty.tp_dict.into()))
            .unwrap_or_default();
        let module = dicts::get(reader, layout, dict, "__module__").and_then(|m| self.text(m));
        (
            module.unwrap_or_else(|| split.0.to_owned()),
            qualname.unwrap_or_else(|| split.1.to_owned()),
        )
    }

    /// The text of the object at `at`, if it is a `str`.
    fn text(&self, at: RemoteAddr) -> Option<String> {
        let of = self
            .reader
            .pointer(at.add(self.layout.object.ob_type.into()))
            .ok()?;
        let flags = self
            .reader
            .u32(of.add(self.layout.ty.tp_flags.into()))
            .ok()?;
        (flags & self.layout.flags.unicode_subclass != 0)
            .then(|| strings::text(self.reader, self.layout, at))
            .flatten()
    }

    /// `_PyType_PreHeaderSize`.
    fn pre_header(&self, flags: u32) -> u64 {
        let f = &self.layout.flags;
        let gc = if flags & f.have_gc != 0 {
            u64::from(self.layout.gc.head_size)
        } else {
            0
        };
        let managed = f.managed_dict | f.managed_weakref.unwrap_or(0);
        gc + if flags & managed != 0 { 16 } else { 0 }
    }

    fn dict_place(&self, at: RemoteAddr, flags: u32) -> DictPlace {
        if flags & self.layout.flags.managed_dict != 0 {
            return DictPlace::Managed;
        }
        let at = at.add(self.layout.ty.tp_dictoffset.into());
        match self.reader.i64(at).unwrap_or(0) {
            0 => DictPlace::None,
            n if n > 0 => u32::try_from(n).map_or(DictPlace::None, DictPlace::Offset),
            n => u32::try_from(n.unsigned_abs()).map_or(DictPlace::None, DictPlace::FromEnd),
        }
    }

    /// The `PyMemberDef`s that `type.__new__` appends to a class with `__slots__`.
    fn members(&self, at: RemoteAddr) -> Option<Vec<Slot>> {
        let (reader, layout) = (self.reader, self.layout);
        let count = reader.u64(at.add(layout.object.ob_size.into())).ok()?;
        let meta = reader.pointer(at.add(layout.object.ob_type.into())).ok()?;
        let first = reader.u64(meta.add(layout.ty.tp_basicsize.into())).ok()?;
        let mut slots = Vec::new();
        for i in 0..count.min(MAX_MEMBERS) {
            let member = at.add(first).add(i * u64::from(layout.member.size));
            let name = reader.pointer(member.add(layout.member.name.into())).ok()?;
            slots.extend(self.member(member, name));
        }
        Some(slots)
    }

    /// The members that a C type tells of and that no table knows.
    fn c_members(&self, at: RemoteAddr, info: &TypeInfo) -> Vec<Slot> {
        let m = &self.layout.member;
        let read = |at: RemoteAddr| self.reader.pointer(at).unwrap_or_default();
        let first = read(at.add(self.layout.ty.tp_members.into()));
        let mut slots = Vec::new();
        for i in 0..MAX_MEMBERS {
            let member = first.add(i * u64::from(m.size));
            let name = read(member.add(m.name.into()));
            if first.is_null() || name.is_null() {
                break;
            }
            slots.extend(self.member(member, name));
        }
        slots.retain(|slot| {
            u64::from(slot.offset) + 8 <= info.basicsize && !info.is_field(slot.offset.into())
        });
        slots
    }

    /// The member described at `member`, if it is a reference.
    fn member(&self, member: RemoteAddr, name: RemoteAddr) -> Option<Slot> {
        let (reader, m) = (self.reader, &self.layout.member);
        let kind = reader.u32(member.add(m.ty.into())).ok()?;
        if name.is_null() || !(kind == m.t_object || kind == m.t_object_ex) {
            return None;
        }
        let offset = reader.u64(member.add(m.offset.into())).ok()?;
        Some(Slot {
            name: reader.c_string(name, 256).ok()?.into(),
            offset: u32::try_from(offset).ok()?,
        })
    }

    /// How many fields of a struct sequence are not among its items as a tuple
    /// (Objects/structseq.c): the class says so of itself. What is built into the interpreter
    /// keeps its namespace elsewhere, and its size tells.
    fn hidden_items(&self, at: RemoteAddr, basicsize: u64) -> u64 {
        let (reader, layout) = (self.reader, self.layout);
        let dict = reader.pointer(at.add(layout.ty.tp_dict.into()));
        let dict = dict.unwrap_or_default();
        if dict.is_null() || !dict.0.is_multiple_of(8) || dict.0 < 4096 {
            return (basicsize.saturating_sub(layout.tuple.ob_item.into()) / 8).min(MAX_MEMBERS);
        }
        let number = |name| {
            let value = dicts::get(reader, layout, dict, name)?;
            reader.u32(value.add(layout.long.ob_digit.into())).ok()
        };
        let (all, shown) = (number("n_fields"), number("n_sequence_fields"));
        u64::from(all.unwrap_or(0).saturating_sub(shown.unwrap_or(0))).min(MAX_MEMBERS)
    }
}

fn base_slots(infos: &[TypeInfo], base: Option<&u32>) -> Vec<Slot> {
    base.map_or(Vec::new(), |&id| infos[id as usize].slots.to_vec())
}
