//! Macros (RFC 7208 section 7).

use std::fmt::Write as _;

/// Text with macros in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Macro {
        /// In lower case.
        letter: char,
        escaped: bool,
        /// How many parts are kept, from the right.
        parts: usize,
        reversed: bool,
        delimiters: String,
    },
}

/// What macros stand for.
pub(super) trait Values {
    /// The value of a letter.
    fn value(&self, letter: char) -> String;
}

type Syntax<T> = Result<T, &'static str>;

impl Template {
    /// A domain-spec: macros and text that end in a macro or a top label.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn domain(text: &str) -> Syntax<Self> {
        let template = Self::parse(text, "slodiphv", false)?;
        let ends_well = match template.0.last() {
            Some(Piece::Macro { .. }) => true,
            Some(Piece::Text(text)) => has_top_label(text),
            None => false,
        };
        if ends_well { Ok(template) } else { Err("there is no domain where one belongs") }
    }

    /// Whatever a modifier that nobody knows may say.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn macro_string(text: &str) -> Syntax<Self> {
        Self::parse(text, "slodiphvcrt", false)
    }

    /// The text of an explanation.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn explanation(text: &str) -> Syntax<Self> {
        Self::parse(text, "slodiphvcrt", true)
    }

    fn parse(text: &str, letters: &str, spaces: bool) -> Syntax<Self> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let next = rest[c.len_utf8()..].chars().next();
            match (c, next) {
                ('%', Some('{')) => {
                    let end = rest.find('}').ok_or("a macro does not end")?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(expand_macro(&rest[2..end], letters)?);
                    rest = &rest[end + 1..];
                    continue;
                }
                ('%', Some('%')) => plain.push('%'),
                ('%', Some('_')) => plain.push(' '),
                ('%', Some('-')) => plain.push_str("%20"),
                ('%', _) => return Err("a percent sign stands alone"),
                (c, _) if c.is_ascii_graphic() || (spaces && c == ' ') => {
                    plain.push(c);
                    rest = &rest[1..];
                    continue;
                }
                _ => return Err("a character may not stand there"),
            }
            rest = &rest[2..];
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Whether the validated name of the client is needed, which costs lookups.
    pub(super) fn needs_validated_name(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro { letter: 'p', .. }))
    }

    /// The text with its macros replaced.
    pub(super) fn expand(&self, values: &impl Values) -> String {
        let mut expanded = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => expanded.push_str(text),
                Piece::Macro { letter, escaped, parts, reversed, delimiters } => {
                    let value = values.value(*letter);
                    let mut split: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
                    if *reversed {
                        split.reverse();
                    }
                    let kept = split[split.len().saturating_sub(*parts)..].join(".");
                    if *escaped { escape(&kept, &mut expanded) } else { expanded.push_str(&kept) }
                }
            }
        }
        expanded
    }

    /// The name to ask for: cut from the left until it fits a name (RFC 7208 section 7.3).
    pub(super) fn expand_domain(&self, values: &impl Values) -> String {
        let mut name = self.expand(values);
        if name.ends_with('.') {
            name.pop();
        }
        while name.len() > crate::domain::NAME_MAX {
            match name.find('.') {
                Some(dot) => drop(name.drain(..=dot)),
                None => break,
            }
        }
        name
    }
}

fn expand_macro(inner: &str, letters: &str) -> Syntax<Piece> {
    let mut chars = inner.chars();
    let first = chars.next().ok_or("a macro is empty")?;
    let letter = first.to_ascii_lowercase();
    if !letters.contains(letter) {
        return Err("a macro letter may not stand there");
    }
    let rest = chars.as_str();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let parts = match number {
        "" => usize::MAX,
        number => number.parse().unwrap_or(usize::MAX),
    };
    if parts == 0 {
        return Err("a macro keeps no part");
    }
    let reversed = rest.starts_with(['r', 'R']);
    let delimiters = &rest[usize::from(reversed)..];
    if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
        return Err("a delimiter is none");
    }
    let delimiters = if delimiters.is_empty() { "." } else { delimiters }.to_owned();
    Ok(Piece::Macro { letter, escaped: first.is_ascii_uppercase(), parts, reversed, delimiters })
}

/// Whether a text ends in a dot and a top label, and perhaps a final dot (RFC 7208 section 7.1).
fn has_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else { return false };
    let valid = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let hyphened = label.contains('-') && !label.starts_with('-') && !label.ends_with('-');
    valid && (hyphened || (!label.contains('-') && label.bytes().any(|octet| octet.is_ascii_alphabetic())))
}

/// As in URLs: everything that is not unreserved (RFC 3986 section 2.3).
fn escape(text: &str, into: &mut String) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            into.push(char::from(octet));
        } else {
            let _ = write!(into, "%{octet:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7208 section 7.4.
    struct Example;

    impl Values for Example {
        fn value(&self, letter: char) -> String {
            match letter {
                's' => "strong-bad@email.example.com",
                'l' => "strong-bad",
                'o' | 'd' => "email.example.com",
                'i' => "192.0.2.3",
                'v' => "in-addr",
                _ => "?",
            }
            .to_owned()
        }
    }

    #[test]
    fn macros_expand_as_in_the_rfc() {
        for (template, expanded) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{S}%%%_%-", "strong-bad%40email.example.com% %20"),
        ] {
            assert_eq!(Template::macro_string(template).unwrap().expand(&Example), expanded, "{template}");
        }
        for bad in ["%", "%a", "%{", "%{}", "%{x}", "%{d0}", "%{d;}", "a b"] {
            assert!(Template::macro_string(bad).is_err(), "{bad}");
        }
        for bad in ["", "example", "%{d}.", "a.1", "a.-b", "a.b-", "%{c}", "a./24"] {
            assert!(Template::domain(bad).is_err(), "{bad}");
        }
        assert!(Template::domain("%{ir}.x-1.").is_ok());
    }
}
