//! Asks the C compiler for the numbers: a program is made of the field list, compiled against an
//! interpreter's headers and run.

use super::spec::{Block, Kind, Spec, Version};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Where the headers of one CPython are.
#[derive(Clone, Debug)]
pub struct Headers {
    /// As the headers say, `3.14.10`.
    pub version: String,
    /// The same as numbers, without the 3.
    pub number: Version,
    /// Directories for `-I`: the one with `Python.h` first.
    pub include: Vec<PathBuf>,
}

impl Headers {
    /// Looks at a directory that holds `Python.h` and `internal/`.
    pub fn at(directory: PathBuf) -> Result<Headers> {
        let patchlevel = directory.join("patchlevel.h");
        let text = std::fs::read_to_string(&patchlevel)
            .with_context(|| format!("cannot read {}", patchlevel.display()))?;
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("#define PY_VERSION "))
            .map(|quoted| quoted.trim().trim_matches('"').to_owned())
            .with_context(|| format!("no PY_VERSION in {}", patchlevel.display()))?;
        let mut numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .map(str::parse::<u32>);
        let (Some(Ok(3)), Some(Ok(minor)), Some(Ok(patch))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            bail!("{} says version `{version}`", patchlevel.display());
        };
        ensure!(
            directory.join("internal/pycore_interp.h").exists(),
            "{} has no internal headers",
            directory.display()
        );
        let mut include = vec![directory.clone(), directory.join("internal")];
        include.push(directory.join("internal/mimalloc"));
        // Debian's pyconfig.h includes <x86_64-linux-gnu/python3.x/pyconfig.h>.
        include.extend(directory.parent().map(PathBuf::from));
        Ok(Headers {
            version,
            number: (minor, patch),
            include,
        })
    }
}

/// The answers, by the names that [`question`] functions give.
pub type Answers = HashMap<String, u64>;

/// The parts of a free list's line, as C expressions by name.
pub fn freelist_questions(ctype: &str, value: &str) -> Result<Vec<(&'static str, String)>> {
    let words: Vec<&str> = value.split_whitespace().collect();
    // `member+1` is the array without its first.
    let skipped = |member: &str| match member.split_once('+') {
        Some((member, by)) => (member.to_owned(), by.to_owned()),
        None => (member.to_owned(), "0".to_owned()),
    };
    let element = |member: &str| format!("sizeof((({ctype} *)0)->{member}[0])");
    let offset = |member: &str| match skipped(member) {
        (member, by) if by == "0" => format!("offsetof({ctype}, {member})"),
        (member, by) => format!(
            "(offsetof({ctype}, {member}) + {by} * {})",
            element(&member)
        ),
    };
    let size = |member: &str| match skipped(member) {
        (member, by) if by == "0" => format!("sizeof((({ctype} *)0)->{member})"),
        (member, by) => format!(
            "(sizeof((({ctype} *)0)->{member}) - {by} * {})",
            element(&member)
        ),
    };
    let form = words[0].strip_prefix("raw").unwrap_or(words[0]);
    Ok(match (form, &words[1..]) {
        ("chain", [heads, counts, link]) => vec![
            ("heads", offset(heads)),
            ("head_stride", "sizeof(void *)".to_owned()),
            ("counts", offset(counts)),
            (
                "count_stride",
                format!("{} / ({} / sizeof(void *))", size(counts), size(heads)),
            ),
            ("lists", format!("{} / sizeof(void *)", size(heads))),
            (
                "link",
                match link.split_once('.') {
                    Some((object, member)) => format!("offsetof({object}, {member})"),
                    None => (*link).to_owned(),
                },
            ),
        ],
        ("stack", [lists]) => vec![
            ("heads", offset(lists)),
            ("head_stride", "sizeof(struct _Py_freelist)".to_owned()),
            (
                "counts",
                format!("{} + offsetof(struct _Py_freelist, size)", offset(lists)),
            ),
            ("count_stride", "sizeof(struct _Py_freelist)".to_owned()),
            (
                "lists",
                format!("{} / sizeof(struct _Py_freelist)", size(lists)),
            ),
            ("link", "0".to_owned()),
        ],
        ("array", [items, count]) => vec![
            ("items", offset(items)),
            ("count", offset(count)),
            ("capacity", format!("{} / sizeof(void *)", size(items))),
        ],
        ("single", [slot]) => vec![("slot", offset(slot))],
        _ => bail!("`{value}` is no form of a free list"),
    })
}

/// Offset and count of a place that holds references, as C expressions.
pub fn slot_questions(ctype: &str, value: &str) -> (String, String) {
    let (ctype, value) = match value
        .strip_prefix('@')
        .and_then(|rest| rest.split_once(' '))
    {
        Some((other, value)) => (other, value),
        None => (ctype, value),
    };
    let (from, whole) = value.split_once(" .. ").unwrap_or((value, value));
    let offset = format!("offsetof({ctype}, {from})");
    let end = format!("offsetof({ctype}, {whole}) + sizeof((({ctype} *)0)->{whole})");
    (
        offset.clone(),
        format!("({end} - {offset}) / sizeof(void *)"),
    )
}

