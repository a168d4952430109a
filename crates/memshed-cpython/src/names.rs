//! Names of types and of objects that have one of their own.

use crate::edges::Visitor;
use crate::mark::Found;
use crate::shapes::Kind;
use crate::strings;
use memshed_heap::{ObjectId, Objects, StringId, Strings, Type};
use memshed_target::{Memory, RemoteAddr};
use rustc_hash::FxHashMap;

/// The table of types.
pub(crate) fn types<M: Memory>(found: &Found<'_, M>, strings: &mut Strings) -> Vec<Type> {
    let info = found.types.infos().iter();
    info.map(|info| Type {
        name: strings.intern(&info.full_name()),
        module: strings.intern(&info.module),
        address: info.address.0,
        object: found
            .objects
            .rank(info.address.0)
            .map_or(ObjectId::NONE, ObjectId),
    })
    .collect()
}

/// Names of modules, types, functions and code objects, and of the variables of closures: their
/// cells.
pub(crate) fn objects<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    objects: &Objects,
    strings: &mut Strings,
) -> FxHashMap<ObjectId, StringId> {
    let l = visitor.layout;
    let ways: Vec<Option<Way>> = found
        .types
        .infos()
        .iter()
        .map(|info| match info.kind {
            Kind::Module => Some(Way::Text(l.module.md_name)),
            Kind::Type => Some(Way::Type),
            Kind::Code => Some(Way::Place),
            _ if info.full_name() == "function" => Some(Way::Text(l.function.func_qualname)),
            Kind::Generator => Some(Way::Text(l.generator.gi_qualname)),
            _ => None,
        })
        .collect();
    let mut names = FxHashMap::default();
    for (row, of) in objects.type_id.iter().enumerate() {
        let Some(way) = &ways[of.0 as usize] else {
            continue;
        };
        let at = RemoteAddr(objects.address.get(row));
        let name = match way {
            Way::Text(offset) => {
                let at = visitor.reader.pointer(at.add((*offset).into())).ok();
                at.and_then(|at| strings::text(visitor.reader, l, at))
            }
            Way::Type => found
                .types
                .known(at)
                .map(|id| found.types.info(id).full_name()),
            Way::Place => Some(visitor.place(at)),
        };
        if let Some(name) = name {
            names.insert(ObjectId(row as u32), strings.intern(&name));
        }
    }
    names.extend(visitor.cells(found, objects, strings));
    names
}

/// Where an object's name is.
enum Way {
    /// A `str` at this offset.
    Text(u32),
    /// It is a type.
    Type,
    /// It is a code object.
    Place,
}
