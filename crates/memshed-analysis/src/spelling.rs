//! Names that are spelled similarly.

/// The names that are most like `wanted`, at most `limit`, the most similar first. A name is also
/// compared by its last part: `Sesion` is much like `app.Session`.
pub(crate) fn closest<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str>,
    limit: usize,
) -> Vec<String> {
    let folded = wanted.to_lowercase();
    let last = folded.rsplit('.').next().unwrap_or(&folded);
    let most = (last.chars().count() / 3).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for name in names {
        let lower = name.to_lowercase();
        let part = lower.rsplit('.').next().unwrap_or(&lower);
        let mut apart = distance(&folded, &lower, most);
        if apart.is_none() {
            // Not as good as a name that is similar as a whole.
            apart = distance(last, part, most).map(|apart| apart + 1);
        }
        if apart.is_none() && last.len() > 3 && part.contains(last) {
            apart = Some(most + 2);
        }
        if let Some(apart) = apart {
            found.push((apart, name));
        }
    }
    found.sort_unstable();
    found.dedup();
    let names = found.into_iter().take(limit);
    names.map(|(_, name)| name.to_owned()).collect()
}

/// How many letters have to be put in, left out, changed or swapped with the next to make one of
/// the other; `None` if more than `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    // Three rows of the table of R. A. Wagner and M. J. Fischer, with the swaps of F. J. Damerau.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let changed = last[j] + usize::from(a[i] != b[j]);
            let mut least = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|apart| *apart <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("session", "session", 2), Some(0));
        assert_eq!(distance("sesion", "session", 2), Some(1));
        assert_eq!(distance("sessoin", "session", 2), Some(1));
        assert_eq!(distance("", "ab", 2), Some(2));
        assert_eq!(distance("session", "order", 3), None);
    }

    #[test]
    fn names_are_also_compared_by_their_last_part() {
        let names = ["app.Session", "app.Order", "Sessions", "app.sessions.Store"];
        let found = closest("app.Sesion", names.into_iter(), 5);
        assert_eq!(found[0], "app.Session");
        assert!(closest("Sesion", names.into_iter(), 1).contains(&"Sessions".to_owned()));
        assert!(closest("xyzzy", names.into_iter(), 5).is_empty());
    }
}
