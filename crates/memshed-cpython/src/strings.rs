//! Text of `str` objects (CPython's Objects/unicodeobject.c, Include/cpython/unicodeobject.h).

use crate::layouts::Layout;
use crate::read::Reader;
use memshed_target::{Memory, ReadError, RemoteAddr};

/// Names are cut to this many characters: nobody reads longer ones, and a length may be garbage.
pub(crate) const NAME_LIMIT: u64 = 256;

/// No text is longer than this; a greater length is garbage.
const MAX_LENGTH: i64 = 1 << 46;

/// The shape of a `str` object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Characters.
    pub(crate) length: u64,
    /// Bytes a character: 1, 2 or 4.
    pub(crate) width: u64,
    /// Whether the characters follow the object (otherwise they lie in a buffer of their own).
    pub(crate) compact: bool,
    /// Whether all characters are below 128.
    pub(crate) ascii: bool,
}

/// Reads the shape of the `str` at `at`; `None` if its bits make no sense.
pub(crate) fn shape<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    at: RemoteAddr,
) -> Result<Option<Shape>, ReadError> {
    let l = &layout.unicode;
    let length = reader.i64(at.add(l.length.into()))?;
    let state = reader.u32(at.add(l.state.into()))?;
    let width = u64::from(state >> l.kind_bit & 7);
    let compact = state >> l.compact_bit & 1 == 1;
    let ascii = state >> l.ascii_bit & 1 == 1;
    let sane = (0..MAX_LENGTH).contains(&length) && matches!(width, 1 | 2 | 4);
    Ok(sane.then_some(Shape {
        length: length as u64,
        width,
        compact,
        ascii,
    }))
}

/// The first [`NAME_LIMIT`] characters of the `str` at `at`.
pub(crate) fn text<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    at: RemoteAddr,
) -> Option<String> {
    prefix(reader, layout, at, NAME_LIMIT).map(|(text, _)| text)
}

/// The first `limit` characters of the `str` at `at`, and how many it has in all.
pub(crate) fn prefix<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    at: RemoteAddr,
    limit: u64,
) -> Option<(String, u64)> {
    let shape = shape(reader, layout, at).ok()??;
    let l = &layout.unicode;
    let data = match (shape.compact, shape.ascii) {
        (true, true) => at.add(l.ascii_size.into()),
        (true, false) => at.add(l.compact_size.into()),
        (false, _) => reader.pointer(at.add(l.data_any.into())).ok()?,
    };
    let length = shape.length.min(limit);
    let bytes = reader.bytes(data, (length * shape.width) as usize).ok()?;
    let point = |b: &[u8]| {
        let mut word = [0; 4];
        word[..b.len()].copy_from_slice(b);
        char::from_u32(u32::from_le_bytes(word)).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let text = bytes.chunks(shape.width as usize).map(point).collect();
    Some((text, shape.length))
}
