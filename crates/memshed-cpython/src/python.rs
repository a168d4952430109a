//! A running CPython: where its state is, and what a look at it gives.

use crate::interpreters::Interpreter;
use crate::layouts::{self, Build, Layout, Unsupported};
use crate::problems::Problems;
use crate::read::Reader;
use memshed_target::{Memory, Range, ReadError, RemoteAddr};

/// Cookie at the start of `_Py_DebugOffsets` (pycore_debug_offsets.h).
const COOKIE: &[u8] = b"xdebugpy";

/// What is known of an interpreter's program before its heap is read.
#[derive(Clone, Debug)]
pub struct Program {
    /// Process id, as memshed sees it.
    pub pid: i32,
    /// Address of `_PyRuntime`.
    pub runtime: RemoteAddr,
    /// `PY_VERSION_HEX` of the interpreter.
    pub version_hex: u32,
    /// Memory that belongs to files (code, constants, data and `.bss`), sorted by address.
    pub statics: Vec<Range>,
    /// Writable data of the file that holds `_PyRuntime`.
    pub data: Vec<Range>,
}

/// Why a heap can't be read.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The version has no table.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// What was read makes no sense as that version's state.
    #[error("the interpreter's state does not look like CPython {version}: {what}")]
    Implausible {
        /// The version it says it is.
        version: String,
        /// What was wrong.
        what: String,
    },
    /// The state could not be read.
    #[error("the interpreter's state could not be read: {0}")]
    Read(#[from] ReadError),
    /// The interpreter has not been set up, or has been torn down.
    #[error("the interpreter is starting or ending: it has no state yet, or no longer")]
    NotRunning,
}

/// A running CPython, its tables checked against what it says of itself.
pub struct Python {
    pub(crate) program: Program,
    pub(crate) layout: Layout,
    pub(crate) minor: u32,
}

/// `3.12.1` for 0x030c01f0; with `a1`, `b2` or `rc3` for versions before the release.
pub fn version_text(hex: u32) -> String {
    let (major, minor, micro) = (hex >> 24, hex >> 16 & 0xff, hex >> 8 & 0xff);
    let level = match hex >> 4 & 0xf {
        0xa => "a",
        0xb => "b",
        0xc => "rc",
        _ => return format!("{major}.{minor}.{micro}"),
    };
    format!("{major}.{minor}.{micro}{level}{}", hex & 0xf)
}

impl Python {
    /// Chooses the table for `program` and corrects it by what the process publishes. Also for a
    /// process that runs: what is read here does not change.
    ///
    /// # Errors
    /// [`WalkError::Unsupported`] for a version or build without a table; others if the
    /// interpreter's state makes no sense.
    pub fn open<M: Memory>(program: Program, memory: &M) -> Result<Python, WalkError> {
        let reader = Reader(memory);
        let hex = program.version_hex;
        let build = Build {
            version_hex: hex,
            ..Build::default()
        };
        let mut layout = layouts::layout_for(build)?.clone();
        overlay(reader, &program, &mut layout)?;
        let main = program.runtime.add(layout.runtime.interpreters_main.into());
        let main = reader.pointer(main)?.0.wrapping_sub(program.runtime.0);
        if let Ok(offset) = u32::try_from(main) {
            layouts::settle_runtime(&mut layout, offset);
        }
        let python = Python {
            program,
            layout,
            minor: hex >> 16 & 0xff,
        };
        let interpreters = python.interpreters(memory, &Problems::default())?;
        if interpreters.is_empty() {
            return Err(WalkError::NotRunning);
        }
        Ok(python)
    }

    /// The interpreter's version, such as `3.12.1`.
    pub fn version(&self) -> String {
        version_text(self.program.version_hex)
    }

    /// Addresses of the `int`s that are not 0 while a collection runs: a heap is whole when all
    /// of them are 0.
    pub fn collecting<M: Memory>(&self, memory: &M) -> Vec<RemoteAddr> {
        let interpreters = self
            .interpreters(memory, &Problems::default())
            .unwrap_or_default();
        interpreters
            .iter()
            .map(|i| i.collecting(&self.layout))
            .collect()
    }

    pub(crate) fn interpreters<M: Memory>(
        &self,
        memory: &M,
        problems: &Problems,
    ) -> Result<Vec<Interpreter>, ReadError> {
        Interpreter::all(Reader(memory), &self.layout, self.program.runtime, problems)
    }

