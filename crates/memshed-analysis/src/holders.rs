//! What holds an object: the way from a root to it, as a Python developer would write it.

use crate::type_name;
use memshed_heap::{Code, Heap, Label, LabelKind, ObjectId, RootKind, StringId};
use std::fmt::{self, Display, Formatter};

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At a root.
    Root {
        /// The root's object.
        object: ObjectId,
        /// Why it is a root.
        kind: RootKind,
        /// What it is called: a module, `local variable rows of handle() (app.py:12), thread 1`,
        /// a field of the interpreter's state.
        name: String,
    },
    /// At an object that no root reaches: held by C code, or garbage.
    Unreached {
        /// That object.
        object: ObjectId,
        /// The name of its type.
        type_name: String,
    },
    /// Nowhere: the column of holders goes in a circle or leads out of the heap. A garbled file.
    Nowhere,
}

/// How one object holds the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// `.name`, an entry of the object's `__dict__` included.
    Attribute(String),
    /// `["name"]`.
    Key(String),
    /// `[…]`: a dictionary's value whose key is not kept.
    Value,
    /// `[(1, "a")]`: a dictionary's value, by a preview of its key.
    Entry(String),
    /// A dictionary's key.
    KeyObject,
    /// A set's member.
    Member,
    /// `[3]`.
    Index(u32),
    /// A local variable of a frame, a generator or a coroutine.
    Local(String),
    /// A closure's variable.
    Closure(String),
    /// A field by CPython's own name.
    Field(String),
    /// A word at this offset, in bytes, that looks like a reference.
    Possible(u32),
    /// A reference that keeps nothing alive.
    Weak(String),
    /// A value on a frame's evaluation stack.
    Stack(u32),
    /// No name is known.
    Unknown,
    /// So many hops in the middle of a long path are left out.
    Elided(usize),
}

/// One hop of a path and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// How.
    pub hop: Hop,
    /// The object it leads to; after [`Hop::Elided`], the last one left out.
    pub object: ObjectId,
    /// The name of that object's type.
    pub type_name: String,
}

/// The way from a root to an object. Its `Display` is an expression where it can be:
/// `__main__.cache["users"][3].name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderPath {
    /// Where it begins.
    pub start: Start,
    /// The hops that lead to the object; none if the object is the start itself.
    pub segments: Vec<Segment>,
    /// How many references that are in all.
    pub length: usize,
}

/// Equal hops in a row that are written out; of more, the first is, and the rest counted.
const REPEATED: usize = 3;
/// The field of a function with its cells.
const CLOSURE: &str = "__closure__";
/// Hops that are written out at most, half of them at each end.
const WRITTEN: usize = 20;

/// What holds `object`: the way there along the column of holders.
pub fn holder_path(heap: &Heap, object: ObjectId) -> HolderPath {
    let Some((steps, first)) = climb(heap, object) else {
        return HolderPath {
            start: Start::Nowhere,
            segments: Vec::new(),
            length: 0,
        };
    };
    let first = start(heap, first);
    match suspended(heap, &first, &steps) {
        Some((first, rest)) => path(heap, first, rest),
        None => path(heap, first, &steps),
    }
}

/// How its holder holds `object`.
pub(crate) fn last_hop(heap: &Heap, object: ObjectId) -> Option<Hop> {
    let (steps, _) = climb(heap, object)?;
    collapse(heap, &steps).last().map(|&step| hop(heap, step))
}

/// The path that leads from `start` along `steps`, with what is long shortened.
pub(crate) fn path(heap: &Heap, start: Start, steps: &[Step]) -> HolderPath {
    let segment = |part| match part {
        Part::One(step) => (hop(heap, step), step.object),
        Part::Elided(count, last) => (Hop::Elided(count), last),
    };
    let parts = elide(&collapse(heap, steps)).into_iter();
    HolderPath {
        start,
        segments: parts
            .map(segment)
            .map(|(hop, object)| Segment {
                hop,
                object,
                type_name: type_name(heap, object).to_owned(),
            })
            .collect(),
        length: steps.len(),
    }
}

/// What it means that something is alive because of such a root.
pub fn root_words(kind: RootKind) -> &'static str {
    match kind {
        RootKind::Module => "a module in sys.modules",
        RootKind::Frame => "a local variable or temporary value of a running function",
        RootKind::Interpreter => "the interpreter's own state",
        RootKind::Static => "static data of the program",
        RootKind::Interned => "the table of interned strings",
        RootKind::Unreached => "held by C code, or garbage waiting for a collection",
    }
}

