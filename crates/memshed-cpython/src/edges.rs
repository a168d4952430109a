//! What an object refers to, by its layout: one visitor for all kinds of objects.

use crate::dicts::{Dict, Keys};
use crate::layouts::Layout;
use crate::layouts::private::{Count, Indirect, deque, lru_cache, moment, simple_queue};
use crate::read::Reader;
use crate::shapes::Kind;
use crate::types::{DictPlace, TypeInfo};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rustc_hash::FxHashMap;

/// No container has more elements than this; a greater length is garbage.
pub(crate) const MAX_LENGTH: u64 = 1 << 36;
/// Words scanned in an object without a known layout.
const MAX_SCAN: usize = 1 << 16;

/// How an object holds another, before names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawLabel<'a> {
    /// An instance attribute; the name is a `str` object.
    Attribute(RemoteAddr),
    /// An attribute in `__slots__`.
    Slot(&'a str),
    /// A dictionary's value: the dictionary, the key, the entry's position.
    Entry {
        dict: RemoteAddr,
        key: RemoteAddr,
        position: u64,
    },
    /// A dictionary's key or a set's member: the entry's position.
    KeyObject(u64),
    /// An element of a sequence.
    Index(u64),
    /// A local variable; the name is a `str` object.
    Local(RemoteAddr),
    /// A value on the evaluation stack.
    Stack(u64),
    /// A field of a C struct.
    Field(&'static str),
    /// A field of a C struct that does not own its target.
    Weak(&'static str),
    /// A word at this offset that looks like a reference.
    Possible(u64),
}

/// Receives what an object refers to.
pub(crate) trait EdgeSink {
    /// A reference. The target is what the field holds; it may be garbage.
    fn edge(&mut self, target: RemoteAddr, label: RawLabel<'_>);

    /// A word that may or may not be a reference.
    fn candidate(&mut self, word: RemoteAddr, offset: u64);

    /// A reference that does not keep its target alive. The target may be garbage.
    fn weak(&mut self, _target: RemoteAddr, _label: &'static str) {}

    /// A dictionary whose keys are names: a module's, a class's or an instance's.
    fn namespace(&mut self, _dict: RemoteAddr) {}
}

/// What is needed to find the references of any object.
pub(crate) struct Visitor<'m, M: Memory> {
    pub(crate) reader: Reader<'m, M>,
    pub(crate) layout: &'m Layout,
    /// 11 for CPython 3.11.
    pub(crate) minor: u32,
    /// From 3.12 on the interpreter keeps the namespaces of static builtin types: type to
    /// (`tp_dict`, `tp_subclasses`).
    pub(crate) static_types: FxHashMap<RemoteAddr, (RemoteAddr, RemoteAddr)>,
}

impl<M: Memory> Visitor<'_, M> {
    /// Tells `sink` everything that the object at `at` refers to. An error means that a part of
    /// the object could not be read; what could be was told.
    #[inline]
    pub(crate) fn visit<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        if info.heap {
            sink.edge(info.address, RawLabel::Field("__class__"));
        }
        for &(name, offset) in info.fields.iter() {
            // Some structs keep flags in a pointer's lowest bits, or small numbers in its place.
            let target = self.reader.pointer(at.add(offset.into()))?;
            let target = RemoteAddr(target.0 & !7);
            if !target.is_null() {
                sink.edge(target, RawLabel::Field(name));
                match name {
                    "__dict__" | "__globals__" => sink.namespace(target),
                    "dummies" | "localdummies" => self.thread_namespaces(target, sink)?,
                    _ => {}
                }
            }
        }
        for slot in &info.slots {
            let target = self.reader.pointer(at.add(slot.offset.into()))?;
            if !target.is_null() {
                sink.edge(target, RawLabel::Slot(&slot.name));
            }
        }
        for &(name, offset) in info.weak.iter() {
            let target = self.reader.pointer(at.add(offset.into()))?;
            if !target.is_null() {
                sink.weak(target, name);
            }
        }
        for indirect in info.indirect {
            self.indirect(at, indirect, sink)?;
        }
        let contents = self.contents(at, info, sink);
        if info.dict != DictPlace::None {
            self.attributes(at, info, sink)?;
        }
        if !info.scan.is_empty() {
            let range = info.scan.clone();
            let known = |offset| info.is_field(offset);
            self.scan(at, range.start.into(), range.len() / 8, known, sink)?;
        }
        contents
    }

    #[inline]
    fn contents<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        match info.kind {
            Kind::List => {
                let items = self
                    .reader
                    .pointer(at.add(self.layout.list.ob_item.into()))?;
                self.sequence(items, self.length(at)?, sink)
            }
            Kind::Tuple => {
                let items = at.add(self.layout.tuple.ob_item.into());
                self.sequence(items, self.length(at)? + info.hidden_items, sink)
            }
            Kind::Dict | Kind::OrderedDict => self.dict(at, sink),
            Kind::Set => self.set(at, sink),
            Kind::Deque => self.deque(at, sink),
            Kind::LruCache => self.cached(at, sink),
            Kind::SimpleQueue => self.queue(at, sink),
            Kind::NdArray => self.array_objects(at, sink),
            Kind::Moment(tzinfo) => {
                if self.reader.u8(at.add(moment::HASTZINFO.into()))? != 0 {
                    let zone = self.reader.pointer(at.add(tzinfo.into()))?;
                    sink.edge(zone, RawLabel::Field("tzinfo"));
                }
                Ok(())
            }
            Kind::Frame => self.frame_object(at, sink),
            Kind::Generator => {
                self.generator(at, sink)?;
                self.ended_generator(at, sink)
            }
            Kind::Module => self.module(at, sink),
            Kind::Type => self.type_object(at, sink),
            Kind::Scanned => {
                let head = u64::from(self.layout.object.size);
                let bytes = info.basicsize + self.length(at).unwrap_or(0) * info.itemsize;
                let words = bytes.saturating_sub(head) / 8;
                let known = |offset| info.is_field(offset);
                self.scan(at, head, words as usize, known, sink)
            }
            Kind::Code => self.code(at, sink),
            Kind::Plain | Kind::Str | Kind::Bytes | Kind::ByteArray | Kind::Int => Ok(()),
            Kind::Weakref | Kind::Array | Kind::BytesIo | Kind::CData => Ok(()),
        }
    }

    /// `ob_size`, if it makes sense.
    fn length(&self, at: RemoteAddr) -> Result<u64, ReadError> {
        let length = self.reader.i64(at.add(self.layout.object.ob_size.into()))?;
        u64::try_from(length)
            .ok()
            .filter(|&n| n < MAX_LENGTH)
            .ok_or(ReadError::Unmapped(at))
    }

    fn sequence<S: EdgeSink>(
        &self,
        items: RemoteAddr,
        count: u64,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        if count == 0 {
            return Ok(());
        }
        for (i, item) in (0..).zip(self.reader.pointers(items, count as usize)?) {
            if !item.is_null() {
                sink.edge(item, RawLabel::Index(i));
            }
        }
        Ok(())
    }

    fn dict<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let Some(dict) = Dict::read(self.reader, self.layout, at)? else {
            return Err(ReadError::Unmapped(at));
        };
        if self.is_embedded(dict.values)? && !self.is_tracked(at)? {
            return Ok(());
        }
        dict.for_each(self.reader, self.layout, |position, key, value| {
            sink.edge(key, RawLabel::KeyObject(position));
            sink.edge(
                value,
                RawLabel::Entry {
                    dict: at,
                    key,
                    position,
                },
            );
        })
    }

    fn set<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let l = &self.layout.set;
        let mask = self.reader.u64(at.add(l.mask.into()))?;
        let table = self.reader.pointer(at.add(l.table.into()))?;
        if mask >= MAX_LENGTH {
            return Err(ReadError::Unmapped(table));
        }
        let words = self.reader.pointers(table, (mask as usize + 1) * 2)?;
        let mut position = 0;
        let mut key = RemoteAddr::NULL;
        for (i, word) in words.enumerate() {
            if i % 2 == 0 {
                key = word;
            } else if !key.is_null() && word.0 as i64 != -1 {
                // A deleted entry has hash -1, which no member has (Objects/setobject.c).
                sink.edge(key, RawLabel::KeyObject(position));
                position += 1;
            }
        }
        Ok(())
    }

    fn deque<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let mut left = self.length(at)?;
        let mut block = self.reader.pointer(at.add(deque::LEFTBLOCK.into()))?;
        let mut index = self.reader.u64(at.add(deque::LEFTINDEX.into()))?;
        let mut position = 0;
        while left > 0 && !block.is_null() && index < u64::from(deque::BLOCK_LENGTH) {
            let here = left.min(u64::from(deque::BLOCK_LENGTH) - index);
            let first = block.add(u64::from(deque::BLOCK_DATA) + index * 8);
            for item in self.reader.pointers(first, here as usize)? {
                sink.edge(item, RawLabel::Index(position));
                position += 1;
            }
            left -= here;
            index = 0;
            if left > 0 {
                block = self.next_block(block)?;
            }
        }
        Ok(())
    }

    /// References that the object has in a block of its own, or in an array.
    fn indirect<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        indirect: &Indirect,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let Some((&first, way)) = indirect.path.split_last() else {
            return Ok(());
        };
        let (mut holder, mut block) = (at, at);
        for &offset in way {
            holder = block;
            block = self.reader.pointer(block.add(offset.into()))?;
            if block.is_null() {
                return Ok(());
            }
        }
        let count = match indirect.count {
            Count::Fixed(count) => count,
            Count::At(offset) => self.reader.u32(holder.add(offset.into()))?,
        };
        let (count, stride) = (count as usize, indirect.stride as usize);
        if count == 0 {
            return Ok(());
        }
        let bytes = (count - 1) * stride + 8;
        let bytes = self.reader.bytes(block.add(first.into()), bytes)?;
        for piece in bytes.chunks(stride) {
            let word = piece
                .first_chunk::<8>()
                .map_or(0, |w| u64::from_le_bytes(*w));
            if word & !7 != 0 {
                sink.edge(RemoteAddr(word & !7), RawLabel::Field(indirect.label));
            }
        }
        Ok(())
    }

    /// Keys and results of a `functools.lru_cache` with a limit, oldest first. The links of the ring
    /// are objects too, which the collector does not know; that they hold keys and results is told
    /// of the wrapper alone.
    fn cached<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let reader = self.reader;
        let mut link = reader.pointer(at.add(lru_cache::FIRST.into()))?;
        let mut before = at;
        // Links that agree both ways cannot go in a circle but through the wrapper.
        while !link.is_null() && link != at {
            if reader.pointer(link.add(lru_cache::LINK_PREVIOUS.into()))? != before {
                return Err(ReadError::Unmapped(link));
            }
            before = link;
            let key = reader.pointer(link.add(lru_cache::LINK_KEY.into()))?;
            let result = reader.pointer(link.add(lru_cache::LINK_RESULT.into()))?;
            sink.edge(key, RawLabel::Field("cache key"));
            sink.edge(result, RawLabel::Field("cache entry"));
            link = reader.pointer(link.add(lru_cache::LINK_NEXT.into()))?;
        }
        Ok(())
    }

    /// The items of a `queue.SimpleQueue` that is a ring buffer.
    fn queue<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let word = |offset: u32| self.reader.u64(at.add(offset.into()));
        let (room, length) = (word(simple_queue::CAPACITY)?, word(simple_queue::LENGTH)?);
        let first = word(simple_queue::GET_INDEX)?;
        if room >= MAX_LENGTH || length > room || first >= room.max(1) {
            return Err(ReadError::Unmapped(at));
        }
        let items = RemoteAddr(word(simple_queue::ITEMS)?);
        let items: &[u8] = self.reader.bytes(items, room as usize * 8)?;
        let (words, _) = items.as_chunks::<8>();
        for (i, word) in (0..length).zip(words.iter().cycle().skip(first as usize)) {
            sink.edge(RemoteAddr(u64::from_le_bytes(*word)), RawLabel::Index(i));
        }
        Ok(())
    }

    /// What a code object has computed when it was asked for.
    fn code<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let (reader, c) = (self.reader, &self.layout.code);
        if let Some(cached) = c.co_cached {
            let cached = reader.pointer(at.add(cached.into()))?;
            let offsets = [
                (c.cached_code, "co_code"),
                (c.cached_varnames, "co_varnames"),
                (c.cached_cellvars, "co_cellvars"),
                (c.cached_freevars, "co_freevars"),
            ];
            for (offset, name) in offsets {
                let Some(offset) = offset.filter(|_| !cached.is_null()) else {
                    continue;
                };
                let target = reader.pointer(cached.add(offset.into()))?;
                if !target.is_null() {
                    sink.edge(target, RawLabel::Field(name));
                }
            }
        }
        let (Some(executors), Some(count), Some(items)) =
            (c.co_executors, c.executors_count, c.executors_items)
        else {
            return Ok(());
        };
        let executors = reader.pointer(at.add(executors.into()))?;
        if executors.is_null() {
            return Ok(());
        }
        let count = reader.u32(executors.add(count.into()))?;
        self.sequence(executors.add(items.into()), count.into(), sink)
    }

    /// From 3.12 on a generator that has ended still holds its code, in the frame within it.
    fn ended_generator<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let l = &self.layout.generator;
        let (None, Some(state), Some(cleared), Some(frame)) =
            (l.gi_code, l.gi_frame_state, l.frame_cleared, l.gi_iframe)
        else {
            return Ok(());
        };
        let state = self.reader.u8(at.add(state.into()))? as i8;
        if i32::from(state) >= cleared as i32 {
            let code = self.frame(at.add(frame.into()))?.code;
            if !code.is_null() {
                sink.edge(code, RawLabel::Field("gi_code"));
            }
        }
        Ok(())
    }

    fn module<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        match self.module_state(at)? {
            Some((state, bytes)) => self.scan(state, 0, (bytes / 8) as usize, |_| false, sink),
            None => Ok(()),
        }
    }

    /// What a module keeps for its C code: where, and how many bytes.
    pub(crate) fn module_state(
        &self,
        at: RemoteAddr,
    ) -> Result<Option<(RemoteAddr, u64)>, ReadError> {
        let l = &self.layout.module;
        let state = self.reader.pointer(at.add(l.md_state.into()))?;
        if state.is_null() {
            return Ok(None);
        }
        let size = match l.md_state_size {
            Some(size) => at.add(size.into()),
            None => {
                let def = self.reader.pointer(at.add(l.md_def.into()))?;
                if def.is_null() {
                    return Ok(None);
                }
                def.add(l.def_size.into())
            }
        };
        let bytes = u64::try_from(self.reader.i64(size)?).unwrap_or(0);
        Ok(Some((state, bytes)))
    }

    fn type_object<S: EdgeSink>(&self, at: RemoteAddr, sink: &mut S) -> Result<(), ReadError> {
        let (reader, t, h) = (self.reader, &self.layout.ty, &self.layout.heap_type);
        if let Some(&(dict, subclasses)) = self.static_types.get(&at) {
            for (target, name) in [(dict, "__dict__"), (subclasses, "tp_subclasses")] {
                if !target.is_null() {
                    sink.edge(target, RawLabel::Field(name));
                }
            }
            sink.namespace(dict);
        }
        let flags = reader.u32(at.add(t.tp_flags.into()))?;
        if flags & self.layout.flags.heaptype == 0 {
            // From 3.12 on the interpreter has that of builtin types, and a number is in its place.
            if self.minor < 12 {
                let subclasses = reader.pointer(at.add(t.tp_subclasses.into()))?;
                if !subclasses.is_null() {
                    sink.edge(subclasses, RawLabel::Field("tp_subclasses"));
                }
            }
            return Ok(());
        }
        for (offset, name) in [
            (t.tp_subclasses, "tp_subclasses"),
            (h.ht_name, "__name__"),
            (h.ht_qualname, "__qualname__"),
            (h.ht_slots, "__slots__"),
            (h.ht_module, "ht_module"),
        ] {
            let target = reader.pointer(at.add(offset.into()))?;
            if !target.is_null() {
                sink.edge(target, RawLabel::Field(name));
            }
        }
        let cached = reader.pointer(at.add(h.ht_cached_keys.into()))?;
        if !cached.is_null()
            && let Some(keys) = Keys::read(reader, self.layout, cached)?
        {
            for (position, (key, _)) in (0..).zip(keys.pairs(reader)?) {
                if !key.is_null() {
                    sink.edge(key, RawLabel::KeyObject(position));
                }
            }
        }
        Ok(())
    }

    /// The instance's attributes: its `__dict__`, or values that were never made into one.
    #[inline]
    fn attributes<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let reader = self.reader;
        let dict = match info.dict {
            DictPlace::None => return Ok(()),
            DictPlace::Managed => {
                let (dict, values) = self.managed_dict(at, info)?;
                // A dictionary that shows the instance's values owns the references in their place.
                let shown = !dict.is_null()
                    && self.is_embedded(values)?
                    && self.is_tracked(dict)?
                    && self
                        .reader
                        .pointer(dict.add(self.layout.dict.ma_values.into()))?
                        == values;
                if !values.is_null() && !shown {
                    self.values(values, info.cached_keys, sink)?;
                }
                dict
            }
            DictPlace::Offset(offset) => reader.pointer(at.add(offset.into()))?,
            DictPlace::FromEnd(back) => {
                let size = reader.i64(at.add(self.layout.object.ob_size.into()))?;
                let items = size.unsigned_abs().min(MAX_LENGTH) * info.itemsize;
                let end = (info.basicsize + items).next_multiple_of(8);
                reader.pointer(at.add(end).sub(back.into()))?
            }
        };
        // A type's own `__dict__` is among its fields.
        if !dict.is_null() && info.kind != Kind::Type && info.kind != Kind::Module {
            sink.edge(dict, RawLabel::Field("__dict__"));
            sink.namespace(dict);
        }
        Ok(())
    }

    /// Where an instance with a managed dictionary keeps it: (dict, values), either may be null
    /// (pycore_object.h, `_PyObject_DictOrValuesPointer`, `_PyObject_InlineValues`).
    #[inline]
    pub(crate) fn managed_dict(
        &self,
        at: RemoteAddr,
        info: &TypeInfo,
    ) -> Result<(RemoteAddr, RemoteAddr), ReadError> {
        let null = RemoteAddr::NULL;
        let l = &self.layout.instance;
        let Some(back) = l.managed_dict else {
            return Ok((null, null));
        };
        let word = self.reader.pointer(at.sub(back.into()))?;
        // 3.11: two words, a dictionary and an array of values.
        if let Some(values) = l.managed_values {
            return Ok((word, self.reader.pointer(at.sub(values.into()))?));
        }
        let (Some(inline), Some(valid)) = (
            self.layout.flags.inline_values,
            self.layout.dict_values.valid,
        ) else {
            // 3.12: one word, whose low bit tells values (stored as address − 1) from a dict.
            let tagged = word.0 & 1 == 1;
            return Ok(if tagged {
                (null, word.add(1))
            } else {
                (word, null)
            });
        };
        // 3.13: a dictionary, and values right after the object.
        if info.flags & inline == 0 {
            return Ok((word, null));
        }
        let values = at.add(info.basicsize);
        let valid = self.reader.u8(values.add(valid.into()))? != 0;
        Ok((word, if valid { values } else { null }))
    }

    fn values<S: EdgeSink>(
        &self,
        values: RemoteAddr,
        keys: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let l = &self.layout.dict_values;
        let Some(keys) = Keys::read(self.reader, self.layout, keys)? else {
            return Err(ReadError::Unmapped(keys));
        };
        let mut count = keys.entries;
        if let Some(capacity) = l.capacity {
            count = count.min(self.reader.u8(values.add(capacity.into()))?.into());
        }
        let pairs = keys.pairs(self.reader)?;
        let words = self
            .reader
            .pointers(values.add(l.values.into()), count as usize)?;
        for ((key, _), value) in pairs.zip(words) {
            if !value.is_null() {
                sink.edge(value, RawLabel::Attribute(key));
            }
        }
        Ok(())
    }

    /// Tells `sink` of `words` words from `offset` on, less those that are `known` otherwise.
    pub(crate) fn scan<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        offset: u64,
        words: usize,
        known: impl Fn(u64) -> bool,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let words = self.reader.pointers(at.add(offset), words.min(MAX_SCAN))?;
        for (i, word) in (0..).zip(words) {
            let offset = offset + i * 8;
            if word.0 > 4096 && word.0 % 8 == 0 && word.0 >> 47 == 0 && !known(offset) {
                sink.candidate(word, offset);
            }
        }
        Ok(())
    }
}
