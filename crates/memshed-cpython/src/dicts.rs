//! Dictionaries and their keys tables (CPython's Objects/dictobject.c, pycore_dict.h).

use crate::edges::{EdgeSink, Visitor};
use crate::layouts::{self, Layout};
use crate::read::Reader;
use memshed_target::{Memory, ReadError, RemoteAddr};

/// `dk_kind` of a table whose entries hold `{hash, key, value}`.
const GENERAL: u8 = 0;
/// The greatest `dk_kind`: a table shared by the instances of a class.
const SPLIT: u8 = 2;
/// A table of more than 2^40 slots is garbage.
const MAX_LOG2_SIZE: u8 = 40;

/// A `PyDictKeysObject`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    /// Its address.
    pub(crate) at: RemoteAddr,
    /// Entries ever used, deleted ones included.
    pub(crate) entries: u64,
    /// Entries that fit (`USABLE_FRACTION` of the slots).
    pub(crate) usable: u64,
    /// Values that an instance sharing the table has room for (`shared_keys_usable_size`).
    pub(crate) shared: u64,
    /// References from dictionaries and types.
    pub(crate) refcount: i64,
    /// Whether entries hold the hash too.
    pub(crate) general: bool,
    indices: u64,
    first_entry: RemoteAddr,
}

impl Keys {
    /// Reads the header of the table at `at`; `None` if it makes no sense.
    #[inline]
    pub(crate) fn read<M: Memory>(
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Result<Option<Keys>, ReadError> {
        let l = &layout.dict_keys;
        let Some(shape) = Shape::read(reader, l, at)? else {
            return Ok(None);
        };
        let entries = reader.i64(at.add(l.dk_nentries.into()))?;
        let usable = (shape.slots << 1) / 3;
        // The shared table of empty dictionaries has one slot that is never used.
        if entries < 0 || entries as u64 > usable {
            return Ok(None);
        }
        // Up to 3.10 an array of values has room for all that the table has room for.
        let shared = match l.dk_size {
            Some(_) => usable,
            None => {
                let free = reader.i64(at.add(l.dk_usable.into()))?.max(0) as u64;
                (entries as u64).saturating_add(free).min(usable)
            }
        };
        Ok(Some(Keys {
            at,
            entries: entries as u64,
            usable,
            shared,
            refcount: reader.i64(at.add(l.dk_refcnt.into()))?,
            general: shape.general,
            indices: shape.indices,
            first_entry: at.add(u64::from(l.dk_indices) + shape.indices),
        }))
    }

    fn entry_words(&self) -> usize {
        if self.general { 3 } else { 2 }
    }

    /// Bytes of the whole table, as `_PyDict_KeysSize` counts them.
    pub(crate) fn size(&self, layout: &Layout) -> u64 {
        u64::from(layout.dict_keys.dk_indices)
            + self.indices
            + self.usable * self.entry_words() as u64 * 8
    }

    /// The key and value words of every entry, null ones included, in order of insertion. In a
    /// split table the value words mean nothing.
    #[inline]
    pub(crate) fn pairs<'m, M: Memory>(
        &self,
        reader: Reader<'m, M>,
    ) -> Result<impl Iterator<Item = (RemoteAddr, RemoteAddr)> + use<'m, M>, ReadError> {
        let words = self.entry_words();
        let bytes = reader.bytes(self.first_entry, self.entries as usize * words * 8)?;
        let word = |b: &[u8], i: usize| {
            let (words, _) = b.as_chunks::<8>();
            RemoteAddr(words.get(i).map_or(0, |w| u64::from_le_bytes(*w)))
        };
        Ok(bytes
            .chunks_exact(words * 8)
            .map(move |entry| (word(entry, words - 2), word(entry, words - 1))))
    }
}

/// How a keys table is laid out.
struct Shape {
    /// Slots of the hash table, a power of two.
    slots: u64,
    /// Bytes of its indices.
    indices: u64,
    /// Whether entries hold the hash too.
    general: bool,
}

impl Shape {
    #[inline]
    fn read<M: Memory>(
        reader: Reader<'_, M>,
        l: &layouts::DictKeys,
        at: RemoteAddr,
    ) -> Result<Option<Shape>, ReadError> {
        let (Some(size), Some(index_bytes), Some(kind)) =
            (l.dk_log2_size, l.dk_log2_index_bytes, l.dk_kind)
        else {
            return Shape::read_size(reader, l, at);
        };
        let log2_size = reader.u8(at.add(size.into()))?;
        let log2_index_bytes = reader.u8(at.add(index_bytes.into()))?;
        let kind = reader.u8(at.add(kind.into()))?;
        if log2_size > MAX_LOG2_SIZE || log2_index_bytes > MAX_LOG2_SIZE + 3 || kind > SPLIT {
            return Ok(None);
        }
        Ok(Some(Shape {
            slots: 1 << log2_size,
            indices: 1 << log2_index_bytes,
            general: kind == GENERAL,
        }))
    }

