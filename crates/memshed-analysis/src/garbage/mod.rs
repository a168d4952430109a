//! Garbage: objects that nothing can use any more, but that hold each other in cycles, so that
//! their counts never fall to zero. Which they are, why they are still there, and the one reference
//! that, if it were not there or weak, would have let them go at once.

mod cut;
mod groups;
mod unreachable;

use crate::graph::Graph;
use crate::holders::{HolderPath, Hop};
use crate::set::ObjectSet;
use memshed_heap::ObjectId;
use std::fmt::{self, Display, Formatter};

pub use unreachable::collector_garbage;

/// Garbage.
#[derive(Clone, Debug, Default)]
pub struct Garbage {
    /// What the collector would find if it ran now over all of its generations, as
    /// `gc.DEBUG_SAVEALL` lists it.
    pub collectable: ObjectSet,
    /// Objects that would be freed with them, and what is in cycles that are never collected.
    pub rest: ObjectSet,
    /// Bytes of all of it.
    pub bytes: u64,
    /// Cycles of one kind and what only they hold, those with most bytes first.
    pub groups: Vec<CycleGroup>,
}

/// Cycles of the same kind: of the same types that hold each other by the same names.
#[derive(Clone, Debug, PartialEq)]
pub struct CycleGroup {
    /// How many cycles.
    pub cycles: u64,
    /// How many of them are held by another cycle that is garbage, too.
    pub nested: u64,
    /// Objects in the cycles.
    pub members: u64,
    /// Objects in all: those in the cycles and those that only they hold. What several groups hold
    /// is counted in one of them.
    pub objects: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// The types of the objects in the cycles, the program's own first.
    pub types: Vec<TypeAmount>,
    /// The types of all of these objects, those with most bytes first.
    pub held: Vec<TypeAmount>,
    /// Objects in the cycles by the collector's generation: 0 to 2, 3 for the permanent one, and
    /// those that it does not track or was just looking at.
    pub generations: [u64; 5],
    /// Why they are still there.
    pub reason: Uncollected,
    /// Types in the cycles that have a finalizer (`__del__`).
    pub finalizers: Vec<String>,
    /// Names of classes and functions that are themselves in the first of the cycles.
    pub names: Vec<String>,
    /// Whether words that merely look like references are part of the cycles.
    pub guessed: bool,
    /// The first of the cycles: the way from one of its objects, along which it comes back to it.
    pub cycle: HolderPath,
    /// The same, hop by hop.
    pub hops: Vec<CycleHop>,
    /// The reference to break.
    pub cut: Option<Cut>,
}

/// Objects of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeAmount {
    /// Its name.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A reference of a cycle. The object that the last one leads to is the first one's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleHop {
    /// The object that refers.
    pub object: ObjectId,
    /// The name of its type.
    pub type_name: String,
    /// How it holds the next.
    pub hop: Hop,
}

/// Why garbage was not collected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uncollected {
    /// Automatic collection is off: `gc.disable()`, or a threshold of zero.
    Disabled,
    /// It is in the permanent generation (`gc.freeze()`), which is never looked at.
    Frozen,
    /// Objects of these types are part of the cycle, and the types do not support garbage
    /// collection: it is never collected.
    TypeWithoutGc(Vec<String>),
    /// It waits for the next collection of the oldest generation that it is in.
    Waiting {
        /// That generation.
        generation: u8,
        /// Objects in that generation.
        objects: u64,
        /// The generation's threshold, as `gc.get_threshold()` says.
        threshold: i64,
        /// What counts towards it so far, as `gc.get_count()` says.
        count: i64,
    },
    /// A collection was running.
    Collecting,
}

/// The reference to break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The name of the type of the object that refers.
    pub source: String,
    /// How it refers.
    pub hop: Hop,
    /// The name of the type that it refers to; for a bound method, of the object that it is bound
    /// to.
    pub target: String,
    /// Whether it refers to a bound method.
    pub is_bound_method: bool,
    /// What to do about it.
    pub remedy: Remedy,
    /// Whether no cycle is left without it.
    pub breaks_all: bool,
    /// Whether the name or the numbers say that it points back, from a part to its whole.
    pub points_back: bool,
    /// The code object that has to do with it: of the function whose local or closure variable it
    /// is, or of the function or bound method referred to.
    pub code: Option<ObjectId>,
    /// Such a reference: the objects that refer and are referred to.
    pub example: (ObjectId, ObjectId),
}

/// What to do about a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// `weakref.ref` or `weakref.proxy` in its place: the type referred to supports it, and
    /// something else holds the object.
    Weak,
    /// It is a bound method: `weakref.WeakMethod` in its place.
    WeakMethod,
    /// A local variable: deleting it, or setting it to `None`, when it is no longer needed.
    Delete,
    /// Setting it to `None`, or taking it out, when it is no longer needed: types like that cannot
    /// be referred to weakly, a weak reference would let go of it at once, or it is a type of C code
    /// that refers.
    Clear,
}

impl Display for Cut {
    /// `app.Child.parent -> app.Parent`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Cut {
            source,
            hop,
            target,
            ..
        } = self;
        match self.is_bound_method {
            true => write!(f, "{source}{hop} -> bound method of {target}"),
            false => write!(f, "{source}{hop} -> {target}"),
        }
    }
}

/// The garbage of a heap.
pub fn garbage(graph: &Graph<'_>) -> Garbage {
    let doubtful = unreachable::doubtful(graph);
    let freed_with = |garbage| unreachable::freed_with(graph, garbage, &doubtful);
    let collectable = unreachable::among(graph, doubtful.clone());
    let freed = freed_with(&collectable);
    let stuck = unreachable::never_collected(graph, &collectable, &freed);
    let groups = groups::groups(graph, &collectable, &freed, &stuck);
    let mut rest = freed;
    for object in stuck.iter() {
        rest.insert(object);
    }
    let all = collectable.iter().chain(rest.iter());
    Garbage {
        bytes: all.map(|object| graph.bytes(object)).sum(),
        collectable,
        rest,
        groups,
    }
}
