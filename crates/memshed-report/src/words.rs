//! What categories, methods and problems mean, in plain words.

use crate::units::{bytes, duration, signed};
use memshed_heap::{Method, Pools, Problem, SnapshotInfo};

/// A category of memory for people: what it is called, and what it is and whether it can shrink.
/// Categories that are not known here are called what they are.
pub(crate) fn category(name: &str) -> (&str, &'static str) {
    match name {
        "python_objects" => (
            "Python objects",
            "what the program has made; shrinks when it lets go of it",
        ),
        "python_caches" => (
            "free lists",
            "unused objects that are kept for the next ones; few, and emptied by a full collection",
        ),
        "python_free" => (
            "Python, free",
            "room for new objects; whole free pages could go back, the rest when the objects \
             around it die",
        ),
        "python_overhead" => (
            "pool headers",
            "how Python tells its pools apart; goes with them",
        ),
        "python_internal" => (
            "interpreter",
            "frames and tables of C code; stays about as it is",
        ),
        "malloc" => (
            "malloc",
            "what C code has asked for, and what it has freed: the free pages could go back \
             (malloc_trim)",
        ),
        "anonymous" => (
            "anonymous",
            "memory that libraries have mapped; theirs to give back",
        ),
        "stacks" => ("stacks", "one for each thread; goes when the thread ends"),
        "libraries" => (
            "libraries",
            "code and data of libraries; most of it is shared with other processes",
        ),
        "files" => (
            "files",
            "files mapped into memory; the system takes it back when it needs room",
        ),
        "shared" => ("shared", "memory shared with other processes"),
        "devices" => ("devices", "memory of devices"),
        "kernel" => ("kernel", "pages that the kernel lends; they cost nothing"),
        "unexplained" => ("unexplained", "what memshed cannot attribute"),
        other => (other, ""),
    }
}

/// What could be given back as things stand, and where it is.
pub(crate) fn returnable(pools: &Pools) -> String {
    let r = &pools.releasable;
    let parts = [
        (r.free_pools.saturating_add(r.arena_tops), "in free pools"),
        (r.used_pools, "between objects"),
        (r.malloc, "in malloc"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts
        .map(|(n, what)| format!("{} {what}", bytes(*n)))
        .collect();
    match parts.as_slice() {
        [] => "nothing could go back to the system as things stand".to_owned(),
        [one] => format!("{one} could go back to the system as things stand"),
        more => format!(
            "{} could go back to the system as things stand: {}",
            bytes(pools.releasable_bytes),
            more.join(", ")
        ),
    }
}

/// How the process was frozen, and what that cost it.
pub(crate) fn frozen(snapshot: &SnapshotInfo) -> String {
    let how = match snapshot.method {
        Method::Fork => "by a forked copy",
        Method::Pause => "by a pause",
        Method::Core => "read from a core file",
        Method::File => "read from a snapshot",
    };
    let because = match &snapshot.method_reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    match snapshot.method {
        Method::Fork | Method::Pause => format!(
            "{how}{because}; it stood still for {}, the look took {}",
            duration(snapshot.stopped_ms / 1000.0),
            duration(snapshot.seconds)
        ),
        Method::Core => format!("{how}{because}"),
        Method::File => format!("{how}{because}, taken {}", utc(snapshot.taken_at)),
    }
}

/// A problem in words.
pub(crate) fn problem(problem: &Problem) -> String {
    let kind = problem.kind.replace(['_', '-'], " ");
    let times = signed(i64::try_from(problem.count).unwrap_or(i64::MAX));
    match problem.example.as_str() {
        "" => format!("{times} × {kind}"),
        example => format!("{times} × {kind}, for example {example}"),
    }
}

/// The name of a generation of the collector.
pub(crate) fn generation(row: usize) -> String {
    match row {
        0 => "0 (young)".to_string(),
        1 => "1 (middle)".to_string(),
        2 => "2 (old)".to_string(),
        n => n.to_string(),
    }
}

/// How scattered the free memory of the pools is.
pub(crate) fn fragmentation(share: f64) -> &'static str {
    match share {
        s if s < 0.05 => "hardly any: live objects lie close together",
        s if s < 0.15 => "little: small gaps between live objects",
        s if s < 0.40 => "noticeable: much free room lies between live objects",
        _ => "heavy: few live objects keep many pages",
    }
}

/// Seconds since the epoch as `2026-11-23 20:30:59 UTC`.
pub(crate) fn utc(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as i64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar, counting years from March so that the leap day
    // comes last; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(utc(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400.0), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_465_859.9), "2026-11-23 20:30:59 UTC");
        assert_eq!(utc(-5.0), "1970-01-01 00:00:00 UTC");
    }
}
