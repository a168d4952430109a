//! How many bytes an object takes: as `sys.getsizeof` says, and as the allocators gave.

use crate::account::{Claim, Ledger, Near, Owner};
use crate::dicts::{Dict, Keys};
use crate::edges::Visitor;
use crate::layouts::private::{bytes_io, deque, ndarray, odict};
use crate::parts::PartKind;
use crate::shapes::Kind;
use crate::strings;
use crate::types::TypeInfo;
use memshed_target::{Memory, ReadError, RemoteAddr};

/// A greater size is garbage.
const MAX_BYTES: u64 = 1 << 46;

impl<M: Memory> Visitor<'_, M> {
    /// What `sys.getsizeof` says of the object at `at`, in bytes: what its `__sizeof__` says and
    /// what lies before it (`_PySys_GetSizeOf`).
    pub(crate) fn size_of(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        Ok((self.own_size(at, info)? + self.counted_header(at, info)?).min(MAX_BYTES))
    }

    /// The part of the bytes before the object that counts: up to 3.10 and from 3.13 on types in
    /// the program's own data are asked whether they have a collector's header, and have none.
    fn counted_header(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let asked = !(11..=12).contains(&self.minor) && info.kind == Kind::Type;
        Ok(if asked && !self.is_heap_type(at)? {
            0
        } else {
            info.pre_header
        })
    }

    pub(crate) fn is_heap_type(&self, at: RemoteAddr) -> Result<bool, ReadError> {
        let flags = self.reader.u32(at.add(self.layout.ty.tp_flags.into()))?;
        Ok(flags & self.layout.flags.heaptype != 0)
    }

    /// What the object's `__sizeof__` says.
    fn own_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let (reader, layout) = (self.reader, self.layout);
        match info.kind {
            Kind::Str => self.str_size(at, info),
            Kind::List => {
                let allocated = reader.u64(at.add(layout.list.allocated.into()))?;
                Ok(info.basicsize + allocated.min(MAX_BYTES) * 8)
            }
            Kind::Dict => self.dict_size(at, info),
            Kind::OrderedDict => Ok(self.dict_size(at, info)? + self.key_list_size(at)?),
            Kind::Set => self.set_size(at, info),
            Kind::ByteArray => Ok(info.basicsize + self.bytearray_contents(at)?),
            Kind::Int => self.int_size(at),
            Kind::Deque => {
                let left = reader.u64(at.add(deque::LEFTINDEX.into()))?;
                let length = reader.u64(at.add(layout.object.ob_size.into()))?;
                let slots = left.min(MAX_BYTES) + length.min(MAX_BYTES);
                let blocks = slots.div_ceil(deque::BLOCK_LENGTH.into());
                Ok(info.basicsize + blocks * u64::from(deque::BLOCK_SIZE))
            }
            Kind::Array => Ok(info.basicsize + self.array_items(at)?.1),
            Kind::NdArray => self.ndarray_size(at, info),
            Kind::BytesIo => Ok(info.basicsize + self.bytes_io_contents(at)?),
            Kind::Code => {
                let size = self.variable_size(at, info)?.next_multiple_of(8);
                Ok(size + self.inline_caches(at)? + self.cell_arguments(at)?)
            }
            Kind::Type => self.type_size(at),
            Kind::Frame => self.frame_size(at),
            Kind::Generator => self.generator_size(at, info),
            _ => self.variable_size(at, info),
        }
    }

    /// Bytes of a `bytearray`'s contents: from 3.15 on those of a `bytes` of its own.
    fn bytearray_contents(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let l = &self.layout.bytearray;
        let room = self.reader.u64(at.add(l.ob_alloc.into()))?.min(MAX_BYTES);
        let head = match l.ob_bytes_object {
            Some(_) if room > 0 => u64::from(self.layout.bytes.ob_sval) + 1,
            _ => 0,
        };
        Ok(head + room)
    }

    /// `ndarray.__sizeof__`: dimensions and strides, and the data if they are its own.
    fn ndarray_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let rank = self.reader.u32(at.add(ndarray::ND.into()))?;
        let data = self.own_data(at)?.map_or(0, |data| data.bytes);
        Ok(info.basicsize + u64::from(rank.min(ndarray::MAX_ND)) * 16 + data)
    }

    /// `BytesIO.__sizeof__` counts the `bytes` that holds the contents, unless others hold it too.
    fn bytes_io_contents(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let buffer = self.reader.pointer(at.add(bytes_io::BUF.into()))?;
        if buffer.is_null() {
            return Ok(0);
        }
        let count = self
            .reader
            .u32(buffer.add(self.layout.object.ob_refcnt.into()))?;
        let length = self
            .reader
            .u64(buffer.add(self.layout.object.ob_size.into()))?;
        let size = u64::from(self.layout.bytes.ob_sval) + 1 + length.min(MAX_BYTES);
        Ok(if count > 1 { 0 } else { size })
    }

    /// `object.__sizeof__`: a basic size and so many bytes for each item.
    fn variable_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        if info.itemsize == 0 {
            return Ok(info.basicsize);
        }
        let items = self.reader.i64(at.add(self.layout.object.ob_size.into()))?;
        Ok(info.basicsize + items.unsigned_abs().min(MAX_BYTES >> 24) * info.itemsize)
    }

    /// Up to 3.10 a code object that runs often keeps its inline caches, and a byte for each
    /// instruction that says which is its own, apart.
    fn inline_caches(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let (reader, c) = (self.reader, &self.layout.code);
        let (Some(caches), Some(count), Some(entry), Some(code)) =
            (c.co_opcache, c.co_opcache_size, c.opcache_entry, c.co_code)
        else {
            return Ok(0);
        };
        if reader.pointer(at.add(caches.into()))?.is_null() {
            return Ok(0);
        }
        let count = u64::from(reader.u8(at.add(count.into()))?);
        let code = reader.pointer(at.add(code.into()))?;
        let bytes = reader.u64(code.add(self.layout.object.ob_size.into()))?;
        Ok(count * u64::from(entry) + bytes.min(MAX_BYTES) / u64::from(c.item_size))
    }

    /// Up to 3.10 a code object says in a table apart which arguments are cells, if any is.
    fn cell_arguments(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let c = &self.layout.code;
        let (Some(table), Some(cells)) = (c.co_cell2arg, c.co_cellvars) else {
            return Ok(0);
        };
        if self.reader.pointer(at.add(table.into()))?.is_null() {
            return Ok(0);
        }
        let cells = self.reader.pointer(at.add(cells.into()))?;
        let count = self
            .reader
            .u64(cells.add(self.layout.object.ob_size.into()))?;
        Ok(count.min(MAX_BYTES >> 8) * 8)
    }

    /// `str.__sizeof__`: the object and its characters, and the encoded copy if there is one.
    fn str_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let mut bytes = self.str_block(at, info)?;
        self.text_parts(at, &mut |part| {
            // 3.11's copy for old C code is not counted.
            if part.kind != PartKind::Wide {
                bytes += part.bytes;
            }
        })?;
        Ok(bytes)
    }

    /// Bytes of a string's own block.
    fn str_block(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let l = &self.layout.unicode;
        let Some(shape) = strings::shape(self.reader, self.layout, at)? else {
            return Ok(info.basicsize);
        };
        let data = (shape.length + 1) * shape.width;
        Ok(match (shape.compact, shape.ascii) {
            (true, true) => u64::from(l.ascii_size) + data,
            (true, false) => u64::from(l.compact_size) + data,
            (false, _) => l.size.into(),
        })
    }

    /// `int.__sizeof__`: from 3.11 on at least one digit, and nothing of what a subclass adds.
    fn int_size(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let l = &self.layout.long;
        let digits = match (l.lv_tag, l.lv_tag_shift) {
            (Some(tag), Some(shift)) => self.reader.u64(at.add(tag.into()))? >> shift,
            _ => {
                let size = at.add(self.layout.object.ob_size.into());
                self.reader.i64(size)?.unsigned_abs()
            }
        };
        let least = u64::from(self.minor > 10);
        Ok(u64::from(l.ob_digit) + digits.clamp(least, MAX_BYTES) * u64::from(l.digit_size))
    }

    /// `_PyDict_SizeOf`.
    fn dict_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let Some(dict) = Dict::read(self.reader, self.layout, at)? else {
            return Ok(info.basicsize);
        };
        let values = match dict.values.is_null() {
            true => 0,
            // Counted even where they are part of the instance whose attributes they are.
            false => dict.keys.shared * 8,
        };
        let keys = match dict.keys.refcount == 1 {
            true => dict.keys.size(self.layout),
            false => 0,
        };
        Ok(info.basicsize + values + keys)
    }

    /// The list of keys that an `OrderedDict` keeps beside its table (`odict_sizeof`).
    fn key_list_size(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let table = self.reader.u64(at.add(odict::FAST_NODES_SIZE.into()))?;
        let keys = self.reader.u64(at.add(self.layout.dict.ma_used.into()))?;
        let nodes = keys.min(MAX_BYTES >> 8) * u64::from(odict::NODE_SIZE);
        Ok(table.min(MAX_BYTES >> 8) * 8 + nodes)
    }

    fn set_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let l = &self.layout.set;
        let table = self.reader.pointer(at.add(l.table.into()))?;
        if table == at.add(l.smalltable.into()) {
            return Ok(info.basicsize);
        }
        let mask = self.reader.u64(at.add(l.mask.into()))?;
        Ok(info.basicsize + (mask.min(MAX_BYTES >> 8) + 1) * u64::from(l.entry_size))
    }

    fn type_size(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        if !self.is_heap_type(at)? {
            return Ok(self.layout.ty.size.into());
        }
        let h = &self.layout.heap_type;
        let keys = self.reader.pointer(at.add(h.ht_cached_keys.into()))?;
        let keys = match keys.is_null() {
            true => 0,
            false => Keys::read(self.reader, self.layout, keys)?.map_or(0, |k| k.size(self.layout)),
        };
        Ok(u64::from(h.size) + keys)
    }

    fn frame_size(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let l = &self.layout.frame_object;
        let (Some(record), Some(head)) = (l.f_frame, l.frame_data) else {
            return self.frame_bytes(self.frame(at)?.code);
        };
        let frame = self.reader.pointer(at.add(record.into()))?;
        let code = self.frame(frame)?.code;
        Ok(u64::from(head) + self.frame_bytes(code)?)
    }

    fn generator_size(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let Some(frame) = self.layout.generator.gi_iframe else {
            return Ok(info.basicsize);
        };
        let code = self.frame(at.add(frame.into()))?.code;
        Ok(u64::from(frame) + self.frame_bytes(code)?)
    }

    /// Bytes of a frame that runs `code`.
    fn frame_bytes(&self, code: RemoteAddr) -> Result<u64, ReadError> {
        let slots = self.slots(code)?;
        Ok(u64::from(self.layout.frame.localsplus) + (slots.locals + slots.stack) * 8)
    }

    /// Reads what sizing the object will need and following its references does not read: nothing
    /// more can be had once the copy has been let go.
    pub(crate) fn touch(&self, at: RemoteAddr, info: &TypeInfo) {
        let _ = self.reader.bytes(at, info.basicsize as usize);
        if matches!(
            info.kind,
            Kind::Array | Kind::BytesIo | Kind::ByteArray | Kind::NdArray
        ) {
            let _ = self.size_of(at, info);
        }
        // The word before a block is the system allocator's. Where following the references has
        // read the block, it lies on a page that was read.
        let read = matches!(info.kind, Kind::List | Kind::Dict | Kind::Set | Kind::Plain);
        if info.has_parts() && (!read || !info.blocks.is_empty()) {
            let _ = self.parts(at, info, &mut |part| {
                let _ = self.reader.u64(part.at.sub(8));
            });
        }
    }

    /// Enters the object's blocks in the ledger; returns the bytes that the allocators gave for
    /// those that it alone owns. `near` is where the last object and the last part were.
    pub(crate) fn enter(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        type_id: u32,
        ledger: &Ledger<'_>,
        near: &mut [Near; 2],
    ) -> Result<u64, ReadError> {
        let (reader, layout) = (self.reader, self.layout);
        let needed = self.own_block(at, info)?;
        let block = at.sub(info.pre_header);
        let [own, parts] = near;
        let owner = |claim| Owner { at, type_id, claim };
        let mut bytes = ledger.enter(reader, layout, own, block, needed, owner(Claim::Object));
        if info.has_parts() {
            self.parts(at, info, &mut |part| {
                let part_owner = owner(Claim::Part);
                let given = ledger.enter(reader, layout, parts, part.at, part.bytes, part_owner);
                if part.kind != PartKind::SharedKeys {
                    bytes += given;
                }
            })?;
        }
        Ok(bytes.min(MAX_BYTES))
    }

    /// Bytes that the object's own block needs, what lies before its address included.
    pub(crate) fn own_block(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u64, ReadError> {
        let own = match info.kind {
            Kind::Str => self.str_block(at, info)?,
            Kind::Int => self.int_size(at)?,
            Kind::Frame => self.frame_size(at)?,
            Kind::Generator => self.generator_size(at, info)?,
            _ => self.variable_size(at, info)?,
        };
        Ok(own + info.pre_header)
    }
}