/// One reference of a path. There may be millions: no text here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) source: ObjectId,
    pub(crate) label: Label,
    pub(crate) object: ObjectId,
}

/// A part of a path that was shortened.
#[derive(Clone, Copy)]
enum Part {
    One(Step),
    /// So many steps, the last of which leads to that object.
    Elided(usize, ObjectId),
}

/// The steps from an object without a holder to `object`, and that first object. `None` if there
/// is none: the holders go in a circle, or lead to what is no object.
pub(crate) fn climb(heap: &Heap, object: ObjectId) -> Option<(Vec<Step>, ObjectId)> {
    let objects = &heap.objects;
    let mut steps = Vec::new();
    let mut at = object;
    // Brent's cycle detection: whoever comes to the place marked goes in a circle.
    let (mut mark, mut next_mark) = (at, 1);
    loop {
        let holder = *objects.holder.get(at.0 as usize)?;
        if holder == ObjectId::NONE {
            break;
        }
        let label = *objects.holder_label.get(at.0 as usize)?;
        steps.push(Step {
            source: holder,
            label,
            object: at,
        });
        at = holder;
        if at == mark {
            return None;
        }
        if steps.len() == next_mark {
            mark = at;
            next_mark *= 2;
        }
    }
    steps.reverse();
    Some((steps, at))
}

/// Where a path goes through local variables of functions that wait, coroutines and generators, the
/// last of these and what comes after it: how an event loop or a task holds the function is long, and
/// says less than the function's name.
fn suspended<'s>(heap: &Heap, first: &Start, steps: &'s [Step]) -> Option<(Start, &'s [Step])> {
    if !matches!(first, Start::Root { .. }) {
        return None;
    }
    let mut last = steps.iter().enumerate().rev();
    let (at, step, code) = last.find_map(|(at, step)| {
        let before = at.checked_sub(1).and_then(|before| steps.get(before));
        let is_local = step.label.kind() == LabelKind::Local;
        let code = is_local.then(|| waiting_code(heap, step.source, before))??;
        Some((at, step, code))
    })?;
    let variable = heap.strings.get(step.label.name()?);
    let file = heap.strings.get(code.file).rsplit('/').next()?;
    let function = heap.strings.get(code.name);
    let start = Start::Root {
        object: step.object,
        kind: RootKind::Frame,
        name: format!(
            "local variable {variable} of {function}() ({file}:{}), which waits",
            code.line
        ),
    };
    Some((start, &steps[at + 1..]))
}

/// The code of a generator or coroutine, or of the frame that one has, up to 3.10, if `before` leads
/// from it: other frames are of functions that were left.
fn waiting_code<'h>(heap: &'h Heap, function: ObjectId, before: Option<&Step>) -> Option<&'h Code> {
    let is_its_frame = before.is_some_and(|step| is_field(heap, step.label, "gi_frame"));
    let (_, code) = edges_of(heap, function)?.find(|&(label, _)| {
        is_field(heap, label, "gi_code") || is_its_frame && is_field(heap, label, "f_code")
    })?;
    let row = heap.code.binary_search_by_key(&code, |one| one.object);
    Some(&heap.code[row.ok()?])
}

/// The edges that leave an object; a garbled file may have fewer than it says.
fn edges_of(heap: &Heap, object: ObjectId) -> Option<impl Iterator<Item = (Label, ObjectId)>> {
    let row = object.0 as usize;
    let edges = heap.edges.as_ref()?;
    let first = *edges.start.get(row)? as usize;
    let end = *edges.start.get(row.checked_add(1)?)? as usize;
    let labels = edges.label.get(first..end)?.iter().copied();
    Some(labels.zip(edges.target.get(first..end)?.iter().copied()))
}

/// The start of a path at `first`.
pub(crate) fn start(heap: &Heap, first: ObjectId) -> Start {
    let root = heap
        .roots
        .binary_search_by_key(&first, |root| root.object)
        .ok()
        .map(|row| &heap.roots[row])
        .filter(|root| root.kind != RootKind::Unreached);
    match root {
        Some(root) => Start::Root {
            object: first,
            kind: root.kind,
            name: heap.strings.get(root.name).to_owned(),
        },
        None => Start::Unreached {
            object: first,
            type_name: type_name(heap, first).to_owned(),
        },
    }
}

