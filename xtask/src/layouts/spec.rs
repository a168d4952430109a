//! The list of layout fields, read from `fields/*.txt`: data, so that a new CPython is a new
//! table and not new code.
//!
//! The files are lines; `#` begins a comment, an indented line belongs to the block above it:
//!
//! ```text
//! include [RANGE:] HEADER
//! struct RustName field_of_layout [(RANGE)] CTYPE [-- prose]
//!     [~]name [= ALTERNATIVES] [-- prose]
//! slots field_of_layout CTYPE [-- prose]
//!     name [= ALTERNATIVES]          a member that is a reference, or an array or struct of them
//! freelists CTYPE [-- prose]
//!     name = ALTERNATIVES            FORM MEMBER…, see `emit.rs`
//! overlay
//!     layout.field = [RANGE:] member of _Py_DebugOffsets
//! ```
//!
//! A `~` marks what moves when a patch release adds static strings.
//!
//! ALTERNATIVES are `[RANGE:] VALUE` separated by ` ; `; the first whose range holds is taken, and
//! a field with none is absent from that version (`None`). A VALUE is the path of a member (its
//! offset is meant), `sizeof` (the struct's size), or `$` and any C expression. A RANGE is `3.12`,
//! `3.12+`, `3.11-3.13`, with patch numbers where wanted (`3.14.0-3.14.4`). CTYPE too may be
//! ALTERNATIVES.

use anyhow::{Context, Result, bail};

/// The files, in the order of their structs in `Layout`.
pub const FILES: [(&str, &str); 4] = [
    ("state", include_str!("fields/state.txt")),
    ("objects", include_str!("fields/objects.txt")),
    ("code", include_str!("fields/code.txt")),
    ("alloc", include_str!("fields/alloc.txt")),
];

/// A version as (minor, patch) of CPython 3.
pub type Version = (u32, u32);

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub from: Version,
    pub to: Version,
}

impl Range {
    pub const ALL: Range = Range {
        from: (0, 0),
        to: (u32::MAX, u32::MAX),
    };

    pub fn holds(&self, version: Version) -> bool {
        self.from <= version && version <= self.to
    }

    /// Reads `3.12`, `3.12+`, `3.11-3.13`, `3.14.0-3.14.4`.
    pub fn parse(text: &str) -> Result<Range> {
        if let Some(from) = text.strip_suffix('+') {
            return Ok(Range {
                from: end(from, 0)?,
                ..Range::ALL
            });
        }
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Ok(Range {
            from: end(from, 0)?,
            to: end(to, u32::MAX)?,
        })
    }
}

/// One end of a range; `open` stands in for a patch number that is not given.
fn end(text: &str, open: u32) -> Result<Version> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(3)), Some(Ok(minor)), None) => Ok((minor, open)),
        (Some(Ok(3)), Some(Ok(minor)), Some(Ok(patch))) => Ok((minor, patch)),
        _ => bail!("`{text}` is not a version of CPython 3"),
    }
}

/// Values by version.
#[derive(Clone, Debug)]
pub struct Alternatives(Vec<(Range, String)>);

impl Alternatives {
    fn parse(text: &str) -> Result<Alternatives> {
        text.split(" ; ")
            .map(one_alternative)
            .collect::<Result<_>>()
            .map(Alternatives)
    }

    /// The value for `version`, if it has one.
    pub fn at(&self, version: Version) -> Option<&str> {
        self.0
            .iter()
            .find(|(range, _)| range.holds(version))
            .map(|(_, value)| value.as_str())
    }
}

/// `3.12+: value` or `value`.
fn one_alternative(text: &str) -> Result<(Range, String)> {
    let text = text.trim();
    match text.split_once(": ") {
        Some((range, value)) if range.starts_with("3.") => {
            Ok((Range::parse(range)?, value.trim().to_owned()))
        }
        _ => Ok((Range::ALL, text.to_owned())),
    }
}

/// A named value in a block.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub value: Alternatives,
    pub prose: Option<String>,
    /// Whether it moves when a patch release adds static strings.
    pub drifts: bool,
}

/// What a block becomes in `Layout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A struct of numbers.
    Struct { rust: String },
    /// A list of places that hold references.
    Slots,
    /// A list of free lists.
    Freelists,
    /// Which published offset belongs to which field.
    Overlay,
}

/// A block of a file.
#[derive(Clone, Debug)]
pub struct Block {
    pub kind: Kind,
    /// The field of `Layout`.
    pub name: String,
    pub range: Range,
    pub ctype: Alternatives,
    pub prose: Option<String>,
    pub fields: Vec<Field>,
}

