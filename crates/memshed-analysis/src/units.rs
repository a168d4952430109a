//! Numbers as people read them. Sizes are decimal: 1 MB is 1,000,000 bytes.

/// A size such as `605.3 MB`; below 1,000 bytes exact.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with thousands separators: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// As [`count`], for numbers that the target gives and that may be anything.
pub fn signed(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "" };
    format!("{sign}{}", count(n.unsigned_abs()))
}

/// A change of a size: `+1.2 MB`.
pub fn change(n: i64) -> String {
    let sign = if n < 0 { "-" } else { "+" };
    format!("{sign}{}", bytes(n.unsigned_abs()))
}

/// A change of a number: `+12,000`.
pub fn more(n: i64) -> String {
    let sign = if n < 0 { "" } else { "+" };
    format!("{sign}{}", signed(n))
}

/// `part` of `whole` as a percentage: `61.2 %`, `<0.1 %`, `–` of nothing.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".into();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if part > 0 && percent < 0.05 {
        "<0.1 %".into()
    } else {
        format!("{percent:.1} %")
    }
}

/// A length of time such as `3 d 4 h`, `2 h 5 min`, `42 s`, `1.5 s`, `12.3 ms`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 if seconds < 1.0 => format!("{:.1} ms", seconds.max(0.0) * 1000.0),
        0..=9 => format!("{seconds:.1} s"),
        10..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min", whole / 60),
        7200..=172_799 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `1 thread`, `2 threads`.
pub fn plural(n: u64, one: &str) -> String {
    let ending = match one {
        _ if n == 1 => "",
        _ if one.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {one}{ending}", count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (605_300_000, "605.3 MB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (2_100_000_000, "2.1 GB"),
            (u64::MAX, "18446.7 PB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn counts_and_shares() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(signed(-1234), "-1,234");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(1, 100_000), "<0.1 %");
        assert_eq!(share(0, 5), "0.0 %");
        assert_eq!(share(5, 0), "–");
        assert_eq!(plural(1, "thread"), "1 thread");
        assert_eq!(plural(1200, "process"), "1,200 processes");
    }

    #[test]
    fn changes() {
        assert_eq!(change(-1_200_000), "-1.2 MB");
        assert_eq!(change(0), "+0 B");
        assert_eq!(more(12_000), "+12,000");
        assert_eq!(more(-3), "-3");
    }

    #[test]
    fn times() {
        let cases = [
            (0.0123, "12.3 ms"),
            (-1.0, "0.0 ms"),
            (1.55, "1.6 s"),
            (42.9, "42 s"),
            (7199.0, "119 min"),
            (7500.0, "2 h 5 min"),
            (273_600.0, "3 d 4 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
