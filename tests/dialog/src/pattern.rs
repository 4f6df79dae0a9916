//! Patterns of reply lines.

use std::fmt;

/// Text in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether a line, without its CRLF, is what the pattern says.
    pub(crate) fn matches(&self, line: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = line.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, line, matches) in [
            ("250 OK", "250 OK", true),
            ("250 OK", "250 OK then", false),
            ("250 *", "250 2.0.0 OK", true),
            ("250 *", "250", false),
            ("250-*", "250 OK", false),
            ("2* queued as *", "250 2.0.0 queued as 7", true),
            ("*a*a", "a", false),
            ("*a*a", "aa", true),
            ("5*5", "5", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(line), matches, "{pattern} / {line}");
        }
    }
}
