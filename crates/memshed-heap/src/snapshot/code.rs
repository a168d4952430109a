//! The tables `code`, `mentions` and `stacks`: where code was written, which names it mentions, and
//! what each thread was running.

use super::error::SnapshotError;
use super::file::{Batch, TableWriter};
use super::read::object;
use super::table::BATCH_ROWS;
use super::words::NameColumn;
use super::write::ints;
use crate::code::{Call, Code, Stack};
use crate::heap::{Heap, ObjectId};
use crate::strings::{StringId, Strings};
use arrow_array::{BooleanArray, Int32Array};
use std::sync::Arc;

pub(super) fn write_code(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let (mut names, mut files) = (NameColumn::default(), NameColumn::default());
    for code in heap.code.chunks(BATCH_ROWS) {
        for one in code {
            names.push(Some(one.name), &heap.strings);
            files.push(Some(one.file), &heap.strings);
        }
        table.write(vec![
            ints(code.iter().map(|one| one.object.0)),
            names.take(),
            files.take(),
            ints(code.iter().map(|one| one.line)),
        ])?;
    }
    Ok(())
}

pub(super) fn write_mentions(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let mut names = NameColumn::default();
    let mut objects = Vec::with_capacity(BATCH_ROWS);
    let mut free = Vec::with_capacity(BATCH_ROWS);
    let mut rows = heap.code.iter().flat_map(|code| {
        let mentions = code.mentions.iter().map(|&name| (code.object, name, false));
        mentions.chain(code.free.iter().map(|&name| (code.object, name, true)))
    });
    loop {
        objects.clear();
        free.clear();
        for (object, name, is_free) in rows.by_ref().take(BATCH_ROWS) {
            objects.push(object.0);
            names.push(Some(name), &heap.strings);
            free.push(is_free);
        }
        if objects.is_empty() {
            return Ok(());
        }
        table.write(vec![
            ints(objects.iter().copied()),
            names.take(),
            Arc::new(BooleanArray::from(free.clone())),
        ])?;
    }
}

/// One row a call; a thread that runs none has one row without.
pub(super) fn write_stacks(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let mut threads = NameColumn::default();
    let (mut numbers, mut calls) = (Vec::new(), Vec::new());
    for (number, stack) in (0..).zip(&heap.stacks) {
        let none = stack.calls.is_empty().then_some(None);
        for call in stack.calls.iter().map(Some).chain(none) {
            numbers.push(number);
            threads.push(Some(stack.thread), &heap.strings);
            calls.push(call);
            if numbers.len() == BATCH_ROWS {
                flush(table, &mut threads, &mut numbers, &mut calls)?;
            }
        }
    }
    flush(table, &mut threads, &mut numbers, &mut calls)
}

fn flush(
    table: &mut TableWriter,
    threads: &mut NameColumn,
    numbers: &mut Vec<u32>,
    calls: &mut Vec<Option<&Call>>,
) -> Result<(), SnapshotError> {
    let optional = |of: fn(&Call) -> u32| {
        let values = calls.iter();
        let values = values.map(|call| Some(i32::try_from(of((*call)?)).unwrap_or(i32::MAX)));
        Arc::new(Int32Array::from_iter(values))
    };
    let columns = vec![
        ints(numbers.iter().copied()),
        threads.take(),
        optional(|call| call.code.0),
        optional(|call| call.line),
    ];
    numbers.clear();
    calls.clear();
    table.write(columns)
}

/// Takes over code, of which the objects are among the first `objects`.
pub(super) fn read_code(
    batch: &Batch,
    objects: u64,
    strings: &mut Strings,
    to: &mut Vec<Code>,
) -> Result<(), String> {
    let lines = batch.ints("line")?;
    let names = words(batch, "name", strings)?;
    let rows = names.into_iter().zip(words(batch, "file", strings)?);
    for (row, (name, file)) in rows.enumerate() {
        let object = object(batch.ints("object")?[row], objects)?;
        if to.last().is_some_and(|last| last.object >= object) {
            return Err("its code is not sorted by object".to_owned());
        }
        to.push(Code {
            object,
            name,
            file,
            line: super::facts::unsigned_int(lines[row])?,
            mentions: Vec::new(),
            free: Vec::new(),
        });
    }
    Ok(())
}

/// Takes over the names that code mentions and its free variables, for `code`, which has been read.
pub(super) fn read_mentions(
    batch: &Batch,
    strings: &mut Strings,
    code: &mut [Code],
) -> Result<(), String> {
    let names = words(batch, "name", strings)?;
    let names = names.into_iter().zip(batch.bools("free")?);
    for (&id, (name, free)) in batch.ints("object")?.iter().zip(names) {
        let object = ObjectId(super::facts::unsigned_int(id)?);
        let row = code.binary_search_by_key(&object, |one| one.object);
        let row = row.map_err(|_| format!("object {id} is no code"))?;
        match free {
            true => code[row].free.push(name),
            false => code[row].mentions.push(name),
        }
    }
    Ok(())
}

/// Takes over what threads were running.
pub(super) fn read_stacks(
    batch: &Batch,
    objects: u64,
    strings: &mut Strings,
    to: &mut Vec<Stack>,
) -> Result<(), String> {
    let threads = words(batch, "thread", strings)?;
    let lines = batch.optional_ints("line")?;
    let calls = batch.optional_ints("code")?.zip(lines);
    let rows = batch.ints("stack")?.iter().zip(threads).zip(calls);
    for ((&number, thread), call) in rows {
        let number = super::facts::unsigned_int(number)? as usize;
        if number == to.len() {
            to.push(Stack {
                thread,
                calls: Vec::new(),
            });
        }
        let known = to.len();
        let stack = to.last_mut().filter(|_| number + 1 == known);
        let stack = stack.ok_or("its stacks are not numbered in order")?;
        match call {
            (Some(code), Some(line)) => stack.calls.push(Call {
                code: object(code, objects)?,
                line: super::facts::unsigned_int(line)?,
            }),
            (None, None) => {}
            _ => return Err("a call needs code and a line".to_owned()),
        }
    }
    Ok(())
}

/// A column of words without nulls.
fn words(batch: &Batch, name: &str, strings: &mut Strings) -> Result<Vec<StringId>, String> {
    let words = batch.words(name, |word| Ok(strings.intern(word)))?;
    let words: Option<Vec<StringId>> = words.collect();
    words.ok_or_else(|| format!("column {name} lacks a value"))
}
