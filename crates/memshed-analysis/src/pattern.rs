//! Patterns for names.

/// A pattern for names, as people type it: with `*` (any text) or `?` (any one character) it must
/// fit the whole name, without them it must occur in it. Upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern `text`. Every text is one; the empty one fits every name.
    pub fn new(text: impl Into<String>) -> Pattern {
        Pattern(text.into())
    }

    /// Whether `name` fits.
    pub fn fits(&self, name: &str) -> bool {
        if self.has_wildcards() {
            fits_whole(&self.0, name)
        } else {
            name.contains(&self.0)
        }
    }

    /// Whether the module `name` fits. Without wildcards, the pattern is a module or a package:
    /// `shop` fits `shop` and `shop.models`, but not `workshop`.
    pub fn fits_module(&self, name: &str) -> bool {
        if self.has_wildcards() {
            return fits_whole(&self.0, name);
        }
        match name.strip_prefix(&*self.0) {
            Some(rest) => self.0.is_empty() || rest.is_empty() || rest.starts_with('.'),
            None => false,
        }
    }

    fn has_wildcards(&self) -> bool {
        self.0.contains(['*', '?'])
    }
}

/// Matches greedily; a mismatch goes back to the last `*` and lets it take one character more.
/// At most `pattern × name` steps.
fn fits_whole(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut name = name.chars();
    let mut retry = None;
    loop {
        let (before_pattern, before_name) = (pattern.clone(), name.clone());
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                name = before_name;
                retry = Some((pattern.clone(), name.clone()));
                if pattern.as_str().is_empty() {
                    return true;
                }
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => {
                let Some((star, mut rest)) = retry else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                debug_assert!(before_pattern.as_str().len() <= star.as_str().len());
                pattern = star.clone();
                name = rest.clone();
                retry = Some((star, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, fitting: &[&str], others: &[&str]) {
        let pattern = Pattern::new(pattern);
        for name in fitting {
            assert!(pattern.fits(name), "{pattern:?} does not fit {name}");
        }
        for name in others {
            assert!(!pattern.fits(name), "{pattern:?} fits {name}");
        }
    }

    #[test]
    fn names() {
        check("", &["", "dict"], &[]);
        check("Row", &["Row", "app.Row", "RowSet"], &["app.row"]);
        check("app.*", &["app.", "app.Row"], &["app", "my.app.Row"]);
        check("*Row", &["Row", "app.Row", "RowRow"], &["app.Rows"]);
        check("*a*b*", &["ab", "xaxbx", "aab", "abab"], &["ba", "aaa"]);
        check("?ist", &["list", "éist"], &["ist", "llist"]);
        check("*ab?", &["abab1", "ab1"], &["ab", "abab"]);
        check("**", &["", "x"], &[]);
    }

    #[test]
    fn modules() {
        let shop = Pattern::new("shop");
        assert!(shop.fits_module("shop"));
        assert!(shop.fits_module("shop.models"));
        assert!(!shop.fits_module("workshop"));
        assert!(!shop.fits_module("shopping"));
        assert!(Pattern::new("*shop*").fits_module("workshop"));
        assert!(Pattern::new("").fits_module("builtins"));
    }
}
