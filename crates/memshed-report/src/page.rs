//! What a renderer needs to know of the place it writes for, and the parts every report is
//! made of: headings, tables, bars.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use unicode_width::UnicodeWidthStr;

/// A result that can be shown to people and to programs.
pub trait Report {
    /// For people. May hold ANSI styles, which the printer strips where they are not wanted.
    fn text(&self, page: &Page) -> String;
    /// For programs: an object with a `schema` number.
    fn json(&self) -> serde_json::Value;
}

/// The page that a report is laid out for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether characters beyond ASCII can be shown.
    pub unicode: bool,
}

impl Default for Page {
    fn default() -> Page {
        Page {
            width: 100,
            unicode: true,
        }
    }
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// `text` in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// How a column of a table is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Words, from the left.
    Left,
    /// Numbers, flush right.
    Right,
    /// Names that lose their middle if the table would be too wide. At most one per table.
    Name,
    /// Remarks that are cut, or left out, if the table would be too wide. The last one, if any.
    Remark,
}

impl Page {
    /// A heading, with a blank line above.
    pub(crate) fn heading(&self, text: &str) -> String {
        format!("\n{}\n", styled(BOLD, text))
    }

    /// A bar of `part` in `whole`, `width` columns long.
    pub(crate) fn bar(&self, part: u64, whole: u64, width: usize) -> String {
        let eighths = if whole == 0 {
            0
        } else {
            (part as f64 / whole as f64 * (width * 8) as f64).round() as usize
        };
        if !self.unicode {
            return "#".repeat((eighths + 4) / 8);
        }
        let mut bar = "█".repeat(eighths / 8);
        if !eighths.is_multiple_of(8) {
            // U+2588 FULL BLOCK down to U+258F LEFT ONE EIGHTH BLOCK
            bar.extend(char::from_u32(0x2590 - (eighths % 8) as u32));
        }
        bar
    }

    /// A table, indented by two columns, its heading dimmed.
    pub(crate) fn table(&self, columns: &[(&str, Column)], rows: Vec<Vec<String>>) -> String {
        let rows = self.fit(columns, rows);
        let mut table = Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(columns.iter().map(|(title, _)| *title));
        for (i, (_, kind)) in columns.iter().enumerate() {
            if let Some(column) = table.column_mut(i) {
                column.set_padding((if i == 0 { 2 } else { 1 }, 1));
                if *kind == Column::Right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        for row in rows {
            table.add_row(row);
        }
        let mut out = String::new();
        for (i, line) in table.to_string().lines().enumerate() {
            let line = self.plain(line.trim_end());
            if i == 0 {
                out.push_str(&styled(DIM, &line));
            } else {
                out.push_str(&line);
            }
            out.push('\n');
        }
        out
    }

    /// Shortens the cells of the column that gives way so that the table fits the page.
    fn fit(&self, columns: &[(&str, Column)], mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
        let gives_way = |kind| matches!(kind, Column::Name | Column::Remark);
        let Some(at) = columns.iter().position(|(_, kind)| gives_way(*kind)) else {
            return rows;
        };
        let widest = |i: usize| {
            let cells = rows.iter().filter_map(|row| row.get(i)).map(|s| s.width());
            cells.chain([columns[i].0.width()]).max().unwrap_or(0)
        };
        let others: usize = (0..columns.len()).filter(|&i| i != at).map(widest).sum();
        let room = self.width.saturating_sub(others + columns.len() * 2 + 1);
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            *cell = match columns[at].1 {
                Column::Remark => cut(cell, room),
                _ => shorten(cell, room.max(NARROWEST)),
            };
        }
        rows
    }

    /// `text` without characters that this page cannot show.
    pub(crate) fn plain(&self, text: &str) -> String {
        if self.unicode {
            return text.to_string();
        }
        let replaced = text
            .replace('–', "-")
            .replace('…', "...")
            .replace('→', "->")
            .replace('×', "x")
            .replace('±', "+-");
        let ascii = |c: char| if c.is_ascii() { c } else { '?' };
        replaced.chars().map(ascii).collect()
    }

    /// `text` wrapped at the page's width, later lines indented by `indent` columns.
    pub(crate) fn wrap(&self, text: &str, indent: usize) -> String {
        let words = text.trim_start_matches(' ');
        let mut column = text.len() - words.len();
        let mut out = " ".repeat(column);
        let mut first = true;
        for word in words.split(' ') {
            let width = word.width();
            if !first && column > indent && column + 1 + width > self.width.max(40) {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if !first {
                out.push(' ');
                column += 1;
            }
            first = false;
            out.push_str(word);
            column += width;
        }
        self.plain(&out)
    }
}

/// Names are not shortened below this, nor are remarks shown in less room.
const NARROWEST: usize = 20;

/// `remark` in at most `width` columns, without its end where it is too long.
pub(crate) fn cut(remark: &str, width: usize) -> String {
    if remark.width() <= width {
        return remark.to_string();
    }
    if width < NARROWEST {
        return String::new();
    }
    let kept: String = remark.chars().take(width - 1).collect();
    format!("{}…", kept.trim_end())
}

/// `name` in at most `width` columns, the middle left out where it is too long: the beginning
/// says where a thing belongs, the end what it is.
pub(crate) fn shorten(name: &str, width: usize) -> String {
    if name.width() <= width {
        return name.to_string();
    }
    let characters: Vec<char> = name.chars().collect();
    let keep = width.saturating_sub(1);
    let (head, tail) = (keep / 2, keep - keep / 2);
    // Wide characters take more than their share; good enough for names.
    let head: String = characters[..head.min(characters.len())].iter().collect();
    let tail: String = characters[characters.len().saturating_sub(tail)..]
        .iter()
        .collect();
    format!("{head}…{tail}")
}

/// `text` with control characters shown as escapes: names come from somebody else's program and
/// must not steer the terminal.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        let page = Page::default();
        assert_eq!(page.bar(1, 2, 10), "█████");
        assert_eq!(page.bar(1, 16, 10), "▋");
        assert_eq!(page.bar(0, 16, 10), "");
        assert_eq!(page.bar(3, 0, 10), "");
        let ascii = Page {
            unicode: false,
            ..page
        };
        assert_eq!(ascii.bar(1, 2, 10), "#####");
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shorten("short", 10), "short");
        assert_eq!(shorten("package.module.Class", 11), "packa…Class");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
    }

    #[test]
    fn wrapping_keeps_words_whole() {
        let page = Page {
            width: 40,
            unicode: true,
        };
        let text = "one two three four five six seven eight nine ten";
        assert_eq!(
            page.wrap(text, 2),
            "one two three four five six seven eight\n  nine ten"
        );
    }
}
