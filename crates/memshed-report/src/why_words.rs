//! References in words: what holds what how, and what to change so that it no longer does.

use crate::why::StepRow;
use memshed_analysis::{HolderPath, Hop, Start, root_words};
use memshed_heap::RootKind;

/// `a dict`, `an array.array`, `an _asyncio.Task`.
pub(crate) fn a(name: &str) -> String {
    let spoken = name.trim_start_matches('_');
    let vowel = spoken.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}

/// What holds something: `a dict`, `the module app`, `the function handle`.
fn holder(step: &StepRow) -> String {
    let kind = step.type_name.as_str();
    match (kind, &step.name) {
        ("module" | "function" | "method", Some(name)) => format!("the {kind} {name}"),
        ("builtin_function_or_method", Some(name)) => format!("the function {name}"),
        ("type" | "abc.ABCMeta" | "enum.EnumType" | "enum.EnumMeta", Some(name)) => {
            format!("the class {name}")
        }
        (_, Some(name)) => format!("the {kind} {name}"),
        _ => a(kind),
    }
}

/// How something is held: `.sessions of a app.Registry`.
pub(crate) fn held(step: &StepRow) -> String {
    let by = holder(step);
    let how = &step.how;
    match &step.hop {
        Some(Hop::Attribute(_) | Hop::Field(_) | Hop::Key(_) | Hop::Value) => {
            format!("{how} of {by}")
        }
        Some(Hop::Entry(_) | Hop::Index(_)) => format!("{how} of {by}"),
        Some(Hop::KeyObject) => format!("a key of {by}"),
        Some(Hop::Member) => format!("a member of {by}"),
        Some(Hop::Local(name)) => format!("local variable {name} of {by}"),
        Some(Hop::Closure(name)) => format!("variable {name}, which {by} uses from outside of it"),
        Some(Hop::Possible(offset)) => format!("possibly {by}, at offset {offset}"),
        Some(Hop::Weak(name)) => format!("weakly, .{name} of {by}"),
        Some(Hop::Stack(_)) => format!("a value in use by {by}"),
        Some(Hop::Elided(_)) => format!("{how} of {by}"),
        Some(Hop::Unknown) | None => format!("something in {by}"),
    }
}

/// Where a way begins, in words.
pub(crate) fn root(path: &HolderPath) -> String {
    match &path.start {
        Start::Root { kind, name, .. } => match kind {
            RootKind::Module => format!("the module {name}"),
            RootKind::Frame => name.clone(),
            RootKind::Static => format!("static data: {name}"),
            RootKind::Interpreter => format!("the interpreter's own state: {name}"),
            RootKind::Interned | RootKind::Unreached => root_words(*kind).to_owned(),
        },
        Start::Unreached { .. } => "nothing that your program can reach".to_owned(),
        Start::Nowhere => "unknown: its holders lead nowhere".to_owned(),
    }
}

/// What to change so that the container `name` of type `kind` does not hold so much; `None` if it
/// is none that one takes things out of.
pub(crate) fn emptied(kind: &str, name: &str) -> Option<String> {
    let short = kind.rsplit('.').next().unwrap_or(kind);
    let mapping = short.ends_with("dict") || short.ends_with("Dict") || short == "Counter";
    Some(match short {
        _ if mapping => format!(
            "take entries out of {name} once they are no longer needed (`.pop(key)`), limit their \
             number, or let it be a weakref.WeakValueDictionary"
        ),
        "list" | "deque" => format!(
            "take items out of {name} once they are done with, or limit it \
             (`collections.deque(maxlen=…)`)"
        ),
        "set" => format!(
            "`.discard()` what is no longer needed from {name}, or let it be a weakref.WeakSet"
        ),
        "_lru_cache_wrapper" => format!(
            "functools.lru_cache or functools.cache keeps the arguments and results of {name}: \
             give it a maxsize, or call .cache_clear() now and then"
        ),
        _ => return None,
    })
}

