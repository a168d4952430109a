//! From what a user calls something in a heap to its objects: an address, the name of a type, or
//! a way from a module such as `app.CACHE["users"][3].name`.

use crate::expressions::expression;
use crate::set::ObjectSet;
use crate::spelling::closest;
use crate::type_name;
use memshed_heap::{Edges, Heap, Label, LabelKind, ObjectId, Objects, RootKind};

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// One object.
    Object,
    /// All objects of the types of this name.
    Type(String),
    /// All objects at the end of a way with `[…]` in it.
    Place,
}

/// The objects that were meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct What {
    /// As what the words were taken.
    pub meaning: Meaning,
    /// How to write that in full, such as `app.Session` for `Session`.
    pub name: String,
    /// The objects; at least one.
    pub objects: ObjectSet,
    /// What else the same words could mean, and how to ask for that.
    pub other: Option<Other>,
}

/// What else words could mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    /// Not the class, but its objects: to be asked for so.
    Instances(String),
    /// Not the objects of the type, but the class or function itself: to be asked for so.
    Itself(String),
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// Nothing was asked for.
    Empty,
    /// The heap was obtained without its edges.
    NoEdges,
    /// Begins like an address but is none.
    NotAnAddress,
    /// There is no object at that address.
    NoObjectAt {
        /// The address.
        address: u64,
        /// The object whose memory it lies in, and the name of its type.
        inside: Option<(u64, String)>,
    },
    /// More than one type is called so; their full names.
    Ambiguous(Vec<String>),
    /// There is a type of that name, but no object of it.
    NoObjectsOf(String),
    /// The way ends before its end.
    NoSuchStep {
        /// How far it leads.
        until: String,
        /// The step that is not there.
        step: String,
        /// Steps of similar names.
        closest: Vec<String>,
    },
    /// Nothing is called so.
    Unknown {
        /// Types and modules of similar names.
        closest: Vec<String>,
    },
}

/// Asks for the objects of a type, whatever else is called so.
pub const TYPE_PREFIX: &str = "type:";
/// Asks for an object, whatever type is called so.
pub const OBJECT_PREFIX: &str = "object:";

/// Names that are suggested at most.
const SUGGESTED: usize = 5;
/// Bytes before an object that belong to it: the collector's header, and two pointers before that
/// (`Include/internal/pycore_object.h`, `_PyType_PreHeaderSize`).
const HEADER: u64 = 32;

/// Finds what `text` means.
///
/// # Errors
/// If it means nothing, or too much; with what is called similarly.
pub fn find(heap: &Heap, text: &str) -> Result<What, NotFound> {
    let text = text.trim();
    let edges = heap.edges.as_ref().ok_or(NotFound::NoEdges)?;
    if text.is_empty() {
        return Err(NotFound::Empty);
    }
    if let Some(digits) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        let address = u64::from_str_radix(digits, 16).map_err(|_| NotFound::NotAnAddress)?;
        return at_address(heap, address);
    }
    if let Some(name) = text.strip_prefix(TYPE_PREFIX) {
        return of_type(heap, name, true).unwrap_or_else(|| Err(unknown(heap, name)));
    }
    if let Some(way) = text.strip_prefix(OBJECT_PREFIX) {
        return along(heap, edges, way);
    }
    let at_way = |what: Result<What, NotFound>| match what {
        Ok(mut what) if what.meaning == Meaning::Object => {
            // A class that was reached by another name than its own: its objects may be meant.
            what.other = instances(heap, &what.objects);
            Ok(what)
        }
        other => other,
    };
    if let Some(mut found) = of_type(heap, text, false) {
        if let (Ok(what), Ok(_)) = (&mut found, along(heap, edges, text)) {
            what.other = Some(Other::Itself(format!("{OBJECT_PREFIX}{text}")));
        }
        return found;
    }
    let way = at_way(along(heap, edges, text));
    if way.is_ok() {
        return way;
    }
    if let Some(mut found) = of_type(heap, text, true) {
        if let Ok(what) = &mut found
            && along(heap, edges, &what.name).is_ok()
        {
            what.other = Some(Other::Itself(format!("{OBJECT_PREFIX}{}", what.name)));
        }
        return found;
    }
    // What a script's own objects are called in the script.
    let in_main = at_way(along(heap, edges, &format!("__main__.{text}")));
    match (way, in_main) {
        (_, Ok(found)) => Ok(found),
        (Err(NotFound::Unknown { .. }), Err(step @ NotFound::NoSuchStep { .. }))
            if text.contains(['.', '[']) && !is_main(&step) =>
        {
            Err(step)
        }
        (Err(NotFound::Unknown { .. }), _) => Err(unknown(heap, text)),
        (way, _) => way,
    }
}

