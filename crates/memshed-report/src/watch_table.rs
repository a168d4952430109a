//! A watch as text: a table that grows line by line.

use crate::page::{BOLD, DIM, Page, WARN, cut, harmless, shorten, styled};
use crate::units::{bytes, change, count, duration, more, plural, signed};
use crate::watch::{Growth, PerHour, WatchEnd, WatchEvent, WatchLook, WatchReason, WatchStart};
use crate::words;
use memshed_heap::Method;
use std::collections::VecDeque;
use unicode_width::UnicodeWidthStr;

/// Looks that the trend shows.
const TREND: usize = 6;
/// Lines from one heading to the next, where headings are repeated.
const LINES: usize = 20;
/// The columns that give way on a narrow page, in the order in which they get room.
const BY_IMPORTANCE: [Cell; 7] = [
    Cell::Objects,
    Cell::Trend,
    Cell::Bytes,
    Cell::Native,
    Cell::Free,
    Cell::Collections,
    Cell::Releasable,
];
/// Room for the name of what grew, at least.
const GREW: usize = 22;

/// A column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Time,
    Resident,
    Trend,
    Objects,
    Bytes,
    Free,
    Releasable,
    Native,
    Collections,
    Stop,
}

impl Cell {
    const ALL: [Cell; 10] = [
        Cell::Time,
        Cell::Resident,
        Cell::Trend,
        Cell::Objects,
        Cell::Bytes,
        Cell::Free,
        Cell::Releasable,
        Cell::Native,
        Cell::Collections,
        Cell::Stop,
    ];

    /// Heading and width.
    fn heading(self) -> (&'static str, usize) {
        match self {
            Cell::Time => ("TIME", 9),
            Cell::Resident => ("RESIDENT", 9),
            Cell::Trend => ("TREND", TREND),
            Cell::Objects => ("OBJECTS", 11),
            Cell::Bytes => ("BYTES", 9),
            Cell::Free => ("FREE", 8),
            Cell::Releasable => ("RELEASABLE", 10),
            Cell::Native => ("NATIVE", 9),
            Cell::Collections => ("GC", 6),
            Cell::Stop => ("STOP", 8),
        }
    }
}

/// Renders the events of a watch.
pub struct WatchTable {
    page: Page,
    /// Whether the heading comes again and again, for somebody who watches.
    repeat: bool,
    cells: Vec<Cell>,
    /// Lines since the heading.
    lines: Option<usize>,
    trend: VecDeque<u64>,
    /// How the look before was taken.
    method: Method,
}

impl WatchTable {
    /// A table for this page.
    pub fn new(page: Page, repeat: bool) -> WatchTable {
        let width = |cell: &Cell| cell.heading().1 + 1;
        let always = [Cell::Time, Cell::Resident, Cell::Stop];
        let mut room = page.width.saturating_sub(GREW);
        room = room.saturating_sub(always.iter().map(width).sum());
        let mut shown = always.to_vec();
        for cell in BY_IMPORTANCE {
            let Some(left) = room.checked_sub(width(&cell)) else {
                break;
            };
            room = left;
            shown.push(cell);
        }
        WatchTable {
            page,
            repeat,
            cells: Cell::ALL
                .into_iter()
                .filter(|cell| shown.contains(cell))
                .collect(),
            lines: None,
            trend: VecDeque::new(),
            method: Method::Fork,
        }
    }

    /// The lines that tell of an event.
    pub fn lines(&mut self, event: &WatchEvent) -> String {
        match event {
            WatchEvent::Start(start) => self.start(start),
            WatchEvent::Look(look) => self.look(look),
            WatchEvent::Missed(missed) => {
                let time = clock(missed.elapsed_seconds);
                self.note(&format!("{time:>9} no look: {}", missed.why))
            }
            WatchEvent::Skipped(skipped) => {
                let (looks, took) = (
                    plural(skipped.count, "look"),
                    duration(skipped.look_seconds),
                );
                self.note(&format!(
                    "{:9} {looks} left out: the last one took {took}",
                    ""
                ))
            }
            WatchEvent::End(end) => self.end(end),
        }
    }

    fn start(&self, start: &WatchStart) -> String {
        let mut line = format!(
            "Process {}, Python {} ({}), every {} from {}",
            start.pid,
            harmless(&start.python),
            harmless(&start.executable),
            duration(start.every_seconds),
            words::utc(start.at),
        );
        if let Some(looks) = start.continues {
            line += &format!("; continues a history of {}", plural(looks, "look"));
        }
        format!("{}\n", self.page.wrap(&line, 2))
    }

    fn look(&mut self, look: &WatchLook) -> String {
        let mut out = String::new();
        if self.lines.is_none_or(|lines| self.repeat && lines >= LINES) {
            out = self.heading();
        }
        if look.method != self.method {
            self.method = look.method;
            if let Some(why) = &look.method_reason {
                out += &self.note(&format!("{:9} it is paused: {why}", ""));
            }
        }
        self.trend.push_back(look.rss_bytes);
        if self.trend.len() > TREND {
            self.trend.pop_front();
        }
        let mut line = String::new();
        for &cell in &self.cells {
            let width = cell.heading().1;
            let text = self.cell(cell, look);
            match cell {
                Cell::Trend => line += &format!("{text:<width$} "),
                _ => line += &format!("{text:>width$} "),
            }
        }
        let room = self.page.width.saturating_sub(line.chars().count());
        line += &look
            .grew
            .as_ref()
            .map_or(String::new(), |growth| grew(growth, room));
        self.lines = Some(self.lines.unwrap_or(0) + 1);
        out + &self.page.plain(line.trim_end()) + "\n"
    }