impl Block {
    /// The C expression of a field's value in `version`, if it has one there.
    pub fn expression(&self, field: &Field, version: Version) -> Option<String> {
        if !self.range.holds(version) {
            return None;
        }
        let ctype = self.ctype.at(version)?;
        let value = field.value.at(version)?;
        Some(match value.strip_prefix('$') {
            Some(raw) => raw.to_owned(),
            None if value == "sizeof" => format!("sizeof({ctype})"),
            None => format!("offsetof({ctype}, {value})"),
        })
    }

    /// Whether every one of `versions` has this field.
    pub fn always(&self, field: &Field, versions: &[Version]) -> bool {
        versions
            .iter()
            .all(|&version| self.expression(field, version).is_some())
    }
}

/// Everything the files say.
#[derive(Debug, Default)]
pub struct Spec {
    /// Headers with the versions that have them.
    pub includes: Vec<(Range, String)>,
    /// The blocks of each file, in order.
    pub files: Vec<(&'static str, Vec<Block>)>,
}

impl Spec {
    /// Reads the built-in files.
    pub fn load() -> Result<Spec> {
        let mut spec = Spec::default();
        for (name, text) in FILES {
            let blocks = spec
                .file(text)
                .with_context(|| format!("in fields/{name}.txt"))?;
            spec.files.push((name, blocks));
        }
        Ok(spec)
    }

    /// All blocks of all files.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.files.iter().flat_map(|(_, blocks)| blocks)
    }

    /// Whether a number, named `block.field`, moves with the static strings.
    pub fn drifts(&self, name: &str) -> bool {
        self.blocks().any(|block| {
            block.fields.iter().any(|field| {
                field.drifts && name.strip_prefix(&block.name) == Some(&format!(".{}", field.name))
            })
        })
    }

    fn file(&mut self, text: &str) -> Result<Vec<Block>> {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let at = || format!("line {}", number + 1);
            if line.starts_with(' ') {
                let field = parse_field(content).with_context(at)?;
                blocks
                    .last_mut()
                    .context("a field before any block")
                    .with_context(at)?
                    .fields
                    .push(field);
            } else if let Some(header) = content.strip_prefix("include ") {
                self.includes
                    .push(one_alternative(header).with_context(at)?);
            } else {
                blocks.push(parse_head(content).with_context(at)?);
            }
        }
        Ok(blocks)
    }
}

/// Splits ` -- prose` off.
fn split_prose(text: &str) -> (&str, Option<String>) {
    match text.split_once(" -- ") {
        Some((text, prose)) => (text.trim(), Some(prose.trim().to_owned())),
        None => (text, None),
    }
}

fn parse_field(text: &str) -> Result<Field> {
    let (text, prose) = split_prose(text);
    let (name, value) = match text.split_once(" = ") {
        Some((name, value)) => (name.trim(), value.trim()),
        None => (text, text),
    };
    let (drifts, name, value) = match name.strip_prefix('~') {
        Some(rest) => (true, rest, value.trim_start_matches('~')),
        None => (false, name, value),
    };
    Ok(Field {
        name: name.to_owned(),
        value: Alternatives::parse(value)?,
        prose,
        drifts,
    })
}

fn parse_head(text: &str) -> Result<Block> {
    let (text, prose) = split_prose(text);
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (kind, name, rest) = match word {
        "struct" => {
            let (rust, rest) = rest
                .split_once(' ')
                .context("struct RustName field CTYPE")?;
            let (name, rest) = rest
                .split_once(' ')
                .context("struct RustName field CTYPE")?;
            (
                Kind::Struct {
                    rust: rust.to_owned(),
                },
                name,
                rest,
            )
        }
        "slots" => {
            let (name, rest) = rest.split_once(' ').context("slots field CTYPE")?;
            (Kind::Slots, name, rest)
        }
        "freelists" => (Kind::Freelists, "freelists", rest),
        "overlay" => (Kind::Overlay, "overlay", "_Py_DebugOffsets"),
        _ => bail!("unknown block `{word}`"),
    };
    let (range, ctype) = match rest
        .trim()
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
    {
        Some((range, ctype)) => (Range::parse(range)?, ctype),
        None => (Range::ALL, rest),
    };
    Ok(Block {
        kind,
        name: name.to_owned(),
        range,
        ctype: Alternatives::parse(ctype)?,
        prose,
        fields: Vec::new(),
    })
}
