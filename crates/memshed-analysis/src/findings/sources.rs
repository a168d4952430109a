//! Where in the program's sources to look.

use super::Location;
use crate::cohorts::{Cohorts, Running};
use crate::holders::{HolderPath, Hop, Start};
use memshed_heap::{Code, Heap, RootKind};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;

/// Places named for one finding.
const MOST: usize = 4;
/// The method that is called when an object is about to be freed.
const FINALIZER: &str = "__del__";
/// Methods that put something into a container, and that take something out.
const ADDING: &[&str] = &[
    "add",
    "append",
    "appendleft",
    "insert",
    "put",
    "put_nowait",
    "setdefault",
];
const REMOVING: &[&str] = &["clear", "discard", "pop", "popitem", "popleft", "remove"];
/// Functions that mention a name are named only if there are no more than this.
const COMMON: usize = 40;

/// The functions that mention the name by which a container is reached, those that were running
/// during the looks first.
pub(crate) fn mentions(heap: &Heap, cohorts: &Cohorts, path: &HolderPath) -> Vec<Location> {
    let names = names(path);
    for name in names.iter().rev() {
        let mut codes = mentioning(heap, name);
        if codes.is_empty() || codes.len() > COMMON {
            continue;
        }
        let seen = seen(cohorts);
        let times = |code: &Code| {
            let key = (heap.strings.get(code.file), heap.strings.get(code.name));
            seen.get(&key).copied().unwrap_or(0)
        };
        let others = |code: &Code| {
            let mentioned = code.mentions.iter().map(|&id| heap.strings.get(id));
            mentioned.filter(|m| names.iter().any(|n| n == m)).count()
        };
        let weight = |code: &Code| {
            let file = heap.strings.get(code.file);
            (times(code), is_of_module(file, path), others(code))
        };
        codes.sort_by_key(|code| Reverse(weight(code)));
        let best = codes.first().map_or((false, 0), |code| {
            let (_, module, others) = weight(code);
            (module, others)
        });
        codes.retain(|code| {
            let (times, module, others) = weight(code);
            times > 0 || (module, others) == best
        });
        let location = |code: &&Code| Location {
            file: heap.strings.get(code.file).to_owned(),
            line: code.line,
            role: format!("{}() uses {name}", heap.strings.get(code.name)),
        };
        return codes.iter().take(MOST).map(location).collect();
    }
    Vec::new()
}

/// The finalizer of one of these `types` that mentions the container: it puts objects back that were to
/// be freed, and they live on (resurrection, PEP 442).
pub(crate) fn resurrecting<'a>(
    heap: &'a Heap,
    path: &HolderPath,
    types: &[(String, u64)],
) -> Option<&'a Code> {
    let names = names(path);
    let container = names.last()?;
    let is_of = |name: &str| {
        // Up to 3.10 a code object knows nothing of its class.
        let of = |class: &str| name == format!("{class}.{FINALIZER}");
        let mut classes = types.iter().map(|(name, _)| name.rsplit('.').next());
        name == FINALIZER || classes.any(|class| class.is_some_and(of))
    };
    let mentions = |code: &Code, words: &[&str]| {
        let mut names = code.mentions.iter().map(|&id| heap.strings.get(id));
        names.any(|name| words.contains(&name))
    };
    let mut codes = mentioning(heap, container).into_iter();
    codes.find(|code| {
        is_of(heap.strings.get(code.name)) && mentions(code, ADDING) && !mentions(code, REMOVING)
    })
}

/// Whether a file is that of the module in which a path begins.
fn is_of_module(file: &str, path: &HolderPath) -> bool {
    let Start::Root { name, .. } = &path.start else {
        return false;
    };
    let stem = file.strip_suffix(".py").unwrap_or(file);
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let module = format!("/{}", name.replace('.', "/"));
    // A static type's name begins with its module's.
    stem.ends_with(&module)
        || name.contains('.') && {
            let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
            !parent.is_empty() && stem.ends_with(parent)
        }
}

/// Lines that were running while memory grew, the most frequent first: in the program's own files,
/// and the innermost ones, which call C code.
pub(crate) fn running(cohorts: &Cohorts, most: usize) -> Vec<Location> {
    let mut own: FxHashMap<Line<'_>, usize> = FxHashMap::default();
    let mut inner: FxHashMap<Line<'_>, usize> = FxHashMap::default();
    for look in &cohorts.looks {
        // Of each thread the innermost call in a file of the program's own. Several threads at one
        // line count once.
        let mut threads: FxHashMap<&str, &Running> = FxHashMap::default();
        let mut innermost: FxHashSet<Line<'_>> = FxHashSet::default();
        for call in &look.running {
            if call.depth == 0 && is_library(&call.file) {
                innermost.insert(line(call));
            }
            if !is_library(&call.file) {
                let known = threads.entry(&call.thread).or_insert(call);
                if call.depth < known.depth {
                    *known = call;
                }
            }
        }
        let lines: FxHashSet<Line<'_>> = threads.values().map(|call| line(call)).collect();
        lines
            .into_iter()
            .for_each(|one| *own.entry(one).or_default() += 1);
        innermost
            .into_iter()
            .for_each(|one| *inner.entry(one).or_default() += 1);
    }
    let looks = cohorts.len();
    let mut locations = often(own, looks, most);
    locations.extend(often(inner, looks, most.div_ceil(2)));
    locations
}

/// A file, a line, a function.
type Line<'a> = (&'a str, u32, &'a str);

fn line(call: &Running) -> Line<'_> {
    (&call.file, call.line, &call.function)
}

/// The most frequent ones.
fn often(times: FxHashMap<Line<'_>, usize>, looks: usize, most: usize) -> Vec<Location> {
    let mut list: Vec<_> = times.into_iter().collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let location = |((file, line, function), times): (Line<'_>, usize)| Location {
        file: file.to_owned(),
        line,
        role: format!("running at {times} of {looks} looks, in {function}()"),
    };
    list.into_iter().take(most).map(location).collect()
}

/// Whether a file belongs to the standard library, to an installed package, or to no file.
pub(crate) fn is_library(file: &str) -> bool {
    file.starts_with('<')
        || file.contains("/site-packages/")
        || file.contains("/dist-packages/")
        || file.contains("/lib/python3")
        || file.contains("/lib64/python3")
}

/// The names on the way that sources would mention, outermost first.
fn names(path: &HolderPath) -> Vec<String> {
    let mut names = Vec::new();
    if let Start::Root {
        kind: RootKind::Static,
        name,
        ..
    } = &path.start
    {
        names.extend(name.rsplit('.').next().map(str::to_owned));
    }
    for segment in &path.segments {
        match &segment.hop {
            Hop::Attribute(name) | Hop::Key(name) | Hop::Closure(name) | Hop::Local(name)
                if !name.starts_with("__") =>
            {
                names.push(name.clone());
            }
            _ => {}
        }
    }
    names
}

fn mentioning<'a>(heap: &'a Heap, name: &str) -> Vec<&'a Code> {
    let mentions = |code: &&Code| code.mentions.iter().any(|&id| heap.strings.get(id) == name);
    heap.code.iter().filter(mentions).collect()
}

/// How often each function was running: file and name.
fn seen(cohorts: &Cohorts) -> FxHashMap<(&str, &str), usize> {
    let mut times = FxHashMap::default();
    for call in cohorts.looks.iter().flat_map(|look| &look.running) {
        *times
            .entry((call.file.as_str(), call.function.as_str()))
            .or_default() += 1;
    }
    times
}
