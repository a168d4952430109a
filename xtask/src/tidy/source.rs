//! Rust source as the rules see it: code, comments and string literals told apart, line by line.
//!
//! A lexer of its own instead of a parser: the rules look for words, and lines must keep their
//! numbers.

/// A Rust source file, split three ways. All three have the lines of the original.
pub struct Source {
    /// Code; comments and the insides of literals are blanked.
    pub code: Vec<String>,
    /// String literals; everything else is blanked.
    pub strings: Vec<String>,
    /// Comments; everything else is blanked.
    pub comments: Vec<String>,
    /// Whether the line belongs to a test or a benchmark: a file of these, or a `#[cfg(test)]` item.
    pub in_test: Vec<bool>,
}

/// What the character at hand belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Text,
    Comment,
}

impl Source {
    /// Splits `text`; `is_test` says that the whole file is a test.
    pub fn new(text: &str, is_test: bool) -> Source {
        let kinds = classify(text.as_bytes());
        let only = |wanted: Kind| -> Vec<String> {
            let kept: Vec<u8> = text
                .bytes()
                .zip(&kinds)
                .map(|(byte, &kind)| match byte {
                    b'\n' => b'\n',
                    _ if kind == wanted => byte,
                    _ => b' ',
                })
                .collect();
            let kept = String::from_utf8_lossy(&kept);
            kept.lines().map(str::to_owned).collect()
        };
        let code = only(Kind::Code);
        let in_test = if is_test {
            vec![true; code.len()]
        } else {
            test_lines(&code)
        };
        Source {
            strings: only(Kind::Text),
            comments: only(Kind::Comment),
            code,
            in_test,
        }
    }
}

/// Says of each byte what it belongs to.
fn classify(text: &[u8]) -> Vec<Kind> {
    let mut kinds = Vec::with_capacity(text.len());
    while kinds.len() < text.len() {
        let rest = &text[kinds.len()..];
        let before = kinds.len().checked_sub(1).map(|at| text[at]);
        let (kind, length) = token(rest, before);
        kinds.resize((kinds.len() + length).min(text.len()), kind);
    }
    kinds
}

/// The kind and the length in bytes (at least 1) of what `rest` begins with.
fn token(rest: &[u8], before: Option<u8>) -> (Kind, usize) {
    if rest.starts_with(b"//") {
        let end = rest.iter().position(|&byte| byte == b'\n');
        return (Kind::Comment, end.unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return (Kind::Comment, block_comment(rest));
    }
    if rest[0] == b'"' {
        return (Kind::Text, quoted(rest));
    }
    let begins_word = !before.is_some_and(is_word);
    if begins_word && let Some(length) = raw_string(rest) {
        return (Kind::Text, length);
    }
    if rest[0] == b'\'' {
        return char_literal(rest).map_or((Kind::Code, 1), |length| (Kind::Text, length));
    }
    (Kind::Code, 1)
}

/// The length of a block comment; these nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a string literal with escapes, quotes included.
fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string literal (`r"…"`, `br#"…"#`), if `rest` begins with one.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = [&b"br"[..], b"cr", b"r"]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    let open = prefix.len() + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = [b'"']
        .into_iter()
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close);
    Some(end.map_or(rest.len(), |end| open + 1 + end + close.len()))
}

/// The length of a character literal; `None` if the quote begins a lifetime.
fn char_literal(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        let end = rest.iter().skip(3).position(|&byte| byte == b'\'')?;
        return Some(end + 4);
    }
    // One character of up to four bytes, then the closing quote; a lifetime has none.
    let head = &rest[1..rest.len().min(6)];
    let end = head.iter().position(|&byte| byte == b'\'')?;
    let one = std::str::from_utf8(&head[..end]).ok()?.chars().count() == 1;
    one.then_some(end + 2)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Marks the lines of items under `#[cfg(test)]`, by their braces.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    let mut line = 0;
    while line < code.len() {
        if !code[line].contains("#[cfg(test)]") {
            line += 1;
            continue;
        }
        let end = item_end(code, line);
        marks[line..=end].fill(true);
        line = end + 1;
    }
    marks
}

/// The last line of the item that begins at `first`: where its braces close, or its semicolon.
fn item_end(code: &[String], first: usize) -> usize {
    let mut depth = 0_usize;
    for (line, text) in code.iter().enumerate().skip(first) {
        for byte in text.bytes() {
            match byte {
                b'{' => depth += 1,
                b'}' if depth <= 1 => return line,
                b'}' => depth -= 1,
                b';' if depth == 0 => return line,
                _ => {}
            }
        }
    }
    code.len() - 1
}

/// Whether `line` contains `word` with no letter, digit or underscore next to it.
pub fn has_word(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + word.len()).copied();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comments_and_strings_are_told_apart() {
        let text = concat!(
            "let a = \"unsafe // \\\" x\"; // unsafe too\n",
            "let b = r#\"say \"unsafe\"\"#; /* unsafe /* nested */ */ let c = 'x';\n",
            "fn life<'a>(x: &'a str) { let q = '\"'; let e = '\\''; unsafe { } }\n",
        );
        let source = Source::new(text, false);
        assert!(!has_word(&source.code[0], "unsafe"));
        assert!(has_word(&source.strings[0], "unsafe"));
        assert!(has_word(&source.comments[0], "unsafe"));
        assert!(!has_word(&source.code[1], "unsafe"));
        assert!(source.code[1].contains("let c ="));
        assert!(has_word(&source.code[2], "unsafe"));
        assert!(source.code[2].contains("life<'a>"));
    }

    #[test]
    fn test_items_are_marked() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n";
        let source = Source::new(text, false);
        assert_eq!(source.in_test, [false, true, true, true, true, false]);
        let text = "#[cfg(test)]\nmod tests;\nfn c() {}\n";
        assert_eq!(Source::new(text, false).in_test, [true, true, false]);
    }
}