    /// Checks that what the tables call the collector's state looks like one: lists that are
    /// linked both ways, flags that are 0 or 1, thresholds that are not negative. The process has
    /// to stand still, and even then a thread may have been stopped while it changed a list.
    pub(crate) fn validate<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> Result<(), WalkError> {
        let wrong = |what: &str| WalkError::Implausible {
            version: self.version(),
            what: what.to_owned(),
        };
        // While a collection runs the backward links hold counts.
        let collecting = reader.i32(interpreter.collecting(&self.layout))? != 0;
        let heads = interpreter.list_heads(&self.layout);
        let closed = heads
            .iter()
            .filter(|head| is_closed(reader, **head))
            .count();
        if !collecting && closed + 1 < heads.len() {
            return Err(wrong("the collector's lists are not lists"));
        }
        if !self.has_lists(reader, interpreter)? {
            return Err(wrong("the collector's garbage and callbacks are not lists"));
        }
        if !self.owns_threads(reader, interpreter)? {
            return Err(wrong("its threads are not its own"));
        }
        let gc = interpreter.read_gc(reader, &self.layout, [0; 4])?;
        let enabled = interpreter
            .gc(&self.layout)
            .add(self.layout.gc.enabled.into());
        let sane = (0..=1).contains(&reader.i32(enabled)?)
            && gc.generations.iter().all(|g| {
                g.threshold >= 0 && g.collections >= 0 && g.collected >= 0 && g.uncollectable >= 0
            });
        sane.then_some(())
            .ok_or_else(|| wrong("the collector's settings make no sense"))
    }
}

impl Python {
    /// Whether `gc.garbage` and `gc.callbacks`, which end the collector's state, are lists; NULL
    /// while the interpreter begins or ends.
    fn has_lists<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> Result<bool, ReadError> {
        let (l, gc) = (&self.layout, interpreter.gc(&self.layout));
        for offset in [l.gc.garbage, l.gc.callbacks] {
            let list = reader.pointer(gc.add(offset.into()))?;
            if list.is_null() {
                continue;
            }
            let of = reader.pointer(list.add(l.object.ob_type.into()));
            let flags = of.and_then(|of| reader.u32(of.add(l.ty.tp_flags.into())));
            if !flags.is_ok_and(|flags| flags & l.flags.list_subclass != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether its threads say that they are its own, and are linked both ways.
    fn owns_threads<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> Result<bool, ReadError> {
        let l = &self.layout.tstate;
        let mut before = RemoteAddr::NULL;
        for thread in &interpreter.threads {
            let owner = |at: RemoteAddr| reader.pointer(at.add(l.interp.into()));
            if owner(thread.at)? != interpreter.at {
                return Ok(false);
            }
            let previous = reader.pointer(thread.at.add(l.prev.into()))?;
            // One that is just being added or removed is linked one way only.
            let next = |at: RemoteAddr| reader.pointer(at.add(l.next.into()));
            if previous != before
                && (owner(previous) != Ok(interpreter.at) || next(previous) != Ok(thread.at))
            {
                return Ok(false);
            }
            before = thread.at;
        }
        // One that runs has a thread, and one that was just made may have none.
        let main = reader.pointer(
            self.program
                .runtime
                .add(self.layout.runtime.interpreters_main.into()),
        )?;
        Ok(!interpreter.threads.is_empty() || main != interpreter.at)
    }
}

/// Whether the first member of the collector's list at `head` links back to it.
fn is_closed<M: Memory>(reader: Reader<'_, M>, head: RemoteAddr) -> bool {
    let next = reader.u64(head).map(|next| RemoteAddr(next & !3));
    let back = next.and_then(|next| reader.u64(next.add(8)));
    back.map(|back| back & !3) == Ok(head.0)
}

/// Replaces offsets by those that 3.13 and later publish at the start of `_PyRuntime`.
fn overlay<M: Memory>(
    reader: Reader<'_, M>,
    program: &Program,
    layout: &mut Layout,
) -> Result<(), WalkError> {
    let Some(last) = layout.overlay.iter().map(|entry| entry.position).max() else {
        return Ok(());
    };
    let published = reader.bytes(program.runtime, last as usize + 8)?;
    let word = |at: usize| {
        let word = published.get(at..).and_then(<[u8]>::first_chunk::<8>);
        word.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    if !published.starts_with(COOKIE) || word(8) != u64::from(program.version_hex) {
        return Err(WalkError::Implausible {
            version: version_text(program.version_hex),
            what: "its own table of offsets is missing or of another version".to_owned(),
        });
    }
    let build = Build {
        version_hex: program.version_hex,
        free_threaded: word(16) != 0,
        debug: false,
        interp_size: layouts::published_interp_size(layout, published),
    };
    *layout = layouts::layout_for(build)?.clone();
    layouts::overlay_published(layout, published);
    Ok(())
}
