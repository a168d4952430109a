//! A column of sizes.

use rustc_hash::FxHashMap;

/// A column of sizes in bytes, four bytes each; the few that need more are kept aside.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    small: Vec<u32>,
    large: FxHashMap<u32, u64>,
}

impl Sizes {
    /// An empty column with room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Sizes {
        Sizes {
            small: Vec::with_capacity(rows),
            large: FxHashMap::default(),
        }
    }

    /// Appends a row.
    pub fn push(&mut self, bytes: u64) {
        let row = self.small.len() as u32;
        match u32::try_from(bytes) {
            Ok(v) if v != u32::MAX => self.small.push(v),
            _ => {
                self.small.push(u32::MAX);
                self.large.insert(row, bytes);
            }
        }
    }

    /// The size in row `row`, in bytes.
    pub fn get(&self, row: usize) -> u64 {
        match self.small[row] {
            u32::MAX => self
                .large
                .get(&(row as u32))
                .copied()
                .unwrap_or(u64::from(u32::MAX)),
            v => u64::from(v),
        }
    }

    /// Appends all rows of `other`.
    pub fn append(&mut self, other: Sizes) {
        let base = self.small.len() as u32;
        self.small.extend_from_slice(&other.small);
        self.large.extend(
            other
                .large
                .into_iter()
                .map(|(row, bytes)| (row + base, bytes)),
        );
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.small.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.small.is_empty()
    }

    /// Makes room for exactly `rows` more.
    pub(crate) fn reserve_exact(&mut self, rows: usize) {
        self.small.reserve_exact(rows);
    }

    /// All rows in order, in bytes.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.small.len()).map(|row| self.get(row))
    }
}
