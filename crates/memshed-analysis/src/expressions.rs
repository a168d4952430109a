//! What to call an object so that it can be found again: `app.CACHE["users"]`, or its address.

use crate::holders::{Hop, Start, holder_path, is_identifier};
use memshed_heap::{Heap, ObjectId, RootKind};

/// An expression for `object` that leads to it and to nothing else: the way from a module, or the
/// address in hexadecimal where a key on that way is not kept, or where it does not begin at a
/// module. `None` if there is no such object.
pub fn expression(heap: &Heap, object: ObjectId) -> Option<String> {
    let row = object.0 as usize;
    if row >= heap.objects.len() {
        return None;
    }
    let mut path = holder_path(heap, object);
    // An object's `__dict__` is called what the object is.
    let last = path.segments.last().map(|segment| &segment.hop);
    if matches!(last, Some(Hop::Field(name)) if name == "__dict__") {
        path.segments.pop();
    }
    let module = match &path.start {
        Start::Root {
            kind: RootKind::Module,
            name,
            ..
        } => name.split('.').all(is_identifier),
        _ => false,
    };
    let written = |hop: &Hop| match hop {
        Hop::Attribute(name) | Hop::Field(name) => is_identifier(name),
        Hop::Key(_) | Hop::Index(_) => true,
        _ => false,
    };
    match module && path.segments.iter().all(|segment| written(&segment.hop)) {
        true => Some(path.to_string()),
        false => Some(format!("{:#x}", heap.objects.address.get(row))),
    }
}