/// All that is asked of the headers of `version`: names and C expressions.
fn questions(spec: &Spec, version: Version) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for block in spec.blocks().filter(|block| block.range.holds(version)) {
        block_questions(block, version, &mut all)
            .with_context(|| format!("in the block `{}`", block.name))?;
    }
    Ok(all)
}

fn block_questions(block: &Block, version: Version, all: &mut Vec<(String, String)>) -> Result<()> {
    let ctype = block
        .ctype
        .at(version)
        .context("no C type for this version")?;
    for field in &block.fields {
        let Some(value) = field.value.at(version) else {
            continue;
        };
        let name = format!("{}.{}", block.name, field.name);
        match block.kind {
            Kind::Struct { .. } | Kind::Overlay => {
                all.extend(
                    block
                        .expression(field, version)
                        .map(|expression| (name, expression)),
                );
            }
            Kind::Slots => {
                let (offset, count) = slot_questions(ctype, value);
                all.push((format!("{name}.offset"), offset));
                all.push((format!("{name}.count"), count));
            }
            Kind::Freelists => {
                for (part, expression) in freelist_questions(ctype, value)? {
                    all.push((format!("{name}.{part}"), expression));
                }
            }
        }
    }
    Ok(())
}

/// The C program that answers them.
fn program(spec: &Spec, version: Version) -> Result<String> {
    let mut text =
        String::from("#define Py_BUILD_CORE 1\n#include <stddef.h>\n#include <string.h>\n");
    for (range, header) in &spec.includes {
        if range.holds(version) {
            writeln!(text, "#include \"{header}\"")?;
        }
    }
    // Bit fields have no address: set all of one and see which bits of a zeroed struct changed.
    text.push_str(
        "static unsigned first_bit(const unsigned char *p, size_t n)\n\
         { for (size_t i = 0; i < n * 8; i++) if (p[i / 8] >> i % 8 & 1) return i; return -1; }\n\
         static unsigned bits(const unsigned char *p, size_t n)\n\
         { unsigned c = 0; for (size_t i = 0; i < n; i++) c += __builtin_popcount(p[i]); return c; }\n\
         #define FILLED(T, F, ASK) ({ static union { T v; unsigned char b[sizeof(T)]; } u; \\\n\
             memset(&u, 0, sizeof u); u.v.F = ~0; ASK(u.b, sizeof(T)); })\n\
         #define BIT_OF(T, F) FILLED(T, F, first_bit)\n\
         #define WIDTH_OF(T, F) FILLED(T, F, bits)\n\
         #define SAY(NAME, VALUE) printf(\"%s %llu\\n\", NAME, (unsigned long long)(VALUE))\n\
         int main(void)\n{\n",
    );
    for (name, expression) in questions(spec, version)? {
        writeln!(text, "    SAY(\"{name}\", {expression});")?;
    }
    text.push_str("    return 0;\n}\n");
    Ok(text)
}

/// Compiles and runs the program against `headers`, with `define` defined.
pub fn ask(spec: &Spec, headers: &Headers, define: Option<&str>) -> Result<Answers> {
    let directory = std::env::temp_dir().join(format!("memshed-layouts-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let (source, binary) = (directory.join("probe.c"), directory.join("probe"));
    std::fs::write(&source, program(spec, headers.number)?)?;
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-w", "-fmax-errors=20", "-O0", "-o"])
        .arg(&binary)
        .args(
            headers
                .include
                .iter()
                .flat_map(|path| ["-I".into(), path.clone().into_os_string()]),
        )
        .args(define.map(|name| format!("-D{name}")))
        // The headers' inline functions name symbols of the interpreter, which nothing here calls.
        .args(["-Wl,--unresolved-symbols=ignore-all", "-x", "c"])
        .arg(&source)
        .output()
        .context("cannot run `cc`: install a C compiler")?;
    if !compiled.status.success() {
        bail!(
            "the headers of {} do not fit the field list:\n{}",
            headers.version,
            String::from_utf8_lossy(&compiled.stderr)
        );
    }
    let ran = Command::new(&binary).output()?;
    ensure!(
        ran.status.success(),
        "the probe of {} failed: {}",
        headers.version,
        ran.status
    );
    std::fs::remove_dir_all(&directory)?;
    let text = String::from_utf8(ran.stdout)?;
    text.lines()
        .map(|line| {
            let (name, number) = line.split_once(' ').context("a line without a number")?;
            Ok((name.to_owned(), number.parse()?))
        })
        .collect()
}