    /// Up to 3.10 a table says its size only, by which the width of an index goes (`DK_IXSIZE`).
    fn read_size<M: Memory>(
        reader: Reader<'_, M>,
        l: &layouts::DictKeys,
        at: RemoteAddr,
    ) -> Result<Option<Shape>, ReadError> {
        let Some(size) = l.dk_size else {
            return Ok(None);
        };
        let slots = reader.u64(at.add(size.into()))?;
        if !slots.is_power_of_two() || slots > 1 << MAX_LOG2_SIZE {
            return Ok(None);
        }
        Ok(Some(Shape {
            slots,
            indices: slots * index_width(slots),
            general: true,
        }))
    }
}

/// Bytes of an index into a table of so many slots (`DK_IXSIZE`).
fn index_width(slots: u64) -> u64 {
    match slots {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Bytes of the table of a new dictionary with so many entries (`estimate_log2_keysize`); an empty
/// one has none of its own.
pub(crate) fn table_size(layout: &Layout, entries: u64, general: bool) -> u64 {
    const SMALLEST: u64 = 8;
    if entries == 0 || entries > 1 << MAX_LOG2_SIZE {
        return 0;
    }
    let slots = (entries * 3).div_ceil(2).next_power_of_two().max(SMALLEST);
    let words = if general { 3 } else { 2 };
    u64::from(layout.dict_keys.dk_indices)
        + slots * index_width(slots)
        + (slots << 1) / 3 * words * 8
}

/// A dictionary's parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dict {
    /// Its keys table.
    pub(crate) keys: Keys,
    /// The array of values, if it shares its keys; null otherwise.
    pub(crate) values: RemoteAddr,
}

impl Dict {
    /// Reads the dictionary at `at`; `None` if its keys make no sense.
    #[inline]
    pub(crate) fn read<M: Memory>(
        reader: Reader<'_, M>,
        layout: &Layout,
        at: RemoteAddr,
    ) -> Result<Option<Dict>, ReadError> {
        let keys = reader.pointer(at.add(layout.dict.ma_keys.into()))?;
        let values = reader.pointer(at.add(layout.dict.ma_values.into()))?;
        let keys = Keys::read(reader, layout, keys)?;
        Ok(keys.map(|keys| Dict { keys, values }))
    }

    /// Calls `entry` with position, key and value of every entry that has a value.
    #[inline]
    pub(crate) fn for_each<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &Layout,
        mut entry: impl FnMut(u64, RemoteAddr, RemoteAddr),
    ) -> Result<(), ReadError> {
        let pairs = self.keys.pairs(reader)?;
        if self.values.is_null() {
            for (i, (key, value)) in (0..).zip(pairs) {
                if !value.is_null() {
                    entry(i, key, value);
                }
            }
            return Ok(());
        }
        let first = self.values.add(layout.dict_values.values.into());
        let values = reader.pointers(first, self.keys.entries as usize)?;
        for (i, ((key, _), value)) in (0..).zip(pairs.zip(values)) {
            if !value.is_null() {
                entry(i, key, value);
            }
        }
        Ok(())
    }
}

impl<M: Memory> Visitor<'_, M> {
    /// Whether values lie in their instance, from where a `__dict__` may show them, too, from 3.13
    /// on. Each is one reference, and who tells of it depends: in 3.13.0 always the instance, and
    /// such dictionaries are not tracked; later the dictionary (Objects/dictobject.c,
    /// `PyObject_VisitManagedDict` and `dict_traverse`), which is tracked unless there is nothing in
    /// it to track.
    pub(crate) fn is_embedded(&self, values: RemoteAddr) -> Result<bool, ReadError> {
        match self.layout.dict_values.embedded {
            Some(embedded) if !values.is_null() => {
                Ok(self.reader.u8(values.add(embedded.into()))? != 0)
            }
            _ => Ok(false),
        }
    }

    /// Tells `sink` of the namespaces of a `threading.local`, one for each thread: they are the
    /// values of a dictionary (Modules/_threadmodule.c, `_local_create_dummy`).
    pub(crate) fn thread_namespaces<S: EdgeSink>(
        &self,
        dummies: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        match Dict::read(self.reader, self.layout, dummies)? {
            Some(dict) => dict.for_each(self.reader, self.layout, |_, _, namespace| {
                sink.namespace(namespace);
            }),
            None => Ok(()),
        }
    }

    /// Whether the collector tracks the object at `at`, which has a header for that.
    pub(crate) fn is_tracked(&self, at: RemoteAddr) -> Result<bool, ReadError> {
        Ok(self.reader.u64(at.sub(self.layout.gc.head_size.into()))? != 0)
    }
}

/// The value under the `str` key `name` in the dictionary at `dict`, by reading it from front to
/// back (for small dictionaries: those of types and modules).
pub(crate) fn get<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    dict: RemoteAddr,
    name: &str,
) -> Option<RemoteAddr> {
    let dict = Dict::read(reader, layout, dict).ok()??;
    let mut found = None;
    dict.for_each(reader, layout, |_, key, value| {
        let named = || crate::strings::text(reader, layout, key).is_some_and(|k| k == name);
        if found.is_none() && named() {
            found = Some(value);
        }
    })
    .ok()?;
    found
}
