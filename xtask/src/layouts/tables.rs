//! Which tables there are, and which versions of CPython each one holds for.

use super::spec::{Range, Version};
use anyhow::Result;

/// One generated table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name of the file; in capitals, of the constant.
    pub name: &'static str,
    /// The versions it holds for. Tables of one minor version differ only where a patch release
    /// moved fields.
    pub versions: &'static str,
}

/// Every table, oldest first.
///
/// 3.14.4 enlarged `interp.qsbr`, which moved what follows; 3.14.5 went back to the collector of
/// 3.13, which enlarged `gc` (`Include/internal/pycore_interp_structs.h`).
pub const TABLES: [Table; 6] = [
    Table {
        name: "v3_11",
        versions: "3.11",
    },
    Table {
        name: "v3_12",
        versions: "3.12",
    },
    Table {
        name: "v3_13",
        versions: "3.13",
    },
    Table {
        name: "v3_14_0",
        versions: "3.14.0-3.14.3",
    },
    Table {
        name: "v3_14_4",
        versions: "3.14.4-3.14.4",
    },
    Table {
        name: "v3_14_5",
        versions: "3.14.5-3.14",
    },
];

impl Table {
    /// The versions as numbers.
    pub fn range(&self) -> Result<Range> {
        Range::parse(self.versions)
    }

    /// The name of the constant.
    pub fn constant(&self) -> String {
        self.name.to_uppercase()
    }

    /// The table for `version`.
    pub fn of(version: Version) -> Result<Option<Table>> {
        for table in TABLES {
            if table.range()?.holds(version) {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }
}
