//! The rules on source text, each a function of one file.

use super::Finding;
use super::source::{Source, has_word};

/// No file is longer, so that each can be read at one sitting; generated tables apart.
const LONGEST: usize = 600;

/// How a file begins that a chore wrote.
const GENERATED: &str = "// Written by `cargo xtask";

/// Files and folders that may contain `unsafe`: system calls, bytes shared between
/// processes, and code that runs inside a process.
const UNSAFE_ROOMS: &[&str] = &[
    "crates/memshed-agent/",
    "crates/memshed-target/src/",
    LAUNCHER,
    "crates/memshed-testing/src/",
    "xtask/src/",
];

/// The tracer; it is a program of its own, so it reads its arguments and exits.
const TRACER: &str = "crates/memshed-target/src/tracer";

/// The launcher, which follows the commands that it started itself until just before they exit.
const LAUNCHER: &str = "crates/memshed/src/launch";

/// Rooms that may print, read the environment and exit.
const SPEAKERS: &[&str] = &["crates/memshed/", "crates/memshed-testing/", "xtask/"];

/// Rooms that compute only: they open no file, start no process, know no system call.
const PURE: &[&str] = &["crates/memshed-analysis/", "crates/memshed-report/"];

/// All findings in the Rust file at `path` (relative to the root).
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let for_developers = ["/tests/", "/tests.rs", "/benches/", "/examples/"];
    let source = Source::new(text, for_developers.iter().any(|part| path.contains(part)));
    let mut findings = Vec::new();
    length(path, text, &mut findings);
    module_docs(path, text, &mut findings);
    for line in 0..source.code.len() {
        let mut report = |what: Option<&str>| {
            findings.extend(what.map(|what| Finding::new(path, line + 1, what)));
        };
        report(unsafe_code(path, &source, line));
        report(speech(path, &source, line));
        report(tracing(path, &source, line));
        report(purity(path, &source, line));
        report(python_in_target(path, &source, line));
        report(test_manners(&source, line));
        report(unfinished(&source, line));
    }
    findings
}

fn length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > LONGEST && !text.starts_with(GENERATED) {
        let what = format!("{lines} lines; at most {LONGEST}, so that it can be read");
        findings.push(Finding::new(path, 0, what));
    }
}

fn module_docs(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let first = text.lines().find(|line| {
        let plain_comment = line.starts_with("//") && !line.starts_with("//!");
        !plain_comment && !line.trim().is_empty()
    });
    if !first.is_some_and(|line| line.starts_with("//!")) {
        let what = "does not begin with what the module is for (`//!`)";
        findings.push(Finding::new(path, 1, what));
    }
}

fn unsafe_code(path: &str, source: &Source, line: usize) -> Option<&'static str> {
    let code = &source.code[line];
    if !has_word(code, "unsafe") {
        return None;
    }
    if !UNSAFE_ROOMS.iter().any(|room| path.starts_with(room)) && !source.in_test[line] {
        return Some("`unsafe` outside the rooms that may have it");
    }
    let opens = code.contains("unsafe {") || code.contains("unsafe impl");
    let explained = source.comments[line.saturating_sub(8)..=line]
        .iter()
        .any(|comment| comment.contains("SAFETY:"));
    (opens && !explained).then_some("`unsafe` without a `// SAFETY:` comment above it")
}

fn speech(path: &str, source: &Source, line: usize) -> Option<&'static str> {
    // A build's program speaks with cargo.
    let may_speak =
        path.ends_with("/build.rs") || SPEAKERS.iter().any(|room| path.starts_with(room));
    if may_speak || source.in_test[line] {
        return None;
    }
    let code = &source.code[line];
    let prints = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    if prints.iter().any(|word| code.contains(word)) || code.contains("stdout()") {
        return Some("prints; only the command does");
    }
    if path.starts_with(TRACER) {
        return None;
    }
    if code.contains("std::env") || code.contains("env::var") || code.contains("env::args") {
        return Some("reads the environment; only the command does");
    }
    code.contains("process::exit")
        .then_some("exits; only the command does")
}

fn tracing(path: &str, source: &Source, line: usize) -> Option<&'static str> {
    let may_trace = path.starts_with(TRACER) || path.starts_with(LAUNCHER);
    if may_trace || source.in_test[line] {
        return None;
    }
    let code = &source.code[line];
    let traces =
        code.contains("PTRACE_") || has_word(code, "ptrace") || code.contains("SYS_ptrace");
    traces.then_some("ptrace outside the tracer")
}

