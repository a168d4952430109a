//! Findings of memory that C code holds and no object accounts for.

use super::{Confidence, Finding, FindingKind, sources};
use crate::cohorts::{Cohorts, Look, NativeKey};
use crate::units::bytes as amount;
use memshed_heap::{Heap, NativeKind, NativeUse};
use rustc_hash::FxHashMap;

/// What grew by fewer bytes is not worth a finding.
const LEAST_BYTES: u64 = 64 * 1024;
/// Extension modules of a package that are named.
const MODULES: usize = 4;
/// Free memory of malloc's that grew by less is not worth one.
const LEAST_FREE: u64 = 2 * 1024 * 1024;
/// How memory is called that the interpreter's own state points at.
pub(crate) const INTERPRETER: &str = "the interpreter";
/// Libraries that are named.
const LIBRARIES: usize = 4;

/// How some memory has developed.
struct Trend {
    first: f64,
    last: f64,
    /// Whether it went up throughout.
    steady: bool,
}

impl Trend {
    fn of(series: &[f64], times: &[f64]) -> Option<Trend> {
        let (&first, &last) = (series.first()?, series.last()?);
        let steps: Vec<f64> = series.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let moved: f64 = steps.iter().map(|step| step.abs()).sum();
        let up = steps.iter().filter(|&&step| step > 0.0).count();
        let late = steps.len() - steps.len().div_ceil(3);
        let seconds = times.last()? - times.first()?;
        let late_seconds = times.last()? - times[late];
        let late_rate = (last - series[late]) / late_seconds.max(1e-3);
        let rate = (last - first) / seconds.max(1e-3);
        Some(Trend {
            first,
            last,
            steady: series.len() >= 4
                && last > first
                && last - first >= 0.6 * moved
                && up * 10 >= steps.len() * 6
                && late_rate >= 0.25 * rate,
        })
    }

    fn is_leak(&self) -> bool {
        self.steady && self.grown() >= LEAST_BYTES
    }

    fn grown(&self) -> u64 {
        (self.last - self.first).max(0.0) as u64
    }
}

/// Native memory that goes on growing, by who points at it.
pub(crate) fn find(heap: &Heap, cohorts: &Cohorts) -> Vec<Finding> {
    let mut by_owner: FxHashMap<&str, Vec<&NativeKey>> = FxHashMap::default();
    let keys = cohorts.looks.iter().flat_map(|look| look.native.keys());
    for key in keys {
        let list = by_owner.entry(key.owner.as_str()).or_default();
        if !list.contains(&key) {
            list.push(key);
        }
    }
    let times = cohorts.times();
    let mut findings = Vec::new();
    for (owner, keys) in by_owner {
        let series = series(cohorts, owner, &keys);
        let all = Trend::of(&series, &times).filter(Trend::is_leak);
        let (keys, trend) = match all {
            Some(trend) => (keys, trend),
            None => match of_some_sizes(cohorts, keys, &times) {
                Some(some) => some,
                None => continue,
            },
        };
        findings.push(finding(heap, cohorts, owner, &keys, &trend));
    }
    findings.extend(unreturned(heap, cohorts));
    findings
}

/// The sizes that go on growing, where others come and go.
fn of_some_sizes<'a>(
    cohorts: &Cohorts,
    mut keys: Vec<&'a NativeKey>,
    times: &[f64],
) -> Option<(Vec<&'a NativeKey>, Trend)> {
    let bytes = |look: &Look, key: &NativeKey| look.native.get(key).map_or(0, |sum| sum.1) as f64;
    let series = |keys: &[&NativeKey]| -> Vec<f64> {
        let at = |look: &Look| keys.iter().map(|&key| bytes(look, key)).sum();
        cohorts.looks.iter().map(at).collect()
    };
    let grows = |key: &&NativeKey| {
        let of_one_size = key.size > 0 && key.kind != NativeKind::MappedChunk;
        of_one_size && Trend::of(&series(&[key]), times).is_some_and(|trend| trend.is_leak())
    };
    keys.retain(grows);
    let trend = Trend::of(&series(&keys), times)?;
    trend.is_leak().then_some((keys, trend))
}

