//! Findings of memory that C code holds and no object accounts for.

use super::{Confidence, Finding, FindingKind, sources};
use crate::cohorts::{Cohorts, NativeKey};
use crate::units::bytes as amount;
use memshed_heap::{Heap, NativeKind, NativeUse};
use rustc_hash::FxHashMap;

/// What grew by fewer bytes is not worth a finding.
const LEAST_BYTES: u64 = 64 * 1024;
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
        let series = series(cohorts, &keys);
        let Some(trend) = Trend::of(&series, &times) else {
            continue;
        };
        if trend.steady && trend.grown() >= LEAST_BYTES {
            findings.push(finding(heap, cohorts, owner, &keys, &trend));
        }
    }
    findings
}

fn series(cohorts: &Cohorts, keys: &[&NativeKey]) -> Vec<f64> {
    let at = |look: &crate::cohorts::Look| {
        let bytes = keys.iter().filter_map(|key| look.native.get(key));
        bytes.map(|(_, bytes)| *bytes as f64).sum()
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
    if libraries.is_empty() && !extensions.is_empty() {
        evidence.push(format!(
            "extension modules that are loaded and are not part of Python: {}",
            extensions.join(", ")
        ));
    }
    Finding {
        kind: FindingKind::Native,
        title,
        bytes,
        bytes_per_second: Some(bytes as f64 / seconds),
        count: pieces.max(1),
        types: match owner {
            "" => Vec::new(),
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

/// Names of modules that are C extensions of other packages than Python's own.
pub(crate) fn extensions(heap: &Heap) -> Vec<String> {
    let libraries = heap.memory.iter().find(|part| part.category == "libraries");
    let names = libraries.iter().flat_map(|part| &part.parts);
    let mut found: Vec<String> = names
        .map(|part| part.category.clone())
        .filter(|name| name.contains(".cpython-") || name.contains(".abi3."))
        .filter(|name| !is_standard(name))
        .collect();
    found.sort();
    found.truncate(12);
    found
}

/// Whether an extension module is one of CPython's own.
fn is_standard(file: &str) -> bool {
    const MODULES: &[&str] = &[
        "_asyncio",
        "_bisect",
        "_blake2",
        "_bz2",
        "_codecs",
        "_contextvars",
        "_crypt",
        "_csv",
        "_ctypes",
        "_curses",
        "_datetime",
        "_dbm",
        "_decimal",
        "_elementtree",
        "_gdbm",
        "_hashlib",
        "_heapq",
        "_hmac",
        "_interp",
        "_json",
        "_lsprof",
        "_lzma",
        "_md5",
        "_multibytecodec",
        "_multiprocessing",
        "_opcode",
        "_pickle",
        "_posixshmem",
        "_posixsubprocess",
        "_queue",
        "_random",
        "_remote_debugging",
        "_sha",
        "_socket",
        "_sqlite3",
        "_ssl",
        "_statistics",
        "_struct",
        "_testcapi",
        "_tkinter",
        "_typing",
        "_uuid",
        "_xx",
        "_zoneinfo",
        "_zstd",
        "array",
        "audioop",
        "binascii",
        "cmath",
        "fcntl",
        "grp",
        "math",
        "mmap",
        "nis",
        "ossaudiodev",
        "pyexpat",
        "readline",
        "resource",
        "select",
        "spwd",
        "syslog",
        "termios",
        "unicodedata",
        "xxlimited",
        "xxsubtype",
        "zlib",
    ];
    let stem = file.split('.').next().unwrap_or(file);
    MODULES
        .iter()
        .any(|module| stem == *module || stem.starts_with(&format!("{module}_")))
        || MODULES
            .iter()
            .any(|m| m.starts_with('_') && m.len() > 3 && stem.starts_with(m))
}

fn fix(owner: &str, library: Option<&str>, extensions: &[String]) -> String {
    let trace = "To see the C function that allocates it, run the part of the program that does \
                 this under a native allocation profiler";
    match (owner, library) {
        ("", Some(library)) => format!(
            "Look for a newer version of the package that brings {library}, and for reports of a \
             leak in it; meanwhile do that work in a child process that ends now and then. {trace}."
        ),
        ("", None) if !extensions.is_empty() => format!(
            "Suspect the C extensions that the lines named here call, among {}: try newer versions, \
             look for reports of a leak, or do that work in a child process that ends now and \
             then. {trace}.",
            extensions.join(", ")
        ),
        ("", None) => format!(
            "Suspect the C code that the lines named here call: try a newer version of Python and \
             of the packages, or do that work in a child process that ends now and then. {trace}."
        ),
        (owner, _) => format!(
            "The memory belongs to {owner}: close, clear or drop such objects when they are no \
             longer needed, or make new ones instead of using one for ever."
        ),
    }
}