    fn heading(&mut self) -> String {
        self.lines = Some(0);
        let mut line = String::new();
        for &cell in &self.cells {
            let (name, width) = cell.heading();
            match cell {
                Cell::Trend => line += &format!("{name:<width$} "),
                _ => line += &format!("{name:>width$} "),
            }
        }
        format!("{}\n", styled(DIM, &format!("{line}GREW MOST")))
    }

    fn cell(&self, cell: Cell, look: &WatchLook) -> String {
        match cell {
            Cell::Time => clock(look.elapsed_seconds),
            Cell::Resident => bytes(look.rss_bytes),
            Cell::Trend => trend(&self.trend, self.page.unicode),
            Cell::Objects => count(look.objects),
            Cell::Bytes => bytes(look.object_bytes),
            Cell::Free => bytes(look.free_bytes),
            Cell::Releasable => bytes(look.releasable_bytes),
            Cell::Native => bytes(look.native_bytes),
            Cell::Collections => look
                .collections
                .map_or("–".into(), |n| format!("+{}", signed(n))),
            Cell::Stop => duration(look.stopped_ms / 1e3),
        }
    }

    /// A line between the rows.
    fn note(&mut self, text: &str) -> String {
        if let Some(lines) = &mut self.lines {
            *lines += 1;
        }
        let text = cut(&harmless(text), self.page.width.max(60));
        format!("{}\n", styled(WARN, &self.page.plain(&text)))
    }

    fn end(&self, end: &WatchEnd) -> String {
        let why = match end.reason {
            WatchReason::Exited => "The program has ended.",
            WatchReason::Interrupted => "Interrupted.",
            WatchReason::Count => "All looks taken.",
            WatchReason::Time => "The time is over.",
        };
        let mut line = format!(
            "{} in {}; the program stood still for {} at most, {} in all.",
            plural(end.looks, "look"),
            duration(end.seconds),
            duration(end.stopped_ms_most / 1e3),
            duration(end.stopped_ms_sum / 1e3),
        );
        if end.missed > 0 {
            line += &format!(" {} failed.", plural(end.missed, "look"));
        }
        let line = self.page.wrap(&format!("{why} {line}"), 2);
        let mut out = format!("\n{}\n", line.replacen(why, &styled(BOLD, why), 1));
        if let Some(growth) = &end.per_hour {
            for line in growth_lines(growth) {
                out += &format!("{}\n", self.page.wrap(&line, 2));
            }
        }
        out
    }
}

/// What grew in an hour, in two sentences.
fn growth_lines(growth: &PerHour) -> Vec<String> {
    let parts = growth.memory.iter().take(4).map(|part| {
        let (name, _) = words::category(&part.category);
        format!("{} {}", harmless(name), change(part.bytes))
    });
    let parts: Vec<String> = parts.collect();
    let mut first = format!("Growth per hour: resident {}", change(growth.rss_bytes));
    if !parts.is_empty() {
        first += &format!(" ({})", parts.join(", "));
    }
    let types = growth.types.iter().take(5).map(|growth| {
        let name = harmless(&growth.name);
        format!("{name} {} ({})", change(growth.bytes), more(growth.count))
    });
    let types: Vec<String> = types.collect();
    let mut lines = vec![first + "."];
    if !types.is_empty() {
        lines.push(format!("Growth per hour by type: {}.", types.join(", ")));
    }
    lines
}

/// `shop.Order +1.2 MB (+12,000)` in at most `room` columns, the number left out if need be.
fn grew(growth: &Growth, room: usize) -> String {
    /// Of a name at least so much is shown.
    const NAME: usize = 20;
    let name = harmless(&growth.name);
    let mut by = format!(" {} ({})", change(growth.bytes), more(growth.count));
    if room < by.len() + name.width().min(NAME) {
        by = format!(" {}", change(growth.bytes));
    }
    shorten(&name, room.saturating_sub(by.len()).max(8)) + &by
}

/// Seconds as `0:01:10`.
fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole % 3600 / 60, whole % 60);
    format!("{hours}:{minutes:02}:{seconds:02}")
}

/// The last figures as a line of bars. What stays within a hundredth is flat.
fn trend(figures: &VecDeque<u64>, unicode: bool) -> String {
    let levels = match unicode {
        true => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
        false => ['_', '_', '.', '.', '-', '=', '*', '#'],
    };
    let least = figures.iter().copied().min().unwrap_or(0);
    let most = figures.iter().copied().max().unwrap_or(0);
    let span = (most - least).max(most / 100).max(1);
    let level = |figure: &u64| {
        let level = u128::from(figure - least) * (levels.len() as u128 - 1) / u128::from(span);
        levels[level as usize]
    };
    figures.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(clock(0.4), "0:00:00");
        assert_eq!(clock(3_671.0), "1:01:11");
        assert_eq!(clock(-1.0), "0:00:00");
    }

    #[test]
    fn trends() {
        let of = |figures: &[u64], unicode| trend(&figures.iter().copied().collect(), unicode);
        assert_eq!(of(&[1000, 1001, 1000], true), "▁▁▁");
        assert_eq!(of(&[0, 50, 100], true), "▁▄█");
        assert_eq!(of(&[u64::MAX, 0], true), "█▁");
        assert_eq!(of(&[0, 100], false), "_#");
        assert_eq!(of(&[], true), "");
    }
}
