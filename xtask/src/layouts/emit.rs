//! Writes the Rust that the answers become: the struct definitions, and one table per version.

use super::probe::{Answers, Headers, freelist_questions};
use super::spec::{Block, Field, Kind, Spec, Version};
use super::tables::{TABLES, Table};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The first line of every generated file.
const MARK: &str =
    "// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.\n\n";

/// The lowest version of each table: a field is optional if one of them lacks it.
fn lowest() -> Result<Vec<Version>> {
    TABLES.iter().map(|table| Ok(table.range()?.from)).collect()
}

/// The struct definitions of one file of the field list.
pub fn shape(name: &str, blocks: &[Block]) -> Result<String> {
    let versions = lowest()?;
    let mut text = format!("{MARK}//! Struct definitions of the layout: {name}.\n\n");
    for block in blocks {
        let Kind::Struct { rust } = &block.kind else {
            continue;
        };
        let prose = block.prose.as_deref().unwrap_or("");
        writeln!(
            text,
            "/// {prose}\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub struct {rust} {{"
        )?;
        for field in &block.fields {
            writeln!(text, "    /// {}", field_doc(block, field, &versions))?;
            let ty = if block.always(field, &versions) {
                "u32"
            } else {
                "Option<u32>"
            };
            writeln!(text, "    pub {}: {ty},", field.name)?;
        }
        text.push_str("}\n\n");
        if name == "state" || name == "alloc" {
            text += &each(rust, block, &versions)?;
        }
    }
    formatted(&text)
}

/// For tests: a function that shows every field of a struct, with its name.
fn each(rust: &str, block: &Block, versions: &[Version]) -> Result<String> {
    let mut text = format!(
        "#[cfg(test)]\nimpl {rust} {{\n\
         #[allow(dead_code)]\n\
         pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {{\n"
    );
    for field in &block.fields {
        let name = &field.name;
        match block.always(field, versions) {
            true => writeln!(text, "see({name:?}, &mut self.{name});")?,
            false => writeln!(
                text,
                "if let Some(field) = &mut self.{name} {{ see({name:?}, field); }}"
            )?,
        }
    }
    text.push_str("}\n}\n\n");
    Ok(text)
}

/// What a field is, from its prose or from the expressions it was made of.
fn field_doc(block: &Block, field: &Field, versions: &[Version]) -> String {
    let mut expressions: Vec<String> = versions
        .iter()
        .filter_map(|&version| block.expression(field, version))
        .collect();
    expressions.dedup();
    let source = match expressions.last() {
        Some(number) if number.chars().all(|c| c.is_ascii_digit()) => String::new(),
        Some(expression) => format!("`{expression}`."),
        None => String::new(),
    };
    match &field.prose {
        Some(prose) if source.is_empty() => prose.clone(),
        Some(prose) => format!("{prose} {source}"),
        None if source.is_empty() => format!("`{}`.", field.name),
        None => source,
    }
}

/// `pub struct Layout`, with a field for each block.
pub fn whole(spec: &Spec) -> Result<String> {
    let mut text = format!("{MARK}//! The whole layout.\n\n");
    text.push_str("use super::{DebugOverlay, FreeList, Slot};\n");
    for (name, _) in &spec.files {
        writeln!(text, "use super::{name}::*;")?;
    }
    text.push_str(
        "\n/// Where everything is in one version of CPython (x86-64, GIL, no debug build): offsets in \
         bytes\n/// unless a field says otherwise, `None` where a version has no such field.\n\
         #[derive(Clone, Debug)]\npub struct Layout {\n    \
         /// The versions that the table holds for, `3.14.5-3.14`.\n    pub versions: &'static str,\n",
    );
    for block in spec.blocks() {
        let prose = block
            .prose
            .as_deref()
            .unwrap_or("What `_Py_DebugOffsets` publishes of this.");
        let (ty, name) = field_type(block);
        writeln!(text, "    /// {prose}\n    pub {name}: {ty},")?;
    }
    text.push_str("}\n");
    formatted(&text)
}

/// Type and name of a block's field in `Layout`.
fn field_type(block: &Block) -> (String, &str) {
    let ty = match &block.kind {
        Kind::Struct { rust } => rust.clone(),
        Kind::Slots => "&'static [Slot]".to_owned(),
        Kind::Freelists => "&'static [FreeList]".to_owned(),
        Kind::Overlay => "&'static [DebugOverlay]".to_owned(),
    };
    (ty, &block.name)
}

/// A version's headers and what they answered.
pub struct Answered {
    /// Where the answers come from.
    pub headers: Headers,
    /// The answers.
    pub answers: Answers,
}

/// One table in full.
pub fn table(spec: &Spec, table: &Table, from: &Answered) -> Result<String> {
    let mut text = table_head(table, &from.headers);
    text.push_str("use super::{*, code::*, state::*, objects::*, alloc::*};\n\n");
    writeln!(text, "/// Layout of CPython {}.", table.versions)?;
    writeln!(text, "pub const {}: Layout = Layout {{", table.constant())?;
    writeln!(text, "versions: {:?},", table.versions)?;
    for block in spec.blocks() {
        if let Kind::Struct { rust } = &block.kind {
            writeln!(text, "{}: {rust} {{", block.name)?;
            for field in &block.fields {
                writeln!(text, "{}: {},", field.name, value(block, field, from)?)?;
            }
            text.push_str("},\n");
        } else {
            writeln!(text, "{}: {},", block.name, list(spec, block, from)?)?;
        }
    }
    text.push_str("};\n");
    formatted(&text)
}