/// Whether not even the first step after `__main__` is there.
fn is_main(step: &NotFound) -> bool {
    matches!(step, NotFound::NoSuchStep { until, .. } if until == "__main__")
}

fn one(heap: &Heap, object: ObjectId) -> ObjectSet {
    let mut set = ObjectSet::new(heap.objects.len());
    set.insert(object);
    set
}

fn at_address(heap: &Heap, address: u64) -> Result<What, NotFound> {
    let objects = &heap.objects;
    let after = objects.address.lower_bound(address);
    let at = |row: usize| (row < objects.len()).then(|| objects.address.get(row));
    if at(after) == Some(address) {
        let object = ObjectId(after as u32);
        return Ok(What {
            meaning: Meaning::Object,
            name: expression(heap, object).unwrap_or_default(),
            objects: one(heap, object),
            other: None,
        });
    }
    let covers = |row: usize| {
        let start = at(row)?;
        let tracked = objects.generation[row] != Objects::UNTRACKED;
        let header = if tracked { HEADER } else { 0 };
        let end = start.saturating_add(objects.size.get(row));
        let covers = start.saturating_sub(header) <= address && address < end;
        covers.then(|| (start, type_name(heap, ObjectId(row as u32)).to_owned()))
    };
    let inside = after
        .checked_sub(1)
        .and_then(covers)
        .or_else(|| covers(after));
    Err(NotFound::NoObjectAt { address, inside })
}

/// The objects of the types called `name`, in full or by the last part of it. `None` if there is
/// none, or, unless `by_part`, none of that full name.
fn of_type(heap: &Heap, name: &str, by_part: bool) -> Option<Result<What, NotFound>> {
    let mut full: Vec<&str> = Vec::new();
    for kind in &heap.types {
        let other = heap.strings.get(kind.name);
        if other == name {
            full = vec![other];
            break;
        }
        let part = other
            .strip_suffix(name)
            .is_some_and(|head| head.ends_with('.'));
        if by_part && part {
            full.push(other);
        }
    }
    full.sort_unstable();
    full.dedup();
    let mut found: Vec<(&str, ObjectSet)> = full
        .iter()
        .map(|name| (*name, objects_of(heap, name)))
        .filter(|(_, objects)| !objects.is_empty())
        .collect();
    if found.len() > 1 {
        let names = found.into_iter().map(|(name, _)| name.to_owned());
        return Some(Err(NotFound::Ambiguous(names.collect())));
    }
    let Some((name, objects)) = found.pop() else {
        let empty = NotFound::NoObjectsOf(full.first()?.to_string());
        return by_part.then_some(Err(empty));
    };
    Some(Ok(What {
        meaning: Meaning::Type(name.to_owned()),
        name: name.to_owned(),
        objects,
        other: None,
    }))
}

fn objects_of(heap: &Heap, name: &str) -> ObjectSet {
    let wanted: Vec<bool> = heap
        .types
        .iter()
        .map(|kind| heap.strings.get(kind.name) == name)
        .collect();
    let mut set = ObjectSet::new(heap.objects.len());
    for (row, kind) in heap.objects.type_id.iter().enumerate() {
        if wanted.get(kind.0 as usize) == Some(&true) {
            set.insert(ObjectId(row as u32));
        }
    }
    set
}

/// If the one object is a class that has objects: how to ask for these.
fn instances(heap: &Heap, objects: &ObjectSet) -> Option<Other> {
    let class = objects.iter().next()?;
    let kind = heap.types.iter().find(|kind| kind.object == class)?;
    let name = heap.strings.get(kind.name);
    let used = !objects_of(heap, name).is_empty();
    used.then(|| Other::Instances(format!("{TYPE_PREFIX}{name}")))
}