/// Memory that malloc has got back and does not use again: it takes new memory from the system for
/// each round of work instead.
fn unreturned(heap: &Heap, cohorts: &Cohorts) -> Option<Finding> {
    let at = |look: &Look| {
        let parts = look.memory.iter();
        let free = parts.filter(|(name, _)| name.starts_with("malloc/free"));
        free.map(|(_, bytes)| *bytes as f64).sum::<f64>()
    };
    let series: Vec<f64> = cohorts.looks.iter().map(at).collect();
    let trend = Trend::of(&series, &cohorts.times())?;
    if !trend.steady || trend.grown() < LEAST_FREE {
        return None;
    }
    let bytes = trend.grown();
    let seconds = cohorts.seconds().max(1e-3);
    let extensions = extensions(heap);
    let mut evidence = vec![
        format!(
            "{} of malloc's heaps is free, {} more than at the first look",
            amount(trend.last as u64),
            amount(bytes)
        ),
        format!(
            "malloc_trim(0) would give {} back as things stand",
            amount(heap.pools.releasable.malloc)
        ),
    ];
    evidence.extend(packages(heap));
    Some(Finding {
        kind: FindingKind::Native,
        title: format!(
            "malloc's heap keeps growing though most of it is free: C code frees its memory, but in \
             such pieces that it is not used again ({} more in {seconds:.0} s)",
            amount(bytes)
        ),
        bytes,
        bytes_per_second: Some(bytes as f64 / seconds),
        count: 1,
        types: Vec::new(),
        holder: "malloc, for C code".to_owned(),
        path: Vec::new(),
        locations: sources::running(cohorts, 3),
        evidence,
        fix: format!(
            "Call malloc_trim(0) now and then (ctypes.CDLL(None).malloc_trim(0)), preload another \
             allocator (jemalloc, mimalloc), or do that work in a child process that ends now and \
             then. {}",
            suspects(&extensions)
        ),
        confidence: Confidence::Medium,
    })
}

/// Resident bytes of what an owner's memory takes at each look. Large pieces may be resident only in
/// part, which the account tells.
fn series(cohorts: &Cohorts, owner: &str, keys: &[&NativeKey]) -> Vec<f64> {
    let accounted: Vec<String> = match owner {
        "" => vec![
            "malloc/in use, by whom is not known".to_owned(),
            "malloc/in use, large, by whom is not known".to_owned(),
        ],
        owner => vec![format!("malloc/in use, for {owner}")],
    };
    let at = |look: &Look| {
        let in_malloc = accounted.iter().filter_map(|name| look.memory.get(name));
        let in_malloc: u64 = in_malloc.sum();
        let others = keys
            .iter()
            .filter(|key| !matches!(key.kind, NativeKind::Chunk | NativeKind::MappedChunk));
        let others = others.filter_map(|key| look.native.get(key));
        let others: u64 = others.map(|(_, bytes)| *bytes).sum();
        (in_malloc + others) as f64
    };
    cohorts.looks.iter().map(at).collect()
}

/// By how much each size has grown: bytes, pieces, what it is; most first.
fn by_size<'a>(cohorts: &Cohorts, keys: &[&'a NativeKey]) -> Vec<(u64, u64, &'a NativeKey)> {
    let (Some(first), Some(last)) = (cohorts.looks.first(), cohorts.looks.last()) else {
        return Vec::new();
    };
    let mut list: Vec<(u64, u64, &NativeKey)> = Vec::new();
    for &key in keys {
        let before = first.native.get(key).copied().unwrap_or_default();
        let after = last.native.get(key).copied().unwrap_or_default();
        let bytes = after.1.saturating_sub(before.1);
        if bytes > 0 {
            list.push((bytes, after.0.saturating_sub(before.0), key));
        }
    }
    list.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(b.2)));
    list
}

