//! Interned names: attribute names, module names, qualified names of types and functions.

use rustc_hash::FxHashMap;

/// A handle to an interned string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StringId(pub u32);

/// An append-only table of distinct strings.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    values: Vec<Box<str>>,
    index: FxHashMap<Box<str>, StringId>,
}

impl Strings {
    /// The handle of `value`, which is added if it is new.
    ///
    /// # Panics
    /// Past 2^32 distinct strings.
    pub fn intern(&mut self, value: &str) -> StringId {
        if let Some(&id) = self.index.get(value) {
            return id;
        }
        let id = StringId(u32::try_from(self.values.len()).expect("more than 2^32 names"));
        self.values.push(value.into());
        self.index.insert(value.into(), id);
        id
    }

    /// The string behind a handle; `"?"` for a handle that this table never gave out.
    pub fn get(&self, id: StringId) -> &str {
        self.values.get(id.0 as usize).map_or("?", |s| s)
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All strings in the order of their handles.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|s| &**s)
    }
}
