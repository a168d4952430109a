//! Classes whose instances would be smaller with `__slots__`.

use super::{Advice, AdviceKind, Advised, Stake, matters};
use crate::findings::{Confidence, Location, is_library};
use crate::units::{bytes as amount, count};
use memshed_heap::{Heap, Instances, LabelKind, ObjectId, TypeId};

/// Attributes that are written out.
const NAMED: usize = 12;
/// From 3.11 on a dictionary means that somebody has asked for `__dict__`. One in so many may.
const DICTIONARIES: u64 = 100;

/// Advice on classes, and why there is none on others.
pub(super) fn advise(heap: &Heap, advised: &mut Advised) {
    for class in &heap.instances {
        let saved = class.bytes.saturating_sub(class.slotted_bytes);
        if !matters(heap, saved) {
            continue;
        }
        let name = name(heap, class.type_id);
        let number = count(class.instances);
        if !class.alike {
            advised.declined.push(format!(
                "{name} has {number} instances, but not all of them have the same attributes: __slots__ \
                 is not advised."
            ));
        } else if asks_for_dictionaries(heap, class) {
            advised.declined.push(format!(
                "{name} has {number} instances, but the program uses their __dict__: __slots__ would \
                 break it."
            ));
        } else {
            advised.advice.push(one(heap, class, &name, saved));
        }
    }
}

fn name(heap: &Heap, id: TypeId) -> String {
    let kind = heap.types.get(id.0 as usize);
    kind.map_or("?", |kind| heap.strings.get(kind.name))
        .to_owned()
}

/// Up to 3.10 every instance has a dictionary.
fn asks_for_dictionaries(heap: &Heap, class: &Instances) -> bool {
    let before = ["3.9", "3.10"];
    let version = heap.process.python.rsplit_once('.').map_or("", |(v, _)| v);
    !before.contains(&version) && class.dictionaries * DICTIONARIES > class.instances
}

fn one(heap: &Heap, class: &Instances, name: &str, saved: u64) -> Advice {
    let names = attributes(heap, class.example);
    let mut quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    if class.weakly_referenced {
        quoted.push("\"__weakref__\"".to_owned());
    }
    let rest = quoted.len().saturating_sub(NAMED);
    quoted.truncate(NAMED);
    let more = if rest > 0 {
        format!(", …  # and {rest} more")
    } else {
        String::new()
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    let locations = class_lines(heap, name);
    let foreign = locations.first().is_some_and(|one| is_library(&one.file));
    let each = |bytes: u64| bytes / class.instances.max(1);
    let mut evidence = vec![
        format!(
            "{} instances take {} each with what their attributes are kept in; with __slots__ {}",
            count(class.instances),
            amount(each(class.bytes)),
            amount(each(class.slotted_bytes))
        ),
        format!(
            "all of them have the same {} attributes, and nobody has asked for their __dict__",
            class.attributes
        ),
    ];
    if foreign {
        evidence.push(
            "the class belongs to a package, so that this is its authors' to change".to_owned(),
        );
    }
    let comma = if quoted.len() == 1 && rest == 0 {
        ","
    } else {
        ""
    };
    Advice {
        kind: AdviceKind::Slots,
        title: format!(
            "The {} {short} objects would take {} less with __slots__",
            count(class.instances),
            amount(saved)
        ),
        stake: Stake::Bytes(saved),
        confidence: if foreign {
            Confidence::Low
        } else {
            Confidence::Medium
        },
        evidence,
        to_do:
            "Name the attributes in the class, and in each of its bases, which otherwise give the \
                instances a dictionary all the same; a dataclass takes slots=True (from 3.10 on). \
                Attributes of other names can then not be set."
                .to_owned(),
        code: vec![
            format!("class {short}:"),
            format!("    __slots__ = ({}{comma}{more})", quoted.join(", ")),
        ],
        locations,
        proof: "the same program so changed: its resident memory".to_owned(),
    }
}

/// Names of an instance's attributes.
fn attributes(heap: &Heap, object: ObjectId) -> Vec<String> {
    let Some(edges) = heap.edges.as_ref() else {
        return Vec::new();
    };
    let names = |object: ObjectId, wanted: LabelKind| {
        let named = edges.of(object).filter(|(_, label)| label.kind() == wanted);
        let names = named.filter_map(|(_, label)| label.name());
        names
            .map(|name| heap.strings.get(name).to_owned())
            .collect()
    };
    if (object.0 as usize) >= heap.objects.len() {
        return Vec::new();
    }
    let own: Vec<String> = names(object, LabelKind::Attribute);
    if !own.is_empty() {
        return own;
    }
    let dict = edges.of(object).find(|(_, label)| {
        label
            .name()
            .is_some_and(|name| heap.strings.get(name) == "__dict__")
    });
    let in_dict = |dict| {
        let mut all: Vec<String> = names(dict, LabelKind::Attribute);
        all.extend(names(dict, LabelKind::Key));
        all
    };
    dict.map_or(Vec::new(), |(dict, _)| in_dict(dict))
}

/// Where a class is written: the first of its methods.
fn class_lines(heap: &Heap, name: &str) -> Vec<Location> {
    let Some(edges) = heap.edges.as_ref() else {
        return Vec::new();
    };
    let init = |qualname: &str| {
        let class = qualname.strip_suffix(".__init__")?;
        let module = name.strip_suffix(class)?;
        (module.is_empty() || module.ends_with('.')).then_some(())
    };
    let functions = heap.names.iter().filter_map(|(&object, &qualname)| {
        init(heap.strings.get(qualname))?;
        let mut edges = edges.of(object);
        let code = edges.find(|(_, label)| {
            label
                .name()
                .is_some_and(|name| heap.strings.get(name) == "__code__")
        });
        let code = code?.0;
        let row = heap
            .code
            .binary_search_by_key(&code, |one| one.object)
            .ok()?;
        Some(&heap.code[row])
    });
    let mut found: Vec<Location> = functions
        .map(|code| Location {
            file: heap.strings.get(code.file).to_owned(),
            line: code.line,
            role: "its __init__()".to_owned(),
        })
        .collect();
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    found.truncate(1);
    found
}