fn finding(
    heap: &Heap,
    cohorts: &Cohorts,
    owner: &str,
    keys: &[&NativeKey],
    trend: &Trend,
) -> Finding {
    let sizes = by_size(cohorts, keys);
    let libraries = libraries(heap, owner, &sizes);
    let bytes = trend.grown();
    let seconds = cohorts.seconds().max(1e-3);
    let pieces: u64 = sizes.iter().map(|(_, count, _)| count).sum();
    let named = libraries.first().map(|(name, _)| name.as_str());
    let whose = match (owner, named) {
        ("", Some(library)) => {
            format!("no Python object accounts for, and that refers to {library}")
        }
        ("", None) => "no Python object accounts for".to_owned(),
        (INTERPRETER, _) => {
            "belongs to the interpreter itself: to threads, frames and callbacks".to_owned()
        }
        (owner, _) => format!("hangs on {owner}"),
    };
    let title = format!(
        "C code holds more and more memory that {whose}: {} more in {seconds:.0} s",
        amount(bytes)
    );
    let mut evidence = Vec::new();
    for (bytes, count, key) in sizes.iter().take(3) {
        evidence.push(match key.size {
            0 => format!("{} more in {}", amount(*bytes), place(key.kind)),
            size => format!(
                "{count} more pieces of {size} bytes in {} ({})",
                place(key.kind),
                amount(*bytes)
            ),
        });
    }
    if !libraries.is_empty() {
        let names: Vec<String> = libraries
            .iter()
            .map(|(name, votes)| format!("{name} ({votes})"))
            .collect();
        evidence.push(format!(
            "of the newest of these pieces, so many hold pointers into: {}",
            names.join(", ")
        ));
    }
    let extensions = extensions(heap);
    evidence.extend(packages(heap));
    Finding {
        kind: FindingKind::Native,
        title,
        bytes,
        bytes_per_second: Some(bytes as f64 / seconds),
        count: pieces.max(1),
        types: match owner {
            "" | INTERPRETER => Vec::new(),
            owner => vec![owner.to_owned()],
        },
        holder: match (owner, named) {
            ("", Some(library)) => format!("C code, probably of {library}"),
            ("", None) => "C code".to_owned(),
            (owner, _) => owner.to_owned(),
        },
        path: Vec::new(),
        locations: sources::running(cohorts, 3),
        evidence,
        fix: fix(owner, named, &extensions),
        confidence: match (owner.is_empty(), cohorts.len()) {
            (true, 6..) => Confidence::High,
            _ => Confidence::Medium,
        },
    }
}

fn place(kind: NativeKind) -> &'static str {
    match kind {
        NativeKind::Block => "Python's own pools (PyMem_Malloc)",
        NativeKind::Chunk => "malloc's heap",
        NativeKind::MappedChunk => "large pieces from malloc",
        NativeKind::Anonymous => "anonymous mappings",
        NativeKind::Shared => "shared memory",
    }
}

/// Into which libraries the pieces that grew most point.
fn libraries(heap: &Heap, owner: &str, sizes: &[(u64, u64, &NativeKey)]) -> Vec<(String, u32)> {
    let mut votes: FxHashMap<&str, u32> = FxHashMap::default();
    for (_, _, key) in sizes.iter().take(6) {
        let row = |row: &&NativeUse| {
            let of = row.owner.map_or("", |owner| heap.strings.get(owner));
            row.kind == key.kind && row.size == key.size && of == owner
        };
        for (library, count) in heap.native.iter().filter(row).flat_map(|r| &r.points_into) {
            *votes.entry(heap.strings.get(*library)).or_default() += count;
        }
    }
    let mut list: Vec<(String, u32)> = votes.into_iter().map(|(n, c)| (n.to_owned(), c)).collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list.truncate(LIBRARIES);
    list
}

