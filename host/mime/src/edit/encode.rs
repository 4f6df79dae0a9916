//! Writes content down so that it passes any server: lines of US-ASCII (RFC 2045 §6).

use data_encoding::BASE64_MIME;

use crate::Encoding;

/// Longest line of a message without its CRLF (RFC 5322 §2.1.1).
const LINE_MAX: usize = 998;
/// Longest line of quoted-printable (RFC 2045 §6.7).
const QUOTED_LINE_MAX: usize = 76;

/// Text whose lines end with CRLF, whatever they ended with.
pub(super) fn canonical(text: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(text.len());
    let mut octets = text.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&b'\n');
                canonical.extend_from_slice(b"\r\n");
            }
            b'\n' => canonical.extend_from_slice(b"\r\n"),
            _ => canonical.push(octet),
        }
    }
    canonical
}

/// The transfer encoding for a text: the one it had, if that still does.
///
/// `delimiters` are those of the parts around: a line that begins like one cannot stand there as it is.
pub(super) fn choose(text: &[u8], had: &Encoding, delimiters: &[Vec<u8>]) -> Encoding {
    let parts = |line: &[u8]| delimiters.iter().any(|delimiter| line.starts_with(delimiter));
    let lines_fit = || text.split(|octet| *octet == b'\n').all(|line| line.len() <= LINE_MAX + 1 && !parts(line));
    let plain = || !text.contains(&0) && lines_fit() && canonical(text) == text;
    match had {
        Encoding::SevenBit if text.is_ascii() && plain() => Encoding::SevenBit,
        Encoding::EightBit if plain() => Encoding::EightBit,
        Encoding::Base64 | Encoding::Binary => Encoding::Base64,
        _ => Encoding::QuotedPrintable,
    }
}

pub(super) fn encode(encoding: &Encoding, content: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Base64 => {
            let mut lines = BASE64_MIME.encode(content).into_bytes();
            // The line break before the next delimiter belongs to that.
            lines.truncate(lines.trim_ascii_end().len());
            lines
        }
        Encoding::QuotedPrintable => quoted_printable(content),
        _ => content.to_vec(),
    }
}

fn quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(content.len() + content.len() / 8);
    let mut column = 0;
    let mut rest = content;
    while let Some((octet, after)) = rest.split_first() {
        if rest.starts_with(b"\r\n") {
            encoded.extend_from_slice(b"\r\n");
            (column, rest) = (0, &rest[2..]);
            continue;
        }
        let ends_line = after.is_empty() || after.starts_with(b"\r\n");
        let literal = match octet {
            b' ' | b'\t' => !ends_line,
            // Some servers change lines that begin with a dot or with From; and a hyphen may begin a delimiter.
            b'.' | b'F' | b'-' if column == 0 => false,
            b'=' => false,
            _ => octet.is_ascii_graphic(),
        };
        let width = if literal { 1 } else { 3 };
        if column + width > QUOTED_LINE_MAX - usize::from(!ends_line) {
            encoded.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if literal {
            encoded.push(*octet);
        } else {
            encoded.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        (column, rest) = (column + width, after);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decoder;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(
            content in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n'), Just(b'=')], 0..400),
        ) {
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable] {
                let encoded = encode(&encoding, &content);
                prop_assert!(encoded.is_ascii() && canonical(&encoded) == encoded);
                prop_assert!(encoded.split(|octet| *octet == b'\n').all(|line| line.len() <= 77));
                let (mut decoder, mut decoded) = (Decoder::new(&encoding), Vec::new());
                decoder.push(&encoded, &mut decoded);
                decoder.finish(&mut decoded);
                prop_assert_eq!(&decoded, &content, "{:?}", String::from_utf8_lossy(&encoded));
            }
        }
    }
}