/// A step of a way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `.name`
    Attribute(String),
    /// `["name"]`
    Key(String),
    /// `[3]`
    Index(u32),
    /// `[…]`, `[...]` or `[*]`: whatever is in it.
    Every,
}

impl Step {
    fn written(&self) -> String {
        match self {
            Step::Attribute(name) => format!(".{name}"),
            Step::Key(name) => format!("[{name:?}]"),
            Step::Index(index) => format!("[{index}]"),
            Step::Every => "[…]".to_owned(),
        }
    }
}

/// The steps that `text` is made of. `None` if it cannot be read.
fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(inner) = rest.strip_prefix('[') else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Attribute(name[..end].to_owned()));
            rest = &name[end..];
            continue;
        };
        let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (step, after) = match quote {
            Some(quote) => {
                let (key, after) = inner[1..].split_once(quote)?;
                (Step::Key(key.to_owned()), after.strip_prefix(']')?)
            }
            None => {
                let (index, after) = inner.split_once(']')?;
                let step = match index.trim() {
                    "…" | "..." | "*" => Step::Every,
                    number => match number.parse() {
                        Ok(index) => Step::Index(index),
                        // A shell has taken the quotes away.
                        Err(_) => Step::Key(number.to_owned()),
                    },
                };
                (step, after)
            }
        };
        steps.push(step);
        rest = after;
    }
    Some(steps)
}

/// The objects at the end of a way that begins at a module.
fn along(heap: &Heap, edges: &Edges, text: &str) -> Result<What, NotFound> {
    let unknown = || unknown(heap, text);
    let head = text.find('[').unwrap_or(text.len());
    // The longest beginning that is a module's name: `os.path` is none, `xml.dom.minidom` is.
    let ends = text[..head].rmatch_indices('.').map(|(at, _)| at);
    let module = [head].into_iter().chain(ends).find_map(|end| {
        let module = module(heap, &text[..end])?;
        Some((module, end))
    });
    let (module, end) = module.ok_or_else(unknown)?;
    let way = steps(&text[end..]).ok_or_else(unknown)?;
    let mut at = vec![module];
    let mut until = text[..end].to_owned();
    let mut several = false;
    for step in way {
        let mut next = Vec::new();
        for object in &at {
            follow(heap, edges, *object, &step, &mut next);
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return Err(NotFound::NoSuchStep {
                closest: similar(heap, edges, &at, &step),
                step: step.written(),
                until,
            });
        }
        several |= step == Step::Every;
        until += &step.written();
        at = next;
    }
    let mut objects = ObjectSet::new(heap.objects.len());
    for object in at {
        objects.insert(object);
    }
    Ok(What {
        meaning: match several {
            true => Meaning::Place,
            false => Meaning::Object,
        },
        name: until,
        objects,
        other: None,
    })
}

/// The module of that name.
fn module(heap: &Heap, name: &str) -> Option<ObjectId> {
    let mut roots = heap
        .roots
        .iter()
        .filter(|root| root.kind == RootKind::Module);
    let root = roots.find(|root| heap.strings.get(root.name) == name)?;
    Some(root.object)
}

/// The edges of `object`; none for an id that leads nowhere.
fn edges_of<'a>(
    edges: &'a Edges,
    object: ObjectId,
) -> impl Iterator<Item = (ObjectId, Label)> + use<'a> {
    let row = object.0 as usize;
    let range = match (edges.start.get(row), edges.start.get(row + 1)) {
        (Some(&from), Some(&to)) => from as usize..to as usize,
        _ => 0..0,
    };
    let targets = edges.target.get(range.clone()).unwrap_or(&[]);
    let labels = edges.label.get(range).unwrap_or(&[]);
    targets.iter().copied().zip(labels.iter().copied())
}