/// The steps; those through a `__dict__` or the cells of a closure, which nobody writes, as one.
pub(crate) fn collapse(heap: &Heap, steps: &[Step]) -> Vec<Step> {
    let mut shorter: Vec<Step> = Vec::new();
    for &step in steps {
        let joined = shorter.last().and_then(|last| join(heap, last, &step));
        match (joined, shorter.last_mut()) {
            (Some(joined), Some(last)) => *last = joined,
            _ => shorter.push(step),
        }
        if let Some(joined) = thread_local(heap, &shorter) {
            shorter.truncate(shorter.len() - 3);
            shorter.push(joined);
        }
    }
    shorter
}

/// Two steps as one, if they are written so.
fn join(heap: &Heap, first: &Step, second: &Step) -> Option<Step> {
    let text = |step: &Step| step.label.name().map(|name| heap.strings.get(name));
    let label = match (first.label.kind(), second.label.kind()) {
        (LabelKind::Field | LabelKind::Attribute, LabelKind::Key | LabelKind::Attribute)
            if text(first) == Some("__dict__") && text(second).is_some_and(is_identifier) =>
        {
            Label::named(LabelKind::Attribute, second.label.name()?)
        }
        (LabelKind::Field, LabelKind::Index) if text(first) == Some(CLOSURE) => {
            closure_variable(heap, first.source, second.label, second.object)?
        }
        (LabelKind::Closure, LabelKind::Field) if text(second) == Some("cell_contents") => {
            first.label
        }
        _ => return None,
    };
    Some(Step {
        source: first.source,
        label,
        object: second.object,
    })
}

/// The attribute of a thread, where `shorter` ends in the way to one: through the dictionary of a
/// `threading.local` in which each thread has a dictionary (Modules/_threadmodule.c).
fn thread_local(heap: &Heap, shorter: &[Step]) -> Option<Step> {
    let [.., dummies, of_thread, entry] = shorter else {
        return None;
    };
    let text = |step: &Step| step.label.name().map(|name| heap.strings.get(name));
    let written = dummies.label.kind() == LabelKind::Field
        && matches!(text(dummies), Some("dummies" | "localdummies"))
        && of_thread.label.kind() == LabelKind::Value
        && entry.label.kind() == LabelKind::Key
        && text(entry).is_some_and(is_identifier);
    let name = entry.label.name().filter(|_| written)?;
    Some(Step {
        source: dummies.source,
        label: Label::named(LabelKind::Attribute, name),
        object: entry.object,
    })
}

/// The function that holds the tuple `closure` as its closure.
pub(crate) fn function_of(heap: &Heap, closure: ObjectId) -> Option<ObjectId> {
    let row = closure.0 as usize;
    let label = *heap.objects.holder_label.get(row)?;
    let function = *heap.objects.holder.get(row)?;
    is_field(heap, label, CLOSURE).then_some(function)
}

fn is_field(heap: &Heap, label: Label, name: &str) -> bool {
    let text = || label.name().map(|id| heap.strings.get(id));
    label.kind() == LabelKind::Field && text() == Some(name)
}

/// The variable of a closure at `index` of the closure of `function`, where `cell` is: as the
/// function's code calls it, or by the cell's name where nothing is known of the code.
pub(crate) fn closure_variable(
    heap: &Heap,
    function: ObjectId,
    index: Label,
    cell: ObjectId,
) -> Option<Label> {
    let name = free_variable(heap, function, index.value() as usize);
    let name = name.or_else(|| heap.names.get(&cell).copied())?;
    Some(Label::named(LabelKind::Closure, name))
}

/// What the code of `function` calls its free variable number `index`. Without edges nothing
/// leads to the code; a garbled file may have fewer of them than it says.
fn free_variable(heap: &Heap, function: ObjectId, index: usize) -> Option<StringId> {
    let mut targets = edges_of(heap, function)?;
    let (_, code) = targets.find(|&(label, _)| is_field(heap, label, "__code__"))?;
    let row = heap.code.binary_search_by_key(&code, |one| one.object);
    heap.code[row.ok()?].free.get(index).copied()
}

/// Shortens what is long: the same hop again and again (a linked list), then the middle.
fn elide(steps: &[Step]) -> Vec<Part> {
    let mut parts = Vec::new();
    for run in steps.chunk_by(|a, b| written_alike(a.label, b.label)) {
        match run {
            [first, .., last] if run.len() > REPEATED => {
                parts.push(Part::One(*first));
                parts.push(Part::Elided(run.len() - 1, last.object));
            }
            _ => parts.extend(run.iter().copied().map(Part::One)),
        }
    }
    if parts.len() <= WRITTEN {
        return parts;
    }
    let half = WRITTEN / 2;
    let middle = half..parts.len() - half;
    let mut left_out = 0;
    let mut last = ObjectId::NONE;
    for part in &parts[middle.clone()] {
        let (count, object) = match part {
            Part::One(step) => (1, step.object),
            Part::Elided(count, object) => (*count, *object),
        };
        left_out += count;
        last = object;
    }
    parts.splice(middle, [Part::Elided(left_out, last)]);
    parts
}

