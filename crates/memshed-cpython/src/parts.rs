//! The blocks that an object owns besides its own and that are no objects: where each is and what
//! it is for.
//!
//! This module does not know what an allocator gave for a block: it tells how many bytes the
//! object needs there, where the object's structs say so.

use crate::dicts::{Dict, Keys};
use crate::edges::Visitor;
use crate::layouts::private::{array, cdata, deque, odict};
use crate::shapes::Kind;
use crate::strings;
use crate::types::{DictPlace, TypeInfo};
use memshed_target::{Memory, ReadError, RemoteAddr};

/// A greater size is garbage.
const MAX_BYTES: u64 = 1 << 46;

/// Nothing is mapped below.
const LOWEST: u64 = 4096;

/// A block that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where the block begins. It may lie in the program's own data: the keys of empty
    /// dictionaries do.
    pub(crate) at: RemoteAddr,
    /// Bytes that are needed there; 0 where nothing says how many.
    pub(crate) bytes: u64,
    /// What it is for.
    pub(crate) kind: PartKind,
}

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PartKind {
    /// A list's items.
    Items,
    /// A dictionary's keys table, or the one that a class keeps for its instances.
    Keys,
    /// A keys table with more than one owner, all of which tell of it.
    SharedKeys,
    /// The values of a dictionary or an instance that shares its keys.
    Values,
    /// A set's table.
    Table,
    /// A piece of a deque.
    DequeBlock,
    /// A piece of a deque that is kept for reuse.
    FreeDequeBlock,
    /// The order that an `OrderedDict` keeps beside its table.
    Order,
    /// A string's characters where they do not follow the object.
    Characters,
    /// A string once more, encoded.
    Encoded,
    /// Contents without references: of a `bytearray` or an array.
    Buffer,
    /// A string once more, as 3.11 makes it for old C code.
    Wide,
    /// What a module keeps for its C code.
    ModuleState,
    /// A type's name or documentation.
    TypeText,
    /// What a code object has computed or gathered while it ran.
    CodeData,
    /// A field of a C struct, by CPython's name for it.
    Field(&'static str),
}

impl TypeInfo {
    /// Whether an instance may own blocks besides its own.
    #[inline]
    pub(crate) fn has_parts(&self) -> bool {
        use Kind::{Array, ByteArray, CData, Code, Deque, Dict, List, Module, OrderedDict, Set};
        !self.blocks.is_empty()
            || self.dict == DictPlace::Managed
            || matches!(
                self.kind,
                List | Dict | OrderedDict | Set | Deque | Kind::Str
            )
            || matches!(
                self.kind,
                ByteArray | Array | CData | Kind::Type | Module | Code
            )
    }
}

impl<M: Memory> Visitor<'_, M> {
    /// Tells `sink` of every block that the object at `at` owns besides its own and that is no
    /// object. An error means that a part of the object could not be read; what could be was told.
    #[inline]
    pub(crate) fn parts(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        for block in info.blocks {
            // Some structs keep flags in a pointer's lowest bits, or use room of their own.
            let start = self.reader.u64(at.add(block.offset.into()))? & !7;
            let inside = start.wrapping_sub(at.0) < info.basicsize;
            if start < LOWEST || inside {
                continue;
            }
            let bytes = match block.length_at {
                Some(length) => self.reader.u64(at.add(length.into()))?,
                None => 0,
            };
            let bytes = bytes.saturating_mul(block.unit.into());
            tell(RemoteAddr(start), bytes, PartKind::Field(block.label), sink);
        }
        if info.dict == DictPlace::Managed {
            self.instance_values(at, info, sink)?;
        }
        match info.kind {
            Kind::List => self.list_items(at, sink),
            Kind::Dict => self.dict_parts(at, sink),
            Kind::OrderedDict => {
                self.dict_parts(at, sink)?;
                self.order(at, sink)
            }
            Kind::Set => self.set_table(at, sink),
            Kind::Str => self.text_parts(at, sink),
            Kind::ByteArray => self.bytearray_buffer(at, sink),
            Kind::Array => {
                let (items, bytes) = self.array_items(at)?;
                tell(items, bytes, PartKind::Buffer, sink);
                Ok(())
            }
            Kind::Deque => self.deque_blocks(at, info, sink),
            Kind::Type => self.type_parts(at, sink),
            Kind::Module => {
                if let Some((state, bytes)) = self.module_state(at)? {
                    tell(state, bytes, PartKind::ModuleState, sink);
                }
                Ok(())
            }
            Kind::CData => self.foreign_memory(at, info, sink),
            Kind::NdArray => {
                if let Some(data) = self.own_data(at)? {
                    tell(data.at, data.bytes, PartKind::Buffer, sink);
                }
                Ok(())
            }
            Kind::Code => self.code_data(at, sink),
            _ => Ok(()),
        }
    }

    /// 3.11 and 3.12 keep attributes that share their names in an array of their own; from 3.13 on
    /// it is part of the instance.
    fn instance_values(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        if self.layout.dict_values.prefix_size_back.is_none() {
            return Ok(());
        }
        let (_, values) = self.managed_dict(at, info)?;
        if values.is_null() {
            return Ok(());
        }
        let keys = Keys::read(self.reader, self.layout, info.cached_keys)?;
        self.split_values(values, keys.map_or(0, |k| k.shared.min(255)), sink)
    }

    /// An array of values that is a block of its own (`new_values` in Objects/dictobject.c), with
    /// room for `room` of them.
    fn split_values(
        &self,
        values: RemoteAddr,
        room: u64,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        let l = &self.layout.dict_values;
        let (start, bytes) = if let Some(back) = l.prefix_size_back {
            let prefix = u64::from(self.reader.u8(values.sub(back.into()))?);
            (values.sub(prefix), prefix + room * 8)
        } else if let (Some(capacity), Some(embedded)) = (l.capacity, l.embedded) {
            if self.reader.u8(values.add(embedded.into()))? != 0 {
                return Ok(());
            }
            // Behind the values is their order, a byte for each.
            let room = u64::from(self.reader.u8(values.add(capacity.into()))?);
            let order = room.next_multiple_of(8);
            (values, u64::from(l.values) + room * 8 + order)
        } else {
            (values, room * 8)
        };
        tell(start, bytes, PartKind::Values, sink);
        Ok(())
    }

    #[inline]
    fn list_items(&self, at: RemoteAddr, sink: &mut impl FnMut(Part)) -> Result<(), ReadError> {
        let l = &self.layout.list;
        let items = self.reader.pointer(at.add(l.ob_item.into()))?;
        let room = self.reader.u64(at.add(l.allocated.into()))?;
        tell(items, room.min(MAX_BYTES) * 8, PartKind::Items, sink);
        Ok(())
    }

    #[inline]
    fn dict_parts(&self, at: RemoteAddr, sink: &mut impl FnMut(Part)) -> Result<(), ReadError> {
        let Some(dict) = Dict::read(self.reader, self.layout, at)? else {
            return Ok(());
        };
        self.keys_part(&dict.keys, sink);
        match dict.values.is_null() {
            true => Ok(()),
            false => self.split_values(dict.values, dict.keys.shared, sink),
        }
    }

    fn keys_part(&self, keys: &Keys, sink: &mut impl FnMut(Part)) {
        let kind = match keys.refcount == 1 {
            true => PartKind::Keys,
            false => PartKind::SharedKeys,
        };
        tell(keys.at, keys.size(self.layout), kind, sink);
    }

    /// The nodes of an `OrderedDict`'s list of keys, and the table that leads to them.
    fn order(&self, at: RemoteAddr, sink: &mut impl FnMut(Part)) -> Result<(), ReadError> {
        let reader = self.reader;
        let table = reader.pointer(at.add(odict::FAST_NODES.into()))?;
        let slots = reader.u64(at.add(odict::FAST_NODES_SIZE.into()))?;
        tell(table, slots.min(MAX_BYTES) * 8, PartKind::Order, sink);
        let mut node = reader.pointer(at.add(odict::FIRST.into()))?;
        let mut before = RemoteAddr::NULL;
        // Nodes whose links back agree cannot go in a circle.
        while !node.is_null() {
            if reader.pointer(node.add(odict::NODE_PREVIOUS.into()))? != before {
                return Err(ReadError::Unmapped(node));
            }
            tell(node, odict::NODE_SIZE.into(), PartKind::Order, sink);
            before = node;
            node = reader.pointer(node.add(odict::NODE_NEXT.into()))?;
        }
        Ok(())
    }

    fn set_table(&self, at: RemoteAddr, sink: &mut impl FnMut(Part)) -> Result<(), ReadError> {
        let l = &self.layout.set;
        let table = self.reader.pointer(at.add(l.table.into()))?;
        if table != at.add(l.smalltable.into()) {
            let mask = self.reader.u64(at.add(l.mask.into()))?;
            let slots = mask.min(MAX_BYTES >> 8) + 1;
            tell(
                table,
                slots * u64::from(l.entry_size),
                PartKind::Table,
                sink,
            );
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn text_parts(
        &self,
        at: RemoteAddr,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        let (reader, l) = (self.reader, &self.layout.unicode);
        let Some(shape) = strings::shape(reader, self.layout, at)? else {
            return Ok(());
        };
        let mut characters = RemoteAddr::NULL;
        if !shape.compact {
            characters = reader.pointer(at.add(l.data_any.into()))?;
            let bytes = (shape.length + 1) * shape.width;
            tell(characters, bytes, PartKind::Characters, sink);
        }
        if !(shape.compact && shape.ascii) {
            let utf8 = reader.pointer(at.add(l.utf8.into()))?;
            if !utf8.is_null() && utf8 != characters {
                let length = reader.u64(at.add(l.utf8_length.into()))?;
                tell(utf8, length.min(MAX_BYTES) + 1, PartKind::Encoded, sink);
            }
        }
        if let Some(wide) = l.wstr {
            // 3.11 may keep the text as `wchar_t` for old C code; it may be the characters themselves.
            let wide = reader.pointer(at.add(wide.into()))?;
            let inside = wide.0.wrapping_sub(at.0) <= u64::from(l.compact_size);
            if !wide.is_null() && wide != characters && !inside {
                tell(wide, (shape.length + 1) * 4, PartKind::Wide, sink);
            }
        }
        Ok(())
    }

    fn bytearray_buffer(
        &self,
        at: RemoteAddr,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        let l = &self.layout.bytearray;
        // From 3.15 on the contents are a `bytes` object.
        if l.ob_bytes_object.is_some() {
            return Ok(());
        }
        let room = self.reader.u64(at.add(l.ob_alloc.into()))?;
        let bytes = self.reader.pointer(at.add(l.ob_bytes.into()))?;
        tell(bytes, room, PartKind::Buffer, sink);
        Ok(())
    }

    /// Where the items of an `array.array` are, and the bytes there is room for.
    pub(crate) fn array_items(&self, at: RemoteAddr) -> Result<(RemoteAddr, u64), ReadError> {
        let items = self.reader.pointer(at.add(array::OB_ITEM.into()))?;
        let room = self.reader.u64(at.add(array::ALLOCATED.into()))?;
        let description = self.reader.pointer(at.add(array::OB_DESCR.into()))?;
        let size = self
            .reader
            .u32(description.add(array::DESCR_ITEMSIZE.into()))?;
        Ok((items, room.min(MAX_BYTES >> 16) * u64::from(size.min(64))))
    }

    /// The block of a deque that follows `block`; an error unless it links back, so that blocks
    /// cannot go in a circle.
    pub(crate) fn next_block(&self, block: RemoteAddr) -> Result<RemoteAddr, ReadError> {
        let next = self
            .reader
            .pointer(block.add(deque::BLOCK_RIGHTLINK.into()))?;
        let back = self
            .reader
            .pointer(next.add(deque::BLOCK_LEFTLINK.into()))?;
        match back == block {
            true => Ok(next),
            false => Err(ReadError::Unmapped(next)),
        }
    }

    fn deque_blocks(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        let (reader, bytes) = (self.reader, u64::from(deque::BLOCK_SIZE));
        let last = reader.pointer(at.add(deque::RIGHTBLOCK.into()))?;
        let mut block = reader.pointer(at.add(deque::LEFTBLOCK.into()))?;
        while !block.is_null() {
            tell(block, bytes, PartKind::DequeBlock, sink);
            if block == last {
                break;
            }
            block = self.next_block(block)?;
        }
        if info.basicsize < u64::from(deque::SIZE) {
            return Ok(());
        }
        let free = reader.u64(at.add(deque::NUMFREEBLOCKS.into()))?;
        let free = free.min(deque::MAX_FREEBLOCKS.into()) as usize;
        for block in reader.pointers(at.add(deque::FREEBLOCKS.into()), free)? {
            tell(block, bytes, PartKind::FreeDequeBlock, sink);
        }
        Ok(())
    }

    /// A type made at run time owns its names and its instances' keys (`type_dealloc`).
    fn type_parts(&self, at: RemoteAddr, sink: &mut impl FnMut(Part)) -> Result<(), ReadError> {
        if !self.is_heap_type(at)? {
            return Ok(());
        }
        let h = &self.layout.heap_type;
        for offset in h.tpname.into_iter().chain([self.layout.ty.tp_doc]) {
            let text = self.reader.pointer(at.add(offset.into()))?;
            tell(text, 0, PartKind::TypeText, sink);
        }
        let keys = self.reader.pointer(at.add(h.ht_cached_keys.into()))?;
        if !keys.is_null()
            && let Some(keys) = Keys::read(self.reader, self.layout, keys)?
        {
            self.keys_part(&keys, sink);
        }
        Ok(())
    }

    /// The memory that a `ctypes` instance made for itself.
    fn foreign_memory(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut impl FnMut(Part),
    ) -> Result<(), ReadError> {
        let memory = self.reader.pointer(at.add(cdata::B_PTR.into()))?;
        let own = self.reader.u32(at.add(cdata::B_NEEDSFREE.into()))? != 0;
        let inside = memory.0.wrapping_sub(at.0) < info.basicsize;
        if own && !inside {
            let bytes = self.reader.u64(at.add(cdata::B_SIZE.into()))?;
            tell(memory, bytes, PartKind::Buffer, sink);
        }
        Ok(())
    }

    /// What a code object has gathered: attributes computed when asked for, optimised traces, what
    /// a debugger or profiler put there.
    fn code_data(&self, at: RemoteAddr, sink: &mut impl FnMut(Part)) -> Result<(), ReadError> {
        let (reader, c) = (self.reader, &self.layout.code);
        let block = |offset: u32| reader.pointer(at.add(offset.into()));
        let extra = block(c.co_extra)?;
        if !extra.is_null() {
            let count = reader.u64(extra)?.min(255);
            tell(extra, 8 + count * 8, PartKind::CodeData, sink);
        }
        if let (Some(cached), Some(size)) = (c.co_cached, c.cached_size) {
            tell(block(cached)?, size.into(), PartKind::CodeData, sink);
        }
        if let (Some(executors), Some(capacity), Some(items)) =
            (c.co_executors, c.executors_capacity, c.executors_items)
        {
            let executors = block(executors)?;
            if !executors.is_null() {
                let room = reader.u32(executors.add(capacity.into()))?.min(1 << 16);
                let bytes = u64::from(items) + u64::from(room) * 8;
                tell(executors, bytes, PartKind::CodeData, sink);
            }
        }
        // Up to 3.10: inline caches, and the frame of the last call, kept for the next one.
        let before_3_11 = [
            c.co_opcache,
            c.co_opcache_map,
            c.co_cell2arg,
            c.co_zombieframe,
        ];
        for offset in before_3_11.into_iter().flatten() {
            tell(block(offset)?, 0, PartKind::CodeData, sink);
        }
        if let Some(monitoring) = c.co_monitoring {
            tell(block(monitoring)?, 0, PartKind::CodeData, sink);
        }
        Ok(())
    }
}

#[inline]
fn tell(at: RemoteAddr, bytes: u64, kind: PartKind, sink: &mut impl FnMut(Part)) {
    if !at.is_null() {
        let bytes = bytes.min(MAX_BYTES);
        sink(Part { at, bytes, kind });
    }
}
