//! Canonical forms of header fields and bodies (RFC 6376 section 3.4).

use ring::digest::{self, Digest, SHA256};

/// How much may change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Canonical {
    /// Nothing.
    Simple,
    /// White space.
    Relaxed,
}

impl Canonical {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "simple" => Some(Self::Simple),
            "relaxed" => Some(Self::Relaxed),
            _ => None,
        }
    }

    /// Appends a field, with its CRLF.
    pub(crate) fn field(self, raw: &[u8], into: &mut Vec<u8>) {
        match self {
            Self::Simple => into.extend_from_slice(raw),
            Self::Relaxed => relaxed_field(raw, into),
        }
    }
}

fn relaxed_field(raw: &[u8], into: &mut Vec<u8>) {
    let colon = raw.iter().position(|octet| *octet == b':').unwrap_or(raw.len());
    into.extend(raw[..colon].trim_ascii_end().to_ascii_lowercase());
    into.push(b':');
    let value = raw.get(colon + 1..).unwrap_or_default();
    let words = value.split(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            into.push(b' ');
        }
        into.extend_from_slice(word);
    }
    into.extend_from_slice(b"\r\n");
}

/// Octets that are gathered before they are hashed: white space cuts a body into short words.
const GATHERED: usize = 4_096;

/// Hashes a body that comes in pieces.
pub(super) struct BodyHash {
    canonical: Canonical,
    digest: digest::Context,
    gathered: Vec<u8>,
    /// Octets of the canonical body that count; none counts them all.
    limit: Option<u64>,
    len: u64,
    /// Ends of lines that may turn out to be the empty lines at the end.
    line_ends: u64,
    /// White space that may turn out to be the end of a line.
    white: bool,
    /// A CR whose LF may be in the next piece.
    cr: bool,
}

/// What was hashed.
pub(super) struct Hashed {
    pub(super) digest: Digest,
    /// Octets of the whole canonical body.
    pub(super) len: u64,
}

impl BodyHash {
    pub(super) fn new(canonical: Canonical, limit: Option<u64>) -> Self {
        Self {
            canonical,
            digest: digest::Context::new(&SHA256),
            gathered: Vec::with_capacity(GATHERED),
            limit,
            len: 0,
            line_ends: 0,
            white: false,
            cr: false,
        }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, mut piece: &[u8]) {
        if self.cr && !piece.is_empty() {
            self.cr = false;
            if piece[0] == b'\n' {
                self.end_line();
                piece = &piece[1..];
            } else {
                self.text(b"\r");
            }
        }
        while !piece.is_empty() {
            let end = match self.canonical {
                Canonical::Simple => memchr::memchr(b'\r', piece),
                Canonical::Relaxed => memchr::memchr3(b'\r', b' ', b'\t', piece),
            };
            let end = end.unwrap_or(piece.len());
            if end > 0 {
                self.text(&piece[..end]);
            }
            piece = &piece[end..];
            piece = match piece {
                [] => piece,
                [b'\r', b'\n', rest @ ..] => {
                    self.end_line();
                    rest
                }
                [b'\r'] => {
                    self.cr = true;
                    &[]
                }
                [b'\r', rest @ ..] => {
                    self.text(b"\r");
                    rest
                }
                [_, rest @ ..] => {
                    self.white = true;
                    rest
                }
            };
        }
    }

    fn end_line(&mut self) {
        // White space at the end of a line goes, and a line of nothing else is empty.
        self.white = false;
        self.line_ends += 1;
    }

    fn text(&mut self, octets: &[u8]) {
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.put(b"\r\n");
        }
        if std::mem::take(&mut self.white) {
            self.put(b" ");
        }
        self.put(octets);
    }

    fn put(&mut self, octets: &[u8]) {
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.len));
        let counted = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.len += octets.len() as u64;
        if self.gathered.len() + counted > GATHERED {
            self.digest.update(&self.gathered);
            self.gathered.clear();
        }
        if counted > GATHERED {
            self.digest.update(&octets[..counted]);
        } else {
            self.gathered.extend_from_slice(&octets[..counted]);
        }
    }

    /// All has come.
    pub(super) fn finish(mut self) -> Hashed {
        if std::mem::take(&mut self.cr) {
            self.text(b"\r");
        }
        // Empty lines at the end go; what remains ends in CRLF, and of nothing the simple form is a CRLF.
        let has_text = self.len > 0;
        if has_text || self.canonical == Canonical::Simple {
            self.put(b"\r\n");
        }
        self.digest.update(&self.gathered);
        Hashed { digest: self.digest.finish(), len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rules of RFC 6376 sections 3.4.3 and 3.4.4, one after the other.
    fn by_the_book(canonical: Canonical, body: &str) -> String {
        let mut lines: Vec<String> = body.split("\r\n").map(str::to_owned).collect();
        if canonical == Canonical::Relaxed {
            for line in &mut lines {
                let spaced: String = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
                let mut reduced = String::new();
                for c in spaced.chars() {
                    if c != ' ' || !reduced.ends_with(' ') {
                        reduced.push(c);
                    }
                }
                *line = reduced.trim_end_matches(' ').to_owned();
            }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        match (lines.is_empty(), canonical) {
            (true, Canonical::Simple) => "\r\n".to_owned(),
            (true, Canonical::Relaxed) => String::new(),
            _ => lines.join("\r\n") + "\r\n",
        }
    }

    proptest! {
        #[test]
        fn bodies_are_hashed_by_the_book_in_whatever_pieces(
            parts in proptest::collection::vec("[ab]{1,3}| {1,2}|\t|\r\n|\r|\n", 0..24),
            cuts in proptest::collection::vec(0_usize..60, 0..4),
            limit in proptest::option::of(0_u64..40),
            relaxed: bool,
        ) {
            let body = parts.concat();
            let canonical = if relaxed { Canonical::Relaxed } else { Canonical::Simple };
            let mut hash = BodyHash::new(canonical, limit);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts {
                hash.push(&body.as_bytes()[from..cut]);
                from = cut;
            }
            hash.push(&body.as_bytes()[from..]);
            let hashed = hash.finish();
            let expected = by_the_book(canonical, &body);
            let counted = expected.len().min(limit.map_or(usize::MAX, |limit| limit as usize));
            prop_assert_eq!(hashed.len, expected.len() as u64);
            let digest = digest::digest(&SHA256, &expected.as_bytes()[..counted]);
            prop_assert_eq!(hashed.digest.as_ref(), digest.as_ref(), "{:?} {:?}", canonical, body);
        }
    }

    #[test]
    fn relaxed_fields_are_as_in_the_rfc() {
        let mut into = Vec::new();
        Canonical::Relaxed.field(b"A: X\r\n", &mut into);
        Canonical::Relaxed.field(b"B : Y\t\r\n\tZ  \r\n", &mut into);
        assert_eq!(into, b"a:X\r\nb:Y Z\r\n");
    }
}
