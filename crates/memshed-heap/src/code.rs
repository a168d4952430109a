//! Where things are written: code objects and the calls that were running.

use crate::heap::ObjectId;
use crate::strings::StringId;

/// A code object: where it was written and what it mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The object.
    pub object: ObjectId,
    /// Its qualified name; up to 3.10, which keeps that elsewhere, its name.
    pub name: StringId,
    /// Path of its file (`co_filename`).
    pub file: StringId,
    /// Its first line (`co_firstlineno`).
    pub line: u32,
    /// The global names and attributes that it mentions (`co_names`).
    pub mentions: Vec<StringId>,
    /// Its free variables, which the function that it was made in has (`co_freevars`): one for
    /// each cell of a function's `__closure__`, in order.
    pub free: Vec<StringId>,
}

/// A call that was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its code object.
    pub code: ObjectId,
    /// The line that it was at; the code's first line where that could not be told.
    pub line: u32,
}

/// The calls of a thread, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The thread, such as `main thread`.
    pub thread: StringId,
    /// Its calls.
    pub calls: Vec<Call>,
}
