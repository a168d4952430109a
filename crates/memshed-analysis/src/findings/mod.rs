//! What is wrong with a heap, in words: findings.

mod advice;
mod c_types;
mod cycles;
mod fragmentation;
mod growing;
mod leaks;
mod lost;
mod native;
mod sources;
mod standing;
mod words;

pub(crate) use fragmentation::{malloc_free, part};
pub use leaks::{any_of, findings};
pub(crate) use sources::{is_library, mentions};

/// What kind of problem a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// A container whose content grows and goes on growing.
    Growth,
    /// Cyclic garbage that is not collected.
    Cycle,
    /// Objects with more references than there are referrers: C code forgot to let go.
    ReferenceCount,
    /// Interned strings that grow.
    Interned,
    /// Memory of C code that grows without an object that owns it.
    Native,
    /// Memory that is free but not given back.
    Fragmentation,
    /// A large cache that does not grow without bound.
    Cache,
    /// Equal objects that could be one.
    Duplicate,
    /// Dictionaries, sets or lists with room for far more than is in them.
    Oversized,
    /// Resources that nobody closed.
    Unclosed,
    /// Garbage that waits for the collector.
    Garbage,
    /// A container that holds much, of which it is not known whether it grows.
    Large,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [FindingKind; 12] = [
        FindingKind::Growth,
        FindingKind::Cycle,
        FindingKind::ReferenceCount,
        FindingKind::Interned,
        FindingKind::Native,
        FindingKind::Fragmentation,
        FindingKind::Cache,
        FindingKind::Duplicate,
        FindingKind::Oversized,
        FindingKind::Unclosed,
        FindingKind::Garbage,
        FindingKind::Large,
    ];

    /// The kind as a word, as in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            FindingKind::Growth => "growth",
            FindingKind::Cycle => "cycle",
            FindingKind::ReferenceCount => "reference-count",
            FindingKind::Interned => "interned",
            FindingKind::Native => "native",
            FindingKind::Fragmentation => "fragmentation",
            FindingKind::Cache => "cache",
            FindingKind::Duplicate => "duplicate",
            FindingKind::Oversized => "oversized",
            FindingKind::Unclosed => "unclosed",
            FindingKind::Garbage => "garbage",
            FindingKind::Large => "large",
        }
    }

    /// The kind that [`FindingKind::word`] names so.
    pub fn from_word(word: &str) -> Option<FindingKind> {
        FindingKind::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
    }

    /// Whether memory of that kind goes on growing.
    pub fn is_leak(self) -> bool {
        matches!(
            self,
            FindingKind::Growth
                | FindingKind::Cycle
                | FindingKind::ReferenceCount
                | FindingKind::Interned
                | FindingKind::Native
        )
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// A guess.
    Low,
    /// Likely.
    Medium,
    /// As good as certain.
    High,
}

impl Confidence {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// A place in the program's sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Path of the file, as the program knows it.
    pub file: String,
    /// The line; 0 if only the file is known.
    pub line: u32,
    /// What it has to do with the finding, in words.
    pub role: String,
}

/// A problem, its cause and what to change.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What kind of problem it is.
    pub kind: FindingKind,
    /// One sentence in the user's words.
    pub title: String,
    /// Bytes at stake: what grew, or what is held.
    pub bytes: u64,
    /// By how much that grows, in bytes a second; `None` if that is not known.
    pub bytes_per_second: Option<f64>,
    /// How many objects, or blocks.
    pub count: u64,
    /// Names of the types concerned, those with most bytes first.
    pub types: Vec<String>,
    /// What holds it, such as `app.CACHE`.
    pub holder: String,
    /// The way from a root to it, step by step.
    pub path: Vec<String>,
    /// Where to look in the sources.
    pub locations: Vec<Location>,
    /// What speaks for it, in numbers.
    pub evidence: Vec<String>,
    /// What to change.
    pub fix: String,
    /// How sure it is.
    pub confidence: Confidence,
}
