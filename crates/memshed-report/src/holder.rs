//! The name of what holds an object: the chain of its holders from a root, as an expression.

use memshed_heap::{Heap, Label, LabelKind, ObjectId, Objects};

/// Longest chain that is written out; longer ones are cut in front.
const LONGEST: usize = 12;

/// The chain of holders of an object.
pub(crate) fn path(heap: &Heap, object: ObjectId) -> String {
    let objects: &Objects = &heap.objects;
    let mut steps = Vec::new();
    let mut at = object;
    for _ in 0..LONGEST {
        let Some(&holder) = objects.holder.get(at.0 as usize) else {
            break;
        };
        if holder == ObjectId::NONE {
            break;
        }
        steps.push(step(heap, objects.holder_label[at.0 as usize]));
        at = holder;
    }
    let cut = steps.len() == LONGEST;
    steps.reverse();
    let root = heap.roots.binary_search_by_key(&at, |root| root.object);
    let begin = match root {
        _ if cut => "…".to_string(),
        Ok(row) => heap.strings.get(heap.roots[row].name).to_string(),
        Err(_) => match heap.names.get(&at) {
            Some(&name) => heap.strings.get(name).to_string(),
            None if steps.is_empty() => "no holder found".to_string(),
            None => "?".to_string(),
        },
    };
    begin + &steps.concat()
}

fn step(heap: &Heap, label: Label) -> String {
    let name = label.name().map_or("?", |name| heap.strings.get(name));
    match label.kind() {
        LabelKind::Attribute | LabelKind::Field | LabelKind::Local | LabelKind::Closure => {
            format!(".{name}")
        }
        LabelKind::Key => format!("[{name:?}]"),
        LabelKind::Index => format!("[{}]", label.value()),
        LabelKind::Weak => format!(".{name} (weak)"),
        _ => "[…]".to_string(),
    }
}
