//! The one reference to break so that a cycle falls apart, and the cycle written out.

use super::groups::without_position;
use super::{Cut, CycleHop, Remedy};
use crate::components::components;
use crate::graph::Graph;
use crate::holders::{self, HolderPath, Start, Step};
use crate::set::ObjectSet;
use crate::type_name;
use memshed_heap::{Label, LabelKind, ObjectId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Work that is spent on trying references, in objects looked at.
const MAX_TRIED: usize = 4_000_000;
/// References tried at most.
const MAX_TRIES: usize = 24;

/// Words in a name that say that it refers from a part to its whole, or from what is called to who
/// calls.
const BACK: [&str; 9] = [
    "parent",
    "owner",
    "back",
    "backref",
    "prev",
    "previous",
    "outer",
    "container",
    "holder",
];
/// Words that often do.
const LIKELY_BACK: [&str; 24] = [
    "self",
    "this",
    "root",
    "top",
    "master",
    "host",
    "manager",
    "controller",
    "engine",
    "server",
    "client",
    "session",
    "app",
    "application",
    "service",
    "context",
    "callback",
    "cb",
    "handler",
    "hook",
    "listener",
    "observer",
    "up",
    "on",
];
/// Builtin types that weak references cannot refer to.
const NO_WEAK_REFERENCES: [&str; 22] = [
    "int",
    "bool",
    "float",
    "complex",
    "str",
    "bytes",
    "bytearray",
    "tuple",
    "list",
    "dict",
    "NoneType",
    "range",
    "slice",
    "cell",
    "frame",
    "traceback",
    "mappingproxy",
    "object",
    "property",
    "code",
    "types.SimpleNamespace",
    "datetime.datetime",
];

/// References that are alike: of the same name, between the same types.
type Key<'h> = (&'h str, Label, &'h str);

/// A strongly connected component of garbage.
pub(super) struct Knot<'g, 'h> {
    graph: &'g Graph<'h>,
    members: &'g [ObjectId],
    set: ObjectSet,
    /// Dictionaries that are the `__dict__` of a member: to that member.
    dict_of: FxHashMap<ObjectId, ObjectId>,
    /// Tuples that are part of a class or a function, not data.
    parts: FxHashSet<ObjectId>,
    /// Containers of arguments: to the function, exception or the like that has them, and the field.
    arguments: FxHashMap<ObjectId, (ObjectId, Label)>,
}

/// A reference to break, and how it is labelled.
pub(super) struct Reference {
    pub(super) cut: Cut,
    edge: Step,
}

/// References that are alike.
struct Alike {
    edge: Step,
    count: u64,
    targets: FxHashSet<ObjectId>,
    score: u32,
}

impl<'g, 'h> Knot<'g, 'h> {
    pub(super) fn new(graph: &'g Graph<'h>, members: &'g [ObjectId]) -> Knot<'g, 'h> {
        let mut set = ObjectSet::new(graph.len());
        for &member in members {
            set.insert(member);
        }
        let mut dict_of = FxHashMap::default();
        let mut parts = FxHashSet::default();
        let mut arguments = FxHashMap::default();
        for &source in members {
            for (target, label) in graph.edges_of(source) {
                if label.kind() != LabelKind::Field || !set.contains(target) {
                    continue;
                }
                match label.name().map(|id| graph.heap().strings.get(id)) {
                    Some("__dict__") => {
                        dict_of.insert(target, source);
                    }
                    Some("__mro__" | "__bases__" | "__closure__" | "tp_cache") => {
                        parts.insert(target);
                    }
                    Some("__defaults__" | "__kwdefaults__" | "args" | "kw") => {
                        arguments.insert(target, (source, label));
                    }
                    _ => {}
                }
            }
        }
        Knot {
            graph,
            members,
            set,
            dict_of,
            parts,
            arguments,
        }
    }

    /// The references between members.
    fn edges(&self) -> impl Iterator<Item = Step> + '_ {
        self.members.iter().flat_map(move |&source| {
            self.graph
                .edges_of(source)
                .filter(|(target, _)| self.set.contains(*target))
                .map(move |(object, label)| Step {
                    source,
                    label,
                    object,
                })
        })
    }

    /// What a reference is like: an entry of an instance's `__dict__` is an attribute of it.
    fn key(&self, edge: &Step) -> Key<'h> {
        let heap = self.graph.heap();
        if let Some(&(owner, label)) = self.arguments.get(&edge.source) {
            return (type_name(heap, owner), label, type_name(heap, edge.object));
        }
        let owner = self.dict_of.get(&edge.source);
        let label = match (owner, edge.label.name()) {
            (Some(_), Some(name)) => Label::named(LabelKind::Attribute, name),
            _ => without_position(edge.label),
        };
        let source = match self.parts.contains(&edge.source) {
            true => "",
            false => type_name(heap, owner.copied().unwrap_or(edge.source)),
        };
        (source, label, type_name(heap, edge.object))
    }

    /// The reference to break: the best by name and place of those without which no cycle is left;
    /// if there is none such, the best of all.
    pub(super) fn reference_to_break(&self) -> Option<Reference> {
        let mut alike: FxHashMap<Key<'h>, Alike> = FxHashMap::default();
        for edge in self.edges() {
            let one = alike.entry(self.key(&edge)).or_insert_with(|| Alike {
                edge,
                count: 0,
                targets: FxHashSet::default(),
                score: 0,
            });
            one.count += 1;
            one.targets.insert(edge.object);
        }
        let mut all: Vec<(Key<'h>, Alike)> = alike.into_iter().collect();
        for (key, one) in &mut all {
            one.score = self.score(key, one);
        }
        all.retain(|(_, one)| one.score > 0);
        let names = |key: &Key<'h>| {
            let name = key.1.name().map(|id| self.graph.heap().strings.get(id));
            (key.0, name, key.2)
        };
        all.sort_by(|(key, a), (other, b)| {
            (b.score, names(key), key.1.0).cmp(&(a.score, names(other), other.1.0))
        });
        let tries = (MAX_TRIED / self.members.len().max(1)).clamp(1, MAX_TRIES);
        let breaking = all.iter().take(tries).position(|(key, _)| self.breaks(key));
        let (key, one) = all.get(breaking.unwrap_or(0))?;
        Some(self.reference(key, one, breaking.is_some()))
    }

    /// Whether no cycle is left without references like that.
    fn breaks(&self, key: &Key<'h>) -> bool {
        let kept = |source, object, label| {
            let edge = Step {
                source,
                label,
                object,
            };
            self.key(&edge) != *key
        };
        let left = components(self.graph, &self.set, kept);
        let to_itself = |step: &Step| step.source == step.object && self.key(step) != *key;
        left.len() == self.members.len() && !self.edges().any(|step| to_itself(&step))
    }

    /// How good references like that are to break; 0: they are part of how Python works.
    fn score(&self, &(source, label, target): &Key<'h>, alike: &Alike) -> u32 {
        let heap = self.graph.heap();
        let name = label.name().map_or("", |id| heap.strings.get(id));
        let from_many = alike.count >= 2 && alike.targets.len() as u64 * 2 <= alike.count;
        // Classes are cycles by construction.
        if source.is_empty() || is_class(target) {
            return 0;
        }
        match label.kind() {
            LabelKind::Attribute if is_class(source) || name.starts_with("__") => 0,
            LabelKind::Attribute => {
                let by_name = 10 * back_words(name);
                let by_target = match target {
                    "method" => 80,
                    "function" => 40,
                    "list" | "dict" | "set" | "tuple" | "collections.deque" => 30,
                    _ if supports_weak(target) => 50,
                    _ => 35,
                };
                by_target + by_name + if from_many { 25 } else { 0 }
            }
            LabelKind::Local if name == "self" => 20,
            LabelKind::Local => 60,
            LabelKind::Closure => 45,
            LabelKind::Field if name == "cell_contents" => 30,
            LabelKind::Field if name == "__traceback__" => 28,
            LabelKind::Field if matches!(target, "tuple" | "dict") => 0,
            LabelKind::Field if name.ends_with("defaults__") || name == "args" => 25,
            LabelKind::Field if name.starts_with("__") || name.starts_with("tp_") => 0,
            LabelKind::Field => 12,
            LabelKind::Key => 15,
            LabelKind::Value | LabelKind::Index | LabelKind::KeyObject => 20,
            LabelKind::Possible | LabelKind::Stack => 10,
            LabelKind::Unknown => 5,
            LabelKind::Weak => 0,
        }
    }

    fn reference(&self, key: &Key<'h>, alike: &Alike, breaks_all: bool) -> Reference {
        let heap = self.graph.heap();
        let &(source, label, target) = key;
        let name = label.name().map_or("", |id| heap.strings.get(id));
        let bound = match target {
            "method" => self.bound_to(alike.edge.object),
            _ => None,
        };
        let may_be_weak = supports_weak(target) && target != "function" && target != "method";
        let remedy = match label.kind() {
            LabelKind::Local | LabelKind::Stack => Remedy::Delete,
            LabelKind::Possible => Remedy::Clear,
            LabelKind::Attribute if bound.is_some() => Remedy::WeakMethod,
            _ if may_be_weak => Remedy::Weak,
            _ => Remedy::Clear,
        };
        let target = bound.map_or(target, |object| type_name(heap, object));
        let step = Step {
            label,
            ..alike.edge
        };
        let from_many = alike.count >= 2 && alike.targets.len() as u64 * 2 <= alike.count;
        let points_back = from_many || back_words(name) > 0 || bound.is_some();
        Reference {
            cut: Cut {
                source: source.to_owned(),
                hop: match label.kind() {
                    LabelKind::Index => holders::Hop::Value,
                    _ => holders::hop(heap, step),
                },
                target: target.to_owned(),
                is_bound_method: bound.is_some(),
                remedy,
                breaks_all,
                points_back,
                code: self.code(&alike.edge),
                example: (
                    self.dict_of
                        .get(&alike.edge.source)
                        .copied()
                        .unwrap_or(alike.edge.source),
                    alike.edge.object,
                ),
            },
            edge: alike.edge,
        }
    }

    /// The code object that has to do with a reference.
    fn code(&self, edge: &Step) -> Option<ObjectId> {
        let graph = self.graph;
        let held_by = |object: ObjectId, names: &'static [&str]| {
            let mut edges = graph.edges_of(object);
            let edge = edges.find(|(_, label)| names.iter().any(|n| is_field(graph, *label, n)));
            edge.map(|(target, _)| target)
        };
        let of_frame = |frame| held_by(frame, &["f_code", "gi_code"]);
        let of_function = |function| held_by(function, &["__code__"]);
        let kind = |object| type_name(graph.heap(), object);
        match (kind(edge.source), kind(edge.object)) {
            ("frame", _) => of_frame(edge.source),
            ("generator" | "coroutine" | "async_generator", _) => {
                let frame = held_by(edge.source, &["gi_frame"]);
                of_frame(edge.source).or_else(|| of_frame(frame?))
            }
            ("cell", _) => {
                let tuples = graph.referrers(edge.source).iter();
                let mut closures = tuples.filter(|tuple| self.parts.contains(tuple));
                let functions = graph.referrers(*closures.next()?).iter();
                functions.copied().find_map(of_function)
            }
            (_, "method") => of_function(held_by(edge.object, &["__func__"])?),
            (_, "function") => of_function(edge.object),
            _ => None,
        }
    }

    /// What the bound method `method` is bound to, if that is in the cycle.
    fn bound_to(&self, method: ObjectId) -> Option<ObjectId> {
        let mut edges = self.graph.edges_of(method);
        let (object, _) = edges.find(|(_, label)| is_field(self.graph, *label, "__self__"))?;
        self.set.contains(object).then_some(object)
    }

    /// A shortest cycle, through the reference to break if there is one: the references in turn,
    /// from the object that this one refers to.
    pub(super) fn cycle(&self, through: Option<&Reference>) -> Vec<Step> {
        let through = through.map(|reference| reference.edge);
        let Some(last) = through.or_else(|| self.edges().next()) else {
            return Vec::new();
        };
        let mut came_by: FxHashMap<ObjectId, Step> = FxHashMap::default();
        let mut queue = VecDeque::from([last.object]);
        while let Some(source) = queue.pop_front() {
            if source == last.source {
                break;
            }
            for (object, label) in self.graph.edges_of(source) {
                let is_new = object != last.object && !came_by.contains_key(&object);
                if self.set.contains(object) && is_new {
                    let step = Step {
                        source,
                        label,
                        object,
                    };
                    came_by.insert(object, step);
                    queue.push_back(object);
                }
            }
        }
        let mut steps = vec![last];
        let mut at = last.source;
        while let Some(step) = came_by.get(&at).filter(|_| at != last.object) {
            steps.push(*step);
            at = step.source;
        }
        steps.reverse();
        // It begins with an object that a reader knows: not with a bound method, but with the
        // object that has it as an attribute; not with an instance's `__dict__`.
        let is_known = |step: &Step| {
            let inner = ["method", "function", "cell", "tuple", "frame", "traceback"];
            let name = type_name(self.graph.heap(), step.source);
            !self.dict_of.contains_key(&step.source) && !inner.contains(&name)
        };
        if let Some(first) = (0..steps.len()).rev().find(|&at| is_known(&steps[at]))
            && !is_known(&steps[0])
        {
            steps.rotate_left(first);
        }
        steps
    }
}

