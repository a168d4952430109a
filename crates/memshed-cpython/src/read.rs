//! Typed reads of a target's memory. Every value is guilty: nothing here trusts a length.

use memshed_target::{Memory, ReadError, RemoteAddr};

/// Reads integers and pointers out of a [`Memory`].
pub(crate) struct Reader<'m, M: Memory>(pub(crate) &'m M);

impl<M: Memory> Clone for Reader<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Memory> Copy for Reader<'_, M> {}

impl<'m, M: Memory> Reader<'m, M> {
    /// The `len` bytes at `at`.
    #[inline]
    pub(crate) fn bytes(self, at: RemoteAddr, len: usize) -> Result<&'m [u8], ReadError> {
        self.0.bytes(at, len)
    }

    #[inline]
    fn array<const N: usize>(self, at: RemoteAddr) -> Result<[u8; N], ReadError> {
        let bytes = self.0.bytes(at, N)?;
        bytes.try_into().map_err(|_| ReadError::Unmapped(at))
    }

    #[inline]
    pub(crate) fn u8(self, at: RemoteAddr) -> Result<u8, ReadError> {
        Ok(self.array::<1>(at)?[0])
    }

    #[inline]
    pub(crate) fn u32(self, at: RemoteAddr) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub(crate) fn i32(self, at: RemoteAddr) -> Result<i32, ReadError> {
        Ok(i32::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub(crate) fn u64(self, at: RemoteAddr) -> Result<u64, ReadError> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    #[inline]
    pub(crate) fn i64(self, at: RemoteAddr) -> Result<i64, ReadError> {
        Ok(i64::from_le_bytes(self.array(at)?))
    }

    /// The pointer stored at `at`.
    #[inline]
    pub(crate) fn pointer(self, at: RemoteAddr) -> Result<RemoteAddr, ReadError> {
        Ok(RemoteAddr(self.u64(at)?))
    }

    /// `count` pointers in a row, as far as they are mapped.
    #[inline]
    pub(crate) fn pointers(
        self,
        at: RemoteAddr,
        count: usize,
    ) -> Result<impl Iterator<Item = RemoteAddr> + 'm, ReadError> {
        let len = count.checked_mul(8).ok_or(ReadError::Unmapped(at))?;
        let (words, _) = self.0.bytes(at, len)?.as_chunks::<8>();
        Ok(words.iter().map(|w| RemoteAddr(u64::from_le_bytes(*w))))
    }

    /// The C string at `at`, of at most `limit` bytes, with foreign bytes replaced.
    pub(crate) fn c_string(self, at: RemoteAddr, limit: usize) -> Result<String, ReadError> {
        let run = self.0.mapped_run(at).ok_or(ReadError::Unmapped(at))?;
        let len = (run.end - at.0).min(limit as u64) as usize;
        let bytes = self.0.bytes(at, len)?;
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(len);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}