/// One table as what differs from `base`.
pub fn difference(
    spec: &Spec,
    table: &Table,
    from: &Answered,
    base: (&Table, &Answered),
) -> Result<String> {
    let mut text = table_head(table, &from.headers);
    writeln!(
        text,
        "use super::*;\n\n/// Layout of CPython {}.",
        table.versions
    )?;
    writeln!(text, "pub const {}: Layout = {{", table.constant())?;
    writeln!(
        text,
        "let mut l = {};\nl.versions = {:?};",
        base.0.constant(),
        table.versions
    )?;
    for block in spec.blocks() {
        if let Kind::Struct { .. } = &block.kind {
            for field in &block.fields {
                let value_here = value(block, field, from)?;
                if value_here != value(block, field, base.1)? {
                    writeln!(text, "l.{}.{} = {value_here};", block.name, field.name)?;
                }
            }
        } else {
            let list_here = list(spec, block, from)?;
            if list_here != list(spec, block, base.1)? {
                writeln!(text, "l.{} = {list_here};", block.name)?;
            }
        }
    }
    text.push_str("l\n};\n");
    formatted(&text)
}

/// The beginning of a table's file.
fn table_head(table: &Table, headers: &Headers) -> String {
    format!(
        "{MARK}//! Layout of CPython {}.\n//!\n//! {}\n//!\n\
         //! Generated from headers that say CPython {}: `cc` compiled a program of `offsetof` and\n\
         //! `sizeof` against them, see `xtask/src/layouts/probe.rs`.\n\n",
        table.versions, table.note, headers.version
    )
}

/// The answer to a question that was asked.
fn answer(answers: &Answers, name: &str) -> Result<u64> {
    answers
        .get(name)
        .copied()
        .with_context(|| format!("`{name}` was not answered"))
}

/// A field's number as Rust.
fn value(block: &Block, field: &Field, from: &Answered) -> Result<String> {
    if block.expression(field, from.headers.number).is_none() {
        return Ok("None".to_owned());
    }
    let name = format!("{}.{}", block.name, field.name);
    let number = answer(&from.answers, &name)?;
    ensure!(
        u32::try_from(number).is_ok(),
        "`{name}` = {number} is no u32"
    );
    Ok(match block.always(field, &lowest()?) {
        true => number.to_string(),
        false => format!("Some({number})"),
    })
}

/// A block that is a list, as Rust.
fn list(spec: &Spec, block: &Block, from: &Answered) -> Result<String> {
    let version = from.headers.number;
    let mut text = String::from("&[");
    for field in &block.fields {
        if let (Some(value), Some(ctype)) = (field.value.at(version), block.ctype.at(version)) {
            text += &match block.kind {
                Kind::Slots => slot(block, field, &from.answers)?,
                Kind::Freelists => freelist(block, field, ctype, value, &from.answers)?,
                _ => overlay(spec, field, &from.answers)?,
            };
            text.push_str(",\n");
        }
    }
    Ok(text + "]")
}

fn slot(block: &Block, field: &Field, answers: &Answers) -> Result<String> {
    let name = format!("{}.{}", block.name, field.name);
    let offset = answer(answers, &format!("{name}.offset"))?;
    let count = answer(answers, &format!("{name}.count"))?;
    Ok(format!("slot({:?}, {offset}, {count})", field.name))
}

fn freelist(
    block: &Block,
    field: &Field,
    ctype: &str,
    value: &str,
    answers: &Answers,
) -> Result<String> {
    let numbers = freelist_questions(ctype, value)?
        .iter()
        .map(|(part, _)| answer(answers, &format!("{}.{}.{part}", block.name, field.name)))
        .map(|number| Ok(number?.to_string()))
        .collect::<Result<Vec<_>>>()?
        .join(", ");
    let word = value.split(' ').next().unwrap_or_default();
    let form = word.strip_prefix("raw").unwrap_or(word);
    let maker = if form == "stack" { "chain" } else { form };
    Ok(format!(
        "{maker}({:?}, {}, [{numbers}])",
        field.name,
        form == word
    ))
}

fn overlay(spec: &Spec, field: &Field, answers: &Answers) -> Result<String> {
    let (target, member) = field
        .name
        .split_once('.')
        .context("overlay wants struct.field")?;
    let (owner, target_field) = spec
        .blocks()
        .filter(|other| other.name == target)
        .find_map(|other| {
            other
                .fields
                .iter()
                .find(|field| field.name == member)
                .map(|field| (other, field))
        })
        .with_context(|| format!("overlay names `{}`, which is not a field", field.name))?;
    let place = match owner.always(target_field, &lowest()?) {
        true => format!("&mut l.{}", field.name),
        false => format!("l.{}.get_or_insert(0)", field.name),
    };
    let position = answer(answers, &format!("overlay.{}", field.name))?;
    Ok(format!(
        "overlay({position}, {:?}, |l| {place})",
        field.name
    ))
}

/// Passes Rust through rustfmt, so that `cargo fmt --check` is content with what is written.
fn formatted(text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run `rustfmt`: rustup component add rustfmt")?;
    child
        .stdin
        .take()
        .context("rustfmt without a standard input")?
        .write_all(text.as_bytes())?;
    let done = child.wait_with_output()?;
    ensure!(
        done.status.success(),
        "rustfmt does not accept what was generated"
    );
    Ok(String::from_utf8(done.stdout)?)
}
