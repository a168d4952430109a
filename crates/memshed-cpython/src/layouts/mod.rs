//! Where things are in CPython's memory: data, one table per version whose structs differ.
//!
//! The tables are written by `cargo xtask layouts` from each version's headers; what no header
//! tells is in [`private`], by hand. Nothing here reads memory. An offset is a hint: fields have
//! moved in patch releases, so whoever walks checks the shape of what it reads.

mod alloc;
mod code;
mod layout;
mod objects;
pub mod private;
mod state;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_13_0;
mod v3_13_12;
mod v3_13_13;
mod v3_14;
mod v3_14_0;
mod v3_14_3;
mod v3_14_4;
mod v3_15;
mod v3_15_jit;
mod v3_9;

pub use alloc::*;
pub use code::*;
pub use layout::Layout;
pub use objects::*;
pub use state::*;
pub use {v3_9::V3_9, v3_10::V3_10, v3_15_jit::V3_15_JIT};
pub use {v3_11::V3_11, v3_12::V3_12, v3_13::V3_13, v3_14::V3_14, v3_15::V3_15};
pub use {v3_13_0::V3_13_0, v3_13_12::V3_13_12, v3_13_13::V3_13_13};
pub use {v3_14_0::V3_14_0, v3_14_3::V3_14_3, v3_14_4::V3_14_4};

/// A build of CPython that has no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Older than 3.9, newer than 3.15, or not 3 at all.
    #[error("CPython {0}.{1}.{2} is not supported: only 3.9 to 3.15 are")]
    Version(u32, u32, u32),
    /// An alpha, beta or release candidate, whose structs were still moving.
    #[error("CPython {0}.{1}.{2} before its release is not supported")]
    PreRelease(u32, u32, u32),
    /// Built with `--disable-gil`.
    #[error("the free-threaded build of CPython is not supported")]
    FreeThreaded,
    /// Built with `--with-pydebug` and `Py_TRACE_REFS`, whose objects have a longer head.
    #[error("the debug build of CPython is not supported")]
    Debug,
}

/// What is known of a build before its layout is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// `PY_VERSION_HEX`, as in the symbol `Py_Version` or in `_Py_DebugOffsets`.
    pub version_hex: u32,
    /// `--disable-gil`.
    pub free_threaded: bool,
    /// `--with-pydebug`.
    pub debug: bool,
    /// `sizeof(PyInterpreterState)`, which 3.13 and later publish; 0 if it is not known.
    pub interp_size: u32,
}

/// The table for a build.
///
/// # Errors
/// The build has no table.
pub fn layout_for(build: Build) -> Result<&'static Layout, Unsupported> {
    let hex = build.version_hex;
    let (major, minor, patch) = (hex >> 24, hex >> 16 & 0xff, hex >> 8 & 0xff);
    if major != 3 || !(9..=15).contains(&minor) {
        return Err(Unsupported::Version(major, minor, patch));
    }
    // Include/patchlevel.h: 0xA alpha, 0xB beta, 0xC candidate, 0xF final.
    if hex >> 4 & 0xf != 0xf {
        return Err(Unsupported::PreRelease(major, minor, patch));
    }
    if build.free_threaded {
        return Err(Unsupported::FreeThreaded);
    }
    if build.debug {
        return Err(Unsupported::Debug);
    }
    Ok(match (minor, patch) {
        (9, _) => &V3_9,
        (10, _) => &V3_10,
        (11, _) => &V3_11,
        (12, _) => &V3_12,
        (13, 0..=4) => &V3_13_0,
        (13, 5..=11) => &V3_13,
        (13, 12) => &V3_13_12,
        (13, _) => &V3_13_13,
        (14, 0..=2) => &V3_14_0,
        (14, 3) => &V3_14_3,
        (14, 4) => &V3_14_4,
        (14, _) => &V3_14,
        // Debian's 3.15 has the JIT compiled in, which makes the states of threads longer.
        _ if build.interp_size == V3_15_JIT.interp.size => &V3_15_JIT,
        _ => &V3_15,
    })
}

/// `sizeof(PyInterpreterState)` as a process's own `_Py_DebugOffsets` says, of which `published`
/// are the bytes; 0 if it does not.
pub fn published_interp_size(layout: &Layout, published: &[u8]) -> u32 {
    let entry = layout.overlay.iter().find(|e| e.name == "interp.size");
    let at = entry.and_then(|entry| published.get(entry.position as usize..));
    let bytes = at.and_then(<[u8]>::first_chunk::<8>);
    bytes.map_or(0, |bytes| {
        u64::from_le_bytes(*bytes).try_into().unwrap_or(0)
    })
}

/// Puts what a process's own `_Py_DebugOffsets` says over a table. `published` are its bytes; a
/// position outside of them is left as it was. Returns the fields that the table had wrong, with
/// what it said and what the process says.
pub fn overlay_published(layout: &mut Layout, published: &[u8]) -> Vec<Correction> {
    let mut corrections = Vec::new();
    for entry in layout.overlay {
        let at = entry.position as usize;
        let Some(&bytes) = published.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
            continue;
        };
        let Ok(says) = u32::try_from(u64::from_le_bytes(bytes)) else {
            continue;
        };
        let field = (entry.field)(layout);
        if *field != says {
            corrections.push(Correction {
                name: entry.name,
                table: *field,
                published: says,
            });
            *field = says;
        }
    }
    corrections
}

