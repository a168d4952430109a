//! What an edge is called: the attribute, key or index through which one object holds another.

use crate::strings::StringId;

/// How an edge's source holds its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LabelKind {
    /// No name is known.
    Unknown = 0,
    /// An instance, module or class attribute; the value is a string handle: `.name`.
    Attribute = 1,
    /// The value stored under a string key that is an identifier's kind of name; a string
    /// handle: `["name"]`.
    Key = 2,
    /// The value stored under a key whose text is not kept; the value is the position among the
    /// dictionary's entries: `[…]`.
    Value = 3,
    /// The key object of a dictionary entry, or a set's member; the position of the entry.
    KeyObject = 4,
    /// An element of a sequence; the value is its index: `[3]`.
    Index = 5,
    /// A local variable of a frame; a string handle.
    Local = 6,
    /// A closure's variable; a string handle.
    Closure = 7,
    /// A C-level field by CPython's own name, such as `__dict__`, `ob_type`, `tp_base`,
    /// `func_globals`; a string handle.
    Field = 8,
    /// A word of a type without a known layout that looks like a reference; its offset in bytes.
    Possible = 9,
    /// A reference that does not keep its target alive; a string handle.
    Weak = 10,
    /// A value on a frame's evaluation stack; its depth.
    Stack = 11,
}

impl LabelKind {
    /// All kinds, each at the place of its number.
    pub const ALL: [LabelKind; 12] = [
        LabelKind::Unknown,
        LabelKind::Attribute,
        LabelKind::Key,
        LabelKind::Value,
        LabelKind::KeyObject,
        LabelKind::Index,
        LabelKind::Local,
        LabelKind::Closure,
        LabelKind::Field,
        LabelKind::Possible,
        LabelKind::Weak,
        LabelKind::Stack,
    ];

    /// The kind as a word, as in snapshot files and JSON.
    pub fn word(self) -> &'static str {
        match self {
            LabelKind::Unknown => "unknown",
            LabelKind::Attribute => "attribute",
            LabelKind::Key => "key",
            LabelKind::Value => "value",
            LabelKind::KeyObject => "key_object",
            LabelKind::Index => "index",
            LabelKind::Local => "local",
            LabelKind::Closure => "closure",
            LabelKind::Field => "field",
            LabelKind::Possible => "possible",
            LabelKind::Weak => "weak",
            LabelKind::Stack => "stack",
        }
    }

    /// The kind that [`LabelKind::word`] names so.
    pub fn from_word(word: &str) -> Option<LabelKind> {
        LabelKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether labels of this kind carry a name.
    pub fn is_named(self) -> bool {
        matches!(
            self,
            LabelKind::Attribute
                | LabelKind::Key
                | LabelKind::Local
                | LabelKind::Closure
                | LabelKind::Field
                | LabelKind::Weak
        )
    }
}

/// A label in four bytes: the kind in the top four bits, its value in the lower 28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(pub u32);

impl Label {
    /// The greatest value that fits; greater ones are clamped to it (an index of 268,435,455
    /// therefore means "that or more").
    pub const MAX: u32 = (1 << 28) - 1;

    /// A label of `kind` with a value: an index, a position or an offset.
    pub fn new(kind: LabelKind, value: u64) -> Label {
        Label((kind as u32) << 28 | value.min(u64::from(Self::MAX)) as u32)
    }

    /// A label of `kind` with a name.
    pub fn named(kind: LabelKind, name: StringId) -> Label {
        Label::new(kind, u64::from(name.0))
    }

    /// The kind; `Unknown` for bits that no kind has.
    pub fn kind(self) -> LabelKind {
        match self.0 >> 28 {
            1 => LabelKind::Attribute,
            2 => LabelKind::Key,
            3 => LabelKind::Value,
            4 => LabelKind::KeyObject,
            5 => LabelKind::Index,
            6 => LabelKind::Local,
            7 => LabelKind::Closure,
            8 => LabelKind::Field,
            9 => LabelKind::Possible,
            10 => LabelKind::Weak,
            11 => LabelKind::Stack,
            _ => LabelKind::Unknown,
        }
    }

    /// The index, position or offset, or the number of the string handle.
    pub fn value(self) -> u32 {
        self.0 & Self::MAX
    }

    /// The name, for the kinds that carry one.
    pub fn name(self) -> Option<StringId> {
        self.kind().is_named().then(|| StringId(self.value()))
    }
}