/// 3 if a word of the name says that it points back, 2 if one often does, else 0.
fn back_words(name: &str) -> u32 {
    let words = || name.split('_').map(str::to_lowercase);
    if words().any(|word| BACK.contains(&&*word)) {
        3
    } else if words().any(|word| LIKELY_BACK.contains(&&*word)) {
        2
    } else {
        0
    }
}

/// Whether a type of that name is a class's.
fn is_class(type_name: &str) -> bool {
    type_name == "type" || type_name.ends_with("Meta") || type_name.ends_with("EnumType")
}

fn is_field(graph: &Graph<'_>, label: Label, name: &str) -> bool {
    let text = |id| graph.heap().strings.get(id);
    label.kind() == LabelKind::Field && label.name().map(text) == Some(name)
}

/// Whether weak references can refer to instances of the type of that name, as far as names tell:
/// classes of the program can unless they have `__slots__` without `__weakref__`.
fn supports_weak(type_name: &str) -> bool {
    let builtin_error = !type_name.contains('.')
        && [
            "Error",
            "Exception",
            "Warning",
            "Exit",
            "Interrupt",
            "Iteration",
        ]
        .iter()
        .any(|end| type_name.ends_with(end));
    !NO_WEAK_REFERENCES.contains(&type_name) && !builtin_error
}

/// The cycle as a way from its first object back to it.
pub(super) fn path(graph: &Graph<'_>, steps: &[Step]) -> HolderPath {
    let heap = graph.heap();
    let start = match steps.first() {
        Some(first) => Start::Unreached {
            object: first.source,
            type_name: type_name(heap, first.source).to_owned(),
        },
        None => Start::Nowhere,
    };
    holders::path(heap, start, steps)
}

/// The cycle hop by hop.
pub(super) fn hops(graph: &Graph<'_>, steps: &[Step]) -> Vec<CycleHop> {
    let heap = graph.heap();
    let hop = |step: Step| CycleHop {
        object: step.source,
        type_name: type_name(heap, step.source).to_owned(),
        hop: holders::hop(heap, step),
    };
    holders::collapse(heap, steps)
        .into_iter()
        .map(hop)
        .collect()
}
