//! Builders of the columns that hold words and labels.

use crate::label::{Label, LabelKind};
use crate::strings::{StringId, Strings};
use arrow_array::builder::{Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, DictionaryArray, Int32Array};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A column of interned strings or nulls: each is copied once per batch.
#[derive(Default)]
pub(super) struct NameColumn {
    keys: Int32Builder,
    words: StringBuilder,
    index: FxHashMap<StringId, i32>,
}

impl NameColumn {
    pub fn push(&mut self, name: Option<StringId>, strings: &Strings) {
        let Some(name) = name else {
            self.keys.append_null();
            return;
        };
        let next = self.index.len() as i32;
        let key = *self.index.entry(name).or_insert_with(|| {
            self.words.append_value(strings.get(name));
            next
        });
        self.keys.append_value(key);
    }

    pub fn take(&mut self) -> ArrayRef {
        self.index.clear();
        dictionary(self.keys.finish(), Arc::new(self.words.finish()))
    }
}

/// The three columns of a label: its kind as a word, its name, its value.
///
/// Kinds with a name have a null value and the other way round; a row without a label has
/// nulls only.
#[derive(Default)]
pub(super) struct LabelColumns {
    kinds: Int32Builder,
    names: NameColumn,
    values: Int32Builder,
}

impl LabelColumns {
    pub fn push(&mut self, label: Option<Label>, strings: &Strings) {
        let Some(label) = label else {
            self.kinds.append_null();
            self.names.push(None, strings);
            self.values.append_null();
            return;
        };
        self.kinds.append_value(label.kind() as i32);
        let name = label.name();
        self.names.push(name, strings);
        match name {
            Some(_) => self.values.append_null(),
            None => self.values.append_value(label.value() as i32),
        }
    }

    /// Kinds, names, values.
    pub fn take(&mut self) -> [ArrayRef; 3] {
        let mut words = StringBuilder::new();
        for kind in LabelKind::ALL {
            words.append_value(kind.word());
        }
        [
            dictionary(self.kinds.finish(), Arc::new(words.finish())),
            self.names.take(),
            Arc::new(self.values.finish()),
        ]
    }
}

/// A column of words from `keys` into `words`.
pub(super) fn dictionary(keys: Int32Array, words: ArrayRef) -> ArrayRef {
    // Keys come from the builders above, which hand out positions of words only.
    Arc::new(DictionaryArray::new(keys, words))
}

/// A label from its three columns; in words what is wrong if they do not go together.
pub(super) fn label(
    kind: LabelKind,
    name: Option<StringId>,
    value: Option<i32>,
) -> Result<Label, String> {
    let word = kind.word();
    match (kind.is_named(), name, value) {
        (true, Some(name), None) if name.0 <= Label::MAX => Ok(Label::named(kind, name)),
        (false, None, Some(value)) if (0..=Label::MAX as i32).contains(&value) => {
            Ok(Label::new(kind, value as u64))
        }
        (true, ..) => Err(format!("a label of kind {word} needs a name and no value")),
        (false, ..) => Err(format!("a label of kind {word} needs a value and no name")),
    }
}