/// Moves the process-wide fields behind the static strings, of which patch releases add some, to
/// where they are: `main_interpreter` is the address of the main interpreter's state less that of
/// `_PyRuntime`, in which it is the last field. What it cannot mend is left as it was.
pub fn settle_runtime(layout: &mut Layout, main_interpreter: u32) {
    let runtime = &mut layout.runtime;
    // Before 3.11 nothing of the kind is static.
    let Some(main) = runtime.main_interpreter else {
        return;
    };
    let by = i64::from(main_interpreter) - i64::from(main);
    let move_by = |field: &mut u32| {
        *field = u32::try_from(i64::from(*field) + by).unwrap_or(*field);
    };
    // A kilobyte is some twenty strings: more is no patch release, and no static interpreter.
    if by == 0 || by.abs() > 1024 {
        return;
    }
    move_by(&mut runtime.size);
    let optional = [
        &mut runtime.main_interpreter,
        &mut runtime.static_objects_size,
        &mut runtime.strings_size,
        &mut runtime.strings_ascii,
        &mut runtime.strings_latin1,
        &mut runtime.tuple_empty,
        &mut runtime.hamt_bitmap_node_empty,
        &mut runtime.context_token_missing,
    ];
    optional.into_iter().flatten().for_each(move_by);
    // Only 3.12 has the table of static strings behind the strings.
    if let Some(interned) = &mut runtime.interned_strings
        && Some(*interned) > runtime.static_objects
    {
        move_by(interned);
    }
}

/// A number that a process publishes otherwise than the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The layout's field, `interp.gc`.
    pub name: &'static str,
    /// What the table says.
    pub table: u32,
    /// What the process says.
    pub published: u32,
}

impl Layout {
    /// How many bytes of a block may lie before the object in it: none, the collector's header,
    /// or that and two words for attributes and weak references.
    pub(crate) fn headers(&self) -> [u64; 3] {
        let gc = u64::from(self.gc.head_size);
        [0, gc, 16 + gc]
    }
}

/// A place in a state struct that owns `count` references, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What is there, for labels.
    pub name: &'static str,
    /// Bytes from the start of the state struct.
    pub offset: u32,
    /// How many pointers, each NULL or an object.
    pub count: u32,
}

/// A list of unused objects (or other blocks) that an interpreter keeps for reuse. Offsets count
/// from the start of the interpreter's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeList {
    /// The type of the objects by name, or what else it holds.
    pub name: &'static str,
    /// Whether its entries were objects: `dict_keys` and the like are not.
    pub objects: bool,
    /// How its entries hang together.
    pub form: FreeListForm,
}

/// How the entries of a free list hang together. Counts are `int`, or the low half of a
/// `Py_ssize_t` (−1 where a list is disabled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeListForm {
    /// Linked lists, NULL-terminated.
    Chain {
        /// The first list's head pointer.
        heads: u32,
        /// Bytes from one head to the next.
        head_stride: u32,
        /// The first list's count.
        counts: u32,
        /// Bytes from one count to the next.
        count_stride: u32,
        /// How many lists: one, or for tuples one per length beginning with 1.
        lists: u32,
        /// Where in an entry the pointer to the next one is.
        link: u32,
    },
    /// An array of pointers of which the first `count` are entries.
    Array {
        /// The first pointer.
        items: u32,
        /// The count.
        count: u32,
        /// Pointers there is room for.
        capacity: u32,
    },
    /// One pointer or NULL.
    Single {
        /// The pointer.
        slot: u32,
    },
}

/// One offset that `_Py_DebugOffsets` publishes.
#[derive(Clone, Copy, Debug)]
pub struct DebugOverlay {
    /// Byte position of the `u64` in `_Py_DebugOffsets`.
    pub position: u32,
    /// The layout's field, `interp.gc`.
    pub name: &'static str,
    /// That field.
    pub field: fn(&mut Layout) -> &mut u32,
}

const fn slot(name: &'static str, offset: u32, count: u32) -> Slot {
    Slot {
        name,
        offset,
        count,
    }
}

const fn chain(name: &'static str, objects: bool, n: [u32; 6]) -> FreeList {
    let [heads, head_stride, counts, count_stride, lists, link] = n;
    let form = FreeListForm::Chain {
        heads,
        head_stride,
        counts,
        count_stride,
        lists,
        link,
    };
    FreeList {
        name,
        objects,
        form,
    }
}

const fn array(name: &'static str, objects: bool, n: [u32; 3]) -> FreeList {
    let [items, count, capacity] = n;
    FreeList {
        name,
        objects,
        form: FreeListForm::Array {
            items,
            count,
            capacity,
        },
    }
}

const fn single(name: &'static str, objects: bool, [slot]: [u32; 1]) -> FreeList {
    FreeList {
        name,
        objects,
        form: FreeListForm::Single { slot },
    }
}

const fn overlay(
    position: u32,
    name: &'static str,
    field: fn(&mut Layout) -> &mut u32,
) -> DebugOverlay {
    DebugOverlay {
        position,
        name,
        field,
    }
}

#[cfg(test)]
mod tests;
