//! A column of addresses.

/// A column of addresses, four bytes each: their low halves. The upper halves of neighbours are
/// nearly always the same in a sorted column, so these are kept once for each run of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    low: Vec<u32>,
    runs: Vec<Run>,
}

/// Rows from `first` on have this upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u32,
    high: u32,
}

impl Addresses {
    /// An empty column with room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Addresses {
        Addresses {
            low: Vec::with_capacity(rows),
            runs: Vec::new(),
        }
    }

    /// Appends a row. Rows are counted in 32 bits, as handles are.
    pub fn push(&mut self, address: u64) {
        let high = (address >> 32) as u32;
        if self.runs.last().is_none_or(|run| run.high != high) {
            self.runs.push(Run {
                first: self.low.len() as u32,
                high,
            });
        }
        self.low.push(address as u32);
    }

    /// The address in row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn get(&self, row: usize) -> u64 {
        let after = self.runs.partition_point(|run| run.first as usize <= row);
        u64::from(self.runs[after - 1].high) << 32 | u64::from(self.low[row])
    }

    /// The address in the last row.
    pub fn last(&self) -> Option<u64> {
        let last = self.low.len().checked_sub(1)?;
        Some(self.get(last))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let ends = self.runs.iter().skip(1).map(|run| run.first as usize);
        let ends = ends.chain([self.low.len()]);
        self.runs.iter().zip(ends).flat_map(|(run, end)| {
            let high = u64::from(run.high) << 32;
            let low = &self.low[run.first as usize..end];
            low.iter().map(move |low| high | u64::from(*low))
        })
    }

    /// Whether no row is smaller than the one before.
    pub fn is_sorted(&self) -> bool {
        self.iter().is_sorted()
    }

    /// The first row whose address is not below `address`, if the column is sorted; the number of
    /// rows if there is none.
    pub fn lower_bound(&self, address: u64) -> usize {
        let high = (address >> 32) as u32;
        let at = self.runs.partition_point(|run| run.high < high);
        let first = self
            .runs
            .get(at)
            .map_or(self.low.len(), |r| r.first as usize);
        if self.runs.get(at).is_none_or(|run| run.high != high) {
            return first;
        }
        let next = self.runs.get(at + 1).map(|run| run.first as usize);
        let low = &self.low[first..next.unwrap_or(self.low.len())];
        first + low.partition_point(|&low| low < address as u32)
    }

    /// Makes room for exactly `rows` more.
    pub(crate) fn reserve_exact(&mut self, rows: usize) {
        self.low.reserve_exact(rows);
    }
}

impl Extend<u64> for Addresses {
    fn extend<T: IntoIterator<Item = u64>>(&mut self, addresses: T) {
        for address in addresses {
            self.push(address);
        }
    }
}

impl FromIterator<u64> for Addresses {
    fn from_iter<T: IntoIterator<Item = u64>>(addresses: T) -> Addresses {
        let mut column = Addresses::default();
        column.extend(addresses);
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_what_was_pushed(mut addresses in prop::collection::vec(0..1u64 << 35, 0..300), strays: [u64; 8]) {
            addresses.extend(strays);
            let unsorted: Addresses = addresses.iter().copied().collect();
            prop_assert!(unsorted.iter().eq(addresses.iter().copied()));
            prop_assert_eq!(unsorted.is_sorted(), addresses.is_sorted());

            addresses.sort_unstable();
            addresses.dedup();
            let column: Addresses = addresses.iter().copied().collect();
            prop_assert!(column.is_sorted());
            prop_assert_eq!(column.last(), addresses.last().copied());
            for (row, &address) in addresses.iter().enumerate() {
                prop_assert_eq!(column.get(row), address);
                let next = address.wrapping_add(1);
                for at in [address, next] {
                    let bound = addresses.partition_point(|&one| one < at);
                    prop_assert_eq!(column.lower_bound(at), bound);
                }
            }
        }
    }
}
