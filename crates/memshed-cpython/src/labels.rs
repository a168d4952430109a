//! Turning what the visitor calls an edge into a label with interned names.

use crate::edges::RawLabel;
use crate::layouts::Layout;
use crate::marks::Marks;
use crate::read::Reader;
use crate::strings;
use memshed_heap::{Label, LabelKind, StringId, Strings};
use memshed_target::{Memory, RemoteAddr};
use rustc_hash::FxHashMap;

/// Names of edges. Text is kept only where it is a name: of attributes, variables, fields, and of
/// keys in the namespaces of modules, classes and instances; other keys are contents.
pub(crate) struct Labels<'a, M: Memory> {
    reader: Reader<'a, M>,
    layout: &'a Layout,
    namespaces: &'a Marks,
    strings: &'a mut Strings,
    /// Address of a `str` object to its handle; `None` for what is no string.
    by_address: FxHashMap<u64, Option<StringId>>,
}

impl<'a, M: Memory> Labels<'a, M> {
    /// A maker of labels that adds names to `strings`.
    pub(crate) fn new(
        reader: Reader<'a, M>,
        layout: &'a Layout,
        namespaces: &'a Marks,
        strings: &'a mut Strings,
    ) -> Labels<'a, M> {
        let by_address = FxHashMap::default();
        Labels {
            reader,
            layout,
            namespaces,
            strings,
            by_address,
        }
    }

    /// The label of an edge.
    pub(crate) fn label(&mut self, raw: RawLabel<'_>) -> Label {
        match raw {
            RawLabel::Attribute(name) => self.named(LabelKind::Attribute, name),
            RawLabel::Slot(name) => Label::named(LabelKind::Attribute, self.strings.intern(name)),
            RawLabel::Entry {
                dict,
                key,
                position,
            } => {
                if self.namespaces.contains(dict.0)
                    && let Some(name) = self.text(key)
                {
                    return Label::named(LabelKind::Key, name);
                }
                Label::new(LabelKind::Value, position)
            }
            RawLabel::KeyObject(position) => Label::new(LabelKind::KeyObject, position),
            RawLabel::Index(index) => Label::new(LabelKind::Index, index),
            RawLabel::Local(name) => self.named(LabelKind::Local, name),
            RawLabel::Stack(depth) => Label::new(LabelKind::Stack, depth),
            RawLabel::Field(name) => Label::named(LabelKind::Field, self.strings.intern(name)),
            RawLabel::Weak(name) => Label::named(LabelKind::Weak, self.strings.intern(name)),
            RawLabel::Possible(offset) => Label::new(LabelKind::Possible, offset),
        }
    }

    fn named(&mut self, kind: LabelKind, name: RemoteAddr) -> Label {
        match self.text(name) {
            Some(name) => Label::named(kind, name),
            None => Label::new(LabelKind::Unknown, 0),
        }
    }

    fn text(&mut self, at: RemoteAddr) -> Option<StringId> {
        if let Some(&known) = self.by_address.get(&at.0) {
            return known;
        }
        let id = is_str(self.reader, self.layout, at)
            .then(|| strings::text(self.reader, self.layout, at))
            .flatten()
            .map(|text| self.strings.intern(&text));
        self.by_address.insert(at.0, id);
        id
    }
}

/// Whether the object at `at` is a `str`.
pub(crate) fn is_str<M: Memory>(reader: Reader<'_, M>, layout: &Layout, at: RemoteAddr) -> bool {
    let of = reader
        .pointer(at.add(layout.object.ob_type.into()))
        .unwrap_or_default();
    let flags = reader.u32(of.add(layout.ty.tp_flags.into())).unwrap_or(0);
    flags & layout.flags.unicode_subclass != 0
}
