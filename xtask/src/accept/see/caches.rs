//! Row "caches": entries as the interpreter itself reports them.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const TARGET: &str = "entries = sys._debugmallocstats(), cache_info(), getunicodeinternedsize()";

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        findings.push(match on(ground, python) {
            Ok((measured, good)) => Finding::new("caches", python.label(), TARGET, measured, good),
            Err(why) => Finding::not_measured("caches", python.label(), TARGET, format!("{why:#}")),
        });
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter) -> Result<(String, bool)> {
    let directory = ground.scratch("caches")?;
    let argument = directory.to_str().context("an odd path")?;
    let target = Target::python(&python.path, &ground.program("caches.py"), &[argument])?;
    target.expect("ready", Duration::from_secs(60))?;
    let look = look::inspect(ground, target.pid(), &[])?;
    let said: Value = serde_json::from_slice(&std::fs::read(directory.join("caches.json"))?)?;
    let free = free_lists(&std::fs::read_to_string(directory.join("malloc.txt"))?);
    let rows = look.json["caches"]
        .as_array()
        .context("no caches in the report")?;
    let found = |name: &str| {
        let rows = rows.iter().filter(|row| {
            let full = row["name"].as_str().unwrap_or_default();
            full == name
                || full
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(" ("))
        });
        rows.filter_map(|row| row["entries"].as_u64()).sum::<u64>()
    };
    let mut compared = Vec::new();
    for (name, &entries) in &free {
        compared.push((
            format!("free list: {name}"),
            entries,
            found(&format!("free list: {name}")),
        ));
    }
    for (function, entries) in said["lru"].as_object().into_iter().flatten() {
        let entries = entries.as_u64().unwrap_or(0);
        compared.push((
            function.clone(),
            entries,
            found(&format!("lru_cache of {function}")),
        ));
    }
    for name in ["re._cache", "linecache.cache", "sys.path_importer_cache"] {
        compared.push((
            name.to_owned(),
            said[name].as_u64().unwrap_or(0),
            found(name),
        ));
    }
    if let Some(interned) = said["interned"].as_u64() {
        let all = found("interned strings") + found("interned strings, kept for good");
        compared.push(("interned strings".to_owned(), interned, all));
    }
    let wrong = compared.iter().filter(|(_, said, found)| said != found);
    let wrong: Vec<String> = wrong
        .map(|(name, said, found)| format!("{name}: {said} said, {found} reported"))
        .collect();
    Ok(match wrong.is_empty() {
        true => (format!("{} caches equal", compared.len()), !free.is_empty()),
        false => (wrong.join("; "), false),
    })
}

/// Entries of the free lists that `sys._debugmallocstats()` prints, by the name that the report
/// has for them: "80 free PyDictObjects * 48 bytes each", "12 free 3-sized PyTupleObjects …".
fn free_lists(text: &str) -> BTreeMap<String, u64> {
    let mut lists = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(count), Some("free")) = (words.next(), words.next()) else {
            continue;
        };
        let object = words.find(|word| word.ends_with("Objects") || word.ends_with("Object"));
        let object = object.and_then(|word| word.trim_end_matches('s').strip_prefix("Py"));
        let name = match object.map(|name| name.trim_end_matches("Object")) {
            Some("Dict") => "dict",
            Some("List") => "list",
            Some("Float") => "float",
            Some("Tuple") => "tuple",
            _ => continue,
        };
        let count: u64 = count.replace(',', "").parse().unwrap_or(0);
        *lists.entry(name.to_owned()).or_default() += count;
    }
    lists
}
