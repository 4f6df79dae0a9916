//! Undoes transfer encodings (RFC 2045 §6), as a stream.

use crate::Encoding;

/// White space at the end of a quoted-printable line that is held back; a longer run belongs to the text.
const SPACES_MAX: usize = 1_000;

/// Undoes a transfer encoding. What is malformed is passed on or left out as RFC 2045 advises, never an error.
#[derive(Debug, Clone)]
pub struct Decoder(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// 7bit, 8bit, binary, and what we do not know: the octets as they are.
    Identity,
    Base64(Base64),
    QuotedPrintable(QuotedPrintable),
}

impl Decoder {
    /// A decoder at the beginning of a part.
    #[must_use]
    pub fn new(encoding: &Encoding) -> Self {
        Self(match encoding {
            Encoding::Base64 => Kind::Base64(Base64::default()),
            Encoding::QuotedPrintable => Kind::QuotedPrintable(QuotedPrintable::default()),
            _ => Kind::Identity,
        })
    }

    /// Decodes the next octets, and appends what they stand for.
    pub fn push(&mut self, octets: &[u8], decoded: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Identity => decoded.extend_from_slice(octets),
            Kind::Base64(base64) => octets.iter().for_each(|octet| base64.push(*octet, decoded)),
            Kind::QuotedPrintable(quoted) => octets.iter().for_each(|octet| quoted.push(*octet, decoded)),
        }
    }

    /// The part ends: appends what was held back.
    pub fn finish(&mut self, decoded: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Identity => {}
            Kind::Base64(base64) => base64.end_group(decoded),
            Kind::QuotedPrintable(quoted) => quoted.finish(decoded),
        }
    }
}

/// Groups of four characters; what is no character of the alphabet is left out (RFC 2045 §6.8).
#[derive(Debug, Clone, Default)]
struct Base64 {
    bits: u32,
    count: u8,
}

impl Base64 {
    fn push(&mut self, octet: u8, decoded: &mut Vec<u8>) {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            // Some encoders go on behind the padding.
            b'=' => return self.end_group(decoded),
            _ => return,
        };
        self.bits = self.bits << 6 | u32::from(value);
        self.count += 1;
        if self.count == 4 {
            decoded.extend_from_slice(&self.bits.to_be_bytes()[1..]);
            *self = Self::default();
        }
    }

    /// A group that is not full: two characters make one octet, three make two.
    fn end_group(&mut self, decoded: &mut Vec<u8>) {
        let octets = (self.bits << (6 * (4 - u32::from(self.count)))).to_be_bytes();
        decoded.extend_from_slice(&octets[1..1 + usize::from(self.count.saturating_sub(1))]);
        *self = Self::default();
    }
}

/// Lines of text in which `=` begins two hexadecimal digits or, at the end of the line, hides the line break.
#[derive(Debug, Clone, Default)]
struct QuotedPrintable {
    at: At,
    /// What was read and not decided on yet.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
enum At {
    #[default]
    Text,
    /// White space that goes when the line ends behind it.
    Spaces,
    /// Behind `=`.
    Equals,
    /// Behind `=` and one digit.
    Digit(u8),
    /// Behind `=` and white space: a soft line break, if the line ends.
    Soft,
}

impl QuotedPrintable {
    fn push(&mut self, octet: u8, decoded: &mut Vec<u8>) {
        match (self.at, octet) {
            (At::Text, _) => return self.text(octet, decoded),
            (At::Spaces, b' ' | b'\t') if self.held.len() < SPACES_MAX => return self.held.push(octet),
            (At::Spaces, b'\r' | b'\n') => self.held.clear(),
            (At::Equals, b'0'..=b'9' | b'A'..=b'F' | b'a'..=b'f') => return self.hold(At::Digit(digit(octet)), octet),
            (At::Equals | At::Soft, b'\r' | b' ' | b'\t') if self.held.len() < SPACES_MAX => {
                return self.hold(At::Soft, octet);
            }
            (At::Equals | At::Soft, b'\n') => return self.drop_held(),
            (At::Digit(high), b'0'..=b'9' | b'A'..=b'F' | b'a'..=b'f') => {
                decoded.push(high << 4 | digit(octet));
                return self.drop_held();
            }
            // Not what it looked like: it stands for itself.
            _ => decoded.append(&mut self.held),
        }
        self.at = At::Text;
        self.text(octet, decoded);
    }

    fn text(&mut self, octet: u8, decoded: &mut Vec<u8>) {
        match octet {
            b'=' => self.hold(At::Equals, octet),
            b' ' | b'\t' => self.hold(At::Spaces, octet),
            _ => decoded.push(octet),
        }
    }

    fn hold(&mut self, at: At, octet: u8) {
        self.at = at;
        self.held.push(octet);
    }

    fn drop_held(&mut self) {
        self.at = At::Text;
        self.held.clear();
    }

    fn finish(&mut self, decoded: &mut Vec<u8>) {
        if matches!(self.at, At::Digit(_)) {
            decoded.append(&mut self.held);
        }
        self.drop_held();
    }
}

fn digit(octet: u8) -> u8 {
    match octet {
        b'0'..=b'9' => octet - b'0',
        b'A'..=b'F' => octet - b'A' + 10,
        _ => octet - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: &Encoding, octets: &[u8], cut: usize) -> Vec<u8> {
        let (mut decoder, mut decoded) = (Decoder::new(encoding), Vec::new());
        octets.chunks(cut).for_each(|chunk| decoder.push(chunk, &mut decoded));
        decoder.finish(&mut decoded);
        decoded
    }

    #[test]
    fn base64_is_decoded_whatever_stands_between() {
        for (text, octets) in [
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8=\r\n", "hello"),
            ("aGVsbG8", "hello"),
            ("aGVs*bG8=aGk=", "hellohi"),
            ("a", ""),
            ("", ""),
            ("====", ""),
        ] {
            assert_eq!(decoded(&Encoding::Base64, text.as_bytes(), 3), octets.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn quoted_printable_is_decoded_and_mistakes_stand_for_themselves() {
        for (text, octets) in [
            ("a=3Db", "a=b"),
            ("a=3db", "a=b"),
            ("soft=\r\nbreak", "softbreak"),
            ("soft= \t\r\nbreak", "softbreak"),
            ("trailing  \t\r\nnext", "trailing\r\nnext"),
            ("in between", "in between"),
            ("=ZZ=4", "=ZZ=4"),
            ("= x", "= x"),
            ("at the end=", "at the end"),
            ("a=\r\n=\r\nb", "ab"),
        ] {
            for cut in 1..4 {
                assert_eq!(decoded(&Encoding::QuotedPrintable, text.as_bytes(), cut), octets.as_bytes(), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn how_the_octets_are_cut_means_nothing(
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'='), Just(b'\r'), Just(b'\n'), Just(b' ')], 0..300),
            cut in 1_usize..50,
        ) {
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::EightBit] {
                let whole = decoded(&encoding, &octets, 1_000);
                prop_assert!(whole.len() <= octets.len());
                prop_assert_eq!(&decoded(&encoding, &octets, cut), &whole);
            }
        }
    }
}