/// Packages that have C extensions loaded, other than Python's own, with the names of these.
pub(crate) fn extensions(heap: &Heap) -> Vec<String> {
    let mut packages: Vec<(String, Vec<String>)> = Vec::new();
    for &path in &heap.libraries {
        let path = heap.strings.get(path);
        let Some((package, module)) = extension(path) else {
            continue;
        };
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, modules)) => modules.push(module),
            None => packages.push((package, vec![module])),
        }
    }
    packages.sort();
    let told = |(package, mut modules): (String, Vec<String>)| {
        modules.sort();
        modules.dedup();
        let more = modules.len() > MODULES;
        modules.truncate(MODULES);
        match modules.as_slice() {
            [only] if *only == package => package,
            some => {
                let dots = if more { ", …" } else { "" };
                format!("{package} ({}{dots})", some.join(", "))
            }
        }
    };
    packages.into_iter().map(told).collect()
}

/// Packages that have C extensions loaded, other than Python's own.
pub(crate) fn extension_packages(heap: &Heap) -> Vec<String> {
    let paths = heap.libraries.iter().map(|&path| heap.strings.get(path));
    let mut packages: Vec<String> = paths.filter_map(|path| Some(extension(path)?.0)).collect();
    packages.sort();
    packages.dedup();
    packages
}

/// The package of a C extension, and the name of its module; `None` for other libraries.
fn extension(path: &str) -> Option<(String, String)> {
    let file = path.rsplit('/').next()?;
    let module = file.split('.').next()?;
    let is_module = file.contains(".cpython-") || file.contains(".abi3.");
    let places = ["/site-packages/", "/dist-packages/"];
    let inside = places
        .iter()
        .find_map(|place| Some(path.rsplit_once(place)?.1));
    let Some(inside) = inside else {
        // Beside the program, or in Python's own directory of extensions.
        let own = path.contains("/lib-dynload/") || !is_module;
        return (!own).then(|| (module.to_owned(), module.to_owned()));
    };
    // Libraries that packages bring along are no modules, but may be at fault, too.
    let package = match inside.split_once('/') {
        Some((package, _)) => package.strip_suffix(".libs").unwrap_or(package),
        None => module,
    };
    Some((package.to_owned(), module.to_owned()))
}

/// The packages that may be at fault, as evidence.
pub(crate) fn packages(heap: &Heap) -> Option<String> {
    let extensions = extensions(heap);
    (!extensions.is_empty()).then(|| {
        format!(
            "packages with C code that are loaded: {}",
            extensions.join(", ")
        )
    })
}

/// What to try, by who may be at fault.
pub(crate) fn suspects(extensions: &[String]) -> String {
    match extensions {
        [] => "Try a newer version of Python.".to_owned(),
        [one] => format!("Try a newer version of {one}."),
        many => format!(
            "Try newer versions of the packages with C code that the lines named here call ({}).",
            many.join(", ")
        ),
    }
}

fn fix(owner: &str, library: Option<&str>, extensions: &[String]) -> String {
    let trace = "A native allocation profiler shows the C function that allocates it";
    match (owner, library) {
        ("", Some(library)) => format!(
            "Look for a newer version of the package that brings {library}, and for reports of a \
             leak in it; meanwhile do that work in a child process that ends now and then. {trace}."
        ),
        ("", None) => format!(
            "The C code that the lines named here call does not free what it allocates. {} Until \
             then do that work in a child process that ends now and then. {trace}.",
            suspects(extensions)
        ),
        (INTERPRETER, _) => {
            "More and more threads that do not end, or functions registered with atexit, \
                             make it grow: end the former, register the latter once."
                .to_owned()
        }
        (owner, _) => format!(
            "The memory belongs to {owner}: close, clear or drop such objects when they are no \
             longer needed, or make new ones instead of using one for ever."
        ),
    }
}
