//! Places: the ways to objects along the column of holders, alike but for indices and keys.
//!
//! A thousand sessions in a dictionary are at one place, `app.SESSIONS[…]`, and their names at
//! another, `app.SESSIONS[…].name`. A linked list is at one place, however long.

use crate::holders::{HolderPath, Hop, Start, closure_variable, function_of, holder_path};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, RootKind};
use rustc_hash::FxHashMap;

/// A handle to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId(pub u32);

/// Places, found as they are asked for.
pub struct Places<'a> {
    heap: &'a Heap,
    /// The place of each object, `UNASKED` until somebody asks.
    of: Vec<u32>,
    places: Vec<Place>,
    known: FxHashMap<Key, u32>,
    /// The place of what no root reaches, once there is one.
    unreached: Option<u32>,
    /// Objects on the way up, kept for their room.
    way: Vec<ObjectId>,
}

const UNASKED: u32 = u32::MAX;

/// A place, and the first object found there.
struct Place {
    /// The place of what holds these objects; `u32::MAX` for a root.
    above: u32,
    /// How they are held.
    label: Label,
    example: ObjectId,
}

/// What makes a place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// A root, by its row.
    Root(u32),
    /// The table of interned strings, all together.
    Interned,
    /// What no root reaches, all together.
    Unreached,
    /// Below another place.
    Below(u32, Label),
}

impl<'a> Places<'a> {
    /// The places of `heap`.
    pub fn new(heap: &'a Heap) -> Places<'a> {
        Places {
            heap,
            of: vec![UNASKED; heap.objects.len()],
            places: Vec::new(),
            known: FxHashMap::default(),
            unreached: None,
            way: Vec::new(),
        }
    }

    /// How many places were found so far.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none was found so far.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The place of an object. Each object is looked at once, however often it is asked for.
    pub fn of(&mut self, object: ObjectId) -> PlaceId {
        let objects = &self.heap.objects;
        let mut way = std::mem::take(&mut self.way);
        let mut at = object;
        // Up to an object whose place is known. More steps than there are objects are a circle:
        // a garbled file.
        let mut place = loop {
            match self.of.get(at.0 as usize) {
                Some(&UNASKED) => {}
                Some(&place) => break place,
                None => break self.root(at, Key::Unreached),
            }
            way.push(at);
            let holder = objects.holder.get(at.0 as usize).copied();
            match holder {
                Some(holder) if holder != ObjectId::NONE && way.len() <= self.of.len() => {
                    at = holder;
                }
                _ => {
                    way.pop();
                    let place = self.root(at, self.root_key(at));
                    self.of[at.0 as usize] = place;
                    break place;
                }
            }
        };
        while let Some(at) = way.pop() {
            let label = objects.holder_label.get(at.0 as usize);
            let label = label.copied().unwrap_or(Label(0));
            let holder = objects.holder.get(at.0 as usize).copied();
            let label = self.label(holder.unwrap_or(ObjectId::NONE), label, at);
            place = self.below(place, label, at);
            self.of[at.0 as usize] = place;
        }
        self.way = way;
        PlaceId(place)
    }

    /// The place of what `holder` holds through `label`, of which `object` is one. It is that of
    /// `object` if that is how the column of holders has it.
    pub fn through(&mut self, holder: ObjectId, label: Label, object: ObjectId) -> PlaceId {
        let above = self.of(holder);
        let label = self.label(holder, label, object);
        PlaceId(self.below(above.0, label, object))
    }

    /// What `label`, through which `holder` holds `object`, adds to a place: the variable of a
    /// closure, or the label without its index or position.
    fn label(&self, holder: ObjectId, label: Label, object: ObjectId) -> Label {
        let variable = match label.kind() {
            LabelKind::Index => function_of(self.heap, holder)
                .and_then(|function| closure_variable(self.heap, function, label, object)),
            _ => None,
        };
        variable.unwrap_or_else(|| without_value(label))
    }

    /// The place of a root: of what it is called, not of what else may hold that object.
    pub fn of_root(&mut self, root: ObjectId) -> PlaceId {
        let key = self.root_key(root);
        PlaceId(self.root(root, key))
    }

    /// The place of an object that was asked for before.
    pub fn known(&self, object: ObjectId) -> Option<PlaceId> {
        let place = self.of.get(object.0 as usize).copied();
        place.filter(|&place| place != UNASKED).map(PlaceId)
    }

    /// What a place is called, such as `app.SESSIONS[…].name`; and an object there.
    pub fn name(&self, place: PlaceId) -> (String, ObjectId) {
        let Some(place) = self.places.get(place.0 as usize) else {
            return ("?".to_owned(), ObjectId::NONE);
        };
        let mut path = holder_path(self.heap, place.example);
        // What hangs there is one place, whatever the first object found was.
        if let Start::Unreached { .. } = path.start {
            path.segments.clear();
        }
        (without_positions(path).to_string(), place.example)
    }

    fn root_key(&self, object: ObjectId) -> Key {
        let roots = &self.heap.roots;
        match roots.binary_search_by_key(&object, |root| root.object) {
            Ok(row) => match roots[row].kind {
                RootKind::Interned => Key::Interned,
                RootKind::Unreached => Key::Unreached,
                _ => Key::Root(row as u32),
            },
            Err(_) => Key::Unreached,
        }
    }

    fn root(&mut self, object: ObjectId, key: Key) -> u32 {
        let place = self.place(key, u32::MAX, Label(0), object);
        if key == Key::Unreached {
            self.unreached = Some(place);
        }
        place
    }

    /// The place that `label` leads to from the place `above`.
    fn below(&mut self, above: u32, label: Label, object: ObjectId) -> u32 {
        // Everything that hangs on what no root reaches stays together.
        if self.unreached == Some(above) {
            return above;
        }
        // The same step again, or the same two steps: a list linked through an attribute, or
        // through an attribute in a dictionary. Lists in lists are told apart once.
        let at = |place: u32| self.places.get(place as usize);
        let below = |place: &Place| at(place.above).filter(|above| above.above != u32::MAX);
        let one = at(above).filter(|one| one.above != u32::MAX);
        if let Some(one) = one {
            let two = below(one);
            let again = |place: Option<&Place>, label| place.is_some_and(|p| p.label == label);
            if one.label == label && (label.kind().is_named() || again(two, label)) {
                return above;
            }
            let three = two.and_then(below);
            if again(two, label) && again(three, one.label) {
                return one.above;
            }
        }
        self.place(Key::Below(above, label), above, label, object)
    }

    fn place(&mut self, key: Key, above: u32, label: Label, example: ObjectId) -> u32 {
        let places = &mut self.places;
        *self.known.entry(key).or_insert_with(|| {
            places.push(Place {
                above,
                label,
                example,
            });
            places.len() as u32 - 1
        })
    }
}

/// The way to an object, with `[…]` for every index and position on it.
pub(crate) fn way_to(heap: &Heap, object: ObjectId) -> String {
    without_positions(holder_path(heap, object)).to_string()
}

fn without_positions(mut path: HolderPath) -> HolderPath {
    for segment in &mut path.segments {
        if let Hop::Index(_) | Hop::Entry(_) = segment.hop {
            segment.hop = Hop::Value;
        }
    }
    path
}

/// A label without its index or position.
fn without_value(label: Label) -> Label {
    match label.kind() {
        LabelKind::Index | LabelKind::Value => Label::new(LabelKind::Value, 0),
        LabelKind::KeyObject => Label::new(LabelKind::KeyObject, 0),
        LabelKind::Stack => Label::new(LabelKind::Stack, 0),
        LabelKind::Unknown => Label(0),
        _ => label,
    }
}
