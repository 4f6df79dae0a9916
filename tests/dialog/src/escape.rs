//! Octets that a text file cannot show.

use std::fmt::Write as _;

const NAMED: [(&str, u8); 3] = [("CR", b'\r'), ("LF", b'\n'), ("NUL", 0)];
/// Octets that one escape can make: enough to pass any limit, too few to fill a memory by a slip of the pen.
const REPEAT_MAX: usize = 1_000_000;

/// Replaces `<CR>`, `<LF>`, `<NUL>` and `<xNN>`, each perhaps repeated as in `<x41*500>`; anything else stays.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let escape = rest.find('>').and_then(|end| Some((parse(&rest[1..end])?, end + 1)));
        let taken = match escape {
            Some(((octet, times), taken)) => {
                octets.extend(std::iter::repeat_n(octet, times));
                taken
            }
            None => {
                octets.push(b'<');
                1
            }
        };
        rest = &rest[taken..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

fn parse(name: &str) -> Option<(u8, usize)> {
    let (name, times) = match name.split_once('*') {
        Some((name, times)) => (name, times.parse().ok().filter(|times| *times <= REPEAT_MAX)?),
        None => (name, 1),
    };
    let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, octet)| *octet);
    let octet = named.or_else(|| {
        let digits = name.strip_prefix('x').filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    })?;
    Some((octet, times))
}

/// Shows octets as a dialogue would write them, one line of text each; long ones are cut.
pub(crate) fn show(octets: &[u8]) -> String {
    const SHOWN_MAX: usize = 200;
    let mut text = String::new();
    let cut = &octets[..octets.len().min(SHOWN_MAX)];
    for chunk in cut.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => text.push_str("<CR>"),
                '\n' => text.push_str("<LF>"),
                '\0' => text.push_str("<NUL>"),
                c if c.is_control() => {
                    let _ = write!(text, "<x{:02X}>", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for octet in chunk.invalid() {
            let _ = write!(text, "<x{octet:02X}>");
        }
    }
    if cut.len() < octets.len() {
        let _ = write!(text, "... ({} octets)", octets.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_octets_and_addresses_stay() {
        assert_eq!(unescape("a<CR><LF><NUL><x7f><x41*3>"), b"a\r\n\0\x7fAAA");
        assert_eq!(unescape("MAIL FROM:<a@b> <xyz> <"), b"MAIL FROM:<a@b> <xyz> <");
        assert_eq!(unescape("<CR*2>\u{fc}"), "\r\r\u{fc}".as_bytes());
        assert_eq!(unescape("<x41*99999999>"), b"<x41*99999999>");
    }

    #[test]
    fn octets_are_shown_as_they_would_be_written() {
        assert_eq!(show(b"a\r\n\0\xff\x01b"), "a<CR><LF><NUL><xFF><x01>b");
        assert!(show(&[b'x'; 300]).ends_with("... (300 octets)"));
    }
}
