//! Which tables there are, and which versions of CPython each one holds for.

use super::spec::{Range, Version};
use anyhow::Result;

/// One generated table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name of the file; in capitals, of the constant.
    pub name: &'static str,
    /// The versions it holds for.
    pub versions: &'static str,
    /// For versions whose fields lie elsewhere than those of the series' main table: that table,
    /// from which this one is written as a difference.
    pub base: Option<&'static str>,
    /// What moved, with the source that says so, and which versions were looked at.
    pub note: &'static str,
    /// What the C compiler is to define, for builds that differ where their headers do not.
    pub define: Option<&'static str>,
}

/// Every table, oldest first.
pub const TABLES: [Table; 14] = [
    Table {
        name: "v3_9",
        versions: "3.9",
        base: None,
        note: "Headers of 3.9.18.",
        define: None,
    },
    Table {
        name: "v3_10",
        versions: "3.10",
        base: None,
        note: "Headers of 3.10.13.",
        define: None,
    },
    Table {
        name: "v3_11",
        versions: "3.11",
        base: None,
        note: "Headers of 3.11.2 and 3.11.7 agree.",
        define: None,
    },
    Table {
        name: "v3_12",
        versions: "3.12",
        base: None,
        note: "Headers of 3.12.1 and 3.12.5 agree but for the static strings.",
        define: None,
    },
    Table {
        name: "v3_13_0",
        versions: "3.13.0-3.13.4",
        base: Some("v3_13"),
        note: "3.13.5 gave `PyGC_Head` an alignment of 4 (gh-127545), by which `gc.generations` \
               moved forward. Headers of 3.13.0.",
        define: None,
    },
    Table {
        name: "v3_13",
        versions: "3.13.5-3.13.11",
        base: None,
        note: "Headers of 3.13.5, .7, .8 and .9 agree.",
        define: None,
    },
    Table {
        name: "v3_13_12",
        versions: "3.13.12-3.13.12",
        base: Some("v3_13"),
        note: "3.13.12 enlarged the process-wide `ceval.perf`. Headers of 3.13.12.",
        define: None,
    },
    Table {
        name: "v3_13_13",
        versions: "3.13.13-3.13",
        base: Some("v3_13"),
        note: "3.13.13 gave threads a cached data stack chunk (gh-142183). Headers of 3.13.14, .15 \
               and .18 agree.",
        define: None,
    },
    Table {
        name: "v3_14_0",
        versions: "3.14.0-3.14.2",
        base: Some("v3_14"),
        note: "3.14.3 enlarged the process-wide `ceval.perf`, as 3.13.12 did. Made of the headers \
               of 3.14.3 without `prev_eval_frame`, `trampoline_refcount` and `code_watcher_id` of \
               `struct _ceval_runtime_state`: offsets of `runtime` behind them are hints.",
        define: None,
    },
    Table {
        name: "v3_14_3",
        versions: "3.14.3-3.14.3",
        base: Some("v3_14"),
        note: "3.14.4 enlarged `interp.qsbr` (gh-144438) and gave threads a cached data stack \
               chunk (gh-142183). Headers of 3.14.3.",
        define: None,
    },
    Table {
        name: "v3_14_4",
        versions: "3.14.4-3.14.4",
        base: Some("v3_14"),
        note: "3.14.5 went back to the collector of 3.13, which enlarged `gc` (gh-149242). Made of \
               the headers of 3.14.3 with `pycore_qsbr.h` and `pystate.h` of 3.14.5.",
        define: None,
    },
    Table {
        name: "v3_14",
        versions: "3.14.5-3.14",
        base: None,
        note: "Headers of 3.14.5 to 3.14.10 agree.",
        define: None,
    },
    Table {
        name: "v3_15",
        versions: "3.15",
        base: None,
        note: "Headers of 3.15.0.",
        define: None,
    },
    Table {
        name: "v3_15_jit",
        versions: "3.15",
        base: Some("v3_15"),
        note: "Built with `--enable-experimental-jit`, as Debian does: threads have the state of a \
               tracer. Headers of 3.15.0.",
        define: Some("_Py_TIER2"),
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

    /// The tables for `version`: one, or one for each way of building it.
    pub fn of(version: Version) -> Result<Vec<Table>> {
        let mut all = Vec::new();
        for table in TABLES {
            if table.range()?.holds(version) {
                all.push(table);
            }
        }
        Ok(all)
    }
}