/// Where `step` leads from `object`.
fn follow(heap: &Heap, edges: &Edges, object: ObjectId, step: &Step, to: &mut Vec<ObjectId>) {
    let text = |label: Label| label.name().map(|name| heap.strings.get(name));
    match step {
        Step::Attribute(name) => {
            let found = attributes(heap, edges, object, |label| text(label) == Some(name));
            to.extend(found.first().map(|(target, _)| *target));
        }
        Step::Key(name) => {
            let key = |label: Label| {
                matches!(label.kind(), LabelKind::Key | LabelKind::Attribute)
                    && text(label) == Some(name)
            };
            let mut found = edges_of(edges, object).filter(|(_, label)| key(*label));
            to.extend(found.next().map(|(target, _)| target));
        }
        Step::Index(index) => {
            let wanted = Label::new(LabelKind::Index, u64::from(*index));
            let mut found = edges_of(edges, object).filter(|(_, label)| *label == wanted);
            to.extend(found.next().map(|(target, _)| target));
        }
        Step::Every => {
            let inside = |label: Label| {
                matches!(
                    label.kind(),
                    LabelKind::Index | LabelKind::Value | LabelKind::Key
                )
            };
            let set = matches!(type_name(heap, object), "set" | "frozenset");
            let member = |label: Label| set && label.kind() == LabelKind::KeyObject;
            let found = edges_of(edges, object).filter(|edge| inside(edge.1) || member(edge.1));
            to.extend(found.map(|(target, _)| target));
        }
    }
}

/// The attributes of `object` whose labels `fits` takes: its own, then those in its `__dict__`,
/// then what is not an attribute in Python: fields, closures, local variables.
fn attributes(
    heap: &Heap,
    edges: &Edges,
    object: ObjectId,
    fits: impl Fn(Label) -> bool,
) -> Vec<(ObjectId, Label)> {
    let text = |label: Label| label.name().map(|name| heap.strings.get(name));
    let mut found = Vec::new();
    let own = |kind: LabelKind| kind == LabelKind::Attribute;
    found.extend(edges_of(edges, object).filter(|(_, l)| own(l.kind()) && fits(*l)));
    for (dict, label) in edges_of(edges, object) {
        if text(label) == Some("__dict__") && label.kind() != LabelKind::Weak {
            let entry = |kind| matches!(kind, LabelKind::Key | LabelKind::Attribute);
            found.extend(edges_of(edges, dict).filter(|(_, l)| entry(l.kind()) && fits(*l)));
        }
    }
    let other = |kind| {
        matches!(
            kind,
            LabelKind::Field | LabelKind::Closure | LabelKind::Local
        )
    };
    for (target, label) in edges_of(edges, object).filter(|(_, l)| other(l.kind()) && fits(*l)) {
        // What a closure's variable holds, not the cell.
        let mut inside = edges_of(edges, target);
        let content = inside.find(|(_, l)| text(*l) == Some("cell_contents"));
        let target = match label.kind() {
            LabelKind::Closure => content.map_or(target, |(content, _)| content),
            _ => target,
        };
        found.push((target, label));
    }
    found
}

/// Steps from `objects` that are called similarly.
fn similar(heap: &Heap, edges: &Edges, objects: &[ObjectId], step: &Step) -> Vec<String> {
    let Some(&object) = objects.first() else {
        return Vec::new();
    };
    let name = |label: Label| label.name().map(|name| heap.strings.get(name));
    match step {
        Step::Attribute(wanted) => {
            let all = attributes(heap, edges, object, |_| true);
            let names = all.into_iter().filter_map(|(_, label)| name(label));
            closest(wanted, names, SUGGESTED)
        }
        Step::Key(wanted) => {
            let keys = edges_of(edges, object).filter(|(_, l)| l.kind() == LabelKind::Key);
            closest(wanted, keys.filter_map(|(_, label)| name(label)), SUGGESTED)
        }
        Step::Index(_) | Step::Every => Vec::new(),
    }
}

/// Nothing is called `text`; but what is called similarly?
fn unknown(heap: &Heap, text: &str) -> NotFound {
    let types = heap.types.iter().map(|kind| heap.strings.get(kind.name));
    let modules = heap
        .roots
        .iter()
        .filter(|root| root.kind == RootKind::Module);
    let modules = modules.map(|root| heap.strings.get(root.name));
    NotFound::Unknown {
        closest: closest(text, types.chain(modules), SUGGESTED),
    }
}