/// What to change so that a way no longer holds what it leads to: the reference at `at` among
/// `steps`, which go from the object upwards, is the one to cut.
pub(crate) fn advice(steps: &[StepRow], at: usize, path: &HolderPath) -> String {
    let Some(step) = steps.get(at) else {
        return of_root(path);
    };
    let named = |at: usize| above(path, steps, at);
    let cached = |step: &StepRow| step.type_name == "functools._lru_cache_wrapper";
    if let Some(at) = steps.iter().position(cached)
        && let Some(says) = emptied("_lru_cache_wrapper", &named(at))
    {
        return says;
    }
    let traced = |step: &StepRow| match &step.hop {
        Some(Hop::Field(name)) => name == "__traceback__" || name.starts_with("tb_"),
        _ => false,
    };
    if steps.iter().any(traced) {
        return "a stored exception keeps the local variables of all functions that it went \
                through: keep its text instead (`str(error)`), or set its `__traceback__` to None"
            .to_owned();
    }
    let container = named(at);
    let kind = step.type_name.as_str();
    let short = kind.rsplit('.').next().unwrap_or(kind);
    let inside = matches!(
        &step.hop,
        Some(
            Hop::Value
                | Hop::Entry(_)
                | Hop::Key(_)
                | Hop::KeyObject
                | Hop::Index(_)
                | Hop::Member
                | Hop::Elided(_)
        )
    );
    if let Some(says) = emptied(kind, &container).filter(|_| inside) {
        return says;
    }
    match &step.hop {
        Some(Hop::Index(_) | Hop::Value) if short == "tuple" => {
            format!("a tuple cannot be changed: let go of {container} as a whole")
        }
        Some(Hop::Attribute(name)) if kind == "module" => format!(
            "a module's variable lives as long as the program: empty what is in it, or \
             `del {container}.{name}`"
        ),
        Some(Hop::Field(name)) if name == "__class__" => {
            "a class lives as long as its objects do".to_owned()
        }
        Some(Hop::Attribute(name) | Hop::Field(name)) => format!(
            "set .{name} of {container} to None once it is no longer needed, or let go of \
             {container}"
        ),
        Some(Hop::Closure(name)) => format!(
            "the function {container} uses the variable {name} of the function around it and \
             keeps it: let go of that function, or give it what it needs as an argument"
        ),
        Some(Hop::Local(_)) if matches!(short, "generator" | "coroutine" | "async_generator") => {
            format!("{container} was begun and has not ended: finish it, or close() it")
        }
        Some(Hop::Local(_) | Hop::Stack(_)) => {
            "it goes when that function returns; `del` lets go of a variable earlier".to_owned()
        }
        Some(Hop::Possible(_)) => format!(
            "{} belongs to C code: look for what closes or clears it",
            a(kind)
        ),
        _ => format!("let go of {container}"),
    }
}

fn of_root(path: &HolderPath) -> String {
    match &path.start {
        Start::Root { kind, .. } => match kind {
            RootKind::Module => "modules stay until the program ends".to_owned(),
            RootKind::Frame => {
                "it goes when that function returns; `del` lets go of a variable earlier".to_owned()
            }
            RootKind::Interned => {
                "interned strings stay while anything uses them: intern no data (`sys.intern`)"
                    .to_owned()
            }
            _ => "it is part of Python itself".to_owned(),
        },
        _ => "`gc.collect()` in the program frees what is garbage".to_owned(),
    }
}

/// What to call the holder of step `at` of those that go up a path: the way to it from a module;
/// from elsewhere, which makes long names, the last step to it.
fn above(path: &HolderPath, steps: &[StepRow], at: usize) -> String {
    let from_module = matches!(
        path.start,
        Start::Root {
            kind: RootKind::Module,
            ..
        }
    );
    if !from_module && let Some(step) = steps.get(at + 1) {
        return held(step);
    }
    let mut path = path.clone();
    path.segments.truncate(steps.len().saturating_sub(at + 1));
    path.to_string()
}