fn written_alike(a: Label, b: Label) -> bool {
    let without_value = matches!(
        a.kind(),
        LabelKind::Value | LabelKind::KeyObject | LabelKind::Unknown
    );
    a == b || without_value && a.kind() == b.kind()
}

/// How a step is written.
pub(crate) fn hop(heap: &Heap, Step { source, label, .. }: Step) -> Hop {
    let name = || {
        let name = label.name().map_or("?", |name| heap.strings.get(name));
        name.to_owned()
    };
    match label.kind() {
        LabelKind::Unknown => Hop::Unknown,
        LabelKind::Attribute => Hop::Attribute(name()),
        LabelKind::Key => Hop::Key(name()),
        LabelKind::Value => match heap.preview(source, Some(label.value())) {
            Some(key) => Hop::Entry(key.to_owned()),
            None => Hop::Value,
        },
        LabelKind::KeyObject => match type_name(heap, source) {
            "set" | "frozenset" => Hop::Member,
            _ => Hop::KeyObject,
        },
        LabelKind::Index => Hop::Index(label.value()),
        LabelKind::Local => Hop::Local(name()),
        LabelKind::Closure => Hop::Closure(name()),
        LabelKind::Field => Hop::Field(name()),
        LabelKind::Possible => Hop::Possible(label.value()),
        LabelKind::Weak => Hop::Weak(name()),
        LabelKind::Stack => Hop::Stack(label.value()),
    }
}

/// Whether Python could write `.name`.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_')
}

/// A name from the target, which may hold anything, on one line and without control characters.
struct Plain<'a>(&'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl Display for Hop {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Hop::Attribute(name) | Hop::Field(name) if is_identifier(name) => {
                write!(f, ".{name}")
            }
            Hop::Attribute(name) | Hop::Field(name) => write!(f, ".{name:?}"),
            Hop::Key(name) => write!(f, "[{name:?}]"),
            Hop::Value => f.write_str("[…]"),
            Hop::Entry(key) => write!(f, "[{}]", Plain(key)),
            Hop::KeyObject => f.write_str(".<key>"),
            Hop::Member => f.write_str(".<member>"),
            Hop::Index(Label::MAX) => write!(f, "[{}+]", Label::MAX),
            Hop::Index(index) => write!(f, "[{index}]"),
            Hop::Local(name) => write!(f, ".<local {}>", Plain(name)),
            Hop::Closure(name) => write!(f, ".<closure {}>", Plain(name)),
            Hop::Possible(offset) => write!(f, ".<possibly at offset {offset}>"),
            Hop::Weak(name) => write!(f, ".<weak {}>", Plain(name)),
            Hop::Stack(depth) => write!(f, ".<stack {depth}>"),
            Hop::Unknown => f.write_str(".<?>"),
            Hop::Elided(count) => write!(f, " … ({} more) … ", Grouped(*count)),
        }
    }
}

/// A number with commas between its thousands.
struct Grouped(usize);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            small @ 0..1000 => write!(f, "{small}"),
            large => write!(f, "{},{:03}", Grouped(large / 1000), large % 1000),
        }
    }
}

impl Display for HolderPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // After a sentence, the hops are set off from it; a module's name is one with them.
        let mut sentence = true;
        match &self.start {
            Start::Root { kind, name, .. } => match kind {
                RootKind::Module | RootKind::Static => {
                    sentence = false;
                    write!(f, "{}", Plain(name))?;
                }
                RootKind::Interned => f.write_str(root_words(*kind))?,
                RootKind::Interpreter => write!(f, "interpreter: {}", Plain(name))?,
                RootKind::Frame | RootKind::Unreached => write!(f, "{}", Plain(name))?,
            },
            Start::Unreached { .. } if self.segments.is_empty() => {
                return f.write_str(root_words(RootKind::Unreached));
            }
            Start::Unreached { type_name, .. } => {
                write!(f, "a {} that no root reaches", Plain(type_name))?;
            }
            Start::Nowhere => return f.write_str("unknown: its holders lead nowhere"),
        }
        if sentence && !self.segments.is_empty() {
            f.write_str(" → ")?;
        }
        let mut text = String::new();
        for segment in &self.segments {
            text.push_str(&segment.hop.to_string());
        }
        f.write_str(text.trim_end())
    }
}
