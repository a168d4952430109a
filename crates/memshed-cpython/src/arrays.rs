//! numpy's arrays (`PyArrayObject_fields` and `PyArray_Descr`, which are part of numpy's public
//! interface, numpy/ndarraytypes.h): where an array's data is, and the objects in it.

use crate::edges::{EdgeSink, MAX_LENGTH, RawLabel, Visitor};
use crate::layouts::private::{dtype, ndarray};
use memshed_target::{Memory, ReadError, RemoteAddr};

/// The data that an array made for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnData {
    /// Where it begins.
    pub(crate) at: RemoteAddr,
    /// How long it is.
    pub(crate) bytes: u64,
    /// What is in it.
    elements: Elements,
}

/// What an array's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elements {
    /// References to objects.
    Objects,
    /// Records, some of whose fields are references.
    Mixed,
    /// Nothing that refers to anything.
    Plain,
}

impl<M: Memory> Visitor<'_, M> {
    /// The data of the array at `at`; `None` if they are another's.
    pub(crate) fn own_data(&self, at: RemoteAddr) -> Result<Option<OwnData>, ReadError> {
        let reader = self.reader;
        if reader.u32(at.add(ndarray::FLAGS.into()))? & ndarray::OWNDATA == 0 {
            return Ok(None);
        }
        let descr = reader.pointer(at.add(ndarray::DESCR.into()))?;
        let (size, flags) = self.element(descr)?;
        let kind = reader.u32(descr.add(dtype::TYPE_NUM.into()))?;
        let rank = reader.u32(at.add(ndarray::ND.into()))?;
        let dimensions = reader.pointer(at.add(ndarray::DIMENSIONS.into()))?;
        if rank > ndarray::MAX_ND {
            return Err(ReadError::Unmapped(at));
        }
        let mut bytes = size;
        if rank > 0 {
            for length in reader.pointers(dimensions, rank as usize)? {
                bytes = bytes.saturating_mul(length.0);
            }
        }
        let elements = match (kind == dtype::OBJECT, flags & dtype::ITEM_REFCOUNT != 0) {
            (true, _) => Elements::Objects,
            (false, true) => Elements::Mixed,
            (false, false) => Elements::Plain,
        };
        Ok(Some(OwnData {
            at: reader.pointer(at.add(ndarray::DATA.into()))?,
            bytes: bytes.min(MAX_LENGTH),
            elements,
        }))
    }

    /// Bytes and flags of an element. numpy 2 moved both; the size of the description tells.
    fn element(&self, descr: RemoteAddr) -> Result<(u64, u32), ReadError> {
        let reader = self.reader;
        let of = reader.pointer(descr.add(self.layout.object.ob_type.into()))?;
        let size = reader.u64(of.add(self.layout.ty.tp_basicsize.into()))?;
        let word = |offset: u32| reader.u32(descr.add(offset.into()));
        Ok(match size == u64::from(dtype::SIZE_1) {
            true => (word(dtype::ELSIZE_1)?.into(), word(dtype::FLAGS_1)? >> 24),
            false => (
                reader.u64(descr.add(dtype::ELSIZE.into()))?,
                word(dtype::FLAGS)?,
            ),
        })
    }

    /// The objects in an array's own data; those of a view are told of the array that owns them.
    pub(crate) fn array_objects<S: EdgeSink>(
        &self,
        at: RemoteAddr,
        sink: &mut S,
    ) -> Result<(), ReadError> {
        let Some(data) = self.own_data(at)? else {
            return Ok(());
        };
        let words = (data.bytes / 8) as usize;
        match data.elements {
            Elements::Plain => {}
            Elements::Mixed => self.scan(data.at, 0, words, |_| false, sink)?,
            Elements::Objects if words > 0 => {
                for (i, item) in (0..).zip(self.reader.pointers(data.at, words)?) {
                    if !item.is_null() {
                        sink.edge(item, RawLabel::Index(i));
                    }
                }
            }
            Elements::Objects => {}
        }
        Ok(())
    }
}
