//! Words that findings have in common.

use crate::growth::Ages;
use crate::units;

/// A path as the beginning of a sentence.
pub(crate) fn in_sentence(path: &str) -> String {
    let mut letters = path.chars();
    match letters.next() {
        Some(first) if path.starts_with("local variable") || path.starts_with("the table") => {
            first.to_uppercase().collect::<String>() + letters.as_str()
        }
        _ => path.to_owned(),
    }
}

/// `387 ValueError objects`, `40 objects (20 str, 20 tuple)`.
pub(crate) fn items(types: &[(String, u64)], count: u64) -> String {
    let number = units::count(count);
    let noun = if count == 1 { "object" } else { "objects" };
    match types {
        [(first, most), (second, next), rest @ ..] if most * 10 < count * 9 => {
            let more = if rest.is_empty() { "" } else { ", …" };
            format!("{number} {noun} ({most} {first}, {next} {second}{more})")
        }
        [(name, _), ..] => format!("{number} {name} {noun}"),
        [] => format!("{number} {noun}"),
    }
}

/// The bytes of each interval that are still `held` (or `there`) at the last look.
pub(crate) fn by_look(ages: &Ages, held: &str) -> String {
    let bytes = ages.bytes.iter().skip(1);
    let bytes: Vec<String> = bytes.map(|&bytes| units::bytes(bytes)).collect();
    format!(
        "of what was new at each look since the first, this is still {held} at the last: {}",
        bytes.join(", ")
    )
}