fn purity(path: &str, source: &Source, line: usize) -> Option<&'static str> {
    if !PURE.iter().any(|room| path.starts_with(room)) || source.in_test[line] {
        return None;
    }
    let code = &source.code[line];
    let impure = ["std::fs", "std::net", "std::process", "File::"];
    (impure.iter().any(|word| code.contains(word)) || has_word(code, "libc"))
        .then_some("IO in a room that only computes")
}

fn python_in_target(path: &str, source: &Source, line: usize) -> Option<&'static str> {
    if !path.starts_with("crates/memshed-target/src/") || source.in_test[line] {
        return None;
    }
    let knows = [&source.code[line], &source.strings[line]]
        .into_iter()
        .any(|text| text.contains("_Py") || text.to_ascii_lowercase().contains("python"));
    knows.then_some("memshed-target must not know Python")
}

fn test_manners(source: &Source, line: usize) -> Option<&'static str> {
    let code = &source.code[line];
    if code.contains("#[ignore") {
        return Some("an ignored test");
    }
    (source.in_test[line] && code.contains("thread::sleep"))
        .then_some("a test sleeps; use a handshake")
}

fn unfinished(source: &Source, line: usize) -> Option<&'static str> {
    let words = ["todo!", "unimplemented!", "dbg!"];
    words
        .iter()
        .any(|word| source.code[line].contains(word))
        .then_some("unfinished code")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings in `code` at `path`, without those on documentation.
    fn found(path: &str, code: &str) -> Vec<String> {
        let text = format!("//! Docs.\n{code}");
        check(path, &text)
            .into_iter()
            .map(|found| found.what)
            .collect()
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let cases = [
            (
                "crates/memshed-heap/src/a.rs",
                "fn f() { unsafe { g() } }",
                "`unsafe` outside",
            ),
            (
                "crates/memshed-target/src/a.rs",
                "fn f() { unsafe { g() } }",
                "without a `// SAFETY:`",
            ),
            (
                "crates/memshed-heap/src/a.rs",
                "fn f() { println!(); }",
                "prints",
            ),
            (
                "crates/memshed-cpython/src/a.rs",
                "use std::env;",
                "environment",
            ),
            (
                "crates/memshed-target/src/a.rs",
                "fn f() { std::process::exit(1) }",
                "exits",
            ),
            (
                "crates/memshed/src/a.rs",
                "fn f() { libc::ptrace(0) }",
                "outside the tracer",
            ),
            (
                "crates/memshed-analysis/src/a.rs",
                "use std::fs;",
                "only computes",
            ),
            (
                "crates/memshed-target/src/a.rs",
                "const X: &str = \"_PyRuntime\";",
                "Python",
            ),
            (
                "crates/memshed/tests/a.rs",
                "#[ignore]\nfn f() {}",
                "ignored",
            ),
            (
                "crates/memshed/tests/a.rs",
                "fn f() { std::thread::sleep(d) }",
                "sleeps",
            ),
            ("xtask/src/a.rs", "fn f() { todo!() }", "unfinished"),
        ];
        for (path, code, expected) in cases {
            let found = found(path, code);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(found[0].contains(expected), "{code}: {found:?}");
        }
    }

    #[test]
    fn what_is_fine_is_left_alone() {
        let cases = [
            (
                "crates/memshed-target/src/a.rs",
                "// SAFETY: why.\nfn f() { unsafe { g() } }",
            ),
            (
                "crates/memshed-target/src/tracer/a.rs",
                "fn f() { let r = libc::PTRACE_SEIZE; }",
            ),
            (
                "crates/memshed-heap/src/a.rs",
                "// unsafe, println!, ptrace: words in a comment",
            ),
            (
                "crates/memshed-heap/src/a.rs",
                "#[cfg(test)]\nmod t {\n fn f() { eprintln!(); }\n}",
            ),
            (
                "crates/memshed/src/a.rs",
                "fn f() { println!(\"{ptrace_scope}\"); }",
            ),
        ];
        for (path, code) in cases {
            assert_eq!(found(path, code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn long_files_are_found_unless_generated() {
        let long = "//! Docs.\n".repeat(LONGEST + 1);
        assert_eq!(check("xtask/src/a.rs", &long).len(), 1);
        let generated = format!("{GENERATED} layouts`.\n\n{long}");
        assert!(check("xtask/src/a.rs", &generated).is_empty());
    }
}
