//! Who keeps mostly empty arenas and pools: the view, and its text.

use crate::page::{Column, Page, harmless};
use crate::units::{bytes, count, plural};
use memshed_analysis::{Pinned, Pinner, Pins};
use serde::Serialize;

/// Objects of one type that pin something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnerRow {
    /// The type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many blocks: the objects', and those of their parts.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// What holds most of them, such as `app.CACHE[…]`.
    pub held_by: String,
}

impl PinnerRow {
    fn new(pinner: &Pinner) -> PinnerRow {
        PinnerRow {
            type_name: pinner.type_name.clone(),
            blocks: pinner.count,
            bytes: pinner.bytes,
            held_by: pinner.held_by.clone(),
        }
    }
}

/// Mostly empty arenas, or pools, and what keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PinnedView {
    /// How many.
    pub count: u64,
    /// Their resident bytes: what would go back if what keeps them went.
    pub resident_bytes: u64,
    /// Bytes of their blocks in use.
    pub live_bytes: u64,
    /// Blocks in use that belong to no object known.
    pub other_blocks: u64,
    /// What keeps them, by type; those with the most blocks first.
    pub by: Vec<PinnerRow>,
}

impl PinnedView {
    fn new(pinned: &Pinned) -> PinnedView {
        PinnedView {
            count: pinned.places,
            resident_bytes: pinned.resident,
            live_bytes: pinned.live,
            other_blocks: pinned.others,
            by: pinned.by.iter().map(PinnerRow::new).collect(),
        }
    }
}

/// An arena that is mostly empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArenaRow {
    /// Address of its first pool, in hexadecimal.
    pub address: String,
    /// What keeps it.
    #[serde(flatten)]
    pub pinned: PinnedView,
}

/// What is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PinsView {
    /// All mostly empty arenas in sum.
    pub arenas: PinnedView,
    /// The emptiest of them.
    pub emptiest: Vec<ArenaRow>,
    /// All mostly empty pools in sum, whatever arena they are in.
    pub pools: PinnedView,
}

impl PinsView {
    pub(crate) fn new(pins: &Pins) -> PinsView {
        let row = |arena: &memshed_analysis::PinnedArena| ArenaRow {
            address: format!("{:#x}", arena.address),
            pinned: PinnedView::new(&arena.pinned),
        };
        PinsView {
            arenas: PinnedView::new(&pins.arenas),
            emptiest: pins.emptiest.iter().map(row).collect(),
            pools: PinnedView::new(&pins.pools),
        }
    }

    /// The text, for a process of `resident` bytes; empty where next to nothing is pinned.
    pub(crate) fn text(&self, page: &Page, resident: u64, rows: usize) -> String {
        let mut out = String::new();
        for (pinned, what) in [(&self.arenas, "arena"), (&self.pools, "pool")] {
            if pinned.resident_bytes.saturating_mul(WORTH) < resident || pinned.count == 0 {
                continue;
            }
            let line = format!(
                "  {}, mostly empty, hold {} for {} in use; all of it would go back if these \
                 objects went:",
                plural(pinned.count, what),
                bytes(pinned.resident_bytes),
                bytes(pinned.live_bytes),
            );
            out += &page.wrap(&line, 2);
            out += "\n";
            out += &pinners(pinned, page, rows);
        }
        match out.is_empty() {
            true => out,
            false => page.heading("Who keeps half-empty memory") + &out,
        }
    }
}

/// What pins less than one part in so many of the resident bytes is not worth a line.
const WORTH: u64 = 50;

fn pinners(pinned: &PinnedView, page: &Page, rows: usize) -> String {
    let shown = if rows == 0 { pinned.by.len() } else { rows };
    let mut cells: Vec<Vec<String>> = pinned
        .by
        .iter()
        .take(shown)
        .map(|row| {
            vec![
                count(row.blocks),
                bytes(row.bytes),
                harmless(&row.type_name),
                harmless(&row.held_by),
            ]
        })
        .collect();
    if pinned.other_blocks > 0 {
        let others = "no object known";
        cells.push(vec![
            count(pinned.other_blocks),
            String::new(),
            others.to_owned(),
        ]);
    }
    let columns = [
        ("BLOCKS", Column::Right),
        ("BYTES", Column::Right),
        ("TYPE", Column::Left),
        ("MOSTLY HELD BY", Column::Name),
    ];
    page.table(&columns, cells)
}
